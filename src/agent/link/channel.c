/* Dialling, and frames on the operations stream. */
#include "agent/link/channel.h"

#include "agent/link/session.h"
#include "base/fs.h"
#include "base/mem.h"

struct channel {
    struct link_conn *conn;
    const struct channel_ops *ops;
    void *user;
    uint32_t stream;
    struct link_msg_reader reader;
    struct buf out; /* what the stream did not take yet, from out_at on */
    size_t out_at;
    bool closing, goodbye;
    struct err why;
};

void channel_abandon(struct channel *c)
{
    buf_free(&c->out);
    link_msg_reader_free(&c->reader);
    free(c);
}

/* ---- the connection's events ---- */

static void on_ready(struct link_conn *conn, const struct link_peer *peer, void *user)
{
    struct channel *c = user;
    if (link_stream_open(conn, NULL, &c->stream) < 0) {
        link_conn_close(conn);
        return;
    }
    c->ops->on_ready(c, c->user);
}

static void on_data(struct link_conn *conn, uint32_t stream, void *stream_user, const void *data, size_t len,
                    void *user)
{
    struct channel *c = user;
    const uint8_t *at = data;
    size_t left = len;
    struct err err = ERR_INIT;
    int r = 0;
    while (!c->closing) {
        autojson json_t *message = NULL;
        if ((r = link_msg_read(&c->reader, &at, &left, &message, &err)) <= 0)
            break;
        c->ops->on_message(c, message, c->user);
    }
    if (r < 0)
        channel_close(c, &err);
    if (!c->closing)
        link_stream_consumed(conn, stream, len);
}

static void flush(struct channel *c)
{
    while (c->out_at < c->out.len) {
        ssize_t n = link_stream_write(c->conn, c->stream, c->out.data + c->out_at, c->out.len - c->out_at);
        if (n < 0)
            return; /* the connection ends and says why */
        if (n == 0)
            return;
        c->out_at += (size_t)n;
    }
    buf_free(&c->out);
    c->out_at = 0;
    if (c->ops->on_drained)
        c->ops->on_drained(c, c->user);
}

static void on_writable(struct link_conn *conn, uint32_t stream, void *stream_user, void *user)
{
    struct channel *c = user;
    if (!c->closing)
        flush(c);
}

static void on_eof(struct link_conn *conn, uint32_t stream, void *stream_user, void *user)
{
    channel_close(user, NULL);
}

static void on_stream_closed(struct link_conn *conn, uint32_t stream, void *stream_user, int reason, void *user)
{
    struct channel *c = user;
    struct err err = ERR_INIT;
    if (c->closing || reason == -ECONNABORTED)
        return;
    if (reason)
        err_set(&err, reason, "the control plane closed the stream");
    channel_close(c, reason ? &err : NULL);
}

static void on_goaway(struct link_conn *conn, uint32_t code, void *user)
{
    struct channel *c = user;
    c->goodbye = true;
}

static void on_closed(struct link_conn *conn, const struct err *reason, void *user)
{
    struct channel *c = user;
    c->closing = true;
    c->ops->on_closed(c, c->why.code ? &c->why : reason, c->goodbye, c->user);
    channel_abandon(c);
}

static const struct link_ops conn_ops = {
    .on_ready = on_ready,
    .on_stream_data = on_data,
    .on_stream_writable = on_writable,
    .on_stream_eof = on_eof,
    .on_stream_closed = on_stream_closed,
    .on_goaway = on_goaway,
    .on_closed = on_closed,
};

/* ---- dialling ---- */

/* The first line of the credentials file. */
static int read_credentials(const char *path, char **ret, struct err *err)
{
    autofree char *text = NULL;
    size_t len = 0;
    if (!path)
        return 0;
    int r = fs_read_secret(path, KIB(4), &text, &len, err);
    if (r < 0)
        return r == -ENOENT ? err_set(err, r, "%s: there are no proxy credentials", path) : r;
    text[strcspn(text, "\r\n")] = '\0';
    if (!strchr(text, ':')) {
        mem_wipe(text, len);
        return err_set(err, -EINVAL, "%s: the first line must be user:password", path);
    }
    *ret = TAKE_PTR(text);
    return 0;
}

int channel_way(const struct bundle *bundle, const struct agent_proxy *proxy, struct channel_way *ret, struct err *err)
{
    ret->credentials = NULL;
    ret->dial = (struct link_dial){.host = bundle->host, .port = bundle->port, .server_name = bundle->server_name};
    if (proxy->forwarder) {
        if (bundle_address(proxy->forwarder, ret->forwarder_host, &ret->dial.port) < 0)
            return err_set(err, -EINVAL, "control_address must be host:port, not \"%.100s\"", proxy->forwarder);
        ret->dial.host = ret->forwarder_host;
    }
    if (!proxy->address)
        return 0;
    if (bundle_address(proxy->address, ret->proxy_host, &ret->dial.proxy_port) < 0)
        return err_set(err, -EINVAL, "the proxy's address must be host:port, not \"%.100s\"", proxy->address);
    int r = read_credentials(proxy->credentials_file, &ret->credentials, err);
    if (r < 0)
        return r;
    ret->dial.proxy_host = ret->proxy_host;
    ret->dial.proxy_credentials = ret->credentials;
    return 0;
}

void channel_way_free(struct channel_way *w)
{
    if (w->credentials)
        mem_wipe(w->credentials, strlen(w->credentials));
    free(TAKE_PTR(w->credentials));
}

int channel_dial(struct link_loop *loop, const struct bundle *bundle, const struct agent_proxy *proxy,
                 struct tls_ctx *tls, const struct channel_ops *ops, void *user, struct channel **ret, struct err *err)
{
    struct channel_way way;
    int r = channel_way(bundle, proxy, &way, err);
    if (r < 0)
        return r;
    struct channel *c = mem_alloc(sizeof(*c));
    c->ops = ops;
    c->user = user;
    link_msg_reader_init(&c->reader, AGENT_ENROLLED_MAX);
    r = link_conn_dial(loop, &way.dial, tls, &conn_ops, c, &c->conn, err);
    channel_way_free(&way);
    if (r < 0) {
        free(c);
        return r;
    }
    *ret = c;
    return 0;
}

/* ---- sending and the end ---- */

int channel_send(struct channel *c, json_t *message, size_t max, struct err *err)
{
    autojson json_t *owned = message;
    if (c->closing || !c->stream)
        return err_set(err, -ENOTCONN, "the link is closed");
    int r = link_msg_write(owned, max, &c->out, err);
    if (r == 0)
        flush(c);
    return r;
}

bool channel_busy(const struct channel *c)
{
    return c->out.len > 0;
}

void channel_set_max(struct channel *c, size_t max)
{
    c->reader.max = max;
}

int64_t channel_rtt_ms(const struct channel *c)
{
    return c->closing ? -1 : link_conn_rtt_ms(c->conn);
}

void channel_close(struct channel *c, const struct err *why)
{
    if (c->closing)
        return;
    c->closing = true;
    if (why)
        c->why = *why;
    link_conn_close(c->conn);
}
