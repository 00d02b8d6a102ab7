/* The accepting side of link connections: PROXY header, and a listener with an admission gate. */
#include "net/link_internal.h"

#include "base/mem.h"
#include "net/proxyproto.h"

#include <netinet/in.h>
#include <netinet/tcp.h>

#define ACCEPT_PIECES 64 /* connections taken in one loop turn */
#define EXHAUSTED_MS 200 /* pause when the process is out of descriptors */
#define NOTSENT_LOWAT                                                                               \
    (128 * 1024) /* little in the kernel's queue, so that a small message need not wait behind bulk \
                  */
#define USER_TIMEOUT_MS 30000

void link_tune(int fd)
{
    /* Each is an improvement where the kernel has it, and none is needed for correctness. */
    int one = 1, timeout = USER_TIMEOUT_MS, low = NOTSENT_LOWAT;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout, sizeof(timeout));
    setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &low, sizeof(low));
    setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "bbr", 3);
}

/* ---- PROXY header ---- */

struct link_header {
    size_t len;
    uint8_t data[PROXYPROTO_MAX];
};

void link_header_free(struct link_conn *c)
{
    free(c->header);
    c->header = NULL;
}

/* Takes exactly the header's bytes: what follows belongs to TLS. */
void link_header_ready(struct link_conn *c)
{
    struct link_header *h = c->header;
    struct err err = ERR_INIT;
    struct proxyproto p;
    size_t want = MIN(proxyproto_need(h->data, h->len), sizeof(h->data));
    ssize_t n = recv(c->fd, h->data + h->len, want - h->len, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        err_set(&err, -ECONNRESET, "the connection ended within its PROXY header");
        link_conn_fail(c, &err);
        return;
    }
    h->len += (size_t)n;
    int r = proxyproto_parse(h->data, h->len, &p, &err);
    if (r < 0) {
        link_conn_fail(c, &err);
    } else if (r > 0) {
        if (!p.local)
            link_conn_address(c, (const struct sockaddr *)&p.src);
        link_header_free(c);
        int64_t deadline = c->deadline_ms;
        link_conn_handshake(c, NULL);
        if (c->state == LINK_HANDSHAKE)
            link_conn_deadline(c, deadline); /* the header's time counts */
    }
}

int link_conn_accept(struct link_loop *l, int fd, bool proxy_header, struct tls_ctx *tls, const struct link_ops *ops,
                     void *user, struct link_conn **ret, struct err *err)
{
    struct sockaddr_storage a = {0};
    socklen_t len = sizeof(a);
    if (getpeername(fd, (struct sockaddr *)&a, &len) < 0 || fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0) {
        int r = err_set_errno(err, -errno, "cannot take over a connection");
        close(fd);
        return r;
    }
    if (a.ss_family != AF_UNIX)
        link_tune(fd);
    int64_t deadline = clock_mono_ms(l->clock) + LINK_HANDSHAKE_MS;
    struct link_conn *c = link_conn_new(l, proxy_header ? LINK_HEADER : LINK_HANDSHAKE, deadline, tls, ops, user);
    link_conn_address(c, (const struct sockaddr *)&a);
    int r = link_conn_attach(c, fd, UV_READABLE, err);
    if (r < 0) {
        static const struct link_ops silent;
        const struct err reason = {.code = r};
        close(fd);
        c->ops = &silent;
        link_conn_fail(c, &reason);
        return r;
    }
    if (proxy_header)
        c->header = mem_alloc(sizeof(*c->header));
    else
        link_conn_handshake(c, NULL);
    *ret = c;
    return 0;
}

/* ---- listener ---- */

struct link_listener {
    struct link_loop *l; /* NULL: the loop went away first */
    struct link_listener *next;
    struct tls_ctx *tls;
    const struct link_ops *ops;
    void (*on_accept)(struct link_conn *c, void *user);
    void *user;
    size_t max_handshakes, max_connections;
    int fd;
    int handles;
    bool proxy_header, paused, exhausted;
    uv_poll_t poll;
    uv_timer_t timer;
};

