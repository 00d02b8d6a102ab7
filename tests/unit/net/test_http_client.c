/* net/http_client: real requests against a small server over TCP, TLS and a Unix socket. */
#include "tls_fixture.h"

#include "base/buf.h"
#include "net/http_client.h"

#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/un.h>
#include <time.h>

/* Serves one connection a request: reads the whole request, sends the canned answer, closes. */
struct server {
    int fd;
    uint16_t port;
    pthread_t thread;
    SSL_CTX *tls;
    const char *answer;
    char seen[8192];
    size_t seen_len;
    int delay_ms;
    void *(*loop)(void *); /* NULL: run */
    atomic_int requests;   /* that answer_once has read whole */
};

static void serve(struct server *s, int fd, SSL *ssl)
{
    size_t want = SIZE_MAX;
    s->seen_len = 0;
    while (s->seen_len < want && s->seen_len < sizeof(s->seen) - 1) {
        size_t room = sizeof(s->seen) - 1 - s->seen_len;
        ssize_t n = ssl ? SSL_read(ssl, s->seen + s->seen_len, (int)room) : read(fd, s->seen + s->seen_len, room);
        if (n <= 0)
            return;
        s->seen_len += (size_t)n;
        s->seen[s->seen_len] = 0;
        const char *end = strstr(s->seen, "\r\n\r\n"), *length = strstr(s->seen, "Content-Length: ");
        if (end)
            want = (size_t)(end + 4 - s->seen) + (length ? strtoul(length + 16, NULL, 10) : 0);
    }
    if (s->delay_ms)
        nanosleep(&(struct timespec){0, s->delay_ms * 1000000l}, NULL);
    size_t len = strlen(s->answer);
    if (ssl)
        assert_int_equal(SSL_write(ssl, s->answer, (int)len), len);
    else if (write(fd, s->answer, len) != (ssize_t)len)
        return;
}

static void *run(void *arg)
{
    struct server *s = arg;
    for (;;) {
        int fd = accept(s->fd, NULL, NULL);
        if (fd < 0)
            return NULL;
        SSL *ssl = s->tls ? SSL_new(s->tls) : NULL;
        if (ssl)
            SSL_set_fd(ssl, fd);
        if (!ssl || SSL_accept(ssl) == 1)
            serve(s, fd, ssl);
        if (ssl)
            SSL_shutdown(ssl);
        SSL_free(ssl);
        close(fd);
    }
}

