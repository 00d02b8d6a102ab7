/* One statement running on the engine in a thread of its own, with its data or its result going through a pipe.
 *
 * The engine blocks until a statement has ended; the job makes that something one can wait for, feed, read from and
 * cancel. JOB_PLAIN keeps the result in memory; JOB_OUT leads it into job_out_fd (memory bounded by the pipe);
 * JOB_IN takes INSERT data from job_write (memory bounded by the pipe and the engine's blocks). */
#pragma once

#include "clickhouse/engine.h"
#include "clickhouse/sql.h"

enum job_mode { JOB_PLAIN, JOB_OUT, JOB_IN };

struct job; /* opaque; used by one thread, besides the one it has inside */

struct job_spec {
    struct engine *engine;
    struct engine_conn *conn; /* borrowed until job_free */
    enum job_mode mode;
    const struct sql *sql; /* of `text`; read before job_start returns */
    const char *text;      /* the statement; for JOB_IN without its data; read before job_start returns */
    size_t len;
    const char *format;           /* for results of statements that name none; copied */
    const struct param *bindings; /* borrowed until job_free */
    size_t binding_count;
    const char *tag; /* set on conn before, see engine_tag_sql; copied */
};

OH_MUST_CHECK int job_start(const struct job_spec *spec, struct job **ret, struct err *err);

/* JOB_OUT: non-blocking descriptor to read the result from; end of file once the statement has ended. */
int job_out_fd(const struct job *j);
/* Readable once the statement has ended. */
int job_done_fd(const struct job *j);

/* JOB_IN: hands over data, waiting while the pipe is full. -EPIPE: the statement ended before (see its result). */
OH_MUST_CHECK int job_write(struct job *j, const void *data, size_t len);
/* JOB_IN: no more data; without this call the data are not committed. */
void job_write_end(struct job *j);

/* Waits for the end. The result is the job's until job_free. */
const struct engine_result *job_wait(struct job *j);

/* Stops the statement and waits until it has stopped; what an INSERT had not yet committed is dropped. */
void job_cancel(struct job *j);

void job_free(struct job *j); /* NULL is fine; cancels a job that still runs */
