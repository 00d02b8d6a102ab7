/* The agent's appointments: renewals and redials. */
#include "agent/link/schedule.h"

void schedule_certificate(struct schedule *s, int64_t not_before_ms, int64_t not_after_ms, uint32_t random)
{
    int64_t life = not_after_ms - not_before_ms;
    s->renew_at_ms = not_before_ms + life / 3 * 2 + (int64_t)((double)(life / 20) * random / UINT32_MAX);
}

bool schedule_renew_due(const struct schedule *s, int64_t wall_ms, int64_t mono_ms)
{
    return wall_ms + s->skew_ms >= s->renew_at_ms && mono_ms >= s->renew_wait_ms;
}

void schedule_renew_sent(struct schedule *s, int64_t mono_ms)
{
    s->renew_wait_ms = mono_ms + SCHEDULE_RENEW_RETRY_MS;
}

int64_t schedule_redial(struct schedule *s, int64_t mono_ms, bool goodbye, uint32_t random)
{
    int64_t wait = backoff_next(&s->backoff, mono_ms, random);
    /* Good-bye is a restart: all agents hear it at once, so they spread wider than a first failure would. */
    if (!goodbye)
        return wait;
    int64_t spread = SCHEDULE_GOAWAY_MS - SCHEDULE_GOAWAY_LEAST_MS;
    return MAX(wait, SCHEDULE_GOAWAY_LEAST_MS + (int64_t)((double)spread * random / UINT32_MAX));
}
