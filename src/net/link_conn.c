/* A link connection from handshake to end: TLS records to and from yamux, keep-alive, deferred free. */
#include "net/link_internal.h"

#include "base/mem.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#define PING_EVERY_MS 20000
#define PONG_WAIT_MS 10000
#define PONGS_MISSED 2
#define TURN_PIECES 16 /* records read or written for one connection before others have their turn */

static void flush_all(uv_prepare_t *prepare);
static void on_poll(uv_poll_t *poll, int status, int events);
static void on_timer(uv_timer_t *timer);

/* ---- loop ---- */

struct link_loop *link_loop_new(uv_loop_t *loop, const struct clock *clock, const struct yamux_limits *limits,
                                struct yamux_budget *budget)
{
    struct link_loop *l = mem_alloc(sizeof(*l));
    l->loop = loop;
    l->clock = clock;
    l->limits = limits;
    l->budget = budget;
    uv_prepare_init(loop, &l->prepare);
    uv_prepare_start(&l->prepare, flush_all);
    uv_unref((uv_handle_t *)&l->prepare);
    l->prepare.data = l;
    return l;
}

static void loop_release(struct link_loop *l)
{
    if (l->closing && l->prepare_closed && !l->conns)
        free(l);
}

static void on_prepare_closed(uv_handle_t *h)
{
    struct link_loop *l = h->data;
    l->prepare_closed = true;
    loop_release(l);
}

void link_loop_free(struct link_loop *l)
{
    static const struct link_ops silent;
    const struct err reason = {.code = -ECANCELED, .message = "the loop is going away"};
    if (!l || l->closing)
        return;
    l->closing = true;
    link_listen_orphan(l);
    for (struct link_conn *c = l->conns; c; c = c->next) {
        c->ops = &silent;
        link_conn_fail(c, &reason);
    }
    uv_close((uv_handle_t *)&l->prepare, on_prepare_closed);
}

size_t link_loop_handshakes(const struct link_loop *l)
{
    return l->n_young;
}

size_t link_loop_connections(const struct link_loop *l)
{
    return l->n_conns;
}

/* ---- making ---- */

struct link_conn *link_conn_new(struct link_loop *l, enum link_state state, int64_t deadline_ms, struct tls_ctx *tls,
                                const struct link_ops *ops, void *user)
{
    struct link_conn *c = mem_alloc(sizeof(*c));
    c->l = l;
    c->state = state;
    c->fd = -1;
    c->tls = tls_ctx_ref(tls);
    c->ops = ops;
    c->user = user;
    c->timer_at = -1;
    c->timer.data = c->poll.data = c;
    c->next = l->conns;
    if (c->next)
        c->next->prev = c;
    l->conns = c;
    l->n_conns++;
    l->n_young++;
    uv_timer_init(l->loop, &c->timer);
    c->handles = 1;
    link_conn_deadline(c, deadline_ms);
    return c;
}

int link_conn_attach(struct link_conn *c, int fd, int events, struct err *err)
{
    int r = uv_poll_init(c->l->loop, &c->poll, fd);
    if (r < 0)
        return err_set_errno(err, r, "cannot watch a socket");
    c->handles++;
    c->fd = fd;
    link_conn_poll(c, events);
    return 0;
}

void link_conn_poll(struct link_conn *c, int events)
{
    if (c->poll_events == events)
        return;
    c->poll_events = events;
    if (events)
        uv_poll_start(&c->poll, events, on_poll);
    else
        uv_poll_stop(&c->poll);
}

void link_conn_address(struct link_conn *c, const struct sockaddr *a)
{
    char text[INET6_ADDRSTRLEN];
    if (a->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, a, sizeof(in));
        snprintf(c->peer.address, sizeof(c->peer.address), "%s:%u",
                 inet_ntop(AF_INET, &in.sin_addr, text, sizeof(text)), ntohs(in.sin_port));
    } else if (a->sa_family == AF_INET6) {
        struct sockaddr_in6 in;
        memcpy(&in, a, sizeof(in));
        snprintf(c->peer.address, sizeof(c->peer.address), "[%s]:%u",
                 inet_ntop(AF_INET6, &in.sin6_addr, text, sizeof(text)), ntohs(in.sin6_port));
    } else {
        snprintf(c->peer.address, sizeof(c->peer.address), "unix");
    }
}

