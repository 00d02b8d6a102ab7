/* Joins engineers' sessions at the relay with the gate. */
#include "agent/link/tunnel.h"

#include "agent/link/channel.h"
#include "agent/link/session.h"
#include "base/mem.h"
#include "base/unix_socket.h"
#include "net/link_msg.h"
#include "net/link_pipe.h"

#include <sys/socket.h>

#define ANSWER_MAX KIB(4)

struct tunnel {
    struct tunnels *all; /* NULL: it has been let go */
    struct tunnel *next;
    struct link_conn *conn;
    uv_loop_t *loop;
    uint32_t stream;
    json_t *attach;
    char *gate_socket;
    struct link_msg_reader reader;
    struct link_pipe *pipe; /* once joined */
    bool closing;
};

static void release(struct tunnel *t)
{
    if (t->conn || t->pipe)
        return;
    for (struct tunnel **at = t->all ? &t->all->first : NULL; at && *at; at = &(*at)->next)
        if (*at == t) {
            *at = t->next;
            t->all->count--;
            break;
        }
    link_msg_reader_free(&t->reader);
    json_decref(t->attach);
    free(t->gate_socket);
    free(t);
}

static void close_tunnel(struct tunnel *t)
{
    if (t->closing)
        return;
    t->closing = true;
    if (t->pipe)
        link_pipe_end(t->pipe);
    if (t->conn)
        link_conn_close(t->conn);
}

static void on_pipe_done(struct link_pipe *p, void *user)
{
    struct tunnel *t = user;
    t->pipe = NULL;
    close_tunnel(t);
    release(t);
}

static int join(struct tunnel *t, struct err *err)
{
    int fd = unix_connect(t->gate_socket, SOCK_STREAM | SOCK_NONBLOCK, err);
    return fd < 0 ? fd : link_pipe_new(t->loop, t->conn, t->stream, fd, on_pipe_done, t, &t->pipe, err);
}

/* ---- the connection's events ---- */

static void on_ready(struct link_conn *conn, const struct link_peer *peer, void *user)
{
    struct tunnel *t = user;
    autobuf struct buf out = BUF_INIT;
    if (link_stream_open(conn, NULL, &t->stream) < 0 || link_msg_write(t->attach, ANSWER_MAX, &out, NULL) < 0 ||
        link_stream_write(conn, t->stream, out.data, out.len) != (ssize_t)out.len)
        close_tunnel(t);
}

static void on_data(struct link_conn *conn, uint32_t stream, void *stream_user, const void *data, size_t len,
                    void *user)
{
    struct tunnel *t = user;
    const uint8_t *at = data;
    size_t left = len;
    autojson json_t *answer = NULL;
    if (!t->pipe) {
        int r = link_msg_read(&t->reader, &at, &left, &answer, NULL);
        const char *type = json_string_value(json_object_get(answer, "type"));
        if (r == 0) {
            link_stream_consumed(conn, stream, len);
            return;
        }
        if (r < 0 || !type || strcmp(type, "joined") || join(t, NULL) < 0) {
            close_tunnel(t);
            return;
        }
        link_stream_consumed(conn, stream, len - left);
    }
    if (left)
        link_pipe_data(t->pipe, at, left);
}

static void on_writable(struct link_conn *conn, uint32_t stream, void *stream_user, void *user)
{
    struct tunnel *t = user;
    if (t->pipe)
        link_pipe_writable(t->pipe);
}

static void on_eof(struct link_conn *conn, uint32_t stream, void *stream_user, void *user)
{
    struct tunnel *t = user;
    if (t->pipe)
        link_pipe_eof(t->pipe);
    else
        close_tunnel(t);
}

static void on_stream_closed(struct link_conn *conn, uint32_t stream, void *stream_user, int reason, void *user)
{
    struct tunnel *t = user;
    if (t->pipe)
        link_pipe_gone(t->pipe);
    else
        close_tunnel(t);
}

static void on_closed(struct link_conn *conn, const struct err *reason, void *user)
{
    struct tunnel *t = user;
    t->conn = NULL;
    if (t->pipe)
        link_pipe_gone(t->pipe);
    release(t);
}

static const struct link_ops tunnel_ops = {
    .on_ready = on_ready,
    .on_stream_data = on_data,
    .on_stream_writable = on_writable,
    .on_stream_eof = on_eof,
    .on_stream_closed = on_stream_closed,
    .on_closed = on_closed,
};

int tunnels_room(const struct tunnels *all, struct err *err)
{
    return all->count < TUNNELS_MAX ? 0 : err_set(err, -EMFILE, "%d sessions are open already", TUNNELS_MAX);
}

int tunnel_open(struct tunnels *all, struct link_loop *links, const struct bundle *bundle,
                const struct agent_proxy *proxy, struct tls_ctx *tls, json_t *attach, const char *gate_socket,
                struct err *err)
{
    struct channel_way way;
    int r = tunnels_room(all, err);
    if (r == 0)
        r = channel_way(bundle, proxy, &way, err);
    if (r < 0)
        return r;
    struct tunnel *t = mem_alloc(sizeof(*t));
    t->loop = all->loop;
    t->attach = json_incref(attach);
    t->gate_socket = mem_strdup(gate_socket);
    link_msg_reader_init(&t->reader, ANSWER_MAX);
    r = link_conn_dial(links, &way.dial, tls, &tunnel_ops, t, &t->conn, err);
    channel_way_free(&way);
    if (r < 0) {
        release(t);
        return r;
    }
    t->all = all;
    t->next = all->first;
    all->first = t;
    all->count++;
    return 0;
}

void tunnels_close(struct tunnels *all)
{
    struct tunnel *list = all->first;
    all->first = NULL;
    all->count = 0;
    for (struct tunnel *t = list, *next; t; t = next) {
        next = t->next;
        t->all = NULL;
        close_tunnel(t);
    }
}
