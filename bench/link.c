/* Measures link connections over loopback TCP: bench-link idle N | bulk SECONDS | handshakes SECONDS.
 *
 * The server runs in this process, the clients in a child, so that memory and CPU are the server's alone. Prints one
 * JSON object. */
#include "base/mem.h"
#include "net/link_conn.h"

#include <arpa/inet.h>
#include <malloc.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define HOUR 3600000ll

struct side {
    struct link_loop *l;
    size_t ready, closed, opened;
    uint64_t bytes;
    uint16_t port;
    struct tls_ctx *tls;
    bool bulk, redial;
    int64_t until_ms;
};

static struct side me;

static _Noreturn void die(const char *what, const char *why)
{
    fprintf(stderr, "bench-link: %s: %s\n", what, why);
    exit(1);
}

static void dial(void);

/* ---- callbacks of both sides ---- */

static void pour(struct link_conn *c, uint32_t stream)
{
    static char piece[65536];
    ssize_t n;
    while ((n = link_stream_write(c, stream, piece, sizeof(piece))) == (ssize_t)sizeof(piece))
        ;
}

static void on_ready(struct link_conn *c, const struct link_peer *peer, void *user)
{
    uint32_t stream;
    me.ready++;
    if (me.redial) {
        link_conn_close(c);
    } else if (me.tls && link_stream_open(c, NULL, &stream) == 0) { /* the client's one stream, as an agent has it */
        if (me.bulk)
            pour(c, stream);
        else if (link_stream_write(c, stream, "hello", 5) != 5)
            die("write", "not taken");
    }
}
static void on_open(struct link_conn *c, uint32_t stream, void *user)
{
    me.opened++;
}
static void on_data(struct link_conn *c, uint32_t stream, void *stream_user, const void *data, size_t len, void *user)
{
    me.bytes += len;
    link_stream_consumed(c, stream, len);
}
static void on_writable(struct link_conn *c, uint32_t stream, void *stream_user, void *user)
{
    pour(c, stream);
}
static void on_closed(struct link_conn *c, const struct err *reason, void *user)
{
    me.closed++;
    if (me.redial && clock_mono_ms(&clock_system) < me.until_ms)
        dial();
    else if (me.tls && !me.redial && reason->code)
        fprintf(stderr, "client: %s\n", reason->message);
}
static const struct link_ops ops = {.on_ready = on_ready,
                                    .on_stream_open = on_open,
                                    .on_stream_data = on_data,
                                    .on_stream_writable = on_writable,
                                    .on_closed = on_closed};

static void dial(void)
{
    struct link_conn *c;
    struct err err = ERR_INIT;
    const struct link_dial d = {.host = "127.0.0.1", .port = me.port};
    if (link_conn_dial(me.l, &d, me.tls, &ops, NULL, &c, &err) < 0)
        die("dial", err.message);
}

/* ---- identities ---- */

struct identities {
    struct tls_ca *ca;
    struct tls_key *server_key, *agent_key;
    struct tls_cert *server, *agent;
};

static void make_identities(struct identities *i)
{
    static const char *const ip[] = {"127.0.0.1", NULL};
    int64_t now = clock_wall_ms(&clock_system);
    struct err err = ERR_INIT;
    i->server_key = tls_key_new();
    i->agent_key = tls_key_new();
    autofree char *csr = tls_csr_new(i->agent_key);
    if (tls_ca_new("bench", now - HOUR, now + 24 * HOUR, &i->ca, &err) < 0 ||
        tls_ca_issue_server(i->ca, i->server_key, NULL, ip, now - HOUR, now + HOUR, &i->server, &err) < 0 ||
        tls_ca_sign_client(i->ca, csr, strlen(csr), "ownhouse:agent/bench", now - HOUR, now + HOUR, &i->agent, &err) <
            0)
        die("identities", err.message);
}

static void free_identities(struct identities *i)
{
    tls_cert_free(i->server);
    tls_cert_free(i->agent);
    tls_key_free(i->server_key);
    tls_key_free(i->agent_key);
    tls_ca_free(i->ca);
}

static struct tls_ctx *server_context(const struct identities *i)
{
    struct tls_ctx *ctx;
    struct err err = ERR_INIT;
    const struct tls_trust trust = {tls_ca_cert(i->ca), "ownhouse:agent/"};
    const struct tls_server_config c = {.key = i->server_key,
                                        .cert = i->server,
                                        .authority = tls_ca_cert(i->ca),
                                        .trust = &trust,
                                        .trust_count = 1,
                                        .clock = &clock_system};
    if (tls_server_new(&c, &ctx, &err) < 0)
        die("server", err.message);
    return ctx;
}

static struct tls_ctx *client_context(const struct identities *i)
{
    struct tls_ctx *ctx;
    struct tls_cert_info info;
    struct err err = ERR_INIT;
    tls_cert_info(tls_ca_cert(i->ca), &info);
    const struct tls_client_config c = {.pins = (const unsigned char(*)[SHA256_SIZE]) & info.spki,
                                        .pin_count = 1,
                                        .key = i->agent_key,
                                        .cert = i->agent,
                                        .alpn = TLS_ALPN_LINK,
                                        .clock = &clock_system};
    if (tls_client_new(&c, &ctx, &err) < 0)
        die("client", err.message);
    return ctx;
}

/* ---- measuring ---- */

