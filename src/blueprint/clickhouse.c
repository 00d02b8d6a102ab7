/* Makes the ClickHouse workload of each replica: a real server with its XML files, or the embedded engine's program. */
#include "blueprint/build.h"
#include "blueprint/diag.h"
#include "blueprint/grant_user.h"
#include "blueprint/operator_sql.h"
#include "blueprint/xml.h"

#include <signal.h>

#define STOP_GRACE_MS 30000 /* running queries may finish, within this */
#define STARTUP_MS 120000
#define LOG_TTL "event_date + INTERVAL 30 DAY DELETE"

void blueprint_backup_disk(const char *service, char ret[BLUEPRINT_BACKUP_DISK_SIZE])
{
    snprintf(ret, BLUEPRINT_BACKUP_DISK_SIZE, "backup_%s", service);
    for (char *c = ret; *c; c++)
        if (*c == '-')
            *c = '_';
}

/* ---- the embedded engine ---- */

static const char *setting_of(const struct desired_service *s, const char *name)
{
    for (size_t i = 0; i < s->n_settings; i++)
        if (!strcmp(s->settings[i].setting->name, name))
            return s->settings[i].value;
    return NULL;
}

static bool backups_here(const struct blueprint_env *env)
{
    return env->operator_sha256 && !env->operator_only_looks;
}

static void embedded_backups(const struct desired_service *s, const struct blueprint_env *env, struct buf *out)
{
    static const char *const keys[] = {"backup", "restore"};
    const char *const owners[] = {s->id, s->restore_service};
    for (size_t i = 0; i < ARRAY_SIZE(owners) && owners[i]; i++) {
        char disk[BLUEPRINT_BACKUP_DISK_SIZE];
        blueprint_backup_disk(owners[i], disk);
        if (env->backup_s3_url)
            buf_printf(out, "%s_disk = %s %s/%s\n", keys[i], disk, env->backup_s3_url, owners[i]);
        else
            buf_printf(out, "%s_path = ${param:backup_dir}/%s\n", keys[i], owners[i]);
    }
    if (env->backup_s3_url)
        buf_printf(out, "backup_region = %s\nbackup_keys = ${param:backup_keys}\n", env->backup_s3_region);
}

static void embedded_config(const struct desired_service *s, const struct blueprint_env *env, struct buf *out)
{
    buf_printf(out, "listen = ${address}:%d\n", BLUEPRINT_HTTP_PORT);
    buf_printf(out, "metrics_listen = ${address}:%d\n", BLUEPRINT_METRICS_PORT);
    buf_adds(out, "data_path = ${volume:data}/engine\n"
                  "bucket_path = ${volume:data}/blobs\n"
                  "library = ${param:engine_library}\n"
                  "users_file = ${files}/users.json\n"
                  "timezone = UTC\n");
    if (s->n_settings)
        buf_adds(out, "settings_file = ${files}/settings.json\n");
    /* The program counts the queries itself, before they reach the engine. */
    if (setting_of(s, "max_concurrent_queries"))
        buf_printf(out, "max_concurrent_queries = %s\n", setting_of(s, "max_concurrent_queries"));
    if (env->reader_sha256)
        buf_adds(out, "startup_file = ${files}/diag.sql\n"
                      "query_log = ${volume:data}/log/queries.log\n" /* to be joined with the ledger's leaves */
                      "query_log_users = ownhouse_\n");
    if (backups_here(env))
        embedded_backups(s, env, out);
    buf_printf(out, "display_name = %s\n", s->slug);
    buf_printf(out, "log_level = %s\n", blueprint_log_level(env));
    buf_printf(out, "max_memory_bytes = %lld\n", (long long)s->memory_bytes);
    buf_printf(out, "shutdown_timeout_s = %d\n", STOP_GRACE_MS / 1000 - 5);
}

