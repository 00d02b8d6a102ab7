/* Which hosts and ports must be open for a local data plane: the one table that packet rules and the list for people
 * are made from. Pure but for local_openings_write(). */
#include "cloud/local/internal.h"

#include "base/fs.h"

static void add(struct local_openings *o, bool inbound, const char *host, int first, int last, const char *why)
{
    struct local_opening *one = &o->items[o->n++];
    *one = (struct local_opening){.inbound = inbound, .first = first, .last = last, .why = why};
    snprintf(one->host, sizeof(one->host), "%s", host);
}

void local_openings(const struct local_env *e, const struct local_addresses *a, struct local_openings *ret)
{
    struct local_openings o = {.n = 0};
    char address[16];
    int port;
    add(&o, true, a->data_plane, LOCAL_HTTPS_PORT, LOCAL_HTTPS_PORT, "the services' HTTPS");
    add(&o, true, a->data_plane, LOCAL_NATIVE_PORT, LOCAL_NATIVE_PORT, "the services' native protocol, TLS");
    if (e->service_port_count)
        add(&o, true, a->data_plane, local_service_first(e), local_service_last(e), "one port a service, HTTPS");
    add(&o, false, a->gateway, LOCAL_CONTROL_PORT, LOCAL_CONTROL_PORT, "the control plane, passed on by the gateway");
    for (size_t i = 0; i < local_outbound_count(e); i++) {
        add(&o, false, a->gateway, LOCAL_OUTBOUND_BASE + (int)i, LOCAL_OUTBOUND_BASE + (int)i,
            "listed by the operator, passed on by the gateway");
        if (local_target_parse(e->outbound[i], address, &port))
            snprintf(o.items[o.n - 1].target, sizeof(o.items[0].target), "%s:%d", address, port);
    }
    *ret = o;
}

void local_openings_ports(const struct local_openings *o, bool inbound, struct buf *out)
{
    const char *before = "{ ";
    for (size_t i = 0; i < o->n; i++) {
        const struct local_opening *one = &o->items[i];
        if (one->inbound != inbound)
            continue;
        buf_printf(out, "%s%d", before, one->first);
        if (one->last != one->first)
            buf_printf(out, "-%d", one->last);
        before = ", ";
    }
    buf_adds(out, " }");
}

static json_t *as_json(const struct local_env *e, const struct local_openings *o)
{
    json_t *list = json_array();
    for (size_t i = 0; i < o->n; i++) {
        const struct local_opening *one = &o->items[i];
        json_t *v = json_pack("{ss ss ss si si ss}", "direction", one->inbound ? "in" : "out", "protocol", "tcp",
                              "host", one->host, "firstPort", one->first, "lastPort", one->last, "why", one->why);
        if (*one->target)
            json_object_set_new(v, "target", json_string(one->target));
        json_array_append_new(list, v);
    }
    return json_pack("{ss si ss sb so}", "type", "ownhouse/openings", "v", 1, "infrastructure", e->infrastructure,
                     "enforced", (int)e->isolated, "openings", list);
}

int local_openings_write(const struct local_env *e, const struct local_addresses *a, struct err *err)
{
    struct local_openings o;
    local_openings(e, a, &o);
    if (!e->isolated) {
        /* There is no gateway and nobody filters: what the agent dials is the control plane's own address. */
        const char *colon = strrchr(e->control_address, ':');
        struct local_opening *out = &o.items[e->service_port_count ? 3 : 2];
        snprintf(out->host, sizeof(out->host), "%.*s", colon ? (int)(colon - e->control_address) : 0,
                 e->control_address);
        out->first = out->last = colon ? atoi(colon + 1) : 0;
        out->why = "the control plane";
    }
    autofree char *path = local_path(e, "openings.json");
    autojson json_t *v = as_json(e, &o);
    autofree char *text = json_dumps(v, JSON_INDENT(1)), *line = mem_printf("%s\n", text ? text : "");
    return fs_write_atomic(path, line, strlen(line), 0644, err);
}
