/* The gate's control socket: what the operator says of workloads and revocations, and the customer's own commands. */
#include "agent/gate/gate_internal.h"

#include "base/unix_socket.h"

#include <sys/socket.h>

#define CLIENTS_MAX 16
#define WORKLOADS_MAX 4096

struct gate_client {
    struct gate *gate;
    struct gate_client *next;
    int fd;
    uv_poll_t poll;
};

static void on_client_closed(uv_handle_t *h)
{
    struct gate_client *c = h->data;
    close(c->fd);
    free(c);
}

static void drop(struct gate_client *c)
{
    struct gate *g = c->gate;
    for (struct gate_client **at = &g->clients; *at; at = &(*at)->next)
        if (*at == c) {
            *at = c->next;
            break;
        }
    if (g->operator== c)
        g->operator= NULL;
    uv_close((uv_handle_t *)&c->poll, on_client_closed);
}

/* A client that does not read is dropped: nothing waits for it. */
static bool tell(struct gate_client *c, json_t *message)
{
    autojson json_t *owned = message;
    autofree char *text = js_text(owned);
    size_t len = strlen(text);
    return len <= GATE_CONTROL_MAX && send(c->fd, text, len, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)len;
}

/* ---- what comes in ---- */

static void copy(char *out, size_t size, const json_t *o, const char *key)
{
    const char *text = json_string_value(json_object_get(o, key));
    snprintf(out, size, "%s", text ? text : "");
}

void gate_control_places(struct gate *g, const json_t *m)
{
    autojson json_t *list = NULL;
    json_t *v;
    const char *reader = json_string_value(json_object_get(m, "reader"));
    json_int_t from = json_integer_value(json_object_get(m, "from"));
    if (from == 0) {
        json_decref(g->coming);
        g->coming = json_array();
    }
    if (!g->coming || (json_int_t)json_array_size(g->coming) != from || from > WORKLOADS_MAX) {
        json_decref(TAKE_PTR(g->coming));
        return;
    }
    json_array_extend(g->coming, json_object_get(m, "workloads"));
    if (json_is_true(json_object_get(m, "more")))
        return;
    list = TAKE_PTR(g->coming);
    size_t i, n = MIN(json_array_size(list), (size_t)WORKLOADS_MAX);
    free(g->workloads);
    g->workloads = mem_alloc((n + 1) * sizeof(*g->workloads));
    g->n_workloads = n;
    g->server = json_is_true(json_object_get(m, "server"));
    if (reader) {
        free(g->reader);
        g->reader = mem_strdup(reader);
    }
    json_array_foreach(list, i, v)
    {
        if (i >= n)
            break;
        struct gate_workload *w = &g->workloads[i];
        copy(w->name, sizeof(w->name), v, "name");
        copy(w->state, sizeof(w->state), v, "state");
        copy(w->address, sizeof(w->address), v, "address");
        copy(w->role, sizeof(w->role), v, "role");
        copy(w->service, sizeof(w->service), v, "service");
        copy(w->slug, sizeof(w->slug), v, "slug");
        copy(w->error, sizeof(w->error), v, "error");
        w->restarts = (int)json_integer_value(json_object_get(v, "restarts"));
        w->since_ms = json_integer_value(json_object_get(v, "sinceMs"));
    }
}

static json_t *status(const struct gate *g)
{
    json_t *list = json_array();
    int64_t now = clock_mono_ms(g->config.clock);
    int known = 0;
    for (size_t i = 0; i < g->n_workloads; i++)
        known += g->reader && !strcmp(g->workloads[i].role, "clickhouse") && *g->workloads[i].address;
    for (const struct grant *grant = grants_first(g->grants); grant; grant = grant->next)
        json_array_append_new(list, json_pack("{ss ss sI sI}", "id", grant->id, "by", grant->by, "remainingMs",
                                              (json_int_t)(grant->ends_ms - now), "sessions",
                                              (json_int_t)gate_conn_count(g, grant->id)));
    return json_pack("{ss ss sb so sI s{si ss ss ss}}", "type", "status", "pin", authority_pin(g->authority), "locked",
                     (int)g->locked, "grants", list, "connections", (json_int_t)g->n_conns, "engines", "known", known,
                     "kind", g->server ? "server" : "embedded", "judge",
                     g->server ? "the statement list, and the server's own rights"
                               : "the statement list alone: the embedded engine has no rights of its own for the gate",
                     "users",
                     g->server ? "one for each grant, with its views' rights, dropped with it"
                               : "one for each grant, kept by the server in front of the engine, dropped with it");
}

