/* cloud/local: settings, addresses, the desired graph and what is written for its programs. Pure. */
#include "bench.h"

static void refused(struct bench *b, const char *said)
{
    struct err err = ERR_INIT;
    struct plan_graph *g = NULL;
    assert_true(cloud_local_graph(&b->env, &g, &err) < 0);
    if (!strstr(err.message, said))
        fail_msg("\"%s\" does not say \"%s\"", err.message, said);
}

static void wrong_settings_are_named(void **state)
{
    struct bench *b = *state;
    const struct local_env good = b->env;
#define WRONG(field, value, said) \
    do {                          \
        b->env = good;            \
        b->env.isolated = true;   \
        b->env.field = (value);   \
        refused(b, (said));       \
    } while (0)
    WRONG(infrastructure, "8C0FFEE0-0000-4000-8000-000000000001", "lower case");
    WRONG(infrastructure, "x", "infrastructure: must be a UUID");
    WRONG(name, "../etc", "name:");
    WRONG(name, "-a", "name:");
    WRONG(domain, "Laptop", "domain:");
    WRONG(account_dir, "relative", "account_dir: \"relative\" must be an absolute path");
    WRONG(account_dir, "/a/../b", "account_dir:");
    WRONG(bundle, "/a b", "bundle:");
    WRONG(haproxy_program, "", "haproxy_program: must be set");
    WRONG(cidr, "10.0.0.0", "cidr:");
    WRONG(cidr, "10.0.0.0/30", "from /8 to /29");
    WRONG(cidr, "10.0.0.0/7", "from /8 to /29");
    WRONG(cidr, "fd00::/64", "cidr:");
    WRONG(https_port, 0, "https_port: 0");
    WRONG(native_port, good.https_port, "https_port already");
    WRONG(service_port_base, good.https_port - 1, "hold https_port");
    WRONG(service_port_base, good.https_port - good.service_port_count, "hold https_port");
    WRONG(service_port_base, 8442, "hold the ingress's own port 8443");
    WRONG(service_port_base, 65534, "service_port_base:");
    WRONG(service_port_count, 1025, "service_port_count: 1025");
    WRONG(outbound, ((const char *const[]){"example.com:443", NULL}), "outbound[0]: \"example.com:443\"");
    WRONG(outbound, ((const char *const[]){"192.0.2.1:443", "192.0.2.1:0", NULL}), "outbound[1]:");
    WRONG(outbound, ((const char *const[]){"127.0.0.1:443", NULL}), "outbound[0]:");
    char long_path[200];
    memset(long_path, 'a', sizeof(long_path));
    long_path[0] = '/';
    long_path[120] = 0;
    WRONG(control_state_dir, long_path, "too long for a socket");
    b->env = good;
}

static void addresses_come_from_the_range(void **state)
{
    struct bench *b = *state;
    struct local_addresses a, again, other;
    b->env.isolated = true;
    b->env.infrastructure = "8c0ffee0-0000-4000-8000-000000000001";
    b->env.cidr = "10.77.9.5/16";
    assert_int_equal(cloud_local_addresses(&b->env, &a, NULL), 0);
    assert_int_equal(cloud_local_addresses(&b->env, &again, NULL), 0);
    assert_memory_equal(&a, &again, sizeof(a));
    assert_int_equal(strncmp(a.network, "10.77.", 6), 0);
    assert_string_equal(strchr(a.network, '/'), "/24");
    assert_string_equal(a.netns, "oh-8c0ffee0");
    assert_string_equal(a.bridge, "ohb-8c0ffee0");
    assert_string_equal(a.veth, "ohv-8c0ffee0");
    assert_string_equal(strrchr(a.gateway, '.'), ".1");
    assert_string_equal(strrchr(a.data_plane, '.'), ".2");
    b->env.infrastructure = "8c0ffee0-0000-4000-8000-000000000002";
    assert_int_equal(cloud_local_addresses(&b->env, &other, NULL), 0);
    assert_string_not_equal(a.network, other.network);
    b->env.cidr = "192.168.3.16/29";
    assert_int_equal(cloud_local_addresses(&b->env, &a, NULL), 0);
    assert_string_equal(a.network, "192.168.3.16/29");
    assert_string_equal(a.data_plane, "192.168.3.18");
    b->env.isolated = false;
    assert_int_equal(cloud_local_addresses(&b->env, &a, NULL), 0);
    assert_int_equal(strncmp(a.data_plane, "127.77.", 7), 0);
    assert_string_equal(a.netns, "");
}

