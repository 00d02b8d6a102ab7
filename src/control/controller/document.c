/* From service rows to a signed, versioned desired document. */
#include "control/controller/document.h"

#include "base/js.h"
#include "base/keys.h"
#include "base/mem.h"
#include "blueprint/desired.h"
#include "blueprint/names.h"
#include "control/scaling.h"
#include "control/signer.h"

#define GIB (1024LL * 1024 * 1024)

static json_t *users(struct store_rows *rows)
{
    const char *double_sha1 = store_column_text(rows, 7);
    json_t *user = json_pack("{s:s,s:s}", "name", "default", "sha256", store_column_text(rows, 6));
    if (double_sha1 && *double_sha1)
        json_object_set_new(user, "doubleSha1", json_string(double_sha1));
    return json_pack("[o]", user);
}

static json_t *access_list(const json_t *spec)
{
    json_t *out = json_array(), *entry;
    size_t i;
    json_array_foreach(json_object_get(spec, "ipAccessList"), i, entry)
    {
        json_t *source = json_object_get(entry, "source");
        /* "anywhere" is how the published API spells both address families. */
        if (json_is_string(source) && !strcmp(json_string_value(source), "anywhere")) {
            json_array_append_new(out, json_string("0.0.0.0/0"));
            json_array_append_new(out, json_string("::/0"));
        } else if (source) {
            json_array_append(out, source);
        }
    }
    return out;
}

/* What an earlier version let through and this one does not know is left out: it must not keep all services from
 * getting a new document. */
static void add_settings(const json_t *spec, json_t *into)
{
    json_t *settings = json_object(), *value;
    const char *name;
    json_object_foreach(json_object_get(spec, "clickhouseSettings"), name, value)
    {
        const struct setting *s = setting_find(name);
        if (s && json_is_string(value) && setting_check(s, json_string_value(value), NULL) == 0)
            json_object_set(settings, name, value);
    }
    if (json_object_size(settings))
        json_object_set(into, "settings", settings);
    json_decref(settings);
}

/* What agents would refuse opens nothing, and must not keep all services from getting a new document. */
static void drop_unknown_networks(json_t *list)
{
    for (size_t i = json_array_size(list); i--;) {
        const char *text = json_string_value(json_array_get(list, i));
        if (!text || !names_network_valid(text))
            json_array_remove(list, i);
    }
}

/* Columns: id, key_id_hash, secret_hash, ip_access_list, expire_at. */
static int query_key(struct store_rows *row, json_t *into, struct err *err)
{
    autojson json_t *sources = NULL, *list = NULL;
    const char *text = store_column_text(row, 3);
    int r = js_parse(text, strlen(text), MIB(1), &sources, err);
    if (r < 0)
        return err_wrap(err, r, "API key %s", store_column_text(row, 0));
    list = json_pack("{s:O}", "ipAccessList", sources);
    json_t *key = json_pack("{s:s,s:s,s:s,s:o}", "id", store_column_text(row, 0), "idSha256", store_column_text(row, 1),
                            "sha256", store_column_text(row, 2), "ipAccessList", access_list(list));
    drop_unknown_networks(json_object_get(key, "ipAccessList"));
    if (!store_column_is_null(row, 4))
        json_object_set_new(key, "expiresMs", json_integer(store_column_int(row, 4)));
    return json_array_append_new(into, key) == 0 ? 0 : err_set(err, -ENOMEM, "API key");
}

/* A key that is gone, off or over opens nothing; one that ends later ends in the data plane by its clock. */
static int query_keys(struct store *s, const char *service, const json_t *wanted, int64_t now, json_t *into,
                      struct err *err)
{
    const json_t *id;
    size_t i;
    int r = 0;
    json_array_foreach(wanted, i, id)
    {
        autorows struct store_rows *rows = NULL;
        if (r < 0 || !json_is_string(id))
            continue;
        r = store_query(s,
                        "SELECT k.id, k.key_id_hash, k.secret_hash, k.ip_access_list, k.expire_at FROM api_key k JOIN "
                        "service s ON s.organization_id = k.organization_id WHERE s.id = $1 AND k.id = $2 AND "
                        "k.state = 'enabled' AND (k.expire_at IS NULL OR k.expire_at > $3)",
                        STORE_ARGS(store_text(service), store_text(json_string_value(id)), store_int(now)), &rows, err);
        if (r == 0)
            r = store_next(rows, err);
        if (r == 1)
            r = query_key(rows, into, err);
    }
    return r;
}

static void origins(const char *text, json_t *into)
{
    autofree char *copy = mem_strdup(text ? text : "");
    char *rest = copy;
    for (char *one; (one = strsep(&rest, ", "));)
        if (*one && strlen(one) <= DESIRED_ORIGIN_MAX && json_array_size(into) < DESIRED_MAX_ORIGINS)
            json_array_append_new(into, json_string(one));
}