static void start(struct server *s, const char *path)
{
    union {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_un un;
    } a = {.in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(a.in);
    if (path) {
        a.un.sun_family = AF_UNIX;
        snprintf(a.un.sun_path, sizeof(a.un.sun_path), "%s", path);
        len = sizeof(a.un);
    }
    s->fd = socket(a.any.sa_family, SOCK_STREAM, 0);
    assert_int_equal(bind(s->fd, &a.any, len), 0);
    assert_int_equal(listen(s->fd, 5), 0);
    if (!path) {
        assert_int_equal(getsockname(s->fd, &a.any, &len), 0);
        s->port = ntohs(a.in.sin_port);
    }
    assert_int_equal(pthread_create(&s->thread, NULL, s->loop ? s->loop : run, s), 0);
}

static void stop(struct server *s)
{
    shutdown(s->fd, SHUT_RDWR);
    close(s->fd);
    pthread_join(s->thread, NULL);
}

static void plain_exchange(void **state OH_UNUSED)
{
    struct server s = {.answer = "HTTP/1.1 201 Created\r\nX-Trace: abc \r\nContent-Length: 5\r\n\r\nhello"};
    start(&s, NULL);
    autofree char *url = mem_printf("http://127.0.0.1:%u/v1/things?x=1", s.port);
    const char *headers[] = {"X-One: 1", "Content-Type: application/json", NULL};
    const struct http_request q = {
        .method = "PATCH", .url = url, .headers = headers, .bearer = "tok", .body = "{}", .body_len = 2};
    autoresponse struct http_response r = {0};
    struct err err = ERR_INIT;
    char value[16];
    if (http_do(&q, &r, &err) < 0)
        fail_msg("%s", err.message);
    assert_int_equal(r.status, 201);
    assert_string_equal(r.body, "hello");
    assert_true(http_response_header(&r, "x-trace", value, sizeof(value)));
    assert_memory_equal(value, "abc", 3);
    assert_false(http_response_header(&r, "x-trac", value, sizeof(value)));
    assert_false(http_response_header(&r, "x-trace", value, 3));
    assert_non_null(strstr(s.seen, "PATCH /v1/things?x=1 HTTP/1.1\r\n"));
    assert_non_null(strstr(s.seen, "X-One: 1\r\n"));
    assert_non_null(strstr(s.seen, "Authorization: Bearer tok\r\n"));
    assert_non_null(strstr(s.seen, "\r\n\r\n{}"));
    stop(&s);
}

static void redirects_and_errors_are_answers(void **state OH_UNUSED)
{
    struct server s = {.answer = "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"};
    start(&s, NULL);
    autofree char *url = mem_printf("http://127.0.0.1:%u/", s.port);
    autoresponse struct http_response r = {0};
    assert_int_equal(http_do(&(struct http_request){.url = url, .basic = "u:p"}, &r, NULL), 0);
    assert_int_equal(r.status, 302);
    assert_string_equal(r.body, "");
    assert_non_null(strstr(s.seen, "Authorization: Basic dTpw\r\n"));
    stop(&s);
}

/* The laptop's control plane answers here, whatever proxy the shell is set up for. */
static void proxies_are_not_for_this_machine(void **state OH_UNUSED)
{
    struct server s = {.answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"};
    start(&s, NULL);
    assert_int_equal(setenv("http_proxy", "http://127.0.0.1:1", 1), 0);
    const char *local[] = {"127.0.0.1", "localhost", "demo.laptop.localhost"};
    for (size_t i = 0; i < ARRAY_SIZE(local); i++) {
        autofree char *url = mem_printf("http://%s:%u/", local[i], s.port),
                      *pin = mem_printf("%s:%u:127.0.0.1", local[i], s.port);
        autoresponse struct http_response r = {0};
        assert_int_equal(http_do(&(struct http_request){.url = url, .resolve = pin}, &r, NULL), 0);
    }
    struct http_response none = {0};
    struct err err = ERR_INIT;
    autofree char *url = mem_printf("http://notlocalhost:%u/", s.port),
                  *pin = mem_printf("notlocalhost:%u:127.0.0.1", s.port);
    assert_int_equal(http_do(&(struct http_request){.url = url, .resolve = pin}, &none, &err), -ECONNREFUSED);
    assert_int_equal(unsetenv("http_proxy"), 0);
    stop(&s);
}

static void unix_socket(void **state)
{
    struct server s = {.answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"};
    autofree char *path = mem_printf("%s/s", (char *)*state);
    start(&s, path);
    autoresponse struct http_response r = {0};
    assert_int_equal(setenv("http_proxy", "http://127.0.0.1:1", 1), 0);
    assert_int_equal(http_do(&(struct http_request){.url = "http://local/x", .unix_socket = path}, &r, NULL), 0);
    assert_int_equal(unsetenv("http_proxy"), 0);
    assert_string_equal(r.body, "ok");
    stop(&s);
}

static int collect(const char *data, size_t len, void *user)
{
    buf_add(user, data, len);
    return ((struct buf *)user)->len > 3 && ((struct buf *)user)->max == 99;
}

static void streams_and_limits(void **state OH_UNUSED)
{
    struct server s = {.answer = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789"};
    start(&s, NULL);
    autofree char *url = mem_printf("http://127.0.0.1:%u/secret?token=abc", s.port);
    autobuf struct buf b = BUF_INIT, stopper = BUF_INIT_MAX(99);
    autoresponse struct http_response r = {0};
    struct err err = ERR_INIT;
    assert_int_equal(http_do(&(struct http_request){.url = url, .on_body = collect, .user = &b}, &r, NULL), 0);
    assert_string_equal(b.data, "0123456789");
    assert_string_equal(r.body, "");
    struct http_response none = {0};
    assert_int_equal(http_do(&(struct http_request){.url = url, .on_body = collect, .user = &stopper}, &none, NULL),
                     -ECANCELED);
    assert_int_equal(http_do(&(struct http_request){.url = url, .max_response = 9}, &none, &err), -EMSGSIZE);
    assert_non_null(strstr(err.message, "longer than 9 bytes"));
    assert_null(strstr(err.message, "token"));
    s.delay_ms = 400;
    err = ERR_INIT;
    assert_int_equal(http_do(&(struct http_request){.url = url, .timeout_ms = 100}, &none, &err), -ETIMEDOUT);
    assert_null(none.body);
    stop(&s);
}

static void refusals(void **state OH_UNUSED)
{
    struct http_response r = {0};
    struct err err = ERR_INIT;
    const char *split[] = {"X: y\r\nZ: w", NULL};
    assert_int_equal(http_do(&(struct http_request){.url = "http://127.0.0.1:1/"}, &r, &err), -ECONNREFUSED);
    assert_int_equal(http_do(&(struct http_request){.url = "file:///etc/passwd"}, &r, NULL), -EINVAL);
    assert_int_equal(http_do(&(struct http_request){.url = "http://127.0.0.1:1/", .headers = split}, &r, NULL),
                     -EINVAL);
    assert_int_equal(http_do(&(struct http_request){.url = "http://no-such-host.invalid/"}, &r, NULL), -EHOSTUNREACH);
}

static char *ca_file(const char *folder, const char *name, struct tls_ca *ca)
{
    char *path = mem_printf("%s/%s", folder, name);
    autofree char *pem = tls_cert_pem(tls_ca_cert(ca));
    assert_int_equal(fs_write_atomic(path, pem, strlen(pem), 0644, NULL), 0);
    return path;
}

/* The system's clock judges here, so the authority is made around it. */
static void only_the_named_authority_is_trusted(void **state)
{
    struct server s = {.answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"};
    struct tls_ca *ca = NULL, *other = NULL;
    static const char *const dns[] = {"api.example", NULL};
    int64_t now = clock_wall_ms(&clock_system);
    assert_int_equal(tls_ca_new("ca", now - DAY, now + 9 * DAY, &ca, NULL), 0);
    assert_int_equal(tls_ca_new("other", now - DAY, now + 9 * DAY, &other, NULL), 0);
    autofree char *good = ca_file(*state, "good", ca), *bad = ca_file(*state, "bad", other), *url = NULL, *pin = NULL;
    autoidentity struct identity i = {.key = tls_key_new()};
    assert_int_equal(tls_ca_issue_server(ca, i.key, dns, NULL, now - DAY, now + DAY, &i.cert, NULL), 0);
    autofree char *key = mem_printf("%s/k", (char *)*state), *cert = mem_printf("%s/c", (char *)*state),
                  *pem = tls_cert_pem(i.cert);
    assert_int_equal(tls_key_save(i.key, key, NULL), 0);
    assert_int_equal(fs_write_atomic(cert, pem, strlen(pem), 0644, NULL), 0);
    s.tls = SSL_CTX_new(TLS_server_method());
    assert_int_equal(SSL_CTX_use_certificate_file(s.tls, cert, SSL_FILETYPE_PEM), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey_file(s.tls, key, SSL_FILETYPE_PEM), 1);
    start(&s, NULL);
    url = mem_printf("https://api.example:%u/", s.port);
    pin = mem_printf("api.example:%u:127.0.0.1", s.port);
    autoresponse struct http_response r = {0};
    struct err err = ERR_INIT;
    if (http_do(&(struct http_request){.url = url, .resolve = pin, .ca_file = good}, &r, &err) < 0)
        fail_msg("%s", err.message);
    assert_string_equal(r.body, "ok");
    struct http_response none = {0};
    assert_int_equal(http_do(&(struct http_request){.url = url, .resolve = pin, .ca_file = bad}, &none, NULL), -EACCES);
    assert_int_equal(http_do(&(struct http_request){.url = url, .resolve = pin}, &none, NULL), -EACCES);
    autofree char *wrong = mem_printf("https://127.0.0.1:%u/", s.port);
    assert_int_equal(http_do(&(struct http_request){.url = wrong, .ca_file = good}, &none, NULL), -EACCES);
    stop(&s);
    SSL_CTX_free(s.tls);
    tls_ca_free(ca);
    tls_ca_free(other);
}

/* Answers the first request of a connection and carries the second out without an answer: the connection goes. */
static void *answer_once(void *arg)
{
    struct server *s = arg;
    for (int fd; (fd = accept(s->fd, NULL, NULL)) >= 0; close(fd)) {
        char request[4096];
        struct pollfd p[] = {{.fd = fd, .events = POLLIN}, {.fd = s->fd, .events = POLLIN}};
        for (int n = 0; n < 2 && poll(p, 2, -1) > 0 && p[0].revents && read(fd, request, sizeof(request)) > 0; n++) {
            atomic_fetch_add(&s->requests, 1);
            if (n == 0 && write(fd, s->answer, strlen(s->answer)) < 0)
                break;
        }
    }
    return NULL;
}

static void what_may_have_been_carried_out_is_not_sent_again(void **state OH_UNUSED)
{
    struct server s = {.answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", .loop = answer_once};
    start(&s, NULL);
    struct http_pool *pool = http_pool_new();
    autofree char *url = mem_printf("http://127.0.0.1:%u/", s.port);
    struct http_request q = {.url = url, .method = "POST", .body = "x", .body_len = 1, .pool = pool};
    for (int n = 0; n < 2; n++) { /* the second is lost on the kept connection, and libcurl sends it again */
        autoresponse struct http_response r = {0};
        assert_int_equal(http_do(&q, &r, NULL), 0);
    }
    assert_int_equal(atomic_load(&s.requests), 3);
    q.once = true;
    for (int n = 0; n < 4; n++) {
        autoresponse struct http_response r = {0};
        assert_int_equal(http_do(&q, &r, NULL), 0);
        assert_int_equal(atomic_load(&s.requests), 4 + n);
    }
    http_pool_free(pool);
    stop(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_exchange),
        cmocka_unit_test(redirects_and_errors_are_answers),
        cmocka_unit_test_setup_teardown(unix_socket, scratch_setup, scratch_teardown),
        cmocka_unit_test(proxies_are_not_for_this_machine),
        cmocka_unit_test(streams_and_limits),
        cmocka_unit_test(refusals),
        cmocka_unit_test(what_may_have_been_carried_out_is_not_sent_again),
        cmocka_unit_test_setup_teardown(only_the_named_authority_is_trusted, scratch_setup, scratch_teardown),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
