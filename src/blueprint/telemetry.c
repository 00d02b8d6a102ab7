/* The table of what may leave, and the filter that the agent's messages pass. */
#include "blueprint/telemetry.h"

#include "base/buf.h"
#include "base/mem.h"
#include "blueprint/metrics.h"

#define NAME_MAX_BYTES 160
#define METRICS "observed.services.metrics"

const char *const telemetry_class_names[] = {"needed", "allowed", "withheld"};

/* How a field is withheld. */
enum way { NEEDED, LEFT_OUT, EMPTIED };

/* A field that others lie below is not named: it leaves with what is left of them. */
static const struct field {
    const char *name;
    enum way way;
    const char *what;
} fields[] = {
    {"enrol.token", NEEDED, "the one-off token of the bundle"},
    {"enrol.csr", NEEDED, "public key of the link's first certificate"},
    {"enrol.name", EMPTIED, "the agent's name, for people: as configured, else the host's"},
    {"attach.session", NEEDED, "an engineer's session that waits at the relay"},
    {"hello.version", EMPTIED, "the agent's version"},
    {"hello.desiredVersion", NEEDED, "number of the desired document in force"},
    {"hello.bootId", EMPTIED, "random number of the machine's start"},
    {"renew.csr", NEEDED, "public key of the link's next certificate"},
    {"refused.version", NEEDED, "number of the desired document that was refused"},
    {"refused.message", EMPTIED, "why it was refused"},
    {"cut.grant", NEEDED, "an engineer's grant that has ended"},
    {"error.message", EMPTIED, "why the link is closed"},
    {"error.retry", NEEDED, "whether to come back"},
    {"checkpoint.verifier", NEEDED, "public key of the ledger"},
    {"checkpoint.note", NEEDED, "number of leaves and their root, signed"},
    {"checkpoint.from", NEEDED, "leaves that were cosigned before"},
    {"checkpoint.proof", NEEDED, "hashes that prove that the ledger only grew"},
    {"activities-cosigned.verifier", NEEDED,
     "public key with which the agent witnesses the control plane's own record"},
    {"activities-cosigned.note", NEEDED, "that record's checkpoint, with the agent's signature"},
    {"activities-cosigned.size", NEEDED, "its length when it was cosigned last"},
    {"activities-cosigned.error", EMPTIED, "why it was not cosigned"},
    {"consent-state.policy", NEEDED, "the policy in force: who may sign what"},
    {"consent-state.policyDigest", NEEDED, "its digest"},
    {"consent-state.requests.id", NEEDED, "a request"},
    {"consent-state.requests.state", NEEDED, "whether it waits, is allowed, refused, done or failed"},
    {"consent-state.requests.why", LEFT_OUT, "why, in words"},
    {"consent-state.requests.needCustomer", NEEDED, "signatures it wants"},
    {"consent-state.requests.haveCustomer", NEEDED, "signatures it has"},
    {"consent-state.requests.needVendor", NEEDED, "the vendor's it wants"},
    {"consent-state.requests.haveVendor", NEEDED, "the vendor's it has"},
    {"consent-state.requests.request", NEEDED, "the agent's own request: paths of what a document changes"},
    {"observed.desiredVersion", NEEDED, "number of the desired document in force"},
    {"observed.version", EMPTIED, "the agent's version"},
    {"observed.isolation", EMPTIED, "how the data plane is kept apart"},
    {"observed.caCertificate", LEFT_OUT, "certificate of the services' authority, for those who connect"},
    {"observed.services.id", NEEDED, "a service"},
    {"observed.services.state", NEEDED, "its state"},
    {"observed.services.engine", LEFT_OUT, "its kind of engine"},
    {"observed.services.engineVersion", LEFT_OUT, "its engine's version"},
    {"observed.services.readyReplicas", NEEDED, "replicas that answer"},
    {"observed.services.replicas", NEEDED, "replicas wanted"},
    {"observed.services.notice", LEFT_OUT, "what its people should know, in words"},
    {"observed.services.error", LEFT_OUT, "what is wrong, in words"},
    {"observed.services.restarts", LEFT_OUT, "how often it was started again"},
    {METRICS, LEFT_OUT, ""}, /* stands for the list of metrics */
    {"observed.workloads.name", EMPTIED, "names of OwnHouse's own processes or pods"},
    {"observed.workloads.state", EMPTIED, "their states"},
    {"observed.workloads.restarts", LEFT_OUT, "how often each was started again"},
    {"observed.workloads.error", LEFT_OUT, "what is wrong with one, in words"},
    {"observed.dns.state", EMPTIED, "how the services' names stand in the customer's DNS zone"},
    {"observed.dns.records", LEFT_OUT, "record sets that are as wanted"},
    {"observed.dns.conflicts", LEFT_OUT, "record sets left alone, since they are somebody else's"},
    {"observed.dns.error", LEFT_OUT, "what is wrong there, in the agent's words, with names of records and servers"},
    {"observed.certificate.source", EMPTIED, "who issued the ingress's certificate: the own authority or one by ACME"},
    {"observed.certificate.state", EMPTIED, "whether it is good, late to be renewed, or expired"},
    {"observed.certificate.notAfterMs", LEFT_OUT, "its end"},
    {"observed.certificate.error", LEFT_OUT, "why there is no newer one, in words"},
    {"observed.release.result", LEFT_OUT, "whether the agent's last release was taken, taken back or refused"},
    {"observed.release.what", LEFT_OUT, "that release: an image or a program's digest"},
    {"observed.release.why", LEFT_OUT, "why it was not taken, in words"},
    {"observed.release.at", LEFT_OUT, "when that was decided"},
    {"observed.backups.id", NEEDED, "a backup"},
    {"observed.backups.service", NEEDED, "the service that it is of"},
    {"observed.backups.base", NEEDED, "the backup that it builds on"},
    {"observed.backups.state", NEEDED, "whether it is being made, is made, or failed"},
    {"observed.backups.startedMs", NEEDED, "when it began"},
    {"observed.backups.finishedMs", NEEDED, "when it ended"},
    {"observed.backups.bytes", LEFT_OUT, "its size"},
    {"observed.backups.retentionHours", LEFT_OUT, "how long it is kept"},
    {"observed.backups.drill", EMPTIED, "whether a copy restored from it was as the original"},
    {"observed.backups.drillTables", LEFT_OUT, "of how many tables"},
    {"observed.backups.error", EMPTIED, "why it failed, in one of the agent's own sentences"},
};