static void on_connection(uv_poll_t *poll, int status, int events);

static bool has_room(const struct link_listener *ln)
{
    return ln->l->n_young < ln->max_handshakes && ln->l->n_conns < ln->max_connections && !ln->exhausted;
}

static void resume(struct link_listener *ln)
{
    if (ln->paused && has_room(ln)) {
        ln->paused = false;
        uv_poll_start(&ln->poll, UV_READABLE, on_connection);
    }
}

static void pause_listener(struct link_listener *ln)
{
    ln->paused = true;
    uv_poll_stop(&ln->poll);
}

static void on_recovered(uv_timer_t *timer)
{
    struct link_listener *ln = timer->data;
    ln->exhausted = false;
    resume(ln);
}

static void on_connection(uv_poll_t *poll, int status, int events)
{
    struct link_listener *ln = poll->data;
    for (int i = 0; i < ACCEPT_PIECES && has_room(ln); i++) {
        struct link_conn *c;
        int fd = accept4(ln->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)) {
            ln->exhausted = true;
            uv_timer_start(&ln->timer, on_recovered, EXHAUSTED_MS, 0);
        }
        if (fd < 0)
            break;
        if (link_conn_accept(ln->l, fd, ln->proxy_header, ln->tls, ln->ops, ln->user, &c, NULL) == 0 && ln->on_accept)
            ln->on_accept(c, ln->user);
        if (!ln->l)
            return;
    }
    if (!has_room(ln))
        pause_listener(ln);
}

void link_listen_resume(struct link_loop *l)
{
    for (struct link_listener *ln = l->listeners; ln; ln = ln->next)
        resume(ln);
}

void link_listen_orphan(struct link_loop *l)
{
    for (struct link_listener *ln = l->listeners; ln; ln = ln->next) {
        pause_listener(ln);
        uv_timer_stop(&ln->timer);
        ln->l = NULL;
    }
    l->listeners = NULL;
}

int link_listener_new(struct link_loop *l, int fd, bool proxy_header, size_t max_handshakes, size_t max_connections,
                      struct tls_ctx *tls, const struct link_ops *ops,
                      void (*on_accept)(struct link_conn *c, void *user), void *user, struct link_listener **ret,
                      struct err *err)
{
    struct link_listener *ln = mem_alloc(sizeof(*ln));
    int r = uv_poll_init(l->loop, &ln->poll, fd);
    if (r < 0) {
        free(ln);
        return err_set_errno(err, r, "cannot watch a listening socket");
    }
    uv_timer_init(l->loop, &ln->timer);
    ln->poll.data = ln->timer.data = ln;
    ln->handles = 2;
    ln->l = l;
    ln->next = l->listeners;
    ln->tls = tls_ctx_ref(tls);
    ln->ops = ops;
    ln->on_accept = on_accept;
    ln->user = user;
    ln->max_handshakes = max_handshakes;
    ln->max_connections = max_connections;
    ln->fd = fd;
    ln->proxy_header = proxy_header;
    l->listeners = ln;
    uv_poll_start(&ln->poll, UV_READABLE, on_connection);
    *ret = ln;
    return 0;
}

void link_listener_set_tls(struct link_listener *ln, struct tls_ctx *tls)
{
    struct tls_ctx *old = ln->tls;
    ln->tls = tls_ctx_ref(tls);
    tls_ctx_free(old);
}

static void on_listener_closed(uv_handle_t *h)
{
    struct link_listener *ln = h->data;
    if (--ln->handles)
        return;
    close(ln->fd);
    tls_ctx_free(ln->tls);
    free(ln);
}

void link_listener_free(struct link_listener *ln)
{
    if (!ln)
        return;
    for (struct link_listener **p = ln->l ? &ln->l->listeners : NULL; p && *p; p = &(*p)->next) {
        if (*p == ln) {
            *p = ln->next;
            break;
        }
    }
    ln->l = NULL; /* on_accept may have called us */
    uv_close((uv_handle_t *)&ln->poll, on_listener_closed);
    uv_close((uv_handle_t *)&ln->timer, on_listener_closed);
}
