// Links that count once: what to do when the answer was lost on the way, so that nobody knows whether it counted.
import { ApiError, call, type Schemas } from '../api/client';

/**
 * Asks, and where an earlier answer was lost and the link now counts no more, comes in by what that first time has set
 * (`instead`, which is comeIn). The link's own refusal stays what is shown when that fails, too.
 */
export async function askOnce<A>(memory: { lost: boolean }, ask: () => Promise<A>, instead: () => Promise<A>): Promise<A> {
  try {
    return await ask();
  } catch (problem) {
    if (!(problem instanceof ApiError)) throw problem;
    if (problem.temporary) memory.lost = true;
    else if (memory.lost)
      return instead().catch(() => {
        throw problem;
      });
    throw problem;
  }
}

/** In by what the lost answer has brought all the same, its cookie, if it is this person's; or else by signing in. */
export async function comeIn(email: string, login: { password: string; totpCode?: string }): Promise<{ state?: string; signedIn?: Schemas['SignedIn'] }> {
  const there = await call('sessionGet').catch(() => null);
  if (there?.profile.email.toLowerCase() === email.trim().toLowerCase()) return { signedIn: there };
  return call('sessionCreate', { body: { email, ...login } });
}
