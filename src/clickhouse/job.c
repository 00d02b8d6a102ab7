/* Runs a statement in a thread and joins it to pipes. */
#include "clickhouse/job.h"

#include "base/mem.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>

#define PIPE_SIZE ((int)MIB(1))
#define KILL_INTERVAL_MS 50

struct job {
    struct engine *engine;
    struct engine_conn *conn;
    enum job_mode mode;
    struct buf sql;
    char *format, *tag;
    const struct param *bindings;
    size_t binding_count;
    int done_fd;
    int our_fd;    /* JOB_OUT: read end; JOB_IN: write end */
    int engine_fd; /* the other end, closed by the thread when the statement has ended */
    pthread_t thread;
    bool joined;
    struct engine_result result;
};

static void *job_main(void *user)
{
    struct job *j = user;
    uint64_t one = 1;

    engine_query(j->conn, j->sql.data, j->sql.len, j->format, j->bindings, j->binding_count, &j->result);
    if (j->engine_fd >= 0)
        close(j->engine_fd);
    if (write(j->done_fd, &one, sizeof(one)) != sizeof(one))
        abort();
    return NULL;
}

static int open_pipe(struct job *j, struct err *err)
{
    int fds[2];
    if (j->mode == JOB_PLAIN)
        return 0;
    if (pipe2(fds, O_CLOEXEC) < 0)
        return err_set_errno(err, -errno, "cannot make a pipe");
    fcntl(fds[1], F_SETPIPE_SZ, PIPE_SIZE); /* a smaller one works as well */
    j->our_fd = j->mode == JOB_OUT ? fds[0] : fds[1];
    j->engine_fd = j->mode == JOB_OUT ? fds[1] : fds[0];
    fcntl(j->our_fd, F_SETFL, O_NONBLOCK);
    return 0;
}

static void compose(struct job *j, const struct job_spec *spec)
{
    if (j->mode == JOB_OUT)
        sql_lead_out(spec->sql, spec->text, j->engine_fd, &j->sql);
    else if (j->mode == JOB_IN)
        sql_lead_in(spec->sql, spec->text, j->engine_fd, &j->sql);
    else
        buf_add(&j->sql, spec->text, spec->len);
}

static void job_release(struct job *j)
{
    engine_result_free(&j->result);
    if (j->done_fd >= 0)
        close(j->done_fd);
    if (j->our_fd >= 0)
        close(j->our_fd);
    buf_free(&j->sql);
    free(j->format);
    free(j->tag);
    free(j);
}

int job_start(const struct job_spec *spec, struct job **ret, struct err *err)
{
    struct job *j = mem_alloc(sizeof(*j));
    *j = (struct job){
        .engine = spec->engine,
        .conn = spec->conn,
        .mode = spec->mode,
        .format = mem_strdup(spec->format),
        .tag = mem_strdup(spec->tag),
        .bindings = spec->bindings,
        .binding_count = spec->binding_count,
        .our_fd = -1,
        .engine_fd = -1,
        .done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
    };
    int r = j->done_fd < 0 ? err_set_errno(err, -errno, "cannot make an event descriptor") : open_pipe(j, err);
    if (r == 0) {
        compose(j, spec);
        r = -pthread_create(&j->thread, NULL, job_main, j);
        if (r < 0)
            err_set_errno(err, r, "cannot start a thread for the query");
    }
    if (r < 0) {
        if (j->engine_fd >= 0)
            close(j->engine_fd);
        job_release(j);
        return r;
    }
    *ret = j;
    return 0;
}

int job_out_fd(const struct job *j)
{
    return j->our_fd;
}

int job_done_fd(const struct job *j)
{
    return j->done_fd;
}

int job_write(struct job *j, const void *data, size_t len)
{
    const char *p = data;
    while (len) {
        ssize_t n = j->our_fd < 0 ? -1 : write(j->our_fd, p, len);
        if (n >= 0) {
            p += n;
            len -= (size_t)n;
        } else if (j->our_fd < 0 || errno == EPIPE) {
            return -EPIPE;
        } else if (errno == EAGAIN) {
            struct pollfd fds[2] = {{j->our_fd, POLLOUT, 0}, {j->done_fd, POLLIN, 0}};
            if (poll(fds, 2, -1) < 0 && errno != EINTR)
                return -errno;
            if (fds[1].revents)
                return -EPIPE;
        } else if (errno != EINTR) {
            return -errno;
        }
    }
    return 0;
}

static void close_ours(struct job *j)
{
    if (j->our_fd >= 0)
        close(j->our_fd);
    j->our_fd = -1;
}

void job_write_end(struct job *j)
{
    close_ours(j);
}

static bool done_within(struct job *j, int timeout_ms)
{
    struct pollfd fd = {j->done_fd, POLLIN, 0};
    return poll(&fd, 1, timeout_ms) > 0;
}

const struct engine_result *job_wait(struct job *j)
{
    if (!j->joined) {
        pthread_join(j->thread, NULL);
        j->joined = true;
    }
    return &j->result;
}

void job_cancel(struct job *j)
{
    /* An INSERT's pipe stays open until the engine knows of the stop: its end would look like the end of the data.
     * A SELECT's reader goes first, so that the engine is not held by a full pipe. */
    if (j->mode == JOB_OUT)
        close_ours(j);
    while (!j->joined && !done_within(j, 0)) {
        if (engine_kill(j->engine, j->tag))
            close_ours(j);
        if (done_within(j, KILL_INTERVAL_MS))
            break;
    }
    close_ours(j);
    job_wait(j);
}

void job_free(struct job *j)
{
    if (!j)
        return;
    job_cancel(j);
    job_release(j);
}
