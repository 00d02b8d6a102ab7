/* Reads the server's configuration and writes the engine's. */
#include "clickhouse/config.h"

#include "base/buf.h"
#include "base/fs.h"
#include "base/js.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/s3.h"

#include <arpa/inet.h>

#define AT(field) offsetof(struct config, field)
#define HUGE_BYTES ((int64_t)1 << 50)
#define PLAIN_NAME "abcdefghijklmnopqrstuvwxyz0123456789_"

const struct conf_key config_keys[] = {
    {"listen", CONF_STRING, AT(listen), NULL, 0, 0, "Unix socket path, or address:port of the loopback"},
    {"socket_mode", CONF_STRING, AT(socket_mode), "0660", 0, 4, "permissions of the Unix socket, octal"},
    {"data_path", CONF_PATH, AT(data_path), NULL, 0, 0, "directory of metadata, temporary files and the lock"},
    {"bucket_path", CONF_PATH, AT(bucket_path), NULL, 0, 0, "directory that holds table data (local_blob_storage)"},
    {"backup_path", CONF_STRING, AT(backup_path), "", 0, 0, "BACKUP TO File may write below this directory"},
    {"backup_disk", CONF_STRING, AT(backup_disk), "", 0, 600,
     "BACKUP TO Disk may write there: NAME URL of an S3 folder"},
    {"restore_disk", CONF_STRING, AT(restore_disk), "", 0, 600, "RESTORE FROM Disk may read there: NAME URL"},
    {"backup_region", CONF_STRING, AT(backup_region), "us-east-1", 0, 63, "region of both disks"},
    {"backup_keys", CONF_PATH, AT(backup_keys), "", 0, 0,
     "file of the keys to both disks; empty: this process's identity"},
    {"restore_path", CONF_STRING, AT(restore_path), "", 0, 0, "RESTORE FROM File may read below this directory, too"},
    {"library", CONF_PATH, AT(library), NULL, 0, 0, "libchdb.so as tools/fetch-chdb leaves it"},
    {"users_file", CONF_PATH, AT(users_file), NULL, 0, 0, "JSON file of users and password hashes"},
    {"query_log", CONF_STRING, AT(query_log), "", 0, 0, "file for one JSON line an executed query, without its text"},
    {"query_log_users", CONF_STRING, AT(query_log_users), "", 0, 64, "only users whose names begin so; empty: all"},
    {"metrics_listen", CONF_STRING, AT(metrics_listen), "", 0, 0, "address:port of the loopback for GET /metrics"},
    {"settings_file", CONF_STRING, AT(settings_file), "", 0, 0, "JSON file of the engine's settings"},
    {"startup_file", CONF_STRING, AT(startup_file), "", 0, 0, "statements to run before serving, one a line"},
    {"engine_grants", CONF_STRING, AT(engine_grants), "", 0, 1000,
     "rights of the engine's user, as after GRANT; empty: all but files"},
    {"display_name", CONF_STRING, AT(display_name), "", 0, 128, "server name in responses; empty: the host's name"},
    {"timezone", CONF_STRING, AT(timezone), "", 0, 64, "time zone of the engine; empty: the machine's"},
    {"log_level", CONF_STRING, AT(log_level), "info", 0, 8, "debug, info, warn or error"},
    {"max_connections", CONF_INT, AT(max_connections), "256", 1, 10000, "client connections at a time"},
    {"max_concurrent_queries", CONF_INT, AT(max_concurrent_queries), "100", 1, 5000, "queries running at a time"},
    {"max_sessions", CONF_INT, AT(max_sessions), "100", 1, 5000, "sessions (session_id) held at a time"},
    {"max_memory_bytes", CONF_INT, AT(max_memory_bytes), "0", 0, HUGE_BYTES, "memory of the engine; 0: 90 % of all"},
    {"max_query_bytes", CONF_INT, AT(max_query_bytes), "16777216", 1024, 1073741824,
     "statement text, and INSERT data that go through input()"},
    {"max_body_bytes", CONF_INT, AT(max_body_bytes), "1099511627776", 1024, HUGE_BYTES,
     "a request's body, after decompression"},
    {"max_spool_bytes", CONF_INT, AT(max_spool_bytes), "4294967296", 0, HUGE_BYTES,
     "a result held back by wait_end_of_query=1"},
    {"idle_timeout_s", CONF_INT, AT(idle_timeout_s), "300", 1, 86400, "seconds until a silent connection is closed"},
    {"shutdown_timeout_s", CONF_INT, AT(shutdown_timeout_s), "25", 0, 3600,
     "seconds that running queries get at shutdown"},
    {"background_threads", CONF_INT, AT(background_threads), "4", 2, 256, "merges and mutations at a time"},
    {NULL},
};

