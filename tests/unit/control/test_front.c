/* HAProxy's file as HAProxy itself judges it, and the life of the edge certificate under a clock of our own. */
#include "control/front.h"

#include "../test.h"
#include "control/edge_certificate.h"
#include "net/tls.h"

#include <sys/stat.h>
#include <sys/wait.h>

#define DAY_MS (24 * 3600 * 1000LL)
#define START_MS 1790000000000LL

struct fixture {
    char *dir;
    struct control_config config;
    struct clock_manual clock;
};

static int setup(void **state)
{
    struct fixture *f = mem_alloc(sizeof(*f));
    void *dir = NULL;
    if (scratch_setup(&dir) < 0)
        return -1;
    f->dir = dir;
    autofree char *keys = mem_printf("%s/keys", f->dir), *run = mem_printf("%s/run", f->dir);
    f->config = (struct control_config){.state_dir = mem_strdup(f->dir),
                                        .listen_address = mem_strdup("127.0.0.1"),
                                        .listen_port = 18443,
                                        .server_name = mem_strdup("house.example"),
                                        .haproxy_program = mem_strdup("/usr/sbin/haproxy")};
    clock_manual_init(&f->clock, START_MS);
    *state = f;
    return fs_mkdirs(keys, 0700, NULL) < 0 || fs_mkdirs(run, 0700, NULL) < 0 ? -1 : 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    void *dir = f->dir;
    free(f->config.state_dir);
    free(f->config.listen_address);
    free(f->config.server_name);
    free(f->config.haproxy_program);
    free(f);
    return scratch_teardown(&dir);
}

static void set(char **field, const char *value)
{
    free(*field);
    *field = mem_strdup(value);
}

/* The lines of one section, heap: from its name to the next line that is not indented. */
static char *section(const char *text, const char *name)
{
    autofree char *head = mem_printf("\n%s\n", name);
    const char *from = strstr(text, head);
    if (!from)
        fail_msg("no section %s", name);
    from += strlen(head);
    const char *to = from;
    while (!strncmp(to, "    ", 4))
        to = strchr(to, '\n') + 1;
    return mem_strndup(from, (size_t)(to - from));
}

/* The offset of a whole line in a section; fails if it is not there. */
static size_t line_at(const char *lines, const char *line)
{
    autofree char *whole = mem_printf("    %s\n", line);
    const char *at = strstr(lines, whole);
    if (!at)
        fail_msg("no line \"%s\" in\n%s", line, lines);
    return (size_t)(at - lines);
}

static void the_links_protocols_pass_untouched(void **state)
{
    struct fixture *f = *state;
    autofree char *text = front_config(&f->config);
    autofree char *door = section(text, "frontend door"), *link = section(text, "backend link");
    autofree char *route =
        mem_printf("use_backend link if { req.ssl_alpn %s } || { req.ssl_alpn %s } || { req.ssl_alpn %s }",
                   TLS_ALPN_LINK, TLS_ALPN_ENROL, TLS_ALPN_ACCESS);
    line_at(door, "mode tcp");
    line_at(door, "bind 127.0.0.1:18443");
    assert_true(line_at(door, "tcp-request content accept if { req.ssl_hello_type 1 }") <
                line_at(door, "tcp-request content reject"));
    line_at(door, route);
    line_at(door, "default_backend terminate");
    line_at(link, "mode tcp");
    assert_null(strstr(link, " ssl"));
}

static void the_clients_address_travels_by_proxy_v2(void **state)
{
    struct fixture *f = *state;
    autofree char *text = front_config(&f->config);
    autofree char *link = section(text, "backend link"), *terminate = section(text, "backend terminate"),
                  *https = section(text, "frontend https");
    autofree char *to_link = mem_printf("server link unix@%s/run/link.sock send-proxy-v2", f->dir),
                  *to_https = mem_printf("server https unix@%s/run/https.sock send-proxy-v2", f->dir),
                  *bind = mem_printf("bind unix@%s/run/https.sock mode 600 accept-proxy ssl crt %s/keys/edge.pem alpn "
                                     "h2,http/1.1",
                                     f->dir, f->dir);
    line_at(link, to_link);
    line_at(terminate, to_https);
    line_at(https, bind);
}

