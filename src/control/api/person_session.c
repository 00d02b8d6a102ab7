/* Sessions as answers and cookies. */
#include "control/api/admission.h"
#include "control/api/person.h"
#include "control/api/rbac.h"
#include "control/identity/access.h"
#include "control/identity/password.h"
#include "control/identity/roles.h"
#include "control/identity/session.h"

#define DEVICE_TOKEN_LENGTH 43
#define DEVICE_LIFE_MS (180 * 24 * 3600 * 1000LL)
#define DEVICES_MAX 20 /* of one user; a further one forgets the stillest */

static void set_cookie(struct api_request *q, const char *name, const char *value, int64_t life_ms)
{
    api_header(q, "Set-Cookie",
               arena_printf(q->arena, "%s=%s; Path=/; Max-Age=%lld; Secure; HttpOnly; SameSite=Strict", name, value,
                            (long long)life_ms / 1000));
}

static void use_token(struct api_request *q, const char *token)
{
    q->session_token = arena_strdup(q->arena, token);
    set_cookie(q, SESSION_COOKIE, token, SESSION_LIFE_MS);
}

/* The token is told anew only to a browser that does not send one we made. */
static int remember_device(struct api_request *q, const char *user, struct err *err)
{
    char token[DEVICE_TOKEN_LENGTH + 1] = "", hash[65];
    int64_t known = 0;
    int r = store_exec(q->store, "DELETE FROM device WHERE used_at < $1",
                       STORE_ARGS(store_int(q->now - DEVICE_LIFE_MS)), NULL, err);
    if (q->device_token)
        sha256_hex(q->device_token, strlen(q->device_token), hash);
    if (r == 0 && q->device_token)
        r = api_number(q, "SELECT count(*) FROM device WHERE token_hash = $1", STORE_ARGS(store_text(hash)), &known,
                       err);
    if (r < 0)
        return r;
    if (!known) {
        token_generate(token, DEVICE_TOKEN_LENGTH);
        sha256_hex(token, DEVICE_TOKEN_LENGTH, hash);
    }
    set_cookie(q, "__Host-ownhouse-device", known ? q->device_token : token, DEVICE_LIFE_MS);
    r = store_exec(q->store,
                   "INSERT INTO device (token_hash, user_id, used_at) VALUES ($1, $2, $3) ON CONFLICT (user_id, "
                   "token_hash) DO UPDATE SET used_at = excluded.used_at",
                   STORE_ARGS(store_text(hash), store_text(user), store_int(q->now)), NULL, err);
    return r < 0 ? r
                 : store_exec(q->store,
                              "DELETE FROM device WHERE user_id = $1 AND token_hash NOT IN (SELECT token_hash FROM "
                              "device WHERE user_id = $1 ORDER BY used_at DESC, token_hash LIMIT $2)",
                              STORE_ARGS(store_text(user), store_int(DEVICES_MAX)), NULL, err);
}

int person_sign_in(struct api_request *q, const struct person *p, const char *method, bool second_factor,
                   struct err *err)
{
    char id[UUID_SIZE], token[SESSION_TOKEN_LENGTH + 1];
    const struct session_origin origin = {method, second_factor, q->address, q->user_agent};
    int r = q->session_token ? session_end_token(q->store, q->session_token, err) : 0;
    if (r == 0)
        r = session_begin(q->store, q->now, p->id, &origin, id, token, err);
    if (r == 0)
        r = remember_device(q, p->id, err);
    if (r == 0)
        r = person_activity(q, p, "user_login", arena_printf(q->arena, "%s%s", method, second_factor ? ", code" : ""),
                            err);
    if (r < 0)
        return r;
    identity_free(&q->who);
    snprintf(q->who.user, sizeof(q->who.user), "%s", p->id);
    snprintf(q->who.session, sizeof(q->who.session), "%s", id);
    q->who.name = mem_strdup(p->email);
    use_token(q, token);
    mem_wipe(token, sizeof(token));
    return 0;
}

int person_renew(struct api_request *q, struct err *err)
{
    char token[SESSION_TOKEN_LENGTH + 1];
    int r = session_end_all(q->store, q->who.user, q->who.session, NULL, err);
    if (r == 0)
        r = session_rotate(q->store, q->who.session, token, err);
    if (r == 0)
        use_token(q, token);
    mem_wipe(token, sizeof(token));
    return r;
}

