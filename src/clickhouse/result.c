/* Takes results from the engine: whole, held back in a file, or streamed. */
#include "clickhouse/request_priv.h"

#include "base/mem.h"

#include <poll.h>

#define HOLD_DEFAULT MIB(1) /* result held back before the headers go, as the server does */
#define HOLD_MAX MIB(64)
#define READ_SIZE KIB(256)

static bool client_gone(const struct request *r, short revents)
{
    return r->client_fd >= 0 && (revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

/* Waits for fd; -ECANCELED when the client went away before and `watch` is set. */
static int wait_for(struct request *r, int fd, bool watch)
{
    struct pollfd fds[2] = {{fd, POLLIN, 0}, {watch ? r->client_fd : -1, POLLRDHUP, 0}};
    for (;;) {
        if (poll(fds, 2, -1) < 0) {
            if (errno == EINTR)
                continue;
            return -errno;
        }
        if (fds[0].revents)
            return 0;
        if (client_gone(r, fds[1].revents))
            return -ECANCELED;
    }
}

static int client_left(struct request *r)
{
    job_cancel(r->job);
    return request_fail(r, CH_QUERY_WAS_CANCELLED, "Query was cancelled because the client closed the connection");
}

/* The statement has ended: its error, or its counters. */
int result_take(struct request *r)
{
    const struct engine_result *result = job_wait(r->job);
    if (result->error)
        return exception_engine(&r->exception, r->service, result->error);
    r->stats = result->stats;
    return 0;
}

static ssize_t read_job(struct request *r, void *out, size_t max)
{
    for (;;) {
        ssize_t n = read(job_out_fd(r->job), out, max);
        if (n >= 0)
            return n;
        if (errno != EAGAIN && errno != EINTR)
            return -errno;
        if (errno == EAGAIN) {
            int w = wait_for(r, job_out_fd(r->job), true);
            if (w < 0)
                return w;
        }
    }
}

static int spool_write(struct request *r, const struct buf *b)
{
    for (size_t at = 0; at < b->len;) {
        ssize_t n = write(r->spool_fd, b->data + at, b->len - at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return exception_own(&r->exception, r->service, CH_STD_EXCEPTION,
                                 "cannot hold the result back in %s/tmp: %s", r->service->config.data_path,
                                 strerror(errno));
        at += (size_t)n;
    }
    r->spool_size += b->len;
    return 0;
}

static int spool_add(struct request *r, const void *data, size_t len, bool last)
{
    autobuf struct buf out = BUF_INIT;
    r->sent_bytes += len;
    if (r->sent_bytes > (uint64_t)r->service->config.max_spool_bytes)
        return exception_own(&r->exception, r->service, CH_TOO_MANY_ROWS_OR_BYTES,
                             "the result is larger than %lld bytes (max_spool_bytes), more than wait_end_of_query "
                             "can hold back",
                             (long long)r->service->config.max_spool_bytes);
    encoder_feed(r->encoder, data, len, false, last, &out);
    return spool_write(r, &out);
}

/* wait_end_of_query: the whole result goes to a file without a name before the first byte is sent. */
static int spool_rest(struct request *r)
{
    autofree char *dir = mem_printf("%s/tmp", r->service->config.data_path);
    autofree char *piece = mem_alloc(READ_SIZE);
    ssize_t n;

    r->spool_fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (r->spool_fd < 0)
        return exception_own(&r->exception, r->service, CH_STD_EXCEPTION, "cannot make a temporary file in %s: %s", dir,
                             strerror(errno));
    r->kind = BODY_FILE;
    r->encoder = encoder_new(r->encoding, 0);
    if (spool_add(r, r->body.data, r->body.len, false) < 0)
        return -EINVAL;
    buf_free(&r->body);
    while ((n = read_job(r, piece, READ_SIZE)) > 0)
        if (spool_add(r, piece, (size_t)n, false) < 0)
            return -EINVAL;
    if (n == -ECANCELED)
        return client_left(r);
    if (spool_add(r, "", 0, true) < 0)
        return -EINVAL;
    return result_take(r);
}

static size_t hold_size(struct request *r, bool *ret_wait)
{
    uint64_t hold = 0;
    struct err ignored = ERR_INIT;
    *ret_wait =
        params_flag(r->params, "wait_end_of_query", false) || params_flag(r->params, "http_wait_end_of_query", false);
    if (params_number(r->params, "buffer_size", HOLD_MAX, &hold, &ignored) < 0 ||
        (hold == 0 && params_number(r->params, "http_response_buffer_size", HOLD_MAX, &hold, &ignored) < 0))
        hold = HOLD_MAX;
    return hold ? (size_t)hold : HOLD_DEFAULT;
}

/* SELECT: a result that ends within the hold is sent whole, so an error gets its status; else it is streamed. */
int result_select(struct request *r)
{
    autofree char *piece = mem_alloc(READ_SIZE);
    bool wait;
    size_t hold = hold_size(r, &wait);
    ssize_t n;

    if (request_start(r, JOB_OUT, r->text.len) < 0)
        return -EINVAL;
    while ((n = read_job(r, piece, READ_SIZE)) > 0) {
        buf_add(&r->body, piece, (size_t)n);
        if (r->body.len >= hold)
            break;
    }
    if (n == -ECANCELED)
        return client_left(r);
    if (n == 0) {
        r->sent_bytes = r->body.len;
        return result_take(r);
    }
    if (wait)
        return spool_rest(r);
    r->kind = BODY_STREAM;
    r->encoder = encoder_new(r->encoding, 0);
    r->sent_bytes = r->body.len;
    struct buf held = r->body;
    r->body = BUF_INIT;
    encoder_feed(r->encoder, held.data, held.len, false, false, &r->body);
    buf_free(&held);
    return 0;
}

int result_plain(struct request *r)
{
    bool reads = r->sql.kind == SQL_SHOW || r->sql.kind == SQL_KILL;
    if (request_start(r, JOB_PLAIN, r->text.len) < 0)
        return -EINVAL;
    if (wait_for(r, job_done_fd(r->job), reads) == -ECANCELED)
        return client_left(r);
    if (result_take(r) < 0)
        return -EINVAL;
    const struct engine_result *result = job_wait(r->job);
    buf_add(&r->body, result->data, result->len);
    r->sent_bytes = result->len;
    return 0;
}

/* The query ended while its result was being sent: the rest of the codec's output, and the exception if there was
 * one. */
static void end_stream(struct request *r)
{
    autobuf struct buf tail = BUF_INIT;
    r->stream_over = true;
    if (result_take(r) < 0) {
        r->stream_failed = true;
        codes_exception_frame(r->exception.text.data, r->tag, &tail);
    }
    encoder_feed(r->encoder, tail.data, tail.len, false, true, &r->body);
    request_release(r);
    request_log(r, r->exception.code);
}

ssize_t request_read(struct request *r, char *out, size_t max)
{
    autofree char *piece = NULL;
    while (r->body.len == 0 && !r->stream_over) {
        if (r->encoding == CODEC_NONE) { /* straight through */
            ssize_t n = read_job(r, out, max);
            if (n < 0)
                return -EIO;
            r->sent_bytes += (uint64_t)n;
            if (n > 0)
                return n;
            end_stream(r);
            continue;
        }
        if (!piece)
            piece = mem_alloc(READ_SIZE);
        ssize_t n = read_job(r, piece, READ_SIZE);
        if (n < 0)
            return -EIO;
        if (n > 0) {
            r->sent_bytes += (uint64_t)n;
            encoder_feed(r->encoder, piece, (size_t)n, n < (ssize_t)KIB(64), false, &r->body);
        } else {
            end_stream(r);
        }
    }
    if (r->body.len == 0)
        return r->stream_failed ? -EIO : 0;
    size_t n = MIN(max, r->body.len);
    memcpy(out, r->body.data, n);
    buf_consume(&r->body, n);
    return (ssize_t)n;
}
