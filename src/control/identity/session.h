/* Sessions of people: who a browser's cookie belongs to, and until when.
 *
 * The cookie is 43 random characters (256 bits); the store has its SHA-256. A session ends SESSION_IDLE_MS after its
 * last request, SESSION_LIFE_MS after it began, or when it is taken back; it holds no rights: roles are looked up at
 * each request. Calls run in the caller's transaction where there is one. Times are handed in, wall clock ms. */
#pragma once

#include "base/keys.h"
#include "store/store.h"

#define SESSION_TOKEN_LENGTH 43
#define SESSION_COOKIE "__Host-ownhouse-session"
#define SESSION_IDLE_MS (12 * 3600 * 1000LL)
#define SESSION_LIFE_MS (7 * 24 * 3600 * 1000LL)
#define SESSIONS_MAX 50 /* of one user; a further one ends the oldest */

struct session {
    char id[UUID_SIZE], user[UUID_SIZE];
    char *email;     /* heap */
    bool stale_seen; /* the recorded time of last use is a minute or more ago */
};
void session_free(struct session *s);
#define autosession OH_CLEANUP(session_free)

struct session_origin {
    const char *method; /* password, oidc, set-up, invitation */
    bool second_factor;
    const char *address, *user_agent;
};

/* Begins a session and sweeps ended ones. ret_token: SESSION_TOKEN_LENGTH characters and NUL, wipe it. */
OH_MUST_CHECK int session_begin(struct store *s, int64_t now, const char *user, const struct session_origin *origin,
                                char ret_id[UUID_SIZE], char ret_token[SESSION_TOKEN_LENGTH + 1], struct err *err);
/* 1 = in force, 0 = not (unknown, ended, malformed). */
OH_MUST_CHECK int session_find(struct store *s, int64_t now, const char *token, struct session *ret, struct err *err);
/* Records the current minute as time of last use. */
OH_MUST_CHECK int session_seen(struct store *s, int64_t now, const char *id, struct err *err);
/* Another cookie for the same session; the old one counts no more. */
OH_MUST_CHECK int session_rotate(struct store *s, const char *id, char ret_token[SESSION_TOKEN_LENGTH + 1],
                                 struct err *err);
/* Ends one session of the user; 1 = ended, 0 = there is no such one. */
OH_MUST_CHECK int session_end(struct store *s, const char *user, const char *id, struct err *err);
/* Ends the session of a cookie; there need not be one. */
OH_MUST_CHECK int session_end_token(struct store *s, const char *token, struct err *err);
/* Ends all sessions of the user but `except` (may be NULL). *ret: how many (may be NULL). */
OH_MUST_CHECK int session_end_all(struct store *s, const char *user, const char *except, int64_t *ret, struct err *err);

/* What changes by this session must bring in X-OwnHouse-CSRF; told from the cookie, which scripts cannot read. */
void session_csrf(const char *token, char ret[65]);
/* Columns of SESSION_COLUMNS in force: a condition on $2 (now). */
#define SESSION_IN_FORCE "expires_at > $2 AND seen_at > $2 - 43200000"
