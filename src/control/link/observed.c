/* Checking and copying an agent's report, field by field. */
#include "control/link/observed.h"

#include "base/keys.h"
#include "blueprint/metrics.h"

enum field_type { FIELD_TEXT, FIELD_INT, FIELD_UUID, FIELD_STATE };

/* One known field: its rule, and whether it must be there. */
struct field {
    const char *name;
    enum field_type type;
    bool required;
    int64_t max; /* bytes of text, or the largest number; the smallest is 0 */
};

static const struct field report_fields[] = {
    {"desiredVersion", FIELD_INT, true, INT64_MAX},
    {"version", FIELD_TEXT, true, 64},
    {"isolation", FIELD_TEXT, true, 32},
    {"caCertificate", FIELD_TEXT, false, 65536},
};

static const struct field service_fields[] = {
    {"id", FIELD_UUID, true, 36},
    {"state", FIELD_STATE, true, 0},
    {"engine", FIELD_TEXT, false, 16},
    {"engineVersion", FIELD_TEXT, false, 64},
    {"readyReplicas", FIELD_INT, true, 1000},
    {"replicas", FIELD_INT, true, 1000},
    {"notice", FIELD_TEXT, false, 1000},
    {"error", FIELD_TEXT, false, 1000},
    {"restarts", FIELD_INT, false, INT64_MAX},
};

static const struct field workload_fields[] = {
    {"name", FIELD_TEXT, true, 128},
    {"state", FIELD_TEXT, true, 32},
    {"restarts", FIELD_INT, false, INT64_MAX},
    {"error", FIELD_TEXT, false, 1000},
};

/* What is known here of a backup: no name, no place, nothing of what is in it. */
static const struct field backup_fields[] = {
    {"id", FIELD_UUID, true, 36},
    {"service", FIELD_UUID, true, 36},
    {"base", FIELD_TEXT, true, 36},
    {"state", FIELD_TEXT, true, 16},
    {"startedMs", FIELD_INT, true, INT64_MAX},
    {"finishedMs", FIELD_INT, true, INT64_MAX},
    {"bytes", FIELD_INT, false, INT64_MAX},
    {"retentionHours", FIELD_INT, false, 100000},
    {"drill", FIELD_TEXT, true, 16},
    {"drillTables", FIELD_INT, false, INT64_MAX},
    {"error", FIELD_TEXT, true, 300},
};

/* How the services' names stand in the customer's zone, and the certificate that they are served with. */
static const struct field dns_fields[] = {
    {"state", FIELD_TEXT, true, 16},
    {"records", FIELD_INT, false, 1000000},
    {"conflicts", FIELD_INT, false, 1000000},
    {"error", FIELD_TEXT, false, 600},
};

static const struct field certificate_fields[] = {
    {"source", FIELD_TEXT, true, 16},
    {"state", FIELD_TEXT, true, 16},
    {"notAfterMs", FIELD_INT, false, INT64_MAX / 2},
    {"error", FIELD_TEXT, false, 600},
};

static const char *const service_states[] = {"starting", "running", "degraded", "stopping",
                                             "stopped",  "idle",    "failed",   "gone"};

static bool state_known(const char *text)
{
    for (size_t i = 0; i < ARRAY_SIZE(service_states); i++)
        if (!strcmp(text, service_states[i]))
            return true;
    return false;
}

static int copy_text(const json_t *from, const char *path, const struct field *f, json_t *into, struct err *err)
{
    const char *text = NULL;
    size_t max = f->type == FIELD_TEXT ? (size_t)f->max : 36;
    int r = js_string(from, path, f->name, max, &text, err);
    if (r < 0)
        return r;
    if (f->type == FIELD_UUID && !uuid_valid(text))
        return err_set(err, -EINVAL, "%s.%s: must be a UUID", path, f->name);
    if (f->type == FIELD_STATE && !state_known(text))
        return err_set(err, -EINVAL, "%s.%s: is not a known state", path, f->name);
    return json_object_set_new(into, f->name, json_string(text)) < 0 ? -ENOMEM : 0;
}

static int copy_int(const json_t *from, const char *path, const struct field *f, json_t *into, struct err *err)
{
    int64_t n = 0;
    int r = js_int(from, path, f->name, 0, f->max, &n, err);
    if (r < 0)
        return r;
    return json_object_set_new(into, f->name, json_integer(n)) < 0 ? -ENOMEM : 0;
}

