/* API keys. */
#include "base/buf.h"
#include "control/api/handlers.h"
#include "control/api/rbac.h"
#include "control/identity/roles.h"

#define COLUMNS "id, name, state, roles, suffix, created_at, expire_at, used_at, ip_access_list"

static json_t *legacy_roles(const json_t *ids)
{
    json_t *out = json_array(), *id;
    size_t i;
    json_array_foreach(ids, i, id)
    {
        const struct role_definition *role = roles_by_id(json_string_value(id));
        if (role && role->legacy)
            json_array_append_new(out, json_string(role->legacy));
    }
    return out;
}

static json_t *view(struct store_rows *rows, const json_t *names)
{
    autojson json_t *ids = api_column_json(rows, 3);
    json_t *v = json_pack("{s:s,s:s,s:s,s:o,s:o,s:s,s:o,s:o,s:o}", "id", store_column_text(rows, 0), "name",
                          store_column_text(rows, 1), "state", store_column_text(rows, 2), "roles", legacy_roles(ids),
                          "assignedRoles", rbac_assigned(ids, names), "keySuffix", store_column_text(rows, 4),
                          "createdAt", api_time(store_column_int(rows, 5)), "expireAt", api_time_or_null(rows, 6),
                          "ipAccessList", api_column_json(rows, 8));
    if (!store_column_is_null(rows, 7))
        json_object_set_new(v, "usedAt", api_time(store_column_int(rows, 7)));
    return v;
}

static int load(struct api_request *q, const char *id, json_t **ret, struct err *err)
{
    autorows struct store_rows *rows = NULL;
    autojson json_t *names = NULL;
    int r = rbac_names(q, &names, err);
    if (r == 0)
        r = store_query(q->store, "SELECT " COLUMNS " FROM api_key WHERE id = $1 AND organization_id = $2",
                        STORE_ARGS(store_text(id), store_text(q->who.organization)), &rows, err);
    if (r == 0)
        r = store_next(rows, err);
    if (r <= 0)
        return r < 0 ? r : api_missing(q, "API key");
    *ret = view(rows, names);
    return 0;
}

int key_list(struct api_request *q, struct err *err)
{
    autorows struct store_rows *rows = NULL;
    autojson json_t *names = NULL;
    q->result = json_array();
    int r = rbac_names(q, &names, err);
    if (r == 0)
        r = store_query(q->store, "SELECT " COLUMNS " FROM api_key WHERE organization_id = $1 ORDER BY created_at, id",
                        STORE_ARGS(store_text(q->who.organization)), &rows, err);
    while (r == 0 && (r = store_next(rows, err)) == 1) {
        json_array_append_new(q->result, view(rows, names));
        r = 0;
    }
    return r;
}

int key_get(struct api_request *q, struct err *err)
{
    return load(q, q->match.path[1], &q->result, err);
}

/* The role ids that the body asks for, in either form; NULL in *ret if it names neither. An empty assignedRoleIds is a
 * key that may nothing by itself, as the official command line makes them for query endpoints. */
static int wanted_roles(struct api_request *q, json_t **ret, struct err *err)
{
    json_t *ids = api_body(q, "assignedRoleIds"), *legacy = api_body(q, "roles"), *one;
    const char *field = ids ? "assignedRoleIds" : "roles";
    autojson json_t *out = json_array();
    size_t i;
    *ret = NULL;
    if (legacy && !json_array_size(legacy))
        return api_refuse(q, 400, "roles: must have at least one role");
    if (!ids && !legacy)
        return 0;
    json_array_foreach(legacy, i, one)
    {
        const struct role_definition *role = roles_by_legacy(json_string_value(one));
        if (!role)
            return api_refuse(q, 400, "roles[%zu]: there is no such role", i);
        json_array_append_new(out, json_string(role->id));
    }
    if (ids)
        json_array_extend(out, ids);
    int r = rbac_check_ids(q, field, out, err);
    if (r == 0)
        r = rbac_check_handing_on(q, field, out);
    if (r == 0)
        *ret = TAKE_PTR(out);
    return r;
}

/* base64 of 32 bytes to hex; the contract has checked the alphabet and the length. */
static int hash_to_hex(struct api_request *q, const char *field, const char *text, char ret[65])
{
    autofree unsigned char *raw = NULL;
    size_t len;
    if (base64_decode(text, SHA256_SIZE, &raw, &len) < 0 || len != SHA256_SIZE)
        return api_refuse(q, 400, "%s: must be a SHA-256 hash (32 bytes) in base64", field);
    hex_encode(raw, SHA256_SIZE, ret);
    return 0;
}

static int wanted_hashes(struct api_request *q, struct api_key *key, char id_hash[65], char secret_hash[65],
                         const char **suffix)
{
    const json_t *data = api_body(q, "hashData");
    if (data) {
        int r = hash_to_hex(q, "hashData.keyIdHash", json_string_value(json_object_get(data, "keyIdHash")), id_hash);
        if (r == 0)
            r = hash_to_hex(q, "hashData.keySecretHash", json_string_value(json_object_get(data, "keySecretHash")),
                            secret_hash);
        *suffix = json_string_value(json_object_get(data, "keyIdSuffix"));
        return r;
    }
    sha256_hex(key->key_id, API_KEY_ID_LENGTH, id_hash);
    sha256_hex(key->secret, API_KEY_SECRET_LENGTH, secret_hash);
    *suffix = key->key_id + API_KEY_ID_LENGTH - 4;
    return 0;
}

