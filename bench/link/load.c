/* Simulated agents: as many as asked in one process, each with a certificate of its own, saying hello, reporting once,
 * then idle; they come back by the agent's own schedule when the link ends.
 *
 * usage: link-load STATE_DIR COUNT [PORT]       COUNT agents, numbered rows as bench/agents makes them; idle
 *        link-load STATE_DIR handshakes SECONDS connect, be welcomed by TLS, close, again; 64 at once
 * Without PORT they dial the link role's Unix socket, with a PROXY header as HAProxy would write. Prints a JSON line
 * each time that all are connected, with the milliseconds since the first was not. The end of standard input ends it.
 */
#include "agent/link/schedule.h"
#include "agent/link/session.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/link_conn.h"
#include "net/link_msg.h"
#include "net/proxyproto.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/un.h>

#define HANDSHAKERS 64
#define FIRST_WAVE_MS 4 /* between two agents' first dials */

struct agent {
    struct link_conn *conn;
    struct tls_ctx *tls; /* kept between dials: on a machine of its own, an agent's time for it would not count */
    struct link_msg_reader reader;
    struct agent_session session;
    struct schedule schedule;
    uv_timer_t redial;
    uint32_t stream;
    bool up, goodbye;
};

static uv_loop_t loop;
static struct link_loop *links;
static struct yamux_limits limits;
static struct tls_key *key;
static unsigned char pin[1][SHA256_SIZE];
static char socket_path[108];
static struct agent *agents;
static size_t count, up, failures;
static int64_t broken_at;
static uint16_t port;
static bool handshakes;
static uint64_t handshakes_done;
static int64_t handshakes_until;
static char last_failure[ERR_MESSAGE_MAX];

static int64_t now_ms(void)
{
    return clock_mono_ms(&clock_system);
}

static OH_NORETURN void fail(const char *what)
{
    fprintf(stderr, "link-load: %s\n", what);
    exit(1);
}

static uint32_t any_number(void)
{
    uint32_t n;
    random_bytes(&n, sizeof(n));
    return n;
}

static void dial(struct agent *a);

static void on_redial(uv_timer_t *t)
{
    dial(t->data);
}

static void later(struct agent *a)
{
    int64_t wait = handshakes ? 0 : schedule_redial(&a->schedule, now_ms(), a->goodbye, any_number());
    a->goodbye = false;
    uv_timer_start(&a->redial, on_redial, (uint64_t)wait, 0);
}

static void send_message(struct agent *a, json_t *message)
{
    autojson json_t *owned = message;
    autobuf struct buf out = BUF_INIT;
    if (link_msg_write(owned, KIB(64), &out, NULL) < 0 ||
        link_stream_write(a->conn, a->stream, out.data, out.len) != (ssize_t)out.len)
        fail("a small message did not fit");
}

static void on_ready(struct link_conn *c, const struct link_peer *peer, void *user)
{
    struct agent *a = user;
    if (handshakes) {
        handshakes_done++;
        link_conn_close(c);
        return;
    }
    agent_session_init(&a->session, false);
    link_msg_reader_init(&a->reader, AGENT_ENROLLED_MAX);
    if (link_stream_open(c, NULL, &a->stream) < 0)
        fail("no stream");
    send_message(a, agent_msg_hello("0.1.0", 0, "load"));
}

static void report(struct agent *a)
{
    send_message(a, json_pack("{ss si ss ss s[{ss ss si si}] s[]}", "type", "observed", "desiredVersion", 0, "version",
                              "0.1.0", "isolation", "none", "services", "id", "00000000-0000-4000-8000-000000000000",
                              "state", "running", "readyReplicas", 1, "replicas", 1, "workloads"));
}

static void all_up(void)
{
    printf("{\"all\":%zu,\"ms\":%lld,\"failed_attempts\":%zu,\"last_failure\":\"%s\"}\n", count,
           (long long)(now_ms() - broken_at), failures, last_failure);
    fflush(stdout);
    failures = 0;
    last_failure[0] = '\0';
}

static void on_data(struct link_conn *c, uint32_t stream, void *stream_user, const void *data, size_t len, void *user)
{
    struct agent *a = user;
    const uint8_t *at = data;
    size_t left = len;
    autojson json_t *message = NULL;
    struct agent_action action;
    while (link_msg_read(&a->reader, &at, &left, &message, NULL) == 1) {
        if (agent_session_take(&a->session, message, &action, NULL) < 0)
            fail("the control plane broke the protocol");
        if (action.type == AGENT_WELCOME) {
            a->up = true;
            backoff_connected(&a->schedule.backoff, now_ms());
            report(a);
            if (++up == count)
                all_up();
        }
        json_decref(message);
        message = NULL;
    }
    link_stream_consumed(c, stream, len);
}

static void on_goaway(struct link_conn *c, uint32_t code, void *user)
{
    ((struct agent *)user)->goodbye = true;
}

static void on_closed(struct link_conn *c, const struct err *reason, void *user)
{
    struct agent *a = user;
    a->conn = NULL;
    link_msg_reader_free(&a->reader);
    if (a->up) {
        if (up-- == count)
            broken_at = now_ms();
        a->up = false;
    } else if (reason->code) {
        failures++;
        snprintf(last_failure, sizeof(last_failure), "%s", reason->message);
    }
    if (!handshakes || now_ms() < handshakes_until)
        later(a);
    else if (link_loop_connections(links) <= 1)
        uv_stop(&loop);
}

