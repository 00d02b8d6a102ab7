/* Makes the three Keeper members of a service with several replicas, and the part of the replicas' configuration that
 * joins them: cluster, macros, Keeper, names and passwords among themselves.
 *
 * Elements and ports are the ones of ClickHouse's documentation of Keeper and of replicated tables. */
#include "blueprint/build.h"
#include "blueprint/xml.h"

#include "base/keys.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#define CLIENT_PORT 9181
#define RAFT_PORT 9234
#define READY_PORT 9182
#define STOP_GRACE_MS 30000
#define STARTUP_MS 180000
#define UNIQUE_PARTS_MS 4000 /* of a replica's grace, after its queries */
#define MEMORY ((int64_t)1 << 30)
#define FIRST_SLOT 12 /* of the service's sixteen; replicas have those before */

int blueprint_asked(const struct desired_service *s, const struct blueprint_env *env)
{
    bool several = env->replication_key && env->engine == BLUEPRINT_SERVER;
    return several ? MIN(s->replicas, BLUEPRINT_MAX_REPLICAS) : 1;
}

int blueprint_serving(const struct desired_service *s, const struct blueprint_env *env)
{
    return MIN(blueprint_asked(s, env) + (s->surge == DESIRED_SURGE_SERVES), BLUEPRINT_MAX_REPLICAS);
}

int blueprint_replicas(const struct desired_service *s, const struct blueprint_env *env)
{
    return MIN(blueprint_asked(s, env) + (s->surge != DESIRED_SURGE_NONE), BLUEPRINT_MAX_REPLICAS);
}

bool blueprint_joined(const struct desired_service *s, const struct blueprint_env *env)
{
    return blueprint_asked(s, env) > 1 || (s->joined && env->replication_key && env->engine == BLUEPRINT_SERVER);
}

const char *blueprint_keeper_name(const struct desired_service *s, int member, struct arena *a)
{
    return arena_printf(a, "keeper-%s-%d", s->id, member);
}

/* A password of the service's own for one purpose, which nobody has to keep: 64 hex digits. */
static const char *password(const struct desired_service *s, const struct blueprint_env *env, const char *purpose,
                            struct arena *a)
{
    autofree char *text = mem_printf("%s %s", purpose, s->id);
    unsigned char mac[SHA256_SIZE];
    char hex[2 * SHA256_SIZE + 1];
    unsigned int len = sizeof(mac);
    if (!HMAC(EVP_sha256(), env->replication_key, 32, (const unsigned char *)text, strlen(text), mac, &len))
        abort();
    hex_encode(mac, sizeof(mac), hex);
    mem_wipe(mac, sizeof(mac));
    return arena_strdup(a, hex);
}

static const char *address(const char *name, struct arena *a)
{
    return arena_printf(a, "${address:%s}", name);
}

/* ---- the replicas' part ---- */

static void zookeeper(struct xml *x, const struct desired_service *s, struct arena *a)
{
    xml_open(x, "zookeeper");
    for (int k = 0; k < BLUEPRINT_KEEPERS; k++) {
        xml_open(x, "node");
        xml_text(x, "host", address(blueprint_keeper_name(s, k, a), a));
        xml_int(x, "port", CLIENT_PORT);
        xml_close(x);
    }
    xml_int(x, "session_timeout_ms", 30000);
    xml_int(x, "operation_timeout_ms", 10000);
    xml_close(x);
}

/* The server takes up another list of replicas while it runs. */
static void cluster(const struct desired_service *s, const struct blueprint_env *env, struct arena *a,
                    struct workload *w)
{
    autobuf struct buf text = BUF_INIT;
    struct xml x;
    xml_init(&x, &text);
    xml_open(&x, "clickhouse");
    xml_open(&x, "remote_servers");
    xml_open(&x, "default");
    xml_text(&x, "secret", password(s, env, "cluster", a));
    xml_open(&x, "shard");
    xml_true(&x, "internal_replication");
    for (int k = 0; k < blueprint_serving(s, env); k++) {
        xml_open(&x, "replica");
        xml_text(&x, "host", address(blueprint_replica_name(s, k, a), a));
        xml_int(&x, "port", BLUEPRINT_TCP_PORT);
        xml_close(&x);
    }
    xml_close(&x);
    xml_close(&x);
    xml_close(&x);
    xml_comment(&x, "What came in last of all is with another replica before this one stops.");
    xml_open(&x, "merge_tree");
    xml_int(&x, "wait_for_unique_parts_send_before_shutdown_ms", UNIQUE_PARTS_MS);
    xml_close(&x);
    xml_close(&x);
    build_file(a, w, "config.d/cluster.xml", &text, WORKLOAD_IGNORE, true);
}

