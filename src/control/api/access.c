/* Engineers' access: requests on their way to the customer, where an open grant is reached, and its revocation. Whether
 * anybody is let in, the data plane decides by the customer's signatures. */
#include "control/api/handlers.h"

#include "base/fs.h"
#include "base/mem.h"
#include "consent/request.h"
#include "control/signer.h"
#include "net/tls.h"

#define COLUMNS "id, infrastructure_id, device_key, created_at, not_after, revoked_at, revoked_by, ended_at, request"

static const char *state_of(struct store_rows *rows, int64_t now)
{
    if (!store_column_is_null(rows, 7))
        return "ended";
    if (!store_column_is_null(rows, 5))
        return "revoked";
    return store_column_int(rows, 4) <= now ? "expired" : "requested";
}

static json_t *view(const struct api_request *q, struct store_rows *rows)
{
    const char *by = store_column_text(rows, 6);
    return json_pack("{s:s,s:s,s:s,s:s,s:o,s:o,s:o,s:o,s:o,s:o}", "id", store_column_text(rows, 0), "infrastructureId",
                     store_column_text(rows, 1), "deviceKey", store_column_text(rows, 2), "state",
                     state_of(rows, q->now), "createdAt", api_time(store_column_int(rows, 3)), "notAfter",
                     api_time(store_column_int(rows, 4)), "revokedAt", api_time_or_null(rows, 5), "revokedBy",
                     by ? json_string(by) : json_null(), "endedAt", api_time_or_null(rows, 7), "request",
                     api_column_json(rows, 8));
}

static int views(struct api_request *q, const char *id, json_t **ret, struct err *err)
{
    autorows struct store_rows *rows = NULL;
    autojson json_t *list = json_array();
    const char *infrastructure = api_query(q, "infrastructureId");
    int r = store_query(
        q->store,
        "SELECT " COLUMNS " FROM access_grant WHERE organization_id = $1 AND ($2 = '' OR id = $2) AND "
        "($3 = '' OR infrastructure_id = $3) ORDER BY created_at DESC, id LIMIT 100",
        STORE_ARGS(store_text(q->who.organization), store_text(id), store_text(infrastructure ? infrastructure : "")),
        &rows, err);
    while (r == 0 && (r = store_next(rows, err)) == 1) {
        json_array_append_new(list, view(q, rows));
        r = 0;
    }
    if (r == 0)
        *ret = TAKE_PTR(list);
    return r;
}

int access_list(struct api_request *q, struct err *err)
{
    return views(q, "", &q->result, err);
}

static int one(struct api_request *q, const char *id, json_t **ret, struct err *err)
{
    autojson json_t *list = NULL;
    int r = views(q, id, &list, err);
    if (r < 0)
        return r;
    if (!json_array_size(list))
        return api_missing(q, "grant");
    *ret = json_incref(json_array_get(list, 0));
    return 0;
}

/* Where a device's connection goes. What it believes of the gate behind it comes from the customer, not from here. */
static int relay(struct api_request *q, json_t **ret, struct err *err)
{
    static const char *const files[] = {"keys/link-ca.pem", "keys/link-ca-spare.pem"};
    const struct control_config *c = &q->api->role->config;
    autofree char *address = mem_printf("%s:%lld", c->server_name, (long long)c->listen_port);
    autojson json_t *pins = json_array();
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        autofree char *path = control_path(c, files[i]);
        autocert struct tls_cert *cert = NULL;
        struct tls_cert_info info;
        char pin[TLS_PIN_SIZE];
        if (tls_cert_load(path, &cert, NULL) < 0)
            continue;
        tls_cert_info(cert, &info);
        tls_pin_text(info.spki, pin);
        json_array_append_new(pins, json_string(pin));
    }
    if (!json_array_size(pins))
        return api_refuse(q, 503, "the control plane has not made its link keys yet; try again in a few seconds");
    *ret = json_pack("{s:s,s:s,s:O}", "address", address, "serverName", SIGNER_SERVER_NAME, "pins", pins);
    return 0;
}