/* Names and values have passed settings.h: neither has what JSON would escape. */
static void embedded_settings(const struct desired_service *s, struct buf *out)
{
    static const char *const sections[] = {
        [SETTING_PROFILE] = "profile", [SETTING_SERVER] = "server", [SETTING_MERGE_TREE] = "mergeTree"};
    buf_adds(out, "{");
    for (size_t k = 0; k < ARRAY_SIZE(sections); k++) {
        const char *separator = "";
        buf_printf(out, "%s\"%s\": {", k ? ",\n " : "", sections[k]);
        for (size_t i = 0; i < s->n_settings; i++) {
            if (s->settings[i].setting->scope != k)
                continue;
            buf_printf(out, "%s\"%s\": \"%s\"", separator, s->settings[i].setting->name, s->settings[i].value);
            separator = ", ";
        }
        buf_adds(out, "}");
    }
    buf_adds(out, "}\n");
}

/* Nothing in it needs quoting: see desired_query_parse(). */
static void embedded_query_endpoint(const struct desired_service *s, struct buf *out)
{
    const struct desired_query_endpoint *e = s->query_endpoint;
    buf_printf(out, ",\n\"queryEndpoint\": {\"service\": \"%s\", \"readonly\": %s, \"origins\": [", s->id,
               e->readonly ? "true" : "false");
    for (size_t i = 0; i < e->n_origins; i++)
        buf_printf(out, "%s\"%s\"", i ? ", " : "", e->origins[i]);
    buf_adds(out, "], \"keys\": [");
    for (size_t i = 0; i < e->n_keys; i++) {
        const struct desired_query_key *k = &e->keys[i];
        buf_printf(out,
                   "%s\n  {\"id\": \"%s\", \"id_sha256\": \"%s\", \"sha256\": \"%s\", \"expires_ms\": %lld, "
                   "\"networks\": [",
                   i ? "," : "", k->id, k->id_sha256, k->sha256, (long long)k->expires_ms);
        for (size_t n = 0; n < k->n_networks; n++)
            buf_printf(out, "%s{\"source\": \"%s\"}", n ? ", " : "", k->networks[n]);
        buf_adds(out, "]}");
    }
    buf_adds(out, "\n]}");
}

static void embedded_users(const struct desired_service *s, const struct blueprint_env *env, struct buf *out)
{
    buf_adds(out, "{\"users\": [");
    for (size_t i = 0; i < s->n_users; i++) {
        const struct desired_user *u = &s->users[i];
        buf_printf(out, "%s\n  {\"name\": \"%s\", \"sha256\": \"%s\"", i ? "," : "", u->name, u->sha256);
        if (u->double_sha1)
            buf_printf(out, ", \"double_sha1\": \"%s\"", u->double_sha1);
        buf_adds(out, "}");
    }
    if (env->reader_sha256)
        buf_printf(out, "%s\n  {\"name\": \"" DIAG_READER "\", \"sha256\": \"%s\", \"duty\": \"gate\"}",
                   s->n_users ? "," : "", env->reader_sha256);
    if (backups_here(env))
        buf_printf(out, ",\n  {\"name\": \"" BLUEPRINT_OPERATOR "\", \"sha256\": \"%s\", \"duty\": \"backup\"}",
                   env->operator_sha256);
    buf_adds(out, "\n]");
    if (s->query_endpoint)
        embedded_query_endpoint(s, out);
    buf_adds(out, "}\n");
}

static void embedded(const struct desired_service *s, const struct blueprint_env *env, struct arena *a,
                     struct workload *w)
{
    autobuf struct buf text = BUF_INIT;
    w->program = "ownhouse-clickhouse";
    build_argument(a, w, "--config");
    build_argument(a, w, "${files}/clickhouse.conf");
    embedded_config(s, env, &text);
    build_file(a, w, "clickhouse.conf", &text, WORKLOAD_RESTART, false);
    if (s->n_settings) {
        embedded_settings(s, &text);
        build_file(a, w, "settings.json", &text, WORKLOAD_RESTART, false);
    }
    embedded_users(s, env, &text);
    build_file(a, w, "users.json", &text, WORKLOAD_RELOAD, true);
    if (env->reader_sha256) {
        diag_statements(false, &text);
        build_file(a, w, "diag.sql", &text, WORKLOAD_RESTART, false);
    }
    w->reload_signal = SIGHUP;
}

