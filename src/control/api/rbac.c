/* System and custom roles. */
#include "control/api/rbac.h"

#include "control/api/handlers.h"
#include "control/identity/roles.h"

#define ROLES_MAX 256 /* custom ones of an organization */

static void name_owner(const struct api_request *q, json_t *object, const char *field)
{
    json_object_set_new(object, field, json_string(arena_printf(q->arena, "organization/%s", q->who.organization)));
}

/* What a system role allows, written as a policy: it holds on everything the organization has. */
static json_t *system_policies(struct api_request *q, const struct role_definition *role)
{
    json_t *permissions = json_array();
    for (size_t i = 0; i < roles_permissions_count; i++)
        if (roles_definition_allows(role, roles_permissions[i]))
            json_array_append_new(permissions, json_string(roles_permissions[i]));
    if (!json_array_size(permissions)) {
        json_decref(permissions);
        return json_array();
    }
    return json_pack("[{s:s,s:s,s:o,s:[s,s]}]", "id", arena_printf(q->arena, "%s-1", role->id), "allowDeny", "ALLOW",
                     "permissions", permissions, "resources",
                     arena_printf(q->arena, "organization/%s", q->who.organization), "instance/*");
}

/* Takes over `policies`. */
static int view(struct api_request *q, const char *id, const char *name, bool custom, json_t *policies, json_t **ret,
                struct err *err)
{
    autojson json_t *mine = policies, *actors = NULL;
    json_t *one;
    size_t i;
    int r = rbac_actors(q, id, &actors, err);
    if (r < 0)
        return r;
    json_array_foreach(mine, i, one)
    {
        json_object_set_new(one, "roleId", json_string(id));
        name_owner(q, one, "tenantId");
    }
    *ret = json_pack("{s:s,s:s,s:s,s:O,s:O}", "id", id, "name", name, "type", custom ? "custom" : "system", "actors",
                     actors, "policies", mine);
    name_owner(q, *ret, "tenantId");
    name_owner(q, *ret, "ownerId");
    return 0;
}

/* Columns: id, name, policies, created_at, updated_at. */
static int view_row(struct api_request *q, struct store_rows *rows, json_t **ret, struct err *err)
{
    int r = view(q, store_column_text(rows, 0), store_column_text(rows, 1), true, api_column_json(rows, 2), ret, err);
    if (r == 0) {
        json_object_set_new(*ret, "createdAt", api_time(store_column_int(rows, 3)));
        json_object_set_new(*ret, "updatedAt", api_time(store_column_int(rows, 4)));
    }
    return r;
}

/* System roles are as old as the organization. */
static int view_system(struct api_request *q, const struct role_definition *role, json_t **ret, struct err *err)
{
    int64_t since = 0;
    int r = api_number(q, "SELECT created_at FROM organization WHERE id = $1",
                       STORE_ARGS(store_text(q->who.organization)), &since, err);
    if (r == 0)
        r = view(q, role->id, role->name, false, system_policies(q, role), ret, err);
    if (r == 0) {
        json_object_set_new(*ret, "createdAt", api_time(since));
        json_object_set_new(*ret, "updatedAt", api_time(since));
    }
    return r;
}

static int load(struct api_request *q, const char *id, json_t **ret, struct err *err)
{
    autorows struct store_rows *rows = NULL;
    const struct role_definition *role = roles_by_id(id);
    if (role)
        return view_system(q, role, ret, err);
    int r = store_query(q->store,
                        "SELECT id, name, policies, created_at, updated_at FROM custom_role WHERE id = $1 AND "
                        "organization_id = $2",
                        STORE_ARGS(store_text(id), store_text(q->who.organization)), &rows, err);
    if (r == 0)
        r = store_next(rows, err);
    if (r <= 0)
        return r < 0 ? r : api_missing(q, "role");
    return view_row(q, rows, ret, err);
}

