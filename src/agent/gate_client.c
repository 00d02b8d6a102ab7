/* Speaks with the gate over its control socket. */
#include "agent/gate_client.h"

#include "base/mem.h"
#include "base/unix_socket.h"

#include <sys/socket.h>

#define RETRY_MS 500
#define MESSAGE_MAX KIB(160)
#define LOG_MAX KIB(120)

struct gate_client {
    struct gate_client_config config;
    char *socket;
    int fd; /* -1: not connected */
    uv_poll_t poll;
    uv_timer_t timer;
    bool polling, closing;
    int handles;
};

static void connect_gate(struct gate_client *c);

static void release(struct gate_client *c)
{
    if (c->closing && !c->handles) {
        free(c->socket);
        free(c);
    }
}

static void on_retry(uv_timer_t *t)
{
    connect_gate(t->data);
}

static void on_poll_closed(uv_handle_t *h)
{
    struct gate_client *c = h->data;
    close(c->fd);
    c->fd = -1;
    c->polling = false;
    c->handles--;
    if (c->closing)
        release(c);
    else
        uv_timer_start(&c->timer, on_retry, RETRY_MS, 0);
}

static void disconnect(struct gate_client *c)
{
    if (c->polling && !uv_is_closing((uv_handle_t *)&c->poll))
        uv_close((uv_handle_t *)&c->poll, on_poll_closed);
}

static void tell(struct gate_client *c, json_t *message)
{
    autojson json_t *owned = message;
    autofree char *text = js_text(owned);
    size_t len = strlen(text);
    if (c->polling && (len > MESSAGE_MAX || send(c->fd, text, len, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)len))
        disconnect(c);
}

static void take(struct gate_client *c, const json_t *m)
{
    const char *type = json_string_value(json_object_get(m, "type"));
    const char *grant = json_string_value(json_object_get(m, "grant"));
    const char *workload = json_string_value(json_object_get(m, "workload"));
    if (type && !strcmp(type, "ended") && grant) {
        c->config.ended(grant, c->config.data);
    } else if (type && !strcmp(type, "status")) {
        c->config.status(m, c->config.data);
    } else if (type && !strcmp(type, "logs") && workload) {
        autofree char *text = c->config.log(workload, json_integer_value(json_object_get(m, "lines")), c->config.data);
        size_t len = text ? strlen(text) : 0;
        /* The newest part, from the start of a line. */
        const char *from = text && len > LOG_MAX ? strchr(text + len - LOG_MAX, '\n') : text;
        json_t *said = from ? json_string(from) : NULL;
        tell(c, json_pack("{ss sO so}", "type", "log", "ask", json_object_get(m, "ask"), "text",
                          said ? said : json_null()));
    }
}

static void on_poll(uv_poll_t *poll, int error, int events)
{
    static char text[MESSAGE_MAX]; /* one thread */
    struct gate_client *c = poll->data;
    autojson json_t *m = NULL;
    ssize_t n = error < 0 ? 0 : recv(c->fd, text, sizeof(text), MSG_DONTWAIT | MSG_TRUNC);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0 || (size_t)n > sizeof(text) || js_parse(text, (size_t)n, sizeof(text), &m, NULL) < 0)
        disconnect(c);
    else
        take(c, m);
}

static void connect_gate(struct gate_client *c)
{
    int room = 512 * 1024;
    if (c->polling || c->closing)
        return;
    autoclose int fd = unix_connect(c->socket, SOCK_SEQPACKET | SOCK_NONBLOCK, NULL);
    if (fd < 0 || uv_poll_init(c->config.loop, &c->poll, fd) < 0) {
        uv_timer_start(&c->timer, on_retry, RETRY_MS, 0);
        return;
    }
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
    c->fd = oh_take_fd(&fd);
    c->polling = true;
    c->handles++;
    c->poll.data = c;
    uv_poll_start(&c->poll, UV_READABLE, on_poll);
    if (c->config.locked(c->config.data))
        gate_client_lock(c, true);
    gate_client_changed(c);
}

struct gate_client *gate_client_new(const struct gate_client_config *config)
{
    struct gate_client *c = mem_alloc(sizeof(*c));
    c->config = *config;
    c->socket = mem_strdup(config->socket);
    c->fd = -1;
    c->handles = 1;
    uv_timer_init(config->loop, &c->timer);
    c->timer.data = c;
    connect_gate(c);
    return c;
}

static void on_timer_closed(uv_handle_t *h)
{
    struct gate_client *c = h->data;
    c->handles--;
    release(c);
}

void gate_client_free(struct gate_client *c)
{
    if (!c || c->closing)
        return;
    c->closing = true;
    disconnect(c);
    uv_close((uv_handle_t *)&c->timer, on_timer_closed);
}

void gate_client_changed(struct gate_client *c)
{
    if (c && c->polling)
        tell(c, c->config.places(c->config.data));
}

void gate_client_lock(struct gate_client *c, bool locked)
{
    tell(c, json_pack("{ss}", "type", locked ? "lock" : "unlock"));
}

void gate_client_revoke(struct gate_client *c, const char *grant, const char *why)
{
    if (c)
        tell(c, json_pack("{ss ss ss}", "type", "revoke", "grant", grant, "why", why));
}
