/* Connected accounts. */
#include "base/buf.h"
#include "control/api/handlers.h"

#define COLUMNS "id, name, provider, config, created_at"

static json_t *view(struct store_rows *rows)
{
    return json_pack("{s:s,s:s,s:s,s:o,s:o}", "id", store_column_text(rows, 0), "name", store_column_text(rows, 1),
                     "provider", store_column_text(rows, 2), "config", api_column_json(rows, 3), "createdAt",
                     api_time(store_column_int(rows, 4)));
}

static int load(struct api_request *q, const char *id, json_t **ret, struct err *err)
{
    autorows struct store_rows *rows = NULL;
    int r = store_query(q->store, "SELECT " COLUMNS " FROM account WHERE id = $1 AND organization_id = $2",
                        STORE_ARGS(store_text(id), store_text(q->who.organization)), &rows, err);
    if (r == 0)
        r = store_next(rows, err);
    if (r <= 0)
        return r < 0 ? r : api_missing(q, "account");
    *ret = view(rows);
    return 0;
}

int account_list(struct api_request *q, struct err *err)
{
    autorows struct store_rows *rows = NULL;
    q->result = json_array();
    int r = store_query(q->store, "SELECT " COLUMNS " FROM account WHERE organization_id = $1 ORDER BY created_at, id",
                        STORE_ARGS(store_text(q->who.organization)), &rows, err);
    while (r == 0 && (r = store_next(rows, err)) == 1) {
        json_array_append_new(q->result, view(rows));
        r = 0;
    }
    return r;
}

int account_get(struct api_request *q, struct err *err)
{
    return load(q, q->match.path[1], &q->result, err);
}

/* The ports of this machine that an account takes, as ranges. */
struct taken {
    int64_t first, last;
    const char *field;
};

static int64_t port_of(const json_t *config, const char *name, int64_t fallback)
{
    const json_t *v = json_object_get(config, name);
    return v ? json_integer_value(v) : fallback;
}

static void ports_of(const json_t *config, struct taken ret[3])
{
    int64_t https = port_of(config, "httpsPort", 8444), native = port_of(config, "nativePort", 9444);
    int64_t base = port_of(config, "servicePortBase", 8500), count = port_of(config, "servicePortCount", 100);
    ret[0] = (struct taken){https, https, "httpsPort"};
    ret[1] = (struct taken){native, native, "nativePort"};
    ret[2] = (struct taken){base + 1, base + count, "servicePortBase"};
}

static bool overlap(const struct taken *a, const struct taken *b)
{
    return a->first <= b->last && b->first <= a->last;
}

static int check_own_ports(struct api_request *q, const struct taken ports[3])
{
    const struct control_config *config = &q->api->role->config;
    const struct taken control = {config->listen_port, config->listen_port, ""};
    if (ports[2].last > 65535)
        return api_refuse(q, 400, "config.servicePortBase: with servicePortCount it goes beyond port 65535");
    for (int i = 0; i < 3; i++) {
        if (overlap(&ports[i], &control))
            return api_refuse(q, 400, "config.%s: port %lld is the control plane's own", ports[i].field,
                              (long long)control.first);
        for (int j = 0; j < i; j++)
            if (overlap(&ports[i], &ports[j]))
                return api_refuse(q, 400, "config.%s: overlaps with %s", ports[i].field, ports[j].field);
    }
    return 0;
}

/* Accounts on this machine share its ports, whatever organization they belong to. */
static int check_ports(struct api_request *q, const json_t *config, struct err *err)
{
    autorows struct store_rows *rows = NULL;
    struct taken ours[3], theirs[3];
    ports_of(config, ours);
    int r = check_own_ports(q, ours);
    if (r == 0)
        r = store_query(
            q->store, "SELECT config FROM account WHERE provider = 'local' OR config LIKE '%\"dataPlane\":\"local\"%'",
            STORE_NO_ARGS, &rows, err);
    while (r == 0 && (r = store_next(rows, err)) == 1) {
        autojson json_t *other = api_column_json(rows, 0);
        ports_of(other, theirs);
        r = 0;
        for (int i = 0; r == 0 && i < 3; i++)
            for (int j = 0; r == 0 && j < 3; j++)
                if (overlap(&ours[i], &theirs[j]))
                    r = api_refuse(q, 400, "config.%s: port %lld is taken by another account on this machine",
                                   ours[i].field, (long long)MAX(ours[i].first, theirs[j].first));
    }
    return r;
}

/* The external id is ours to make, never the customer's to choose: only then does it prove that a role was made for us.
 */
static int check_aws(struct api_request *q, json_t *config)
{
    unsigned char raw[16];
    char hex[33];
    if (!json_object_get(config, "accountId"))
        return api_refuse(q, 400, "config.accountId: must be set for an account on AWS");
    if (json_object_get(config, "externalId"))
        return api_refuse(q, 400, "config.externalId: is made by the control plane; leave it out");
    random_bytes(raw, sizeof(raw));
    hex_encode(raw, sizeof(raw), hex);
    json_object_set_new(config, "externalId", json_string(hex));
    return 0;
}