/* ---- a real server ---- */

static const char *server_log_level(const struct blueprint_env *env)
{
    static const char *const names[][2] = {{"debug", "debug"}, {"info", "information"}, {"warn", "warning"}};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (!strcmp(names[i][0], blueprint_log_level(env)))
            return names[i][1];
    return "error";
}

/* Users made by SQL are kept where every replica sees them. */
static void server_paths(struct xml *x, bool replicated)
{
    xml_text(x, "path", "${volume:data}/engine/");
    xml_text(x, "tmp_path", "${volume:data}/engine/tmp/");
    xml_text(x, "user_files_path", "${volume:data}/engine/user_files/");
    xml_text(x, "format_schema_path", "${volume:data}/engine/format_schemas/");
    xml_open(x, "user_directories");
    xml_open(x, "users_xml");
    xml_text(x, "path", "${files}/users.xml");
    xml_close(x);
    if (replicated) {
        xml_open(x, "replicated");
        xml_text(x, "zookeeper_path", "/clickhouse/access");
        xml_close(x);
    } else {
        xml_open(x, "local_directory");
        xml_text(x, "path", "${volume:data}/engine/access/");
        xml_close(x);
    }
    xml_close(x);
}

static void settings_in(struct xml *x, const struct desired_service *s, enum setting_scope scope, bool reloads)
{
    for (size_t i = 0; i < s->n_settings; i++)
        if (s->settings[i].setting->scope == scope && s->settings[i].setting->reloads == reloads)
            xml_text(x, s->settings[i].setting->name, s->settings[i].value);
}

/* What the owner has not set is as we have it. */
static void server_default(struct xml *x, const struct desired_service *s, const char *name, int64_t value)
{
    if (!setting_of(s, name))
        xml_int(x, name, value);
}

/* An object has the name that the backup gives it, so that a backup can be read without this disk's metadata. The pod's
 * own identity may write there. */
static void server_backup_disks(struct xml *x, const struct desired_service *s, const struct blueprint_env *env)
{
    const char *const owners[] = {s->id, s->restore_service};
    for (size_t i = 0; i < ARRAY_SIZE(owners) && owners[i]; i++) {
        char disk[BLUEPRINT_BACKUP_DISK_SIZE];
        autofree char *endpoint = mem_printf("%s/%s/", env->backup_s3_url, owners[i]);
        blueprint_backup_disk(owners[i], disk);
        xml_open(x, disk);
        xml_text(x, "type", "s3_plain");
        xml_text(x, "endpoint", endpoint);
        xml_text(x, "region", env->backup_s3_region);
        xml_true(x, "use_environment_credentials");
        xml_true(x, "skip_access_check");
        xml_close(x);
    }
}

static void server_storage(struct xml *x, const struct desired_service *s, const struct blueprint_env *env)
{
    xml_open(x, "storage_configuration");
    xml_open(x, "disks");
    xml_open(x, "bucket");
    xml_text(x, "type", "object_storage");
    xml_text(x, "object_storage_type", "local_blob_storage");
    xml_text(x, "metadata_type", "local");
    xml_text(x, "path", "${volume:data}/blobs/");
    xml_close(x);
    if (env->operator_sha256 && env->backup_s3_url)
        server_backup_disks(x, s, env);
    xml_close(x);
    xml_open(x, "policies");
    xml_open(x, "bucket");
    xml_open(x, "volumes");
    xml_open(x, "main");
    xml_text(x, "disk", "bucket");
    xml_close(x);
    xml_close(x);
    xml_close(x);
    xml_close(x);
    xml_close(x);
    xml_open(x, "merge_tree");
    xml_text(x, "storage_policy", "bucket");
    if (env->operator_sha256 && env->backup_s3_url) /* a new table is not looked for on the disks of backups */
        xml_text(x, "search_orphaned_parts_disks", "none");
    settings_in(x, s, SETTING_MERGE_TREE, false);
    xml_close(x);
}