/* ---- timers ---- */

/* A timer may fire early and look again; it is only moved when something is due sooner. */
static void wake_at(struct link_conn *c, int64_t due_ms)
{
    if (due_ms < 0 || (c->timer_at >= 0 && c->timer_at <= due_ms))
        return;
    c->timer_at = due_ms;
    uv_timer_start(&c->timer, on_timer, (uint64_t)MAX(due_ms - link_now(c), 0), 0);
}

void link_conn_deadline(struct link_conn *c, int64_t deadline_ms)
{
    c->deadline_ms = deadline_ms;
    wake_at(c, deadline_ms);
}

static void fail_with(struct link_conn *c, int code, const char *message)
{
    struct err reason = ERR_INIT;
    err_set(&reason, code, "%s", message);
    link_conn_fail(c, &reason);
}

static void mark_dirty(struct link_conn *c)
{
    if (c->dirty || c->state != LINK_READY)
        return;
    c->dirty = true;
    c->dirty_next = c->l->dirty;
    c->l->dirty = c;
}

static void schedule_ping(struct link_conn *c, int64_t now)
{
    c->pinging = false;
    c->ping_ms = now + PING_EVERY_MS * 4 / 5 + random_below(PING_EVERY_MS * 2 / 5 + 1);
    wake_at(c, c->ping_ms);
}

static void send_ping(struct link_conn *c, int64_t now)
{
    c->ping_ms = now;
    c->pinging = true;
    if (yamux_ping(c->y, now) == 0)
        mark_dirty(c);
    wake_at(c, now + PONG_WAIT_MS * PONGS_MISSED);
}

/* Acts on whatever is due and arranges the next look. */
static void look(struct link_conn *c)
{
    int64_t now = link_now(c);
    if (c->state == LINK_CLOSED)
        return;
    if (c->state < LINK_READY) {
        if (now < c->deadline_ms)
            wake_at(c, c->deadline_ms);
        else if (c->state == LINK_CONNECT || c->state == LINK_TUNNEL)
            link_dial_timeout(c, now);
        else
            fail_with(c, -ETIMEDOUT,
                      c->dialled ? "the other end did not finish the handshake within 20 s"
                                 : "the handshake did not finish within 5 s");
        return;
    }
    if (c->pinging && now >= c->ping_ms + PONG_WAIT_MS * PONGS_MISSED) {
        fail_with(c, -ETIMEDOUT, "the peer has not answered for 20 s");
        return;
    }
    if (!c->pinging && now >= c->ping_ms)
        send_ping(c, now);
    wake_at(c, c->pinging ? c->ping_ms + PONG_WAIT_MS * PONGS_MISSED : c->ping_ms);
    mark_dirty(c); /* the flush looks at write time-outs */
}

static void on_timer(uv_timer_t *timer)
{
    struct link_conn *c = timer->data;
    c->timer_at = -1;
    look(c);
}

void link_loop_check(struct link_loop *l)
{
    for (struct link_conn *c = l->conns; c; c = c->next)
        look(c);
}

/* ---- streams ---- */

static void stream_closed(struct link_conn *c, uint32_t stream, void *stream_user, int reason)
{
    if (c->ops->on_stream_closed)
        c->ops->on_stream_closed(c, stream, stream_user, reason, c->user);
}

static void stream_event(struct link_conn *c, const struct yamux_event *ev)
{
    const struct link_ops *ops = c->ops;
    switch (ev->type) {
    case YAMUX_OPENED:
        if (ops->on_stream_open)
            ops->on_stream_open(c, ev->stream, c->user);
        else
            yamux_reset(c->y, ev->stream);
        break;
    case YAMUX_DATA:
        if (ops->on_stream_data)
            ops->on_stream_data(c, ev->stream, ev->user, ev->data, ev->len, c->user);
        else
            yamux_consumed(c->y, ev->stream, ev->len);
        break;
    case YAMUX_WRITABLE:
        if (ops->on_stream_writable)
            ops->on_stream_writable(c, ev->stream, ev->user, c->user);
        break;
    case YAMUX_EOF:
        if (ops->on_stream_eof)
            ops->on_stream_eof(c, ev->stream, ev->user, c->user);
        if (ev->gone)
            stream_closed(c, ev->stream, ev->user, 0);
        break;
    default:
        stream_closed(c, ev->stream, ev->user, ev->code);
    }
}

