/* control/api/events: streams on a real server hear of every change, are bounded by reader, and end when they should.
 */
#include "../test.h"

#include "control/api/events.h"
#include "store/store.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_MS 60000

struct server {
    char *database;
    struct store *store; /* another connection: the one that writes */
    struct events *events;
    struct MHD_Daemon *daemon;
    uint16_t port;
};

/* GET /READER opens a stream; what is refused is 429 with its sentence. */
static enum MHD_Result answer(void *data, struct MHD_Connection *c, const char *url, const char *method,
                              const char *version, const char *upload, size_t *size, void **state)
{
    struct server *s = data;
    struct MHD_Response *r = NULL;
    struct err err = ERR_INIT;
    if (!*state) { /* the first call has headers only */
        *state = s;
        return MHD_YES;
    }
    unsigned status = 200;
    if (events_open(s->events, c, url + 1, &r, &err) < 0) {
        status = 429;
        r = MHD_create_response_from_buffer(strlen(err.message), err.message, MHD_RESPMEM_MUST_COPY);
    }
    enum MHD_Result done = MHD_queue_response(c, status, r);
    MHD_destroy_response(r);
    return done;
}

static int server_setup(void **state)
{
    struct server *s = mem_alloc(sizeof(*s));
    char folder[] = "/tmp/ownhouse-test-XXXXXX";
    if (!mkdtemp(folder))
        return -1;
    s->database = mem_printf("%s/control.db", folder);
    assert_int_equal(store_open(s->database, STORE_CREATE, &s->store, NULL), 0);
    assert_int_equal(store_exec(s->store, "CREATE TABLE change (n INTEGER)", STORE_NO_ARGS, NULL, NULL), 0);
    assert_int_equal(events_start(s->database, &s->events, NULL), 0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    s->daemon = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, answer, s,
                                 MHD_OPTION_SOCK_ADDR, (struct sockaddr *)&at, MHD_OPTION_END);
    assert_non_null(s->daemon);
    s->port = MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
    *state = s;
    return 0;
}

static int server_teardown(void **state)
{
    struct server *s = *state;
    if (s->events)
        events_stop(s->events);
    if (s->daemon)
        MHD_stop_daemon(s->daemon);
    events_free(s->events);
    store_close(s->store);
    *strrchr(s->database, '/') = 0;
    int r = fs_remove_tree(s->database, NULL);
    free(s->database);
    free(s);
    return r;
}

static void change(struct server *s)
{
    assert_int_equal(store_exec(s->store, "INSERT INTO change VALUES (1)", STORE_NO_ARGS, NULL, NULL), 0);
}

/* A reader's side of a stream: what has come so far. */
struct reader {
    int fd;
    size_t len;
    char text[KIB(64)];
};