static long private_kib(void)
{
    char line[256];
    long sum = 0, v;
    autofclose FILE *f = fopen("/proc/self/smaps_rollup", "r");
    while (f && fgets(line, sizeof(line), f))
        if (sscanf(line, "Private_Dirty: %ld", &v) == 1 || sscanf(line, "Private_Clean: %ld", &v) == 1)
            sum += v;
    return sum;
}

static double cpu_seconds(void)
{
    struct rusage r;
    getrusage(RUSAGE_SELF, &r);
    return (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) + (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6;
}

static int listen_loopback(uint16_t *ret_port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, len) < 0 || listen(fd, 4096) < 0 ||
        getsockname(fd, (struct sockaddr *)&a, &len) < 0)
        die("listen", strerror(errno));
    *ret_port = ntohs(a.sin_port);
    return fd;
}

static void on_second(uv_timer_t *t)
{
}

/* Runs the loop until `enough` of *counter or the time is over. */
static void run(uv_loop_t *loop, const size_t *counter, size_t enough, int64_t until_ms)
{
    uv_timer_t timer;
    uv_timer_init(loop, &timer);
    uv_timer_start(&timer, on_second, 20, 20);
    while (*counter < enough && clock_mono_ms(&clock_system) < until_ms)
        uv_run(loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(loop, UV_RUN_NOWAIT);
}

static int client(const struct identities *i, const char *mode, size_t n, uint16_t port)
{
    uv_loop_t loop;
    size_t never = 0;
    static struct yamux_budget budget = {.total = MIB(64)};
    uv_loop_init(&loop);
    me.l = link_loop_new(&loop, &clock_system, &yamux_limits_default, &budget);
    me.port = port;
    me.tls = client_context(i);
    me.bulk = strcmp(mode, "bulk") == 0;
    me.redial = strcmp(mode, "handshakes") == 0;
    me.until_ms = clock_mono_ms(&clock_system) + (int64_t)n * 1000;
    size_t connections = me.bulk ? 1 : me.redial ? 16 : n, at = 0;
    while (at < connections) { /* in steps, or the admission deadline would hit the last of many */
        for (size_t k = 0; k < 64 && at < connections; k++, at++)
            dial();
        run(&loop, &me.ready, at, clock_mono_ms(&clock_system) + 20000);
    }
    run(&loop, &never, 1, clock_mono_ms(&clock_system) + (me.bulk || me.redial ? (int64_t)n * 1000 : 600000));
    return 0;
}

static void report_idle(uv_loop_t *loop, size_t n, long before)
{
    size_t never = 0;
    run(loop, &me.opened, n, clock_mono_ms(&clock_system) + 120000);
    run(loop, &never, 1, clock_mono_ms(&clock_system) + 1500); /* pings and acknowledgements settle */
    long after = private_kib();
    malloc_trim(0);
    long trimmed = private_kib();
    printf("{\"mode\":\"idle\",\"connections\":%zu,\"streams\":%zu,\"kib_each\":%.1f,\"kib_each_trimmed\":%.1f}\n",
           me.ready - me.closed, me.opened, (double)(after - before) / (double)n,
           (double)(trimmed - before) / (double)n);
}

static void report_rate(uv_loop_t *loop, const char *mode, size_t seconds)
{
    size_t never = 0;
    int64_t start = clock_mono_ms(&clock_system);
    double cpu = cpu_seconds();
    run(loop, &never, 1, start + (int64_t)seconds * 1000);
    double s = (double)(clock_mono_ms(&clock_system) - start) / 1000;
    cpu = cpu_seconds() - cpu;
    if (strcmp(mode, "bulk") == 0)
        printf("{\"mode\":\"bulk\",\"mbit_s\":%.0f,\"cpu_cores\":%.2f}\n", (double)me.bytes * 8 / s / 1e6, cpu / s);
    else
        printf("{\"mode\":\"handshakes\",\"per_second\":%.0f,\"per_cpu_second\":%.0f}\n", (double)me.ready / s,
               (double)me.ready / cpu);
}

int main(int argc, char **argv)
{
    struct identities ids = {0};
    struct yamux_budget budget = {.total = MIB(64)};
    struct link_listener *ln;
    struct err err = ERR_INIT;
    uv_loop_t loop;
    uint16_t port;
    size_t n = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;
    if (n == 0 || (strcmp(argv[1], "idle") && strcmp(argv[1], "bulk") && strcmp(argv[1], "handshakes"))) {
        fprintf(stderr, "usage: bench-link idle CONNECTIONS | bulk SECONDS | handshakes SECONDS\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    make_identities(&ids);
    int fd = listen_loopback(&port);
    pid_t pid = fork();
    if (pid == 0) {
        close(fd);
        return client(&ids, argv[1], n, port);
    }
    struct tls_ctx *tls = server_context(&ids);
    uv_loop_init(&loop);
    me.l = link_loop_new(&loop, &clock_system, &yamux_limits_default, &budget);
    long before = private_kib();
    if (link_listener_new(me.l, fd, false, 256, 100000, tls, &ops, NULL, NULL, &ln, &err) < 0)
        die("listener", err.message);
    if (strcmp(argv[1], "idle") == 0)
        report_idle(&loop, n, before);
    else
        report_rate(&loop, argv[1], n);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    link_listener_free(ln);
    link_loop_free(me.l);
    while (uv_run(&loop, UV_RUN_NOWAIT))
        ;
    uv_loop_close(&loop);
    tls_ctx_free(tls);
    free_identities(&ids);
    return 0;
}
