/* Taking up an account by a set-up link: the administrator's first way in, and everybody's way back. */
#include "control/identity/set_up.h"
#include "control/api/handlers.h"
#include "control/api/person.h"
#include "control/identity/session.h"

struct link {
    struct person_check check;
    char hash[65];
};

static int wrong_link(struct api_request *q)
{
    return api_refuse(q, 400, "token: the link is used up, too old or not whole; `ownhouse set-up` prints a new one");
}

/* 1 = the link counts, and *ret is whose it is. */
static int find(struct api_request *q, const char *hash, struct person *ret, struct err *err)
{
    char user[UUID_SIZE];
    int r = set_up_find(q->store, q->now, hash, user, err);
    return r <= 0 ? r : person_by_id(q, user, ret, err);
}

int set_up_before(struct api_request *q, struct err *err)
{
    struct link *l = arena_alloc(q->arena, sizeof(*l));
    const char *token = api_body_text(q, "token"), *email = api_body_text(q, "email");
    q->prepared = l;
    sha256_hex(token, strlen(token), l->hash);
    int r = person_attempt(q, NULL, &l->check.attempt, err);
    if (r == 0)
        r = find(q, l->hash, &l->check.person, err);
    if (r <= 0)
        return r < 0 ? r : wrong_link(q);
    return person_new_password(q, "password", email ? email : l->check.person.email, &l->check, err);
}

static int write_person(struct api_request *q, struct person *p, const char *hash, struct err *err)
{
    const char *email = api_body_text(q, "email"), *name = api_body_text(q, "name");
    if (email)
        p->email = person_lower(q->arena, email);
    if (name)
        p->name = name;
    int r = store_exec(q->store,
                       "UPDATE user SET email = $2, name = $3, password_hash = $4, totp_sealed = NULL, totp_pending = "
                       "NULL, totp_step = 0 WHERE id = $1",
                       STORE_ARGS(store_text(p->id), store_text(p->email), store_text(p->name), store_text(hash)), NULL,
                       err);
    if (r == -EEXIST)
        return api_refuse(q, 400, "email: belongs to another account");
    if (r == 0)
        r = store_exec(q->store, "DELETE FROM recovery_code WHERE user_id = $1", STORE_ARGS(store_text(p->id)), NULL,
                       err);
    return r;
}

int set_up(struct api_request *q, struct err *err)
{
    const struct link *l = q->prepared;
    struct person p;
    int r = find(q, l->hash, &p, err);
    if (r <= 0)
        return r < 0 ? r : wrong_link(q);
    r = write_person(q, &p, l->check.new_hash, err);
    if (r == 0)
        r = store_exec(q->store, "DELETE FROM set_up_link WHERE user_id = $1", STORE_ARGS(store_text(p.id)), NULL, err);
    if (r == 0)
        r = session_end_all(q->store, p.id, NULL, NULL, err);
    if (r == 0)
        r = person_activity(q, &p, "user_set_up", NULL, err);
    if (r == 0)
        r = person_sign_in(q, &p, "set-up", false, err);
    if (r < 0)
        return r;
    throttle_succeeded(q->api->throttle, &l->check.attempt);
    return person_answer(q, err);
}
