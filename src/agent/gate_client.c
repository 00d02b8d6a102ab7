/* Speaks with the gate over its control socket. */
#include "agent/gate_client.h"

#include "base/mem.h"
#include "base/unix_socket.h"

#include <sys/socket.h>

#define RETRY_MS 500
#define MESSAGE_MAX KIB(160)
#define LOG_MAX KIB(120)
#define PARTS_MAX 200 /* that wait: a gate that does not read so long is left */

struct gate_client {
    struct gate_client_config config;
    char *socket;
    int fd; /* -1: not connected */
    uv_poll_t poll;
    uv_timer_t timer;
    bool polling, closing;
    int handles;
    json_t *parts; /* of `places`, to be sent when the socket has room; the first is next */
};

static void connect_gate(struct gate_client *c);

static void release(struct gate_client *c)
{
    if (c->closing && !c->handles) {
        free(c->socket);
        json_decref(c->parts);
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

/* 1: there is no room now. */
static int send_one(struct gate_client *c, const json_t *message)
{
    autofree char *text = js_text(message);
    size_t len = strlen(text);
    ssize_t n = len > MESSAGE_MAX ? -1 : send(c->fd, text, len, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n == (ssize_t)len)
        return 0;
    return n < 0 && len <= MESSAGE_MAX && (errno == EAGAIN || errno == EWOULDBLOCK) ? 1 : -EIO;
}

static void on_poll(uv_poll_t *poll, int error, int events);

/* What waits goes out as there is room. */
static void flush(struct gate_client *c)
{
    int r = 0;
    while (c->polling && !uv_is_closing((uv_handle_t *)&c->poll) && json_array_size(c->parts) > 0 &&
           (r = send_one(c, json_array_get(c->parts, 0))) == 0)
        json_array_remove(c->parts, 0);
    if (r < 0)
        disconnect(c);
    else if (c->polling && !uv_is_closing((uv_handle_t *)&c->poll))
        uv_poll_start(&c->poll, UV_READABLE | (r ? UV_WRITABLE : 0), on_poll);
}

/* Goes before what waits. */
static void tell(struct gate_client *c, json_t *message)
{
    autojson json_t *owned = message;
    if (!c->polling)
        return;
    int r = send_one(c, owned);
    if (r < 0 || json_array_size(c->parts) > PARTS_MAX)
        disconnect(c);
    else if (r > 0)
        json_array_insert(c->parts, 0, owned);
    if (r > 0)
        flush(c);
}

json_t *gate_client_parts(const json_t *places, size_t size)
{
    const json_t *all = json_object_get(places, "workloads");
    size_t n = MIN(json_array_size(all), (size_t)GATE_CLIENT_WORKLOADS), at = 0;
    json_t *parts = json_array();
    do {
        json_t *part = json_copy((json_t *)(uintptr_t)places), *list = json_array();
        size_t from = at, bytes = 0;
        for (; at < n && (at == from || bytes < size); at++) {
            autofree char *text = js_text(json_array_get(all, at));
            bytes += strlen(text) + 1;
            json_array_append(list, json_array_get(all, at));
        }
        json_object_set_new(part, "workloads", list);
        json_object_set_new(part, "from", json_integer((json_int_t)from));
        json_object_set_new(part, "more", json_boolean(at < n));
        json_array_append_new(parts, part);
    } while (at < n);
    return parts;
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
    if (error == 0 && (events & UV_WRITABLE))
        flush(poll->data);
    if (error == 0 && !(events & UV_READABLE))
        return;
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
    json_array_clear(c->parts); /* the gate hears all of it anew */
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
    c->parts = json_array();
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
    if (!c || !c->polling)
        return;
    autojson json_t *places = c->config.places(c->config.data);
    json_t *message;
    size_t at;
    /* What is newer stands for what still waits; other messages stay. */
    for (at = json_array_size(c->parts); at-- > 0;) {
        const char *type = json_string_value(json_object_get(json_array_get(c->parts, at), "type"));
        if (!strcmp(type, "places"))
            json_array_remove(c->parts, at);
    }
    autojson json_t *parts = gate_client_parts(places, GATE_CLIENT_PART);
    json_array_foreach(parts, at, message) json_array_append(c->parts, message);
    flush(c);
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