static const struct link_ops ops = {
    .on_ready = on_ready, .on_stream_data = on_data, .on_goaway = on_goaway, .on_closed = on_closed};

/* A connected descriptor, the PROXY header sent. */
static int connect_unix(size_t number)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_port = htons((uint16_t)number)}, to = from;
    uint8_t header[52];
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), why;
    if (fd < 0)
        fail("no descriptor left");
    snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", socket_path);
    inet_pton(AF_INET, "192.0.2.1", &from.sin_addr);
    inet_pton(AF_INET, "192.0.2.2", &to.sin_addr);
    int n = proxyproto_write((struct sockaddr *)&from, (struct sockaddr *)&to, header);
    if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 || write(fd, header, (size_t)n) != n) {
        why = errno;
        close(fd);
        errno = why;
        return -1;
    }
    return fd;
}

static void dial(struct agent *a)
{
    struct err err = ERR_INIT;
    struct link_dial where = {.host = "127.0.0.1", .port = port, .server_name = "link.ownhouse"};
    int r, fd = port ? -1 : connect_unix((size_t)(a - agents));
    if (!port && fd < 0) {
        failures++;
        snprintf(last_failure, sizeof(last_failure), "connect: %s", strerror(errno));
        later(a);
        return;
    }
    r = port ? link_conn_dial(links, &where, a->tls, &ops, a, &a->conn, &err)
             : link_conn_adopt(links, fd, "link.ownhouse", a->tls, &ops, a, &a->conn, &err);
    if (r < 0)
        fail(err.message);
}

static void make_identity(struct agent *a, size_t number, const struct tls_ca *ca, const char *csr)
{
    autocert struct tls_cert *cert = NULL;
    struct err err = ERR_INIT;
    int64_t now = clock_wall_ms(&clock_system);
    char uri[64];
    snprintf(uri, sizeof(uri), "ownhouse:agent/00000000-0000-4000-8000-%012zx", number);
    if (tls_ca_sign_client(ca, csr, strlen(csr), uri, now - 1000, now + 86400000, &cert, &err) < 0)
        fail(err.message);
    struct tls_client_config config = {.pins = (const unsigned char(*)[SHA256_SIZE])pin,
                                       .pin_count = 1,
                                       .key = key,
                                       .cert = cert,
                                       .alpn = TLS_ALPN_LINK,
                                       .clock = &clock_system};
    if (tls_client_new(&config, &a->tls, &err) < 0)
        fail(err.message);
}

static void make_agents(const char *state_dir)
{
    autofree char *ca_key = mem_printf("%s/keys/link-ca.key", state_dir);
    autofree char *ca_pem = mem_printf("%s/keys/link-ca.pem", state_dir);
    autoca struct tls_ca *ca = NULL;
    struct tls_cert_info info;
    struct err err = ERR_INIT;
    if (tls_ca_load(ca_key, ca_pem, &ca, &err) < 0)
        fail(err.message);
    tls_cert_info(tls_ca_cert(ca), &info);
    memcpy(pin[0], info.spki, SHA256_SIZE);
    key = tls_key_new();
    autofree char *csr = tls_csr_new(key);
    agents = mem_alloc(count * sizeof(*agents));
    for (size_t i = 0; i < count; i++) {
        struct agent *a = &agents[i];
        make_identity(a, i, ca, csr);
        uv_timer_init(&loop, &a->redial);
        a->redial.data = a;
        uv_timer_start(&a->redial, on_redial, handshakes ? 0 : i * FIRST_WAVE_MS, 0);
    }
}

static void on_input(uv_poll_t *p, int status, int events)
{
    char rest[64];
    if (read(STDIN_FILENO, rest, sizeof(rest)) <= 0)
        uv_stop(&loop);
}

int main(int argc, char **argv)
{
    uv_poll_t input;
    struct rlimit lim;
    if (argc < 3)
        fail("usage: link-load STATE_DIR COUNT [PORT] | STATE_DIR handshakes SECONDS");
    signal(SIGPIPE, SIG_IGN);
    getrlimit(RLIMIT_NOFILE, &lim);
    lim.rlim_cur = lim.rlim_max;
    setrlimit(RLIMIT_NOFILE, &lim);
    handshakes = !strcmp(argv[2], "handshakes");
    count = handshakes ? HANDSHAKERS : (size_t)atol(argv[2]);
    port = !handshakes && argc > 3 ? (uint16_t)atoi(argv[3]) : 0;
    snprintf(socket_path, sizeof(socket_path), "%s/run/link.sock", argv[1]);
    uv_loop_init(&loop);
    limits = yamux_limits_default;
    links = link_loop_new(&loop, &clock_system, &limits, NULL);
    make_agents(argv[1]);
    int64_t begin = broken_at = now_ms();
    handshakes_until = begin + (handshakes ? atoi(argv[3]) * 1000 : 0);
    if (!handshakes) {
        uv_poll_init(&loop, &input, STDIN_FILENO);
        uv_poll_start(&input, UV_READABLE, on_input);
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    if (handshakes)
        printf("{\"handshakes\":%llu,\"ms\":%lld,\"failed_attempts\":%zu}\n", (unsigned long long)handshakes_done,
               (long long)(now_ms() - begin), failures);
    return 0;
}