/* Who may send queries to the data plane by HTTP. Without a role there is nothing that they might do. */
static int add_query_endpoint(struct store *s, const char *service, const json_t *spec, int64_t now, json_t *into,
                              struct err *err)
{
    const json_t *e = json_object_get(spec, "queryEndpoint"), *role;
    bool all = false;
    size_t i;
    if (!json_array_size(json_object_get(e, "roles")))
        return 0;
    json_array_foreach(json_object_get(e, "roles"), i, role) all |=
        json_is_string(role) && !strcmp(json_string_value(role), "sql_console_admin");
    json_t *keys = json_array(), *pages = json_array();
    origins(json_string_value(json_object_get(e, "allowedOrigins")), pages);
    json_object_set_new(into, "queryEndpoint",
                        json_pack("{s:b,s:o,s:o}", "readonly", !all, "origins", pages, "keys", keys));
    return query_keys(s, service, json_object_get(e, "openApiKeys"), now, keys, err);
}

/* Fields that say nothing but the defaults are left out. */
static void add_backup(const json_t *spec, const char *asked, json_t *into)
{
    static const char *const names[][2] = {{"backupPeriodInHours", "periodHours"},
                                           {"backupRetentionPeriodInHours", "retentionHours"},
                                           {"backupStartTime", "startTime"}};
    const json_t *stored = json_object_get(spec, "backupConfiguration"), *restore = json_object_get(spec, "restore");
    json_t *backup = json_object();
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        json_t *v = json_object_get(stored, names[i][0]);
        if (json_is_number(v))
            json_object_set_new(backup, names[i][1], json_integer((json_int_t)json_number_value(v)));
        else if (json_is_string(v))
            json_object_set(backup, names[i][1], v);
    }
    if (json_object_size(backup))
        json_object_set(into, "backup", backup);
    json_decref(backup);
    if (asked && *asked)
        json_object_set_new(into, "backupAsked", json_string(asked));
    if (json_is_object(restore))
        json_object_set(into, "restore", (json_t *)(uintptr_t)restore);
}

static json_int_t idle_minutes(const struct scaling *s)
{
    return s->idle ? MAX(s->idle_minutes, 0) : 0;
}

static json_int_t hour_of(const json_t *entry, const char *name)
{
    return (json_int_t)json_number_value(json_object_get(entry, name));
}

/* The agent follows the schedule by itself, with or without us. True: some entry lets the service sleep. */
static bool add_schedule(const json_t *spec, json_t *into)
{
    const json_t *entry;
    json_t *list = json_array();
    bool sleeps = false;
    size_t i;
    json_array_foreach(json_object_get(spec, "scalingSchedule"), i, entry)
    {
        struct scaling s;
        scaling_of(spec, entry, &s);
        json_t *e = json_pack("{s:O,s:I,s:I,s:I,s:I,s:I}", "weekdays", json_object_get(entry, "weekdays"),
                              "startHourUtc", hour_of(entry, "startHourUtc"), "endHourUtc",
                              hour_of(entry, "endHourUtc"), "replicas", (json_int_t)s.min_replicas, "memoryGb",
                              (json_int_t)s.min_memory_gb, "idleMinutes", idle_minutes(&s));
        add_settings(entry, e);
        json_array_append_new(list, e);
        sleeps |= idle_minutes(&s) > 0;
    }
    if (json_array_size(list))
        json_object_set(into, "schedule", list);
    json_decref(list);
    return sleeps;
}

static void add_idle(const json_t *spec, const struct scaling *scaling, bool scheduled, json_t *into)
{
    json_t *asked = json_object_get(spec, "awakeAskedMs");
    if (!idle_minutes(scaling) && !scheduled)
        return;
    json_t *idle = json_pack("{s:I}", "minutes", idle_minutes(scaling));
    if (asked)
        json_object_set(idle, "awakeAsked", asked);
    json_object_set_new(into, "idle", idle);
}

/* Columns: id, name, slug, ordinal, want, delete_data, sha256, double_sha1, spec, backup asked for. */
static int service(struct store *s, struct store_rows *rows, int64_t now, json_t *into, struct err *err)
{
    autojson json_t *spec = NULL;
    const char *text = store_column_text(rows, 8);
    int r = js_parse(text, strlen(text), MIB(1), &spec, err);
    if (r < 0)
        return err_wrap(err, r, "service %s", store_column_text(rows, 0));
    struct scaling scaling;
    scaling_base(spec, &scaling);
    json_t *v = json_pack("{s:s,s:s,s:s,s:I,s:s,s:b,s:I,s:I,s:o,s:o}", "id", store_column_text(rows, 0), "name",
                          store_column_text(rows, 1), "slug", store_column_text(rows, 2), "ordinal",
                          (json_int_t)store_column_int(rows, 3), "state", store_column_text(rows, 4), "deleteData",
                          (int)store_column_int(rows, 5), "replicas", (json_int_t)scaling.min_replicas, "memoryGb",
                          (json_int_t)scaling.min_memory_gb, "users", users(rows), "ipAccessList", access_list(spec));
    add_settings(spec, v);
    if (json_is_object(json_object_get(spec, "upgradeWindow")))
        json_object_set(v, "upgradeWindow", json_object_get(spec, "upgradeWindow"));
    add_idle(spec, &scaling, add_schedule(spec, v), v);
    add_backup(spec, store_column_text(rows, 9), v);
    r = add_query_endpoint(s, store_column_text(rows, 0), spec, now, v, err);
    if (r < 0) {
        json_decref(v);
        return r;
    }
    return v && json_array_append_new(into, v) == 0
               ? 0
               : err_set(err, -EINVAL, "service %s has no JSON form", store_column_text(rows, 0));
}

