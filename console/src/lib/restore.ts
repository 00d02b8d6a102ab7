// What a restored service is called unless somebody says otherwise.

const NAME_MAX = 50;

/** The old name and the backup's day and time (UTC), within what a name may have. */
export function restoredName(name: string, startedAt: string): string {
  const when = /^(\d{4}-\d{2}-\d{2})T(\d{2}):(\d{2})/.exec(startedAt);
  const end = when ? ` ${when[1]} ${when[2]}.${when[3]}` : ' 2';
  return [...name].slice(0, NAME_MAX - end.length).join('').trimEnd() + end;
}