void config_free(struct config *c)
{
    conf_free(config_keys, c);
}

static int socket_mode_check(const char *text, struct err *err)
{
    char *end;
    unsigned long mode = strtoul(text, &end, 8);
    if (!*text || *end || mode > 0777)
        return err_set(err, -EINVAL, "socket_mode: must be octal permissions such as 0660");
    return 0;
}

/* "NAME URL"; NAME becomes an element of XML. */
static int disk_check(const char *key, const char *text, struct err *err)
{
    struct s3_url url;
    size_t n = strspn(text, PLAIN_NAME);
    if (!*text)
        return 0;
    if (!n || n > 63 || (text[0] >= '0' && text[0] <= '9') || text[n] != ' ')
        return err_set(err, -EINVAL, "%s: must be a name of lower-case letters, digits and _, a blank, and a URL", key);
    int r = s3_url_parse(text + n + 1, &url, err);
    return r < 0 ? err_wrap(err, r, "%s", key) : 0;
}

static int config_check(const struct config *c, struct err *err)
{
    struct listen_address address;
    enum log_level level;
    int r = config_listen(c->listen, &address, err);
    if (r == 0)
        r = socket_mode_check(c->socket_mode, err);
    if (r == 0 && log_level_parse(c->log_level, &level) < 0)
        r = err_set(err, -EINVAL, "log_level: must be debug, info, warn or error");
    if (r == 0 && *c->backup_path && c->backup_path[0] != '/')
        r = err_set(err, -EINVAL, "backup_path: must be an absolute path");
    if (r == 0 && *c->restore_path && c->restore_path[0] != '/')
        r = err_set(err, -EINVAL, "restore_path: must be an absolute path");
    if (r == 0)
        r = disk_check("backup_disk", c->backup_disk, err);
    if (r == 0)
        r = disk_check("restore_disk", c->restore_disk, err);
    if (r == 0 && *c->query_log && c->query_log[0] != '/')
        r = err_set(err, -EINVAL, "query_log: must be an absolute path");
    if (r == 0 && *c->metrics_listen && ((r = config_listen(c->metrics_listen, &address, err)) < 0 || address.is_unix))
        r = err_set(err, -EINVAL, "metrics_listen: must be an address and port of the loopback such as 127.0.0.1:9363");
    if (r == 0 && *c->settings_file && c->settings_file[0] != '/')
        r = err_set(err, -EINVAL, "settings_file: must be an absolute path");
    if (r == 0 && *c->startup_file && c->startup_file[0] != '/')
        r = err_set(err, -EINVAL, "startup_file: must be an absolute path");
    return r;
}

int config_load(const char *path, struct config *ret, struct err *err)
{
    int r = conf_load(path, config_keys, ret, err);
    if (r < 0)
        return r;
    r = config_check(ret, err);
    if (r < 0) {
        err_wrap(err, r, "%s", path);
        config_free(ret);
    }
    return r;
}

/* Each engine of a data plane has a loopback address of its own. */
static bool is_loopback(const char *host)
{
    struct in_addr v4;
    return (inet_pton(AF_INET, host, &v4) == 1 && ntohl(v4.s_addr) >> 24 == 127) || strcmp(host, "::1") == 0;
}

int config_listen(const char *text, struct listen_address *ret, struct err *err)
{
    *ret = (struct listen_address){0};
    if (text[0] == '/') {
        if (strlen(text) >= sizeof(ret->path))
            return err_set(err, -ENAMETOOLONG, "listen: a Unix socket's path has at most %zu bytes",
                           sizeof(ret->path) - 1);
        ret->is_unix = true;
        memcpy(ret->path, text, strlen(text) + 1);
        return 0;
    }
    const char *colon = strrchr(text, ':');
    char *end = NULL;
    unsigned long port = colon ? strtoul(colon + 1, &end, 10) : 0;
    size_t host = colon ? (size_t)(colon - text) : 0;
    bool brackets = host > 2 && text[0] == '[' && text[host - 1] == ']';
    if (!colon || !host || !colon[1] || *end || port < 1 || port > 65535 || host >= sizeof(ret->host))
        return err_set(err, -EINVAL, "listen: must be a path such as /run/x.sock or an address such as 127.0.0.1:8123");
    memcpy(ret->host, text + brackets, host - 2 * brackets);
    ret->port = (uint16_t)port;
    /* Passwords travel in clear here; TLS is the ingress's task. */
    if (!is_loopback(ret->host))
        return err_set(err, -EINVAL,
                       "listen: must be a Unix socket or on the loopback (127.0.0.0/8 or [::1]), TLS is "
                       "done by the ingress in front");
    return 0;
}