static void handle(struct link_conn *c, const struct yamux_event *ev)
{
    if (ev->type == YAMUX_PONG) {
        if (c->pinging)
            schedule_ping(c, link_now(c));
    } else if (ev->type == YAMUX_GOAWAY) {
        if (c->ops->on_goaway)
            c->ops->on_goaway(c, (uint32_t)ev->code, c->user);
    } else {
        stream_event(c, ev);
    }
}

/* Sends what the socket takes at once; for last words. */
static void flush_rest(struct link_conn *c)
{
    const uint8_t *out;
    size_t n;
    ERR_clear_error();
    while ((out = yamux_output(c->y, &n))) {
        int w = SSL_write(c->ssl, out, (int)MIN(n, LINK_READ_SIZE));
        if (w <= 0)
            break;
        yamux_sent(c->y, (size_t)w);
    }
    ERR_clear_error();
}

/* Feeds input, may be none, and handles all that follows from it. */
static void pump(struct link_conn *c, const uint8_t *data, size_t len)
{
    struct yamux_event ev;
    struct err err = ERR_INIT;
    int r;
    while ((r = yamux_next(c->y, &data, &len, link_now(c), &ev, &err)) > 0) {
        handle(c, &ev);
        if (c->state != LINK_READY)
            return;
    }
    if (r < 0) {
        flush_rest(c); /* the peer should read why */
        link_conn_fail(c, &err);
    }
}

/* ---- TLS ---- */

/* After SSL_ERROR_*: false if the connection has failed. */
static bool again(struct link_conn *c, int result, const char *what)
{
    int e = SSL_get_error(c->ssl, result);
    struct err reason = ERR_INIT;
    if (e == SSL_ERROR_WANT_READ)
        return true;
    if (e == SSL_ERROR_WANT_WRITE) {
        c->want_write = true;
        return true;
    }
    if (e == SSL_ERROR_ZERO_RETURN || (e == SSL_ERROR_SYSCALL && !errno && !ERR_peek_error()) ||
        (e == SSL_ERROR_SSL && ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING)) {
        ERR_clear_error();
        err_set(&reason, -ECONNRESET, "the peer closed the connection");
    } else if (e == SSL_ERROR_SYSCALL && errno) {
        ERR_clear_error();
        err_set_errno(&reason, -errno, "%s", what);
    } else {
        tls_error(c->ssl, &reason, -EACCES, what);
    }
    link_conn_fail(c, &reason);
    return false;
}

static void get_ready(struct link_conn *c)
{
    struct err err = ERR_INIT;
    if (tls_peer_get(c->tls, c->ssl, &c->peer.tls, &err) < 0) {
        link_conn_fail(c, &err);
        return;
    }
    c->state = LINK_READY;
    c->l->n_young--;
    c->y = yamux_new(c->dialled ? YAMUX_CLIENT : YAMUX_SERVER, c->l->limits, c->l->budget);
    send_ping(c, link_now(c)); /* at once: windows need the round trip time to grow */
    link_listen_resume(c->l);
    if (c->ops->on_ready)
        c->ops->on_ready(c, &c->peer, c->user);
}

static void shake_hands(struct link_conn *c)
{
    ERR_clear_error();
    errno = 0;
    c->want_write = false;
    int r = SSL_do_handshake(c->ssl);
    if (r == 1)
        get_ready(c);
    else if (!again(c, r, "TLS handshake"))
        return;
    if (c->state != LINK_CLOSED)
        link_conn_poll(c, UV_READABLE | (c->want_write ? UV_WRITABLE : 0));
}

