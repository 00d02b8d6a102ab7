/* What is written for the programs of a local infrastructure: HAProxy's files, the agent's settings, packet rules.
 * Pure.
 */
#include "cloud/local/internal.h"

/* --- HAProxy --- */

static void haproxy_head(struct buf *o)
{
    buf_adds(o, "# Written by OwnHouse; changes are overwritten.\n"
                "global\n"
                "    log stdout format raw local0 notice\n"
                "    maxconn 4000\n"
                "    no strict-limits\n"
                "    hard-stop-after 30s\n"
                "    mworker-max-reloads 10\n"
                "\n"
                "defaults\n"
                "    mode tcp\n"
                "    log global\n"
                "    # Only what went wrong.\n"
                "    option dontlog-normal\n"
                "    option dontlognull\n"
                "    log-format \"%ci:%cp %ft %b %B bytes %Tw/%Tc/%Tt ms %ts\"\n"
                "    option clitcpka\n"
                "    option srvtcpka\n"
                "    timeout connect 3s\n"
                "    # A target that is being restarted is tried again for three seconds, then the client is told.\n"
                "    retries 3\n");
}

char *local_render_balancer(const struct local_env *e, const struct local_addresses *a)
{
    autobuf struct buf o = BUF_INIT;
    haproxy_head(&o);
    buf_adds(&o, "    # A query may run for a day without a byte.\n"
                 "    timeout client 25h\n"
                 "    timeout server 25h\n"
                 "\n");
    buf_printf(&o, "listen https\n    bind 127.0.0.1:%d\n    server ingress %s:%d send-proxy-v2 source %s\n\n",
               e->https_port, a->data_plane, LOCAL_HTTPS_PORT, a->gateway);
    buf_printf(&o, "listen native\n    bind 127.0.0.1:%d\n    server ingress %s:%d send-proxy-v2 source %s\n",
               e->native_port, a->data_plane, LOCAL_NATIVE_PORT, a->gateway);
    if (e->service_port_count)
        buf_printf(&o,
                   "\n# One port a service, the same on both sides.\n"
                   "listen services\n    bind 127.0.0.1:%d-%d\n    server ingress %s send-proxy-v2 source %s\n",
                   local_service_first(e), local_service_last(e), a->data_plane, a->gateway);
    return buf_take(&o);
}

char *local_render_gateway(const struct local_env *e, const struct local_addresses *a)
{
    autobuf struct buf o = BUF_INIT;
    char address[16];
    int port;
    haproxy_head(&o);
    buf_printf(&o,
               "    timeout client 10m\n"
               "    timeout server 10m\n"
               "\n"
               "# The only way out of the data plane.\n"
               "listen control\n"
               "    bind %s:%d\n"
               "    tcp-request connection reject unless { src %s }\n"
               "    server front unix@%s/run/front.sock send-proxy-v2\n",
               a->gateway, LOCAL_CONTROL_PORT, a->data_plane, e->control_state_dir);
    for (size_t i = 0; i < local_outbound_count(e); i++) {
        if (!local_target_parse(e->outbound[i], address, &port))
            continue;
        buf_printf(&o,
                   "\nlisten outbound-%zu\n"
                   "    bind %s:%zu\n"
                   "    tcp-request connection reject unless { src %s }\n"
                   "    server target %s:%d\n",
                   i, a->gateway, LOCAL_OUTBOUND_BASE + i, a->data_plane, address, port);
    }
    return buf_take(&o);
}

/* --- the agent's settings --- */

static void setting(struct buf *o, const char *key, const char *value)
{
    if (value && *value)
        buf_printf(o, "%s = %s\n", key, value);
}

static void setting_int(struct buf *o, const char *key, int value)
{
    buf_printf(o, "%s = %d\n", key, value);
}