static int content(struct store *s, const char *infrastructure, int64_t now, json_t **ret, struct err *err)
{
    autojson json_t *services = json_array();
    autorows struct store_rows *infra = NULL, *rows = NULL;
    int r = store_query(s, "SELECT domain FROM infrastructure WHERE id = $1", STORE_ARGS(store_text(infrastructure)),
                        &infra, err);
    if (r == 0)
        r = store_next(infra, err);
    if (r == 0)
        return err_set(err, -ENOENT, "infrastructure %s does not exist", infrastructure);
    if (r < 0)
        return r;
    r = store_query(s,
                    "SELECT id, name, slug, ordinal, want, delete_data, password_sha256, password_double_sha1, spec, "
                    "(SELECT min(b.id) FROM backup b WHERE b.service_id = service.id AND b.state = 'asked') FROM "
                    "service WHERE infrastructure_id = $1 AND state <> 'terminated' ORDER BY ordinal",
                    STORE_ARGS(store_text(infrastructure)), &rows, err);
    while (r == 0 && (r = store_next(rows, err)) == 1)
        r = service(s, rows, now, services, err);
    if (r < 0)
        return r;
    *ret = json_pack("{s:s,s:i,s:s,s:s,s:O}", "type", "ownhouse/desired", "v", 1, "infrastructure", infrastructure,
                     "domain", store_column_text(infra, 0), "services", services);
    return 0;
}

/* Version 0 and an empty digest when there is none yet. */
static int stored(struct store *s, const char *infrastructure, int64_t *ret_version, char ret_digest[65],
                  struct err *err)
{
    autorows struct store_rows *rows = NULL;
    *ret_version = 0;
    ret_digest[0] = 0;
    int r = store_query(s, "SELECT version, content_digest FROM desired_document WHERE infrastructure_id = $1",
                        STORE_ARGS(store_text(infrastructure)), &rows, err);
    if (r == 0)
        r = store_next(rows, err);
    if (r == 1) {
        *ret_version = store_column_int(rows, 0);
        snprintf(ret_digest, 65, "%s", store_column_text(rows, 1));
    }
    return MIN(r, 0);
}

static int sign_and_store(struct store *s, int signer, const char *infrastructure, int64_t version, json_t *document,
                          const char *content_digest, int64_t now, struct err *err)
{
    autobuf struct buf body = BUF_INIT;
    autodesired struct desired *check = NULL;
    char digest[65], signature[129];
    int r = js_canonical(document, &body, err);
    if (r == 0)
        r = desired_parse(body.data, body.len, &check, err); /* never sign what the agent would refuse */
    if (r < 0)
        return err_wrap(err, r, "the desired document");
    sha256_hex(body.data, body.len, digest);
    r = signer_desired(signer, infrastructure, version, digest, signature, err);
    if (r < 0)
        return r;
    return store_exec(
        s,
        "INSERT INTO desired_document (infrastructure_id, version, body, content_digest, signature, created_at) "
        "VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (infrastructure_id) DO UPDATE SET "
        "version = excluded.version, body = excluded.body, content_digest = excluded.content_digest, "
        "signature = excluded.signature, created_at = excluded.created_at",
        STORE_ARGS(store_text(infrastructure), store_int(version), store_text(body.data), store_text(content_digest),
                   store_text(signature), store_int(now)),
        NULL, err);
}

int document_update(struct store *s, const struct clock *clock, int signer, const char *infrastructure, struct err *err)
{
    autojson json_t *document = NULL;
    char digest[65], old_digest[65], stamp[CLOCK_ISO_SIZE];
    int64_t version, now = clock_wall_ms(clock);
    int r = content(s, infrastructure, now, &document, err);
    if (r == 0)
        r = js_digest(document, digest, err);
    if (r == 0)
        r = stored(s, infrastructure, &version, old_digest, err);
    if (r < 0 || !strcmp(digest, old_digest))
        return r;
    /* If we die after signing and before storing, the signer has this version with another digest (issuedAt differs):
     * the next one is then taken. A store restored from a backup may be far behind the signer, so steps grow; agents
     * only ask that versions rise. */
    for (int tries = 0; tries < 24; tries++) {
        version += tries ? 1LL << (tries - 1) : 1;
        clock_iso(now, stamp);
        json_object_set_new(document, "version", json_integer(version));
        json_object_set_new(document, "issuedAt", json_string(stamp));
        r = sign_and_store(s, signer, infrastructure, version, document, digest, now, err);
        if (r != -EACCES)
            break;
    }
    return r < 0 ? r : 1;
}