void replication_build(const struct desired_service *s, const struct blueprint_env *env, int replica, struct arena *a,
                       struct workload *w)
{
    autobuf struct buf text = BUF_INIT;
    struct xml x;
    xml_init(&x, &text);
    xml_open(&x, "clickhouse");
    xml_open(&x, "macros");
    xml_text(&x, "cluster", "default");
    xml_text(&x, "shard", BLUEPRINT_SHARD);
    xml_text(&x, "replica", arena_printf(a, "r%d", replica));
    xml_close(&x);
    zookeeper(&x, s, a);
    cluster(s, env, a, w);
    xml_open(&x, "distributed_ddl");
    xml_text(&x, "path", "/clickhouse/task_queue/ddl");
    xml_close(&x);
    xml_text(&x, "interserver_http_host", address(w->name, a));
    xml_int(&x, "interserver_http_port", BLUEPRINT_INTERSERVER_PORT);
    xml_open(&x, "interserver_http_credentials");
    xml_text(&x, "user", "interserver");
    xml_text(&x, "password", password(s, env, "interserver", a));
    xml_close(&x);
    xml_text(&x, "user_defined_zookeeper_path", "/clickhouse/user_defined");
    xml_close(&x);
    build_file(a, w, "config.d/replication.xml", &text, WORKLOAD_RESTART, true);
    build_port(a, w, "interserver", BLUEPRINT_INTERSERVER_PORT);
}

/* ---- Keeper ---- */

static void keeper_config(const struct desired_service *s, int member, struct arena *a, struct buf *out)
{
    struct xml x;
    xml_init(&x, out);
    xml_open(&x, "clickhouse");
    xml_open(&x, "logger");
    xml_text(&x, "level", "information");
    xml_true(&x, "console");
    xml_close(&x);
    xml_text(&x, "listen_host", "${address}");
    xml_text(&x, "path", "${volume:data}/");
    xml_open(&x, "keeper_server");
    xml_int(&x, "tcp_port", CLIENT_PORT);
    xml_int(&x, "server_id", member + 1);
    xml_text(&x, "log_storage_path", "${volume:data}/log");
    xml_text(&x, "snapshot_storage_path", "${volume:data}/snapshots");
    xml_comment(&x, "Names resolve before members are ready, and their addresses change.");
    xml_int(&x, "hostname_checks_enabled", 0);
    xml_open(&x, "coordination_settings");
    xml_int(&x, "operation_timeout_ms", 10000);
    xml_int(&x, "session_timeout_ms", 30000);
    xml_true(&x, "async_replication");
    xml_text(&x, "raft_logs_level", "warning");
    xml_close(&x);
    xml_open(&x, "raft_configuration");
    for (int k = 0; k < BLUEPRINT_KEEPERS; k++) {
        xml_open(&x, "server");
        xml_int(&x, "id", k + 1);
        xml_text(&x, "hostname", address(blueprint_keeper_name(s, k, a), a));
        xml_int(&x, "port", RAFT_PORT);
        xml_close(&x);
    }
    xml_close(&x);
    xml_open(&x, "http_control");
    xml_int(&x, "port", READY_PORT);
    xml_open(&x, "readiness");
    xml_text(&x, "endpoint", "/ready");
    xml_close(&x);
    xml_close(&x);
    xml_close(&x);
    xml_close(&x);
}

static void keeper(const struct desired_service *s, const struct blueprint_env *env, int member,
                   struct workload_list *out)
{
    autobuf struct buf text = BUF_INIT;
    struct arena *a = out->arena;
    struct workload *w = workload_list_add(out);
    w->name = blueprint_keeper_name(s, member, a);
    build_label(a, w, BLUEPRINT_ROLE, BLUEPRINT_ROLE_KEEPER);
    build_label(a, w, BLUEPRINT_SERVICE, s->id);
    build_label(a, w, "slug", s->slug);
    build_label(a, w, "member", arena_printf(a, "%d", member));
    w->image = arena_strdup(a, env->clickhouse_image);
    w->program = "clickhouse";
    build_argument(a, w, "keeper");
    build_argument(a, w, "--config-file=${files}/keeper.xml");
    keeper_config(s, member, a, &text);
    build_file(a, w, "keeper.xml", &text, WORKLOAD_RESTART, false);
    build_port(a, w, "client", CLIENT_PORT);
    build_port(a, w, "raft", RAFT_PORT);
    build_port(a, w, "ready", READY_PORT);
    build_volume(a, w, &(struct workload_volume){.name = "data", .keep = true, .bytes = INT64_C(10) << 30});
    /* Answers 200 only while the member has a leader: the quorum is looked at, not the process. */
    w->probe = (struct workload_probe){.port = READY_PORT,
                                       .path = "/ready",
                                       .period_ms = 2000,
                                       .timeout_ms = 2000,
                                       .failures = 5,
                                       .startup_ms = STARTUP_MS};
    w->memory_bytes = MEMORY;
    w->cpu_millis = 250;
    w->open_files = 65536;
    w->stop_grace_ms = STOP_GRACE_MS;
    w->order = BLUEPRINT_ORDER_KEEPER;
    w->slot = 16 * s->ordinal + FIRST_SLOT + member;
    w->stopped = s->state == DESIRED_STOPPED;
}

void keeper_build(const struct desired_service *s, const struct blueprint_env *env, struct workload_list *out)
{
    for (int k = 0; k < BLUEPRINT_KEEPERS && blueprint_joined(s, env); k++)
        keeper(s, env, k, out);
}
