/* The published HTTP form of query endpoints, without HTTP itself: which path runs what, and a request's body as the
 * engine takes it.
 *
 *   GET, POST /run/ID              the saved query of this id; also /.api/query-endpoints/ID/run
 *   POST      /service/ID/run      the statement in the body's `sql`
 *   URL       format=NAME, param_NAME=VALUE, request_timeout=MS, any other name is a setting of the engine
 *   body      JSON {"sql", "database", "runId", "format", "queryVariables": {NAME: VALUE}}
 *
 * A variable's value may be text, a number, a boolean, null, an array or an object (a Map); numbers and lists become
 * the engine's own spelling of them. What the URL says of a variable yields to the body. Pure. */
#pragma once

#include "base/js.h"
#include "base/keys.h"
#include "clickhouse/params.h"

#define QUERY_TIMEOUT_MS 30000 /* where the request names none */
#define QUERY_DATABASE "query_endpoints"
#define QUERY_TABLE QUERY_DATABASE ".saved" /* id UUID, name String, query String, saved_at DateTime64 */

enum query_kind { QUERY_SAVED, QUERY_SQL };
struct query_path {
    enum query_kind kind;
    char id[UUID_SIZE]; /* of the saved query, or of the service; lower case */
};
/* `path` without a query string. False: the path is none of these, or its id is no UUID. */
bool query_path_parse(const char *path, struct query_path *ret);

struct query_run {
    struct params
        *params; /* settings, bindings, database, query_id, default_format: as the engine's interface has them */
    char *sql;   /* NULL: the body named none */
};
void query_run_free(struct query_run *q);
#define autoqueryrun OH_CLEANUP(query_run_free)

/* Reads the URL's query string (NULL: none) and the body (len 0: none). -EINVAL: the text says which field, and is for
 * the client; it never holds a value. */
OH_MUST_CHECK int query_run_read(const char *url_query, const char *body, size_t len, struct query_run *ret,
                                 struct err *err);

/* The statements that make the place for saved queries, one a line, each ended by ';' and a line feed. */
extern const char query_tables[];
