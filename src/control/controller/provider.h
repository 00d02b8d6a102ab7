/* From an infrastructure's rows to what the plan engine needs: graph, resource types and provider. */
#pragma once

#include "base/mem.h"
#include "cloud/local/local.h"
#include "control/config.h"
#include "plan/plan.h"
#include "store/store.h"

/* provider: the cloud that makes it; what it is shown as may be another (infrastructure.provider). */
struct infrastructure_row {
    const char *id, *organization_id, *account_name, *account_config, *name, *provider, *cidr, *domain, *state, *want;
    bool delete_data;
};

/* -ENOENT if there is none. Strings are in the arena. */
OH_MUST_CHECK int infrastructure_read(struct store *s, const char *id, struct arena *arena,
                                      struct infrastructure_row *ret, struct err *err);

struct provider {
    struct local_env local;
    const struct plan_type *const *types;
    struct plan_graph *graph;
    char *database; /* where mint_token opens its own connection: it runs on the engine's worker threads */
};

/* Fills everything from the row; strings live in the arena. */
OH_MUST_CHECK int provider_open(const struct control_config *c, const struct infrastructure_row *row,
                                struct arena *arena, struct provider *ret, struct err *err);
void provider_close(struct provider *p);
