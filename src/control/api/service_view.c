/* From a service's row to its JSON. */
#include "control/api/service_view.h"

#include "base/buf.h"
#include "control/api/organization_config.h"
#include "control/scaling.h"

#define DEFAULT_USER "default"

struct parts {
    json_t *spec, *observed, *config;
    const char *slug, *domain;
    bool local;
    int64_t ordinal;
    struct scaling scaling; /* what holds now */
};

static int64_t int_of(const json_t *v, const char *name, int64_t fallback)
{
    const json_t *n = json_object_get(v, name);
    return json_is_integer(n) ? json_integer_value(n) : fallback;
}

static json_t *endpoint(const char *protocol, const char *host, int64_t port)
{
    return json_pack("{s:s,s:s,s:I,s:s}", "protocol", protocol, "host", host, "port", port, "username", DEFAULT_USER);
}

/* "embedded", "server", or "" when the agent has not said: what else a peer may write is not passed on. */
static const char *engine_of(const struct parts *p)
{
    const char *said = js_text_at(p->observed, "engine");
    return !strcmp(said, "embedded") || !strcmp(said, "server") ? said : "";
}

/* The native protocol needs a real server behind it, and the agent says whether there is one. Before its first word a
 * laptop is taken to have the embedded engine, a cloud a server. */
static bool speaks_native(const struct parts *p)
{
    const char *engine = engine_of(p);
    return *engine ? !strcmp(engine, "server") : !p->local;
}

static json_t *endpoints(const struct parts *p)
{
    json_t *list = json_array();
    autofree char *host = mem_printf("%s.%s", p->slug, p->domain);
    json_array_append_new(list, endpoint("https", host, int_of(p->config, "httpsPort", p->local ? 8444 : 8443)));
    if (speaks_native(p))
        json_array_append_new(list, endpoint("nativesecure", host, int_of(p->config, "nativePort", 9440)));
    return list;
}

static json_t *current_scaling(const struct parts *p)
{
    const struct scaling *s = &p->scaling;
    int64_t seen = int_of(p->observed, "replicas", p->local ? 1 : 0);
    json_t *v = json_pack("{s:s,s:I,s:I,s:I,s:I,s:b,s:I}", "effectiveAutoscalingMode",
                          s->horizontal ? "horizontal" : "vertical", "effectiveMinReplicaMemoryGb", s->min_memory_gb,
                          "effectiveMaxReplicaMemoryGb", s->max_memory_gb, "effectiveMinReplicas",
                          seen ? seen : s->min_replicas, "effectiveMaxReplicas", seen ? seen : s->max_replicas,
                          "effectiveIdleScaling", (int)s->idle, "effectiveIdleTimeoutMinutes", s->idle_minutes);
    if (s->entry)
        json_object_set_new(v, "activeEntryId", json_string(s->entry));
    return v;
}

/* The agent's own words; else what we can see ourselves. */
static json_t *notice(const struct parts *p)
{
    const char *said = js_text_at(p->observed, "notice");
    int64_t asked = p->scaling.min_replicas, runs = int_of(p->observed, "replicas", p->local ? 1 : asked);
    autobuf struct buf text = BUF_INIT;
    buf_adds(&text, said);
    if (!*said && asked != runs)
        buf_printf(&text, "%lld replicas were asked for; this infrastructure runs %lld.", (long long)asked,
                   (long long)runs);
    if (json_is_true(json_object_get(p->spec, "mysql")))
        buf_printf(&text, "%sThe MySQL interface was asked for; it is not available.", text.len ? " " : "");
    return json_string(text.len ? text.data : "");
}

static json_t *local_port(const struct parts *p)
{
    int64_t base = int_of(p->config, "servicePortBase", 8500), count = int_of(p->config, "servicePortCount", 100);
    return p->local && p->ordinal <= count ? json_integer(base + p->ordinal) : json_null();
}

static json_t *own(struct store_rows *rows, const struct parts *p)
{
    return json_pack("{s:s,s:s,s:I,s:I,s:o,s:s,s:I,s:I,s:I,s:o,s:s,s:b}", "infrastructureId",
                     store_column_text(rows, 10), "slug", p->slug, "ordinal", p->ordinal, "generation",
                     store_column_int(rows, 7), "localPort", local_port(p), "engine", engine_of(p), "readyReplicas",
                     int_of(p->observed, "readyReplicas", 0), "replicas", int_of(p->observed, "replicas", 0),
                     "restarts", int_of(p->observed, "restarts", 0), "notice", notice(p), "error",
                     js_text_at(p->observed, "error"), "deleteData", (int)store_column_int(rows, 5));
}

