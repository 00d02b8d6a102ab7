/* Puts HTTP/1.1 load on the control plane and says how long answers took.
 *
 * usage: http-load TARGET CONNECTIONS SECONDS RATE < REQUESTS
 *   TARGET     unix:PATH, plain HTTP, or tls:PORT on this machine ($SSL_CERT_FILE has the authority)
 *   RATE       requests a second, begun when they are due whatever became of those before (open loop); an answer's time
 *              counts from then, so a server that stalls cannot hide it. 0: each connection asks again once answered
 *   REQUESTS   one a line, METHOD PATH [BODY], asked in turn
 * $OWNHOUSE_LOAD_HEADER is one more header, NAME: VALUE, if there is to be one. Connections are made and used once
 * before the time begins. Prints one JSON line: times in milliseconds, and how often each status was answered. */
#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS_MAX 4096
#define REQUESTS_MAX 65536
#define ANSWER_MAX MIB(16)

struct connection {
    int fd;
    SSL *ssl;
    struct buf in;
    const struct buf *out; /* the request under way, NULL when idle */
    size_t sent;
    int64_t due_us;
    bool warm; /* one request was answered */
};

static struct buf *requests;
static size_t n_requests, next_request;
static struct connection *connections, **idle;
static size_t n_connections, n_idle, first_idle, n_warm;
static const char *target;
static SSL_CTX *tls;
static int poll_fd;
static uint32_t *times_us;
static size_t n_times, times_room, statuses[600], broken;
static bool counting;

static OH_NORETURN void fail(const char *what)
{
    fprintf(stderr, "http-load: %s: %s\n", what, errno ? strerror(errno) : "");
    exit(1);
}

static int64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* In turn, so that none is idle for so long that the server closes it. */
static void put_idle(struct connection *c)
{
    idle[(first_idle + n_idle++) % n_connections] = c;
}

static struct connection *take_idle(void)
{
    struct connection *c = idle[first_idle];
    first_idle = (first_idle + 1) % n_connections;
    n_idle--;
    return c;
}

/* --- requests --- */

static void read_requests(void)
{
    autofree char *line = NULL;
    size_t room = 0;
    const char *header = getenv("OWNHOUSE_LOAD_HEADER"), *port = strncmp(target, "tls:", 4) ? NULL : target + 4;
    requests = calloc(REQUESTS_MAX, sizeof(*requests));
    while (n_requests < REQUESTS_MAX && getline(&line, &room, stdin) > 0) {
        line[strcspn(line, "\n")] = 0;
        char *rest = line, *method = strsep(&rest, " "), *path = strsep(&rest, " ");
        if (!path)
            fail("a request has no path");
        struct buf *b = &requests[n_requests++];
        buf_printf(b, "%s %s HTTP/1.1\r\nHost: localhost%s%s\r\nUser-Agent: http-load\r\n", method, path,
                   port ? ":" : "", port ? port : "");
        if (header)
            buf_printf(b, "%s\r\n", header);
        if (rest)
            buf_printf(b, "Content-Type: application/json\r\nContent-Length: %zu\r\n", strlen(rest));
        buf_printf(b, "\r\n%s", rest ? rest : "");
    }
    if (!n_requests)
        fail("there are no requests on standard input");
}

/* --- one connection --- */

static void open_connection(struct connection *c)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    bool plain = !strncmp(target, "unix:", 5);
    c->fd = socket(plain ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (plain)
        snprintf(un.sun_path, sizeof(un.sun_path), "%s", target + 5);
    else
        in.sin_port = htons((uint16_t)atoi(target + 4));
    if (connect(c->fd, plain ? (struct sockaddr *)&un : (struct sockaddr *)&in, plain ? sizeof(un) : sizeof(in)) < 0)
        fail("cannot connect");
    if (!plain) {
        c->ssl = SSL_new(tls);
        SSL_set_fd(c->ssl, c->fd);
        SSL_set1_host(c->ssl, "localhost");
        char name[] = "localhost"; /* not const: OpenSSL's macro casts */
        SSL_set_tlsext_host_name(c->ssl, name);
        if (SSL_connect(c->ssl) != 1)
            fail("the TLS handshake failed");
    }
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
    if (epoll_ctl(poll_fd, EPOLL_CTL_ADD, c->fd, &e) < 0)
        fail("epoll");
}

static void close_connection(struct connection *c)
{
    SSL_free(c->ssl);
    c->ssl = NULL;
    close(c->fd);
}

/* Requests are small: the socket takes them whole. */
static bool send_request(struct connection *c)
{
    const struct buf *b = c->out;
    if (c->ssl)
        return SSL_write(c->ssl, b->data, (int)b->len) == (int)b->len;
    return write(c->fd, b->data, b->len) == (ssize_t)b->len;
}

static void ask(struct connection *c, int64_t due_us)
{
    c->out = &requests[next_request++ % n_requests];
    c->due_us = due_us;
    c->in.len = 0;
    if (!send_request(c)) { /* the server closed an idle connection: once more on a new one */
        close_connection(c);
        open_connection(c);
        if (!send_request(c))
            fail("cannot send");
    }
}

