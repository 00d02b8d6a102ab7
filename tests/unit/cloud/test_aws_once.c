/* One request for many who ask the same in one look, against a small server that counts. */
#include "../test.h"

#include "base/mem.h"
#include "cloud/aws/client.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <sys/socket.h>

#define ASKERS 8
#define SEEN "<DescribeVpcsResponse><vpcSet><item><vpcId>vpc-1</vpcId></item></vpcSet></DescribeVpcsResponse>"
#define REFUSED \
    "<Response><Errors><Error><Code>UnauthorizedOperation</Code><Message>no</Message></Error></Errors></Response>"

struct server {
    int fd;
    pthread_t thread;
    atomic_int asked, refuse; /* refuse: so many more */
    char url[64];
};

/* Headers and body have come when the body ends as long as it was said to be. */
static bool whole(const char *text, size_t n)
{
    const char *end = strstr(text, "\r\n\r\n"), *length = strcasestr(text, "content-length:");
    return end && length && (size_t)(end + 4 - text) + (size_t)atol(length + 15) <= n;
}

static void *serve(void *arg)
{
    struct server *s = arg;
    for (int fd; (fd = accept(s->fd, NULL, NULL)) >= 0; close(fd)) {
        char text[16384] = "";
        size_t n = 0;
        ssize_t got;
        while (n < sizeof(text) - 1 && !whole(text, n) && (got = read(fd, text + n, sizeof(text) - 1 - n)) > 0)
            text[n += (size_t)got] = 0;
        atomic_fetch_add(&s->asked, 1);
        bool refuse = atomic_load(&s->refuse) > 0;
        if (refuse)
            atomic_fetch_sub(&s->refuse, 1);
        const char *body = refuse ? REFUSED : SEEN;
        dprintf(fd, "HTTP/1.1 %s\r\nContent-Type: text/xml\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s",
                refuse ? "403 Forbidden" : "200 OK", strlen(body), body);
    }
    return NULL;
}

static int setup(void **state)
{
    struct server *s = mem_alloc(sizeof(*s));
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(s->fd, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(s->fd, 64), 0);
    assert_int_equal(getsockname(s->fd, (struct sockaddr *)&at, &len), 0);
    snprintf(s->url, sizeof(s->url), "http://127.0.0.1:%d", ntohs(at.sin_port));
    assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct server *s = *state;
    shutdown(s->fd, SHUT_RDWR);
    pthread_join(s->thread, NULL);
    close(s->fd);
    free(s);
    return 0;
}

static struct aws_client *client_of(const struct server *s)
{
    autojson json_t *endpoints = json_pack("{s:s}", "*", s->url);
    struct aws_config config = {.region = "us-east-1", .endpoints = endpoints, .clock = &clock_system};
    config.source = (struct aws_source){.id = "AKIAEXAMPLE", .secret = "secret", .no_imds = true};
    return aws_client_new(&config);
}

struct asker {
    pthread_t thread;
    struct aws_client *client;
    unsigned look;
    const char *tag;
    int result;
    size_t found;
};

static void *ask(void *arg)
{
    static const struct aws_pages pages = {"NextToken", "nextToken", "vpcSet", NULL};
    struct asker *a = arg;
    autojson json_t *params = json_pack("{s:[{s:s, s:[s]}]}", "Filter", "Name", "tag:x", "Value", a->tag),
                    *found OH_CLEANUP(js_decrefp) = NULL;
    struct aws_request q = {.service = "ec2", .action = "DescribeVpcs", .params = params};
    a->result = aws_call_all_once(a->client, a->look, &q, &pages, &found, NULL);
    a->found = json_array_size(found);
    return NULL;
}

static int one(struct aws_client *c, unsigned look, const char *tag)
{
    struct asker a = {.client = c, .look = look, .tag = tag};
    ask(&a);
    assert_int_equal(a.found, a.result == 0);
    return a.result;
}

static void many_in_one_look_are_one_request(void **state)
{
    struct server *s = *state;
    autoaws struct aws_client *c = client_of(s);
    struct asker a[ASKERS];
    for (size_t i = 0; i < ASKERS; i++) {
        a[i] = (struct asker){.client = c, .look = 1, .tag = "a"};
        assert_int_equal(pthread_create(&a[i].thread, NULL, ask, &a[i]), 0);
    }
    for (size_t i = 0; i < ASKERS; i++) {
        pthread_join(a[i].thread, NULL);
        assert_int_equal(a[i].result, 0);
        assert_int_equal(a[i].found, 1);
    }
    assert_int_equal(atomic_load(&s->asked), 1);
    assert_int_equal(one(c, 1, "b"), 0); /* another question */
    assert_int_equal(one(c, 2, "a"), 0); /* another look */
    assert_int_equal(one(c, 0, "a"), 0); /* none */
    assert_int_equal(one(c, 0, "a"), 0);
    assert_int_equal(atomic_load(&s->asked), 5);
}

static void a_failure_is_not_kept(void **state)
{
    struct server *s = *state;
    autoaws struct aws_client *c = client_of(s);
    atomic_store(&s->refuse, 1);
    assert_int_equal(one(c, 1, "a"), -EACCES);
    assert_int_equal(one(c, 1, "a"), 0);
    assert_int_equal(one(c, 1, "a"), 0);
    assert_int_equal(atomic_load(&s->asked), 2);
}

/* Whether one asks for all or each for itself, none is left waiting and none is told what is not so. */
static void a_failure_reaches_all_who_wait(void **state)
{
    struct server *s = *state;
    autoaws struct aws_client *c = client_of(s);
    struct asker a[ASKERS];
    atomic_store(&s->refuse, 1000);
    for (size_t i = 0; i < ASKERS; i++) {
        a[i] = (struct asker){.client = c, .look = 1, .tag = "a"};
        assert_int_equal(pthread_create(&a[i].thread, NULL, ask, &a[i]), 0);
    }
    for (size_t i = 0; i < ASKERS; i++) {
        pthread_join(a[i].thread, NULL);
        assert_int_equal(a[i].result, -EACCES);
    }
    assert_true(atomic_load(&s->asked) >= 1 && atomic_load(&s->asked) <= ASKERS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(many_in_one_look_are_one_request, setup, teardown),
        cmocka_unit_test_setup_teardown(a_failure_is_not_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(a_failure_reaches_all_who_wait, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