/* The agent's own view of the control plane: through the gateway, or directly over loopback. */
static char *control_address(const struct local_env *e, const struct local_addresses *a)
{
    const char *colon;
    if (e->isolated)
        return mem_printf("%s:%d", a->gateway, LOCAL_CONTROL_PORT);
    colon = strrchr(e->control_address, ':');
    if (!strncmp(e->control_address, "0.0.0.0:", 8) || !strncmp(e->control_address, "[::]:", 5) ||
        !strncmp(e->control_address, ":::", 3))
        return mem_printf("127.0.0.1%s", colon);
    return mem_strdup(e->control_address);
}

/* A /16 of loopback for what runs behind the ingress. Without a namespace each infrastructure needs one of its own. */
static char *loopback_base(const struct local_env *e, const struct local_addresses *a)
{
    unsigned third = 0;
    if (!e->isolated && sscanf(a->network, "127.77.%u.", &third) == 1)
        return mem_printf("127.%u.0.0", 101 + third % 150);
    return mem_strdup("127.100.0.0");
}

char *local_render_agent(const struct local_env *e, const struct local_addresses *a)
{
    autobuf struct buf o = BUF_INIT;
    autofree char *home = local_path(e, "agent");
    autofree char *token = local_path(e, "agent/enrolment-token");
    autofree char *buckets = local_path(e, "buckets");
    autofree char *control = control_address(e, a);
    autofree char *loopback = loopback_base(e, a);
    bool server = e->clickhouse_program && *e->clickhouse_program;
    buf_adds(&o, "# Written by OwnHouse; changes are overwritten.\n");
    setting(&o, "home", home);
    setting(&o, "name", e->name);
    setting(&o, "bundle", e->bundle);
    setting(&o, "token_file", token);
    setting(&o, "control_address", control);
    setting(&o, "public_address", a->data_plane);
    if (e->knot_program && *e->knot_program)
        setting(&o, "client_address", "127.0.0.1");
    setting_int(&o, "https_port", LOCAL_HTTPS_PORT);
    setting_int(&o, "native_port", LOCAL_NATIVE_PORT);
    setting_int(&o, "service_port_base", e->service_port_base);
    setting_int(&o, "service_port_count", e->service_port_count);
    setting(&o, "loopback_base", loopback);
    setting(&o, "proxy_from", a->gateway);
    setting(&o, "bucket_dir", buckets);
    setting(&o, "ledger_bucket", "ledger");
    if (e->backup_s3_url) {
        setting(&o, "backup_s3_url", e->backup_s3_url);
        setting(&o, "backup_s3_region", e->backup_s3_region);
        setting(&o, "backup_s3_keys", e->backup_s3_keys);
    } else {
        setting(&o, "backup_bucket", "backups");
    }
    setting(&o, "engine", server ? "clickhouse" : "chdb");
    setting(&o, "engine_program", e->engine_program);
    setting(&o, "engine_library", e->engine_library);
    setting(&o, "clickhouse_program", e->clickhouse_program);
    setting(&o, "haproxy_program", e->haproxy_program);
    setting(&o, "knot_program", e->knot_program);
    setting(&o, "isolation", e->isolated ? "network-namespace" : "none");
    if (!e->isolated)
        setting(
            &o, "isolation_missing",
            "no network namespace: other programs of this machine can reach the data plane's ports, and its programs "
            "can reach any network");
    setting(&o, "log_level", e->log_level);
    return buf_take(&o);
}

/* --- packet rules --- */

void local_bridge_table(const struct local_env *e, char ret[16])
{
    snprintf(ret, 16, "oh_%.8s", e->infrastructure);
}

