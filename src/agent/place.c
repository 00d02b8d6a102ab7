/* From the agent's configuration to its parts' own. */
#include "agent/place.h"

#include "agent/allowlist.h"
#include "agent/link/identity.h"
#include "base/fs.h"
#include "base/keys.h"
#include "base/mem.h"

#define LOG_BYTES ((int64_t)MIB(16))
#define LOG_FILES 3
#define MAX_PROXIES 64
#define CLUSTER_LIBRARY "/usr/lib/ownhouse/libchdb.so"

char *place_self(void)
{
    char path[4096];
    const char *installed = getenv(PLACE_INSTALLED_VARIABLE);
    if (installed)
        return mem_strdup(installed);
    ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
    if (n <= 0)
        return NULL;
    path[n] = 0;
    /* An upgrade replaces the file while we run: go on with what stands at the path now. */
    char *deleted = strstr(path, " (deleted)");
    if (deleted && !deleted[10])
        *deleted = 0;
    return mem_strdup(path);
}

static const char *or_null(const char *text)
{
    return text && *text ? text : NULL;
}

/* The engine's server: configured, or beside the agent, installed or built. */
static const char *find_engine(struct arena *a, const struct agent_config *c, const char *self)
{
    if (*c->engine_program)
        return c->engine_program;
    const char *slash = strrchr(self, '/');
    int folder = (int)(slash - self);
    const char *beside = arena_printf(a, "%.*s/ownhouse-clickhouse", folder, self),
               *built = arena_printf(a, "%.*s/../clickhouse/ownhouse-clickhouse", folder, self);
    return fs_exists(beside) ? beside : fs_exists(built) ? built : NULL;
}

/* Installed beside the agent, or built below it. */
static const char *find_activator(struct arena *a, const char *self)
{
    int folder = (int)(strrchr(self, '/') - self);
    const char *beside = arena_printf(a, "%.*s/ownhouse-activator", folder, self),
               *built = arena_printf(a, "%.*s/activator/ownhouse-activator", folder, self);
    return fs_exists(beside) ? beside : fs_exists(built) ? built : "/nonexistent/ownhouse-activator";
}

static void set_programs(struct place *p, const struct agent_config *c, const char *self)
{
    struct runtime_program *programs = arena_alloc(p->arena, 5 * sizeof(*programs));
    bool library = *c->engine_library;
    programs[0] = library ? (struct runtime_program){"ownhouse-clickhouse", find_engine(p->arena, c, self), NULL,
                                                     "set engine_program in agent.conf to where it is"}
                          : (struct runtime_program){"ownhouse-clickhouse", "/nonexistent/libchdb.so", NULL,
                                                     "the embedded engine's library is not known: set engine_library "
                                                     "in agent.conf to libchdb.so, or engine to clickhouse"};
    programs[1] = (struct runtime_program){"clickhouse", c->clickhouse_program, NULL,
                                           "install ClickHouse's server, or set clickhouse_program in agent.conf"};
    programs[2] = (struct runtime_program){"haproxy", c->haproxy_program, NULL,
                                           "install the package haproxy, or set haproxy_program in agent.conf"};
    programs[3] = (struct runtime_program){"knotd", c->knot_program, NULL,
                                           "install the package knot, or set knot_program in agent.conf"};
    programs[4] = (struct runtime_program){"ownhouse-activator", find_activator(p->arena, self), NULL,
                                           "put ownhouse-activator beside ownhouse-agent"};
    p->runtime.programs = programs;
    p->runtime.n_programs = 5;
}

static void set_params(struct place *p, const struct agent_config *c)
{
    struct workload_env *params = arena_alloc(p->arena, 4 * sizeof(*params));
    params[0] = (struct workload_env){"engine_library", c->engine_library};
    params[1] = (struct workload_env){"public_address", c->public_address};
    p->runtime.params = params;
    p->runtime.n_params = 2;
    if (*c->backup_s3_url) {
        p->backup = (struct backup_place){
            .s3_url = c->backup_s3_url, .s3_region = c->backup_s3_region, .s3_keys = or_null(c->backup_s3_keys)};
        params[p->runtime.n_params++] = (struct workload_env){"backup_keys", c->backup_s3_keys};
    } else if (!strcmp(c->runtime, "process") && *c->backup_bucket) {
        p->backup.dir = arena_printf(p->arena, "%s/%s", c->bucket_dir, c->backup_bucket);
        params[p->runtime.n_params++] = (struct workload_env){"backup_dir", p->backup.dir};
    }
}

