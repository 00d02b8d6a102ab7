/* cloud/local: namespace, bridge, cable, rules and buckets, for real (as root). */
#include "bench.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/time.h>

static struct plan_graph *network_only(struct bench *b)
{
    /* The whole graph, without what needs a supervisor. */
    struct plan_graph *g = plan_graph_new();
    struct local_addresses a;
    assert_int_equal(cloud_local_addresses(&b->env, &a, NULL), 0);
    const char *prefix = strchr(a.network, '/');
#define ADD(type, ...) assert_int_equal(plan_graph_add(g, type, "main", json_pack(__VA_ARGS__), NULL, NULL), 0)
    ADD("local_network", "{s:s, s:s}", "netns", a.netns, "settings", "closed");
    ADD("local_bridge", "{s:s, s:o, s:s}", "device", a.bridge, "address", json_sprintf("%s%s", a.gateway, prefix),
        "settings", "up");
    ADD("local_interface", "{s:s, s:s, s:s, s:s, s:o, s:[], s:s}", "device", a.veth, "bridge",
        "${local_bridge.main.device}", "netns", "${local_network.main.netns}", "netns_inode",
        "${local_network.main.inode}", "address", json_sprintf("%s%s", a.data_plane, prefix), "routes", "settings",
        "up");
    assert_int_equal(plan_graph_add(g, "local_firewall", "main",
                                    json_pack("{s:s, s:s}", "netns_inode", "${local_network.main.inode}", "rules", "x"),
                                    (const char *const[]){"local_interface.main", NULL}, NULL),
                     0);
    autofree char *data = mem_printf("%s/home/buckets/data", b->account);
    assert_int_equal(plan_graph_add(g, "local_bucket", "data", json_pack("{s:s}", "path", data), NULL, NULL), 0);
    return g;
}

/* Nothing listens on the ingress's port, but the rules let a connection through to be refused. */
static bool reachable(const char *address)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(LOCAL_HTTPS_PORT)};
    struct timeval limit = {3, 0};
    autoclose int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(inet_pton(AF_INET, address, &to.sin_addr), 1);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)), 0);
    return connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0 && errno == ECONNREFUSED;
}

static void nothing_left(const struct local_addresses *a, const char *id)
{
    assert_false(bench_run("ip netns list | grep -q @", a->netns));
    assert_false(bench_run("ip link show @ 2>/dev/null", a->bridge));
    assert_false(bench_run("ip link show @ 2>/dev/null", a->veth));
    assert_false(bench_run("nft list tables | grep -q oh_@", id));
}

