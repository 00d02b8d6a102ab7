/* Invitations: made, shown and withdrawn here; acceptance.c takes them up. */
#include "base/keys.h"
#include "control/api/handlers.h"
#include "control/api/rbac.h"
#include "control/identity/password.h"
#include "control/outward.h"

#define TOKEN_LENGTH 43
#define LIFE_MS (7 * 24 * 3600 * 1000LL)
#define INVITATIONS_MAX 500 /* open ones of an organization */
#define QUERY \
    "SELECT id, email, roles, created_at, expires_at FROM invitation WHERE organization_id = $1 AND expires_at > $2 "
#define NOTICE "Give this link to the invited person: it is shown only in this answer, and no e-mail is sent."

static json_t *view(struct store_rows *rows, const json_t *names)
{
    autojson json_t *ids = api_column_json(rows, 2);
    return json_pack("{s:s,s:s,s:o,s:o,s:o,s:o}", "id", store_column_text(rows, 0), "email", store_column_text(rows, 1),
                     "role", rbac_old_form(ids), "createdAt", api_time(store_column_int(rows, 3)), "expireAt",
                     api_time(store_column_int(rows, 4)), "assignedRoles", rbac_assigned(ids, names));
}

static int load(struct api_request *q, const char *id, json_t **ret, struct err *err)
{
    autorows struct store_rows *rows = NULL;
    autojson json_t *names = NULL;
    int r = rbac_names(q, &names, err);
    if (r == 0)
        r = store_query(q->store, QUERY "AND id = $3",
                        STORE_ARGS(store_text(q->who.organization), store_int(q->now), store_text(id)), &rows, err);
    if (r == 0)
        r = store_next(rows, err);
    if (r <= 0)
        return r < 0 ? r : api_missing(q, "invitation");
    *ret = view(rows, names);
    return 0;
}

int invitation_list(struct api_request *q, struct err *err)
{
    autorows struct store_rows *rows = NULL;
    autojson json_t *names = NULL;
    q->result = json_array();
    int r = rbac_names(q, &names, err);
    if (r == 0)
        r = store_query(q->store, QUERY "ORDER BY created_at, id",
                        STORE_ARGS(store_text(q->who.organization), store_int(q->now)), &rows, err);
    while (r == 0 && (r = store_next(rows, err)) == 1) {
        json_array_append_new(q->result, view(rows, names));
        r = 0;
    }
    return r;
}

int invitation_get(struct api_request *q, struct err *err)
{
    return load(q, q->match.path[1], &q->result, err);
}

static const char *lower(struct arena *arena, const char *text)
{
    char *copy = arena_strdup(arena, text);
    for (char *p = copy; *p; p++)
        if (*p >= 'A' && *p <= 'Z')
            *p = (char)(*p - 'A' + 'a');
    return copy;
}

/* Also sweeps what has expired, so that its address can be invited again. */
static int check_room(struct api_request *q, const char *email, struct err *err)
{
    int64_t members = 0, open = 0;
    int r = store_exec(q->store, "DELETE FROM invitation WHERE organization_id = $1 AND expires_at <= $2",
                       STORE_ARGS(store_text(q->who.organization), store_int(q->now)), NULL, err);
    if (r == 0)
        r = api_number(q,
                       "SELECT count(*) FROM member m JOIN user u ON u.id = m.user_id WHERE m.organization_id = $1 "
                       "AND u.email = $2",
                       STORE_ARGS(store_text(q->who.organization), store_text(email)), &members, err);
    if (r == 0)
        r = api_number(q, "SELECT count(*) FROM invitation WHERE organization_id = $1",
                       STORE_ARGS(store_text(q->who.organization)), &open, err);
    if (r == 0 && members)
        return api_refuse(q, 400, "email: is a member already");
    if (r == 0 && open >= INVITATIONS_MAX)
        return api_refuse(q, 400, "the organization has %d open invitations; delete one first", INVITATIONS_MAX);
    return r;
}

static int insert(struct api_request *q, const char *id, const char *email, const json_t *roles, const char *token,
                  struct err *err)
{
    char hash[65];
    autofree char *text = js_text(roles);
    sha256_hex(token, TOKEN_LENGTH, hash);
    int r = store_exec(q->store,
                       "INSERT INTO invitation (id, organization_id, email, roles, token_hash, created_at, expires_at) "
                       "VALUES ($1, $2, $3, $4, $5, $6, $7)",
                       STORE_ARGS(store_text(id), store_text(q->who.organization), store_text(email), store_text(text),
                                  store_text(hash), store_int(q->now), store_int(q->now + LIFE_MS)),
                       NULL, err);
    return r == -EEXIST ? api_refuse(q, 400, "email: is invited already; delete that invitation first") : r;
}

