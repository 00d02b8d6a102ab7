// How rows are put in order.

/** As people count; what is empty comes last. */
export function compare(a: string | number | null | undefined, b: string | number | null | undefined, locale: string): number {
  if (a === b) return 0;
  if (a === null || a === undefined || a === '') return 1;
  if (b === null || b === undefined || b === '') return -1;
  return typeof a === 'number' && typeof b === 'number' ? a - b : String(a).localeCompare(String(b), locale, { numeric: true });
}