static void made_settled_drifted_and_removed(void **state)
{
    struct bench *b = *state;
    struct local_addresses a;
    if (!bench_is_root())
        skip();
    assert_int_equal(cloud_local_addresses(&b->env, &a, NULL), 0);
    char id[9];
    snprintf(id, sizeof(id), "%.8s", b->id);
    autograph struct plan_graph *g = network_only(b);
    bench_go(b, g, PLAN_APPLY, false);
    bench_settled(b, g);
    assert_true(reachable(a.data_plane));

    /* Each thing that somebody breaks is noticed, and put back. */
    static const struct {
        const char *command, *key, *action;
    } drifts[] = {
        {"ip netns exec oh-@ nft add rule inet ownhouse input accept", "local_firewall.main", "change"},
        {"nft flush table bridge oh_@", "local_firewall.main", "change"},
        {"ip netns exec oh-@ sysctl -qw net.ipv4.ip_forward=1", "local_network.main", "change"},
        {"ip link set ohb-@ down", "local_bridge.main", "change"},
        {"ip netns exec oh-@ ip route add default via 10.213.0.1 dev eth0 onlink", "local_interface.main", "change"},
        {"ip link set ohv-@ nomaster", "local_interface.main", "change"},
        {"ip link delete ohv-@", "local_interface.main", "create"},
        {"ip link delete ohb-@", "local_bridge.main", "create"},
        /* The kernel takes the cable away a little later. */
        {"ip netns delete oh-@ && while ip link show ohv-@ 2>/dev/null; do sleep 0.05; done", "local_network.main",
         "create"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(drifts); i++) {
        if (!bench_run(drifts[i].command, id))
            fail_msg("%s failed", drifts[i].command);
        const char *action = bench_action(b, g, drifts[i].key);
        if (strcmp(action, drifts[i].action))
            fail_msg("after \"%s\": %s, not %s", drifts[i].command, action, drifts[i].action);
        bench_go(b, g, PLAN_APPLY, false);
        bench_settled(b, g);
        if (!reachable(a.data_plane))
            fail_msg("no connection after putting back \"%s\"", drifts[i].command);
    }
    bench_go(b, g, PLAN_REMOVE, false);
    nothing_left(&a, id);
    autofree char *data = mem_printf("%s/home/buckets/data", b->account);
    assert_true(fs_exists(data));
    bench_go(b, g, PLAN_REMOVE, true);
    assert_false(fs_exists(data));
    assert_int_equal(json_object_size(b->records), 0);
}

static void what_is_half_made_or_foreign(void **state)
{
    struct bench *b = *state;
    struct local_addresses a;
    struct err err = ERR_INIT;
    if (!bench_is_root())
        skip();
    assert_int_equal(cloud_local_addresses(&b->env, &a, NULL), 0);
    char id[9];
    snprintf(id, sizeof(id), "%.8s", b->id);
    autograph struct plan_graph *g = network_only(b);
    /* Made, but not yet tagged, when we crashed. */
    assert_true(bench_run("ip netns add oh-@ && ip link add ohb-@ type bridge", id));
    bench_go(b, g, PLAN_APPLY, false);
    bench_settled(b, g);
    bench_go(b, g, PLAN_REMOVE, true);
    nothing_left(&a, id);
    /* A name of ours with another's tag. */
    assert_true(bench_run("ip link add @ type bridge && ip link set @ alias other", a.bridge));
    assert_int_equal(bench_try(b, g, PLAN_APPLY, false, &err), -EEXIST);
    assert_non_null(strstr(err.message, "is tagged \"other\""));
    assert_int_equal(bench_try(b, g, PLAN_REMOVE, true, &err), -EEXIST);
    assert_true(bench_run("ip link delete @", a.bridge));
}

static void buckets_of_others_are_left_alone(void **state)
{
    struct bench *b = *state;
    struct err err = ERR_INIT;
    autograph struct plan_graph *g = plan_graph_new();
    autofree char *path = mem_printf("%s/home/buckets/data", b->account);
    autofree char *file = mem_printf("%s/precious", path);
    autofree char *marker = mem_printf("%s/.ownhouse.json", path);
    assert_int_equal(plan_graph_add(g, "local_bucket", "data", json_pack("{s:s}", "path", path), NULL, NULL), 0);
    assert_int_equal(fs_mkdirs(path, 0700, NULL), 0);
    assert_int_equal(fs_write_atomic(file, "x", 1, 0600, NULL), 0);
    assert_int_equal(bench_try(b, g, PLAN_APPLY, false, &err), -EEXIST);
    assert_non_null(strstr(err.message, "was not made by OwnHouse"));
    assert_int_equal(fs_write_atomic(marker, "{\"infrastructure\":\"other\"}", 26, 0600, NULL), 0);
    assert_int_equal(bench_try(b, g, PLAN_REMOVE, true, &err), -EEXIST);
    assert_non_null(strstr(err.message, "belongs to another infrastructure (other)"));
    assert_true(fs_exists(file));
    /* Ours: kept without consent, gone with it, even when a removal was cut off half-way. */
    assert_int_equal(fs_remove_tree(path, NULL), 0);
    bench_go(b, g, PLAN_APPLY, false);
    assert_int_equal(fs_write_atomic(file, "x", 1, 0600, NULL), 0);
    bench_settled(b, g);
    bench_go(b, g, PLAN_REMOVE, false);
    assert_true(fs_exists(file));
    autofree char *leaving = mem_printf("%s.removing", path);
    assert_int_equal(rename(path, leaving), 0);
    bench_go(b, g, PLAN_REMOVE, true);
    assert_false(fs_exists(leaving));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(made_settled_drifted_and_removed),
        BENCH_TEST(what_is_half_made_or_foreign),
        BENCH_TEST(buckets_of_others_are_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
