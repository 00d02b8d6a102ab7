/* Makes the ingress: one HAProxy that terminates TLS, finds the service by name, keeps its IP access list and says in
 * plain words when there is nobody behind. */
#include "blueprint/build.h"

#include <signal.h>

#define DEFAULT_CONNECTIONS 4000
#define STOP_GRACE_MS 5000
#define ADDRESSES_A_LINE 32 /* HAProxy takes at most 64 words a line */
#define OWN_PORT_ID 1000    /* bind id of a service's own port: this + ordinal */
#define GENERATION "generation"

/* The files that haproxy.cfg names, below ${files}. Each has its content's digest in its name: HAProxy opens one after
 * the other and may be told of new ones meanwhile; it must not take a file for another generation's. Where one is gone
 * already it keeps to what it has, and is told again. */
struct names {
    const char *hosts, *ports, *native;
    const char **certificates; /* one for each of the environment's */
};

static int max_connections(const struct blueprint_env *env)
{
    return env->max_connections ? env->max_connections : DEFAULT_CONNECTIONS;
}

static void add_global(const struct blueprint_env *env, struct buf *o)
{
    static const char *const levels[][2] = {{"debug", "debug"}, {"info", "info"}, {"warn", "warning"}};
    const char *level = "err";
    for (size_t i = 0; i < ARRAY_SIZE(levels); i++)
        if (!strcmp(levels[i][0], blueprint_log_level(env)))
            level = levels[i][1];
    buf_printf(
        o,
        "# Written by OwnHouse; changes are overwritten.\n"
        "global\n"
        "    log stdout format raw local0 %s\n"
        "    maxconn %d\n"
        "    no strict-limits\n"
        "    # Relative: see workload.h on the length of socket names.\n"
        "    stats socket unix@run/ctl mode 600 level admin expose-fd listeners\n"
        "    # After a reload the old workers finish their queries; this long, and this many of them.\n"
        "    hard-stop-after 24h\n"
        "    mworker-max-reloads 20\n"
        "    # Bounds the head of a request (31 KiB, else 400); longer queries belong into the body. What HAProxy "
        "says\n"
        "    # to a head that is too long, malformed (400) or too slow (408) is its own text: it cannot be set.\n"
        "    tune.bufsize 32768\n"
        "    ssl-default-bind-options ssl-min-ver TLSv1.2 no-tls-tickets\n"
        "\n",
        level, max_connections(env));
}

static void add_defaults(struct buf *o)
{
    buf_adds(o, "defaults\n"
                "    mode http\n"
                "    log global\n"
                "    # Neither query strings nor headers: they hold query text and passwords.\n"
                "    log-format \"%ci:%cp %ft %b/%s %HM %HPO %ST %B bytes %TR/%Tw/%Tc/%Tr/%Ta ms %ts\"\n"
                "    option dontlognull\n"
                "    # Rows go out as they come; a client that leaves cancels its query.\n"
                "    option http-no-delay\n"
                "    option abortonclose\n"
                "    option clitcpka\n"
                "    option srvtcpka\n"
                "    # A replica that stops closes its port first: what it did not take goes to another one.\n"
                "    option redispatch 1\n"
                "    timeout connect 5s\n"
                "    timeout check 2s\n"
                "    timeout queue 30s\n"
                "    # A head comes within 10 s, a body may not stall longer than 5 min, a query may run for a day.\n"
                "    timeout http-request 10s\n"
                "    timeout http-keep-alive 60s\n"
                "    timeout client 5m\n"
                "    timeout client-fin 30s\n"
                "    timeout server 24h\n"
                "    timeout server-fin 30s\n"
                "    # No formatted texts here: HAProxy 2.6 crashes on them in this section.\n"
                "    http-error status 502 content-type \"text/plain; charset=utf-8\" string \"The service "
                "closed the connection before it answered. Whether the query ran is not "
                "known.\\n\"\n"
                "    http-error status 503 content-type \"text/plain; charset=utf-8\" string \"The service "
                "does not answer yet: it is starting or its engine is restarting. Try again "
                "in a few seconds.\\n\" hdr Retry-After 5\n"
                "    http-error status 504 content-type \"text/plain; charset=utf-8\" string \"The service "
                "did not answer within 24 hours.\\n\"\n"
                "\n");
}