char *local_render_inside(const struct local_env *e, const struct local_addresses *a)
{
    autobuf struct buf o = BUF_INIT, in = BUF_INIT, out = BUF_INIT;
    struct local_openings openings;
    char address[16];
    int port;
    local_openings(e, a, &openings);
    local_openings_ports(&openings, true, &in);
    local_openings_ports(&openings, false, &out);
    buf_printf(&o,
               "table inet ownhouse\n"
               "delete table inet ownhouse\n"
               "table inet ownhouse {\n"
               "  comment \"%s\"\n"
               "  chain input {\n"
               "    type filter hook input priority filter; policy drop;\n"
               "    iif \"lo\" accept\n"
               "    ct state invalid drop\n"
               "    ct state established,related accept\n"
               "    iifname \"" LOCAL_INSIDE "\" ip daddr %s tcp dport %s ct state new accept\n"
               "    iifname \"" LOCAL_INSIDE "\" ip daddr %s icmp type echo-request limit rate 20/second accept\n"
               "  }\n"
               "  chain forward {\n"
               "    type filter hook forward priority filter; policy drop;\n"
               "  }\n"
               "  chain output {\n"
               "    type filter hook output priority filter; policy drop;\n"
               "    oif \"lo\" accept\n"
               "    ct state established,related accept\n"
               "    oifname \"" LOCAL_INSIDE "\" ip daddr %s tcp dport %s accept\n"
               "  }\n",
               e->infrastructure, a->data_plane, in.data, a->data_plane, a->gateway, out.data);
    if (local_outbound_count(e)) {
        buf_adds(&o, "  chain outbound {\n"
                     "    type nat hook output priority -100; policy accept;\n");
        for (size_t i = 0; i < local_outbound_count(e); i++)
            if (local_target_parse(e->outbound[i], address, &port))
                buf_printf(&o, "    ip daddr %s tcp dport %d dnat ip to %s:%zu\n", address, port, a->gateway,
                           LOCAL_OUTBOUND_BASE + i);
        buf_adds(&o, "  }\n");
    }
    buf_adds(&o, "}\n");
    return buf_take(&o);
}

/* On the host, for frames that enter bridges: nobody may speak for the gateway or, but for its own cable, for the data
 * plane; and of the host only what the gateway offers can be reached. Our addresses are ours alone on this machine, so
 * the rules need not name the bridge (not every kernel can). */
char *local_render_bridge(const struct local_env *e, const struct local_addresses *a)
{
    autobuf struct buf o = BUF_INIT, in = BUF_INIT, out = BUF_INIT;
    const char *cable = a->veth, *gw = a->gateway, *dp = a->data_plane;
    struct local_openings openings;
    char table[16];
    local_bridge_table(e, table);
    local_openings(e, a, &openings);
    local_openings_ports(&openings, true, &in);
    local_openings_ports(&openings, false, &out);
    buf_printf(&o, "table bridge %s\ndelete table bridge %s\ntable bridge %s {\n  comment \"%s\"\n", table, table,
               table, e->infrastructure);
    buf_printf(&o,
               "  chain entry {\n"
               "    type filter hook prerouting priority -200; policy accept;\n"
               "    arp saddr ip %s drop\n"
               "    ip saddr %s drop\n"
               "    iifname != \"%s\" arp saddr ip %s drop\n"
               "    iifname != \"%s\" ip saddr %s drop\n"
               "    iifname \"%s\" ether type != { ip, arp } drop\n"
               "    iifname \"%s\" ether type ip ip saddr != %s drop\n"
               "  }\n",
               gw, gw, cable, dp, cable, dp, cable, cable, dp);
    buf_printf(&o,
               "  chain host {\n"
               "    type filter hook input priority 0; policy accept;\n"
               "    iifname \"%s\" jump data_plane\n"
               "    ip daddr %s drop\n"
               "  }\n"
               "  chain data_plane {\n"
               "    ether type arp accept\n"
               "    ip daddr %s tcp dport %s accept\n"
               "    ip daddr %s tcp sport %s tcp flags & (syn | ack) != syn accept\n"
               "    ip daddr %s icmp type echo-reply accept\n"
               "    drop\n"
               "  }\n"
               "}\n",
               cable, gw, gw, out.data, gw, in.data, gw);
    return buf_take(&o);
}
