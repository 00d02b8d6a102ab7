/* The data plane's network: a namespace, a bridge on the host, and the cable between them. */
#include "cloud/local/internal.h"

#include <sys/stat.h>

static struct local_addresses addresses(const struct plan_call *c)
{
    struct local_addresses a;
    /* The settings were checked when the graph was made. */
    if (cloud_local_addresses(local_env_of(c), &a, NULL) < 0)
        a = (struct local_addresses){0};
    return a;
}

/* --- local_network: a namespace --- */

static const struct {
    const char *key, *value;
} closed[] = {
    {"ipv4/ip_forward", "0"},
    {"ipv4/conf/all/accept_redirects", "0"},
    {"ipv4/conf/all/send_redirects", "0"},
    {"ipv4/conf/all/accept_source_route", "0"},
    {"ipv4/conf/all/rp_filter", "1"},
    {"ipv4/conf/default/rp_filter", "1"},
    {"ipv4/conf/all/arp_ignore", "1"},
    {"ipv6/conf/all/disable_ipv6", "1"},
    {"ipv6/conf/default/disable_ipv6", "1"},
};

static int close_up(void *data, struct err *err)
{
    const struct plan_call *c = data;
    int r = 0;
    for (size_t i = 0; i < ARRAY_SIZE(closed) && r == 0; i++)
        r = local_sysctl(closed[i].key, closed[i].value, err);
    if (r == 0)
        r = LOCAL_RUN(NULL, NULL, err, "ip", "link", "set", "lo", "up");
    /* The tag comes last: with it the namespace is whole. */
    return r < 0 ? r : LOCAL_RUN(NULL, NULL, err, "ip", "link", "set", "lo", "alias", c->infrastructure);
}

struct network_look {
    const struct plan_call *call;
    bool settled;
};

static int network_look(void *data, struct err *err)
{
    struct network_look *l = data;
    autojson json_t *lo = NULL;
    int r = local_link_show("lo", &lo, err);
    if (r == 0)
        r = local_link_ours(lo, "lo inside the namespace", l->call->infrastructure, err);
    if (r < 0)
        return r;
    l->settled = local_link_up(lo) && *local_link_alias(lo);
    for (size_t i = 0; i < ARRAY_SIZE(closed); i++)
        l->settled = l->settled && local_sysctl_is(closed[i].key, closed[i].value);
    return 0;
}

static json_t *inode_text(uint64_t inode)
{
    return json_sprintf("%llu", (unsigned long long)inode);
}

static bool name_exists(const char *netns)
{
    struct stat st;
    autofree char *path = mem_printf(LOCAL_NETNS_DIR "/%s", netns);
    return lstat(path, &st) == 0;
}

static int network_observe(const struct plan_call *c, json_t **ret, struct err *err)
{
    struct local_addresses a = addresses(c);
    struct network_look look = {.call = c};
    uint64_t inode = local_netns_inode(a.netns);
    *ret = NULL;
    if (!inode) {
        /* A name without a namespace is left by a reboot or a crash; `settings` shows that it is not whole. */
        if (name_exists(a.netns))
            *ret = json_pack("{s:s, s:s}", "netns", "(empty)", "settings", "none");
        return 0;
    }
    int r = local_inside(a.netns, network_look, &look, err);
    if (r == 0)
        *ret = json_pack("{s:s, s:o, s:s}", "netns", a.netns, "inode", inode_text(inode), "settings",
                         look.settled ? "closed" : "altered");
    return r;
}

static int network_create(const struct plan_call *c, const json_t *want, json_t **ret, struct err *err)
{
    const char *netns = js_text_at(want, "netns");
    uint64_t inode = local_netns_inode(netns);
    int r = 0;
    if (!inode && name_exists(netns))
        r = LOCAL_RUN(NULL, NULL, err, "ip", "netns", "delete", netns);
    if (r == 0 && !inode)
        r = LOCAL_RUN(NULL, NULL, err, "ip", "netns", "add", netns);
    if (r == 0)
        r = local_inside(netns, close_up, (void *)(uintptr_t)c, err);
    return r < 0 ? r : network_observe(c, ret, err);
}

