/* Taking up an invitation by its link. */
#include "control/api/acceptance.h"

#include "control/api/handlers.h"
#include "control/api/person.h"
#include "control/identity/password.h"

struct acceptance {
    struct person_check check;
    struct invitation invitation;
    bool by_session; /* signed in with the invited address */
};

int invitation_find(struct api_request *q, const char *token, struct invitation *ret, struct err *err)
{
    char hash[65];
    autorows struct store_rows *rows = NULL;
    sha256_hex(token, strlen(token), hash);
    int r = store_query(q->store,
                        "SELECT i.id, i.organization_id, i.email, i.roles, o.name, i.expires_at FROM invitation i "
                        "JOIN organization o ON o.id = i.organization_id WHERE i.token_hash = $1 AND i.expires_at > $2",
                        STORE_ARGS(store_text(hash), store_int(q->now)), &rows, err);
    if (r == 0)
        r = store_next(rows, err);
    if (r <= 0)
        return r;
    *ret = (struct invitation){
        .id = arena_strdup(q->arena, store_column_text(rows, 0)),
        .organization = arena_strdup(q->arena, store_column_text(rows, 1)),
        .email = arena_strdup(q->arena, store_column_text(rows, 2)),
        .roles = arena_strdup(q->arena, store_column_text(rows, 3)),
        .organization_name = arena_strdup(q->arena, store_column_text(rows, 4)),
        .expires_at = store_column_int(rows, 5),
    };
    return 1;
}

int invitation_gone(struct api_request *q)
{
    return api_refuse(q, 404,
                      "there is no such invitation: it was accepted, withdrawn, is too old, or the link is not whole");
}

int invitation_join(struct api_request *q, const struct invitation *i, const struct person *p, struct err *err)
{
    int64_t joined = 0;
    int r =
        store_exec(q->store,
                   "INSERT INTO member (organization_id, user_id, roles, joined_at) VALUES ($1, $2, $3, $4) ON "
                   "CONFLICT (organization_id, user_id) DO NOTHING",
                   STORE_ARGS(store_text(i->organization), store_text(p->id), store_text(i->roles), store_int(q->now)),
                   &joined, err);
    if (r == 0)
        r = store_exec(q->store, "DELETE FROM invitation WHERE id = $1", STORE_ARGS(store_text(i->id)), NULL, err);
    if (r == 0 && joined)
        r = api_activity_as(q, i->organization, "organization_member_join", p->id, p->email, NULL, err);
    return r;
}

int invitation_new_person(struct api_request *q, const struct invitation *i, const char *name,
                          const char *password_hash, const char *oidc_subject, struct person *ret, struct err *err)
{
    char id[UUID_SIZE];
    uuid_new(id);
    int r =
        store_exec(q->store,
                   "INSERT INTO user (id, email, name, password_hash, oidc_subject, created_at) VALUES ($1, $2, $3, "
                   "$4, $5, $6)",
                   STORE_ARGS(store_text(id), store_text(i->email), store_text(name), store_text(password_hash),
                              store_text(oidc_subject), store_int(q->now)),
                   NULL, err);
    return r < 0 ? r : MIN(person_by_id(q, id, ret, err), 0);
}

int invitation_look(struct api_request *q, struct err *err)
{
    struct throttle_attempt attempt;
    struct invitation i;
    struct person p;
    int r = person_attempt(q, NULL, &attempt, err);
    if (r == 0)
        r = invitation_find(q, api_body_text(q, "token"), &i, err);
    if (r <= 0)
        return r < 0 ? r : invitation_gone(q);
    throttle_succeeded(q->api->throttle, &attempt);
    r = person_by_email(q, i.email, &p, err);
    if (r < 0)
        return r;
    q->result = json_pack("{s:s,s:s,s:o,s:b}", "email", i.email, "organizationName", i.organization_name, "expireAt",
                          api_time(i.expires_at), "hasAccount", r == 1);
    return 0;
}

/* Somebody who has an account proves that it is theirs. */
static int check_owner(struct api_request *q, struct acceptance *a, struct err *err)
{
    struct person_check *c = &a->check;
    const char *password = api_body_text(q, "password");
    if (*q->who.user && !strcmp(q->who.user, c->person.id)) {
        a->by_session = true;
        return 0;
    }
    if (!*c->person.password_hash)
        return api_refuse(q, 409, "this account has no password; sign in with the identity provider, then accept");
    if (!password)
        return api_refuse(q, 400, "password: is required, the one of the account that has this address");
    /* Counted on the account too, as every guess at its password. */
    int r = person_attempt(q, c->person.email, &c->attempt, err);
    if (r < 0)
        return r;
    c->password = password_matches(c->person.password_hash, password);
    return c->password ? person_check_code(q, c, err) : 0;
}

int invitation_accept_before(struct api_request *q, struct err *err)
{
    struct acceptance *a = arena_alloc(q->arena, sizeof(*a));
    struct throttle_attempt attempt;
    q->prepared = a;
    int r = person_attempt(q, NULL, &attempt, err);
    if (r == 0)
        r = invitation_find(q, api_body_text(q, "token"), &a->invitation, err);
    if (r <= 0)
        return r < 0 ? r : invitation_gone(q);
    throttle_succeeded(q->api->throttle, &attempt);
    r = person_by_email(q, a->invitation.email, &a->check.person, err);
    if (r < 0)
        return r;
    a->check.found = r == 1;
    if (a->check.found)
        return check_owner(q, a, err);
    if (!api_body_text(q, "name"))
        return api_refuse(q, 400, "name: is required");
    return person_new_password(q, "password", a->invitation.email, &a->check, err);
}

/* The owner of an account: 1, 0 = not, which then is on record. */
static int confirm_owner(struct api_request *q, struct acceptance *a, struct err *err)
{
    const struct person_check *c = &a->check;
    if (a->by_session)
        return person_by_id(q, c->person.id, &a->check.person, err);
    if (c->password && c->code == CODE_MISSING) {
        throttle_code_asked(q->api->throttle, &c->attempt);
        q->result = json_pack("{s:s}", "state", "code-needed");
        return 0;
    }
    int r = person_confirm(q, c, err);
    if (r == 1)
        throttle_succeeded(q->api->throttle, &c->attempt);
    return r == 0 ? person_fail(q, c, err) : r;
}

int invitation_accept(struct api_request *q, struct err *err)
{
    struct acceptance *a = q->prepared;
    struct person *p = &a->check.person;
    bool second_factor = a->check.code == CODE_TOTP || a->check.code == CODE_RECOVERY;
    int r = invitation_find(q, api_body_text(q, "token"), &a->invitation, err);
    if (r <= 0)
        return r < 0 ? r : invitation_gone(q);
    if (a->check.found) {
        r = confirm_owner(q, a, err);
        if (r <= 0)
            return r;
    } else {
        r = invitation_new_person(q, &a->invitation, api_body_text(q, "name"), a->check.new_hash, NULL, p, err);
        if (r == -EEXIST)
            return api_refuse(q, 409, "an account with this address was made meanwhile; try again");
        if (r < 0)
            return r;
    }
    r = invitation_join(q, &a->invitation, p, err);
    if (r == 0 && !a->by_session)
        r = person_sign_in(q, p, "invitation", second_factor, err);
    return r < 0 ? r : person_answer(q, err);
}
