/* The desired graph of a local infrastructure. Pure: settings in, resources out. */
#include "cloud/local/internal.h"

#include "base/keys.h"

struct maker {
    const struct local_env *e;
    struct local_addresses a;
    struct plan_graph *g;
    struct err *err;
    int r;
};

/* Goes on only while nothing failed, so that callers need not check each. */
static void add(struct maker *m, const char *type, const char *name, json_t *attributes, const char *const *depends_on)
{
    if (m->r < 0)
        json_decref(attributes);
    else
        m->r = plan_graph_add(m->g, type, name, attributes, depends_on, m->err);
}

#define DEPENDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static json_t *digest_of(char *text)
{
    char hex[65];
    sha256_hex(text, strlen(text), hex);
    free(text);
    return json_string(hex);
}

static json_t *ports_inside(const struct local_env *e)
{
    json_t *v = json_pack("[s, s]", "8443", "9440");
    if (e->service_port_count)
        json_array_append_new(v, json_sprintf("%d-%d", local_service_first(e), local_service_last(e)));
    return v;
}

static json_t *outbound(const struct local_env *e)
{
    json_t *v = json_array();
    for (size_t i = 0; i < local_outbound_count(e); i++)
        json_array_append_new(v, json_string(e->outbound[i]));
    return v;
}

/* Outbound targets need a route to the gateway, nothing else has one. */
static json_t *routes(const struct local_env *e)
{
    json_t *v = json_array();
    char address[16];
    int port;
    for (size_t i = 0; i < local_outbound_count(e); i++)
        if (local_target_parse(e->outbound[i], address, &port)) {
            bool there = false;
            for (size_t k = 0; k < json_array_size(v); k++)
                there = there || !strcmp(json_string_value(json_array_get(v, k)), address);
            if (!there)
                json_array_append_new(v, json_string(address));
        }
    return v;
}

static void add_network(struct maker *m)
{
    const char *prefix = strchr(m->a.network, '/');
    json_t *rules =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:o, s:o}", "netns", "${local_network.main.netns}", "netns_inode",
                  "${local_network.main.inode}", "bridge", "${local_bridge.main.device}", "address", m->a.data_plane,
                  "gateway", m->a.gateway, "inbound", ports_inside(m->e), "outbound", outbound(m->e));
    autofree char *inside = local_render_inside(m->e, &m->a);
    autofree char *bridge = local_render_bridge(m->e, &m->a);
    json_object_set_new(rules, "rules", digest_of(mem_printf("%s\n%s", inside, bridge)));
    add(m, "local_network", "main", json_pack("{s:s, s:s}", "netns", m->a.netns, "settings", "closed"), NULL);
    add(m, "local_bridge", "main",
        json_pack("{s:s, s:o, s:s}", "device", m->a.bridge, "address", json_sprintf("%s%s", m->a.gateway, prefix),
                  "settings", "up"),
        NULL);
    add(m, "local_interface", "main",
        json_pack("{s:s, s:s, s:s, s:s, s:o, s:o, s:s}", "device", m->a.veth, "bridge", "${local_bridge.main.device}",
                  "netns", "${local_network.main.netns}", "netns_inode", "${local_network.main.inode}", "address",
                  json_sprintf("%s%s", m->a.data_plane, prefix), "routes", routes(m->e), "settings", "up"),
        NULL);
    add(m, "local_firewall", "main", rules, DEPENDS("local_interface.main"));
}

static void add_storage(struct maker *m)
{
    static const char *const buckets[] = {"data", "backups", "ledger"};
    for (size_t i = 0; i < ARRAY_SIZE(buckets); i++) {
        autofree char *below = mem_printf("buckets/%s", buckets[i]);
        autofree char *path = local_path(m->e, below);
        add(m, "local_bucket", buckets[i], json_pack("{s:s}", "path", path), NULL);
    }
    autofree char *home = local_path(m->e, "agent");
    add(m, "local_disk", "agent", json_pack("{s:s}", "path", home), NULL);
}

