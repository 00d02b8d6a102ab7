/* The dialling side of link connections: name, TCP to each address in turn, CONNECT through a proxy. */
#include "net/link_internal.h"

#include "base/mem.h"
#include "net/connect_proxy.h"

#include <netdb.h>

#define CONNECT_DEFAULT_MS 15000
#define ADDRESS_MS 5000 /* for one address, so that a dead one does not use up the time of the others */

/* One TCP connection being made. Closes by itself when `c` is NULL. */
struct attempt {
    uv_poll_t poll;
    struct link_conn *c;
    int fd;
};

/* A running name look-up outlives a connection that is closed meanwhile. */
struct resolve {
    uv_getaddrinfo_t req;
    struct link_conn *c;
};

struct link_dialling {
    char *host; /* where TCP goes: the proxy or the host itself */
    uint16_t port;
    char *server_name;
    int64_t until_ms; /* for all of it, before TLS */
    struct resolve *resolve;
    struct addrinfo *addresses, *at;
    struct attempt *attempt;
    struct buf request; /* CONNECT, may hold credentials; empty without a proxy */
    size_t sent;
    struct buf answer;
    struct err last; /* why the last address failed */
};

static void try_next(struct link_conn *c);

static void on_attempt_closed(uv_handle_t *h)
{
    struct attempt *a = CONTAINER_OF(h, struct attempt, poll);
    if (a->fd >= 0)
        close(a->fd);
    free(a);
}

static void drop_attempt(struct link_dialling *d)
{
    if (!d->attempt)
        return;
    d->attempt->c = NULL;
    uv_close((uv_handle_t *)&d->attempt->poll, on_attempt_closed);
    d->attempt = NULL;
}

void link_dial_free(struct link_conn *c)
{
    struct link_dialling *d = c->dialling;
    if (!d)
        return;
    drop_attempt(d);
    if (d->resolve) {
        d->resolve->c = NULL;
        uv_cancel((uv_req_t *)&d->resolve->req);
    }
    if (d->addresses)
        uv_freeaddrinfo(d->addresses);
    if (d->request.data)
        mem_wipe(d->request.data, d->request.cap);
    buf_free(&d->request);
    buf_free(&d->answer);
    free(d->host);
    free(d->server_name);
    free(d);
    c->dialling = NULL;
}

static void begin_tls(struct link_conn *c)
{
    autofree char *name = TAKE_PTR(c->dialling->server_name);
    link_dial_free(c);
    link_conn_handshake(c, name);
}

/* ---- TCP ---- */

static void connected(struct link_conn *c)
{
    struct link_dialling *d = c->dialling;
    struct err err = ERR_INIT;
    int fd = oh_take_fd(&d->attempt->fd);
    drop_attempt(d);
    link_tune(fd);
    link_conn_address(c, d->at->ai_addr);
    c->state = d->request.len ? LINK_TUNNEL : LINK_HANDSHAKE;
    if (link_conn_attach(c, fd, UV_READABLE | UV_WRITABLE, &err) < 0) {
        close(fd);
        link_conn_fail(c, &err);
        return;
    }
    link_conn_deadline(c, d->until_ms);
    if (c->state == LINK_HANDSHAKE)
        begin_tls(c);
}

static void on_attempt(uv_poll_t *poll, int status, int events)
{
    struct attempt *a = CONTAINER_OF(poll, struct attempt, poll);
    struct link_conn *c = a->c;
    int error = 0;
    socklen_t len = sizeof(error);
    if (!c)
        return;
    if (getsockopt(a->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
        error = errno;
    if (!error) {
        connected(c);
        return;
    }
    c->dialling->last = ERR_INIT;
    err_set_errno(&c->dialling->last, -error, "cannot connect to %s port %u", c->dialling->host, c->dialling->port);
    drop_attempt(c->dialling);
    c->dialling->at = c->dialling->at->ai_next;
    try_next(c);
}

/* 0: under way. */
static int try_address(struct link_conn *c, const struct addrinfo *a, struct err *err)
{
    struct link_dialling *d = c->dialling;
    autoclose int fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || (connect(fd, a->ai_addr, a->ai_addrlen) < 0 && errno != EINPROGRESS))
        return err_set_errno(err, -errno, "cannot connect to %s port %u", d->host, d->port);
    struct attempt *t = mem_alloc(sizeof(*t));
    int r = uv_poll_init(c->l->loop, &t->poll, fd);
    if (r < 0) {
        free(t);
        return err_set_errno(err, r, "cannot watch a socket");
    }
    t->fd = oh_take_fd(&fd);
    t->c = c;
    d->attempt = t;
    uv_poll_start(&t->poll, UV_WRITABLE, on_attempt);
    link_conn_deadline(c, MIN(d->until_ms, link_now(c) + ADDRESS_MS));
    return 0;
}

static void try_next(struct link_conn *c)
{
    struct link_dialling *d = c->dialling;
    for (; d->at; d->at = d->at->ai_next) {
        struct err err = ERR_INIT;
        if (try_address(c, d->at, &err) == 0)
            return;
        d->last = err;
    }
    struct err reason = d->last;
    link_conn_fail(c, &reason);
}

void link_dial_timeout(struct link_conn *c, int64_t now_ms)
{
    struct link_dialling *d = c->dialling;
    struct err err = ERR_INIT;
    err_set(&err, -ETIMEDOUT, "%s port %u did not answer in time", d->host, d->port);
    if (c->state == LINK_TUNNEL || now_ms >= d->until_ms || !d->attempt) {
        link_conn_fail(c, &err);
        return;
    }
    d->last = err;
    drop_attempt(d);
    d->at = d->at->ai_next;
    try_next(c);
}

/* ---- name ---- */

static void on_resolved(uv_getaddrinfo_t *req, int status, struct addrinfo *list)
{
    struct resolve *s = CONTAINER_OF(req, struct resolve, req);
    struct link_conn *c = s->c;
    free(s);
    if (!c) {
        uv_freeaddrinfo(list);
        return;
    }
    struct link_dialling *d = c->dialling;
    d->resolve = NULL;
    d->addresses = d->at = list;
    err_set(&d->last, -EHOSTUNREACH, "cannot find the address of %s: %s", d->host,
            status < 0 ? uv_strerror(status) : "it has none");
    if (status < 0)
        d->at = NULL;
    try_next(c);
}

static int start_resolve(struct link_conn *c, struct err *err)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct link_dialling *d = c->dialling;
    struct resolve *s = mem_alloc(sizeof(*s));
    char port[8];
    snprintf(port, sizeof(port), "%u", d->port);
    s->c = c;
    int r = uv_getaddrinfo(c->l->loop, &s->req, on_resolved, d->host, port, &hints);
    if (r < 0) {
        free(s);
        return err_set_errno(err, r, "cannot look up %s", d->host);
    }
    d->resolve = s;
    return 0;
}

