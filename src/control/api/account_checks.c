/* Looks into accounts: asked for here, made by the controller, which alone has cloud credentials. */
#include "control/api/handlers.h"

#define CHECKS_KEPT 20

static int load(struct api_request *q, const char *id, struct err *err)
{
    autorows struct store_rows *rows = NULL;
    int r = store_query(
        q->store,
        "SELECT k.id, k.kind, k.state, k.results, k.error, k.created_at, k.region FROM account_check k JOIN "
        "account a ON a.id = k.account_id WHERE k.id = $1 AND k.account_id = $2 AND a.organization_id = $3",
        STORE_ARGS(store_text(id), store_text(q->match.path[1]), store_text(q->who.organization)), &rows, err);
    if (r == 0)
        r = store_next(rows, err);
    if (r <= 0)
        return r < 0 ? r : api_missing(q, "check");
    q->result = json_pack("{s:s,s:s,s:s,s:s,s:o,s:s,s:o}", "id", store_column_text(rows, 0), "kind",
                          store_column_text(rows, 1), "state", store_column_text(rows, 2), "regionId",
                          store_column_text(rows, 6), "results", api_column_json(rows, 3), "error",
                          store_column_text(rows, 4), "createdAt", api_time(store_column_int(rows, 5)));
    return 0;
}

int account_check_get(struct api_request *q, struct err *err)
{
    return load(q, q->match.path[2], err);
}

int account_check_create(struct api_request *q, struct err *err)
{
    char id[UUID_SIZE];
    const char *account = q->match.path[1], *cidr = api_body_text(q, "vpcCidrRange"),
               *region = api_body_text(q, "regionId");
    int64_t there = 0, waiting = 0;
    int r = api_number(q, "SELECT count(*) FROM account WHERE id = $1 AND organization_id = $2 AND provider = 'aws'",
                       STORE_ARGS(store_text(account), store_text(q->who.organization)), &there, err);
    if (r == 0 && !there)
        return api_missing(q, "account");
    if (r == 0)
        r = api_number(q, "SELECT count(*) FROM account_check WHERE account_id = $1 AND state = 'waiting'",
                       STORE_ARGS(store_text(account)), &waiting, err);
    if (r == 0 && waiting >= 4)
        return api_refuse(q, 400, "accountId: %lld checks of this account wait already", (long long)waiting);
    /* The last ones are enough to read. */
    if (r == 0)
        r = store_exec(
            q->store,
            "DELETE FROM account_check WHERE account_id = $1 AND state <> 'waiting' AND id NOT IN (SELECT id FROM "
            "account_check WHERE account_id = $1 ORDER BY created_at DESC LIMIT $2)",
            STORE_ARGS(store_text(account), store_int(CHECKS_KEPT)), NULL, err);
    uuid_new(id);
    if (r == 0)
        r = store_exec(
            q->store,
            "INSERT INTO account_check (id, account_id, kind, region, cidr, state, results, error, created_at) "
            "VALUES ($1, $2, $3, $4, $5, 'waiting', '[]', '', $6)",
            STORE_ARGS(store_text(id), store_text(account), store_text(api_body_text(q, "kind")),
                       store_text(region ? region : "us-east-1"), store_text(cidr ? cidr : "10.0.0.0/16"),
                       store_int(q->now)),
            NULL, err);
    if (r == 0)
        r = api_activity(q, "account_check", NULL, NULL, api_body_text(q, "kind"), err);
    return r < 0 ? r : load(q, id, err);
}