static void add_machine(struct maker *m)
{
    autofree char *dir = local_path(m->e, "machine");
    add(m, "local_machine", "main",
        json_pack("{s:s, s:s, s:b}", "dir", dir, "program", m->e->agent_program, "running", true),
        m->e->isolated ? DEPENDS("local_network.main") : NULL);
    add(m, "local_load_balancer", "main",
        json_pack("{s:s, s:i, s:i, s:o, s:s, s:s, s:o, s:b}", "machine", "${local_machine.main.dir}", "https_port",
                  m->e->https_port, "native_port", m->e->native_port, "service_ports",
                  m->e->service_port_count ? json_sprintf("%d-%d", local_service_first(m->e), local_service_last(m->e))
                                           : json_string("none"),
                  "target", m->a.data_plane, "program", m->e->haproxy_program, "config",
                  digest_of(local_render_balancer(m->e, &m->a)), "running", true),
        m->e->isolated ? DEPENDS("local_bridge.main") : NULL);
    if (m->e->isolated)
        add(m, "local_egress_gateway", "main",
            json_pack("{s:s, s:s, s:s, s:o, s:s, s:o, s:b}", "machine", "${local_machine.main.dir}", "address",
                      m->a.gateway, "control", "front.sock of the control plane", "outbound", outbound(m->e), "program",
                      m->e->haproxy_program, "config", digest_of(local_render_gateway(m->e, &m->a)), "running", true),
            DEPENDS("local_bridge.main"));
}

static void add_host(struct maker *m)
{
    json_t *v = json_pack("{s:s, s:s, s:s, s:s, s:o, s:s, s:b}", "machine", "${local_machine.main.dir}", "home",
                          "${local_disk.agent.path}", "address", m->a.data_plane, "program", m->e->agent_program,
                          "config", digest_of(local_render_agent(m->e, &m->a)), "identity", "present", "running", true);
    if (m->e->isolated) {
        json_object_set_new(v, "netns", json_string("${local_network.main.netns}"));
        json_object_set_new(v, "netns_inode", json_string("${local_network.main.inode}"));
        add(m, "local_host", "agent", v,
            DEPENDS("local_interface.main", "local_firewall.main", "local_egress_gateway.main", "local_bucket.data",
                    "local_bucket.backups", "local_bucket.ledger"));
    } else {
        add(m, "local_host", "agent", v, DEPENDS("local_bucket.data", "local_bucket.backups", "local_bucket.ledger"));
    }
}

static void add_notes(struct maker *m)
{
    static const char *const missing[] = {
        "This process may not make network namespaces, so the data plane has no network of its own: it listens on a "
        "loopback address of this machine.",
        "Missing: other programs and users of this machine can connect to the data plane's ports, not only through the "
        "load balancer.",
        "Missing: the data plane's programs can reach any network that this machine reaches; nothing keeps them to the "
        "control plane's address.",
        "Run as root for full isolation.",
    };
    for (size_t i = 0; i < ARRAY_SIZE(missing) && !m->e->isolated; i++)
        plan_graph_note(m->g, missing[i]);
}

int cloud_local_graph_add(const struct local_env *e, struct plan_graph *g, struct err *err)
{
    struct maker m = {.e = e, .g = g, .err = err};
    int r = cloud_local_check(e, err);
    if (r == 0)
        r = cloud_local_addresses(e, &m.a, err);
    if (r < 0)
        return r;
    if (e->isolated)
        add_network(&m);
    add_storage(&m);
    add_machine(&m);
    add_host(&m);
    add_notes(&m);
    return m.r;
}

int cloud_local_graph(const struct local_env *e, struct plan_graph **ret, struct err *err)
{
    struct plan_graph *g = plan_graph_new();
    int r = cloud_local_graph_add(e, g, err);
    if (r == 0)
        r = plan_graph_check(g, cloud_local_types, err);
    if (r == 0)
        *ret = g;
    else
        plan_graph_free(g);
    return r;
}
