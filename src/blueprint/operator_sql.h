/* The operator's user at the engines: every statement that the operator makes as BLUEPRINT_OPERATOR, and exactly the
 * grants that they take. One table for the code that asks, the users' configuration, the tests that take each grant
 * away and docs/kubernetes.md.
 *
 * Duties: a service's user has the grants of those that it is needed for, and no user is made where there is none.
 * Whether a statement could be run on the embedded engine (chDB, the real engine without Keeper) is said of each:
 * `embedded`; grants on system tables cannot be tried there, since it does not apply
 * access_control_improvements.select_from_system_db_requires_grant. */
#pragma once

#include "blueprint/blueprint.h"

enum operator_duty {
    OPERATOR_LOOK = 1,    /* how far replicas are: services of several */
    OPERATOR_REPLICA = 2, /* forget replicas that are no more: services of several */
    OPERATOR_BACKUP = 4,  /* make backups and try them */
    OPERATOR_RESTORE = 8, /* fill a service that begins with a backup */
};

struct operator_statement {
    const char *name;
    int duty;
    const char *sql; /* as it is sent, or its form where %s stands for a name, list or path */
    const char *what;
    bool embedded;
};

struct operator_grant {
    int duty;
    const char *grant; /* "GRANT ..." */
    const char *why;   /* which statements need it */
    bool embedded;     /* its absence can be seen on the embedded engine */
};

extern const struct operator_statement operator_statements[];
extern const size_t operator_statements_count;
extern const struct operator_grant operator_grants[];
extern const size_t operator_grants_count;

/* Duties of the operator's user at this service; 0: there is no user. */
int operator_duties(const struct desired_service *s, const struct blueprint_env *env);
/* The statement of that name; it must exist. */
const char *operator_sql(const char *name);
/* The same with `with` for its %s, which it must have; free(). */
char *operator_sql_with(const char *name, const char *with);