void link_conn_handshake(struct link_conn *c, const char *server_name)
{
    struct err err = ERR_INIT;
    if (!server_name) {
        c->ssl = tls_ctx_accept(c->tls);
    } else if (tls_ctx_connect(c->tls, server_name, &c->ssl, &err) < 0) {
        link_conn_fail(c, &err);
        return;
    }
    if (!SSL_set_fd(c->ssl, c->fd)) {
        fail_with(c, -EIO, "cannot give a socket to TLS");
        return;
    }
    c->state = LINK_HANDSHAKE;
    link_conn_deadline(c, link_now(c) + (c->dialled ? LINK_DIALLED_HANDSHAKE_MS : LINK_HANDSHAKE_MS));
    /* Who accepts begins when the socket is readable: over a local socket all of a handshake can be over at once, and
     * on_ready would come before the owner has set its user. */
    if (server_name)
        shake_hands(c);
}

static void read_some(struct link_conn *c)
{
    c->read_blocked = false;
    for (int i = 0; i < TURN_PIECES && c->state == LINK_READY; i++) {
        ERR_clear_error();
        errno = 0;
        int n = SSL_read(c->ssl, c->l->read_buf, LINK_READ_SIZE);
        if (n <= 0) {
            c->read_blocked = again(c, n, "reading from the link") && SSL_want_write(c->ssl);
            break;
        }
        pump(c, c->l->read_buf, (size_t)n);
    }
    mark_dirty(c);
}

/* One connection's turn to send: bytes out, then whoever waited for room writes more. */
static void flush(struct link_conn *c)
{
    const uint8_t *out = NULL;
    size_t n;
    c->want_write = false;
    pump(c, NULL, 0);
    for (int i = 0; i < TURN_PIECES && c->state == LINK_READY && (out = yamux_output(c->y, &n)); i++) {
        ERR_clear_error();
        errno = 0;
        int w = SSL_write(c->ssl, out, (int)MIN(n, LINK_READ_SIZE));
        if (w <= 0) {
            again(c, w, "writing to the link");
            break;
        }
        yamux_sent(c->y, (size_t)w);
        pump(c, NULL, 0);
    }
    if (c->state != LINK_READY)
        return;
    /* Left over after a whole turn: come back when all others had theirs. TLS that must write before it can read on
     * (a key update) must not be woken by what cannot be read yet. */
    bool more = c->want_write || c->read_blocked || yamux_output(c->y, &n);
    link_conn_poll(c, (c->read_blocked ? 0 : UV_READABLE) | (more ? UV_WRITABLE : 0));
    wake_at(c, yamux_tick(c->y, link_now(c)));
}

/* Runs just before the loop waits: everything that callbacks wrote goes out in as few records as possible. */
static void flush_all(uv_prepare_t *prepare)
{
    struct link_loop *l = prepare->data;
    for (int rounds = 0; l->dirty && rounds < 4; rounds++) {
        struct link_conn *list = l->dirty;
        l->dirty = NULL;
        while (list) {
            struct link_conn *c = list;
            list = c->dirty_next;
            c->dirty = false;
            c->dirty_next = NULL;
            if (c->state == LINK_READY)
                flush(c);
        }
    }
    /* A callback that keeps writing into another connection must not keep the loop here. */
    for (struct link_conn *c = l->dirty; c; c = c->dirty_next)
        if (c->state == LINK_READY)
            link_conn_poll(c, (c->read_blocked ? 0 : UV_READABLE) | UV_WRITABLE);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct link_conn *c = poll->data;
    if (status < 0)
        events = UV_READABLE | UV_WRITABLE; /* the next system call tells what is wrong */
    switch (c->state) {
    case LINK_TUNNEL:
        link_dial_ready(c);
        break;
    case LINK_HEADER:
        link_header_ready(c);
        break;
    case LINK_HANDSHAKE:
        shake_hands(c);
        break;
    case LINK_READY:
        if (events & UV_READABLE || c->read_blocked)
            read_some(c);
        mark_dirty(c);
        break;
    default:
        break;
    }
}

/* ---- the end ---- */

static void unlink_conn(struct link_conn *c)
{
    struct link_loop *l = c->l;
    if (c->prev)
        c->prev->next = c->next;
    else
        l->conns = c->next;
    if (c->next)
        c->next->prev = c->prev;
    for (struct link_conn **p = &l->dirty; *p; p = &(*p)->dirty_next) {
        if (*p == c) {
            *p = c->dirty_next;
            break;
        }
    }
    l->n_conns--;
}

