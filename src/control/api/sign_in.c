/* Signing in with e-mail address and password, and the session that comes of it. */
#include "control/api/handlers.h"
#include "control/api/person.h"
#include "control/identity/password.h"
#include "control/identity/session.h"

int sign_in_before(struct api_request *q, struct err *err)
{
    struct person_check *c = arena_alloc(q->arena, sizeof(*c));
    const char *email = person_lower(q->arena, api_body_text(q, "email"));
    q->prepared = c;
    int r = person_attempt(q, email, &c->attempt, err);
    if (r == 0)
        r = person_by_email(q, email, &c->person, err);
    if (r < 0)
        return r;
    c->found = r == 1;
    /* Whoever does not exist, or has no password, costs as much as everybody else. */
    bool has = c->found && *c->person.password_hash;
    c->password = password_matches(has ? c->person.password_hash : NULL, api_body_text(q, "password"));
    return c->password ? person_check_code(q, c, err) : 0;
}

int sign_in(struct api_request *q, struct err *err)
{
    struct person_check *c = q->prepared;
    if (c->password && c->code == CODE_MISSING) {
        throttle_code_asked(q->api->throttle, &c->attempt);
        q->result = json_pack("{s:s}", "state", "code-needed");
        return 0;
    }
    int r = person_confirm(q, c, err);
    if (r <= 0)
        return r < 0 ? r : person_fail(q, c, err);
    throttle_succeeded(q->api->throttle, &c->attempt);
    r = person_sign_in(q, &c->person, "password", c->code != CODE_NOT_NEEDED, err);
    return r < 0 ? r : person_answer(q, err);
}

int session_get(struct api_request *q, struct err *err)
{
    return person_signed_in(q, &q->result, err);
}

static void drop_cookie(struct api_request *q)
{
    api_header(q, "Set-Cookie", SESSION_COOKIE "=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Strict");
}

static int own_activity(struct api_request *q, const char *type, const char *details, struct err *err)
{
    struct person p;
    int r = person_by_id(q, q->who.user, &p, err);
    return r <= 0 ? r : person_activity(q, &p, type, details, err);
}

int session_delete(struct api_request *q, struct err *err)
{
    int r = session_end(q->store, q->who.user, q->who.session, err);
    if (r >= 0)
        r = own_activity(q, "user_logout", NULL, err);
    if (r == 0)
        drop_cookie(q);
    return r;
}

int session_list(struct api_request *q, struct err *err)
{
    autorows struct store_rows *rows = NULL;
    q->result = json_array();
    int r = store_query(q->store,
                        "SELECT " PERSON_SESSION_COLUMNS " FROM session WHERE user_id = $1 AND " SESSION_IN_FORCE
                        " ORDER BY created_at DESC, id",
                        STORE_ARGS(store_text(q->who.user), store_int(q->now)), &rows, err);
    while (r == 0 && (r = store_next(rows, err)) == 1) {
        json_array_append_new(q->result, person_session_view(q, rows));
        r = 0;
    }
    return r;
}

int session_delete_others(struct api_request *q, struct err *err)
{
    int64_t ended = 0;
    int r = session_end_all(q->store, q->who.user, q->who.session, &ended, err);
    return r < 0 || !ended
               ? r
               : own_activity(q, "user_session_revoke", arena_printf(q->arena, "%lld others", (long long)ended), err);
}

int session_revoke(struct api_request *q, struct err *err)
{
    const char *id = q->match.path[0];
    int r = session_end(q->store, q->who.user, id, err);
    if (r == 0)
        return api_missing(q, "session");
    if (r > 0 && !strcmp(id, q->who.session))
        drop_cookie(q);
    return r < 0 ? r : own_activity(q, "user_session_revoke", id, err);
}
