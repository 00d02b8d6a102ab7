/* Looks into an account for somebody who asked through the API. */
#include "control/controller/account_check.h"

#include "cloud/aws/inspect.h"
#include "control/controller/provider.h"

struct looking {
    const struct pass_context *ctx;
    json_t *account, *cloud_config;
    const char *region;
};

static int client(void *data, enum aws_phase phase, const char *external_id, struct aws_client **ret, struct err *err)
{
    struct looking *l = data;
    autojson json_t *account = json_copy(l->account);
    if (external_id)
        json_object_set_new(account, "externalId", json_string(external_id));
    else
        json_object_del(account, "externalId");
    return provider_aws_client(account, l->cloud_config, phase, l->region, "ownhouse-verify", NULL, l->ctx->clock,
                               l->ctx->cancel, ret, err);
}

static int finish(const struct pass_context *ctx, const char *id, const char *state, const json_t *results,
                  const char *error, struct err *err)
{
    autofree char *text = results ? js_text(results) : mem_strdup("[]");
    return store_exec(ctx->store,
                      "UPDATE account_check SET state = $2, results = $3, error = $4, finished_at = $5 WHERE id = $1",
                      STORE_ARGS(store_text(id), store_text(state), store_text(text), store_text(error),
                                 store_int(clock_wall_ms(ctx->clock))),
                      NULL, err);
}

static int look(const struct pass_context *ctx, struct store_rows *rows, json_t **ret, struct err *err)
{
    struct looking l = {.ctx = ctx, .region = store_column_text(rows, 1)};
    autojson json_t *config = NULL;
    const char *text = store_column_text(rows, 4), *kind = store_column_text(rows, 0);
    int r = strcmp(store_column_text(rows, 5), "aws")
                ? err_set(err, -ENOTSUP, "only accounts on AWS can be looked into")
                : js_parse(text, strlen(text), MIB(1), &config, err);
    if (r == 0)
        r = provider_aws_config(ctx->config, &l.cloud_config, err);
    if (r < 0)
        return r;
    l.account = aws_account_complete(store_column_text(rows, 3), config);
    struct aws_inspect i = {.account = l.account,
                            .name = store_column_text(rows, 3),
                            .region = l.region,
                            .cidr = store_column_text(rows, 2),
                            .client = client,
                            .data = &l};
    if (!strcmp(kind, "controller")) {
        autoaws struct aws_client *c = provider_aws_own_client(l.cloud_config, l.region, ctx->clock, ctx->cancel);
        *ret = aws_whoami(c);
    } else {
        *ret = !strcmp(kind, "verify") ? aws_verify(&i) : aws_preflight(&i);
    }
    json_decref(l.account);
    json_decref(l.cloud_config);
    return 0;
}

int account_check_run(const struct pass_context *ctx, const char *id, struct err *err)
{
    autorows struct store_rows *rows = NULL;
    autojson json_t *results = NULL;
    struct err why = ERR_INIT;
    int r =
        store_query(ctx->store,
                    "SELECT k.kind, k.region, k.cidr, a.name, a.config, a.provider FROM account_check k JOIN account a "
                    "ON a.id = k.account_id WHERE k.id = $1 AND k.state = 'waiting'",
                    STORE_ARGS(store_text(id)), &rows, err);
    if (r == 0)
        r = store_next(rows, err);
    if (r <= 0)
        return r;
    r = look(ctx, rows, &results, &why);
    return finish(ctx, id, r < 0 ? "failed" : "done", results, r < 0 ? why.message : "", err);
}