static int check_config(struct api_request *q, json_t *config, struct err *err)
{
    const char *where = json_string_value(json_object_get(config, "dataPlane"));
    bool aws = !strcmp(api_body_text(q, "provider"), "aws");
    int r = !aws || (where && !strcmp(where, "local")) ? check_ports(q, config, err) : 0;
    if (r == 0 && !aws && json_object_get(config, "accountId"))
        return api_refuse(q, 400, "config.accountId: is for accounts on AWS");
    return r < 0 || !aws ? r : check_aws(q, config);
}

int account_create(struct api_request *q, struct err *err)
{
    char id[UUID_SIZE];
    autojson json_t *config = api_body(q, "config") ? json_deep_copy(api_body(q, "config")) : json_object();
    int r = check_config(q, config, err);
    if (r < 0)
        return r;
    autofree char *text = js_text(config);
    uuid_new(id);
    r = store_exec(q->store,
                   "INSERT INTO account (id, organization_id, name, provider, config, created_at) "
                   "VALUES ($1, $2, $3, $4, $5, $6)",
                   STORE_ARGS(store_text(id), store_text(q->who.organization), store_text(api_body_text(q, "name")),
                              store_text(api_body_text(q, "provider")), store_text(text), store_int(q->now)),
                   NULL, err);
    if (r == -EEXIST)
        return api_refuse(q, 400, "name: there is an account with this name already");
    if (r == 0)
        r = api_activity(q, "account_create", NULL, NULL, api_body_text(q, "name"), err);
    return r < 0 ? r : load(q, id, &q->result, err);
}

/* The rows of infrastructures that are gone go with the account. */
static int delete_infrastructures(struct api_request *q, const char *account, struct err *err)
{
    static const char *const statements[] = {
        "DELETE FROM account_check WHERE account_id = $1",
        ("DELETE FROM infrastructure_lease WHERE infrastructure_id IN "
         "(SELECT id FROM infrastructure WHERE account_id = $1)"),
        "DELETE FROM drift WHERE infrastructure_id IN (SELECT id FROM infrastructure WHERE account_id = $1)",
        "DELETE FROM journal WHERE infrastructure_id IN (SELECT id FROM infrastructure WHERE account_id = $1)",
        "DELETE FROM plan WHERE infrastructure_id IN (SELECT id FROM infrastructure WHERE account_id = $1)",
        "DELETE FROM resource WHERE infrastructure_id IN (SELECT id FROM infrastructure WHERE account_id = $1)",
        "DELETE FROM enrolment_token WHERE infrastructure_id IN (SELECT id FROM infrastructure WHERE account_id = $1)",
        "DELETE FROM consent_approval WHERE request_id IN (SELECT id FROM consent_request WHERE infrastructure_id IN "
        "(SELECT id FROM infrastructure WHERE account_id = $1))",
        "DELETE FROM consent_request WHERE infrastructure_id IN (SELECT id FROM infrastructure WHERE account_id = $1)",
        "DELETE FROM consent_preapproval WHERE infrastructure_id IN (SELECT id FROM infrastructure WHERE account_id = "
        "$1)",
        "DELETE FROM consent WHERE infrastructure_id IN (SELECT id FROM infrastructure WHERE account_id = $1)",
        "DELETE FROM access_grant WHERE infrastructure_id IN (SELECT id FROM infrastructure WHERE account_id = $1)",
        "DELETE FROM agent WHERE infrastructure_id IN (SELECT id FROM infrastructure WHERE account_id = $1)",
        "DELETE FROM service WHERE infrastructure_id IN (SELECT id FROM infrastructure WHERE account_id = $1)",
        "DELETE FROM desired_document WHERE infrastructure_id IN (SELECT id FROM infrastructure WHERE account_id = $1)",
        "DELETE FROM observed WHERE infrastructure_id IN (SELECT id FROM infrastructure WHERE account_id = $1)",
        "DELETE FROM infrastructure WHERE account_id = $1",
        "DELETE FROM account WHERE id = $1",
    };
    for (size_t i = 0; i < ARRAY_SIZE(statements); i++) {
        int r = store_exec(q->store, statements[i], STORE_ARGS(store_text(account)), NULL, err);
        if (r < 0)
            return r;
    }
    return 0;
}

int account_delete(struct api_request *q, struct err *err)
{
    autojson json_t *account = NULL;
    const char *id = q->match.path[1];
    int64_t n = 0;
    int r = load(q, id, &account, err);
    if (r == 0)
        r = api_number(q, "SELECT count(*) FROM infrastructure WHERE account_id = $1 AND state <> 'infra-terminated'",
                       STORE_ARGS(store_text(id)), &n, err);
    if (r < 0)
        return r;
    if (n)
        return api_refuse(q, 400, "accountId: the account has %lld infrastructures; remove them first", (long long)n);
    r = delete_infrastructures(q, id, err);
    return r < 0 ? r
                 : api_activity(q, "account_delete", NULL, NULL, json_string_value(json_object_get(account, "name")),
                                err);
}
