// A schedule as the hours of a week. Weekdays are 0 to 6 from Sunday, hours are UTC.

export interface Stretch {
  weekdays: number[];
  startHourUtc: number;
  /** Below or at the start: on the next day. */
  endHourUtc: number;
}

/** Index of the entry that holds in each hour, by day and hour; -1: none. The first that fits wins. */
export function weekGrid(entries: Stretch[]): number[][] {
  const grid = Array.from({ length: 7 }, () => Array.from({ length: 24 }, () => -1));
  entries.forEach((entry, index) => {
    for (const day of entry.weekdays) {
      const end = entry.endHourUtc > entry.startHourUtc ? entry.endHourUtc : entry.endHourUtc + 24;
      for (let hour = entry.startHourUtc; hour < end; hour++) {
        const row = grid[(day + Math.floor(hour / 24)) % 7]!;
        if (row[hour % 24] === -1) row[hour % 24] = index;
      }
    }
  });
  return grid;
}

/** Two entries that want the same hour, or null. */
export function overlap(entries: Stretch[]): [number, number] | null {
  const taken = new Map<number, number>();
  for (const [index, entry] of entries.entries())
    for (const day of entry.weekdays) {
      const end = entry.endHourUtc > entry.startHourUtc ? entry.endHourUtc : entry.endHourUtc + 24;
      for (let hour = entry.startHourUtc; hour < end; hour++) {
        const key = ((day * 24 + hour) % 168) as number;
        const other = taken.get(key);
        if (other !== undefined && other !== index) return [other, index];
        taken.set(key, index);
      }
    }
  return null;
}