static void xml(struct buf *b, const char *tag, const char *value)
{
    buf_printf(b, "<%s>", tag);
    for (; *value; value++) {
        if (*value == '<')
            buf_adds(b, "&lt;");
        else if (*value == '&')
            buf_adds(b, "&amp;");
        else
            buf_addc(b, *value);
    }
    buf_printf(b, "</%s>\n", tag);
}

static void xml_below(struct buf *b, const char *tag, const char *dir, const char *name)
{
    autofree char *path = mem_printf("%s/%s/", dir, name);
    xml(b, tag, path);
}

/* An empty object if there is no file. Names become XML elements, so they are plain; values are escaped. */
static int settings_load(const struct config *c, json_t **ret, struct err *err)
{
    static const char *const sections[] = {"profile", "server", "mergeTree", NULL};
    autojson json_t *v = NULL;
    autofree char *text = NULL;
    const char *section, *name;
    json_t *all, *value;
    size_t len;
    int r = c->settings_file && *c->settings_file ? fs_read(c->settings_file, MIB(1), &text, &len, err) : 1;
    if (r == 1) {
        *ret = json_object();
        return 0;
    }
    if (r < 0)
        return err->code ? r : err_set_errno(err, r, "settings_file: cannot read %s", c->settings_file);
    r = js_parse(text, len, MIB(1), &v, err);
    if (r < 0)
        return err_wrap(err, r, "settings_file");
    r = js_only(v, "settings_file", sections, err);
    json_object_foreach(v, section, all)
    {
        json_object_foreach(all, name, value)
        {
            if (r == 0 && (!json_is_string(value) || !*name || strspn(name, PLAIN_NAME) != strlen(name)))
                r = err_set(err, -EINVAL, "settings_file: %s.%.64s must be a plain name with a text", section, name);
        }
    }
    if (r == 0)
        *ret = TAKE_PTR(v);
    return r;
}

static void settings_xml(struct buf *b, const json_t *settings, const char *section)
{
    const char *name;
    json_t *value;
    json_object_foreach(json_object_get(settings, section), name, value) xml(b, name, json_string_value(value));
}

/* The one engine user may do all but what reaches the machine's files. SYSTEM SHUTDOWN would end the process. Nobody
 * can come in as the definer, in whose name the views of ownhouse_diag look at system tables (blueprint/diag.h). */
static void users_xml(const struct config *c, const json_t *settings, struct buf *b)
{
    buf_adds(b, "<clickhouse>\n<profiles><default>\n");
    settings_xml(b, settings, "profile");
    buf_adds(b, "</default></profiles>\n"
                "<quotas><default></default></quotas>\n"
                "<users><default><password></password><networks><ip>::/0</ip></networks>\n"
                "<profile>default</profile><quota>default</quota>\n<grants>");
    if (c->engine_grants && *c->engine_grants) {
        autofree char *grant = mem_printf("GRANT %s", c->engine_grants);
        xml(b, "query", grant);
    } else {
        buf_adds(b, "<query>GRANT ALL ON *.*</query><query>REVOKE FILE, SQLITE, SYSTEM SHUTDOWN ON *.*</query>");
    }
    buf_adds(b, "</grants>\n</default>\n"
                "<ownhouse_definer><no_password/><networks><ip>192.0.2.0/32</ip></networks>\n"
                "<profile>default</profile><quota>default</quota>\n"
                "<grants><query>GRANT SELECT ON system.*</query><query>GRANT SHOW ON *.*</query></grants>\n"
                "</ownhouse_definer></users>\n</clickhouse>\n");
}

static void disk_name(const char *text, char ret[64])
{
    snprintf(ret, 64, "%.*s", (int)strcspn(text, " "), text);
}

/* An object has the name that the backup gives it, so that the backup can be read without this disk's metadata. */
static void disk_xml(const struct config *c, const char *text, const struct s3_keys *keys, struct buf *b)
{
    char name[64];
    disk_name(text, name);
    if (!*name)
        return;
    buf_printf(b, "<%s><type>s3_plain</type>\n", name);
    autofree char *endpoint = mem_printf("%s/", text + strlen(name) + 1);
    xml(b, "endpoint", endpoint);
    xml(b, "region", c->backup_region);
    if (keys->access_key_id) {
        xml(b, "access_key_id", keys->access_key_id);
        xml(b, "secret_access_key", keys->secret_access_key);
    } else {
        buf_adds(b, "<use_environment_credentials>true</use_environment_credentials>\n");
    }
    /* A bucket that cannot be reached must not keep the engine from starting. */
    buf_printf(b, "<skip_access_check>true</skip_access_check>\n</%s>\n", name);
}