static void server_access(struct xml *x)
{
    xml_open(x, "access_control_improvements");
    xml_true(x, "select_from_system_db_requires_grant");
    xml_true(x, "select_from_information_schema_requires_grant");
    xml_true(x, "on_cluster_queries_require_cluster_grant");
    xml_true(x, "users_without_row_policies_can_read_rows");
    xml_true(x, "settings_constraints_replace_previous");
    xml_true(x, "table_engines_require_grant");
    xml_close(x);
}

static void server_logs(struct xml *x)
{
    static const char *const tables[] = {"query_log", "part_log", "backup_log", "crash_log"};
    for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
        xml_open(x, tables[i]);
        xml_text(x, "database", "system");
        xml_text(x, "table", tables[i]);
        xml_text(x, "partition_by", "toYYYYMM(event_date)");
        xml_text(x, "ttl", LOG_TTL);
        xml_int(x, "flush_interval_milliseconds", 7500);
        xml_close(x);
    }
}

/* Each statement by itself: a view over a log that is not there yet fails until a later start, and nothing else does.
 */
static void server_startup(struct xml *x)
{
    autobuf struct buf text = BUF_INIT;
    diag_statements(true, &text);
    char *rest = text.data;
    xml_open(x, "startup_scripts");
    for (char *line; (line = strsep(&rest, "\n"));) {
        if (!*line)
            continue;
        line[strlen(line) - 1] = '\0'; /* the `;` */
        xml_open(x, "scripts");
        xml_text(x, "query", line);
        xml_close(x);
    }
    xml_close(x);
}

static void server_backups(struct xml *x, const struct desired_service *s, const struct blueprint_env *env)
{
    const char *const owners[] = {s->id, s->restore_service};
    xml_open(x, "backups");
    for (size_t i = 0; i < ARRAY_SIZE(owners) && owners[i]; i++) {
        char text[80];
        if (env->backup_s3_url)
            blueprint_backup_disk(owners[i], text);
        else
            snprintf(text, sizeof(text), "${param:backup_dir}/%s/", owners[i]);
        xml_text(x, env->backup_s3_url ? "allowed_disk" : "allowed_path", text);
    }
    xml_close(x);
}

static void server_config(const struct desired_service *s, const struct blueprint_env *env, struct buf *out)
{
    struct xml x;
    xml_init(&x, out);
    xml_open(&x, "clickhouse");
    xml_open(&x, "logger");
    xml_text(&x, "level", server_log_level(env));
    xml_true(&x, "console");
    xml_close(&x);
    xml_text(&x, "display_name", s->slug);
    xml_text(&x, "listen_host", "${address}");
    xml_int(&x, "http_port", BLUEPRINT_HTTP_PORT);
    xml_int(&x, "tcp_port", BLUEPRINT_TCP_PORT);
    xml_int(&x, "max_connections", 4096);
    server_default(&x, s, "keep_alive_timeout", 60);
    xml_int(&x, "max_server_memory_usage", s->memory_bytes);
    settings_in(&x, s, SETTING_SERVER, false);
    xml_text(&x, "timezone", "UTC");
    xml_text(&x, "default_profile", "default");
    xml_text(&x, "default_database", "default");
    server_paths(&x, blueprint_joined(s, env));
    server_storage(&x, s, env);
    server_access(&x);
    xml_comment(&x, "Stopping waits for running queries; the runtime ends the process after its grace in any case.");
    xml_true(&x, "shutdown_wait_unfinished_queries");
    xml_int(&x, "shutdown_wait_unfinished", STOP_GRACE_MS / 1000 - 5);
    server_logs(&x);
    if (operator_duties(s, env) & OPERATOR_BACKUP)
        server_backups(&x, s, env);
    xml_open(&x, "prometheus");
    xml_text(&x, "endpoint", "/metrics");
    xml_int(&x, "port", BLUEPRINT_METRICS_PORT);
    xml_true(&x, "metrics");
    xml_true(&x, "events");
    xml_true(&x, "asynchronous_metrics");
    xml_close(&x);
    if (env->reader_sha256)
        server_startup(&x);
    xml_comment(&x, "Nothing is reported to anybody outside.");
    xml_open(&x, "send_crash_reports");
    xml_int(&x, "enabled", 0);
    xml_close(&x);
    xml_close(&x);
}

