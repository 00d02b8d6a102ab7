/* Packet rules: everything closed inside the namespace but what is published, and an honest bridge. */
#include "cloud/local/internal.h"

#include "base/keys.h"

/* The kernel's own listing without counters and handles; "" when there is no such table. */
static int listing(const char *family, const char *table, struct buf *out, struct err *err)
{
    struct err said = ERR_INIT;
    int r = LOCAL_RUN(NULL, out, &said, "nft", "-s", "list", "table", family, table);
    if (r < 0 && strstr(said.message, "No such file or directory"))
        return 0;
    return r < 0 ? err_set(err, r, "%s", said.message) : 0;
}

static int inside_listing(void *data, struct err *err)
{
    return listing("inet", "ownhouse", data, err);
}

static int ours(const struct buf *text, const char *where, const char *infrastructure, struct err *err)
{
    if (!text->len || strstr(text->data, infrastructure))
        return 0;
    return err_set(err, -EEXIST,
                   "there are packet rules in the table %s that belong to somebody else: remove them first", where);
}

static int look(const struct plan_call *c, struct buf *inside, struct buf *bridge, struct err *err)
{
    struct local_addresses a;
    char table[16];
    int r = cloud_local_addresses(local_env_of(c), &a, err);
    local_bridge_table(local_env_of(c), table);
    if (r == 0 && local_netns_inode(a.netns))
        r = local_inside(a.netns, inside_listing, inside, err);
    if (r == 0)
        r = listing("bridge", table, bridge, err);
    if (r == 0)
        r = ours(inside, "inet ownhouse of the namespace", c->infrastructure, err);
    return r < 0 ? r : ours(bridge, "bridge of the host", c->infrastructure, err);
}

static int firewall_observe(const struct plan_call *c, json_t **ret, struct err *err)
{
    autobuf struct buf inside = BUF_INIT_MAX(MIB(1)), bridge = BUF_INIT_MAX(MIB(1));
    struct local_addresses a;
    char digest[65];
    *ret = NULL;
    int r = look(c, &inside, &bridge, err);
    if (r < 0 || (!inside.len && !bridge.len))
        return r;
    r = cloud_local_addresses(local_env_of(c), &a, err);
    if (r < 0)
        return r;
    buf_adds(&inside, bridge.data ? bridge.data : "");
    sha256_hex(inside.data, inside.len, digest);
    const char *last = json_string_value(json_object_get(c->remembered, "listing"));
    /* Rules that are not exactly as we left them say nothing: they will be written anew. */
    *ret = last && !strcmp(last, digest) ? json_deep_copy(c->remembered) : json_object();
    json_object_set_new(*ret, "listing", json_string(digest));
    json_object_set_new(*ret, "netns_inode", json_sprintf("%llu", (unsigned long long)local_netns_inode(a.netns)));
    return 0;
}

static int load_inside(void *data, struct err *err)
{
    return LOCAL_RUN(data, NULL, err, "nft", "-f", "-");
}

static int firewall_create(const struct plan_call *c, const json_t *want, json_t **ret, struct err *err)
{
    struct local_addresses a;
    autobuf struct buf inside = BUF_INIT_MAX(MIB(1)), bridge = BUF_INIT_MAX(MIB(1));
    char digest[65];
    int r = cloud_local_addresses(local_env_of(c), &a, err);
    if (r == 0)
        r = look(c, &inside, &bridge, err);
    if (r < 0)
        return r;
    buf_free(&inside);
    buf_free(&bridge);
    autofree char *rules = local_render_inside(local_env_of(c), &a);
    autofree char *bridge_rules = local_render_bridge(local_env_of(c), &a);
    r = local_inside(a.netns, load_inside, rules, err);
    if (r == 0)
        r = LOCAL_RUN(bridge_rules, NULL, err, "nft", "-f", "-");
    if (r == 0)
        r = local_openings_write(local_env_of(c), &a, err);
    if (r == 0)
        r = look(c, &inside, &bridge, err);
    if (r < 0)
        return r;
    buf_adds(&inside, bridge.data ? bridge.data : "");
    sha256_hex(inside.data, inside.len, digest);
    *ret = json_deep_copy(want);
    json_object_set_new(*ret, "listing", json_string(digest));
    return 0;
}

static int firewall_change(const struct plan_call *c, const json_t *have OH_UNUSED, const json_t *want, json_t **ret,
                           struct err *err)
{
    return firewall_create(c, want, ret, err);
}

static int delete_inside(void *data, struct err *err)
{
    (void)data;
    return LOCAL_RUN("table inet ownhouse\ndelete table inet ownhouse\n", NULL, err, "nft", "-f", "-");
}

static int firewall_destroy(const struct plan_call *c, const json_t *have OH_UNUSED, struct err *err)
{
    struct local_addresses a;
    char table[16];
    int r = cloud_local_addresses(local_env_of(c), &a, err);
    local_bridge_table(local_env_of(c), table);
    autofree char *rules = mem_printf("table bridge %s\ndelete table bridge %s\n", table, table);
    if (r == 0)
        r = LOCAL_RUN(rules, NULL, err, "nft", "-f", "-");
    if (r == 0 && local_netns_inode(a.netns))
        r = local_inside(a.netns, delete_inside, NULL, err);
    return r;
}

static const struct plan_attribute firewall_attributes[] = {
    {"netns", 0},    {"netns_inode", 0}, {"bridge", 0},
    {"address", 0},  {"gateway", 0},     {"inbound", 0},
    {"outbound", 0}, {"rules", 0},       {"listing", PLAN_COMPUTED},
    {NULL, 0}};

const struct plan_type local_firewall_type = {.name = "local_firewall",
                                              .attributes = firewall_attributes,
                                              .observe = firewall_observe,
                                              .create = firewall_create,
                                              .change = firewall_change,
                                              .destroy = firewall_destroy};