static void add_addresses(struct buf *o, const char *acl, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (i % ADDRESSES_A_LINE == 0)
            buf_printf(o, "%s    acl %s src", i ? "\n" : "", acl);
        buf_printf(o, " %s", list[i]);
    }
    buf_adds(o, n ? "\n" : "");
}

/* "address:port" as a bind line takes it; an address may be a reference that the runtime fills in. */
static void add_bind(struct buf *o, const struct blueprint_env *env, const struct names *names, int port)
{
    const char *address = env->public_address;
    if (!address || !*address)
        buf_printf(o, "    bind :::%d v4v6", port);
    else if (!strncmp(address, "${", 2))
        buf_printf(o, "    bind %s:%d", address, port);
    else
        buf_printf(o, "    bind %s@%s:%d", strchr(address, ':') ? "ipv6" : "ipv4", address, port);
    buf_adds(o, " ssl");
    for (size_t i = 0; i < env->n_certificates; i++)
        buf_printf(o, " crt '${files}/%s'", names->certificates[i]);
}

/* Whose PROXY header is believed, and how many connections one client may hold. */
static void add_connection_rules(struct buf *o, const struct blueprint_env *env)
{
    add_addresses(o, "from_proxy", env->proxy_from, env->n_proxy_from);
    buf_printf(o,
               "    stick-table type ipv6 size 100k expire 10m store conn_cur\n"
               "%s"
               "    tcp-request session track-sc0 src\n"
               "    tcp-request session reject if { sc0_conn_cur gt %d }\n",
               env->n_proxy_from ? "    # Only these may name another address as the client's, and they must.\n"
                                   "    tcp-request connection expect-proxy layer4 if from_proxy\n"
                                 : "",
               max_connections(env) / 2);
}

static void add_https(const struct desired *d, const struct blueprint_env *env, const struct names *names,
                      struct buf *o)
{
    buf_printf(o, "frontend https\n    maxconn %d\n", max_connections(env));
    buf_adds(
        o, "    # HTTP/1.1 alone: ClickHouse reports an error behind rows already sent by breaking the chunked body,\n"
           "    # which its clients look for there.\n");
    add_bind(o, env, names, blueprint_https_port(env));
    buf_adds(o, " alpn http/1.1 id 1\n");
    for (size_t i = 0; i < d->n_services; i++) {
        int port = blueprint_service_port(env, &d->services[i]);
        if (!port || d->services[i].state == DESIRED_DELETED)
            continue;
        add_bind(o, env, names, port);
        buf_printf(o, " alpn http/1.1 id %d\n", OWN_PORT_ID + d->services[i].ordinal);
    }
    add_connection_rules(o, env);
    buf_adds(o, "    http-request del-header X-Forwarded-For\n"
                "    http-request del-header Forwarded\n"
                "    http-request del-header X-Real-IP\n"
                "    http-request set-header X-Forwarded-For %[src]\n"
                "    acl own_port so_id gt 1\n"
                "    http-request set-var(txn.host) req.hdr(host),host_only,lower\n");
    buf_printf(o,
               "    http-request set-var(txn.service) 'so_id,map(${files}/%s)' if own_port\n"
               "    http-request set-var(txn.service) 'var(txn.host),map(${files}/%s)' if !own_port\n",
               names->ports, names->hosts);
    buf_adds(o, "    # A connection made for one name does not carry requests for another.\n"
                "    http-request return status 421 content-type \"text/plain; charset=utf-8\" string \"The TLS server "
                "name and the Host header name different services. Open a connection for each.\\n\" if !own_port { "
                "ssl_fc_has_sni } !{ ssl_fc_sni,lower,strcmp(txn.host) eq 0 }\n"
                "    http-request return status 404 content-type \"text/plain; charset=utf-8\" string \"There is no "
                "service of this name here. Check the host name.\\n\" unless { var(txn.service) -m found }\n"
                "    use_backend %[var(txn.service)]\n"
                "\n");
}

