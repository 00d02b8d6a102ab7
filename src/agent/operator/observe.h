/* The `observed` message (api/link.md, "Observed") from what the rules found. Pure. */
#pragma once

#include "agent/operator/reconcile.h"

#define OBSERVE_MAX_BYTES (MIB(1) - KIB(64)) /* below the link's limit for the whole frame */

struct observe_input {
    int64_t desired_version;     /* last accepted, 0 = none */
    const char *program_version; /* of the agent */
    const char *isolation;
    const char *ca_pem;
    const struct reconcile_plan *plan;                           /* NULL: no document yet */
    const struct runtime_status_list *observed;                  /* NULL: not known */
    json_t *backups;                                             /* NULL: none are made here */
    json_t *dns, *certificate;                                   /* named.h; NULL: left out */
    json_t *release;                                             /* of the agent itself; NULL: left out */
    const char *(*version_of)(const char *workload, void *data); /* engine's version, "" = not known */
    /* {metric: value} of a workload, borrowed, NULL = none; NULL here: no metrics at all */
    json_t *(*metrics_of)(const char *workload, void *data);
    void *data;
};

/* New reference. Over OBSERVE_MAX_BYTES the metrics are left out first, then the list of workloads, then the texts of
 * services. */
json_t *observe_message(const struct observe_input *in);
/* The same as JSON text; free(). */
char *observe_text(const struct observe_input *in);
