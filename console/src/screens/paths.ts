// Where to go after signing in.

/** Only a path of this console: a link must not lead elsewhere. */
export function safePath(to: string | undefined): string {
  return to && /^\/(?![/\\])/.test(to) ? to : '/';
}
