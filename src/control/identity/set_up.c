/* Makes and finds set-up links. */
#include "control/identity/set_up.h"

#include "control/identity/password.h"

int set_up_make(struct store *s, int64_t now, const char *user, char ret_token[SET_UP_TOKEN_LENGTH + 1],
                struct err *err)
{
    char hash[65];
    token_generate(ret_token, SET_UP_TOKEN_LENGTH);
    sha256_hex(ret_token, SET_UP_TOKEN_LENGTH, hash);
    return store_exec(
        s,
        "INSERT INTO set_up_link (user_id, token_hash, created_at, expires_at) VALUES ($1, $2, $3, $4) ON "
        "CONFLICT (user_id) DO UPDATE SET token_hash = excluded.token_hash, created_at = "
        "excluded.created_at, expires_at = excluded.expires_at",
        STORE_ARGS(store_text(user), store_text(hash), store_int(now), store_int(now + SET_UP_LIFE_MS)), NULL, err);
}

int set_up_find(struct store *s, int64_t now, const char *token_hash, char ret_user[UUID_SIZE], struct err *err)
{
    autorows struct store_rows *rows = NULL;
    int r = store_query(s, "SELECT user_id FROM set_up_link WHERE token_hash = $1 AND expires_at > $2",
                        STORE_ARGS(store_text(token_hash), store_int(now)), &rows, err);
    if (r == 0)
        r = store_next(rows, err);
    if (r == 1)
        snprintf(ret_user, UUID_SIZE, "%s", store_column_text(rows, 0));
    return r;
}