int rbac_list(struct api_request *q, struct err *err)
{
    autorows struct store_rows *rows = NULL;
    json_t *one;
    int r = 0;
    q->result = json_array();
    for (size_t i = 0; r == 0 && i < roles_system_count; i++)
        if ((r = view_system(q, &roles_system[i], &one, err)) == 0)
            json_array_append_new(q->result, one);
    if (r == 0)
        r = store_query(q->store,
                        "SELECT id, name, policies, created_at, updated_at FROM custom_role WHERE organization_id = $1 "
                        "ORDER BY created_at, id",
                        STORE_ARGS(store_text(q->who.organization)), &rows, err);
    while (r == 0 && (r = store_next(rows, err)) == 1)
        if ((r = view_row(q, rows, &one, err)) == 0)
            json_array_append_new(q->result, one);
    return r;
}

int rbac_get(struct api_request *q, struct err *err)
{
    return load(q, q->match.path[1], &q->result, err);
}

static int check_name(struct api_request *q, const char *name, const char *except, struct err *err)
{
    int64_t n = 0;
    for (size_t i = 0; i < roles_system_count; i++)
        if (!strcasecmp(roles_system[i].name, name))
            return api_refuse(q, 400, "name: a system role has this name");
    int r = api_number(q, "SELECT count(*) FROM custom_role WHERE organization_id = $1 AND name = $2 AND id <> $3",
                       STORE_ARGS(store_text(q->who.organization), store_text(name), store_text(except)), &n, err);
    return r == 0 && n ? api_refuse(q, 400, "name: there is a role with this name already") : r;
}

static int check_policy(struct api_request *q, size_t nth, const json_t *policy)
{
    const json_t *one;
    size_t i;
    json_array_foreach(json_object_get(policy, "permissions"), i, one)
    {
        if (!roles_permission_known(json_string_value(one)))
            return api_refuse(q, 400, "policies[%zu].permissions[%zu]: there is no such permission", nth, i);
    }
    json_array_foreach(json_object_get(policy, "resources"), i, one)
    {
        const char *slash = strchr(json_string_value(one), '/'); /* the contract has checked the form */
        if (*json_string_value(one) == 'o' && strcmp(slash, "/*") && strcmp(slash + 1, q->who.organization))
            return api_refuse(q, 400, "policies[%zu].resources[%zu]: there is no such organization", nth, i);
    }
    return 0;
}

/* What to store of the policies in the body. */
static int wanted_policies(struct api_request *q, char **ret)
{
    autojson json_t *out = json_array();
    json_t *one;
    size_t i;
    json_array_foreach(api_body(q, "policies"), i, one)
    {
        char id[UUID_SIZE];
        int r = check_policy(q, i, one);
        if (r < 0)
            return r;
        uuid_new(id);
        json_t *policy = json_pack("{s:s}", "id", id);
        json_object_update(policy, one);
        json_array_append_new(out, policy);
    }
    *ret = js_text(out);
    return 0;
}

static bool lists(const json_t *texts, const json_t *wanted)
{
    const json_t *one;
    size_t i;
    json_array_foreach(texts, i, one)
    {
        if (json_equal(one, wanted))
            return true;
    }
    return false;
}

/* Makes the role's actors those of `wanted`. */
static int set_actors(struct api_request *q, const char *role, const json_t *wanted, struct err *err)
{
    autojson json_t *before = NULL;
    const json_t *one;
    size_t i;
    int r = rbac_actors(q, role, &before, err);
    if (r < 0)
        return r;
    json_array_foreach(before, i, one)
    {
        if (r == 0 && !lists(wanted, one))
            r = rbac_assign(q, json_string_value(one), role, false, err);
    }
    json_array_foreach(wanted, i, one)
    {
        if (r == 0)
            r = rbac_assign(q, json_string_value(one), role, true, err);
    }
    return r < 0 ? r : rbac_check_admin_left(q, err);
}

static int role_activity(struct api_request *q, const char *type, const char *name, struct err *err)
{
    return api_activity(q, type, NULL, NULL, arena_printf(q->arena, "role %s", name), err);
}

