/* Inside the Kubernetes runtime: what its files share. All of it under the lock, but for the client, which only the
 * thread touches. */
#pragma once

#include "runtime/kubernetes/events.h"
#include "runtime/kubernetes/facts.h"
#include "runtime/kubernetes/kubernetes.h"
#include "runtime/kubernetes/lease.h"
#include "runtime/kubernetes/stream.h"

#include <pthread.h>

struct watch {
    struct kube *k;
    enum kube_kind kind;
    struct kube_stream stream;
    char version[32]; /* to go on from; "" = list first */
    char *more;       /* continue token of a list in pages */
    unsigned mark;    /* of the list under way */
    bool busy;        /* a request is under way */
    bool listing;     /* the list is not complete */
    bool synced;      /* was complete once */
    bool pages;       /* the server does not stream lists */
    bool stale;       /* the server has forgotten our version: list again */
    int failures;
    int64_t due_ms, began_ms;
};

enum job_phase {
    JOB_APPLY,
    JOB_SETTLE,
    JOB_DELETE_RUN,
    JOB_DELETE_REST,
    JOB_DELETE_DATA,
    JOB_DELETE_SHARED,
    JOB_WAIT_GONE
};

struct job {
    struct job *next;
    struct kube *k;
    char *name;      /* of the workload */
    char *namespace; /* where it lives */
    char *service;   /* NULL: of none */
    bool removal, delete_data;
    struct kube_objects objects; /* JOB_APPLY */
    char digest[65];             /* of the workload, as the operator has it */
    bool keep_pods;              /* the workload is unchanged: leave StatefulSet and Deployment alone */
    enum job_phase phase;
    int stage;        /* of JOB_APPLY */
    size_t pending;   /* answers awaited */
    bool sent;        /* what this stage or phase needs was sent */
    int64_t bound_ms; /* the RoleBinding was written then: the API server needs a moment to heed it; 0 = was there */
    int64_t due_ms;   /* not before */
    bool replaces;    /* earlier contents are left behind: they go once the new pods are ready */
    bool again;       /* the stage has to be sent once more */
    bool tidied;      /* what the place does not want any more was looked for */
    bool recreate;    /* the StatefulSet refused the change: it is deleted without its pods, then applied as new */
    bool failed, finished;
    int64_t finished_ms;
    int result;
    char error[400];
};

/* The agent's own image (own.c). */
struct kube_own {
    bool given; /* there is something to do at all */
    bool busy;  /* a request is under way */
    bool known; /* `seen` was read */
    bool asked; /* for the guard of seen.trial, by this very agent */
    bool healthy;
    int patience_s;
    char workload[KUBE_NAME_MAX + 1], account[KUBE_NAME_MAX + 1], pod[64];
    char image[KUBE_RELEASE_IMAGE_MAX + 1], list[65];
    struct kube_release seen;
    int64_t due_ms, guard_until_ms, rest_until_ms;
    char trouble[400];
    struct kube_fact fact; /* what events are about */
};

struct kube {
    struct runtime rt;
    struct arena *arena;
    struct kube_place place;
    char mark[32]; /* of the place: kube_place_mark() */
    const struct clock *clock;
    char *identity;
    struct kube_client *client;
    pthread_t thread;
    pthread_mutex_t lock;
    int change; /* eventfd */
    bool ending;
    struct kube_facts facts;
    struct watch watches[KUBE_KIND_COUNT];
    struct job *jobs;
    struct kube_lease lease;
    struct kube_events *events;
    struct kube_own own;
    char trouble[400];
};

/* Something may have changed for observe(). */
void kube_changed(struct kube *k);
/* Notes a lasting trouble of talking to the API; "" when it is over. */
void kube_trouble(struct kube *k, const char *message);

/* watch.c: makes the requests that are due; returns the time of the next. */
int64_t kube_watches_run(struct kube *k, int64_t now_ms);
bool kube_watches_synced(const struct kube *k);
void kube_watches_free(struct kube *k);

/* leader.c */
int64_t kube_leader_run(struct kube *k, int64_t now_ms);
void kube_leader_release(struct kube *k);

/* jobs.c */
int64_t kube_jobs_run(struct kube *k, int64_t now_ms); /* returns the time of the next that waits */
struct job *kube_job_find(const struct kube *k, const char *name);
void kube_job_free(struct job *j);

/* recorder.c */
void kube_recorder_run(struct kube *k, int64_t now_ms);
void kube_say(struct kube *k, const char *about, bool warning, const char *reason, const char *note);

/* own.c */
int64_t kube_own_run(struct kube *k, int64_t now_ms); /* returns the time of the next look */
const struct kube_fact *kube_own_fact(struct kube *k);

/* observe.c */
int kube_observe(struct kube *k, struct runtime_status_list *ret, struct err *err);
/* The digest of the workload that is in effect, "" if none. */
void kube_effective_digest(const struct kube *k, const struct kube_fact *set, char ret[65]);
