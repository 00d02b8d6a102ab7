// An amount of bytes as people read it.

export function bytes(n: number, locale: string): string {
  const units = ['byte', 'kilobyte', 'megabyte', 'gigabyte', 'terabyte'];
  const step = n > 0 ? Math.min(Math.floor(Math.log10(n) / 3), units.length - 1) : 0;
  return new Intl.NumberFormat(locale, { style: 'unit', unit: units[step], maximumFractionDigits: 1 }).format(n / 1000 ** step);
}
