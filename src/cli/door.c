/* Carries an engineer's local connections to the gate. */
#include "cli/door.h"

#include "base/mem.h"
#include "consent/device.h"
#include "net/link_msg.h"
#include "net/link_pipe.h"

#include <signal.h>
#include <sys/socket.h>

#define ANSWER_MAX KIB(64)
#define ASK_MAX KIB(400)
#define TRY_MS 30000 /* for a whole opening */
#define BACKLOG 32

struct way;

struct listening {
    struct door *door;
    struct door_target *target;
    int fd;
    uv_poll_t poll;
};

struct door {
    const struct door_config *config;
    uv_loop_t loop;
    struct link_loop *links;
    struct yamux_limits limits;
    struct yamux_budget budget;
    struct tls_key *key; /* of this session's certificates */
    struct tls_cert *cert;
    struct way *session, *opening;
    struct listening listening[DOOR_TARGETS_MAX];
    size_t n_listening;
    uv_timer_t renew, limit;
    uv_signal_t signals[2];
    uv_thread_t thread;
    uv_async_t beside_done;
    bool told, threaded, ending;
    int64_t remaining_ms;
    int result;
    struct err *err;
};

/* One connection to the relay, and inside it one to the gate. */
struct way {
    struct door *door;
    bool opens; /* asks for a certificate, then ends; else the session */
    struct link_conn *outer, *inner;
    uint32_t stream, ask_stream;
    struct link_msg_reader reader; /* the relay's answer, then the gate's */
    struct link_pipe *pipe;
    int inner_fd;
    struct buf out; /* the opening message, from out_at on */
    size_t out_at;
    bool closing;
};

/* One local connection. */
struct local {
    struct way *way;
    int fd; /* until it is piped */
    uint32_t stream;
    struct link_msg_reader reader;
    struct link_pipe *pipe;
};

/* ---- end ---- */

static void close_way(struct way *w);

static void end(struct door *d, int result, const char *who, const char *detail)
{
    if (d->ending)
        return;
    d->ending = true;
    d->result = result;
    if (result < 0)
        err_set(d->err, result, "%s%s", who, detail);
    if (d->session)
        close_way(d->session);
    if (d->opening)
        close_way(d->opening);
    uv_stop(&d->loop);
}

static void fail(struct door *d, int code, const char *sentence)
{
    end(d, code, "", sentence);
}

static void release_way(struct way *w)
{
    if (w->outer || w->inner || w->pipe)
        return;
    if (w->door->session == w)
        w->door->session = NULL;
    if (w->door->opening == w)
        w->door->opening = NULL;
    link_msg_reader_free(&w->reader);
    buf_free(&w->out);
    free(w);
}

static void close_way(struct way *w)
{
    if (w->closing)
        return;
    w->closing = true;
    if (w->inner)
        link_conn_close(w->inner);
    else if (w->pipe)
        link_pipe_end(w->pipe);
    if (w->outer && !w->inner)
        link_conn_close(w->outer);
}

/* ---- local connections ---- */

static void free_local(struct local *l)
{
    if (l->fd >= 0)
        close(l->fd);
    link_msg_reader_free(&l->reader);
    free(l);
}

static void on_local_done(struct link_pipe *p, void *user)
{
    struct local *l = user;
    l->pipe = NULL;
    free_local(l);
}