static int network_change(const struct plan_call *c, const json_t *have OH_UNUSED, const json_t *want, json_t **ret,
                          struct err *err)
{
    return network_create(c, want, ret, err);
}

static int network_destroy(const struct plan_call *c, const json_t *have OH_UNUSED, struct err *err)
{
    struct local_addresses a = addresses(c);
    uint64_t inode = local_netns_inode(a.netns);
    int r = 0;
    if (inode) {
        struct local_filter inside = {.netns = inode};
        r = local_sweep(&inside, 5000, err);
    }
    if (r == 0 && name_exists(a.netns))
        r = LOCAL_RUN(NULL, NULL, err, "ip", "netns", "delete", a.netns);
    return r;
}

static const struct plan_attribute network_attributes[] = {
    {"netns", PLAN_REPLACE}, {"settings", 0}, {"inode", PLAN_COMPUTED}, {NULL, 0}};

const struct plan_type local_network_type = {.name = "local_network",
                                             .attributes = network_attributes,
                                             .observe = network_observe,
                                             .create = network_create,
                                             .change = network_change,
                                             .destroy = network_destroy};

/* --- local_bridge --- */

static int bridge_observe(const struct plan_call *c, json_t **ret, struct err *err)
{
    struct local_addresses a = addresses(c);
    autojson json_t *link = NULL;
    autofree char *address = mem_printf("%s%s", a.gateway, strchr(a.network, '/'));
    autofree char *v6 = mem_printf("ipv6/conf/%s/disable_ipv6", a.bridge);
    *ret = NULL;
    int r = local_link_show(a.bridge, &link, err);
    if (r < 0 || !link)
        return r;
    r = local_link_ours(link, a.bridge, c->infrastructure, err);
    if (r < 0)
        return r;
    bool whole = *local_link_alias(link) && local_link_up(link) && local_sysctl_is(v6, "1");
    *ret = json_pack("{s:s, s:s}", "device", a.bridge, "settings", whole ? "up" : "incomplete");
    if (local_link_has(link, address))
        json_object_set_new(*ret, "address", json_string(address));
    return 0;
}

static int bridge_settle(const struct plan_call *c, const json_t *want, json_t **ret, struct err *err)
{
    const char *device = js_text_at(want, "device");
    autofree char *v6 = mem_printf("ipv6/conf/%s/disable_ipv6", device);
    int r = local_sysctl(v6, "1", err);
    if (r == 0)
        r = LOCAL_RUN(NULL, NULL, err, "ip", "link", "set", device, "alias", c->infrastructure);
    if (r == 0)
        r = LOCAL_RUN(NULL, NULL, err, "ip", "addr", "replace", js_text_at(want, "address"), "dev", device);
    if (r == 0)
        r = LOCAL_RUN(NULL, NULL, err, "ip", "link", "set", device, "up");
    return r < 0 ? r : bridge_observe(c, ret, err);
}

static int bridge_create(const struct plan_call *c, const json_t *want, json_t **ret, struct err *err)
{
    int r = LOCAL_RUN(NULL, NULL, err, "ip", "link", "add", "name", js_text_at(want, "device"), "type", "bridge");
    return r < 0 ? r : bridge_settle(c, want, ret, err);
}

static int bridge_change(const struct plan_call *c, const json_t *have OH_UNUSED, const json_t *want, json_t **ret,
                         struct err *err)
{
    return bridge_settle(c, want, ret, err);
}

static int link_delete(const char *device, struct err *err)
{
    struct err said = ERR_INIT;
    int r = LOCAL_RUN(NULL, NULL, &said, "ip", "link", "delete", device);
    if (r < 0 && strstr(said.message, "Cannot find device"))
        return 0;
    return r < 0 ? err_set(err, r, "%s", said.message) : 0;
}