struct telemetry {
    bool fields[ARRAY_SIZE(fields)];
    bool metrics[METRICS_MAX];
};

static struct telemetry *make(bool allowed)
{
    struct telemetry *t = mem_alloc(sizeof(*t));
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
        t->fields[i] = allowed || fields[i].way == NEEDED;
    for (size_t i = 0; i < METRICS_MAX; i++)
        t->metrics[i] = allowed;
    return t;
}

struct telemetry *telemetry_all(void)
{
    return make(true);
}

struct telemetry *telemetry_none(void)
{
    return make(false);
}

void telemetry_free(struct telemetry *t)
{
    free(t);
}

/* ---- names ---- */

static bool fits(const char *pattern, const char *name)
{
    size_t len = strlen(pattern);
    if (!strcmp(pattern, "*"))
        return true;
    if (len > 2 && !strcmp(pattern + len - 2, ".*"))
        return !strncmp(pattern, name, len - 1);
    return !strcmp(pattern, name);
}

static void metric_name(size_t i, char ret[NAME_MAX_BYTES])
{
    snprintf(ret, NAME_MAX_BYTES, METRICS ".%s", metrics_all[i].name);
}

/* Sets what the pattern names; how many of them may be withheld, and how many it named at all. */
static size_t set(struct telemetry *t, const char *pattern, bool allowed, size_t *ret_named)
{
    char name[NAME_MAX_BYTES];
    size_t n = 0, named = 0;
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
        if (!*fields[i].what || !fits(pattern, fields[i].name))
            continue;
        named++;
        if (fields[i].way == NEEDED)
            continue;
        t->fields[i] = allowed;
        n++;
    }
    for (size_t i = 0; i < metrics_count; i++) {
        metric_name(i, name);
        if (fits(pattern, name)) {
            t->metrics[i] = allowed;
            named++;
            n++;
        }
    }
    *ret_named = named;
    return n;
}

static int set_checked(struct telemetry *t, const char *pattern, bool allowed, struct err *err)
{
    size_t named = 0, n = set(t, pattern, allowed, &named);
    if (!named)
        return err_set(
            err, -EINVAL,
            "\"%.120s\" is no field that may leave: `ownhouse egress fields` lists them, and a list can only "
            "narrow",
            pattern);
    return n || allowed ? 0 : err_set(err, -EINVAL, "%.120s is needed: it cannot be withheld", pattern);
}

int telemetry_parse(const char *text, size_t len, struct telemetry **ret, struct err *err)
{
    static const char *const keys[] = {"type", "v", "allow", NULL};
    autotelemetry struct telemetry *t = telemetry_none();
    autojson json_t *o = NULL;
    json_t *list = NULL;
    const char *type = NULL;
    int64_t v = 0;
    int r = js_parse(text, len, TELEMETRY_MAX_BYTES, &o, err);
    if (r == 0)
        r = js_string(o, "", "type", 32, &type, err);
    if (r == 0 && strcmp(type, "ownhouse/telemetry"))
        r = err_set(err, -EINVAL, "type: must be ownhouse/telemetry");
    if (r == 0)
        r = js_int(o, "", "v", 1, 1, &v, err);
    if (r == 0)
        r = js_array(o, "", "allow", 1000, &list, err);
    for (size_t i = 0; r == 0 && i < json_array_size(list); i++) {
        const char *name = json_string_value(json_array_get(list, i));
        r = name ? set_checked(t, name, true, err) : err_set(err, -EINVAL, "allow[%zu]: must be text", i);
    }
    if (r == 0)
        r = js_only(o, "", keys, err);
    if (r == 0)
        *ret = TAKE_PTR(t);
    return r;
}