static json_t *plan_of_nothing(struct bench *b, const struct plan_graph *g)
{
    struct err err = ERR_INIT;
    json_t *doc = NULL;
    autojson json_t *nothing = json_object(), *none OH_CLEANUP(js_decrefp) = json_array();
    if (plan_diff(&b->c, g, PLAN_APPLY, false, nothing, none, &doc, &err) < 0)
        fail_msg("%s", err.message);
    return doc;
}

static void the_graph_is_pure_and_says_what_is_missing(void **state)
{
    struct bench *b = *state;
    for (int isolated = 0; isolated < 2; isolated++) {
        char one[65], two[65];
        struct err err = ERR_INIT;
        autograph struct plan_graph *g = NULL, *g2 OH_CLEANUP(plan_graph_freep) = NULL;
        b->env.isolated = isolated;
        if (cloud_local_graph(&b->env, &g, &err) < 0 || cloud_local_graph(&b->env, &g2, &err) < 0)
            fail_msg("%s", err.message);
        assert_int_equal(plan_graph_digest(g, cloud_local_types, b->id, one, NULL), 0);
        assert_int_equal(plan_graph_digest(g2, cloud_local_types, b->id, two, NULL), 0);
        assert_string_equal(one, two);
        autojson json_t *doc = plan_of_nothing(b, g);
        assert_int_equal(json_array_size(json_object_get(doc, "notes")), isolated ? 0 : 4);
        assert_int_equal(json_array_size(json_object_get(doc, "changes")), isolated ? 12 : 7);
        assert_int_equal(json_integer_value(json_object_get(json_object_get(doc, "summary"), "create")),
                         isolated ? 12 : 7);
    }
}

/* Each setting that ends up in a file changes the plan, so that it reaches the machine. */
static void every_setting_counts(void **state)
{
    struct bench *b = *state;
    char before[65], after[65];
    autograph struct plan_graph *g = NULL;
    b->env.isolated = true;
    const struct local_env good = b->env;
    assert_int_equal(cloud_local_graph(&b->env, &g, NULL), 0);
    assert_int_equal(plan_graph_digest(g, cloud_local_types, b->id, before, NULL), 0);
#define COUNTS(field, value)                                                                  \
    do {                                                                                      \
        autograph struct plan_graph *other = NULL;                                            \
        b->env = good;                                                                        \
        b->env.field = (value);                                                               \
        assert_int_equal(cloud_local_graph(&b->env, &other, NULL), 0);                        \
        assert_int_equal(plan_graph_digest(other, cloud_local_types, b->id, after, NULL), 0); \
        assert_string_not_equal(before, after);                                               \
    } while (0)
    COUNTS(name, "other");
    COUNTS(account_dir, "/other");
    COUNTS(cidr, "10.1.0.0/16");
    COUNTS(https_port, 1000);
    COUNTS(native_port, 1000);
    COUNTS(service_port_base, good.service_port_base + 1);
    COUNTS(service_port_count, 2);
    COUNTS(control_state_dir, "/other");
    COUNTS(bundle, "/other");
    COUNTS(agent_program, "/other");
    COUNTS(haproxy_program, "/other");
    COUNTS(engine_program, "/other");
    COUNTS(engine_library, "/other");
    COUNTS(clickhouse_program, "/other");
    COUNTS(knot_program, "/other");
    COUNTS(log_level, "debug");
    COUNTS(outbound, ((const char *const[]){"192.0.2.1:443", NULL}));
    b->env = good;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(wrong_settings_are_named),
        BENCH_TEST(addresses_come_from_the_range),
        BENCH_TEST(the_graph_is_pure_and_says_what_is_missing),
        BENCH_TEST(every_setting_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
