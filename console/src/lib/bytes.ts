// An amount of bytes as people read it.

export function bytes(n: number, locale: string): string {
  const units = ['byte', 'kilobyte', 'megabyte', 'gigabyte', 'terabyte'];
  let step = n > 0 ? Math.min(Math.floor(Math.log10(n) / 3), units.length - 1) : 0;
  if (n / 1000 ** step >= 999.95 && step > 0 && step < units.length - 1) step++; // else it were rounded to "1,000 kB"
  // The short form of a byte is no symbol but the word without its plural: "326 byte".
  return new Intl.NumberFormat(locale, { style: 'unit', unit: units[step], unitDisplay: step ? 'short' : 'long', maximumFractionDigits: 1 }).format(n / 1000 ** step);
}
