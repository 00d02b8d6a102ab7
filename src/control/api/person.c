/* Finds people, weighs their passwords and codes, and keeps the record of it. */
#include "control/api/person.h"

#include "control/identity/password.h"
#include "control/identity/session.h"
#include "control/signer.h"

#include <strings.h>

#define COLUMNS                                                                                                 \
    "id, email, name, password_hash, totp_sealed, totp_pending, oidc_subject, totp_step, created_at FROM user " \
    "WHERE "
#define RECOVERY_LENGTH 16
#define PASSWORD_LEAST 12
#define UNKNOWN_KEPT 10000

const char *person_lower(struct arena *arena, const char *text)
{
    char *copy = arena_strdup(arena, text);
    for (char *p = copy; *p; p++)
        if (*p >= 'A' && *p <= 'Z')
            *p = (char)(*p - 'A' + 'a');
    return copy;
}

static int find(struct api_request *q, const char *sql, const char *value, struct person *ret, struct err *err)
{
    autorows struct store_rows *rows = NULL;
    int r = store_query(q->store, sql, STORE_ARGS(store_text(value)), &rows, err);
    if (r == 0)
        r = store_next(rows, err);
    if (r <= 0)
        return r;
    *ret = (struct person){
        .email = arena_strdup(q->arena, store_column_text(rows, 1)),
        .name = arena_strdup(q->arena, store_column_text(rows, 2)),
        .password_hash = arena_strdup(q->arena, store_column_text(rows, 3)),
        .totp_sealed = arena_strdup(q->arena, store_column_text(rows, 4)),
        .totp_pending = arena_strdup(q->arena, store_column_text(rows, 5)),
        .oidc_subject = arena_strdup(q->arena, store_column_text(rows, 6)),
        .totp_step = store_column_int(rows, 7),
        .created_at = store_column_int(rows, 8),
    };
    snprintf(ret->id, sizeof(ret->id), "%s", store_column_text(rows, 0));
    return 1;
}

int person_by_email(struct api_request *q, const char *email, struct person *ret, struct err *err)
{
    return find(q, "SELECT " COLUMNS "email = $1", email, ret, err);
}

int person_by_id(struct api_request *q, const char *id, struct person *ret, struct err *err)
{
    return find(q, "SELECT " COLUMNS "id = $1", id, ret, err);
}

int person_by_oidc(struct api_request *q, const char *subject, struct person *ret, struct err *err)
{
    return find(q, "SELECT " COLUMNS "oidc_subject = $1", subject, ret, err);
}

int person_organizations(struct api_request *q, const char *user, json_t **ret, struct err *err)
{
    autorows struct store_rows *rows = NULL;
    autojson json_t *ids = json_array();
    int r = store_query(q->store, "SELECT organization_id FROM member WHERE user_id = $1 ORDER BY joined_at, 1",
                        STORE_ARGS(store_text(user)), &rows, err);
    while (r == 0 && (r = store_next(rows, err)) == 1) {
        json_array_append_new(ids, json_string(store_column_text(rows, 0)));
        r = 0;
    }
    if (r == 0)
        *ret = TAKE_PTR(ids);
    return r;
}

int person_activity(struct api_request *q, const struct person *p, const char *type, const char *details,
                    struct err *err)
{
    autojson json_t *ids = NULL;
    json_t *id;
    size_t i;
    int r = person_organizations(q, p->id, &ids, err);
    if (r == 0 && !json_array_size(ids))
        return api_activity_as(q, "", type, p->id, p->email, details, err);
    json_array_foreach(ids, i, id)
    {
        if (r == 0)
            r = api_activity_as(q, json_string_value(id), type, p->id, p->email, details, err);
    }
    return r;
}

/* What was typed is not kept: it may be a password in the wrong field. Anybody can make these, and they are nobody's:
 * the newest UNKNOWN_KEPT stay. */
