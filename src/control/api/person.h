/* People signing in: what the operations on sessions, profiles, set-up links and invitations share.
 *
 * Passwords and codes are checked in the `before` half of an operation (argon2 takes its time; no transaction may wait
 * for it) into a struct person_check; the handler then reads the person again and uses up what counts once. */
#pragma once

#include "control/api/request.h"

#define PERSON_WRONG "the e-mail address, the password or the code is wrong"
#define RECOVERY_CODES 10

/* Texts are in the request's arena. */
struct person {
    char id[UUID_SIZE];
    const char *email, *name;
    const char *password_hash;                             /* "" = has none */
    const char *totp_sealed, *totp_pending, *oidc_subject; /* NULL = none */
    int64_t totp_step, created_at;
};

/* 1 = found, 0 = there is none. `email` in lower case. */
OH_MUST_CHECK int person_by_email(struct api_request *q, const char *email, struct person *ret, struct err *err);
OH_MUST_CHECK int person_by_id(struct api_request *q, const char *id, struct person *ret, struct err *err);
OH_MUST_CHECK int person_by_oidc(struct api_request *q, const char *subject, struct person *ret, struct err *err);
/* ASCII letters in lower case, in the arena. */
const char *person_lower(struct arena *arena, const char *text);
/* Ids of the organizations, oldest membership first; new reference. */
OH_MUST_CHECK int person_organizations(struct api_request *q, const char *user, json_t **ret, struct err *err);
/* An activity in each organization of the person; of one without any it is kept where nobody reads it. */
OH_MUST_CHECK int person_activity(struct api_request *q, const struct person *p, const char *type, const char *details,
                                  struct err *err);
/* A failed attempt at an address that has no account leaves as much of a trace, so that it takes as long. */
OH_MUST_CHECK int person_activity_unknown(struct api_request *q, struct err *err);

/* ---- throttling ---- */

/* Counts an attempt (identity/throttle.h) on `account` (NULL: by address only). 0, or a refusal 429 with Retry-After.
 * *ret is for throttle_succeeded(). */
OH_MUST_CHECK int person_attempt(struct api_request *q, const char *account, struct throttle_attempt *ret,
                                 struct err *err);

/* ---- password and code ---- */

enum code_state { CODE_NOT_NEEDED, CODE_MISSING, CODE_WRONG, CODE_TOTP, CODE_RECOVERY };

struct person_check {
    bool found, password; /* there is such a person; the password is theirs */
    struct person person; /* as checked */
    struct throttle_attempt attempt;
    enum code_state code;
    int64_t step;              /* CODE_TOTP */
    const char *recovery_hash; /* CODE_RECOVERY */
    char new_hash[128];        /* of a new password, where the operation sets one */
};

/* The code in the body (totpCode, recoveryCode) against the person's authenticator. */
OH_MUST_CHECK int person_check_code(struct api_request *q, struct person_check *c, struct err *err);
/* In the transaction: the person is still as checked, and the code is used up. 1; 0: no more. */
OH_MUST_CHECK int person_confirm(struct api_request *q, const struct person_check *c, struct err *err);
/* The failed attempt is put on record and refused: 401, or 403 within a session, which goes on. */
OH_MUST_CHECK int person_fail(struct api_request *q, const struct person_check *c, struct err *err);
/* Ten new recovery codes in place of all old ones; an array of texts. */
OH_MUST_CHECK int person_new_recovery_codes(struct api_request *q, const char *user, json_t **ret, struct err *err);
/* Hashes body.FIELD into c->new_hash; refuses (400) one that is too easy. */
OH_MUST_CHECK int person_new_password(struct api_request *q, const char *field, const char *email,
                                      struct person_check *c, struct err *err);

/* ---- sessions ---- */

/* Signs in: a new session in place of the browser's old one, its cookies, and the activity. Sets q->who and
 * q->session_token. */
OH_MUST_CHECK int person_sign_in(struct api_request *q, const struct person *p, const char *method, bool second_factor,
                                 struct err *err);
/* After a change of what protects the account: this session gets a new cookie, all others end. */
OH_MUST_CHECK int person_renew(struct api_request *q, struct err *err);
/* Answer of who is signed in by q->who. */
OH_MUST_CHECK int person_signed_in(struct api_request *q, json_t **ret, struct err *err);
/* {state: signed-in, signedIn: ...} as the result. */
OH_MUST_CHECK int person_answer(struct api_request *q, struct err *err);
OH_MUST_CHECK int person_profile(struct api_request *q, json_t **ret, struct err *err);
/* A session's columns PERSON_SESSION_COLUMNS as the API shows them. */
#define PERSON_SESSION_COLUMNS "id, created_at, seen_at, expires_at, address, user_agent, method, second_factor"
json_t *person_session_view(const struct api_request *q, struct store_rows *rows);
