/* From a document to its workloads, a service at a time: what all of them take with their files is never in memory at
 * once. Images are those in force (upgrades.h), restarts that were asked for are in it (restarts.h). */
#pragma once

#include "agent/operator/restarts.h"
#include "agent/operator/taken_up.h"
#include "agent/operator/upgrades.h"
#include "blueprint/blueprint.h"

struct rendering {
    const struct desired *desired;
    struct blueprint_env *env; /* its ingress_nudge is raised where the ingress would not see that it has new files */
    const struct restarts *restarts;
    struct upgrades *upgrades;
    struct taken_up *taken_up;
    int64_t wall_ms;
};

/* Everything wanted, slim (slim.h), with the digest of each as it is with its files; what is held for an upgrade window
 * is recorded. Both are the caller's. */
OH_MUST_CHECK int rendering_all(const struct rendering *g, struct workload_list *ret, char (**ret_digests)[65],
                                struct err *err);

/* With every file: the workloads of the service that this one is of, or those of the place; with the images that are
 * wished, held or not. */
OH_MUST_CHECK int rendering_for(const struct rendering *g, const struct workload *slim, struct workload_list *ret);