static void backups_xml(const struct config *c, struct buf *b)
{
    char name[64];
    buf_adds(b, "<backups>\n");
    if (*c->backup_path)
        xml_below(b, "allowed_path", c->backup_path, "");
    if (*c->restore_path)
        xml_below(b, "allowed_path", c->restore_path, "");
    disk_name(c->backup_disk, name);
    if (*name)
        xml(b, "allowed_disk", name);
    disk_name(c->restore_disk, name);
    if (*name)
        xml(b, "allowed_disk", name);
    buf_adds(b, "</backups>\n");
}

static void storage_xml(const struct config *c, const struct s3_keys *keys, struct buf *b)
{
    buf_adds(b, "<storage_configuration>\n<disks><bucket><type>object_storage</type>\n"
                "<object_storage_type>local_blob_storage</object_storage_type>\n"
                "<metadata_type>local</metadata_type>\n");
    xml_below(b, "path", c->bucket_path, "");
    buf_adds(b, "</bucket>\n");
    disk_xml(c, c->backup_disk, keys, b);
    disk_xml(c, c->restore_disk, keys, b);
    buf_adds(b, "</disks>\n<policies><default><volumes><main><disk>bucket</disk></main></volumes></default>"
                "</policies>\n</storage_configuration>\n");
}

static void engine_xml(const struct config *c, const json_t *settings, const struct s3_keys *keys, struct buf *b)
{
    buf_adds(b, "<clickhouse>\n");
    autofree char *users = mem_printf("%s/engine/users.xml", c->data_path);
    xml(b, "users_config", users);
    xml_below(b, "user_files_path", c->data_path, "user_files");
    xml_below(b, "tmp_path", c->data_path, "tmp");
    xml_below(b, "user_scripts_path", c->data_path, "user_scripts");
    xml_below(b, "format_schema_path", c->data_path, "format_schemas");
    xml_below(b, "dictionaries_lib_path", c->data_path, "dictionaries_lib");
    xml_below(b, "custom_local_disks_base_directory", c->data_path, "custom_disks");
    if (*c->timezone)
        xml(b, "timezone", c->timezone);
    if (*c->backup_path || *c->backup_disk)
        backups_xml(c, b);
    if (c->max_memory_bytes)
        buf_printf(b, "<max_server_memory_usage>%lld</max_server_memory_usage>\n", (long long)c->max_memory_bytes);
    buf_printf(b, "<background_pool_size>%lld</background_pool_size>\n", (long long)c->background_threads);
    settings_xml(b, settings, "server");
    /* Else a new table would be looked for on the disks of backups, and not be made while those cannot be reached. */
    buf_adds(b, "<merge_tree>\n<search_orphaned_parts_disks>none</search_orphaned_parts_disks>\n");
    settings_xml(b, settings, "mergeTree");
    buf_adds(b, "</merge_tree>\n");
    storage_xml(c, keys, b);
    buf_adds(b, "</clickhouse>\n");
}

int config_engine(const struct config *c, char **ret, struct err *err)
{
    /* metadata: on a path without it the library does not start the task that removes dropped tables, so that their
     * data would stay and DROP ... SYNC would wait for ever. */
    static const char *const dirs[] = {"metadata",     "engine",         "user_files",  "tmp",
                                       "user_scripts", "format_schemas", "custom_disks"};
    autobuf struct buf text = BUF_INIT, users_text = BUF_INIT;
    autojson json_t *settings = NULL;
    autos3keys struct s3_keys keys = {0};
    autofree char *users = mem_printf("%s/engine/users.xml", c->data_path);
    autofree char *path = mem_printf("%s/engine/config.xml", c->data_path);
    int r = 0;

    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(dirs); i++) {
        autofree char *dir = mem_printf("%s/%s", c->data_path, dirs[i]);
        r = fs_mkdirs(dir, 0700, err);
    }
    if (r == 0)
        r = fs_mkdirs(c->bucket_path, 0700, err);
    if (r == 0 && *c->backup_path)
        r = fs_mkdirs(c->backup_path, 0700, err);
    if (r == 0)
        r = settings_load(c, &settings, err);
    if (r == 0 && *c->backup_keys && (*c->backup_disk || *c->restore_disk))
        r = s3_keys_load(c->backup_keys, &keys, err);
    users_xml(c, settings, &users_text);
    if (r == 0)
        r = fs_write_atomic(users, users_text.data, users_text.len, 0600, err);
    engine_xml(c, settings, &keys, &text);
    if (r == 0)
        r = fs_write_atomic(path, text.data, text.len, 0600, err);
    if (r == 0)
        *ret = TAKE_PTR(path);
    mem_wipe(text.data, text.len);
    return r;
}

void config_help(FILE *out)
{
    for (const struct conf_key *k = config_keys; k->name; k++)
        fprintf(out, "  %-24s %s%s%s%s\n", k->name, k->help, k->fallback ? " [" : " (required)",
                k->fallback ? (*k->fallback ? k->fallback : "empty") : "", k->fallback ? "]" : "");
}
