/* The embedded engine: the published chDB library, loaded at run time, behind a small interface.
 *
 * One engine a process, on one data path. A connection is a session of its own (current database, settings,
 * temporary tables); it costs about a quarter of a millisecond to make, and queries on it run one after the other,
 * so a connection belongs to one thread at a time. Connections run side by side.
 *
 * The library has no header in its package: the functions are declared in engine.c from their published signatures.
 * A process that used it must close its connections and then leave by _exit, since its destructors may hang. */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "clickhouse/codes.h"
#include "clickhouse/params.h"

struct engine;      /* safe to use from many threads */
struct engine_conn; /* one thread at a time */

/* Loads the library, starts the engine and runs one query to see that it works. Fails with a message that names the
 * library and what to do (missing, cut short, not chDB), or that gives the engine's own error. */
OH_MUST_CHECK int engine_open(const char *library, const char *data_path, const char *config_path, struct engine **ret,
                              struct err *err);
void engine_close(struct engine *e); /* all other connections must be closed before */

const char *engine_version(const struct engine *e);  /* "26.5.1.1" */
const char *engine_timezone(const struct engine *e); /* "Etc/UTC" */

OH_MUST_CHECK int engine_connect(struct engine *e, struct engine_conn **ret, struct err *err);
void engine_disconnect(struct engine_conn *c); /* NULL is fine */

struct engine_result {
    const char *error; /* the engine's exception text, NULL on success */
    const char *data;
    size_t len;
    struct query_stats stats; /* zero on error */
    void *handle;
};

/* Runs one statement and waits for it. `format` is for statements that name none; bindings are param_* values. */
void engine_query(struct engine_conn *c, const char *sql, size_t len, const char *format, const struct param *bindings,
                  size_t count, struct engine_result *ret);
void engine_result_free(struct engine_result *r);

/* The statement that marks all later ones of a connection with a tag, for engine_kill; part of a SET list. */
void engine_tag_sql(const char *tag, struct buf *out);
/* Asks the engine to stop the statement with this tag; returns true if it was found running. Returns at once. */
bool engine_kill(struct engine *e, const char *tag);
/* The condition on system.processes that finds the statement with this tag. */
void engine_tag_condition(const char *tag, struct buf *out);