static void set_env(struct place *p, const struct agent_config *c)
{
    const char **proxies = arena_alloc(p->arena, (MAX_PROXIES + 1) * sizeof(*proxies));
    size_t n = 0;
    char *rest = arena_strdup(p->arena, c->proxy_from), *word;
    while ((word = strtok_r(rest, " \t,", &rest)) && n < MAX_PROXIES)
        proxies[n++] = word;
    p->env = (struct blueprint_env){
        .public_address = c->public_address,
        .https_port = (int)c->https_port,
        .native_port = (int)c->native_port,
        .service_port_base = (int)c->service_port_base,
        .service_port_count = (int)c->service_port_count,
        .proxy_from = proxies,
        .n_proxy_from = n,
        .client_address = or_null(c->client_address),
        .engine = strcmp(c->engine, "clickhouse") ? BLUEPRINT_EMBEDDED : BLUEPRINT_SERVER,
        .bucket = *c->bucket_dir ? c->bucket : NULL,
        .backup_s3_url = or_null(c->backup_s3_url),
        .backup_s3_region = c->backup_s3_region,
        .log_level = c->log_level,
    };
}

/* "key=value key=value" */
static const struct workload_env *pairs(struct arena *a, const char *text, size_t *ret_n)
{
    struct workload_env *list = arena_alloc(a, (strlen(text) / 2 + 2) * sizeof(*list));
    char *rest = arena_strdup(a, text), *word;
    while ((word = strtok_r(rest, " \t,", &rest))) {
        char *equals = strchr(word, '=');
        if (equals)
            *equals++ = '\0';
        list[(*ret_n)++] = (struct workload_env){word, equals ? equals : ""};
    }
    return list;
}

static void set_cluster(struct place *p, const struct agent_config *c)
{
    struct workload_env *params = arena_alloc(p->arena, 2 * sizeof(*params));
    bool kubernetes = !strcmp(c->runtime, "kubernetes");
    /* Where our own image of the embedded engine has it. */
    params[0] = (struct workload_env){"engine_library", *c->engine_library ? c->engine_library : CLUSTER_LIBRARY};
    params[1] = (struct workload_env){"public_address", ""};
    p->cluster = (struct kube_place){
        .namespace = or_null(c->namespace),
        .account = c->account,
        .cluster_domain = c->cluster_domain,
        .listen_address = c->pod_listen_address,
        .storage_class = or_null(c->storage_class),
        .volume_bytes = c->volume_gib << 30,
        .priority_class = or_null(c->priority_class),
        .balancer = c->load_balancer,
        .private_balancer = c->private_load_balancer,
        .ingress_replicas = (int)c->ingress_replicas,
        .params = params,
        .n_params = 2,
    };
    p->cluster.account_annotations = pairs(p->arena, c->account_annotations, &p->cluster.n_account_annotations);
    p->cluster.balancer_annotations = pairs(p->arena, c->balancer_annotations, &p->cluster.n_balancer_annotations);
    p->cluster.private_annotations =
        pairs(p->arena, c->private_balancer_annotations, &p->cluster.n_private_annotations);
    if (!kubernetes)
        return;
    p->env.clickhouse_image = or_null(c->clickhouse_image);
    p->env.haproxy_image = or_null(c->haproxy_image);
    p->env.knot_image = or_null(c->knot_image);
    p->env.names_change = true;
}

void place_init(struct place *p, const struct agent_config *c, const char *self)
{
    *p = (struct place){.arena = arena_new()};
    const char **ip = arena_alloc(p->arena, 2 * sizeof(*ip));
    ip[0] = or_null(c->public_address);
    p->extra_ip = ip;
    p->link_dir = arena_printf(p->arena, "%s/link", c->home);
    p->state_dir = arena_printf(p->arena, "%s/state", c->home);
    p->name = c->name;
    p->proxy = (struct agent_proxy){or_null(c->proxy), or_null(c->proxy_credentials), or_null(c->control_address)};
    p->runtime.dir = arena_printf(p->arena, "%s/runtime", c->home);
    p->runtime.loopback_base = c->loopback_base;
    p->runtime.bucket_dir = or_null(c->bucket_dir);
    p->runtime.log_bytes = LOG_BYTES;
    p->runtime.log_files = LOG_FILES;
    set_programs(p, c, self);
    set_params(p, c);
    set_env(p, c);
    set_cluster(p, c);
}

