/* Who has which role. */
#include "control/api/rbac.h"

#include "control/identity/access.h"
#include "control/identity/roles.h"

#define USER "user/"
#define KEY "apiKey/"

int rbac_names(struct api_request *q, json_t **ret, struct err *err)
{
    autorows struct store_rows *rows = NULL;
    autojson json_t *names = json_object();
    int r = store_query(q->store, "SELECT id, name FROM custom_role WHERE organization_id = $1",
                        STORE_ARGS(store_text(q->who.organization)), &rows, err);
    while (r == 0 && (r = store_next(rows, err)) == 1) {
        json_object_set_new(names, store_column_text(rows, 0), json_string(store_column_text(rows, 1)));
        r = 0;
    }
    if (r == 0)
        *ret = TAKE_PTR(names);
    return r;
}

json_t *rbac_assigned(const json_t *ids, const json_t *names)
{
    json_t *out = json_array(), *one;
    size_t i;
    json_array_foreach(ids, i, one)
    {
        const char *id = json_string_value(one);
        const struct role_definition *role = roles_by_id(id);
        const char *name = role ? role->name : json_string_value(json_object_get(names, id));
        if (name)
            json_array_append_new(out, json_pack("{s:s,s:s,s:s}", "roleId", id, "roleName", name, "roleType",
                                                 role ? "system" : "custom"));
    }
    return out;
}

int rbac_check_ids(struct api_request *q, const char *field, const json_t *ids, struct err *err)
{
    autojson json_t *names = NULL;
    const json_t *one;
    size_t i;
    int r = rbac_names(q, &names, err);
    if (r < 0)
        return r;
    json_array_foreach(ids, i, one)
    {
        const char *id = json_string_value(one);
        if (!roles_by_id(id) && !json_object_get(names, id))
            return api_refuse(q, 400, "%s[%zu]: there is no such role", field, i);
    }
    return 0;
}

bool rbac_may(const struct api_request *q, const char *permission)
{
    return access_allows(q->who.roles, q->who.policies, permission,
                         arena_printf(q->arena, "organization/%s", q->who.organization));
}

static bool has(const json_t *ids, const char *id)
{
    const json_t *one;
    size_t i;
    json_array_foreach(ids, i, one)
    {
        if (!strcmp(json_string_value(one), id))
            return true;
    }
    return false;
}

static bool within(const json_t *a, const json_t *b)
{
    const json_t *one;
    size_t i;
    json_array_foreach(a, i, one)
    {
        if (!has(b, json_string_value(one)))
            return false;
    }
    return true;
}

json_t *rbac_old_form(const json_t *ids)
{
    return json_string(has(ids, ROLE_ADMIN_ID) ? "admin" : "developer");
}

int rbac_wanted(struct api_request *q, json_t **ret, struct err *err)
{
    json_t *ids = api_body(q, "assignedRoleIds");
    const char *old = api_body_text(q, "role");
    autojson json_t *out = NULL;
    *ret = NULL;
    if (!ids && !old)
        return 0;
    out = ids ? json_incref(ids) : json_pack("[s]", roles_by_legacy(old)->id); /* the contract knows only these two */
    int r = rbac_check_ids(q, "assignedRoleIds", out, err);
    if (r == 0)
        *ret = TAKE_PTR(out);
    return r;
}

int rbac_check_handing_on(struct api_request *q, const char *field, const json_t *ids)
{
    if (rbac_may(q, "control-plane:organization:manage") || (within(ids, q->who.roles) && within(q->who.roles, ids)))
        return 0;
    return api_refuse(q, 403,
                      "%s: without control-plane:organization:manage a key can be given only the very roles of the key "
                      "that asks",
                      field);
}

int rbac_check_admin_left(struct api_request *q, struct err *err)
{
    int64_t n = 0;
    int r = api_number(q, "SELECT count(*) FROM member WHERE organization_id = $1 AND roles LIKE $2",
                       STORE_ARGS(store_text(q->who.organization), store_text("%\"" ROLE_ADMIN_ID "\"%")), &n, err);
    if (r == 0 && !n)
        return api_refuse(q, 400, "the organization must keep a member with the role Admin; give it to another first");
    return r;
}

static int actor_activity(struct api_request *q, bool user, const char *id, struct err *err)
{
    autojson json_t *details = user ? json_pack("{s:s}", "targetUserId", id)
                                    : json_pack("{s:s,s:s}", "targetKeyId", id, "keyUpdateType", "roles-v2-changed");
    autofree char *text = js_text(details);
    return api_activity(q, user ? "organization_member_update_roles" : "openapi_key_update", NULL, NULL, text, err);
}

static int roles_of(struct api_request *q, bool user, const char *id, json_t **ret, struct err *err)
{
    autorows struct store_rows *rows = NULL;
    int r = store_query(q->store,
                        user ? "SELECT roles FROM member WHERE user_id = $1 AND organization_id = $2"
                             : "SELECT roles FROM api_key WHERE id = $1 AND organization_id = $2",
                        STORE_ARGS(store_text(id), store_text(q->who.organization)), &rows, err);
    if (r == 0)
        r = store_next(rows, err);
    if (r == 1)
        *ret = api_column_json(rows, 0);
    return r;
}

int rbac_assign(struct api_request *q, const char *actor, const char *role, bool give, struct err *err)
{
    bool user = !strncmp(actor, USER, strlen(USER));
    const char *id = actor + (user ? strlen(USER) : strlen(KEY));
    autojson json_t *before = NULL, *after = json_array();
    autofree char *text = NULL;
    json_t *one;
    size_t i;
    int r = roles_of(q, user, id, &before, err);
    if (r < 0)
        return r;
    if (r == 0)
        return api_refuse(q, 400, "actors: there is no %s %s", user ? "member" : "API key", id);
    if (has(before, role) == give)
        return 0;
    json_array_foreach(before, i, one)
    {
        if (strcmp(json_string_value(one), role))
            json_array_append(after, one);
    }
    if (give)
        json_array_append_new(after, json_string(role));
    if (json_array_size(after) > RBAC_ASSIGNED_MAX)
        return api_refuse(q, 400, "actors: %s has %d roles already", actor, RBAC_ASSIGNED_MAX);
    text = js_text(after);
    r = store_exec(q->store,
                   user ? "UPDATE member SET roles = $3 WHERE user_id = $1 AND organization_id = $2"
                        : "UPDATE api_key SET roles = $3 WHERE id = $1 AND organization_id = $2",
                   STORE_ARGS(store_text(id), store_text(q->who.organization), store_text(text)), NULL, err);
    return r < 0 ? r : actor_activity(q, user, id, err);
}

int rbac_actors(struct api_request *q, const char *role, json_t **ret, struct err *err)
{
    autorows struct store_rows *rows = NULL;
    autojson json_t *out = json_array();
    int r =
        store_query(q->store,
                    "SELECT '" USER "' || user_id FROM member WHERE organization_id = $1 AND roles LIKE $2 "
                    "UNION ALL SELECT '" KEY "' || id FROM api_key WHERE organization_id = $1 AND roles LIKE $2 "
                    "ORDER BY 1",
                    STORE_ARGS(store_text(q->who.organization), store_text(arena_printf(q->arena, "%%\"%s\"%%", role))),
                    &rows, err);
    while (r == 0 && (r = store_next(rows, err)) == 1) {
        json_array_append_new(out, json_string(store_column_text(rows, 0)));
        r = 0;
    }
    if (r == 0)
        *ret = TAKE_PTR(out);
    return r;
}