/* What the server takes up while it runs, in a file of its own: it looks at config.d every two seconds. Always there,
 * so that the first value is a change of a file and not another set of files. */
static void server_reloaded(const struct desired_service *s, struct buf *out)
{
    struct xml x;
    xml_init(&x, out);
    xml_open(&x, "clickhouse");
    server_default(&x, s, "mark_cache_size", MIN(s->memory_bytes / 16, INT64_C(5) << 30));
    server_default(&x, s, "uncompressed_cache_size", 0);
    settings_in(&x, s, SETTING_SERVER, true);
    xml_close(&x);
}

static void server_user(struct xml *x, const struct desired_user *u)
{
    xml_open(x, u->name);
    xml_text(x, "password_sha256_hex", u->sha256);
    xml_comment(x, "The engine sees only the ingress; the IP access list is kept there.");
    xml_open(x, "networks");
    xml_text(x, "ip", "::/0");
    xml_close(x);
    xml_text(x, "profile", "default");
    xml_text(x, "quota", "default");
    if (!strcmp(u->name, "default")) {
        xml_true(x, "access_management");
        xml_true(x, "named_collection_control");
        xml_true(x, "show_named_collections");
    }
    xml_close(x);
}

/* Whom the gate is to the server: it makes the users of engineers' grants (blueprint/grant_user.h), whose profile this
 * is. And in whose name the views look. None of them has a right on a customer's table. */
static void server_gate(struct xml *x, const char *sha256)
{
    xml_open(x, DIAG_READER);
    xml_text(x, "password_sha256_hex", sha256);
    xml_open(x, "networks");
    xml_text(x, "ip", "::/0");
    xml_close(x);
    xml_text(x, "profile", "default");
    xml_text(x, "quota", "default");
    xml_open(x, "grants");
    for (size_t i = 0; grant_user_grants[i]; i++)
        xml_text(x, "query", grant_user_grants[i]);
    xml_close(x);
    xml_close(x);
    xml_open(x, DIAG_DEFINER);
    xml_empty(x, "no_password");
    xml_comment(x, "An address that no host has: nobody comes in as the definer.");
    xml_open(x, "networks");
    xml_text(x, "ip", "192.0.2.0/32");
    xml_close(x);
    xml_text(x, "profile", "default");
    xml_text(x, "quota", "default");
    xml_open(x, "grants");
    xml_text(x, "query", "GRANT SELECT ON system.*");
    xml_text(x, "query", "GRANT SHOW ON *.*");
    xml_close(x);
    xml_close(x);
}

/* Rights on customers' tables are those of a backup, which holds them anyway, and only where backups are made. */
static void server_operator(struct xml *x, int duties, const char *sha256)
{
    xml_open(x, BLUEPRINT_OPERATOR);
    xml_text(x, "password_sha256_hex", sha256);
    xml_open(x, "networks");
    xml_text(x, "ip", "::/0");
    xml_close(x);
    xml_text(x, "profile", "default");
    xml_text(x, "quota", "default");
    xml_open(x, "grants");
    for (size_t i = 0; i < operator_grants_count; i++)
        if (operator_grants[i].duty & duties)
            xml_text(x, "query", operator_grants[i].grant);
    xml_close(x);
    xml_close(x);
}

static void server_gate_profile(struct xml *x)
{
    xml_open(x, DIAG_READER);
    xml_int(x, "readonly", 1);
    xml_int(x, "allow_ddl", 0);
    xml_int(x, "allow_introspection_functions", 0);
    xml_int(x, "log_queries", 1);
    xml_int(x, "max_execution_time", 30);
    xml_int(x, "max_result_rows", 100000);
    xml_int(x, "max_result_bytes", 4 << 20);
    xml_text(x, "result_overflow_mode", "throw");
    xml_int(x, "max_memory_usage", 1 << 30);
    xml_int(x, "max_threads", 2);
    xml_int(x, "max_concurrent_queries_for_user", 8);
    xml_int(x, "priority", 10);
    xml_close(x);
}

