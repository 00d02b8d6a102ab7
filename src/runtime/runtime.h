/* Where workloads run: the interface that the operator drives, one implementation a platform (processes, Kubernetes).
 *
 * Level-triggered: the operator computes what should be, observes what is, and asks for one change at a time by its own
 * rules (order, one replica at a time, drain). Each call returns soon; the change is seen in a later observe(). */
#pragma once

#include "blueprint/workload.h"

enum runtime_state {
    RUNTIME_STARTING, /* placed, not yet ready */
    RUNTIME_RUNNING,  /* probe succeeds (or there is none and it runs) */
    RUNTIME_UNREADY,  /* runs, was ready, probe fails now */
    RUNTIME_STOPPING,
    RUNTIME_STOPPED, /* nothing runs, as asked */
    RUNTIME_FAILED,  /* keeps ending or cannot start; `error` says why; it is tried again with back-off */
};
extern const char *const runtime_state_names[]; /* "starting" ... */

struct runtime_status {
    const char *name;
    enum runtime_state state;
    char digest[65];     /* of the workload's JSON that is now in effect, "" if none */
    const char *error;   /* "" or one sentence */
    int restarts;        /* since placed */
    int64_t since_ms;    /* wall time of the last state change */
    const char *address; /* where its ports are reached from the agent; NULL or "" = not known */
    const char *others;  /* further addresses, separated by spaces, where it runs more than once; NULL or "" = none */
    struct workload_env *labels;
    size_t n_labels;
};

struct runtime_status_list {
    struct arena *arena;
    struct runtime_status *items;
    size_t n;
};
void runtime_status_list_free(struct runtime_status_list *l);

struct runtime;

struct runtime_ops {
    /* Makes `w` so; `all` resolves ${address:OTHER}. Idempotent; a workload equal in digest is left alone. */
    int (*apply)(struct runtime *rt, const struct workload *w, const struct workload_list *all, struct err *err);
    /* Stops and forgets; volumes go too only with delete_data. A missing name is fine. */
    int (*remove)(struct runtime *rt, const char *name, bool delete_data, struct err *err);
    /* Everything that OwnHouse placed here, wanted or not. */
    int (*observe)(struct runtime *rt, struct runtime_status_list *ret, struct err *err);
    /* A descriptor that polls readable when something may have changed, or -1 (then observe by timer). */
    int (*change_fd)(struct runtime *rt);
    void (*change_clear)(struct runtime *rt);
    void (*free)(struct runtime *rt);
    /* Says something of a workload where people who look at the platform read it (Kubernetes: an Event). Nothing
     * depends on it; bounded. reason: one word, as "Changing". NULL: the platform has no such place. */
    void (*note)(struct runtime *rt, const char *name, bool warning, const char *reason, const char *sentence);
};

struct runtime {
    const struct runtime_ops *ops;
};

/* SHA-256 of the canonical JSON of the workload: what observe() reports when it is in effect. */
OH_MUST_CHECK int runtime_digest(const struct workload *w, char ret[65], struct err *err);
