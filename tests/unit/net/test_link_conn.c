/* net/link_conn: real connections over loopback, both ends on one loop, with a clock that moves when told. */
#include "tls_fixture.h"

#include "base/buf.h"
#include "net/link_conn.h"
#include "net/proxyproto.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <sys/un.h>

#define BULK MIB(3)

/* What one side has seen. */
struct side {
    struct link_conn *conn; /* NULL again after on_closed */
    int ready, opened, eof, closed_streams, closed, goaways;
    int stream_reason;
    struct link_peer peer;
    struct err reason;
    struct buf got;
    size_t to_write, written; /* of BULK content, on `stream` */
    uint32_t stream;
    bool echo, no_credit, close_on_data, close_other, close_on_eof;
    struct side *other;
};

struct world {
    uv_loop_t loop;
    struct link_loop *l;
    struct clock_manual clock;
    struct yamux_limits limits;
    struct yamux_budget budget;
    struct tls_ca *ca;
    struct identity server_id, agent;
    struct tls_ctx *server_tls, *client_tls;
    struct link_listener *listener;
    uint16_t port;
    char path[108];
    struct side server, client;
};

static struct world *w;

/* ---- callbacks ---- */

static char content(size_t at)
{
    return (char)(at * 7 + (at >> 11));
}

static void push(struct side *s)
{
    static char piece[50000];
    while (s->written < s->to_write) {
        size_t n = MIN(sizeof(piece), s->to_write - s->written);
        for (size_t i = 0; i < n; i++)
            piece[i] = content(s->written + i);
        ssize_t took = link_stream_write(s->conn, s->stream, piece, n);
        if (took <= 0)
            return;
        s->written += (size_t)took;
    }
    if (s->to_write) {
        link_stream_close(s->conn, s->stream);
        s->to_write = s->written = 0;
    }
}

static void on_ready(struct link_conn *c, const struct link_peer *peer, void *user)
{
    struct side *s = user;
    s->conn = c;
    s->ready++;
    s->peer = *peer;
}
static void on_stream_open(struct link_conn *c, uint32_t stream, void *user)
{
    struct side *s = user;
    s->opened++;
    s->stream = stream;
    link_stream_set_user(c, stream, &s->stream);
}
static void on_stream_data(struct link_conn *c, uint32_t stream, void *stream_user, const void *data, size_t len,
                           void *user)
{
    struct side *s = user;
    assert_ptr_equal(stream_user, &s->stream);
    buf_add(&s->got, data, len);
    if (!s->no_credit)
        link_stream_consumed(c, stream, len);
    if (s->close_on_data)
        link_conn_close(c);
    if (s->close_other && s->other->conn)
        link_conn_close(s->other->conn);
}
static void on_stream_writable(struct link_conn *c, uint32_t stream, void *stream_user, void *user)
{
    push(user);
}
static void on_stream_eof(struct link_conn *c, uint32_t stream, void *stream_user, void *user)
{
    struct side *s = user;
    s->eof++;
    if (s->close_on_eof) {
        link_stream_close(c, stream);
        link_conn_close(c);
    }
    if (s->echo) {
        s->to_write = s->got.len;
        push(s);
    }
}
static void on_stream_closed(struct link_conn *c, uint32_t stream, void *stream_user, int reason, void *user)
{
    struct side *s = user;
    assert_int_equal(s->closed, 0);
    s->closed_streams++;
    s->stream_reason = reason;
}
static void on_goaway(struct link_conn *c, uint32_t code, void *user)
{
    ((struct side *)user)->goaways++;
}
static void on_closed(struct link_conn *c, const struct err *reason, void *user)
{
    struct side *s = user;
    s->closed++;
    s->reason = *reason;
    s->conn = NULL;
}
static const struct link_ops ops = {on_ready,      on_stream_open,   on_stream_data, on_stream_writable,
                                    on_stream_eof, on_stream_closed, on_goaway,      on_closed};

static void on_accept(struct link_conn *c, void *user)
{
    ((struct side *)user)->conn = c;
}

/* ---- world ---- */

static int listen_tcp(uint16_t *ret_port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, len), 0);
    assert_int_equal(listen(fd, 64), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    *ret_port = ntohs(a.sin_port);
    return fd;
}

static int listen_unix(char path[108])
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    snprintf(path, 108, "/tmp/ownhouse-link-%d.sock", (int)getpid());
    unlink(path);
    memcpy(a.sun_path, path, 108);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(listen(fd, 64), 0);
    return fd;
}

