/* Back-off between restarts. */
#include "runtime/process/restart.h"

int64_t restart_next(struct restart *r, int64_t ran_ms)
{
    if (r->wait_ms == 0 || ran_ms >= RESTART_STABLE_MS)
        r->wait_ms = RESTART_FIRST_MS;
    else
        r->wait_ms = MIN(2 * r->wait_ms, (int64_t)RESTART_MAX_MS);
    return r->wait_ms;
}
