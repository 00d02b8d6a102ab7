/* Makes the name server: one Knot DNS that answers for the infrastructure's domain and nothing else. */
#include "blueprint/build.h"

#include <arpa/inet.h>
#include <signal.h>

#define TTL 60

/* A change of any service makes a higher version, so the version is the serial number: RFC 1982 arithmetic lets it wrap
 * (a step is always far below 2^31). */
static unsigned serial(const struct desired *d)
{
    return (unsigned)(d->version & UINT32_MAX);
}

static void add_address(struct buf *o, const char *name, const char *address)
{
    unsigned char bytes[16];
    buf_printf(o, "%s %d IN %s %s\n", name, TTL, inet_pton(AF_INET6, address, bytes) == 1 ? "AAAA" : "A", address);
}

static void add_zone(const struct desired *d, const struct blueprint_env *env, struct buf *o)
{
    buf_printf(o, "; Written by OwnHouse; changes are overwritten.\n$ORIGIN %s.\n$TTL %d\n", d->domain, TTL);
    /* The name server is the domain itself, so that no service's name is taken by it. */
    buf_printf(o, "@ IN SOA @ hostmaster %u 3600 600 604800 %d\n@ IN NS @\n", serial(d), TTL);
    add_address(o, "@", env->client_address);
    /* Stopped services too: whoever asks then reads at the ingress that the service is stopped. */
    for (size_t i = 0; i < d->n_services; i++)
        if (d->services[i].state != DESIRED_DELETED)
            add_address(o, d->services[i].slug, env->client_address);
}

static void add_config(const struct desired *d, const struct blueprint_env *env, struct buf *o)
{
    const char *level = blueprint_log_level(env);
    buf_printf(o,
               "# Written by OwnHouse; changes are overwritten.\n"
               "server:\n"
               "    # Relative: see workload.h on the length of socket names.\n"
               "    rundir: run\n"
               "    listen: ${address}@%d\n"
               "    identity: \"\"\n"
               "    version: \"\"\n"
               "    nsid: \"\"\n"
               "    udp-workers: 1\n"
               "    tcp-workers: 1\n"
               "    background-workers: 1\n"
               "    tcp-max-clients: 100\n"
               "    tcp-io-timeout: 2000\n"
               "    tcp-idle-timeout: 10\n"
               "log:\n"
               "  - target: stdout\n"
               "    any: %s\n"
               "database:\n"
               "    storage: run\n"
               "template:\n"
               "  - id: default\n"
               "    storage: \"${files}\"\n"
               "    zonefile-sync: -1\n"
               "    journal-content: none\n"
               "    semantic-checks: on\n"
               "zone:\n"
               "  - domain: %s.\n"
               "    file: zone\n",
               BLUEPRINT_DNS_PORT, !strcmp(level, "warn") ? "warning" : level, d->domain);
}

void dns_build(const struct desired *d, const struct blueprint_env *env, struct workload_list *out)
{
    autobuf struct buf text = BUF_INIT;
    struct arena *a = out->arena;
    struct workload *w = workload_list_add(out);
    w->name = "dns";
    build_label(a, w, BLUEPRINT_ROLE, "dns");
    w->image = arena_strdup(a, env->knot_image);
    w->program = "knotd";
    build_argument(a, w, "--config");
    build_argument(a, w, "${files}/knot.conf");
    add_config(d, env, &text);
    build_file(a, w, "knot.conf", &text, WORKLOAD_RELOAD, false);
    add_zone(d, env, &text);
    build_file(a, w, "zone", &text, WORKLOAD_RELOAD, false);
    build_port(a, w, "dns", BLUEPRINT_DNS_PORT);
    w->probe = (struct workload_probe){
        .port = BLUEPRINT_DNS_PORT, .period_ms = 2000, .timeout_ms = 1000, .failures = 5, .startup_ms = 30000};
    w->reload_signal = SIGHUP;
    w->order = BLUEPRINT_ORDER_DNS;
    w->slot = BLUEPRINT_DNS_SLOT;
}