static void server_users(const struct desired_service *s, const struct blueprint_env *env, struct buf *out)
{
    struct xml x;
    xml_init(&x, out);
    xml_open(&x, "clickhouse");
    xml_open(&x, "profiles");
    if (s->n_settings) {
        xml_open(&x, "default");
        settings_in(&x, s, SETTING_PROFILE, false);
        xml_close(&x);
    } else {
        xml_empty(&x, "default");
    }
    if (env->reader_sha256)
        server_gate_profile(&x);
    xml_close(&x);
    xml_open(&x, "quotas");
    xml_empty(&x, "default");
    xml_close(&x);
    xml_open(&x, "users");
    for (size_t i = 0; i < s->n_users; i++)
        server_user(&x, &s->users[i]);
    if (env->reader_sha256)
        server_gate(&x, env->reader_sha256);
    if (operator_duties(s, env))
        server_operator(&x, operator_duties(s, env), env->operator_sha256);
    xml_close(&x);
    xml_close(&x);
}

static void server(const struct desired_service *s, const struct blueprint_env *env, struct arena *a,
                   struct workload *w)
{
    autobuf struct buf text = BUF_INIT;
    w->program = "clickhouse";
    build_argument(a, w, "server");
    build_argument(a, w, "--config-file=${files}/config.xml");
    server_config(s, env, &text);
    build_file(a, w, "config.xml", &text, WORKLOAD_RESTART, false);
    server_reloaded(s, &text);
    build_file(a, w, "config.d/reloaded.xml", &text, WORKLOAD_IGNORE, false);
    /* The server reads users.xml again by itself within two seconds of a change. */
    server_users(s, env, &text);
    build_file(a, w, "users.xml", &text, WORKLOAD_IGNORE, true);
    build_port(a, w, "native", BLUEPRINT_TCP_PORT);
}

/* Data folders of a service and replica are told apart by the workload's name, which the runtime puts below the
 * bucket's folder. */
static void replica_build(const struct desired_service *s, const struct blueprint_env *env, int replica,
                          struct workload_list *out)
{
    struct arena *a = out->arena;
    struct workload *w = workload_list_add(out);
    w->name = blueprint_replica_name(s, replica, a);
    build_label(a, w, BLUEPRINT_ROLE, "clickhouse");
    build_label(a, w, BLUEPRINT_SERVICE, s->id);
    build_label(a, w, "slug", s->slug);
    build_label(a, w, "replica", arena_printf(a, "%d", replica));
    w->image = arena_strdup(a, env->clickhouse_image);
    build_port(a, w, "http", BLUEPRINT_HTTP_PORT);
    build_port(a, w, "metrics", BLUEPRINT_METRICS_PORT);
    build_volume(a, w, &(struct workload_volume){.name = "data", .keep = true, .bucket = env->bucket});
    if (env->engine == BLUEPRINT_EMBEDDED)
        embedded(s, env, a, w);
    else
        server(s, env, a, w);
    if (blueprint_joined(s, env))
        replication_build(s, env, replica, a, w);
    w->probe = (struct workload_probe){.port = BLUEPRINT_HTTP_PORT,
                                       .path = "/ping",
                                       .period_ms = 1000,
                                       .timeout_ms = 1000,
                                       .failures = 5,
                                       .startup_ms = STARTUP_MS};
    w->memory_bytes = s->memory_bytes;
    w->open_files = 65536;
    w->stop_grace_ms = STOP_GRACE_MS;
    w->order = BLUEPRINT_ORDER_ENGINE;
    w->slot = 16 * s->ordinal + replica;
    w->stopped = s->state == DESIRED_STOPPED || s->asleep; /* Keeper stays: it is what a replica starts with */
}

void clickhouse_build(const struct desired *d OH_UNUSED, const struct desired_service *s,
                      const struct blueprint_env *env, struct workload_list *out)
{
    struct desired_service held = *s;
    if (s->held_bytes)
        held.memory_bytes = s->held_bytes;
    for (int replica = 0; replica < blueprint_replicas(s, env); replica++)
        replica_build(replica < blueprint_asked(s, env) ? &held : s, env, replica, out);
}
