/* The operator's rules, above every runtime: what to do next, and what to say about each service. Pure: document,
 * workloads, observation, time and memory in; actions and states out.
 *
 * Rules, in the order in which they bind:
 * - What is not labelled as ours (`role`) is never touched.
 * - Engines before name server before ingress; what sends somewhere goes before what it sends to is taken away: an
 * engine is stopped or removed only when the ingress in effect no longer names it, and says so where it can be asked,
 * or after RECONCILE_DRAIN_BOUND_MS.
 * - One replica of a service at a time is changed while it serves, and only while all others serve. Replicas that do
 * not serve are mended first. New ones come at once. One that is made for another size (surge.h) holds nobody back
 * until it is one of them, and is none of those asked for.
 * - A replica serves again, in this sense, when it answers and is in step with the others (replicas.h): neither lagging
 * nor read-only nor without tables that another has. That is waited for at most RECONCILE_SYNC_BOUND_MS, and for one
 * that does not say RECONCILE_UNKNOWN_BOUND_MS. A replica that nobody wants any more is out of the ingress first, then
 * hands over what it has, then goes (handover.h); never while no other serves.
 * - At most RECONCILE_MAX_STARTING engines start or are changed at a time, so that a machine is not overrun.
 * - Data goes only with a deleted service that says so. What is wanted by nobody is removed, its data stays.
 * - What failed is tried again after 1 s, doubling to 60 s. */
#pragma once

#include "agent/operator/handover.h"
#include "blueprint/blueprint.h"
#include "runtime/runtime.h"

#define RECONCILE_DRAIN_BOUND_MS 30000
#define RECONCILE_SYNC_BOUND_MS 900000
#define RECONCILE_UNKNOWN_BOUND_MS 20000
#define RECONCILE_MAX_STARTING 8
#define RECONCILE_RETRY_FIRST_MS 1000
#define RECONCILE_RETRY_MAX_MS 60000
#define RECONCILE_ASK_AGAIN_MS 30000 /* a removal that is still going on is asked for again */

enum service_state {
    SERVICE_STARTING,
    SERVICE_RUNNING,  /* every replica answers, and so does the ingress, by the files that say so */
    SERVICE_DEGRADED, /* answers in part, or did and does not now */
    SERVICE_STOPPING, /* also: deleted, and not yet gone */
    SERVICE_STOPPED,
    SERVICE_IDLE,   /* asleep: its engines are stopped until somebody needs them */
    SERVICE_FAILED, /* no replica can be made to run; `error` says why; it is tried again */
    SERVICE_GONE,
};
extern const char *const service_state_names[]; /* "starting" ... */

struct reconcile_input {
    const struct desired *desired;
    const struct blueprint_env *env;
    const struct workload_list *wanted; /* what the blueprint made of both, in its order */
    const char (*digests)[65];          /* beside wanted->items */
    const struct runtime_status_list *observed;
    bool front_behind; /* the ingress works by other files than those that it was told of last */
    int64_t now_ms;    /* monotonic */
    /* How far a replica is; NULL: nobody can say, and an answer to its probe is enough. */
    enum replica_sync (*sync_of)(const char *workload, void *data);
    /* How far the handing over of one that goes is (`leaving` below says which); NULL where sync_of is. */
    struct handover_said (*left_of)(const char *workload, void *data);
    void *data;
};

struct reconcile_action {
    const char *name;
    const struct workload *workload; /* to apply; NULL: remove */
    bool delete_data;
    const char *note; /* a removal: what people should know of it; NULL: nothing */
};

struct reconcile_service {
    const char *id;
    enum service_state state;
    int ready, replicas, restarts;
    const char *engine;         /* "embedded" or "server": only the latter speaks the native protocol */
    const char *notice, *error; /* "" or a sentence */
    unsigned leaving;           /* bit k: replica k goes, and has to be handed over */
    bool whole;                 /* every replica is as it was rendered, serves, and is in step or was waited for */
};

struct reconcile_plan {
    struct arena *arena; /* owns what follows; workloads are borrowed from the input */
    struct reconcile_action *actions;
    size_t n_actions;
    struct reconcile_service *services; /* one for each of the document, in its order */
    size_t n_services;
    bool leads;       /* the ingress does as it was told, or none is wanted */
    int64_t again_ms; /* monotonic time at which to look again though nothing changes; INT64_MAX: no need */
};
void reconcile_plan_free(struct reconcile_plan *p);
#define autoplan OH_CLEANUP(reconcile_plan_free)

/* What is remembered between steps: failures, drains, removals asked for, which services ran. Losing it (an agent's
 * restart) costs a repeated request, nothing else. */
struct reconcile_memory;
struct reconcile_memory *reconcile_memory_new(void);
void reconcile_memory_free(struct reconcile_memory *m); /* NULL is fine */

void reconcile_step(const struct reconcile_input *in, struct reconcile_memory *m, struct reconcile_plan *ret);
/* Tells how an action went: result 0, or a negative errno with what to show people. */
void reconcile_done(struct reconcile_memory *m, const struct reconcile_action *action, int64_t now_ms, int result,
                    const char *message);