static void record(int status, int64_t took_us)
{
    if (!counting)
        return;
    statuses[status >= 100 && status < 600 ? status : 0]++;
    if (n_times == times_room) {
        times_room = times_room ? times_room * 2 : 65536;
        times_us = realloc(times_us, times_room * sizeof(*times_us));
        if (!times_us)
            fail("memory");
    }
    times_us[n_times++] = (uint32_t)took_us;
}

/* Bytes of the whole answer once its headers are there, 0 before. */
static size_t answer_length(const struct buf *in)
{
    const char *end = memmem(in->data, in->len, "\r\n\r\n", 4);
    if (!end)
        return 0;
    size_t head = (size_t)(end - in->data) + 4, length = 0;
    for (const char *line = in->data; line < end; line = memchr(line, '\n', (size_t)(end + 2 - line)) + 1)
        if (!strncasecmp(line, "content-length:", 15))
            length = strtoul(line + 15, NULL, 10);
    return head + length;
}

static void answered(struct connection *c)
{
    int status = atoi(c->in.data + sizeof("HTTP/1.1"));
    record(status, now_us() - c->due_us);
    c->out = NULL;
    n_warm += !c->warm;
    c->warm = true;
    put_idle(c);
}

static void readable(struct connection *c)
{
    static char chunk[65536];
    do {
        ssize_t n = c->ssl ? SSL_read(c->ssl, chunk, sizeof(chunk)) : read(c->fd, chunk, sizeof(chunk));
        if (n < 0 && (c->ssl ? SSL_get_error(c->ssl, (int)n) == SSL_ERROR_WANT_READ : errno == EAGAIN))
            break; /* a session ticket, or part of a record */
        if (n <= 0) {
            ERR_clear_error();
            if (c->out && counting)
                broken++;
            close_connection(c);
            open_connection(c);
            if (c->out) {
                c->out = NULL;
                put_idle(c);
            }
            return;
        }
        buf_add(&c->in, chunk, (size_t)n);
        if (c->in.len > ANSWER_MAX)
            fail("an answer is too large");
    } while (c->ssl && SSL_pending(c->ssl));
    size_t whole = answer_length(&c->in);
    if (c->out && whole && c->in.len >= whole)
        answered(c);
}

/* --- the run --- */

static void turn(int64_t until_us)
{
    struct epoll_event events[256];
    int64_t left = until_us - now_us();
    struct timespec t = {.tv_nsec = left > 0 ? (left < 999000 ? left : 999000) * 1000 : 0};
    int n = epoll_pwait2(poll_fd, events, 256, &t, NULL);
    for (int i = 0; i < n; i++)
        readable(events[i].data.ptr);
}

static void warm_up(void)
{
    for (size_t i = 0; i < n_connections; i++) {
        open_connection(&connections[i]);
        ask(&connections[i], now_us());
    }
    int64_t until = now_us() + 60 * 1000000LL;
    while (n_warm < n_connections && now_us() < until)
        turn(until);
    if (n_warm < n_connections)
        fail("not all connections were answered within a minute");
}

static double run(double seconds, double rate)
{
    int64_t began = now_us(), end = began + (int64_t)(seconds * 1e6);
    uint64_t begun = 0;
    counting = true;
    for (int64_t now = began; now < end; now = now_us()) {
        int64_t due = rate > 0 ? began + (int64_t)((double)begun * 1e6 / rate) : now;
        while (n_idle && due <= now) {
            ask(take_idle(), due);
            begun++;
            due = rate > 0 ? began + (int64_t)((double)begun * 1e6 / rate) : now;
        }
        turn(n_idle && due < end ? due : end);
    }
    double took = (double)(now_us() - began) / 1e6;
    int64_t patience = now_us() + 30 * 1000000LL; /* those under way count as well */
    while (n_idle < n_connections && now_us() < patience)
        turn(patience);
    return took;
}

static int by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static double percentile(double part)
{
    return n_times ? times_us[(size_t)(part * (double)(n_times - 1))] / 1000.0 : 0;
}

static void report(double took)
{
    qsort(times_us, n_times, sizeof(*times_us), by_size);
    printf("{\"requests\":%zu,\"per_second\":%.1f,\"p50\":%.3f,\"p90\":%.3f,\"p99\":%.3f,\"p999\":%.3f,\"max\":%.3f,"
           "\"broken\":%zu,\"unanswered\":%zu",
           n_times, (double)n_times / took, percentile(0.5), percentile(0.9), percentile(0.99), percentile(0.999),
           percentile(1), broken, n_connections - n_idle);
    for (int s = 0; s < 600; s++)
        if (statuses[s])
            printf(",\"%d\":%zu", s, statuses[s]);
    puts("}");
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fputs("usage: http-load unix:PATH|tls:PORT CONNECTIONS SECONDS RATE < REQUESTS\n", stderr);
        return 2;
    }
    target = argv[1];
    n_connections = strtoul(argv[2], NULL, 10);
    if (!n_connections || n_connections > CONNECTIONS_MAX)
        fail("CONNECTIONS must be 1 to 4096");
    read_requests();
    connections = calloc(n_connections, sizeof(*connections));
    idle = calloc(n_connections, sizeof(struct connection *));
    poll_fd = epoll_create1(EPOLL_CLOEXEC);
    tls = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_verify(tls, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_default_verify_paths(tls);
    warm_up();
    report(run(strtod(argv[3], NULL), strtod(argv[4], NULL)));
    return 0;
}
