/* Puts services to sleep and wakes them: gathers what sleep.h judges by, and says so in the document at hand.
 *
 * Activity is what the ingress passed on (traffic.h) and queries that run in the engines now (for those that an ingress
 * before its last reload carries still); demand comes from the activator (waiting.h). */
#pragma once

#include "base/clock.h"
#include "base/js.h"
#include "blueprint/blueprint.h"
#include "runtime/runtime.h"

#include <uv.h>

struct sleepers_config {
    uv_loop_t *loop;
    const struct clock *clock;
    const char *state_dir;
    enum blueprint_engine engine;
    void (*changed)(void *data); /* from the loop: look again */
    void (*on_event)(bool error, const char *message, void *data);
    json_t *(*metrics_of)(const char *workload, void *data); /* of an engine's last answer; NULL: none */
    bool (*backs_up)(const char *service, void *data);       /* a backup is made of it, or restored to it */
    void *data;
};

struct sleepers;
struct sleepers *sleepers_new(const struct sleepers_config *c);
/* Sets `asleep` and `rising` of each service. True: one is another than it was. */
bool sleepers_step(struct sleepers *s, struct desired *d, const struct runtime_status_list *observed,
                   int64_t *again_ms);
/* Frees; `done` is called (maybe later) when no thread uses it any more. */
void sleepers_free(struct sleepers *s, void (*done)(void *data), void *data);
