/* Begins, finds and ends sessions. */
#include "control/identity/session.h"

#include "base/mem.h"
#include "control/identity/password.h"

#define MINUTE_MS 60000

_Static_assert(SESSION_IDLE_MS == 43200000, "SESSION_IN_FORCE says the same number");

void session_free(struct session *s)
{
    free(s->email);
    *s = (struct session){0};
}

void session_csrf(const char *token, char ret[65])
{
    autofree char *text = mem_printf("ownhouse csrf %s", token);
    sha256_hex(text, strlen(text), ret);
    mem_wipe(text, strlen(text));
}

/* What has ended is removed, and of what is left so much that one more fits. */
static int sweep(struct store *s, int64_t now, const char *user, struct err *err)
{
    int r = store_exec(s, "DELETE FROM session WHERE expires_at <= $1 OR seen_at <= $2",
                       STORE_ARGS(store_int(now), store_int(now - SESSION_IDLE_MS)), NULL, err);
    if (r == 0)
        r = store_exec(s,
                       "DELETE FROM session WHERE user_id = $1 AND id NOT IN (SELECT id FROM session WHERE user_id = "
                       "$1 ORDER BY created_at DESC, id LIMIT $2)",
                       STORE_ARGS(store_text(user), store_int(SESSIONS_MAX - 1)), NULL, err);
    return r;
}

int session_begin(struct store *s, int64_t now, const char *user, const struct session_origin *origin,
                  char ret_id[UUID_SIZE], char ret_token[SESSION_TOKEN_LENGTH + 1], struct err *err)
{
    char hash[65];
    int r = sweep(s, now, user, err);
    if (r < 0)
        return r;
    uuid_new(ret_id);
    token_generate(ret_token, SESSION_TOKEN_LENGTH);
    sha256_hex(ret_token, SESSION_TOKEN_LENGTH, hash);
    return store_exec(s,
                      "INSERT INTO session (id, token_hash, user_id, method, second_factor, address, user_agent, "
                      "created_at, seen_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8, $9)",
                      STORE_ARGS(store_text(ret_id), store_text(hash), store_text(user), store_text(origin->method),
                                 store_int(origin->second_factor), store_text(origin->address),
                                 store_text(origin->user_agent), store_int(now), store_int(now + SESSION_LIFE_MS)),
                      NULL, err);
}

int session_find(struct store *s, int64_t now, const char *token, struct session *ret, struct err *err)
{
    char hash[65];
    autorows struct store_rows *rows = NULL;
    if (strlen(token) != SESSION_TOKEN_LENGTH)
        return 0;
    sha256_hex(token, SESSION_TOKEN_LENGTH, hash);
    int r = store_query(s,
                        "SELECT s.id, s.user_id, u.email, s.seen_at FROM session s JOIN user u ON u.id = s.user_id "
                        "WHERE s.token_hash = $1 AND " SESSION_IN_FORCE,
                        STORE_ARGS(store_text(hash), store_int(now)), &rows, err);
    if (r == 0)
        r = store_next(rows, err);
    if (r <= 0)
        return r;
    snprintf(ret->id, sizeof(ret->id), "%s", store_column_text(rows, 0));
    snprintf(ret->user, sizeof(ret->user), "%s", store_column_text(rows, 1));
    ret->email = mem_strdup(store_column_text(rows, 2));
    ret->stale_seen = store_column_int(rows, 3) + MINUTE_MS <= now;
    return 1;
}

int session_seen(struct store *s, int64_t now, const char *id, struct err *err)
{
    return store_exec(s, "UPDATE session SET seen_at = $2 WHERE id = $1 AND seen_at < $2",
                      STORE_ARGS(store_text(id), store_int(now / MINUTE_MS * MINUTE_MS)), NULL, err);
}

int session_rotate(struct store *s, const char *id, char ret_token[SESSION_TOKEN_LENGTH + 1], struct err *err)
{
    char hash[65];
    token_generate(ret_token, SESSION_TOKEN_LENGTH);
    sha256_hex(ret_token, SESSION_TOKEN_LENGTH, hash);
    return store_exec(s, "UPDATE session SET token_hash = $2 WHERE id = $1",
                      STORE_ARGS(store_text(id), store_text(hash)), NULL, err);
}

int session_end(struct store *s, const char *user, const char *id, struct err *err)
{
    int64_t changed = 0;
    int r = store_exec(s, "DELETE FROM session WHERE id = $1 AND user_id = $2",
                       STORE_ARGS(store_text(id), store_text(user)), &changed, err);
    return r < 0 ? r : changed > 0;
}

int session_end_token(struct store *s, const char *token, struct err *err)
{
    char hash[65];
    sha256_hex(token, strlen(token), hash);
    return store_exec(s, "DELETE FROM session WHERE token_hash = $1", STORE_ARGS(store_text(hash)), NULL, err);
}

int session_end_all(struct store *s, const char *user, const char *except, int64_t *ret, struct err *err)
{
    return store_exec(s, "DELETE FROM session WHERE user_id = $1 AND id <> $2",
                      STORE_ARGS(store_text(user), store_text(except ? except : "")), ret, err);
}
