// Links that count once: what to do when the answer was lost on the way, so that nobody knows whether it counted.
import { ApiError } from '../api/client';

/**
 * Asks, and where an earlier answer was lost and the link now counts no more, comes in by what that first time has set
 * (`instead`: signing in with what stands in the form). The link's own refusal stays what is shown when that fails, too.
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