static void the_api_hears_one_forwarded_address(void **state)
{
    struct fixture *f = *state;
    autofree char *text = front_config(&f->config);
    autofree char *https = section(text, "frontend https");
    size_t dropped = line_at(https, "http-request del-header X-Forwarded-For"),
           given = line_at(https, "http-request set-header X-Forwarded-For %[src]");
    assert_true(dropped < given);
    line_at(https, "http-request del-header Forwarded");
    assert_null(strstr(https, "option forwardfor"));
    assert_null(strstr(https, "add-header X-Forwarded-For"));
}

static int haproxy_checks(struct fixture *f)
{
    autofree char *path = mem_printf("%s/run/haproxy.cfg", f->dir);
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        execl(f->config.haproxy_program, "haproxy", "-c", "-q", "-f", path, (char *)NULL);
        _exit(127);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void haproxy_takes_the_file(void **state)
{
    static const char *const addresses[] = {"127.0.0.1", "0.0.0.0", "::", "::1", "2001:db8::7"};
    struct fixture *f = *state;
    if (access(f->config.haproxy_program, X_OK) < 0) {
        print_message("haproxy_takes_the_file: skipped, there is no %s\n", f->config.haproxy_program);
        skip();
    }
    for (size_t i = 0; i < ARRAY_SIZE(addresses); i++) {
        set(&f->config.listen_address, addresses[i]);
        assert_int_equal(front_prepare(&f->config, &f->clock.clock, NULL), 1);
        if (haproxy_checks(f) != 0)
            fail_msg("HAProxy refuses %s", addresses[i]);
    }
}

static void an_ipv6_address_is_bound_as_one(void **state)
{
    struct fixture *f = *state;
    set(&f->config.listen_address, "::1");
    autofree char *text = front_config(&f->config);
    autofree char *door = section(text, "frontend door");
    line_at(door, "bind ipv6@::1:18443");
}

static void the_file_is_written_only_when_it_changes(void **state)
{
    struct fixture *f = *state;
    autofree char *path = mem_printf("%s/run/haproxy.cfg", f->dir), *text = NULL;
    struct stat before, after;
    assert_int_equal(front_prepare(&f->config, &f->clock.clock, NULL), 1);
    assert_int_equal(stat(path, &before), 0);
    assert_int_equal(before.st_mode & 0777, 0600);
    assert_int_equal(front_prepare(&f->config, &f->clock.clock, NULL), 0);
    assert_int_equal(stat(path, &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
    f->config.listen_port = 18444;
    assert_int_equal(front_prepare(&f->config, &f->clock.clock, NULL), 1);
    assert_int_equal(fs_read(path, MIB(1), &text, NULL, NULL), 0);
    assert_non_null(strstr(text, "127.0.0.1:18444"));
}

static struct tls_cert_info edge(struct fixture *f)
{
    autofree char *path = mem_printf("%s/keys/edge.pem", f->dir);
    autocert struct tls_cert *cert = NULL;
    struct tls_cert_info info;
    assert_int_equal(tls_cert_load(path, &cert, NULL), 0);
    tls_cert_info(cert, &info);
    return info;
}

static char *authority(struct fixture *f)
{
    autofree char *path = mem_printf("%s/keys/edge-ca.pem", f->dir);
    char *pem = NULL;
    assert_int_equal(fs_read(path, KIB(64), &pem, NULL, NULL), 0);
    return pem;
}

static void the_certificate_is_renewed_thirty_days_before_its_end(void **state)
{
    struct fixture *f = *state;
    const struct clock *clock = &f->clock.clock;
    assert_int_equal(edge_certificate_prepare(&f->config, clock, NULL), 1);
    struct tls_cert_info first = edge(f);
    assert_int_equal(first.not_after_ms, START_MS + 397 * DAY_MS);
    assert_true(first.not_before_ms <= START_MS);
    autofree char *ca = authority(f);
    assert_int_equal(edge_certificate_prepare(&f->config, clock, NULL), 0);
    f->clock.wall = first.not_after_ms - 30 * DAY_MS - 1000;
    assert_int_equal(edge_certificate_prepare(&f->config, clock, NULL), 0);
    assert_string_equal(edge(f).serial, first.serial);
    f->clock.wall = first.not_after_ms - 30 * DAY_MS;
    assert_int_equal(edge_certificate_prepare(&f->config, clock, NULL), 1);
    struct tls_cert_info second = edge(f);
    assert_string_not_equal(second.serial, first.serial);
    assert_int_equal(second.not_after_ms, f->clock.wall + 397 * DAY_MS);
    autofree char *same = authority(f);
    assert_string_equal(ca, same); /* what people trust stays */
    assert_int_equal(edge_certificate_prepare(&f->config, clock, NULL), 0);
}

static void a_changed_server_name_makes_a_new_certificate(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(edge_certificate_prepare(&f->config, &f->clock.clock, NULL), 1);
    set(&f->config.server_name, "control.example.com");
    assert_int_equal(edge_certificate_prepare(&f->config, &f->clock.clock, NULL), 1);
    assert_int_equal(edge_certificate_prepare(&f->config, &f->clock.clock, NULL), 0);
}

static void an_operators_own_certificate_is_left_alone(void **state)
{
    struct fixture *f = *state;
    autofree char *path = mem_printf("%s/keys/edge.pem", f->dir), *after = NULL;
    autoca struct tls_ca *theirs = NULL;
    autotlskey struct tls_key *key = tls_key_new();
    autocert struct tls_cert *cert = NULL;
    const char *dns[] = {"elsewhere.example.com", NULL}, *ip[] = {NULL};
    assert_int_equal(tls_ca_new("OwnHouse edge", START_MS, START_MS + DAY_MS, &theirs, NULL), 0);
    assert_int_equal(tls_ca_issue_server(theirs, key, dns, ip, START_MS, START_MS + DAY_MS, &cert, NULL), 0);
    autofree char *cert_pem = tls_cert_pem(cert), *key_pem = tls_key_pem(key);
    autofree char *own = mem_printf("%s%s", cert_pem, key_pem);
    assert_int_equal(edge_certificate_prepare(&f->config, &f->clock.clock, NULL), 1);
    assert_int_equal(fs_write_atomic(path, own, strlen(own), 0600, NULL), 0);
    f->clock.wall = START_MS + 2 * DAY_MS; /* over, but only they can renew it */
    assert_int_equal(edge_certificate_prepare(&f->config, &f->clock.clock, NULL), 0);
    assert_int_equal(fs_read(path, KIB(64), &after, NULL, NULL), 0);
    assert_string_equal(after, own);
}

static void the_file_holds_certificate_authority_and_key(void **state)
{
    struct fixture *f = *state;
    autofree char *path = mem_printf("%s/keys/edge.pem", f->dir), *pem = NULL;
    autofree char *ca_key = mem_printf("%s/keys/edge-ca.key", f->dir);
    struct stat st;
    assert_int_equal(edge_certificate_prepare(&f->config, &f->clock.clock, NULL), 1);
    autofree char *ca = authority(f);
    assert_int_equal(fs_read_secret(path, KIB(64), &pem, NULL, NULL), 0);
    const char *second = strstr(pem, ca), *key = strstr(pem, "PRIVATE KEY");
    assert_true(second > pem && key > second);
    assert_int_equal(stat(ca_key, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void another_or_broken_certificate_is_made_again(void **state)
{
    struct fixture *f = *state;
    autofree char *path = mem_printf("%s/keys/edge.pem", f->dir);
    assert_int_equal(edge_certificate_prepare(&f->config, &f->clock.clock, NULL), 1);
    assert_int_equal(fs_write_atomic(path, "torn", 4, 0600, NULL), 0);
    assert_int_equal(edge_certificate_prepare(&f->config, &f->clock.clock, NULL), 1);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(edge_certificate_prepare(&f->config, &f->clock.clock, NULL), 1);
    /* A clock far behind: not yet valid is as bad as expired. */
    f->clock.wall = START_MS - 10 * DAY_MS;
    assert_int_equal(edge_certificate_prepare(&f->config, &f->clock.clock, NULL), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_links_protocols_pass_untouched, setup, teardown),
        cmocka_unit_test_setup_teardown(the_clients_address_travels_by_proxy_v2, setup, teardown),
        cmocka_unit_test_setup_teardown(the_api_hears_one_forwarded_address, setup, teardown),
        cmocka_unit_test_setup_teardown(haproxy_takes_the_file, setup, teardown),
        cmocka_unit_test_setup_teardown(an_ipv6_address_is_bound_as_one, setup, teardown),
        cmocka_unit_test_setup_teardown(the_file_is_written_only_when_it_changes, setup, teardown),
        cmocka_unit_test_setup_teardown(the_certificate_is_renewed_thirty_days_before_its_end, setup, teardown),
        cmocka_unit_test_setup_teardown(a_changed_server_name_makes_a_new_certificate, setup, teardown),
        cmocka_unit_test_setup_teardown(an_operators_own_certificate_is_left_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(the_file_holds_certificate_authority_and_key, setup, teardown),
        cmocka_unit_test_setup_teardown(another_or_broken_certificate_is_made_again, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