static void refuse_local(struct local *l, const char *sentence)
{
    autofree char *text = mem_printf("HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n"
                                     "Connection: close\r\n\r\n%s\n",
                                     strlen(sentence) + 1, sentence);
    (void)!send(l->fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void local_data(struct way *w, struct local *l, const void *data, size_t len)
{
    const uint8_t *at = data;
    size_t left = len;
    autojson json_t *answer = NULL;
    if (!l->pipe) {
        int r = link_msg_read(&l->reader, &at, &left, &answer, NULL);
        const char *type = json_string_value(json_object_get(answer, "type"));
        const char *message = json_string_value(json_object_get(answer, "message"));
        link_stream_consumed(w->inner, l->stream, len - left);
        if (r == 0)
            return;
        int fd = oh_take_fd(&l->fd);
        if (r < 0 || !type || strcmp(type, "ready") ||
            link_pipe_new(&w->door->loop, w->inner, l->stream, fd, on_local_done, l, &l->pipe, NULL) < 0) {
            l->fd = fd;
            refuse_local(l, message ? message : "the gate refused this connection");
            link_stream_reset(w->inner, l->stream);
            free_local(l);
            return;
        }
        link_stream_set_user(w->inner, l->stream, l);
    }
    if (left)
        link_pipe_data(l->pipe, at, left);
}

static void begin_local(struct door *d, struct door_target *target, int fd)
{
    struct way *w = d->session;
    struct local *l = mem_alloc(sizeof(*l));
    autobuf struct buf out = BUF_INIT;
    autojson json_t *ask =
        json_pack("{ss ss ss}", "type", "target", "target", target->name, "service", target->service);
    l->way = w;
    l->fd = fd;
    link_msg_reader_init(&l->reader, ANSWER_MAX);
    if (!w || !w->inner || link_stream_open(w->inner, l, &l->stream) < 0 ||
        link_msg_write(ask, ANSWER_MAX, &out, NULL) < 0 ||
        link_stream_write(w->inner, l->stream, out.data, out.len) != (ssize_t)out.len)
        free_local(l);
}

static void on_knock(uv_poll_t *poll, int status, int events)
{
    struct listening *n = poll->data;
    int fd = accept4(n->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0)
        begin_local(n->door, n->target, fd);
}

static int listen_port(struct door *d, struct door_target *t)
{
    struct listening *n = &d->listening[d->n_listening];
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)t->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);
    int one = 1;
    autoclose int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
        bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, BACKLOG) < 0 ||
        getsockname(fd, (struct sockaddr *)&a, &len) < 0 || uv_poll_init(&d->loop, &n->poll, fd) < 0)
        return -errno;
    t->port = ntohs(a.sin_port);
    n->fd = oh_take_fd(&fd);
    n->door = d;
    n->target = t;
    n->poll.data = n;
    uv_poll_start(&n->poll, UV_READABLE, on_knock);
    d->n_listening++;
    return 0;
}

static void run_beside(void *user)
{
    struct door *d = user;
    d->config->beside(d->config->user);
    uv_async_send(&d->beside_done);
}

/* The session is there: open the ports, once. */
static void open_ports(struct door *d)
{
    uv_timer_stop(&d->limit);
    if (d->told)
        return;
    d->told = true;
    for (size_t i = 0; i < d->config->n_targets; i++)
        if (listen_port(d, &d->config->targets[i]) < 0) {
            fail(d, -EADDRINUSE, "a local port cannot be opened: give another with --port");
            return;
        }
    if (d->config->on_open)
        d->config->on_open(d->remaining_ms, d->config->user);
    if (d->config->beside)
        d->threaded = uv_thread_create(&d->thread, run_beside, d) == 0;
}

/* ---- inside: the gate ---- */

static struct way *dial(struct door *d, bool opens);

static void send_rest(struct way *w)
{
    while (w->out_at < w->out.len) {
        ssize_t n = link_stream_write(w->inner, w->ask_stream, w->out.data + w->out_at, w->out.len - w->out_at);
        if (n <= 0)
            return;
        w->out_at += (size_t)n;
    }
}

static void ask_opening(struct way *w)
{
    struct door *d = w->door;
    const struct door_config *c = d->config;
    unsigned char spki[SHA256_SIZE];
    char spki_hex[2 * SHA256_SIZE + 1], signature[DEVICE_SIGNATURE_SIZE];
    autofree char *csr = tls_csr_new(d->key);
    autojson json_t *ask = json_copy((json_t *)(uintptr_t)c->papers);
    int64_t now = clock_wall_ms(&clock_system);
    tls_key_spki(d->key, spki);
    hex_encode(spki, sizeof(spki), spki_hex);
    device_sign(c->device, DEVICE_FOR_GATE, c->grant, now, spki_hex, signature);
    json_object_set_new(ask, "type", json_string("open"));
    json_object_set_new(ask, "csr", json_string(csr));
    json_object_set_new(ask, "time", json_integer(now));
    json_object_set_new(ask, "signature", json_string(signature));
    link_msg_reader_init(&w->reader, ANSWER_MAX);
    if (link_stream_open(w->inner, NULL, &w->ask_stream) < 0 || link_msg_write(ask, ASK_MAX, &w->out, NULL) < 0)
        fail(d, -EMSGSIZE, "the request and its signatures are too long to be sent");
    else
        send_rest(w);
}

static void on_inner_ready(struct link_conn *conn, const struct link_peer *peer, void *user)
{
    struct way *w = user;
    if (w->opens)
        ask_opening(w);
    else
        open_ports(w->door);
}

