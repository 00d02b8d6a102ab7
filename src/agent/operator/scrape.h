/* Reads the engines' counters now and then, on a work thread, and keeps of each service those that may leave the data
 * plane (blueprint/metrics.h). A service that does not answer has none until it does. */
#pragma once

#include "base/clock.h"
#include "base/js.h"

#include <uv.h>

struct scrape;

/* pause_ms: from the end of one round to the next. `fresh` is called from the loop after a round in which a service
 * answered that had not before. */
struct scrape *scrape_new(uv_loop_t *loop, const struct clock *clock, int64_t pause_ms, void (*fresh)(void *data),
                          void *data);

struct scrape_target {
    const char *name;    /* of the workload */
    const char *address; /* IPv4 or IPv6 */
    int port;
};
/* The engines that run now; begins a round if one is due. Texts are copied. Answers of others are forgotten. */
void scrape_want(struct scrape *s, const struct scrape_target *targets, size_t n);
/* {metric: value}, whole numbers, of the workload; NULL while there is none. Borrowed until the next scrape_want(). */
json_t *scrape_get(const struct scrape *s, const char *name);
bool scrape_any(const struct scrape *s); /* somebody has answered */
/* Frees; `done` is called (maybe later) when no thread uses it any more. */
void scrape_free(struct scrape *s, void (*done)(void *data), void *data);
