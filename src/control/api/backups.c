/* Backups of services: which there are, asking for one, when they are to be made and where to. */
#include "base/buf.h"
#include "base/keys.h"
#include "control/api/handlers.h"
#include "control/api/service_change.h"

#define CONFIGURATION "backupConfiguration"
#define BUCKET "backupBucket"
#define SECRET_HASH "secretHash" /* of the specification's backupBucket; never shown */
#define DAY_HOURS 24

/* --- what there is --- */

#define COLUMNS "id, service_id, state, base, started_at, finished_at, bytes, drill, error"

/* The customer may withhold it: then it is not known. */
static const char *drill_of(struct store_rows *rows)
{
    const char *drill = store_column_text(rows, 7);
    return !strcmp(drill, "passed") || !strcmp(drill, "failed") ? drill : "";
}

static json_t *view(const struct api_request *q, struct store_rows *rows)
{
    const char *state = store_column_text(rows, 2);
    bool over = !store_column_is_null(rows, 5), asked = !strcmp(state, "asked");
    int64_t started = store_column_int(rows, 4), finished = over ? store_column_int(rows, 5) : q->now;
    json_t *v = json_object();
    json_object_set_new(v, "id", json_string(store_column_text(rows, 0)));
    json_object_set_new(v, "status", json_string(asked ? "in_progress" : state));
    json_object_set_new(v, "serviceId", json_string(store_column_text(rows, 1)));
    json_object_set_new(v, "startedAt", api_time(started));
    if (over)
        json_object_set_new(v, "finishedAt", api_time(finished));
    json_object_set_new(v, "sizeInBytes", json_integer(store_column_int(rows, 6)));
    json_object_set_new(v, "durationInSeconds", json_integer(MAX(finished - started, 0) / 1000));
    json_object_set_new(v, "type", json_string(*store_column_text(rows, 3) ? "incremental" : "full"));
    json_object_set_new(v, "backupName", json_string(store_column_text(rows, 0)));
    json_object_set_new(v, "ownhouse",
                        json_pack("{ss ss ss}", "drill", drill_of(rows), "error", store_column_text(rows, 8), "base",
                                  store_column_text(rows, 3)));
    return v;
}

int backup_list(struct api_request *q, struct err *err)
{
    autochange struct service_change c = {0};
    autorows struct store_rows *rows = NULL;
    int r = service_change_read(q, &c, err);
    if (r == 0)
        r = store_query(q->store,
                        "SELECT " COLUMNS " FROM backup WHERE service_id = $1 AND organization_id = $2 "
                        "ORDER BY started_at DESC, id",
                        STORE_ARGS(store_text(c.id), store_text(q->who.organization)), &rows, err);
    if (r < 0)
        return r;
    q->result = json_array();
    while (r == 0 && (r = store_next(rows, err)) == 1) {
        json_array_append_new(q->result, view(q, rows));
        r = 0;
    }
    return r;
}

static int view_load(struct api_request *q, const char *id, const char *service, json_t **ret, struct err *err)
{
    autorows struct store_rows *rows = NULL;
    int r = store_query(q->store,
                        "SELECT " COLUMNS " FROM backup WHERE id = $1 AND service_id = $2 AND organization_id = $3",
                        STORE_ARGS(store_text(id), store_text(service), store_text(q->who.organization)), &rows, err);
    if (r == 0)
        r = store_next(rows, err);
    if (r == 1)
        *ret = view(q, rows);
    return r < 0 ? r : r == 1 ? 0 : api_missing(q, "backup");
}

int backup_get(struct api_request *q, struct err *err)
{
    autochange struct service_change c = {0};
    int r = service_change_read(q, &c, err);
    return r < 0 ? r : view_load(q, q->match.path[2], c.id, &q->result, err);
}

/* Whether its agent says that it makes backups. */
static int check_made_here(struct api_request *q, const char *infrastructure, struct err *err)
{
    int64_t n = 0;
    int r = api_number(q, "SELECT count(*) FROM observed WHERE infrastructure_id = $1 AND body LIKE '%\"backups\":%'",
                       STORE_ARGS(store_text(infrastructure)), &n, err);
    if (r == 0 && !n)
        r = api_refuse(q, 400,
                       "serviceId: the data plane of this service has no place for backups, or is not connected");
    return r;
}