int rbac_create(struct api_request *q, struct err *err)
{
    char id[UUID_SIZE];
    const char *name = api_body_text(q, "name");
    autofree char *policies = NULL;
    int64_t n = 0;
    int r = check_name(q, name, "", err);
    if (r == 0)
        r = api_number(q, "SELECT count(*) FROM custom_role WHERE organization_id = $1",
                       STORE_ARGS(store_text(q->who.organization)), &n, err);
    if (r == 0 && n >= ROLES_MAX)
        r = api_refuse(q, 400, "the organization has %d custom roles already; delete one first", ROLES_MAX);
    if (r == 0)
        r = wanted_policies(q, &policies);
    if (r < 0)
        return r;
    uuid_new(id);
    r = store_exec(q->store,
                   "INSERT INTO custom_role (id, organization_id, name, policies, created_at, updated_at) VALUES "
                   "($1, $2, $3, $4, $5, $5)",
                   STORE_ARGS(store_text(id), store_text(q->who.organization), store_text(name), store_text(policies),
                              store_int(q->now)),
                   NULL, err);
    if (r == 0)
        r = role_activity(q, "role_create", name, err);
    if (r == 0)
        r = set_actors(q, id, api_body(q, "actors"), err);
    return r < 0 ? r : load(q, id, &q->result, err);
}

static int change_custom(struct api_request *q, const char *id, const json_t *before, struct err *err)
{
    const char *name = api_body_text(q, "name");
    autofree char *policies = NULL;
    int r = name ? check_name(q, name, id, err) : 0;
    if (r == 0 && api_body(q, "policies"))
        r = wanted_policies(q, &policies);
    if (r < 0)
        return r;
    if (!name)
        name = json_string_value(json_object_get(before, "name"));
    r = store_exec(q->store,
                   "UPDATE custom_role SET name = $2, policies = coalesce($3, policies), updated_at = $4 WHERE id = $1",
                   STORE_ARGS(store_text(id), store_text(name), store_text(policies), store_int(q->now)), NULL, err);
    return r < 0 ? r : role_activity(q, "role_update", name, err);
}

int rbac_update(struct api_request *q, struct err *err)
{
    autojson json_t *before = NULL;
    const char *id = q->match.path[1];
    int r = load(q, id, &before, err);
    if (r < 0)
        return r;
    if (api_body(q, "name") || api_body(q, "policies"))
        r = roles_by_id(id) ? api_refuse(q, 400, "%s: of a system role only the actors can be changed",
                                         api_body(q, "name") ? "name" : "policies")
                            : change_custom(q, id, before, err);
    if (r == 0 && api_body(q, "actors"))
        r = set_actors(q, id, api_body(q, "actors"), err);
    return r < 0 ? r : load(q, id, &q->result, err);
}

static bool denies(const json_t *role)
{
    const json_t *one;
    size_t i;
    json_array_foreach(json_object_get(role, "policies"), i, one)
    {
        if (!strcmp(json_string_value(json_object_get(one, "allowDeny")), "DENY"))
            return true;
    }
    return false;
}

int rbac_delete(struct api_request *q, struct err *err)
{
    autojson json_t *role = NULL, *nobody = json_array();
    const char *id = q->match.path[1];
    int r = load(q, id, &role, err);
    if (r < 0)
        return r;
    if (roles_by_id(id))
        return api_refuse(q, 400, "roleId: a system role cannot be deleted");
    if (denies(role) && json_array_size(json_object_get(role, "actors")))
        return api_refuse(q, 400,
                          "roleId: the role denies things to its actors, who would be allowed more without it; "
                          "take it from them first");
    r = set_actors(q, id, nobody, err);
    if (r == 0)
        r = store_exec(q->store, "DELETE FROM custom_role WHERE id = $1", STORE_ARGS(store_text(id)), NULL, err);
    return r < 0 ? r : role_activity(q, "role_delete", json_string_value(json_object_get(role, "name")), err);
}