static int setup(void **state)
{
    w = mem_alloc(sizeof(*w));
    uv_loop_init(&w->loop);
    clock_manual_init(&w->clock, NOW);
    w->clock.mono = 1000000;
    w->limits = yamux_limits_default;
    w->budget.total = MIB(64);
    w->l = link_loop_new(&w->loop, &w->clock.clock, &w->limits, &w->budget);
    w->ca = make_ca("ca");
    w->server_id = make_server(w->ca);
    w->agent = make_client(w->ca, "ownhouse:agent/1", NOW - DAY, NOW + DAY);
    const struct tls_trust trust = {tls_ca_cert(w->ca), "ownhouse:agent/"};
    w->server_tls = server_ctx(w->ca, &w->server_id, &trust, 1, &w->clock.clock);
    w->client_tls = client_ctx(w->ca, &w->agent, TLS_ALPN_LINK, &w->clock.clock);
    w->client.other = &w->server;
    w->server.other = &w->client;
    return 0;
}

static int teardown(void **state)
{
    link_listener_free(w->listener);
    link_loop_free(w->l);
    while (uv_run(&w->loop, UV_RUN_NOWAIT))
        ;
    assert_int_equal(uv_loop_close(&w->loop), 0);
    assert_int_equal(w->budget.used, 0);
    tls_ctx_free(w->server_tls);
    tls_ctx_free(w->client_tls);
    identity_free(&w->server_id);
    identity_free(&w->agent);
    tls_ca_free(w->ca);
    buf_free(&w->client.got);
    buf_free(&w->server.got);
    if (w->path[0])
        unlink(w->path);
    free(w);
    return 0;
}

static void on_late(uv_timer_t *t)
{
    *(bool *)t->data = true;
}