int person_activity_unknown(struct api_request *q, struct err *err)
{
    int r = store_exec(
        q->store, "INSERT INTO unknown_sign_in (address, user_agent, request_id, created_at) VALUES ($1, $2, $3, $4)",
        STORE_ARGS(store_text(q->address), store_text(q->user_agent), store_text(q->id), store_int(q->now)), NULL, err);
    return r < 0 ? r
                 : store_exec(q->store,
                              "DELETE FROM unknown_sign_in WHERE seq <= (SELECT max(seq) FROM unknown_sign_in) - $1",
                              STORE_ARGS(store_int(UNKNOWN_KEPT)), NULL, err);
}

/* ---- throttling ---- */

/* The browser's token, if this account has signed in with it before. */
static int known_device(struct api_request *q, const char *account, const char **ret, struct err *err)
{
    char hash[65];
    int64_t n = 0;
    *ret = NULL;
    if (!q->device_token || !account)
        return 0;
    sha256_hex(q->device_token, strlen(q->device_token), hash);
    int r = api_number(q,
                       "SELECT count(*) FROM device d JOIN user u ON u.id = d.user_id WHERE d.token_hash = $1 AND "
                       "u.email = $2",
                       STORE_ARGS(store_text(hash), store_text(account)), &n, err);
    if (r == 0 && n)
        *ret = arena_strdup(q->arena, hash);
    return r;
}

int person_attempt(struct api_request *q, const char *account, struct throttle_attempt *ret, struct err *err)
{
    *ret = (struct throttle_attempt){.account = account, .address = q->address};
    int r = known_device(q, account, &ret->device, err);
    if (r < 0)
        return r;
    int64_t wait = throttle_begin(q->api->throttle, ret);
    if (!wait)
        return 0;
    long long seconds = (long long)(wait + 999) / 1000;
    api_header(q, "Retry-After", arena_printf(q->arena, "%lld", seconds));
    return api_refuse(q, 429, "too many attempts; try again in %lld s", seconds);
}

/* ---- password and code ---- */

static int check_totp(struct api_request *q, struct person_check *c, const char *code, struct err *err)
{
    pthread_mutex_lock(q->api->signer_lock);
    int r = signer_totp_check(q->api->role->signer, c->person.id, c->person.totp_sealed, code, c->person.totp_step,
                              &c->step, err);
    pthread_mutex_unlock(q->api->signer_lock);
    c->code = c->step ? CODE_TOTP : CODE_WRONG;
    return r;
}

/* As people type it: without dashes and spaces, in any case. */
static void hash_recovery(const char *user, const char *code, char ret[65])
{
    char text[UUID_SIZE + RECOVERY_LENGTH + 2];
    size_t n = (size_t)snprintf(text, sizeof(text), "%s ", user);
    for (; *code && n + 1 < sizeof(text); code++)
        if (*code != '-' && *code != ' ')
            text[n++] = *code >= 'A' && *code <= 'Z' ? (char)(*code - 'A' + 'a') : *code;
    text[n] = 0;
    sha256_hex(text, n, ret);
    mem_wipe(text, sizeof(text));
}

int person_check_code(struct api_request *q, struct person_check *c, struct err *err)
{
    const char *totp = api_body_text(q, "totpCode"), *recovery = api_body_text(q, "recoveryCode");
    char hash[65];
    c->code = CODE_NOT_NEEDED;
    if (!c->person.totp_sealed)
        return 0;
    c->code = CODE_MISSING;
    if (totp)
        return check_totp(q, c, totp, err);
    if (!recovery)
        return 0;
    hash_recovery(c->person.id, recovery, hash);
    c->recovery_hash = arena_strdup(q->arena, hash);
    c->code = CODE_RECOVERY;
    return 0;
}

static bool same(const char *a, const char *b)
{
    return a && b ? !strcmp(a, b) : a == b;
}