static void add_native(const struct blueprint_env *env, const struct names *names, struct buf *o)
{
    if (env->engine != BLUEPRINT_SERVER) {
        buf_printf(
            o, "# Nothing listens on port %d: the embedded engine does not speak the native protocol. Use HTTPS.\n\n",
            blueprint_native_port(env));
        return;
    }
    buf_printf(o, "frontend native\n    mode tcp\n    maxconn %d\n", max_connections(env));
    buf_adds(o, "    log-format \"%ci:%cp %ft %b/%s %B bytes %Tw/%Tc/%Tt ms %ts\"\n"
                "    # Idle connections of pools are normal here.\n"
                "    timeout client 4h\n");
    add_bind(o, env, names, blueprint_native_port(env));
    buf_adds(o, " id 2\n");
    add_connection_rules(o, env);
    buf_printf(o,
               "    tcp-request content set-var(sess.service) 'ssl_fc_sni,lower,map(${files}/%s)'\n"
               "    tcp-request content reject unless { var(sess.service) -m found }\n"
               "    use_backend %%[var(sess.service)]\n"
               "\n",
               names->native);
}

static bool open_to_all(const struct desired_service *s)
{
    bool v4 = false, v6 = false;
    for (size_t i = 0; i < s->n_ip_access_list; i++) {
        v4 |= !strcmp(s->ip_access_list[i], "0.0.0.0/0");
        v6 |= !strcmp(s->ip_access_list[i], "::/0");
    }
    return v4 && v6;
}

/* Who may sleep has the activator behind: a refused connection goes there at once, not after the next checks. The PROXY
 * header's destination port says which service is meant. */
static void add_servers(const struct desired_service *s, const struct blueprint_env *env, struct arena *a, int port,
                        int activator_port, struct buf *o)
{
    const char *names = env->names_change ? " resolvers cluster init-addr last,libc,none" : "";
    bool sleeps = blueprint_may_sleep(s);
    int n = blueprint_serving(s, env);
    /* Who is asked for nothing more is left out, but never everybody. */
    unsigned all = (1u << n) - 1, drained = (s->drained & all) == all ? 0 : s->drained;
    if (sleeps)
        buf_printf(o, "    %s set-dst-port int(%d)\n",
                   port == BLUEPRINT_HTTP_PORT ? "http-request" : "tcp-request content", s->ordinal);
    /* One replica alone is sent to for as long as it answers: there is nobody else. One that had others keeps the name
     * by which it is sent to, or it would be restarted for another. */
    for (int k = 0; k < n; k++) {
        if (drained & (1u << k))
            continue;
        buf_printf(o, "    server r%d ${%s:%s}:%d check inter 2s fastinter 500ms downinter 500ms fall 2 rise 1%s%s\n",
                   k, blueprint_joined(s, env) ? "ready" : "address", blueprint_replica_name(s, k, a), port,
                   sleeps ? " observe layer4 error-limit 1 on-error mark-down" : "", names);
    }
    if (sleeps)
        buf_printf(o, "    server activator ${address:activator}:%d backup send-proxy-v2%s\n", activator_port, names);
}

static void add_http_backend(const struct desired_service *s, const struct blueprint_env *env, struct arena *a,
                             struct buf *o)
{
    buf_printf(o, "backend service-%s\n", s->slug);
    if (!open_to_all(s)) {
        add_addresses(o, "allowed", s->ip_access_list, s->n_ip_access_list);
        buf_printf(o,
                   "    http-request return status 403 content-type \"text/plain; charset=utf-8\" lf-string \"The "
                   "address %%[src] is not in the IP access list of service %s.\\n\"%s\n",
                   s->slug, s->n_ip_access_list ? " unless allowed" : "");
    }
    if (s->state == DESIRED_STOPPED) {
        buf_printf(
            o,
            "    http-request return status 503 content-type \"text/plain; charset=utf-8\" string \"Service %s is "
            "stopped. Start it and try again.\\n\" hdr Retry-After 60\n\n",
            s->slug);
        return;
    }
    if (s->query_endpoint && env->engine == BLUEPRINT_SERVER)
        buf_adds(o, "    http-request return status 501 content-type \"text/plain; charset=utf-8\" string \"Query "
                    "endpoints are served by the embedded engine only, and this service runs a ClickHouse server. Use "
                    "its HTTPS interface.\\n\" if { path_beg /run/ /service/ /.api/query-endpoints/ }\n");
    buf_adds(o, "    option httpchk GET /ping\n");
    add_servers(s, env, a, BLUEPRINT_HTTP_PORT, BLUEPRINT_ACTIVATOR_HTTP_PORT, o);
    buf_adds(o, "\n");
}

