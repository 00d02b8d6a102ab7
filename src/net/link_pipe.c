/* A stream and a local socket, joined. */
#include "net/link_pipe.h"

#include "base/mem.h"
#include "net/byte_queue.h"

#include <sys/socket.h>

#define PIECE KIB(64)
#define TURN_PIECES 8 /* read from the socket before others have their turn */

struct link_pipe {
    struct link_conn *conn; /* NULL: the stream is gone */
    uint32_t stream;
    int fd;
    uv_poll_t poll;
    int events;
    struct byte_queue in; /* from the stream, not yet taken by the socket */
    char *out;            /* from the socket, not yet taken by the stream: out_len bytes from out_at on; NULL: none */
    size_t out_at, out_len;
    bool stream_ended, socket_ended; /* the other side has been told */
    bool shut;                       /* the socket has been told that no more comes */
    bool closing;
    uint64_t bytes_in, bytes_out;
    void (*done)(struct link_pipe *p, void *user);
    void *user;
};

static void on_poll(uv_poll_t *poll, int status, int events);

static void watch(struct link_pipe *p)
{
    int events = (p->socket_ended || p->out ? 0 : UV_READABLE) | (p->in.len ? UV_WRITABLE : 0);
    if (p->closing || events == p->events)
        return;
    p->events = events;
    if (events)
        uv_poll_start(&p->poll, events, on_poll);
    else
        uv_poll_stop(&p->poll);
}

static void on_poll_closed(uv_handle_t *h)
{
    struct link_pipe *p = h->data;
    close(p->fd);
    if (p->done)
        p->done(p, p->user);
    byte_queue_free(&p->in);
    free(p->out);
    free(p);
}

void link_pipe_end(struct link_pipe *p)
{
    if (p->closing)
        return;
    p->closing = true;
    if (p->conn)
        link_stream_reset(p->conn, p->stream);
    p->conn = NULL;
    uv_close((uv_handle_t *)&p->poll, on_poll_closed);
}

/* Both directions have said all. */
static void end_if_over(struct link_pipe *p)
{
    if (p->closing || !p->shut || !p->socket_ended || p->out)
        return;
    p->closing = true;
    p->conn = NULL;
    uv_close((uv_handle_t *)&p->poll, on_poll_closed);
}

/* ---- stream to socket ---- */

static size_t send_some(struct link_pipe *p, const char *data, size_t len)
{
    size_t sent = 0;
    while (sent < len) {
        ssize_t n = send(p->fd, data + sent, len - sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != EAGAIN) {
            link_pipe_end(p);
            return sent;
        }
        if (n <= 0)
            break;
        sent += (size_t)n;
    }
    p->bytes_in += sent;
    if (sent && p->conn)
        link_stream_consumed(p->conn, p->stream, sent);
    return sent;
}

static void shut_if_drained(struct link_pipe *p)
{
    if (!p->stream_ended || p->in.len || p->shut || p->closing)
        return;
    p->shut = true;
    shutdown(p->fd, SHUT_WR);
    end_if_over(p);
}

static void drain(struct link_pipe *p)
{
    const char *data;
    size_t len;
    while ((data = byte_queue_front(&p->in, &len))) {
        size_t sent = send_some(p, data, len);
        if (p->closing)
            return;
        byte_queue_take(&p->in, sent);
        if (sent < len)
            return;
    }
    shut_if_drained(p);
}

void link_pipe_data(struct link_pipe *p, const void *data, size_t len)
{
    size_t sent = 0;
    if (p->closing)
        return;
    if (!p->in.len)
        sent = send_some(p, data, len);
    if (p->closing)
        return;
    byte_queue_add(&p->in, (const char *)data + sent, len - sent);
    watch(p);
}

void link_pipe_eof(struct link_pipe *p)
{
    p->stream_ended = true;
    shut_if_drained(p);
}

void link_pipe_gone(struct link_pipe *p)
{
    p->conn = NULL;
    p->stream_ended = true;
    /* What came before an orderly end is still delivered; nothing can go back any more. */
    p->socket_ended = true;
    free(TAKE_PTR(p->out));
    if (p->closing)
        return;
    if (p->in.len)
        watch(p);
    else
        link_pipe_end(p);
}

/* ---- socket to stream ---- */

/* False if the stream takes no more now. */
static bool push(struct link_pipe *p, const char *data, size_t len, size_t *ret_taken)
{
    ssize_t n = p->conn ? link_stream_write(p->conn, p->stream, data, len) : -EPIPE;
    *ret_taken = n > 0 ? (size_t)n : 0;
    p->bytes_out += *ret_taken;
    if (n < 0)
        link_pipe_end(p);
    return n >= 0 && (size_t)n == len;
}

static void read_socket(struct link_pipe *p)
{
    char piece[PIECE];
    for (int i = 0; i < TURN_PIECES && !p->closing && !p->out && !p->socket_ended; i++) {
        size_t taken;
        ssize_t n = recv(p->fd, piece, sizeof(piece), 0);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n <= 0) {
            p->socket_ended = true;
            if (n < 0) {
                link_pipe_end(p);
            } else {
                link_stream_close(p->conn, p->stream);
                end_if_over(p);
            }
            return;
        }
        if (push(p, piece, (size_t)n, &taken) || p->closing)
            continue;
        p->out = mem_alloc((size_t)n - taken);
        p->out_at = 0;
        p->out_len = (size_t)n - taken;
        memcpy(p->out, piece + taken, p->out_len);
    }
}

void link_pipe_writable(struct link_pipe *p)
{
    size_t taken;
    if (p->closing || !p->out)
        return;
    bool all = push(p, p->out + p->out_at, p->out_len - p->out_at, &taken);
    p->out_at += taken;
    if (!all || p->closing)
        return;
    free(TAKE_PTR(p->out));
    watch(p);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct link_pipe *p = poll->data;
    if (status < 0 || events & UV_WRITABLE)
        drain(p);
    if (!p->closing && (status < 0 || events & UV_READABLE) && p->conn)
        read_socket(p);
    if (!p->closing && !p->conn && !p->in.len)
        link_pipe_end(p);
    watch(p);
}

int link_pipe_new(uv_loop_t *loop, struct link_conn *conn, uint32_t stream, int fd,
                  void (*done)(struct link_pipe *p, void *user), void *user, struct link_pipe **ret, struct err *err)
{
    struct link_pipe *p = mem_alloc(sizeof(*p));
    int r = fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0 ? -errno : uv_poll_init(loop, &p->poll, fd);
    if (r < 0) {
        close(fd);
        free(p);
        return err_set_errno(err, r, "cannot watch a socket");
    }
    p->conn = conn;
    p->stream = stream;
    p->fd = fd;
    p->poll.data = p;
    p->done = done;
    p->user = user;
    link_stream_set_user(conn, stream, p);
    watch(p);
    *ret = p;
    return 0;
}

void link_pipe_bytes(const struct link_pipe *p, uint64_t *ret_in, uint64_t *ret_out)
{
    *ret_in = p->bytes_in;
    *ret_out = p->bytes_out;
}
