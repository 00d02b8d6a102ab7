/* Turns the desired document into the workloads of the infrastructure. */
#include "blueprint/blueprint.h"

#include "blueprint/build.h"
#include "blueprint/names.h"

#define MAX_PROXIES 256

int blueprint_https_port(const struct blueprint_env *env)
{
    return env->https_port ? env->https_port : 8443;
}

int blueprint_native_port(const struct blueprint_env *env)
{
    return env->native_port ? env->native_port : 9440;
}

const char *blueprint_log_level(const struct blueprint_env *env)
{
    return env->log_level ? env->log_level : "info";
}

const char *blueprint_host(const struct desired *d, const struct desired_service *s, struct arena *a)
{
    return arena_printf(a, "%s.%s", s->slug, d->domain);
}

const char *blueprint_replica_name(const struct desired_service *s, int replica, struct arena *a)
{
    return arena_printf(a, "clickhouse-%s-%d", s->id, replica);
}

int blueprint_service_port(const struct blueprint_env *env, const struct desired_service *s)
{
    return s->ordinal <= env->service_port_count ? env->service_port_base + s->ordinal : 0;
}

bool blueprint_may_sleep(const struct desired_service *s)
{
    return s->state == DESIRED_RUNNING && (s->idle_minutes > 0 || s->rising);
}

const char *blueprint_notice(const struct desired_service *s, const struct blueprint_env *env, struct arena *a)
{
    if (env->replication_key && env->engine == BLUEPRINT_SERVER && s->replicas > BLUEPRINT_MAX_REPLICAS)
        return arena_printf(a, "%d replicas were asked for; this data plane runs at most %d of one service",
                            s->replicas, BLUEPRINT_MAX_REPLICAS);
    if (s->replicas > blueprint_asked(s, env))
        return arena_printf(
            a,
            "%d replicas were asked for; this data plane runs one, since replication needs Keeper, which "
            "it does not run yet",
            s->replicas);
    return "";
}

/* An address that may be left to the runtime as ${...}. */
static bool address_or_reference(const char *s)
{
    size_t len = strlen(s);
    return names_address_valid(s) || (len > 3 && !strncmp(s, "${", 2) && s[len - 1] == '}');
}

static int check_ports(const struct blueprint_env *env, struct err *err)
{
    int first = env->service_port_base + 1, last = env->service_port_base + env->service_port_count;
    if (env->service_port_count < 0 || (env->service_port_count && (first < 1024 || last > 65535)))
        return err_set(err, -EINVAL, "service ports %d to %d: must be within 1024 and 65535", first, last);
    const int taken[] = {blueprint_https_port(env), blueprint_native_port(env), BLUEPRINT_HEALTH_PORT};
    for (size_t i = 0; i < ARRAY_SIZE(taken); i++)
        if (env->service_port_count && taken[i] >= first && taken[i] <= last)
            return err_set(err, -EINVAL, "service ports %d to %d: must not hold port %d, which the ingress uses itself",
                           first, last, taken[i]);
    if (blueprint_https_port(env) == blueprint_native_port(env))
        return err_set(err, -EINVAL, "https_port and native_port: must differ");
    return 0;
}

static int check_env(const struct blueprint_env *env, struct err *err)
{
    static const char *const levels[] = {"debug", "info", "warn", "error"};
    size_t level = 0;
    while (level < ARRAY_SIZE(levels) && strcmp(levels[level], blueprint_log_level(env)))
        level++;
    if (level == ARRAY_SIZE(levels))
        return err_set(err, -EINVAL, "log_level: must be debug, info, warn or error");
    if (env->public_address && *env->public_address && !address_or_reference(env->public_address))
        return err_set(err, -EINVAL, "public_address: must be an IPv4 or IPv6 address");
    if (env->client_address && !names_address_valid(env->client_address))
        return err_set(err, -EINVAL, "client_address: must be an IPv4 or IPv6 address");
    if (env->bucket && !names_label_valid(env->bucket))
        return err_set(err, -EINVAL, "bucket: must be a plain name of a-z, 0-9 and '-'");
    if (env->n_proxy_from > MAX_PROXIES)
        return err_set(err, -EINVAL, "proxy_from: at most %d addresses", MAX_PROXIES);
    for (size_t i = 0; i < env->n_proxy_from; i++)
        if (!names_network_valid(env->proxy_from[i]))
            return err_set(err, -EINVAL, "proxy_from: must be IPv4 or IPv6 addresses or networks");
    for (size_t i = 0; i < env->n_certificates; i++)
        if (!names_label_valid(env->certificates[i].name))
            return err_set(err, -EINVAL, "certificates: names must be plain: a-z, 0-9 and '-'");
    return check_ports(env, err);
}

static void add_service(const struct desired *d, const struct desired_service *s, const struct blueprint_env *env,
                        struct workload_list *ret)
{
    if (s->state == DESIRED_DELETED)
        return;
    clickhouse_build(d, s, env, ret);
    keeper_build(s, env, ret);
}

static void add_place(const struct desired *d, const struct blueprint_env *env, struct workload_list *ret)
{
    if (env->client_address)
        dns_build(d, env, ret);
    if (env->n_certificates) {
        activator_build(d, env, ret);
        ingress_build(d, env, ret);
    }
}

int blueprint_render_service(const struct desired *d, const struct desired_service *s, const struct blueprint_env *env,
                             struct workload_list *ret, struct err *err)
{
    int r = check_env(env, err);
    if (r == 0)
        add_service(d, s, env, ret);
    return r;
}

int blueprint_render_place(const struct desired *d, const struct blueprint_env *env, struct workload_list *ret,
                           struct err *err)
{
    int r = check_env(env, err);
    if (r == 0)
        add_place(d, env, ret);
    return r;
}

int blueprint_render(const struct desired *d, const struct blueprint_env *env, struct workload_list *ret,
                     struct err *err)
{
    int r = check_env(env, err);
    for (size_t i = 0; r == 0 && i < d->n_services; i++)
        add_service(d, &d->services[i], env, ret);
    if (r == 0)
        add_place(d, env, ret);
    return r;
}