/* ---- the filter ---- */

static const struct field *find(const char *name, bool *ret_below)
{
    size_t len = strlen(name);
    *ret_below = false;
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
        if (!strcmp(fields[i].name, name))
            return &fields[i];
        *ret_below |= !strncmp(fields[i].name, name, len) && fields[i].name[len] == '.';
    }
    return NULL;
}

static json_t *narrow_metrics(const struct telemetry *t, const json_t *from)
{
    json_t *out = json_object();
    for (size_t i = 0; i < metrics_count; i++) {
        json_t *value = json_object_get(from, metrics_all[i].name);
        if (value && t->metrics[i])
            json_object_set(out, metrics_all[i].name, value);
    }
    if (json_object_size(out))
        return out;
    json_decref(out);
    return NULL;
}

static json_t *narrow_object(const struct telemetry *t, const char *path, const json_t *from);

static json_t *narrow_below(const struct telemetry *t, const char *path, json_t *value)
{
    if (json_is_object(value))
        return narrow_object(t, path, value);
    json_t *out = json_array();
    for (size_t i = 0; i < json_array_size(value); i++)
        json_array_append_new(out, narrow_object(t, path, json_array_get(value, i)));
    return out;
}

static json_t *narrow_field(const struct telemetry *t, const char *name, json_t *value)
{
    bool below = false;
    const struct field *f = find(name, &below);
    if (f && !strcmp(f->name, METRICS))
        return narrow_metrics(t, value);
    if (f && t->fields[f - fields])
        return json_incref(value);
    if (f)
        return f->way == EMPTIED ? json_string("withheld") : NULL;
    return below ? narrow_below(t, name, value) : NULL;
}

static json_t *narrow_object(const struct telemetry *t, const char *path, const json_t *from)
{
    json_t *out = json_object(), *value;
    const char *key;
    json_object_foreach((json_t *)(uintptr_t)from, key, value)
    {
        char name[NAME_MAX_BYTES];
        if (snprintf(name, sizeof(name), "%s.%s", path, key) >= (int)sizeof(name))
            continue;
        json_t *kept = narrow_field(t, name, value);
        if (kept)
            json_object_set_new(out, key, kept);
    }
    return out;
}

int telemetry_narrow(const struct telemetry *t, const json_t *message, json_t **ret, struct err *err)
{
    const char *type = json_string_value(json_object_get(message, "type"));
    bool below = false;
    if (!type || find(type, &below) || !below)
        return err_set(err, -EPERM, "a message of type \"%.40s\" is not on the list of what may leave",
                       type ? type : "");
    json_t *out = narrow_object(t, type, message);
    json_object_set_new(out, "type", json_string(type));
    *ret = out;
    return 0;
}

/* ---- for people ---- */

void telemetry_each(const struct telemetry *t,
                    void (*take)(const char *name, enum telemetry_class class, const char *what, void *data),
                    void *data)
{
    char name[NAME_MAX_BYTES];
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
        if (*fields[i].what) {
            take(fields[i].name,
                 fields[i].way == NEEDED ? TELEMETRY_NEEDED
                 : t->fields[i]          ? TELEMETRY_ALLOWED
                                         : TELEMETRY_WITHHELD,
                 fields[i].what, data);
            continue;
        }
        for (size_t k = 0; k < metrics_count; k++) {
            metric_name(k, name);
            take(name, t->metrics[k] ? TELEMETRY_ALLOWED : TELEMETRY_WITHHELD, metrics_all[k].help, data);
        }
    }
}

static void collect(const char *name, enum telemetry_class class, const char *what OH_UNUSED, void *data)
{
    if (class == TELEMETRY_ALLOWED)
        json_array_append_new(data, json_string(name));
}

int telemetry_file(const char *const *without, size_t n, char **ret, struct err *err)
{
    autotelemetry struct telemetry *t = telemetry_all();
    for (size_t i = 0; i < n; i++) {
        int r = set_checked(t, without[i], false, err);
        if (r < 0)
            return r;
    }
    json_t *list = json_array();
    telemetry_each(t, collect, list);
    autojson json_t *o = json_pack("{ss si so}", "type", "ownhouse/telemetry", "v", 1, "allow", list);
    *ret = json_dumps(o, JSON_INDENT(1));
    return *ret ? 0 : err_set(err, -ENOMEM, "no memory");
}