static int use_code(struct api_request *q, const struct person_check *c, int64_t *ret_used, struct err *err)
{
    *ret_used = c->code == CODE_NOT_NEEDED;
    if (c->code == CODE_TOTP)
        return store_exec(q->store, "UPDATE user SET totp_step = $2 WHERE id = $1 AND totp_step < $2",
                          STORE_ARGS(store_text(c->person.id), store_int(c->step)), ret_used, err);
    if (c->code == CODE_RECOVERY)
        return store_exec(q->store, "DELETE FROM recovery_code WHERE user_id = $1 AND hash = $2",
                          STORE_ARGS(store_text(c->person.id), store_text(c->recovery_hash)), ret_used, err);
    return 0;
}

int person_confirm(struct api_request *q, const struct person_check *c, struct err *err)
{
    struct person now;
    int64_t used = 0;
    if (!c->found || !c->password)
        return 0;
    int r = person_by_id(q, c->person.id, &now, err);
    if (r <= 0)
        return r;
    if (strcmp(now.password_hash, c->person.password_hash) || !same(now.totp_sealed, c->person.totp_sealed))
        return 0;
    r = use_code(q, c, &used, err);
    return r < 0 ? r : used > 0;
}

int person_fail(struct api_request *q, const struct person_check *c, struct err *err)
{
    const char *what = c->password ? "wrong code" : "wrong password";
    int r = c->found ? person_activity(q, &c->person, "user_login_failed", what, err) : person_activity_unknown(q, err);
    return r < 0 ? r : api_refuse_and_keep(q, *q->who.user ? 403 : 401, PERSON_WRONG);
}

int person_new_recovery_codes(struct api_request *q, const char *user, json_t **ret, struct err *err)
{
    static const char alphabet[] = "abcdefghjkmnpqrstuvwxyz23456789"; /* none that looks like another; 79 bits in all */
    autojson json_t *codes = json_array();
    int r =
        store_exec(q->store, "DELETE FROM recovery_code WHERE user_id = $1", STORE_ARGS(store_text(user)), NULL, err);
    for (int i = 0; r == 0 && i < RECOVERY_CODES; i++) {
        char code[RECOVERY_LENGTH + 1], shown[RECOVERY_LENGTH + 4], hash[65];
        for (int j = 0; j < RECOVERY_LENGTH; j++)
            code[j] = alphabet[random_below(sizeof(alphabet) - 1)];
        code[RECOVERY_LENGTH] = 0;
        snprintf(shown, sizeof(shown), "%.4s-%.4s-%.4s-%.4s", code, code + 4, code + 8, code + 12);
        hash_recovery(user, code, hash);
        r = store_exec(q->store, "INSERT INTO recovery_code (user_id, hash) VALUES ($1, $2)",
                       STORE_ARGS(store_text(user), store_text(hash)), NULL, err);
        json_array_append_new(codes, json_string(shown));
    }
    if (r == 0)
        *ret = TAKE_PTR(codes);
    return r;
}

/* One character over and over, or the account's own name. */
static bool too_easy(const char *password, const char *email)
{
    size_t name = strcspn(email, "@");
    return strspn(password, (char[]){*password, 0}) == strlen(password) || !strcasecmp(password, email) ||
           (!strncasecmp(password, email, name) && !password[name]);
}

int person_new_password(struct api_request *q, const char *field, const char *email, struct person_check *c,
                        struct err *err)
{
    const char *password = api_body_text(q, field);
    if (!password || strlen(password) < PASSWORD_LEAST)
        return api_refuse(q, 400, "%s: must have at least %d characters", field, PASSWORD_LEAST);
    if (strlen(password) > PASSWORD_MAX)
        return api_refuse(q, 400, "%s: must have at most %d bytes", field, PASSWORD_MAX);
    if (too_easy(password, email))
        return api_refuse(q, 400, "%s: is too easy to guess; take several words, or let a program make one", field);
    return password_hash(password, c->new_hash, err);
}
