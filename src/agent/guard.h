/* `ownhouse-agent guard`: the program of the Job that watches a release of the agent in a cluster
 * (runtime/kubernetes/guard.h). */
#pragma once

#include "base/util.h"

struct guard_arguments {
    const char *workload, *trial, *image, *before, *patience;
    const char *kubeconfig; /* NULL: the pod's own service account */
};

/* Runs to its end; the exit status: 0 done, 1 failed, 2 wrong usage. */
int guard_main(const struct guard_arguments *a);
