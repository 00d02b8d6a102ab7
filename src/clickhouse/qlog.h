/* The execution log: one JSON line for each query that ran, never its text, its data or its parameters.
 *
 *   {"time": "...", "query_id": "...", "user": "default", "kind": "Select", "duration_ms": 3, "read_rows": 1,
 *    "read_bytes": 1, "written_rows": 0, "written_bytes": 0, "result_bytes": 2, "exception_code": 0} */
#pragma once

#include "base/err.h"
#include "clickhouse/codes.h"

struct qlog; /* opaque; safe to use from many threads */

#define QLOG_KEPT_MAX MIB(16) /* of a log of some users: then it is moved to PATH.1, in the place of the one before */

/* path "" makes a log that writes nothing. users: only those whose names begin so; "" is all, and a log that whoever
 * keeps it rotates. */
OH_MUST_CHECK int qlog_open(const char *path, const char *users, struct qlog **ret, struct err *err);
/* Opens the file anew by name, after a rotation; on failure the one of before stays. */
OH_MUST_CHECK int qlog_reopen(struct qlog *q, struct err *err);
void qlog_close(struct qlog *q); /* NULL is fine */

struct qlog_entry {
    const char *query_id, *user, *kind;
    int64_t wall_ms, duration_ms;
    struct query_stats stats;
    uint64_t sent_bytes; /* of the result, before compression */
    int exception_code;  /* 0: succeeded */
};
void qlog_write(struct qlog *q, const struct qlog_entry *entry);