static int bridge_destroy(const struct plan_call *c, const json_t *have OH_UNUSED, struct err *err)
{
    struct local_addresses a = addresses(c);
    return link_delete(a.bridge, err);
}

static const struct plan_attribute bridge_attributes[] = {
    {"device", PLAN_REPLACE}, {"address", PLAN_REPLACE}, {"settings", 0}, {NULL, 0}};

const struct plan_type local_bridge_type = {.name = "local_bridge",
                                            .attributes = bridge_attributes,
                                            .observe = bridge_observe,
                                            .create = bridge_create,
                                            .change = bridge_change,
                                            .destroy = bridge_destroy};

/* --- local_interface: the cable --- */

struct inner {
    const char *address;
    const json_t *routes; /* what should be */
    json_t *found;        /* addresses with a route to the gateway, or NULL when there is no interface */
    const char *gateway;
    bool has_address, up;
};

static int inner_look(void *data, struct err *err)
{
    struct inner *in = data;
    autojson json_t *link = NULL, *list OH_CLEANUP(js_decrefp) = NULL;
    autobuf struct buf out = BUF_INIT_MAX(KIB(256));
    size_t i;
    json_t *v;
    int r = local_link_show(LOCAL_INSIDE, &link, err);
    if (r < 0 || !link)
        return r;
    in->up = local_link_up(link);
    in->has_address = local_link_has(link, in->address);
    r = LOCAL_RUN(NULL, &out, err, "ip", "-j", "-4", "route", "show");
    if (r == 0)
        r = js_parse(out.len ? out.data : "[]", out.len ? out.len : 2, KIB(256), &list, err);
    if (r < 0)
        return r;
    in->found = json_array();
    json_array_foreach(list, i, v)
    {
        /* The connected network has no gateway; anything else must be one that we made. */
        if (json_object_get(v, "gateway") || !strcmp(js_text_at(v, "dst"), "default"))
            json_array_append_new(
                in->found,
                json_string(strcmp(js_text_at(v, "gateway"), in->gateway) ? "(foreign)" : js_text_at(v, "dst")));
    }
    return 0;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* In the order of the wish where they are the same set, so that order is no difference. */
static json_t *in_order(const json_t *found, const json_t *remembered)
{
    size_t n = json_array_size(found), m = json_array_size(remembered);
    autofree const char **a = mem_alloc((n + 1) * sizeof(*a));
    autofree const char **b = mem_alloc((m + 1) * sizeof(*b));
    for (size_t i = 0; i < n; i++)
        a[i] = json_string_value(json_array_get(found, i));
    for (size_t i = 0; i < m; i++)
        b[i] = json_string_value(json_array_get(remembered, i));
    qsort(a, n, sizeof(*a), by_text);
    qsort(b, m, sizeof(*b), by_text);
    bool same = n == m && remembered;
    for (size_t i = 0; i < n && same; i++)
        same = !strcmp(a[i], b[i]);
    return json_deep_copy(same ? remembered : found);
}

static int interface_observe(const struct plan_call *c, json_t **ret, struct err *err)
{
    struct local_addresses a = addresses(c);
    autojson json_t *link = NULL;
    autofree char *address = mem_printf("%s%s", a.data_plane, strchr(a.network, '/'));
    struct inner in = {.address = address, .gateway = a.gateway};
    uint64_t inode = local_netns_inode(a.netns);
    *ret = NULL;
    int r = local_link_show(a.veth, &link, err);
    if (r < 0 || !link)
        return r;
    r = local_link_ours(link, a.veth, c->infrastructure, err);
    if (r == 0 && inode)
        r = local_inside(a.netns, inner_look, &in, err);
    if (r < 0)
        return r;
    bool whole = *local_link_alias(link) && local_link_up(link) && in.up;
    *ret = json_pack("{s:s, s:s}", "device", a.veth, "settings", whole ? "up" : "incomplete");
    if (json_object_get(link, "master"))
        json_object_set(*ret, "bridge", json_object_get(link, "master"));
    if (in.found) {
        json_object_set_new(*ret, "netns", json_string(a.netns));
        json_object_set_new(*ret, "netns_inode", inode_text(inode));
        json_object_set_new(*ret, "routes", in_order(in.found, json_object_get(c->remembered, "routes")));
        if (in.has_address)
            json_object_set_new(*ret, "address", json_string(address));
    }
    json_decref(in.found);
    return 0;
}

static int inner_settle(void *data, struct err *err)
{
    struct inner *in = data;
    size_t i;
    json_t *v;
    int r = LOCAL_RUN(NULL, NULL, err, "ip", "addr", "replace", in->address, "dev", LOCAL_INSIDE);
    if (r == 0)
        r = LOCAL_RUN(NULL, NULL, err, "ip", "link", "set", LOCAL_INSIDE, "up");
    if (r == 0)
        r = LOCAL_RUN(NULL, NULL, err, "ip", "route", "flush", "root", "0/0", "proto", "boot");
    json_array_foreach(in->routes, i, v)
    {
        if (r == 0)
            r = LOCAL_RUN(NULL, NULL, err, "ip", "route", "replace", json_string_value(v), "via", in->gateway, "dev",
                          LOCAL_INSIDE);
    }
    return r;
}

static int interface_settle(const struct plan_call *c, const json_t *want, json_t **ret, struct err *err)
{
    struct local_addresses a = addresses(c);
    struct inner in = {
        .address = js_text_at(want, "address"), .routes = json_object_get(want, "routes"), .gateway = a.gateway};
    const char *device = js_text_at(want, "device");
    autofree char *v6 = mem_printf("ipv6/conf/%s/disable_ipv6", device);
    int r = local_sysctl(v6, "1", err);
    if (r == 0)
        r = LOCAL_RUN(NULL, NULL, err, "ip", "link", "set", device, "alias", c->infrastructure);
    if (r == 0)
        r = LOCAL_RUN(NULL, NULL, err, "ip", "link", "set", device, "master", js_text_at(want, "bridge"), "up");
    if (r == 0)
        r = local_inside(js_text_at(want, "netns"), inner_settle, &in, err);
    if (r == 0)
        r = interface_observe(c, ret, err);
    /* The order asked for, as there is nothing remembered yet to take it from. */
    if (r == 0 && *ret && json_object_get(*ret, "routes"))
        json_object_set_new(*ret, "routes", in_order(json_object_get(*ret, "routes"), in.routes));
    return r;
}

static int interface_create(const struct plan_call *c, const json_t *want, json_t **ret, struct err *err)
{
    int r = LOCAL_RUN(NULL, NULL, err, "ip", "link", "add", "name", js_text_at(want, "device"), "type", "veth", "peer",
                      "name", LOCAL_INSIDE, "netns", js_text_at(want, "netns"));
    return r < 0 ? r : interface_settle(c, want, ret, err);
}

static int interface_change(const struct plan_call *c, const json_t *have OH_UNUSED, const json_t *want, json_t **ret,
                            struct err *err)
{
    return interface_settle(c, want, ret, err);
}

static int interface_destroy(const struct plan_call *c, const json_t *have OH_UNUSED, struct err *err)
{
    struct local_addresses a = addresses(c);
    return link_delete(a.veth, err);
}

static const struct plan_attribute interface_attributes[] = {
    {"device", PLAN_REPLACE}, {"bridge", 0}, {"netns", PLAN_REPLACE}, {"netns_inode", PLAN_REPLACE},
    {"address", 0},           {"routes", 0}, {"settings", 0},         {NULL, 0}};

const struct plan_type local_interface_type = {.name = "local_interface",
                                               .attributes = interface_attributes,
                                               .observe = interface_observe,
                                               .create = interface_create,
                                               .change = interface_change,
                                               .destroy = interface_destroy};
