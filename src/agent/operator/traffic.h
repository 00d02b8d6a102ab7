/* Reads the ingress's counters now and then, on a work thread: which services' engines were sent something.
 *
 * Only what the ingress passed on counts: requests that it refused itself, its own health checks, the agent's
 * questions, replication and background work do not. Source: HAProxy's statistics in CSV form (management guide, 9.1).
 */
#pragma once

#include "base/clock.h"
#include "base/js.h"

#include <uv.h>

/* Counts of one service, summed over its servers and over the ingress's instances. */
struct traffic_count {
    int64_t bytes;    /* both ways, and one for each session; falls back to 0 when HAProxy is loaded again */
    int64_t sessions; /* of requests that run now */
};

/* Adds what the CSV says to `into`: slug -> [bytes, sessions]. -EINVAL: not such a text. Pure. */
OH_MUST_CHECK int traffic_parse(char *csv, json_t *into);

struct traffic;
/* pause_ms: from the end of one round to the next; `done` is called from the loop after each. */
struct traffic *traffic_new(uv_loop_t *loop, const struct clock *clock, int64_t pause_ms, void (*round)(void *data),
                            void *data);
/* Begins a round if one is due; addresses, separated by spaces, of all instances. */
void traffic_want(struct traffic *t, const char *addresses);
/* The number of the last round in which every instance answered, 0 = there is none, or the last one failed. */
int64_t traffic_round(const struct traffic *t);
/* False: the ingress does not know the service. */
bool traffic_get(const struct traffic *t, const char *slug, struct traffic_count *ret);
/* Frees; `done` is called (maybe later) when no thread uses it any more. */
void traffic_free(struct traffic *t, void (*done)(void *data), void *data);