void place_free(struct place *p)
{
    mem_wipe(p->cluster.key, sizeof(p->cluster.key));
    arena_free(p->arena);
    *p = (struct place){0};
}

/* Made once: what is masked with it must be read again after a restart. */
static int cluster_key(const struct place *p, unsigned char key[32], struct err *err)
{
    autofree char *path = mem_printf("%s/kubernetes.key", p->state_dir), *text = NULL;
    size_t len = 0;
    int r = fs_read_secret(path, 64, &text, &len, err);
    if (r == 0 && len == 32)
        memcpy(key, text, 32);
    else if (r == 0)
        return err_set(err, -EINVAL, "%s: must hold 32 bytes; delete it to have it made anew", path);
    if (r != -ENOENT)
        return r;
    random_bytes(key, 32);
    r = fs_mkdirs(p->state_dir, 0700, err);
    return r < 0 ? r : fs_write_atomic(path, key, 32, 0600, err);
}

static int cluster_runtime(struct place *p, const struct agent_config *c, const char *infrastructure,
                           struct runtime **ret, struct err *err)
{
    struct runtime_kubernetes_config config = {.clock = &clock_system};
    int r = *c->kubeconfig ? kube_access_file(c->kubeconfig, NULL, &config.access, err)
                           : kube_access_pod(NULL, NULL, NULL, &config.access, err);
    if (r < 0)
        return r;
    if ((r = cluster_key(p, p->cluster.key, err)) < 0) {
        kube_access_free(&config.access);
        return r;
    }
    p->env.replication_key = p->cluster.key;
    config.place = p->cluster;
    config.place.infrastructure = infrastructure;
    if (!config.place.namespace)
        config.place.namespace = arena_strdup(p->arena, config.access.namespace);
    r = runtime_kubernetes_new(&config, ret, err);
    mem_wipe(config.place.key, sizeof(config.place.key));
    kube_access_free(&config.access);
    return r;
}

int place_runtime(struct place *p, const struct agent_config *c, const char *infrastructure, struct runtime **ret,
                  struct err *err)
{
    if (!strcmp(c->runtime, "kubernetes"))
        return cluster_runtime(p, c, infrastructure, ret, err);
    p->runtime.infrastructure = infrastructure;
    return runtime_process_new(&p->runtime, ret, err);
}

static int narrow(const json_t *message, json_t **ret, void *data, struct err *err)
{
    return telemetry_narrow(((struct allowlist *)data)->now, message, ret, err);
}

int place_enrol(const struct place *p, const struct agent_config *c, int timeout_ms, char ret_fingerprint[65],
                struct err *err)
{
    struct agent_enrol_config enrol = {
        .dir = p->link_dir,
        .bundle_file = c->bundle,
        .token_file = or_null(c->token_file),
        .name = c->name,
        .proxy = p->proxy,
        .timeout_ms = timeout_ms,
        .narrow = narrow,
    };
    /* A token that was used is deleted by whoever made it: do not ask for it again. */
    struct identity id;
    int r = identity_load(p->link_dir, &id, NULL);
    if (r == 0) {
        struct bundle *bundle = NULL;
        identity_free(&id);
        r = identity_bundle(p->link_dir, &bundle, err);
        if (r == 0)
            memcpy(ret_fingerprint, bundle->fingerprint, 65);
        bundle_free(bundle);
        return r;
    }
    if (!*c->bundle)
        return err_set(err, -ENOENT,
                       "this agent is not enrolled and no bundle is configured: set `bundle` in its "
                       "configuration to the enrolment bundle");
    struct allowlist list = {0};
    (void)allowlist_look(&list, c);
    enrol.data = &list;
    r = agent_enrol(&enrol, ret_fingerprint, err);
    allowlist_free(&list);
    return r;
}