/* All handles are closed: nothing of libuv points here any more. */
static void finish(struct link_conn *c)
{
    struct link_loop *l = c->l;
    for (size_t i = 0; c->y && i < yamux_stream_count(c->y); i++) {
        uint32_t id = yamux_stream_at(c->y, i);
        stream_closed(c, id, yamux_user(c->y, id), -ECONNABORTED);
    }
    if (c->ops->on_closed)
        c->ops->on_closed(c, c->reason, c->user);
    unlink_conn(c);
    SSL_free(c->ssl);
    ERR_clear_error();
    yamux_free(c->y);
    tls_ctx_free(c->tls);
    if (c->fd >= 0)
        close(c->fd);
    free(c->reason);
    free(c);
    if (l->closing)
        loop_release(l);
    else
        link_listen_resume(l);
}

static void on_handle_closed(uv_handle_t *h)
{
    struct link_conn *c = h->data;
    if (--c->handles == 0)
        finish(c);
}

void link_conn_fail(struct link_conn *c, const struct err *reason)
{
    if (c->state == LINK_CLOSED)
        return;
    if (c->state < LINK_READY)
        c->l->n_young--;
    c->state = LINK_CLOSED;
    c->reason = mem_alloc(sizeof(*c->reason));
    *c->reason = *reason;
    link_dial_free(c);
    link_header_free(c);
    if (c->fd >= 0)
        uv_close((uv_handle_t *)&c->poll, on_handle_closed);
    uv_close((uv_handle_t *)&c->timer, on_handle_closed);
}

void link_conn_close(struct link_conn *c)
{
    const struct err reason = {.code = 0, .message = "closed by this side"};
    if (c->state == LINK_READY) {
        yamux_goaway(c->y, 0);
        flush_rest(c);
        SSL_shutdown(c->ssl);
        ERR_clear_error();
    }
    link_conn_fail(c, &reason);
}

/* ---- what the owner calls ---- */

void link_conn_goaway(struct link_conn *c)
{
    if (c->state != LINK_READY)
        return;
    yamux_goaway(c->y, 0);
    mark_dirty(c);
}

const struct link_peer *link_conn_peer(const struct link_conn *c)
{
    return &c->peer;
}

int64_t link_conn_rtt_ms(const struct link_conn *c)
{
    return c->y ? yamux_rtt_ms(c->y) : -1;
}

void *link_conn_user(const struct link_conn *c)
{
    return c->user;
}

void link_conn_set_user(struct link_conn *c, void *user)
{
    c->user = user;
}

int link_stream_open(struct link_conn *c, void *stream_user, uint32_t *ret_stream)
{
    if (c->state != LINK_READY)
        return -ENOTCONN;
    uint32_t id;
    int r = yamux_open(c->y, &id);
    if (r < 0)
        return r;
    yamux_set_user(c->y, id, stream_user);
    mark_dirty(c);
    *ret_stream = id;
    return 0;
}

ssize_t link_stream_write(struct link_conn *c, uint32_t stream, const void *data, size_t len)
{
    if (c->state != LINK_READY)
        return -ENOTCONN;
    mark_dirty(c);
    return yamux_write(c->y, stream, data, len);
}

void link_stream_consumed(struct link_conn *c, uint32_t stream, size_t n)
{
    if (c->state != LINK_READY)
        return;
    yamux_consumed(c->y, stream, n);
    mark_dirty(c);
}

void link_stream_close(struct link_conn *c, uint32_t stream)
{
    if (c->state != LINK_READY)
        return;
    yamux_close(c->y, stream);
    mark_dirty(c);
}

void link_stream_reset(struct link_conn *c, uint32_t stream)
{
    if (c->state != LINK_READY)
        return;
    yamux_reset(c->y, stream);
    mark_dirty(c);
}

void link_stream_set_user(struct link_conn *c, uint32_t stream, void *stream_user)
{
    if (c->y)
        yamux_set_user(c->y, stream, stream_user);
}