int backup_create(struct api_request *q, struct err *err)
{
    autochange struct service_change c = {0};
    char id[UUID_SIZE];
    int64_t waiting = 0;
    int r = service_change_begin(q, &c, err);
    if (r == 0 && service_state_wants(c.state) != WANT_RUNNING)
        r = api_refuse(q, 400, "serviceId: the service is stopped; start it first");
    if (r == 0)
        r = check_made_here(q, c.infrastructure, err);
    if (r == 0)
        r = api_number(q, "SELECT count(*) FROM backup WHERE service_id = $1 AND state = 'asked'",
                       STORE_ARGS(store_text(c.id)), &waiting, err);
    if (r == 0 && waiting)
        r = api_refuse(q, 409, "a backup of this service has been asked for and has not begun yet");
    if (r < 0)
        return r;
    uuid_new(id);
    r = store_exec(q->store,
                   "INSERT INTO backup (id, organization_id, infrastructure_id, service_id, state, base, started_at, "
                   "bytes, drill, error) VALUES ($1, $2, $3, $4, 'asked', '', $5, 0, '', '')",
                   STORE_ARGS(store_text(id), store_text(q->who.organization), store_text(c.infrastructure),
                              store_text(c.id), store_int(q->now)),
                   NULL, err);
    if (r == 0)
        r = api_activity(q, "backup_create", c.id, c.infrastructure, id, err);
    return r < 0 ? r : view_load(q, id, c.id, &q->result, err);
}

/* --- when --- */

static json_t *configuration_view(const json_t *spec)
{
    const json_t *stored = json_object_get(spec, CONFIGURATION);
    json_t *period = json_object_get(stored, "backupPeriodInHours"),
           *start = json_object_get(stored, "backupStartTime");
    json_t *retention = json_object_get(stored, "backupRetentionPeriodInHours");
    json_t *v = json_pack("{s:o,s:o}", "backupPeriodInHours", period ? json_incref(period) : json_integer(DAY_HOURS),
                          "backupRetentionPeriodInHours", retention ? json_incref(retention) : json_integer(DAY_HOURS));
    if (start)
        json_object_set(v, "backupStartTime", start);
    return v;
}

int backup_configuration_get(struct api_request *q, struct err *err)
{
    autochange struct service_change c = {0};
    int r = service_change_read(q, &c, err);
    if (r == 0)
        q->result = configuration_view(c.spec);
    return r;
}

/* null sets a field back to its default. */
static void take_field(struct api_request *q, json_t *into, const char *name)
{
    json_t *v = api_body(q, name);
    if (json_is_null(v))
        json_object_del(into, name);
    else if (v)
        json_object_set(into, name, v);
}

static int check_configuration(struct api_request *q, json_t *wanted)
{
    const json_t *period = json_object_get(wanted, "backupPeriodInHours");
    if (!json_object_get(wanted, "backupStartTime") || !period || json_integer_value(period) == DAY_HOURS)
        return 0;
    if (json_is_string(api_body(q, "backupStartTime")) && !json_is_integer(api_body(q, "backupPeriodInHours"))) {
        json_object_del(wanted, "backupPeriodInHours"); /* a time of day means every day */
        return 0;
    }
    return api_refuse(q, 400,
                      "backupPeriodInHours: with backupStartTime backups are made every 24 hours; set one of "
                      "them to null");
}

int backup_configuration_update(struct api_request *q, struct err *err)
{
    autochange struct service_change c = {0};
    int r = service_change_begin(q, &c, err);
    if (r < 0)
        return r;
    json_t *before = json_object_get(c.spec, CONFIGURATION);
    autojson json_t *wanted = before ? json_copy(before) : json_object();
    take_field(q, wanted, "backupPeriodInHours");
    take_field(q, wanted, "backupRetentionPeriodInHours");
    take_field(q, wanted, "backupStartTime");
    r = check_configuration(q, wanted);
    if (r < 0)
        return r;
    bool changed = before ? !json_equal(before, wanted) : json_object_size(wanted) > 0;
    json_object_set(c.spec, CONFIGURATION, wanted);
    q->result = configuration_view(c.spec);
    return changed ? service_change_finish(q, &c, "service_update_backup_configuration", NULL, err) : 0;
}

/* --- where to --- */

static const char *const secret_fields[] = {"secretAccessKey", "connectionString"};

