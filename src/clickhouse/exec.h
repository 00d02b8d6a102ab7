/* A request's place on the engine: the connection (fresh, or of a session), with the request's settings, database,
 * rights and tag set on it before the statement runs and taken back after it where a session goes on. */
#pragma once

#include "clickhouse/service.h"
#include "clickhouse/sql.h"

struct exec_spec {
    const char *user;
    const char *query_id;
    const char *database; /* NULL: the session's or `default` */
    const struct params *params;
    enum sql_kind kind;
    bool user_readonly; /* of the users file */
    bool get;           /* GET and HEAD only read */
};

struct exec; /* opaque, one thread at a time */

/* Checks limits, enters the running list, makes the connection and sets it up. On failure *x holds the exception and
 * nothing is left behind. */
OH_MUST_CHECK int exec_open(struct service *s, const struct exec_spec *spec, struct exec **ret, struct exception *x);
struct engine_conn *exec_conn(const struct exec *e);
const char *exec_tag(const struct exec *e);
/* Runs a statement of ours on the connection. */
OH_MUST_CHECK int exec_run(const struct exec *e, const char *sql, size_t len, struct exception *x);
void exec_close(struct exec *e); /* NULL is fine; the statement must have ended */