static bool run_until(bool (*done)(void), int real_ms)
{
    bool late = false;
    uv_timer_t timer;
    uv_timer_init(&w->loop, &timer);
    timer.data = &late;
    uv_timer_start(&timer, on_late, (uint64_t)real_ms, 0);
    while (!done() && !late)
        uv_run(&w->loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(&w->loop, UV_RUN_NOWAIT);
    return done();
}
#define UNTIL(what) assert_true(run_until(what, 60000))

static void start_listener(int fd, bool proxy, size_t handshakes)
{
    assert_int_equal(link_listener_new(w->l, fd, proxy, handshakes, 100, w->server_tls, &ops, on_accept, &w->server,
                                       &w->listener, NULL),
                     0);
}

static void dial_with(struct tls_ctx *tls, const struct link_dial *dial)
{
    assert_int_equal(link_conn_dial(w->l, dial, tls, &ops, &w->client, &w->client.conn, NULL), 0);
}

static bool both_ready(void)
{
    return w->client.ready && w->server.ready;
}
static bool both_closed(void)
{
    return w->client.closed && w->server.closed;
}
static bool client_closed(void)
{
    return w->client.closed;
}
static bool server_closed(void)
{
    return w->server.closed;
}

static void connected_pair(void)
{
    start_listener(listen_tcp(&w->port), false, 10);
    dial_with(w->client_tls, &(struct link_dial){.host = "127.0.0.1", .port = w->port});
    UNTIL(both_ready);
}

/* ---- tests ---- */

static bool echoed(void)
{
    return w->client.closed_streams || w->client.eof;
}

static void bulk_both_ways(void **state OH_UNUSED)
{
    connected_pair();
    assert_string_equal(w->server.peer.tls.uri, "ownhouse:agent/1");
    assert_string_equal(w->server.peer.tls.alpn, TLS_ALPN_LINK);
    assert_false(w->server.peer.tls.renew_only);
    assert_memory_equal(w->server.peer.address, "127.0.0.1:", 10);
    assert_int_equal(link_loop_handshakes(w->l), 0);
    assert_int_equal(link_loop_connections(w->l), 2);
    w->server.echo = true;
    w->client.to_write = BULK;
    assert_int_equal(link_stream_open(w->client.conn, &w->client.stream, &w->client.stream), 0);
    push(&w->client);
    UNTIL(echoed);
    assert_int_equal(w->server.got.len, BULK);
    assert_int_equal(w->client.got.len, BULK);
    for (size_t i = 0; i < BULK; i++)
        if (w->client.got.data[i] != content(i) || w->server.got.data[i] != content(i))
            fail_msg("byte %zu differs", i);
    assert_int_equal(w->server.eof, 1);
    assert_int_equal(w->client.eof, 1);
    assert_int_equal(w->client.closed_streams, 1);
    assert_int_equal(w->client.stream_reason, 0);
    assert_int_equal(w->server.closed_streams, 0); /* its own close finished the stream */
    assert_true(link_conn_rtt_ms(w->client.conn) >= 0);
    link_conn_goaway(w->server.conn);
    link_conn_close(w->client.conn);
    UNTIL(both_closed);
    assert_int_equal(w->client.reason.code, 0);
    assert_int_equal(w->server.reason.code, -ECONNRESET);
    assert_int_equal(w->server.goaways, 1);
    assert_int_equal(w->client.closed + w->server.closed, 2);
    assert_int_equal(link_loop_connections(w->l), 0);
}

static bool server_goaway(void)
{
    return w->client.goaways == 1;
}
static void goaway_keeps_streams(void **state OH_UNUSED)
{
    uint32_t id;
    connected_pair();
    link_conn_goaway(w->server.conn);
    UNTIL(server_goaway);
    assert_int_equal(link_stream_open(w->client.conn, NULL, &id), -ESHUTDOWN);
    assert_int_equal(w->client.closed, 0);
}

static void send_word(void)
{
    assert_int_equal(link_stream_open(w->client.conn, &w->client.stream, &w->client.stream), 0);
    assert_int_equal(link_stream_write(w->client.conn, w->client.stream, "word", 4), 4);
}

/* Deferred free: callbacks may close their own and other connections. */
static void close_inside_callbacks(void **state OH_UNUSED)
{
    connected_pair();
    w->server.close_on_data = w->server.close_other = true;
    send_word();
    UNTIL(both_closed);
    assert_int_equal(w->server.reason.code, 0);
    assert_int_equal(w->client.reason.code, 0);
    assert_int_equal(w->client.stream_reason, -ECONNABORTED);
    assert_int_equal(w->server.stream_reason, -ECONNABORTED);
    assert_int_equal(w->client.closed, 1);
}

/* Each stream that is not finished by its owner gets its last callback, also when the connection ends just then. */
static void no_stream_is_forgotten(void **state OH_UNUSED)
{
    connected_pair();
    w->client.close_on_eof = true; /* closes the connection while the end of the finished stream is told */
    assert_int_equal(link_stream_open(w->client.conn, &w->client.stream, &w->client.stream), 0);
    link_stream_close(w->client.conn, w->client.stream);
    while (!w->server.eof)
        uv_run(&w->loop, UV_RUN_ONCE);
    link_stream_close(w->server.conn, w->server.stream);
    UNTIL(both_closed);
    assert_int_equal(w->client.closed_streams, 1);
    assert_int_equal(w->client.stream_reason, 0);
    assert_int_equal(w->server.closed_streams, 0);
}

static struct link_listener *to_free;
static void on_accept_and_go(struct link_conn *c, void *user)
{
    w->server.conn = c;
    link_listener_free(to_free);
}

static void listener_may_end_in_its_callback(void **state OH_UNUSED)
{
    int fd = listen_tcp(&w->port);
    assert_int_equal(
        link_listener_new(w->l, fd, false, 10, 100, w->server_tls, &ops, on_accept_and_go, &w->server, &to_free, NULL),
        0);
    dial_with(w->client_tls, &(struct link_dial){.host = "127.0.0.1", .port = w->port});
    UNTIL(both_ready);
    int again = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = htons(w->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(connect(again, (struct sockaddr *)&a, sizeof(a)), -1);
    close(again);
}

static bool got_word(void)
{
    return w->server.got.len == 4;
}
static void loop_may_go_away_first(void **state OH_UNUSED)
{
    connected_pair();
    send_word();
    UNTIL(got_word);
    /* teardown frees the loop with both connections open; the sanitizers look for leaks */
}

static void calls_before_ready_are_refused(void **state OH_UNUSED)
{
    uint32_t id;
    start_listener(listen_tcp(&w->port), false, 10);
    dial_with(w->client_tls, &(struct link_dial){.host = "127.0.0.1", .port = w->port});
    assert_int_equal(link_stream_open(w->client.conn, NULL, &id), -ENOTCONN);
    assert_int_equal(link_stream_write(w->client.conn, 1, "x", 1), -ENOTCONN);
    link_conn_close(w->client.conn);
    link_conn_close(w->client.conn);
    UNTIL(client_closed);
    assert_int_equal(w->client.closed, 1);
    assert_int_equal(w->client.ready, 0);
}

static void expired_agent_is_marked(void **state OH_UNUSED)
{
    identity_free(&w->agent);
    tls_ctx_free(w->client_tls);
    w->agent = make_client(w->ca, "ownhouse:agent/1", NOW - 30 * DAY, NOW - 29 * DAY);
    w->client_tls = client_ctx(w->ca, &w->agent, TLS_ALPN_LINK, &w->clock.clock);
    connected_pair();
    assert_true(w->server.peer.tls.renew_only);
}

static void stranger_never_gets_ready(void **state OH_UNUSED)
{
    autoca struct tls_ca *other = make_ca("ca");
    autoidentity struct identity i = make_client(other, "ownhouse:agent/1", NOW - DAY, NOW + DAY);
    autotlsctx struct tls_ctx *c = client_ctx(w->ca, &i, TLS_ALPN_LINK, &w->clock.clock);
    start_listener(listen_tcp(&w->port), false, 10);
    dial_with(c, &(struct link_dial){.host = "127.0.0.1", .port = w->port});
    UNTIL(both_closed);
    assert_int_equal(w->server.ready, 0);
    assert_int_equal(w->server.reason.code, -EACCES);
    assert_non_null(strstr(w->client.reason.message, "alert"));
}

/* A verified agent that speaks nonsense inside TLS: told why by GoAway, then closed. */
static void nonsense_inside_tls(void **state OH_UNUSED)
{
    static const char junk[] = "GET / HTTP/1.1\r\n\r\n";
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    SSL *ssl = NULL;
    uint8_t frames[64];
    start_listener(listen_tcp(&w->port), false, 10);
    a.sin_port = htons(w->port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), got = 0, n;
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(tls_ctx_connect(w->client_tls, "127.0.0.1", &ssl, NULL), 0);
    SSL_set_fd(ssl, fd);
    while (SSL_do_handshake(ssl) != 1)
        uv_run(&w->loop, UV_RUN_NOWAIT);
    assert_int_equal(SSL_write(ssl, junk, sizeof(junk) - 1), sizeof(junk) - 1);
    UNTIL(server_closed);
    assert_int_equal(w->server.reason.code, -EPROTO);
    while ((n = SSL_read(ssl, frames + got, (int)sizeof(frames) - got)) > 0)
        got += n;
    assert_int_equal(got, 24); /* the first ping, then GoAway with code 1 */
    assert_int_equal(frames[13], 3);
    assert_int_equal(frames[23], 1);
    SSL_free(ssl);
    close(fd);
}

static void wrong_server_name(void **state OH_UNUSED)
{
    start_listener(listen_tcp(&w->port), false, 10);
    dial_with(w->client_tls, &(struct link_dial){.host = "127.0.0.1", .port = w->port, .server_name = "evil.example"});
    UNTIL(client_closed);
    assert_int_equal(w->client.ready, 0);
    assert_int_equal(w->client.reason.code, -EACCES);
    assert_non_null(strstr(w->client.reason.message, "hostname mismatch"));
}

static void nobody_listens(void **state OH_UNUSED)
{
    uint16_t port;
    close(listen_tcp(&port));
    dial_with(w->client_tls, &(struct link_dial){.host = "127.0.0.1", .port = port});
    UNTIL(client_closed);
    assert_int_equal(w->client.reason.code, -ECONNREFUSED);
}

static void no_such_name(void **state OH_UNUSED)
{
    dial_with(w->client_tls, &(struct link_dial){.host = "no-such-host.invalid", .port = 1});
    assert_true(run_until(client_closed, 15000));
    assert_int_equal(w->client.reason.code, -EHOSTUNREACH);
    assert_non_null(strstr(w->client.reason.message, "no-such-host.invalid"));
}

static void name_lookup_can_be_abandoned(void **state OH_UNUSED)
{
    dial_with(w->client_tls, &(struct link_dial){.host = "no-such-host.invalid", .port = 1});
    link_conn_close(w->client.conn);
    UNTIL(client_closed);
}

/* ---- deadlines ---- */

static int raw_tcp(uint16_t port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    return fd;
}

static bool two_young(void)
{
    return link_loop_handshakes(w->l) == 2;
}
static bool one_young(void)
{
    return link_loop_handshakes(w->l) == 1;
}
static bool never(void)
{
    return false;
}

/* CVE-2026-7776's kind: silent clients must not hold the gate for long. */
static void silent_clients_meet_gate_and_deadline(void **state OH_UNUSED)
{
    start_listener(listen_tcp(&w->port), false, 2);
    int a = raw_tcp(w->port), b = raw_tcp(w->port), c = raw_tcp(w->port);
    UNTIL(two_young);
    run_until(never, 50);
    assert_int_equal(link_loop_connections(w->l), 2); /* the third waits in the kernel */
    clock_manual_advance(&w->clock, 4999);
    link_loop_check(w->l);
    assert_int_equal(w->server.closed, 0);
    clock_manual_advance(&w->clock, 1);
    link_loop_check(w->l);
    UNTIL(one_young); /* two went away, the third came in */
    assert_int_equal(w->server.closed, 2);
    assert_int_equal(w->server.reason.code, -ETIMEDOUT);
    assert_int_equal(link_loop_connections(w->l), 1);
    close(a);
    close(b);
    close(c);
}

static int silent, met; /* listens; whom it met, and what that one says first */

static bool met_and_greeted(void)
{
    char byte;
    if (met < 0)
        met = accept4(silent, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    return met >= 0 && recv(met, &byte, 1, MSG_PEEK) == 1;
}

static void dialler_gives_up_on_a_silent_server(void **state OH_UNUSED)
{
    silent = listen_tcp(&w->port);
    met = -1;
    dial_with(w->client_tls, &(struct link_dial){.host = "127.0.0.1", .port = w->port});
    UNTIL(met_and_greeted);
    clock_manual_advance(&w->clock, 19999); /* it may stand in a queue after a restart */
    link_loop_check(w->l);
    run_until(never, 20);
    assert_int_equal(w->client.closed, 0);
    clock_manual_advance(&w->clock, 1);
    link_loop_check(w->l);
    UNTIL(client_closed);
    assert_int_equal(w->client.reason.code, -ETIMEDOUT);
    close(met);
    close(silent);
}

static bool answered(void)
{
    return link_conn_rtt_ms(w->client.conn) >= 0 && link_conn_rtt_ms(w->server.conn) >= 0;
}

static void pings_keep_it_alive(void **state OH_UNUSED)
{
    connected_pair();
    UNTIL(answered);
    for (int i = 0; i < 10; i++) {
        clock_manual_advance(&w->clock, 15000);
        link_loop_check(w->l);
        run_until(never, 100);
    }
    assert_int_equal(w->client.closed + w->server.closed, 0);
}

/* A peer that is there but says nothing: a socket pair whose other end finished its handshake and then sleeps. */
static void dead_peer_is_noticed(void **state OH_UNUSED)
{
    connected_pair();
    UNTIL(answered);
    clock_manual_advance(&w->clock, 24001); /* a ping is due on both sides by now */
    link_loop_check(w->l);
    clock_manual_advance(&w->clock, 19999); /* the loop has not run: no answer can have come */
    link_loop_check(w->l);
    assert_int_equal(w->client.closed, 0);
    clock_manual_advance(&w->clock, 1);
    link_loop_check(w->l);
    UNTIL(both_closed);
    assert_int_equal(w->client.reason.code, -ETIMEDOUT);
    assert_non_null(strstr(w->client.reason.message, "20 s"));
}

static bool stream_gone(void)
{
    return w->client.closed_streams && w->server.closed_streams;
}
static bool stuck(void)
{
    return w->server.got.len == KIB(256);
}

static void write_timeout_is_seen_on_both_sides(void **state OH_UNUSED)
{
    connected_pair();
    UNTIL(answered);
    w->server.no_credit = true;
    w->client.to_write = BULK;
    assert_int_equal(link_stream_open(w->client.conn, &w->client.stream, &w->client.stream), 0);
    push(&w->client);
    UNTIL(stuck);
    run_until(never, 20);
    for (int i = 0; i < 4; i++) { /* in steps, so that pings are answered */
        clock_manual_advance(&w->clock, 10000);
        link_loop_check(w->l);
        run_until(never, 30);
    }
    UNTIL(stream_gone);
    assert_int_equal(w->client.stream_reason, -ETIMEDOUT);
    assert_int_equal(w->server.stream_reason, -ECONNRESET);
    assert_int_equal(w->client.closed, 0);
}

/* ---- PROXY header ---- */

static int raw_unix(void)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    memcpy(a.sun_path, w->path, 108);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    return fd;
}

/* The front: a thread that joins an accepted TCP connection to another socket, with some bytes before. */
struct joint {
    int from, to; /* descriptors */
    pthread_t thread;
};

static void *shovel(void *arg)
{
    struct joint *j = arg;
    char piece[16384];
    ssize_t n;
    while ((n = read(j->from, piece, sizeof(piece))) > 0)
        for (ssize_t at = 0, k; at < n; at += k)
            if ((k = write(j->to, piece + at, (size_t)(n - at))) <= 0)
                return NULL;
    shutdown(j->to, SHUT_WR);
    return NULL;
}

static void join(struct joint j[2], int a, int b)
{
    j[0] = (struct joint){.from = a, .to = b};
    j[1] = (struct joint){.from = b, .to = a};
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&j[i].thread, NULL, shovel, &j[i]), 0);
}