static void add_native_backend(const struct desired_service *s, const struct blueprint_env *env, struct arena *a,
                               struct buf *o)
{
    buf_printf(o, "backend native-%s\n    mode tcp\n    timeout server 24h\n", s->slug);
    if (!open_to_all(s)) {
        add_addresses(o, "allowed", s->ip_access_list, s->n_ip_access_list);
        buf_printf(o, "    tcp-request content reject%s\n", s->n_ip_access_list ? " unless allowed" : "");
    }
    if (s->state == DESIRED_RUNNING)
        add_servers(s, env, a, BLUEPRINT_TCP_PORT, BLUEPRINT_ACTIVATOR_NATIVE_PORT, o);
    buf_adds(o, "\n");
}

/* The counters say who was queried (agent/operator/activity.h). */
static bool counts(const struct desired *d)
{
    for (size_t i = 0; i < d->n_services; i++)
        if (blueprint_may_sleep(&d->services[i]))
            return true;
    return false;
}

static void add_health(const struct desired *d, const char *generation, struct buf *o)
{
    bool counters = counts(d);
    buf_printf(o,
               "frontend health\n"
               "    bind ${address}:%d id 3\n"
               "    maxconn 20\n"
               "    monitor-uri /ping\n"
               "    http-request return status 200 content-type text/plain string %s if { path /generation }\n"
               "%s"
               "    http-request return status 404%s\n",
               BLUEPRINT_HEALTH_PORT, generation, counters ? "    stats enable\n    stats uri /counters\n" : "",
               counters ? " unless { path_beg /counters }" : "");
}

/* Pods come and go under their names: asked again each few seconds, the last address is kept while nobody answers. */
static void add_resolvers(const struct blueprint_env *env, struct buf *o)
{
    if (env->names_change)
        buf_adds(o, "resolvers cluster\n"
                    "    parse-resolv-conf\n"
                    "    hold valid 5s\n"
                    "    hold nx 5s\n"
                    "    hold other 30s\n"
                    "    timeout resolve 2s\n"
                    "    timeout retry 1s\n"
                    "    accepted_payload_size 4096\n"
                    "\n");
}

/* All but what the health port says, which names the rest. */
static void render(const struct desired *d, const struct blueprint_env *env, const struct names *names, struct arena *a,
                   struct buf *o)
{
    add_global(env, o);
    add_defaults(o);
    add_resolvers(env, o);
    add_https(d, env, names, o);
    add_native(env, names, o);
    for (size_t i = 0; i < d->n_services; i++) {
        if (d->services[i].state == DESIRED_DELETED)
            continue;
        add_http_backend(&d->services[i], env, a, o);
        if (env->engine == BLUEPRINT_SERVER)
            add_native_backend(&d->services[i], env, a, o);
    }
}

/* A file with its content's digest in its name, which it gives back. */
static const char *add_file(struct arena *a, struct workload *w, const char *stem, const char *suffix,
                            struct buf *content, bool secret)
{
    char digest[2 * SHA256_SIZE + 1];
    sha256_hex(content->data ? content->data : "", content->len, digest);
    const char *path = arena_printf(a, "%s-%.16s.%s", stem, digest, suffix);
    build_file(a, w, path, content, WORKLOAD_RELOAD, secret);
    return path;
}

static void add_maps(const struct desired *d, const struct blueprint_env *env, struct arena *a, struct workload *w,
                     struct names *ret)
{
    autobuf struct buf hosts = BUF_INIT, ports = BUF_INIT, native = BUF_INIT;
    for (size_t i = 0; i < d->n_services; i++) {
        const struct desired_service *s = &d->services[i];
        if (s->state == DESIRED_DELETED)
            continue;
        buf_printf(&hosts, "%s service-%s\n", blueprint_host(d, s, a), s->slug);
        buf_printf(&native, "%s native-%s\n", blueprint_host(d, s, a), s->slug);
        if (blueprint_service_port(env, s))
            buf_printf(&ports, "%d service-%s\n", OWN_PORT_ID + s->ordinal, s->slug);
    }
    ret->hosts = add_file(a, w, "hosts", "map", &hosts, false);
    ret->ports = add_file(a, w, "ports", "map", &ports, false);
    if (env->engine == BLUEPRINT_SERVER)
        ret->native = add_file(a, w, "native", "map", &native, false);
}