/* 0 in *ret for never. */
static int wanted_expiry(struct api_request *q, int64_t *ret)
{
    const char *text = api_body_text(q, "expireAt");
    *ret = 0;
    if (!text)
        return 0;
    if (clock_iso_parse(text, ret) < 0 || *ret <= q->now)
        return api_refuse(q, 400, "expireAt: must be in the future");
    return 0;
}

static int insert(struct api_request *q, struct api_key *key, const json_t *roles, const json_t *list, struct err *err)
{
    char id_hash[65], secret_hash[65];
    struct api_key_row row = {
        .id = key->id,
        .organization = q->who.organization,
        .name = api_body_text(q, "name"),
        .key_id_hash = id_hash,
        .secret_hash = secret_hash,
        .enabled = !api_body(q, "state") || !strcmp(api_body_text(q, "state"), "enabled"),
        .roles = roles,
        .ip_access_list = list,
        .created_at = q->now,
    };
    int r = wanted_expiry(q, &row.expire_at);
    if (r == 0)
        r = wanted_hashes(q, key, id_hash, secret_hash, &row.suffix);
    if (r == 0)
        r = api_key_insert(q->store, &row, err);
    if (r == -EEXIST)
        return api_refuse(q, 400, "hashData.keyIdHash: there is a key with this key id already");
    return r;
}

static int key_activity(struct api_request *q, const char *type, const char *id, const char *update, struct err *err)
{
    autojson json_t *details = json_pack("{s:s}", "targetKeyId", id);
    if (update)
        json_object_set_new(details, "keyUpdateType", json_string(update));
    autofree char *text = js_text(details);
    return api_activity(q, type, NULL, NULL, text, err);
}

int key_create(struct api_request *q, struct err *err)
{
    struct api_key key;
    autojson json_t *roles = NULL, *anywhere = json_pack("[{s:s,s:s},{s:s,s:s}]", "source", "0.0.0.0/0", "description",
                                                         "anywhere", "source", "::/0", "description", "anywhere");
    json_t *list = api_body(q, "ipAccessList"), *view_of_key = NULL;
    int r = wanted_roles(q, &roles, err);
    if (r == 0 && !roles)
        r = api_refuse(q, 400, "assignedRoleIds: is required; an empty list makes a key without roles");
    if (r < 0)
        return r;
    api_key_generate(&key);
    r = insert(q, &key, roles, list ? list : anywhere, err);
    if (r == 0)
        r = key_activity(q, "key_create", key.id, "created", err);
    if (r == 0)
        r = load(q, key.id, &view_of_key, err);
    if (r == 0) {
        q->result_stored = json_pack("{s:O}", "key", view_of_key);
        q->result = json_pack("{s:o}", "key", view_of_key);
        if (!api_body(q, "hashData")) {
            json_object_set_new(q->result, "keyId", json_string(key.key_id));
            json_object_set_new(q->result, "keySecret", json_string(key.secret));
        }
    }
    mem_wipe(&key, sizeof(key));
    return r;
}

/* One field of the row; the activity only if it really changed. */
static int change(struct api_request *q, const char *sql, struct store_value value, const char *update, struct err *err)
{
    int64_t changed = 0;
    int r = store_exec(q->store, sql, STORE_ARGS(store_text(q->match.path[1]), value), &changed, err);
    return r < 0 || !changed ? r : key_activity(q, "openapi_key_update", q->match.path[1], update, err);
}

int key_update(struct api_request *q, struct err *err)
{
    autojson json_t *before = NULL, *roles = NULL;
    autofree char *roles_text = NULL, *list_text = NULL;
    int64_t expiry = 0;
    int r = load(q, q->match.path[1], &before, err);
    if (r == 0)
        r = wanted_roles(q, &roles, err);
    if (r == 0)
        r = wanted_expiry(q, &expiry);
    if (r < 0)
        return r;
    if (api_body(q, "name"))
        r = change(q, "UPDATE api_key SET name = $2 WHERE id = $1 AND name <> $2", store_text(api_body_text(q, "name")),
                   "name-changed", err);
    if (r == 0 && api_body(q, "state"))
        r = change(q, "UPDATE api_key SET state = $2 WHERE id = $1 AND state <> $2",
                   store_text(api_body_text(q, "state")), "state-changed", err);
    if (r == 0 && api_body(q, "expireAt"))
        r = change(q, "UPDATE api_key SET expire_at = $2 WHERE id = $1 AND expire_at IS DISTINCT FROM $2",
                   expiry ? store_int(expiry) : store_null(), "date-changed", err);
    if (r == 0 && roles) {
        roles_text = js_text(roles);
        r = change(q, "UPDATE api_key SET roles = $2 WHERE id = $1 AND roles <> $2", store_text(roles_text),
                   "roles-v2-changed", err);
    }
    if (r == 0 && api_body(q, "ipAccessList")) {
        list_text = js_text(api_body(q, "ipAccessList"));
        r = change(q, "UPDATE api_key SET ip_access_list = $2 WHERE id = $1 AND ip_access_list <> $2",
                   store_text(list_text), "ip-access-list-changed", err);
    }
    return r < 0 ? r : load(q, q->match.path[1], &q->result, err);
}

int key_delete(struct api_request *q, struct err *err)
{
    int64_t changed = 0;
    if (!strcmp(q->match.path[1], q->who.key))
        return api_refuse(q, 400, "keyId: the key that signs this request cannot be deleted with it; use another key");
    int r = store_exec(q->store, "DELETE FROM api_key WHERE id = $1 AND organization_id = $2",
                       STORE_ARGS(store_text(q->match.path[1]), store_text(q->who.organization)), &changed, err);
    if (r == 0 && !changed)
        return api_missing(q, "API key");
    return r < 0 ? r : key_activity(q, "key_delete", q->match.path[1], "deleted", err);
}