static void copy_spec(const json_t *spec, json_t *v)
{
    static const char *const names[] = {
        "autoscalingMode",
        "minReplicaMemoryGb",
        "maxReplicaMemoryGb",
        "numReplicas",
        "minReplicas",
        "maxReplicas",
        "idleScaling",
        "idleTimeoutMinutes",
        "ipAccessList",
        "releaseChannel",
        "tags",
        "privateEndpointIds",
        "enableCoreDumps",
    };
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        json_t *field = json_object_get(spec, names[i]);
        if (field)
            json_object_set(v, names[i], field);
    }
    if (!strcmp(js_text_at(spec, "autoscalingMode"), "horizontal")) {
        json_object_set(v, "replicaMemoryGb", json_object_get(spec, "minReplicaMemoryGb"));
        return;
    }
    /* The old form counts the memory of three replicas. */
    json_object_set_new(v, "minTotalMemoryGb", json_integer(3 * int_of(spec, "minReplicaMemoryGb", 8)));
    json_object_set_new(v, "maxTotalMemoryGb", json_integer(3 * int_of(spec, "maxReplicaMemoryGb", 8)));
}

static json_t *remembered(struct store_rows *rows, int column, char **text, json_t **value)
{
    const char *now = store_column_text(rows, column);
    if (!*text || !now || strcmp(*text, now)) {
        free(*text);
        json_decref(*value);
        *text = mem_strdup(now ? now : "");
        *value = api_column_json(rows, column);
    }
    return *value;
}

void service_view_forget(struct service_view_memo *memo)
{
    free(memo->config.text);
    free(memo->organization.text);
    json_decref(memo->config.value);
    json_decref(memo->organization.value);
}

json_t *service_view(struct store_rows *rows, struct service_view_memo *memo, int64_t now)
{
    autojson json_t *spec = api_column_json(rows, 6), *observed = api_column_json(rows, 8);
    json_t *config = remembered(rows, 14, &memo->config.text, &memo->config.value),
           *organization = remembered(rows, 16, &memo->organization.text, &memo->organization.value);
    struct parts p = {
        .spec = spec,
        .observed = observed,
        .config = config,
        .slug = store_column_text(rows, 2),
        .domain = store_column_text(rows, 13),
        .local = !strcmp(store_column_text(rows, 15), "local"),
        .ordinal = store_column_int(rows, 3),
    };
    scaling_at(spec, now, &p.scaling);
    json_t *v = json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:o}", "id", store_column_text(rows, 0), "name",
                          store_column_text(rows, 1), "provider", store_column_text(rows, 11), "region",
                          store_column_text(rows, 12), "state", store_column_text(rows, 4), "clickhouseVersion",
                          js_text_at(observed, "engineVersion"), "endpoints", endpoints(&p));
    copy_spec(spec, v);
    json_object_set_new(v, "createdAt", api_time(store_column_int(rows, 9)));
    json_object_set_new(v, "availablePrivateEndpointIds",
                        private_endpoints_available(json_object_get(organization, "privateEndpoints"),
                                                    store_column_text(rows, 11), store_column_text(rows, 12)));
    /* A service is the first of its own warehouse until services can share data. */
    json_object_set_new(v, "dataWarehouseId", json_string(store_column_text(rows, 0)));
    json_object_set_new(v, "isPrimary", json_true());
    json_object_set_new(v, "isReadonly", json_false());
    json_object_set_new(v, "byocId", json_string(store_column_text(rows, 10)));
    json_object_set_new(v, "hasTransparentDataEncryption", json_false());
    if (json_object_get(spec, "scalingSchedule"))
        json_object_set_new(v, "scalingSchedule", service_schedule_view(spec, now));
    json_object_set_new(v, "currentScaling", current_scaling(&p));
    json_object_set_new(v, "ownhouse", own(rows, &p));
    return v;
}

int service_view_load(struct api_request *q, const char *id, json_t **ret, struct err *err)
{
    autorows struct store_rows *rows = NULL;
    int r = store_query(q->store,
                        "SELECT " SERVICE_VIEW_COLUMNS " FROM " SERVICE_VIEW_TABLES
                        " WHERE s.id = $1 AND s.organization_id = $2 AND s.state <> 'terminated'",
                        STORE_ARGS(store_text(id), store_text(q->who.organization)), &rows, err);
    if (r == 0)
        r = store_next(rows, err);
    if (r <= 0)
        return r < 0 ? r : api_missing(q, "service");
    struct service_view_memo memo = {0};
    *ret = service_view(rows, &memo, q->now);
    service_view_forget(&memo);
    return 0;
}