static int copy_fields(const json_t *from, const char *path, const struct field *fields, size_t n, json_t *into,
                       struct err *err)
{
    for (size_t i = 0; i < n; i++) {
        if (!fields[i].required && !json_object_get(from, fields[i].name))
            continue;
        int r = fields[i].type == FIELD_INT ? copy_int(from, path, &fields[i], into, err)
                                            : copy_text(from, path, &fields[i], into, err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* Metrics that are not in the list are left behind, as unknown fields are. */
static int copy_metrics(const json_t *from, const char *path, json_t *into, struct err *err)
{
    json_t *metrics = json_object_get(from, "metrics"), *out = NULL, *value;
    const char *name;
    if (!metrics)
        return 0;
    if (!json_is_object(metrics) || json_object_size(metrics) > METRICS_MAX)
        return err_set(err, -EINVAL, "%s.metrics: must be an object of at most %d fields", path, METRICS_MAX);
    json_object_set_new(into, "metrics", out = json_object());
    json_object_foreach(metrics, name, value)
    {
        if (!metric_find(name, strlen(name)))
            continue;
        if (!json_is_integer(value) || json_integer_value(value) < 0)
            return err_set(err, -EINVAL, "%s.metrics.%s: must be a whole number, not below 0", path, name);
        json_object_set(out, name, value);
    }
    return 0;
}

static int copy_list(const json_t *from, const char *key, size_t max, const struct field *fields, size_t n,
                     json_t *into, struct err *err)
{
    json_t *list = NULL;
    int r = js_array(from, "observed", key, max, &list, err);
    if (r < 0)
        return r;
    json_t *out = json_array();
    json_object_set_new(into, key, out);
    for (size_t i = 0; i < json_array_size(list); i++) {
        char path[48];
        const json_t *item = json_array_get(list, i);
        json_t *copy = json_object();
        json_array_append_new(out, copy);
        snprintf(path, sizeof(path), "observed.%s[%zu]", key, i);
        if (!json_is_object(item))
            return err_set(err, -EINVAL, "%s: must be an object", path);
        if ((r = copy_fields(item, path, fields, n, copy, err)) < 0 ||
            (fields == service_fields && (r = copy_metrics(item, path, copy, err)) < 0))
            return r;
    }
    return 0;
}

static int copy_part(const json_t *from, const char *key, const struct field *fields, size_t n, json_t *into,
                     struct err *err)
{
    const json_t *part = json_object_get(from, key);
    char path[48];
    if (!part)
        return 0;
    snprintf(path, sizeof(path), "observed.%s", key);
    if (!json_is_object(part))
        return err_set(err, -EINVAL, "%s: must be an object", path);
    json_t *copy = json_object();
    json_object_set_new(into, key, copy);
    return copy_fields(part, path, fields, n, copy, err);
}

/* What came of the agent's own last release. */
static const struct field release_fields[] = {
    {"result", FIELD_TEXT, false, 16},
    {"what", FIELD_TEXT, false, 500},
    {"why", FIELD_TEXT, false, 1000},
    {"at", FIELD_TEXT, false, 32},
};

int observed_check(const json_t *message, json_t **ret, struct err *err)
{
    autojson json_t *out = json_object();
    int r = copy_fields(message, "observed", report_fields, ARRAY_SIZE(report_fields), out, err);
    if (r == 0)
        r = copy_list(message, "services", OBSERVED_MAX_SERVICES, service_fields, ARRAY_SIZE(service_fields), out, err);
    if (r == 0)
        r = copy_list(message, "workloads", OBSERVED_MAX_WORKLOADS, workload_fields, ARRAY_SIZE(workload_fields), out,
                      err);
    if (r == 0 && json_object_get(message, "backups"))
        r = copy_list(message, "backups", OBSERVED_MAX_BACKUPS, backup_fields, ARRAY_SIZE(backup_fields), out, err);
    if (r == 0)
        r = copy_part(message, "dns", dns_fields, ARRAY_SIZE(dns_fields), out, err);
    if (r == 0)
        r = copy_part(message, "certificate", certificate_fields, ARRAY_SIZE(certificate_fields), out, err);
    if (r == 0)
        r = copy_part(message, "release", release_fields, ARRAY_SIZE(release_fields), out, err);
    if (r == 0)
        *ret = TAKE_PTR(out);
    return r;
}