json_t *person_session_view(const struct api_request *q, struct store_rows *rows)
{
    int64_t seen = store_column_int(rows, 2), end = store_column_int(rows, 3);
    return json_pack("{s:s,s:o,s:o,s:o,s:o,s:s,s:s,s:s,s:b,s:b}", "id", store_column_text(rows, 0), "createdAt",
                     api_time(store_column_int(rows, 1)), "lastSeenAt", api_time(seen), "expireAt", api_time(end),
                     "idleExpireAt", api_time(MIN(end, seen + SESSION_IDLE_MS)), "ipAddress",
                     store_column_text(rows, 4), "userAgent", store_column_text(rows, 5), "method",
                     store_column_text(rows, 6), "secondFactor", store_column_int(rows, 7) != 0, "current",
                     !strcmp(store_column_text(rows, 0), q->who.session));
}

int person_profile(struct api_request *q, json_t **ret, struct err *err)
{
    struct person p;
    int64_t left = 0;
    int r = person_by_id(q, q->who.user, &p, err);
    if (r == 0)
        return api_missing(q, "user");
    if (r == 1)
        r = api_number(q, "SELECT count(*) FROM recovery_code WHERE user_id = $1", STORE_ARGS(store_text(p.id)), &left,
                       err);
    if (r < 0)
        return r;
    *ret = json_pack("{s:s,s:s,s:s,s:o,s:b,s:b,s:I,s:b}", "id", p.id, "email", p.email, "name", p.name, "createdAt",
                     api_time(p.created_at), "hasPassword", *p.password_hash != 0, "totpEnabled", p.totp_sealed != NULL,
                     "recoveryCodesLeft", (json_int_t)left, "oidcLinked", p.oidc_subject != NULL);
    return 0;
}

/* Allowed on the organization, or on at least one service. */
static json_t *permissions(const struct api_request *q)
{
    json_t *list = json_array();
    for (size_t i = 0; i < roles_permissions_count; i++) {
        bool of_service = !strncmp(roles_permissions[i], "control-plane:service:", 22);
        const char *resource = of_service ? NULL : arena_printf(q->arena, "organization/%s", q->who.organization);
        if (access_allows(q->who.roles, q->who.policies, roles_permissions[i], resource))
            json_array_append_new(list, json_string(roles_permissions[i]));
    }
    return list;
}

static int organization_view(struct api_request *q, const char *id, json_t *into, struct err *err)
{
    autorows struct store_rows *rows = NULL;
    autojson json_t *names = NULL;
    int r = admission_enter(q, id, err);
    if (r == 1)
        r = rbac_names(q, &names, err);
    if (r == 0)
        r = store_query(q->store, "SELECT name FROM organization WHERE id = $1", STORE_ARGS(store_text(id)), &rows,
                        err);
    if (r == 0)
        r = store_next(rows, err);
    if (r <= 0)
        return r;
    json_array_append_new(into,
                          json_pack("{s:s,s:s,s:o,s:o}", "id", id, "name", store_column_text(rows, 0), "assignedRoles",
                                    rbac_assigned(q->who.roles, names), "permissions", permissions(q)));
    return 0;
}

static int session_of(struct api_request *q, json_t **ret, struct err *err)
{
    autorows struct store_rows *rows = NULL;
    int r = store_query(q->store, "SELECT " PERSON_SESSION_COLUMNS " FROM session WHERE id = $1",
                        STORE_ARGS(store_text(q->who.session)), &rows, err);
    if (r == 0)
        r = store_next(rows, err);
    if (r <= 0)
        return r < 0 ? r : api_refuse(q, 401, "the session has ended; sign in again");
    *ret = person_session_view(q, rows);
    return 0;
}

int person_signed_in(struct api_request *q, json_t **ret, struct err *err)
{
    autojson json_t *ids = NULL, *organizations = json_array(), *session = NULL, *profile = NULL;
    char csrf[65];
    json_t *id;
    size_t i;
    int r = person_organizations(q, q->who.user, &ids, err);
    json_array_foreach(ids, i, id)
    {
        if (r == 0)
            r = organization_view(q, json_string_value(id), organizations, err);
    }
    if (r == 0)
        r = session_of(q, &session, err);
    if (r == 0)
        r = person_profile(q, &profile, err);
    if (r < 0)
        return r;
    session_csrf(q->session_token, csrf);
    *ret = json_pack("{s:s,s:O,s:O,s:O}", "csrfToken", csrf, "session", session, "profile", profile, "organizations",
                     organizations);
    return 0;
}

int person_answer(struct api_request *q, struct err *err)
{
    json_t *signed_in = NULL;
    int r = person_signed_in(q, &signed_in, err);
    if (r == 0)
        q->result = json_pack("{s:s,s:o}", "state", "signed-in", "signedIn", signed_in);
    return r;
}
