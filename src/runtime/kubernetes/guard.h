/* Watches a release of the agent that is being tried in a cluster, and takes it back (release.h). It runs as a program
 * of its own, of the image of before, with the right to read and patch that one StatefulSet and to read its pod.
 *
 * It may be ended at any step and started again: all it knows is in the StatefulSet. */
#pragma once

#include "runtime/kubernetes/access.h"

struct kube_guard {
    const char *workload;       /* the agent's StatefulSet, in the namespace of `access` */
    const char *trial;          /* 16 hex digits */
    const char *image, *before; /* tried, and put back */
    int patience_s;
    const struct clock *clock;
    /* For the log: one sentence, now and then. */
    void (*say)(bool error, const char *message, void *data);
    void *data;
};

/* Until the release is taken, rolled back or left, or there is nothing to watch: 0. `access` is taken over. A server
 * that does not answer is waited for. -EACCES: it lets us not do what we are here for. */
OH_MUST_CHECK int kube_guard_run(const struct kube_guard *g, struct kube_access *access, struct err *err);
