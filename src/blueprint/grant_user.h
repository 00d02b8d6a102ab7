/* The users that the gate makes at the engines, one for each grant and service, and takes away again with the grant;
 * and what the gate's own user (DIAG_READER) needs for that.
 *
 * On a server it has exactly the rights of grant_user_grants: it reads nothing for engineers itself, and the names that
 * it may make and drop begin with GRANT_USER_PREFIX, which customers' users cannot (names_user_valid()). A grant's user
 * may SELECT from the views of the grant's targets and nothing else. The embedded engine has one user a process; there
 * the server in front of it keeps these users and the gate's list alone judges statements (clickhouse/users.h). */
#pragma once

#include "base/buf.h"
#include "base/keys.h"

#define GRANT_USER_PREFIX "ownhouse_grant_"
#define GRANT_USER_SIZE (sizeof(GRANT_USER_PREFIX) + UUID_SIZE - 1)
/* The engine itself refuses a grant's user so long after the grant's end: for a gate that is gone meanwhile. Longer
 * than clocks are thought to jump, since the gate measures its grants on another clock. */
#define GRANT_USER_SLACK_MS (2 * 3600000LL)

extern const char *const grant_user_grants[]; /* "GRANT ...", of DIAG_READER on a server; ends with NULL */

void grant_user_name(const char *grant, char out[GRANT_USER_SIZE]);
/* Statements, to be sent one by one; names are made by grant_user_name(). */
void grant_user_drop(const char *name, struct buf *out);
void grant_user_create(const char *name, const char sha256[65], int64_t until_wall_ms, struct buf *out);
void grant_user_grant(const char *name, const char *database, struct buf *out); /* a server only */
void grant_user_kill(const char *name, struct buf *out);                        /* a server only; sent as that user */
