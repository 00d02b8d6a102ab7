/* Who may use the server: names with password hashes, from one JSON file that is read again on SIGHUP.
 *
 *   {"users": [{"name": "default", "sha256": "<64 hex digits>", "double_sha1": "<40 hex digits, optional>",
 *               "readonly": false, "duty": "backup"}]}
 *
 * Only hashes: SHA-256 of the password's bytes. `double_sha1` is checked for form and kept for protocols that need
 * it; HTTP does not. Comparison takes the same time whether the name or the password is wrong. A duty is all that a
 * user may do: "backup", or "gate", which makes and drops users for engineers' grants (api/access.md). Those are
 * readonly, in memory alone, and end by themselves at the time that they were made with. */
#pragma once

#include "base/err.h"

#define USERS_MAX 1000
#define USERS_FILE_MAX MIB(1)
#define USERS_GRANTED_MAX 1000 /* made for grants, at once */

struct users; /* opaque; safe to use from many threads */

/* Reads the file; errors name it, the user's index and the field. */
OH_MUST_CHECK int users_load(const char *path, struct users **ret, struct err *err);
/* Reads its file again; on failure those of before stay. */
OH_MUST_CHECK int users_reload(struct users *u, struct err *err);
void users_free(struct users *u); /* NULL is fine */

/* True if there is such a user and the password is right; *ret says what the user may do. */
struct user_rights {
    bool readonly;
    bool backup_only; /* users_backup_may() says what it may run */
    bool gate_only;   /* users_gate_statement() is all that it may run */
};
bool users_check(struct users *u, const char *name, const char *password, size_t password_len, int64_t now_ms,
                 struct user_rights *ret);

/* Whether one whose duty are backups may run this statement: SELECT, BACKUP DATABASE, RESTORE, and making and dropping
 * the database ownhouse_drill, in the words in which the operator writes them. *ret_reads: it only reads. */
bool users_backup_may(const char *text, size_t len, bool *ret_reads);

/* Carries out a statement of the gate's, in the words in which it writes them (blueprint/grant_user.h):
 *   CREATE USER `ownhouse_grant_<uuid>` IDENTIFIED WITH sha256_hash BY '<64 hex digits>' VALID UNTIL '<RFC 3339>'
 * SETTINGS PROFILE `ownhouse_gate` DROP USER IF EXISTS `ownhouse_grant_<uuid>` Making one that is there replaces it.
 * -EACCES: another statement; -ENOSPC: too many. */
OH_MUST_CHECK int users_gate_statement(struct users *u, const char *text, size_t len, int64_t now_ms, struct err *err);
