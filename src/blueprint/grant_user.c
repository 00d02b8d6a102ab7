/* The statements that make and drop a grant's user at an engine. */
#include "blueprint/grant_user.h"

#include "base/clock.h"
#include "blueprint/diag.h"

const char *const grant_user_grants[] = {
    "GRANT CREATE USER, DROP USER ON `" GRANT_USER_PREFIX "`*",
    "GRANT SELECT ON " DIAG_DATABASE ".* WITH GRANT OPTION",
    "GRANT SELECT ON " DIAG_TEXT_DATABASE ".* WITH GRANT OPTION",
    NULL,
};

void grant_user_name(const char *grant, char out[GRANT_USER_SIZE])
{
    snprintf(out, GRANT_USER_SIZE, GRANT_USER_PREFIX "%s", grant);
}

void grant_user_drop(const char *name, struct buf *out)
{
    buf_printf(out, "DROP USER IF EXISTS `%s`", name);
}

void grant_user_create(const char *name, const char sha256[65], int64_t until_wall_ms, struct buf *out)
{
    char until[CLOCK_ISO_SIZE];
    clock_iso(until_wall_ms, until);
    buf_printf(
        out,
        "CREATE USER `%s` IDENTIFIED WITH sha256_hash BY '%s' VALID UNTIL '%.19sZ' SETTINGS PROFILE `" DIAG_READER "`",
        name, sha256, until);
}

void grant_user_grant(const char *name, const char *database, struct buf *out)
{
    buf_printf(out, "GRANT SELECT ON %s.* TO `%s`", database, name);
}

void grant_user_kill(const char *name, struct buf *out)
{
    buf_printf(out, "KILL QUERY WHERE user = '%s' ASYNC", name);
}