static void on_renew(uv_timer_t *t)
{
    struct door *d = t->data;
    if (!d->opening && !d->ending)
        d->opening = dial(d, true);
}

static void take_opened(struct way *w, const json_t *answer)
{
    struct door *d = w->door;
    const char *type = NULL, *text = NULL;
    int64_t left = 0, certificate = 0;
    struct err err = ERR_INIT;
    int r = js_string(answer, "", "type", 16, &type, &err);
    if (r == 0 && !strcmp(type, "error"))
        r = js_string(answer, "", "message", KIB(4), &text, &err) < 0 ? -EINVAL : err_set(&err, -EACCES, "%s", text);
    if (r == 0)
        r = js_string(answer, "", "certificate", TLS_PEM_MAX, &text, &err);
    if (r == 0)
        r = js_int(answer, "", "remainingMs", 0, INT64_MAX, &left, &err);
    if (r == 0)
        r = js_int(answer, "", "certificateMs", 0, INT64_MAX, &certificate, &err);
    if (r == 0) {
        tls_cert_free(TAKE_PTR(d->cert));
        r = tls_cert_parse(text, strlen(text), &d->cert, &err);
    }
    close_way(w);
    if (r < 0) {
        fail(d, r, err.message);
        return;
    }
    d->remaining_ms = left;
    uv_timer_start(&d->renew, on_renew, (uint64_t)MAX(certificate / 3 * 2, 1000), 0);
    if (!d->session)
        d->session = dial(d, false);
}

static void on_inner_data(struct link_conn *conn, uint32_t stream, void *stream_user, const void *data, size_t len,
                          void *user)
{
    struct way *w = user;
    const uint8_t *at = data;
    size_t left = len;
    autojson json_t *answer = NULL;
    if (!w->opens) {
        if (stream_user)
            local_data(w, stream_user, data, len);
        return;
    }
    int r = link_msg_read(&w->reader, &at, &left, &answer, NULL);
    link_stream_consumed(conn, stream, len);
    if (r < 0)
        fail(w->door, -EPROTO, "the gate's answer cannot be understood");
    else if (r > 0)
        take_opened(w, answer);
}

static void on_inner_writable(struct link_conn *conn, uint32_t stream, void *stream_user, void *user)
{
    struct way *w = user;
    struct local *l = stream_user;
    if (w->opens)
        send_rest(w);
    else if (l && l->pipe)
        link_pipe_writable(l->pipe);
}

static void on_inner_eof(struct link_conn *conn, uint32_t stream, void *stream_user, void *user)
{
    struct local *l = stream_user;
    if (l && l->pipe)
        link_pipe_eof(l->pipe);
}

static void on_inner_stream_closed(struct link_conn *conn, uint32_t stream, void *stream_user, int reason, void *user)
{
    struct local *l = stream_user;
    if (l && l->pipe)
        link_pipe_gone(l->pipe);
    else if (l)
        free_local(l);
}

static void on_inner_closed(struct link_conn *conn, const struct err *reason, void *user)
{
    struct way *w = user;
    struct door *d = w->door;
    char text[ERR_MESSAGE_MAX];
    w->inner = NULL;
    if (!w->closing) {
        if (w->opens || !d->told)
            snprintf(text, sizeof(text), "the gate could not be reached: %.300s%s", reason->message,
                     strstr(reason->message, "not yet valid") || strstr(reason->message, "expired")
                         ? " (is this machine's clock right?)"
                         : "");
        else
            snprintf(text, sizeof(text),
                     "the gate has ended the session: the grant's time is over, or it was revoked (%.200s)",
                     reason->message);
        fail(d, d->told ? -ECONNRESET : reason->code ? reason->code : -ECONNRESET, text);
    }
    w->closing = true;
    if (w->outer)
        link_conn_close(w->outer);
    release_way(w);
}

static const struct link_ops inner_ops = {
    .on_ready = on_inner_ready,
    .on_stream_data = on_inner_data,
    .on_stream_writable = on_inner_writable,
    .on_stream_eof = on_inner_eof,
    .on_stream_closed = on_inner_stream_closed,
    .on_closed = on_inner_closed,
};

static int inner_context(const struct way *w, struct tls_ctx **ret, struct err *err)
{
    const struct door *d = w->door;
    struct tls_client_config config = {
        .pins = &d->config->gate_pin,
        .pin_count = 1,
        .key = w->opens ? NULL : d->key,
        .cert = w->opens ? NULL : d->cert,
        .alpn = w->opens ? TLS_ALPN_GATE_OPEN : TLS_ALPN_GATE,
        .clock = &clock_system,
    };
    return tls_client_new(&config, ret, err);
}

