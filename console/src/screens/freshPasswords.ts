// Passwords that were made a moment ago: in the page's memory only, gone with a reload or after a while.
const KEEP_MS = 15 * 60 * 1000;
const passwords = new Map<string, { password: string; user: string }>();

export function keepPassword(service: string, password: string, user = 'default') {
  passwords.set(service, { password, user });
  setTimeout(() => passwords.delete(service), KEEP_MS);
}

export function freshPassword(service: string): string | null {
  return passwords.get(service)?.password ?? null;
}