static struct reader *open_stream(struct server *s, const char *name)
{
    struct reader *r = mem_alloc(sizeof(*r));
    autofree char *request = mem_printf("GET /%s HTTP/1.1\r\nHost: localhost\r\n\r\n", name);
    struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_port = htons(s->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    r->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(r->fd, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(write(r->fd, request, strlen(request)), strlen(request));
    return r;
}

static void close_stream(struct reader *r)
{
    close(r->fd);
    free(r);
}

/* Reads on; false at the end of the stream. */
static bool read_more(struct reader *r)
{
    struct pollfd p = {.fd = r->fd, .events = POLLIN};
    if (poll(&p, 1, PATIENCE_MS) != 1)
        fail_msg("nothing came: %s", r->text);
    ssize_t n = read(r->fd, r->text + r->len, sizeof(r->text) - 1 - r->len);
    if (n <= 0)
        return false;
    r->len += (size_t)n;
    return true;
}

static void read_until(struct reader *r, const char *text)
{
    while (!strstr(r->text, text))
        assert_true(read_more(r));
}

static size_t events_of(const struct reader *r)
{
    size_t n = 0;
    for (const char *at = r->text; (at = strstr(at, "event: change")); at++)
        n++;
    return n;
}

static void read_events(struct reader *r, size_t n)
{
    while (events_of(r) < n)
        assert_true(read_more(r));
}

/* Numbers only grow, and each event has one. */
static void check_numbers(const struct reader *r)
{
    long long last = 0;
    for (const char *at = r->text; (at = strstr(at, "\"sequence\":")); at++) {
        long long n = atoll(at + strlen("\"sequence\":"));
        assert_true(n > last);
        last = n;
    }
}

static void a_stream_hears_of_every_change(void **state)
{
    struct server *s = *state;
    struct reader *a = open_stream(s, "ada"), *b = open_stream(s, "bob");
    read_until(a, "text/event-stream");
    read_until(a, "no-store");
    read_events(a, 1); /* at once: what was missed before is asked for */
    read_events(b, 1);
    for (size_t i = 2; i < 6; i++) {
        /* The watcher's first look may come as an event of its own, so at least one more each time. */
        size_t before_a = events_of(a), before_b = events_of(b);
        change(s);
        events_ring(s->events);
        read_events(a, before_a + 1);
        read_events(b, before_b + 1);
    }
    change(s); /* nobody rings: found all the same */
    read_events(a, events_of(a) + 1);
    check_numbers(a);
    check_numbers(b);
    close_stream(a);
    close_stream(b);
}

static void who_asks_instead_sees_a_number_that_grows(void **state)
{
    struct server *s = *state;
    uint64_t before = events_sequence(s->events);
    change(s);
    for (int i = 0; i < PATIENCE_MS / 20 && events_sequence(s->events) == before; i++)
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    assert_true(events_sequence(s->events) > before);
}

static void a_reader_has_so_many_and_no_more(void **state)
{
    struct server *s = *state;
    struct reader *all[EVENTS_PER_READER];
    for (size_t i = 0; i < EVENTS_PER_READER; i++) {
        all[i] = open_stream(s, "carl");
        read_events(all[i], 1);
    }
    struct reader *more = open_stream(s, "carl");
    read_until(more, "at most 8 streams");
    assert_memory_equal(more->text, "HTTP/1.1 429", 12);
    close_stream(more);
    struct reader *other = open_stream(s, "dora"); /* not harmed */
    read_events(other, 1);
    close_stream(other);
    /* One that went away without a word makes room, as soon as the server sees it. */
    close_stream(all[0]);
    for (int i = 0;; i++) {
        all[0] = open_stream(s, "carl");
        read_until(all[0], "\r\n\r\n");
        if (!strncmp(all[0]->text, "HTTP/1.1 200", 12))
            break;
        close_stream(all[0]);
        assert_true(i < PATIENCE_MS / 20);
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    }
    for (size_t i = 0; i < EVENTS_PER_READER; i++)
        close_stream(all[i]);
}

/* Last: nothing comes after a stop. */
static void a_stop_ends_all_streams_and_lets_none_in(void **state)
{
    struct server *s = *state;
    struct reader *a = open_stream(s, "eve"), *late;
    read_events(a, 1);
    events_stop(s->events);
    while (!strstr(a->text, "\r\n0\r\n")) /* the last chunk: an end that was sent, not one that was cut */
        assert_true(read_more(a));
    late = open_stream(s, "eve");
    read_until(late, "is stopping");
    close_stream(a);
    close_stream(late);
    MHD_stop_daemon(s->daemon);
    events_free(s->events);
    s->events = NULL;
    s->daemon = NULL;
}

static void a_store_that_is_not_there_is_an_error(void **unused)
{
    struct events *e = NULL;
    struct err err = ERR_INIT;
    assert_true(events_start("/nonexistent/control.db", &e, &err) < 0);
    assert_true(strlen(err.message) > 0);
    assert_null(e);
    events_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_store_that_is_not_there_is_an_error),     cmocka_unit_test(a_stream_hears_of_every_change),
        cmocka_unit_test(who_asks_instead_sees_a_number_that_grows), cmocka_unit_test(a_reader_has_so_many_and_no_more),
        cmocka_unit_test(a_stop_ends_all_streams_and_lets_none_in),
    };
    return cmocka_run_group_tests(tests, server_setup, server_teardown);
}
