/* One held connection from its PROXY header to its end. */
#include "agent/activator/internal.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#define READING_MS 5000
#define JOINING_MS 5000
#define REFUSED_MS 2000
#define REFUSED_BYTES MIB(1) /* of a request that nobody wants any more: read, so that the answer is not lost */
#define RETRY_LATER_S 10
#define RETRY_SOON_S 5

static void on_client(uv_poll_t *poll, int status, int events);

static void set_state(struct conn *c, enum conn_state state)
{
    bool was = c->state == CONN_HELD, is = state == CONN_HELD;
    c->state = state;
    if (was == is)
        return;
    c->a->n_held += is - was;
    c->service->held += is - was;
    /* The list tells who is wanted, not by how many. */
    if (c->service->held == (is ? 1 : 0))
        control_tell(c->a);
}

static void on_closed(uv_handle_t *h)
{
    struct conn *c = h->data;
    free(c->up.data);
    free(c->down.data);
    free(c);
}

static void free_handle(uv_handle_t *h)
{
    free(h);
}

static void leave_engine(struct conn *c)
{
    if (c->engine < 0)
        return;
    uv_close((uv_handle_t *)TAKE_PTR(c->engine_poll), free_handle);
    close(c->engine);
    c->engine = -1;
}

void conn_close(struct conn *c)
{
    struct activator *a = c->a;
    if (c->closing)
        return;
    c->closing = true;
    set_state(c, CONN_REFUSED);
    leave_engine(c);
    if (c->prev)
        c->prev->next = c->next;
    else
        a->conns = c->next;
    if (c->next)
        c->next->prev = c->prev;
    a->n_conns--;
    uv_close((uv_handle_t *)&c->client_poll, on_closed);
    close(c->client);
}

void conn_refuse(struct conn *c, int retry_after_s, const char *sentence)
{
    char text[1024];
    if (c->protocol != PROTOCOL_HTTP) {
        conn_close(c);
        return;
    }
    int n =
        snprintf(text, sizeof(text),
                 "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\nRetry-After: %d\r\n"
                 "Content-Length: %zu\r\nConnection: close\r\n\r\n%s",
                 retry_after_s, strlen(sentence), sentence);
    set_state(c, CONN_REFUSED);
    if (send(c->client, text, (size_t)n, MSG_NOSIGNAL) != n) {
        conn_close(c);
        return;
    }
    shutdown(c->client, SHUT_WR);
    c->deadline_ms = clock_mono_ms(c->a->c.clock) + REFUSED_MS;
    uv_poll_start(&c->client_poll, UV_READABLE, on_client);
    activator_hurry(c->a);
}

/* ---- the header ---- */

void conn_hold(struct conn *c)
{
    set_state(c, CONN_HELD);
    c->deadline_ms = c->until_ms;
    /* What the client sends stays where it is; that it leaves is heard of. */
    uv_poll_start(&c->client_poll, UV_DISCONNECT, on_client);
    activator_hurry(c->a);
}

static int port_of(const struct sockaddr_storage *s)
{
    if (s->ss_family == AF_INET)
        return ntohs(((const struct sockaddr_in *)s)->sin_port);
    return s->ss_family == AF_INET6 ? ntohs(((const struct sockaddr_in6 *)s)->sin6_port) : 0;
}

static void identify(struct conn *c, const struct proxyproto *p)
{
    struct activator *a = c->a;
    char text[300];
    struct service *s = p->local ? NULL : activator_service(a, port_of(&p->dst));
    if (!s) {
        conn_refuse(c, RETRY_SOON_S, "The service is not known here yet. Try again in a few seconds.\n");
        return;
    }
    if (s->held >= a->c.max_of_service) {
        snprintf(text, sizeof(text),
                 "Service %s is waking up, and %d connections wait for it already. Try again in a few seconds.\n",
                 s->entry->slug, s->held);
        conn_refuse(c, RETRY_SOON_S, text);
        return;
    }
    c->service = s;
    c->until_ms = clock_mono_ms(a->c.clock) + a->c.hold_ms;
    if (!s->held)
        s->wanted_ms = clock_mono_ms(a->c.clock);
    conn_hold(c);
    probe_begin(a, s);
}

/* Takes exactly the header. */
static void read_head(struct conn *c)
{
    struct proxyproto p;
    for (;;) {
        size_t need = proxyproto_need(c->head, c->have);
        if (need > sizeof(c->head)) {
            conn_close(c);
            return;
        }
        ssize_t n = recv(c->client, c->head + c->have, need - c->have, 0);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n <= 0) {
            conn_close(c);
            return;
        }
        c->have += (size_t)n;
        int r = proxyproto_parse(c->head, c->have, &p, NULL);
        if (r < 0)
            conn_close(c);
        else if (r > 0)
            identify(c, &p);
        if (r != 0)
            return;
    }
}