static int begin_inner(struct way *w, struct err *err)
{
    autotlsctx struct tls_ctx *tls = NULL;
    int r = inner_context(w, &tls, err);
    return r < 0 ? r
                 : link_conn_adopt(w->door->links, oh_take_fd(&w->inner_fd), TLS_GATE_NAME, tls, &inner_ops, w,
                                   &w->inner, err);
}

/* What is inside through the relay is all there is on the straight way. */
static int dial_gate(struct way *w, struct err *err)
{
    const struct door_config *c = w->door->config;
    struct link_dial to = {.host = c->gate_host, .port = c->gate_port, .server_name = TLS_GATE_NAME};
    autotlsctx struct tls_ctx *tls = NULL;
    int r = inner_context(w, &tls, err);
    return r < 0 ? r : link_conn_dial(w->door->links, &to, tls, &inner_ops, w, &w->inner, err);
}

/* ---- outside: the relay ---- */

static void on_outer_ready(struct link_conn *conn, const struct link_peer *peer, void *user)
{
    struct way *w = user;
    const struct door_config *c = w->door->config;
    char signature[DEVICE_SIGNATURE_SIZE];
    autobuf struct buf out = BUF_INIT;
    int64_t now = clock_wall_ms(&clock_system);
    device_sign(c->device, DEVICE_FOR_RELAY, c->grant, now, "", signature);
    autojson json_t *ask = json_pack("{ss ss sI ss}", "type", "connect", "grant", c->grant, "time", (json_int_t)now,
                                     "signature", signature);
    if (link_stream_open(conn, NULL, &w->stream) < 0 || link_msg_write(ask, ANSWER_MAX, &out, NULL) < 0 ||
        link_stream_write(conn, w->stream, out.data, out.len) != (ssize_t)out.len)
        fail(w->door, -EIO, "the relay cannot be asked");
}

static void on_pipe_done(struct link_pipe *p, void *user)
{
    struct way *w = user;
    w->pipe = NULL;
    if (w->outer)
        link_conn_close(w->outer);
    release_way(w);
}

static void take_joined(struct way *w, const json_t *answer)
{
    const char *type = json_string_value(json_object_get(answer, "type"));
    const char *message = json_string_value(json_object_get(answer, "message"));
    struct err err = ERR_INIT;
    int pair[2], r = 0;
    if (!type || strcmp(type, "joined")) {
        end(w->door, -EACCES, "the relay refused: ", message ? message : "it gave no reason");
        return;
    }
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0) {
        fail(w->door, -errno, "cannot make a socket pair");
        return;
    }
    w->inner_fd = pair[1];
    r = link_pipe_new(&w->door->loop, w->outer, w->stream, pair[0], on_pipe_done, w, &w->pipe, &err);
    if (r == 0)
        r = begin_inner(w, &err);
    if (r < 0)
        fail(w->door, r, err.message);
}

static void on_outer_data(struct link_conn *conn, uint32_t stream, void *stream_user, const void *data, size_t len,
                          void *user)
{
    struct way *w = user;
    const uint8_t *at = data;
    size_t left = len;
    autojson json_t *answer = NULL;
    if (!w->pipe) {
        int r = link_msg_read(&w->reader, &at, &left, &answer, NULL);
        link_stream_consumed(conn, stream, len - left);
        if (r < 0)
            fail(w->door, -EPROTO, "the relay's answer cannot be understood");
        else if (r > 0)
            take_joined(w, answer);
    }
    if (left && w->pipe)
        link_pipe_data(w->pipe, at, left);
}

static void on_outer_writable(struct link_conn *conn, uint32_t stream, void *stream_user, void *user)
{
    struct way *w = user;
    if (w->pipe)
        link_pipe_writable(w->pipe);
}

static void on_outer_eof(struct link_conn *conn, uint32_t stream, void *stream_user, void *user)
{
    struct way *w = user;
    if (w->pipe)
        link_pipe_eof(w->pipe);
}

static void on_outer_stream_closed(struct link_conn *conn, uint32_t stream, void *stream_user, int reason, void *user)
{
    struct way *w = user;
    if (w->pipe)
        link_pipe_gone(w->pipe);
}

static void on_outer_closed(struct link_conn *conn, const struct err *reason, void *user)
{
    struct way *w = user;
    w->outer = NULL;
    if (w->pipe)
        link_pipe_gone(w->pipe);
    else if (!w->inner && !w->closing)
        end(w->door, reason->code ? reason->code : -ECONNRESET, "the relay: ", reason->message);
    release_way(w);
}

