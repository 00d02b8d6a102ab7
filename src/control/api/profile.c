/* What a person may change about their own account. */
#include "control/api/handlers.h"
#include "control/api/person.h"
#include "control/identity/password.h"
#include "control/identity/session.h"
#include "control/signer.h"

int profile_get(struct api_request *q, struct err *err)
{
    return person_profile(q, &q->result, err);
}

int profile_update(struct api_request *q, struct err *err)
{
    const char *name = api_body_text(q, "name");
    struct person p;
    int64_t changed = 0;
    int r = person_by_id(q, q->who.user, &p, err);
    if (r == 0)
        return api_missing(q, "user");
    if (r == 1 && name)
        r = store_exec(q->store, "UPDATE user SET name = $2 WHERE id = $1 AND name <> $2",
                       STORE_ARGS(store_text(p.id), store_text(name)), &changed, err);
    if (r >= 0 && changed)
        r = person_activity(q, &p, "user_update", "name", err);
    return r < 0 ? r : person_profile(q, &q->result, err);
}

/* Is it still the same person? The password in body.FIELD; whoever has none is known by the session alone. */
static int check_password(struct api_request *q, const char *field, struct err *err)
{
    struct person_check *c = arena_alloc(q->arena, sizeof(*c));
    const char *password = api_body_text(q, field);
    q->prepared = c;
    int r = person_attempt(q, q->who.name, &c->attempt, err);
    if (r == 0)
        r = person_by_id(q, q->who.user, &c->person, err);
    if (r < 0)
        return r;
    c->found = r == 1;
    c->password =
        c->found && (!*c->person.password_hash || password_matches(c->person.password_hash, password ? password : ""));
    return 0;
}

/* The same in the transaction: 1, or a refusal that is put on record (0, or an error). */
static int confirmed(struct api_request *q, struct err *err)
{
    const struct person_check *c = q->prepared;
    int r = person_confirm(q, c, err);
    if (r == 0 && c->password && c->code == CODE_MISSING)
        return api_refuse(q, 400, "totpCode: is required, or recoveryCode in its place");
    if (r == 0)
        return person_fail(q, c, err);
    if (r == 1)
        throttle_succeeded(q->api->throttle, &c->attempt);
    return r;
}

/* ---- password ---- */

int profile_password_before(struct api_request *q, struct err *err)
{
    int r = check_password(q, "currentPassword", err);
    struct person_check *c = q->prepared;
    return r < 0 || !c->password ? r : person_new_password(q, "newPassword", q->who.name, c, err);
}

int profile_password(struct api_request *q, struct err *err)
{
    const struct person_check *c = q->prepared;
    int r = confirmed(q, err);
    if (r <= 0)
        return r;
    r = store_exec(q->store, "UPDATE user SET password_hash = $2 WHERE id = $1",
                   STORE_ARGS(store_text(c->person.id), store_text(c->new_hash)), NULL, err);
    if (r == 0)
        r = person_activity(q, &c->person, "user_password_update", NULL, err);
    if (r == 0)
        r = person_renew(q, err);
    return r < 0 ? r : person_signed_in(q, &q->result, err);
}

/* ---- authenticator ---- */

int totp_enrol_before(struct api_request *q, struct err *err)
{
    int r = check_password(q, "password", err);
    const struct person_check *c = q->prepared;
    if (r == 0 && c->found && c->person.totp_sealed)
        return api_refuse(q, 409, "there is an authenticator already; stop using that one first");
    return r;
}

/* The label is read back by authenticators only; RFC 3986 unreserved characters stay. */
static const char *escaped(struct arena *a, const char *text)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~@";
    struct buf out = BUF_INIT;
    for (; *text; text++)
        if (strchr(plain, *text))
            buf_addc(&out, *text);
        else
            buf_printf(&out, "%%%02X", (unsigned char)*text);
    const char *copy = arena_strdup(a, out.data ? out.data : "");
    buf_free(&out);
    return copy;
}