static void drop(struct conn *c)
{
    struct activator *a = c->a;
    ssize_t n = recv(c->client, a->scratch, sizeof(a->scratch), 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    c->dropped += n > 0 ? (size_t)n : 0;
    if (n <= 0 || c->dropped > REFUSED_BYTES)
        conn_close(c);
}

static void on_client(uv_poll_t *poll, int status, int events OH_UNUSED)
{
    struct conn *c = poll->data;
    if (status < 0 || c->state == CONN_HELD || c->state == CONN_JOINING)
        conn_close(c); /* it left */
    else if (c->state == CONN_READING)
        read_head(c);
    else
        drop(c);
}

void conn_new(struct activator *a, int fd, enum protocol protocol)
{
    /* Refused ones get a word as long as there is room for that. */
    if (a->n_conns >= a->c.max_connections + a->c.max_connections / 8 + 1) {
        close(fd);
        return;
    }
    struct conn *c = mem_alloc(sizeof(*c));
    *c = (struct conn){.a = a, .protocol = protocol, .client = fd, .engine = -1, .next = a->conns};
    if (uv_poll_init(a->c.loop, &c->client_poll, fd) < 0) {
        close(fd);
        free(c);
        return;
    }
    c->client_poll.data = c;
    if (c->next)
        c->next->prev = c;
    a->conns = c;
    a->n_conns++;
    c->deadline_ms = clock_mono_ms(a->c.clock) + READING_MS;
    if (a->n_conns > a->c.max_connections) {
        conn_refuse(c, RETRY_SOON_S,
                    "Too many connections wait for services that sleep. Try again in a few seconds.\n");
        return;
    }
    uv_poll_start(&c->client_poll, UV_READABLE, on_client);
    activator_hurry(a);
}

void conn_expire(struct conn *c, int64_t now_ms)
{
    char text[300];
    if (c->state == CONN_PASSING || now_ms < c->deadline_ms)
        return;
    if (c->state == CONN_JOINING && now_ms < c->until_ms) {
        leave_engine(c);
        conn_hold(c);
    } else if (c->state == CONN_HELD || c->state == CONN_JOINING) {
        leave_engine(c);
        snprintf(text, sizeof(text),
                 "Service %s was asleep and did not wake within %lld seconds. It is tried further: try again later.\n",
                 c->service->entry ? c->service->entry->slug : "that was asked for", (long long)c->a->c.hold_ms / 1000);
        conn_refuse(c, RETRY_LATER_S, text);
    } else {
        conn_close(c);
    }
}

/* ---- the engine ---- */

static void on_engine(uv_poll_t *poll, int status, int events OH_UNUSED)
{
    struct conn *c = poll->data;
    int failed = 0;
    socklen_t len = sizeof(failed);
    if (getsockopt(c->engine, SOL_SOCKET, SO_ERROR, &failed, &len) < 0 || status < 0 || failed) {
        leave_engine(c);
        conn_hold(c);
        return;
    }
    c->state = CONN_PASSING;
    if (pass_step(c) < 0)
        conn_close(c);
}

void conn_join(struct conn *c, const struct sockaddr_storage *engine)
{
    struct sockaddr_storage to = *engine;
    struct activator *a = c->a;
    int port = c->protocol == PROTOCOL_HTTP ? a->c.engine_http_port : a->c.engine_native_port, one = 1;
    socklen_t len = to.ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    if (to.ss_family == AF_INET)
        ((struct sockaddr_in *)&to)->sin_port = htons((uint16_t)port);
    else
        ((struct sockaddr_in6 *)&to)->sin6_port = htons((uint16_t)port);
    autofree uv_poll_t *poll = mem_alloc(sizeof(*poll));
    int fd = socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || (connect(fd, (struct sockaddr *)&to, len) < 0 && errno != EINPROGRESS) ||
        uv_poll_init(a->c.loop, poll, fd) < 0) {
        if (fd >= 0)
            close(fd);
        return; /* still held: the next answer to a probe tries again */
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    c->engine = fd;
    poll->data = c;
    c->engine_poll = TAKE_PTR(poll);
    set_state(c, CONN_JOINING);
    c->deadline_ms = clock_mono_ms(a->c.clock) + JOINING_MS;
    uv_poll_start(c->engine_poll, UV_WRITABLE, on_engine);
}
