/* Members of the organization. */
#include "control/api/handlers.h"
#include "control/api/rbac.h"
#include "control/identity/roles.h"

#define QUERY                                                                                                 \
    "SELECT u.id, u.name, u.email, m.roles, m.joined_at FROM member m JOIN user u ON u.id = m.user_id WHERE " \
    "m.organization_id = $1 "

static json_t *view(struct store_rows *rows, const json_t *names)
{
    autojson json_t *ids = api_column_json(rows, 3);
    return json_pack("{s:s,s:s,s:s,s:o,s:o,s:o}", "userId", store_column_text(rows, 0), "name",
                     store_column_text(rows, 1), "email", store_column_text(rows, 2), "role", rbac_old_form(ids),
                     "joinedAt", api_time(store_column_int(rows, 4)), "assignedRoles", rbac_assigned(ids, names));
}

static int load(struct api_request *q, const char *id, json_t **ret, struct err *err)
{
    autorows struct store_rows *rows = NULL;
    autojson json_t *names = NULL;
    int r = rbac_names(q, &names, err);
    if (r == 0)
        r = store_query(q->store, QUERY "AND u.id = $2", STORE_ARGS(store_text(q->who.organization), store_text(id)),
                        &rows, err);
    if (r == 0)
        r = store_next(rows, err);
    if (r <= 0)
        return r < 0 ? r : api_missing(q, "member");
    *ret = view(rows, names);
    return 0;
}

int member_list(struct api_request *q, struct err *err)
{
    autorows struct store_rows *rows = NULL;
    autojson json_t *names = NULL;
    q->result = json_array();
    int r = rbac_names(q, &names, err);
    if (r == 0)
        r = store_query(q->store, QUERY "ORDER BY m.joined_at, u.id", STORE_ARGS(store_text(q->who.organization)),
                        &rows, err);
    while (r == 0 && (r = store_next(rows, err)) == 1) {
        json_array_append_new(q->result, view(rows, names));
        r = 0;
    }
    return r;
}

int member_get(struct api_request *q, struct err *err)
{
    return load(q, q->match.path[1], &q->result, err);
}

static int member_activity(struct api_request *q, const char *type, const char *id, struct err *err)
{
    return api_activity(q, type, NULL, NULL, arena_printf(q->arena, "{\"targetUserId\":\"%s\"}", id), err);
}

int member_update(struct api_request *q, struct err *err)
{
    const char *id = q->match.path[1];
    autojson json_t *before = NULL, *roles = NULL;
    autofree char *text = NULL;
    int64_t changed = 0;
    int r = load(q, id, &before, err);
    if (r == 0)
        r = rbac_wanted(q, &roles, err);
    if (r < 0)
        return r;
    if (roles) {
        text = js_text(roles);
        r = store_exec(q->store,
                       "UPDATE member SET roles = $3 WHERE organization_id = $1 AND user_id = $2 AND roles <> $3",
                       STORE_ARGS(store_text(q->who.organization), store_text(id), store_text(text)), &changed, err);
        if (r == 0 && changed)
            r = member_activity(q, "organization_member_update_roles", id, err);
        if (r == 0)
            r = rbac_check_admin_left(q, err);
    }
    return r < 0 ? r : load(q, id, &q->result, err);
}

/* Whoever is a member of nothing more keeps the row of the user: activities name it. */
int member_delete(struct api_request *q, struct err *err)
{
    const char *id = q->match.path[1];
    int64_t changed = 0;
    int r = store_exec(q->store, "DELETE FROM member WHERE organization_id = $1 AND user_id = $2",
                       STORE_ARGS(store_text(q->who.organization), store_text(id)), &changed, err);
    if (r == 0 && !changed)
        return api_missing(q, "member");
    if (r == 0)
        r = rbac_check_admin_left(q, err);
    return r < 0 ? r : member_activity(q, "organization_member_delete", id, err);
}