int totp_enrol(struct api_request *q, struct err *err)
{
    const struct person_check *c = q->prepared;
    char secret[64];
    autofree char *sealed = NULL;
    int r = confirmed(q, err);
    if (r <= 0)
        return r;
    pthread_mutex_lock(q->api->signer_lock);
    r = signer_totp_new(q->api->role->signer, q->who.user, secret, sizeof(secret), &sealed, err);
    pthread_mutex_unlock(q->api->signer_lock);
    if (r == 0)
        r = store_exec(q->store, "UPDATE user SET totp_pending = $2 WHERE id = $1",
                       STORE_ARGS(store_text(q->who.user), store_text(sealed)), NULL, err);
    if (r == 0)
        q->result = json_pack(
            "{s:s,s:s}", "secret", secret, "otpauthUri",
            arena_printf(q->arena,
                         "otpauth://totp/OwnHouse:%s?secret=%s&issuer=OwnHouse&algorithm=SHA1&digits=6&period=30",
                         escaped(q->arena, c->person.email), secret));
    mem_wipe(secret, sizeof(secret));
    return r;
}

int totp_confirm_before(struct api_request *q, struct err *err)
{
    struct person_check *c = arena_alloc(q->arena, sizeof(*c));
    q->prepared = c;
    int r = person_attempt(q, q->who.name, &c->attempt, err);
    if (r == 0)
        r = person_by_id(q, q->who.user, &c->person, err);
    if (r < 0)
        return r;
    c->found = r == 1;
    if (!c->found || !c->person.totp_pending)
        return api_refuse(q, 409, "no authenticator is waiting for its first code; start with POST /v1/profile/totp");
    pthread_mutex_lock(q->api->signer_lock);
    r = signer_totp_check(q->api->role->signer, q->who.user, c->person.totp_pending, api_body_text(q, "totpCode"), 0,
                          &c->step, err);
    pthread_mutex_unlock(q->api->signer_lock);
    return r;
}

static int recovery_answer(struct api_request *q, struct err *err)
{
    json_t *codes = NULL, *signed_in = NULL;
    int r = person_new_recovery_codes(q, q->who.user, &codes, err);
    if (r == 0)
        r = person_signed_in(q, &signed_in, err);
    if (r < 0) {
        json_decref(codes);
        return r;
    }
    q->result = json_pack("{s:o,s:o}", "recoveryCodes", codes, "signedIn", signed_in);
    return 0;
}

int totp_confirm(struct api_request *q, struct err *err)
{
    const struct person_check *c = q->prepared;
    int64_t changed = 0;
    if (!c->step)
        return api_refuse(q, 400, "totpCode: is not what the authenticator shows now; check the clocks of both");
    int r = store_exec(q->store,
                       "UPDATE user SET totp_sealed = totp_pending, totp_pending = NULL, totp_step = $3 WHERE id = $1 "
                       "AND totp_pending = $2",
                       STORE_ARGS(store_text(q->who.user), store_text(c->person.totp_pending), store_int(c->step)),
                       &changed, err);
    if (r == 0 && !changed)
        return api_refuse(q, 409, "another authenticator was started meanwhile; begin again");
    throttle_succeeded(q->api->throttle, &c->attempt);
    if (r == 0)
        r = person_activity(q, &c->person, "organization_member_update_mfa_method", "authenticator on", err);
    if (r == 0)
        r = person_renew(q, err);
    return r < 0 ? r : recovery_answer(q, err);
}

/* Password, and code where there is an authenticator. */
int confirm_before(struct api_request *q, struct err *err)
{
    int r = check_password(q, "password", err);
    struct person_check *c = q->prepared;
    if (r == 0 && c->found && !c->person.totp_sealed)
        return api_refuse(q, 409, "there is no authenticator");
    return r < 0 || !c->password ? r : person_check_code(q, c, err);
}

int totp_disable(struct api_request *q, struct err *err)
{
    const struct person_check *c = q->prepared;
    int r = confirmed(q, err);
    if (r <= 0)
        return r;
    r = store_exec(q->store, "UPDATE user SET totp_sealed = NULL, totp_pending = NULL, totp_step = 0 WHERE id = $1",
                   STORE_ARGS(store_text(c->person.id)), NULL, err);
    if (r == 0)
        r = store_exec(q->store, "DELETE FROM recovery_code WHERE user_id = $1", STORE_ARGS(store_text(c->person.id)),
                       NULL, err);
    if (r == 0)
        r = person_activity(q, &c->person, "organization_member_update_mfa_method", "authenticator off", err);
    if (r == 0)
        r = person_renew(q, err);
    return r < 0 ? r : person_signed_in(q, &q->result, err);
}

int recovery_create(struct api_request *q, struct err *err)
{
    const struct person_check *c = q->prepared;
    int r = confirmed(q, err);
    if (r <= 0)
        return r;
    r = person_activity(q, &c->person, "organization_member_update_mfa_method", "new recovery codes", err);
    return r < 0 ? r : recovery_answer(q, err);
}
