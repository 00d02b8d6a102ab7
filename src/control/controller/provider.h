/* From an infrastructure's rows to what the plan engine needs: graph, resource types and provider. */
#pragma once

#include "base/mem.h"
#include "cloud/aws/aws.h"
#include "cloud/local/local.h"
#include "control/config.h"
#include "plan/plan.h"
#include "store/store.h"

/* provider: the cloud that makes it; what it is shown as may be another (infrastructure.provider). */
struct infrastructure_row {
    const char *id, *organization_id, *account_name, *account_config, *name, *provider, *cidr, *domain, *state, *want,
        *region, *zones;
    bool delete_data;
};

/* -ENOENT if there is none. Strings are in the arena. */
OH_MUST_CHECK int infrastructure_read(struct store *s, const char *id, struct arena *arena,
                                      struct infrastructure_row *ret, struct err *err);

struct provider {
    struct local_env local; /* only with has_local */
    bool has_local;         /* the data plane runs on this machine, whatever cloud the rest is in */
    bool remote;            /* looking costs calls of a cloud: look seldom */
    struct aws_env aws;     /* of the provider aws */
    json_t *account, *infrastructure, *cloud_config;
    struct aws_settings settings;
    const struct clock *clock;
    const atomic_bool *cancel;
    void *cloud; /* plan_context.provider */
    const struct plan_type *const *types;
    struct plan_graph *graph;
    const char *infrastructure_id;
    char *database; /* where mint_token opens its own connection: it runs on the engine's worker threads */
};

/* Fills everything from the row; strings live in the arena. */
OH_MUST_CHECK int provider_open(const struct control_config *c, const struct infrastructure_row *row,
                                struct arena *arena, const struct clock *clock, const atomic_bool *cancel,
                                struct provider *ret, struct err *err);
/* Takes up the roles that change things, for one approved plan: their sessions are named by its digest and may do no
 * more than its resources need. Nothing for the local cloud. */
OH_MUST_CHECK int provider_arm(struct provider *p, const char *digest, const json_t *document, struct err *err);
void provider_close(struct provider *p);

/* --- provider_aws.c: for provider.c only --- */

OH_MUST_CHECK int provider_aws_open(const struct control_config *c, const struct infrastructure_row *row,
                                    struct arena *arena, struct provider *p, struct err *err);
bool provider_aws_data_plane_here(const struct provider *p);
void provider_aws_close(struct provider *p);
/* A client for one phase's role of an account ({"roles", "externalId"} complete), with the controller's own endpoints
 * and keys. `cloud_config` is what aws_config holds. -EACCES: the account says that this role is detached (null). */
OH_MUST_CHECK int provider_aws_client(const json_t *account, const json_t *cloud_config, enum aws_phase phase,
                                      const char *region, const char *session, const char *policy,
                                      const struct clock *clock, const atomic_bool *cancel, struct aws_client **ret,
                                      struct err *err);
/* A client that acts as the controller itself, without any role. */
struct aws_client *provider_aws_own_client(const json_t *cloud_config, const char *region, const struct clock *clock,
                                           const atomic_bool *cancel);
/* The controller's aws_config, an empty object without one; new reference. */
OH_MUST_CHECK int provider_aws_config(const struct control_config *c, json_t **ret, struct err *err);