/* The token stands behind #, which browsers do not send, so that it gets into no log. */
static json_t *with_link(const struct api_request *q, const json_t *invitation, const char *token)
{
    autofree char *path = mem_printf("/invitation#%s", token), *link = control_url(&q->api->role->config, path);
    json_t *v = json_copy((json_t *)(uintptr_t)invitation);
    json_object_set_new(v, "ownhouse", json_pack("{s:s,s:s}", "link", link, "notice", NOTICE));
    mem_wipe(link, strlen(link));
    mem_wipe(path, strlen(path));
    return v;
}

static int mail_link(struct api_request *q, const char *email, const char *link, struct err *err)
{
    autorows struct store_rows *rows = NULL;
    int r = store_query(q->store, "SELECT name FROM organization WHERE id = $1",
                        STORE_ARGS(store_text(q->who.organization)), &rows, err);
    if (r == 0)
        r = store_next(rows, err);
    if (r <= 0)
        return r < 0 ? r : -ENOENT;
    const char *name = store_column_text(rows, 0);
    autofree char *subject = mem_printf("Invitation to %s", name);
    autofree char *text = mem_printf("%s invites you to %s on OwnHouse.\n\n"
                                     "Open this link within seven days to accept:\n%s\n\n"
                                     "Whoever has the link can use it; do not pass it on. If you do not know what this "
                                     "is about, do nothing.\n",
                                     *q->who.user ? q->who.name : "Somebody", name, link);
    r = outward_mail(q->api->role->outward, email, subject, text, err);
    mem_wipe(text, strlen(text));
    return r;
}

/* Sent once the invitation stands. Where no mail can be sent, the inviter hands the link on. */
int invitation_create_after(struct api_request *q, struct err *err)
{
    const char *url = q->api->role->config.smtp_url;
    json_t *own = json_object_get(q->result, "ownhouse");
    const char *email = json_string_value(json_object_get(q->result, "email"));
    struct err why = ERR_INIT;
    if (!own || !url || !*url) /* no mail server, or a repetition, which has no link any more */
        return 0;
    if (mail_link(q, email, json_string_value(json_object_get(own, "link")), &why) == 0) {
        json_object_del(own, "link");
        json_object_set_new(own, "notice", json_string(arena_printf(q->arena, "The link was sent to %s.", email)));
        return 0;
    }
    json_object_set_new(own, "notice",
                        json_string(arena_printf(q->arena,
                                                 "No e-mail was sent (%s). Give this link to the invited "
                                                 "person: it is shown only in this answer.",
                                                 why.message)));
    return 0;
}

int invitation_create(struct api_request *q, struct err *err)
{
    char id[UUID_SIZE], token[TOKEN_LENGTH + 1];
    const char *email = lower(q->arena, api_body_text(q, "email"));
    autojson json_t *roles = NULL;
    int r = rbac_wanted(q, &roles, err);
    if (r == 0 && !roles)
        r = api_refuse(q, 400, "assignedRoleIds: is required; an empty list invites without roles");
    if (r == 0)
        r = check_room(q, email, err);
    if (r < 0)
        return r;
    uuid_new(id);
    token_generate(token, TOKEN_LENGTH);
    r = insert(q, id, email, roles, token, err);
    if (r == 0)
        r = api_activity(q, "organization_invite_create", NULL, NULL, email, err);
    if (r == 0)
        r = load(q, id, &q->result_stored, err);
    if (r == 0)
        q->result = with_link(q, q->result_stored, token);
    mem_wipe(token, sizeof(token));
    return r;
}

int invitation_delete(struct api_request *q, struct err *err)
{
    autojson json_t *invitation = NULL;
    int r = load(q, q->match.path[1], &invitation, err);
    if (r == 0)
        r = store_exec(q->store, "DELETE FROM invitation WHERE id = $1", STORE_ARGS(store_text(q->match.path[1])), NULL,
                       err);
    return r < 0 ? r
                 : api_activity(q, "organization_invite_delete", NULL, NULL,
                                json_string_value(json_object_get(invitation, "email")), err);
}