/* ---- tunnel ---- */

static int send_request(struct link_conn *c)
{
    struct link_dialling *d = c->dialling;
    while (d->sent < d->request.len) {
        ssize_t n = send(c->fd, d->request.data + d->sent, d->request.len - d->sent, MSG_NOSIGNAL);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return 0;
        if (n < 0)
            return -errno;
        d->sent += (size_t)n;
    }
    link_conn_poll(c, UV_READABLE);
    return 0;
}

/* 1: the tunnel is open. Nothing may follow the answer: in TLS the client speaks first. */
static int read_answer(struct link_conn *c, struct err *err)
{
    struct link_dialling *d = c->dialling;
    char piece[1024];
    for (;;) {
        ssize_t n = recv(c->fd, piece, sizeof(piece), 0);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return 0;
        if (n <= 0)
            return err_set(err, -ECONNRESET, "the proxy %s closed the connection without an answer", d->host);
        buf_add(&d->answer, piece, (size_t)n);
        int r = connect_proxy_response(d->answer.data, d->answer.len, err);
        if (r < 0)
            return r;
        if (r > 0 && (size_t)r != d->answer.len)
            return err_set(err, -EPROTO, "the proxy %s sent data of its own after opening the tunnel", d->host);
        if (r > 0)
            return 1;
    }
}

void link_dial_ready(struct link_conn *c)
{
    struct err err = ERR_INIT;
    int r = send_request(c);
    if (r < 0)
        err_set_errno(&err, r, "writing to the proxy %s", c->dialling->host);
    else
        r = read_answer(c, &err);
    if (r < 0)
        link_conn_fail(c, &err);
    else if (r > 0)
        begin_tls(c);
}

int link_conn_dial(struct link_loop *l, const struct link_dial *dial, struct tls_ctx *tls, const struct link_ops *ops,
                   void *user, struct link_conn **ret, struct err *err)
{
    struct link_dialling *d = mem_alloc(sizeof(*d));
    int64_t wait = dial->connect_timeout_ms > 0 ? dial->connect_timeout_ms : CONNECT_DEFAULT_MS;
    d->until_ms = clock_mono_ms(l->clock) + wait;
    d->host = mem_strdup(dial->proxy_host ? dial->proxy_host : dial->host);
    d->port = dial->proxy_host ? dial->proxy_port : dial->port;
    d->server_name = mem_strdup(dial->server_name ? dial->server_name : dial->host);
    d->answer.max = CONNECT_PROXY_MAX + 1024;
    struct link_conn *c = link_conn_new(l, LINK_CONNECT, d->until_ms, tls, ops, user);
    c->dialled = true;
    c->dialling = d;
    int r =
        dial->proxy_host ? connect_proxy_request(dial->host, dial->port, dial->proxy_credentials, &d->request, err) : 0;
    if (r == 0)
        r = start_resolve(c, err);
    if (r < 0) {
        static const struct link_ops silent;
        const struct err reason = {.code = r};
        c->ops = &silent;
        link_conn_fail(c, &reason);
        return r;
    }
    *ret = c;
    return 0;
}

int link_conn_adopt(struct link_loop *l, int fd, const char *server_name, struct tls_ctx *tls,
                    const struct link_ops *ops, void *user, struct link_conn **ret, struct err *err)
{
    int64_t deadline = clock_mono_ms(l->clock) + LINK_DIALLED_HANDSHAKE_MS;
    struct link_conn *c = link_conn_new(l, LINK_HANDSHAKE, deadline, tls, ops, user);
    int r = fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0 ? -errno : 0;
    c->dialled = true;
    snprintf(c->peer.address, sizeof(c->peer.address), "unix");
    if (r < 0)
        err_set_errno(err, r, "cannot take over a connection");
    else
        r = link_conn_attach(c, fd, UV_READABLE, err);
    if (r < 0) {
        static const struct link_ops silent;
        const struct err reason = {.code = r};
        close(fd);
        c->ops = &silent;
        link_conn_fail(c, &reason);
        return r;
    }
    *ret = c; /* a quick peer makes on_ready come from within the handshake */
    link_conn_handshake(c, server_name);
    return 0;
}