/* The digest of a file with a private key in it, half of it, tells nothing of the key. */
static void add_certificates(const struct blueprint_env *env, struct arena *a, struct workload *w, struct names *ret)
{
    ret->certificates = arena_alloc(a, env->n_certificates * sizeof(*ret->certificates));
    for (size_t i = 0; i < env->n_certificates; i++) {
        autobuf struct buf pem = BUF_INIT;
        buf_adds(&pem, env->certificates[i].pem);
        const char *stem = arena_printf(a, "certificates/%s", env->certificates[i].name);
        ret->certificates[i] = add_file(a, w, stem, "pem", &pem, true);
    }
}

/* The health port answers it: the digest of all else that haproxy.cfg says, which names the other files by theirs. The
 * small file is for the agent, which keeps what it rendered without the large ones. */
static const char *add_generation(const struct blueprint_env *env, const struct buf *config, struct arena *a,
                                  struct workload *w)
{
    autobuf struct buf all = BUF_INIT, text = BUF_INIT;
    char digest[2 * SHA256_SIZE + 1];
    buf_printf(&all, "%d\n", env->ingress_nudge);
    buf_add(&all, config->data, config->len);
    sha256_hex(all.data, all.len, digest);
    buf_adds(&text, digest);
    build_file(a, w, GENERATION, &text, WORKLOAD_RELOAD, false);
    return w->files[w->n_files - 1].content;
}

const char *blueprint_generation(const struct workload_list *l)
{
    for (size_t i = 0; i < l->n; i++)
        for (size_t k = 0; k < l->items[i].n_files && !strcmp(l->items[i].name, "ingress"); k++)
            if (!strcmp(l->items[i].files[k].path, GENERATION))
                return l->items[i].files[k].content;
    return "";
}

void ingress_build(const struct desired *d, const struct blueprint_env *env, struct workload_list *out)
{
    autobuf struct buf config = BUF_INIT;
    struct names names = {0};
    struct arena *a = out->arena;
    struct workload *w = workload_list_add(out);
    w->name = "ingress";
    build_label(a, w, BLUEPRINT_ROLE, "ingress");
    w->image = arena_strdup(a, env->haproxy_image);
    w->program = "haproxy";
    build_argument(a, w, "-W");
    build_argument(a, w, "-f");
    build_argument(a, w, "${files}/haproxy.cfg");
    add_maps(d, env, a, w, &names);
    add_certificates(env, a, w, &names);
    render(d, env, &names, a, &config);
    add_health(d, add_generation(env, &config, a, w), &config);
    build_file(a, w, "haproxy.cfg", &config, WORKLOAD_RELOAD, false); /* behind what it names: see workload.h */
    build_port(a, w, "https", blueprint_https_port(env));
    if (env->engine == BLUEPRINT_SERVER)
        build_port(a, w, "native", blueprint_native_port(env));
    for (size_t i = 0; i < d->n_services; i++)
        if (d->services[i].state != DESIRED_DELETED && blueprint_service_port(env, &d->services[i]))
            build_port(a, w, arena_printf(a, "service-%d", d->services[i].ordinal),
                       blueprint_service_port(env, &d->services[i]));
    build_port(a, w, "health", BLUEPRINT_HEALTH_PORT);
    w->probe = (struct workload_probe){.port = BLUEPRINT_HEALTH_PORT,
                                       .path = "/ping",
                                       .period_ms = 1000,
                                       .timeout_ms = 1000,
                                       .failures = 5,
                                       .startup_ms = 30000};
    w->open_files = 3 * max_connections(env) + 2 * (int)d->n_services + 1000;
    w->reload_signal = SIGUSR2;
    w->stop_signal = SIGUSR1; /* running queries may finish within the grace */
    w->stop_grace_ms = STOP_GRACE_MS;
    w->order = BLUEPRINT_ORDER_INGRESS;
    w->slot = BLUEPRINT_INGRESS_SLOT;
}