static void take(struct gate_client *c, const json_t *m)
{
    struct gate *g = c->gate;
    const char *type = json_string_value(json_object_get(m, "type"));
    const char *grant = json_string_value(json_object_get(m, "grant"));
    const char *why = json_string_value(json_object_get(m, "why"));
    if (!type)
        return;
    if (!strcmp(type, "places")) {
        g->operator= c;
        gate_control_places(g, m);
    } else if (!strcmp(type, "revoke") && grant && uuid_valid(grant)) {
        gate_end_grant(g, grant, why ? why : "it was revoked");
    } else if (!strcmp(type, "log")) {
        gate_stream_logs(g, (uint64_t)json_integer_value(json_object_get(m, "ask")),
                         json_string_value(json_object_get(m, "text")));
    } else if (!strcmp(type, "lock")) {
        g->locked = true;
        gate_end_all(g, "the customer has locked the data plane");
        tell(c, status(g));
    } else if (!strcmp(type, "unlock")) {
        g->locked = false;
        tell(c, status(g));
    } else if (!strcmp(type, "status")) {
        tell(c, status(g));
    }
}

static void on_client(uv_poll_t *poll, int error, int events)
{
    static char text[GATE_CONTROL_MAX]; /* one thread */
    struct gate_client *c = poll->data;
    autojson json_t *m = NULL;
    ssize_t n = error < 0 ? 0 : recv(c->fd, text, sizeof(text), MSG_DONTWAIT | MSG_TRUNC);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0 || (size_t)n > sizeof(text) || js_parse(text, (size_t)n, sizeof(text), &m, NULL) < 0) {
        drop(c);
        return;
    }
    take(c, m);
}

/* Only root and our own user may say anything here. */
static bool trusted(int fd)
{
    struct ucred who;
    socklen_t len = sizeof(who);
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0 && (who.uid == 0 || who.uid == geteuid());
}

static void on_knock(uv_poll_t *poll, int error, int events)
{
    struct gate *g = poll->data;
    size_t n = 0;
    int fd = accept4(g->control_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    for (const struct gate_client *c = g->clients; c; c = c->next)
        n++;
    if (fd < 0)
        return;
    struct gate_client *c = mem_alloc(sizeof(*c));
    if (n >= CLIENTS_MAX || !trusted(fd) || uv_poll_init(g->loop, &c->poll, fd) < 0) {
        close(fd);
        free(c);
        return;
    }
    c->gate = g;
    c->fd = fd;
    c->poll.data = c;
    c->next = g->clients;
    g->clients = c;
    uv_poll_start(&c->poll, UV_READABLE, on_client);
}

/* ---- what goes out ---- */

void gate_control_ended(struct gate *g, const char *grant)
{
    for (struct gate_client *c = g->clients, *next; c; c = next) {
        next = c->next;
        if (!tell(c, json_pack("{ss ss}", "type", "ended", "grant", grant)))
            drop(c);
    }
}

bool gate_control_ask_logs(struct gate *g, uint64_t ask, const char *workload, int64_t lines)
{
    return g->operator&& tell(g->operator, json_pack("{ss sI ss sI}", "type", "logs", "ask", (json_int_t)ask,
                                                     "workload", workload, "lines", (json_int_t)lines));
}

/* ---- life ---- */

int gate_control_open(struct gate *g, struct err *err)
{
    autoclose int fd = unix_listen(g->config.control_socket, SOCK_SEQPACKET, 16, err);
    if (fd < 0)
        return fd;
    int r = uv_poll_init(g->loop, &g->control, fd);
    if (r < 0)
        return err_set_errno(err, r, "cannot watch a socket");
    g->control_fd = oh_take_fd(&fd);
    g->control.data = g;
    uv_poll_start(&g->control, UV_READABLE, on_knock);
    return 0;
}

static void on_control_closed(uv_handle_t *h)
{
    struct gate *g = h->data;
    close(g->control_fd);
    g->control_fd = -1;
}

void gate_control_close(struct gate *g)
{
    while (g->clients)
        drop(g->clients);
    uv_close((uv_handle_t *)&g->control, on_control_closed);
}