int access_get(struct api_request *q, struct err *err)
{
    json_t *way = NULL, *approvals = NULL, *preapproval = NULL;
    int r = one(q, q->match.path[1], &q->result, err);
    if (r == 0)
        r = relay(q, &way, err);
    if (r < 0)
        return r;
    const char *named = json_string_value(json_object_get(json_object_get(q->result, "request"), "preapproval"));
    json_object_set_new(q->result, "relay", way);
    r = request_approvals(q, q->match.path[1], &approvals, err);
    if (r == 0)
        json_object_set_new(q->result, "approvals", approvals);
    if (r == 0)
        r = request_preapproval(q, named ? named : "", &preapproval, err);
    if (r == 0)
        json_object_set_new(q->result, "preapproval", preapproval);
    return r;
}

static int check_request(struct api_request *q, const struct consent_request *c)
{
    if (!c->has_device_key || c->minutes < 1)
        return api_refuse(q, 400, "request: must have deviceKey and minutes");
    for (size_t i = 0; i < c->n_operations; i++)
        if (strncmp(c->operations[i]->name, "access.", 7))
            return api_refuse(q, 400, "request.operations: %s is no access", c->operations[i]->name);
    if (c->not_after_ms <= q->now)
        return api_refuse(q, 400, "request.notAfter: must be in the future");
    return 0;
}

static int insert(struct api_request *q, const struct consent_request *c, struct err *err)
{
    char key[2 * ED25519_PUBLIC_SIZE + 1];
    autofree char *text = js_text(c->json);
    /* The request's own end, and as long as it may last when it is opened in its last moment. */
    int64_t not_after = c->not_after_ms + (int64_t)c->minutes * 60000;
    hex_encode(c->device_key, sizeof(c->device_key), key);
    int r = store_exec(q->store,
                       "INSERT INTO access_grant (id, organization_id, infrastructure_id, device_key, created_at, "
                       "not_after, request) VALUES ($1, $2, $3, $4, $5, $6, $7)",
                       STORE_ARGS(store_text(c->id), store_text(q->who.organization), store_text(c->infrastructure),
                                  store_text(key), store_int(q->now), store_int(not_after), store_text(text)),
                       NULL, err);
    if (r == -EEXIST)
        return api_refuse(q, 409, "request.id: there is a request with this number already");
    if (r == 0)
        r = request_keep(q, c, text, err);
    if (r == 0)
        r = api_activity(q, "access_request", NULL, c->infrastructure, c->id, err);
    return r;
}

int access_create(struct api_request *q, struct err *err)
{
    autorequest struct consent_request c = {0};
    struct err why = ERR_INIT;
    int64_t there = 0;
    if (request_from_json(api_body(q, "request"), &c, &why) < 0)
        return api_refuse(q, 400, "request: %.300s", why.message);
    int r = check_request(q, &c);
    if (r == 0)
        r = api_number(q,
                       "SELECT count(*) FROM infrastructure WHERE id = $1 AND organization_id = $2 AND state <> "
                       "'infra-terminated'",
                       STORE_ARGS(store_text(c.infrastructure), store_text(q->who.organization)), &there, err);
    if (r == 0 && !there)
        return api_missing(q, "infrastructure");
    if (r == 0)
        r = insert(q, &c, err);
    return r < 0 ? r : one(q, c.id, &q->result, err);
}

/* Ends the relay's part at once and tells the gate until it says that nothing is left. */
int access_revoke(struct api_request *q, struct err *err)
{
    const char *id = q->match.path[1];
    autofree char *by = mem_printf("%s %s", *q->who.key ? "API key" : "user", q->who.name);
    autojson json_t *before = NULL;
    int64_t changed = 0;
    int r = one(q, id, &before, err);
    if (r == 0)
        r = store_exec(q->store,
                       "UPDATE access_grant SET revoked_at = $2, revoked_by = $3 WHERE id = $1 AND revoked_at IS NULL "
                       "AND ended_at IS NULL",
                       STORE_ARGS(store_text(id), store_int(q->now), store_text(by)), &changed, err);
    if (r == 0 && changed)
        r = api_activity(q, "access_revoke", NULL, json_string_value(json_object_get(before, "infrastructureId")), id,
                         err);
    return r < 0 ? r : one(q, id, &q->result, err);
}