static json_t *bucket_view(const json_t *stored)
{
    json_t *v = json_copy((json_t *)(uintptr_t)stored);
    json_object_del(v, SECRET_HASH);
    return v;
}

int backup_bucket_get(struct api_request *q, struct err *err)
{
    autochange struct service_change c = {0};
    int r = service_change_read(q, &c, err);
    if (r < 0)
        return r;
    const json_t *stored = json_object_get(c.spec, BUCKET);
    if (!stored)
        return api_missing(q, "backup bucket");
    q->result = bucket_view(stored);
    return 0;
}

/* The control plane keeps no secret that opens a bucket: of what was sent only a digest stays, by which a change is
 * noticed. */
static void take_bucket(struct api_request *q, json_t *into)
{
    const char *name;
    json_t *v;
    json_object_foreach(q->match.body, name, v)
    {
        if (json_is_null(v))
            json_object_del(into, name);
        else
            json_object_set(into, name, v);
    }
    for (size_t i = 0; i < ARRAY_SIZE(secret_fields); i++) {
        const char *secret = api_body_text(q, secret_fields[i]);
        char hash[2 * SHA256_SIZE + 1];
        if (!secret)
            continue;
        sha256_hex(secret, strlen(secret), hash);
        json_object_set_new(into, SECRET_HASH, json_string(hash));
        json_object_del(into, secret_fields[i]);
    }
}

/* What belongs to another provider than the one that is asked for now. */
static bool same_provider(struct api_request *q, const json_t *stored)
{
    return json_equal(json_object_get(stored, "bucketProvider"), api_body(q, "bucketProvider"));
}

static int check_complete(struct api_request *q, const json_t *bucket)
{
    static const struct {
        const char *provider, *fields[3];
    } needs[] = {
        {"AWS", {"bucketPath", "iamRoleArn"}},
        {"GCP", {"bucketPath", "accessKeyId"}},
        {"AZURE", {"containerName"}},
    };
    const char *provider = api_body_text(q, "bucketProvider");
    for (size_t i = 0; i < ARRAY_SIZE(needs); i++)
        for (size_t k = 0; !strcmp(needs[i].provider, provider) && needs[i].fields[k]; k++)
            if (!json_object_get(bucket, needs[i].fields[k]))
                return api_refuse(q, 400, "%s: is required with the provider %s", needs[i].fields[k], provider);
    return 0;
}

static int store_bucket(struct api_request *q, struct service_change *c, json_t *bucket, struct err *err)
{
    int r = check_complete(q, bucket);
    if (r < 0)
        return r;
    q->result = bucket_view(bucket);
    if (json_equal(bucket, json_object_get(c->spec, BUCKET)))
        return 0;
    json_object_set(c->spec, BUCKET, bucket);
    return service_change_finish(q, c, "service_update_backup_bucket", NULL, err);
}

int backup_bucket_create(struct api_request *q, struct err *err)
{
    autochange struct service_change c = {0};
    autojson json_t *bucket = json_object();
    char id[UUID_SIZE];
    int r = service_change_begin(q, &c, err);
    if (r < 0)
        return r;
    if (json_object_get(c.spec, BUCKET))
        return api_refuse(q, 400, "serviceId: the service has a backup bucket already; change or delete that one");
    uuid_new(id);
    json_object_set_new(bucket, "id", json_string(id));
    take_bucket(q, bucket);
    return store_bucket(q, &c, bucket, err);
}

int backup_bucket_update(struct api_request *q, struct err *err)
{
    autochange struct service_change c = {0};
    autojson json_t *bucket = NULL;
    int r = service_change_begin(q, &c, err);
    if (r < 0)
        return r;
    json_t *before = json_object_get(c.spec, BUCKET);
    if (!before)
        return api_missing(q, "backup bucket");
    bucket = same_provider(q, before) ? json_copy(before) : json_pack("{s:O}", "id", json_object_get(before, "id"));
    take_bucket(q, bucket);
    return store_bucket(q, &c, bucket, err);
}

int backup_bucket_delete(struct api_request *q, struct err *err)
{
    autochange struct service_change c = {0};
    int r = service_change_begin(q, &c, err);
    if (r < 0)
        return r;
    if (json_object_del(c.spec, BUCKET) < 0)
        return api_missing(q, "backup bucket");
    return service_change_finish(q, &c, "service_update_backup_bucket", "removed", err);
}
