/* Makes the activator: who holds connections to services that sleep until their engines answer. */
#include "blueprint/build.h"

#define MEMORY MIB(160)       /* each of its 2048 connections may have 64 KiB that the other side does not take yet */
#define OPEN_FILES 6400       /* three for each, and some */
#define HOLD_S 60             /* a process starts, or it does not */
#define HOLD_IN_CLUSTER_S 180 /* a pod may wait for its disk, and for a node */

static void add_table(const struct desired *d, const struct blueprint_env *env, struct arena *a, struct buf *o)
{
    buf_adds(o, "# Written by OwnHouse; changes are overwritten.\n");
    for (size_t i = 0; i < d->n_services; i++) {
        const struct desired_service *s = &d->services[i];
        if (!blueprint_may_sleep(s))
            continue;
        buf_printf(o, "%d %s ", s->ordinal, s->slug);
        for (int k = 0; k < blueprint_asked(s, env); k++)
            buf_printf(o, "%s${address:%s}", k ? "," : "", blueprint_replica_name(s, k, a));
        buf_addc(o, '\n');
    }
}

static bool anybody_sleeps(const struct desired *d)
{
    for (size_t i = 0; i < d->n_services; i++)
        if (blueprint_may_sleep(&d->services[i]))
            return true;
    return false;
}

void activator_build(const struct desired *d, const struct blueprint_env *env, struct workload_list *out)
{
    autobuf struct buf table = BUF_INIT;
    struct arena *a = out->arena;
    if (!anybody_sleeps(d))
        return;
    struct workload *w = workload_list_add(out);
    w->name = "activator";
    build_label(a, w, BLUEPRINT_ROLE, "activator");
    w->image = arena_strdup(a, env->haproxy_image); /* it lies beside HAProxy */
    w->program = "ownhouse-activator";
    build_argument(a, w, "--listen");
    build_argument(a, w, "${address}");
    build_argument(a, w, "--table");
    build_argument(a, w, "${files}/services");
    build_argument(a, w, "--hold");
    build_argument(a, w, arena_printf(a, "%d", env->names_change ? HOLD_IN_CLUSTER_S : HOLD_S));
    add_table(d, env, a, &table);
    build_file(a, w, "services", &table, WORKLOAD_IGNORE, false); /* it looks by itself */
    build_port(a, w, "http", BLUEPRINT_ACTIVATOR_HTTP_PORT);
    build_port(a, w, "native", BLUEPRINT_ACTIVATOR_NATIVE_PORT);
    build_port(a, w, "control", BLUEPRINT_ACTIVATOR_CONTROL_PORT);
    w->probe = (struct workload_probe){.port = BLUEPRINT_ACTIVATOR_CONTROL_PORT,
                                       .period_ms = 2000,
                                       .timeout_ms = 1000,
                                       .failures = 5,
                                       .startup_ms = 30000};
    w->memory_bytes = MEMORY;
    w->cpu_millis = 50;
    w->open_files = OPEN_FILES;
    w->order = BLUEPRINT_ORDER_ACTIVATOR;
    w->slot = BLUEPRINT_ACTIVATOR_SLOT;
}
