/* When the agent renews its certificate and when it dials again. Pure: times and random numbers are handed in. */
#pragma once

#include "net/backoff.h"

#define SCHEDULE_RENEW_RETRY_MS (10 * 60 * 1000) /* after a renewal that brought nothing */
#define SCHEDULE_GOAWAY_LEAST_MS 1000            /* least wait after the control plane said good-bye: it restarts */
#define SCHEDULE_GOAWAY_MS 6000                  /* and the longest */

struct schedule {
    struct backoff backoff;
    int64_t renew_at_ms;   /* wall clock as the control plane counts it */
    int64_t renew_wait_ms; /* monotonic: not before this; 0 = any time */
    int64_t skew_ms;       /* control plane's clock minus ours; 0 until it is known */
};

/* A certificate came into use: renewal is due at two thirds of its life and up to 1/20 of it later. */
void schedule_certificate(struct schedule *s, int64_t not_before_ms, int64_t not_after_ms, uint32_t random);
/* Whether to ask for a new one now. The control plane's idea of the time counts where it is known: its clock judges
 * our certificate, and ours may be off. */
bool schedule_renew_due(const struct schedule *s, int64_t wall_ms, int64_t mono_ms);
/* `renew` was sent: the next not before SCHEDULE_RENEW_RETRY_MS, whatever comes of it. */
void schedule_renew_sent(struct schedule *s, int64_t mono_ms);
/* How long to wait before dialling again. */
int64_t schedule_redial(struct schedule *s, int64_t mono_ms, bool goodbye, uint32_t random);