static void unjoin(struct joint j[2])
{
    shutdown(j[0].from, SHUT_RDWR);
    shutdown(j[0].to, SHUT_RDWR);
    for (int i = 0; i < 2; i++)
        pthread_join(j[i].thread, NULL);
    close(j[0].from);
    close(j[0].to);
}

static void proxy_header_names_the_client(void **state OH_UNUSED)
{
    uint16_t port;
    int front = listen_tcp(&port), a, b;
    struct joint j[2];
    uint8_t header[52];
    struct sockaddr_in src = {.sin_family = AF_INET, .sin_port = htons(41234)}, dst = src;
    assert_int_equal(inet_pton(AF_INET, "192.0.2.7", &src.sin_addr), 1);
    start_listener(listen_unix(w->path), true, 10);
    dial_with(w->client_tls, &(struct link_dial){.host = "127.0.0.1", .port = port});
    while ((a = accept(front, NULL, NULL)) < 0)
        uv_run(&w->loop, UV_RUN_NOWAIT);
    assert_int_equal(fcntl(a, F_SETFL, 0), 0);
    b = raw_unix();
    int n = proxyproto_write((struct sockaddr *)&src, (struct sockaddr *)&dst, header);
    for (int i = 0; i < n; i++) { /* byte by byte */
        assert_int_equal(write(b, header + i, 1), 1);
        uv_run(&w->loop, UV_RUN_NOWAIT);
    }
    join(j, a, b);
    UNTIL(both_ready);
    assert_string_equal(w->server.peer.address, "192.0.2.7:41234");
    link_conn_close(w->client.conn);
    UNTIL(both_closed);
    unjoin(j);
    close(front);
}