static const struct link_ops outer_ops = {
    .on_ready = on_outer_ready,
    .on_stream_data = on_outer_data,
    .on_stream_writable = on_outer_writable,
    .on_stream_eof = on_outer_eof,
    .on_stream_closed = on_outer_stream_closed,
    .on_closed = on_outer_closed,
};

static int dial_relay(struct way *w, struct err *err)
{
    const struct door_config *c = w->door->config;
    autotlsctx struct tls_ctx *tls = NULL;
    struct tls_client_config config = {
        .pins = c->relay_pins, .pin_count = c->n_relay_pins, .alpn = TLS_ALPN_ACCESS, .clock = &clock_system};
    struct link_dial to = {.host = c->relay_host, .port = c->relay_port, .server_name = c->relay_name};
    int r = tls_client_new(&config, &tls, err);
    return r < 0 ? r : link_conn_dial(w->door->links, &to, tls, &outer_ops, w, &w->outer, err);
}

static struct way *dial(struct door *d, bool opens)
{
    struct err err = ERR_INIT;
    struct way *w = mem_alloc(sizeof(*w));
    w->door = d;
    w->opens = opens;
    w->inner_fd = -1;
    link_msg_reader_init(&w->reader, ANSWER_MAX);
    int r = d->config->gate_host ? dial_gate(w, &err) : dial_relay(w, &err);
    if (r < 0) {
        free(w);
        fail(d, r, err.message);
        return NULL;
    }
    return w;
}

/* ---- the run ---- */

static void on_signal(uv_signal_t *s, int number)
{
    end(s->data, 0, "", "");
}

static void on_beside_done(uv_async_t *a)
{
    end(a->data, 0, "", "");
}

static void on_limit(uv_timer_t *t)
{
    fail(t->data, -ETIMEDOUT, "the gate could not be reached within 30 s");
}

static void start(struct door *d)
{
    static const int numbers[] = {SIGINT, SIGTERM};
    d->limits = yamux_limits_default;
    d->budget.total = MIB(64);
    d->key = tls_key_new();
    uv_loop_init(&d->loop);
    d->links = link_loop_new(&d->loop, &clock_system, &d->limits, &d->budget);
    uv_timer_init(&d->loop, &d->renew);
    uv_timer_init(&d->loop, &d->limit);
    uv_async_init(&d->loop, &d->beside_done, on_beside_done);
    d->renew.data = d->limit.data = d->beside_done.data = d;
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
        uv_signal_init(&d->loop, &d->signals[i]);
        d->signals[i].data = d;
        uv_signal_start(&d->signals[i], on_signal, numbers[i]);
    }
    uv_timer_start(&d->limit, on_limit, TRY_MS, 0);
    d->opening = dial(d, true);
}

static void close_handle(uv_handle_t *h, void *unused)
{
    if (!uv_is_closing(h))
        uv_close(h, NULL);
}

static void finish(struct door *d)
{
    if (d->threaded)
        uv_thread_join(&d->thread);
    for (size_t i = 0; i < d->n_listening; i++) {
        uv_close((uv_handle_t *)&d->listening[i].poll, NULL);
        close(d->listening[i].fd);
    }
    for (int i = 0; i < 10 && (d->session || d->opening); i++)
        uv_run(&d->loop, UV_RUN_NOWAIT);
    link_loop_free(d->links);
    uv_close((uv_handle_t *)&d->renew, NULL);
    uv_close((uv_handle_t *)&d->limit, NULL);
    uv_close((uv_handle_t *)&d->beside_done, NULL);
    for (size_t i = 0; i < ARRAY_SIZE(d->signals); i++)
        uv_close((uv_handle_t *)&d->signals[i], NULL);
    uv_run(&d->loop, UV_RUN_NOWAIT);
    uv_walk(&d->loop, close_handle, NULL);
    uv_run(&d->loop, UV_RUN_NOWAIT);
    tls_key_free(d->key);
    tls_cert_free(d->cert);
}

int door_run(const struct door_config *config, struct err *err)
{
    struct door *d = mem_alloc(sizeof(*d));
    d->config = config;
    d->err = err;
    start(d);
    if (!d->ending)
        uv_run(&d->loop, UV_RUN_DEFAULT);
    finish(d);
    int r = d->result;
    free(d);
    return r;
}
