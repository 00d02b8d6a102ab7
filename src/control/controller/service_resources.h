/* What services need in the cloud beside their infrastructure (cloud/aws/service.c), and who decides of it.
 *
 * It comes and goes with the services, by plans of its own ("scope": "services" in the document) that nobody has to
 * approve: they take up the operate role alone, which may make and remove just this and gives nobody any right. Where
 * the customer's own policy wants signatures on plans, it is part of the infrastructure's plans instead, which wait for
 * them. What was made once is part of the infrastructure like all else: a difference is drift, and is asked about.
 * docs/decisions/0051-services-in-aws.md. */
#pragma once

#include "control/controller/provider.h"

struct service_resources {
    struct plan_graph *graph; /* borrowed */
    struct plan_state *state; /* borrowed */
    bool apart;               /* by plans of its own */
    json_t *wanted;           /* keys of resources of services that are not gone */
    json_t *made;             /* remembered keys of resources of services -> true */
};

/* Adds to the provider's graph what all its services that are not gone need. Nothing where the cloud has no such
 * things. */
OH_MUST_CHECK int service_resources_open(struct service_resources *v, struct store *s,
                                         const struct infrastructure_row *row, struct provider *p, struct arena *arena,
                                         struct plan_state *state, int64_t now_ms, struct err *err);
void service_resources_close(struct service_resources *v);

/* Looks again what was made. Whether something is to come or go. After drift_accept. */
OH_MUST_CHECK int service_resources_pending(struct service_resources *v, bool *ret, struct err *err);
/* Takes out of the graph again what was not made yet, so that the infrastructure's plans do not speak of it. */
OH_MUST_CHECK int service_resources_drop_unmade(struct service_resources *v, struct err *err);
/* Leaves in a document either only what comes and goes with services (`own`), or all else; and in neither names that
 * point to a load balancer which the cluster has not made yet. */
void service_resources_hold(const struct service_resources *v, json_t *document, bool own);
/* Whether a document was made with `own`; service_resources_mark says so in it. */
bool service_resources_is_own(const json_t *document);
void service_resources_mark(json_t *document);