static void missing_proxy_header_is_refused(void **state OH_UNUSED)
{
    start_listener(listen_unix(w->path), true, 10);
    int fd = raw_unix();
    assert_int_equal(write(fd, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 not a header", 24), 24);
    UNTIL(server_closed);
    assert_int_equal(w->server.reason.code, -EPROTO);
    assert_int_equal(w->server.ready, 0);
    close(fd);
}

/* Behind the front, too: nothing of the header, half of it, or all of it and then silence keeps a place for 5 s at
 * most. */
static void slow_proxy_headers_meet_the_deadline(void **state OH_UNUSED)
{
    uint8_t header[52];
    struct sockaddr_in src = {.sin_family = AF_INET, .sin_port = htons(41234)}, dst = src;
    int n = proxyproto_write((struct sockaddr *)&src, (struct sockaddr *)&dst, header);
    static const struct {
        int parts, late_ms;
    } cases[] = {{0, 0}, {1, 0}, {2, 3000}};
    start_listener(listen_unix(w->path), true, 10);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        int fd = raw_unix();
        UNTIL(one_young);
        clock_manual_advance(&w->clock, cases[i].late_ms);
        size_t part = (size_t)n * (size_t)cases[i].parts / 2;
        assert_int_equal(write(fd, header, part), part);
        run_until(never, 50);
        clock_manual_advance(&w->clock, 4999 - cases[i].late_ms);
        link_loop_check(w->l);
        run_until(never, 20);
        assert_int_equal(w->server.closed, i);
        clock_manual_advance(&w->clock, 1);
        link_loop_check(w->l);
        run_until(server_closed, 5000);
        assert_int_equal(w->server.closed, i + 1);
        assert_int_equal(w->server.reason.code, -ETIMEDOUT);
        close(fd);
    }
}

/* ---- CONNECT proxy ---- */

/* A proxy that answers one request with `answer` and, if that opens a tunnel, joins it to the listener. */
struct proxy {
    int fd;
    uint16_t port, target;
    const char *answer;
    char request[1024];
    struct joint j[2];
    bool joined;
    pthread_t thread;
};

static void *run_proxy(void *arg)
{
    struct proxy *p = arg;
    size_t len = 0;
    int fd = accept(p->fd, NULL, NULL);
    while (len < sizeof(p->request) - 1 && !strstr(p->request, "\r\n\r\n")) {
        ssize_t n = read(fd, p->request + len, sizeof(p->request) - 1 - len);
        if (n <= 0)
            break;
        len += (size_t)n;
    }
    assert_int_equal(write(fd, p->answer, strlen(p->answer)), strlen(p->answer));
    if (strncmp(p->answer, "HTTP/1.1 200 ", 13) == 0) {
        p->joined = true;
        join(p->j, fd, raw_tcp(p->target));
    } else {
        close(fd);
    }
    return NULL;
}

static void through_proxy(struct proxy *p, const char *answer, bool (*until)(void))
{
    p->answer = answer;
    p->target = w->port;
    p->fd = listen_tcp(&p->port);
    assert_int_equal(fcntl(p->fd, F_SETFL, 0), 0);
    assert_int_equal(pthread_create(&p->thread, NULL, run_proxy, p), 0);
    dial_with(w->client_tls, &(struct link_dial){.host = "control.example",
                                                 .port = 443,
                                                 .proxy_host = "127.0.0.1",
                                                 .proxy_port = p->port,
                                                 .proxy_credentials = "Aladdin:open sesame"});
    UNTIL(until);
    pthread_join(p->thread, NULL);
    close(p->fd);
}

static void connect_proxy_is_passed(void **state OH_UNUSED)
{
    struct proxy p = {0};
    start_listener(listen_tcp(&w->port), false, 10);
    through_proxy(&p, "HTTP/1.1 200 OK\r\n\r\n", both_ready);
    assert_non_null(strstr(p.request, "CONNECT control.example:443 HTTP/1.1\r\n"));
    assert_non_null(strstr(p.request, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n"));
    link_conn_close(w->client.conn);
    UNTIL(both_closed);
    unjoin(p.j);
}

static void connect_proxy_refusals(void **state OH_UNUSED)
{
    static const struct {
        const char *answer;
        int code;
    } cases[] = {{"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", -EPERM},
                 {"HTTP/1.1 403 Forbidden\r\n\r\n", -EACCES},
                 {"HTTP/1.1 204 x\r\n\r\nearly", -EPROTO},
                 {"HTTP/1.1 20", -ECONNRESET},
                 {"220 mail.example ESMTP\r\n", -EPROTO}};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct proxy p = {0};
        w->client.closed = 0;
        through_proxy(&p, cases[i].answer, client_closed);
        if (w->client.reason.code != cases[i].code)
            fail_msg("case %zu: %s", i, w->client.reason.message);
    }
}

#define LINK(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LINK(bulk_both_ways),
        LINK(goaway_keeps_streams),
        LINK(close_inside_callbacks),
        LINK(no_stream_is_forgotten),
        LINK(listener_may_end_in_its_callback),
        LINK(loop_may_go_away_first),
        LINK(calls_before_ready_are_refused),
        LINK(expired_agent_is_marked),
        LINK(stranger_never_gets_ready),
        LINK(nonsense_inside_tls),
        LINK(wrong_server_name),
        LINK(nobody_listens),
        LINK(no_such_name),
        LINK(name_lookup_can_be_abandoned),
        LINK(silent_clients_meet_gate_and_deadline),
        LINK(slow_proxy_headers_meet_the_deadline),
        LINK(dialler_gives_up_on_a_silent_server),
        LINK(pings_keep_it_alive),
        LINK(dead_peer_is_noticed),
        LINK(write_timeout_is_seen_on_both_sides),
        LINK(proxy_header_names_the_client),
        LINK(missing_proxy_header_is_refused),
        LINK(connect_proxy_is_passed),
        LINK(connect_proxy_refusals),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
