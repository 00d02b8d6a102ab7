/* Full-jitter back-off. */
#include "net/backoff.h"

void backoff_connected(struct backoff *b, int64_t now_ms)
{
    b->connected_at = MAX(now_ms, 1);
}

int64_t backoff_next(struct backoff *b, int64_t now_ms, uint32_t random)
{
    if (b->ceiling_ms <= 0 || (b->connected_at && now_ms - b->connected_at >= BACKOFF_STABLE_MS))
        b->ceiling_ms = BACKOFF_FIRST_MS;
    b->connected_at = 0;
    int64_t wait = random % (b->ceiling_ms + 1);
    b->ceiling_ms = MIN(b->ceiling_ms * 2, (int64_t)BACKOFF_MAX_MS);
    return wait;
}
