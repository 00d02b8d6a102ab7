/* What services are doing now, in Prometheus' text form: what their agents reported last. */
#include "base/buf.h"
#include "blueprint/metrics.h"
#include "control/api/handlers.h"
#include "control/identity/access.h"

#define STALE_MS (5 * 60 * 1000LL) /* agents report at least every 30 s */
#define REPORT_MAX MIB(1)

struct shown {
    char *id, *labels; /* labels: without braces */
    char *info;        /* the further labels of ClickHouse_ServiceInfo */
    const json_t *values;
};

struct exposition {
    struct api_request *q;
    bool filtered;
    json_t *reports; /* infrastructure -> {service id -> metrics} */
    struct shown *services;
    size_t n, cap;
};

/* Prometheus, text form: in a label's value \, " and line ends are escaped. */
static void label(struct buf *b, const char *name, const char *value)
{
    buf_printf(b, "%s%s=\"", b->len ? "," : "", name);
    for (; *value; value++) {
        if (*value == '\\' || *value == '"')
            buf_addc(b, '\\');
        if (*value == '\n')
            buf_adds(b, "\\n");
        else
            buf_addc(b, *value);
    }
    buf_addc(b, '"');
}

/* Metrics by service of an infrastructure's last report; none from one that is too old. */
static int read_report(struct exposition *x, const char *infrastructure, json_t **ret, struct err *err)
{
    autorows struct store_rows *rows = NULL;
    autojson json_t *body = NULL;
    json_t *by_id = json_object(), *one;
    size_t i;
    json_object_set_new(x->reports, infrastructure, by_id);
    *ret = by_id;
    int r = store_query(x->q->store, "SELECT body FROM observed WHERE infrastructure_id = $1 AND received_at > $2",
                        STORE_ARGS(store_text(infrastructure), store_int(x->q->now - STALE_MS)), &rows, err);
    if (r == 0)
        r = store_next(rows, err);
    if (r <= 0)
        return r;
    const char *text = store_column_text(rows, 0);
    if (js_parse(text, strlen(text), REPORT_MAX, &body, NULL) < 0)
        return 0;
    json_array_foreach(json_object_get(body, "services"), i, one)
    {
        const char *id = json_string_value(json_object_get(one, "id"));
        json_t *metrics = json_object_get(one, "metrics");
        if (id && metrics)
            json_object_set(by_id, id, metrics);
    }
    return 0;
}

/* Columns: id, name, state, observed, infrastructure_id. */
static void add(struct exposition *x, struct store_rows *rows)
{
    autojson json_t *observed = api_column_json(rows, 3);
    const char *version = json_string_value(json_object_get(observed, "engineVersion"));
    autobuf struct buf labels = BUF_INIT, info = BUF_INIT;
    label(&labels, "clickhouse_org", x->q->who.organization);
    label(&labels, "clickhouse_service", store_column_text(rows, 0));
    label(&labels, "clickhouse_service_name", store_column_text(rows, 1));
    label(&info, "clickhouse_cluster_status", store_column_text(rows, 2));
    label(&info, "clickhouse_version", version ? version : "");
    label(&info, "scrape", x->filtered ? "filtered" : "full");
    if (x->n == x->cap)
        x->services = mem_realloc(x->services, (x->cap = x->cap ? 2 * x->cap : 16) * sizeof(*x->services));
    x->services[x->n++] = (struct shown){
        .id = mem_strdup(store_column_text(rows, 0)), .labels = buf_take(&labels), .info = buf_take(&info)};
}

static int take_row(struct exposition *x, struct store_rows *rows, struct err *err)
{
    struct api_request *q = x->q;
    const char *id = store_column_text(rows, 0), *infrastructure = store_column_text(rows, 4);
    char resource[sizeof("instance/") + UUID_SIZE];
    snprintf(resource, sizeof(resource), "instance/%s", id);
    if (!access_allows(q->who.roles, q->who.policies, q->match.operation->permission, resource))
        return 0;
    json_t *by_id = json_object_get(x->reports, infrastructure);
    int r = by_id ? 0 : read_report(x, infrastructure, &by_id, err);
    if (r < 0)
        return r;
    add(x, rows);
    x->services[x->n - 1].values = json_object_get(by_id, id);
    return 0;
}

/* service NULL: all of the organization. */
static int read_services(struct exposition *x, const char *service, struct err *err)
{
    autorows struct store_rows *rows = NULL;
    int r = store_query(x->q->store,
                        "SELECT id, name, state, observed, infrastructure_id FROM service WHERE organization_id = $1 "
                        "AND ($2 = '' OR id = $2) AND state <> 'terminated' ORDER BY created_at, id",
                        STORE_ARGS(store_text(x->q->who.organization), store_text(service ? service : "")), &rows, err);
    while (r == 0 && (r = store_next(rows, err)) == 1)
        r = take_row(x, rows, err);
    return r;
}

static void write_metric(const struct exposition *x, const struct metric *m, struct buf *out)
{
    bool begun = false;
    for (size_t i = 0; i < x->n; i++) {
        const json_t *value = json_object_get(x->services[i].values, m->name);
        if (!value)
            continue;
        if (!begun)
            buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", m->name, m->help, m->name,
                       m->counter ? "counter" : "gauge");
        begun = true;
        buf_printf(out, "%s{%s} %lld\n", m->name, x->services[i].labels, (long long)json_integer_value(value));
    }
}

static void write_all(const struct exposition *x, struct buf *out)
{
    buf_adds(out, "# HELP ClickHouse_ServiceInfo The service, its state and version; the value says nothing.\n"
                  "# TYPE ClickHouse_ServiceInfo gauge\n");
    for (size_t i = 0; i < x->n; i++)
        buf_printf(out, "ClickHouse_ServiceInfo{%s,%s} 1\n", x->services[i].labels, x->services[i].info);
    for (size_t i = 0; i < metrics_count; i++)
        if (!x->filtered || metrics_all[i].filtered)
            write_metric(x, &metrics_all[i], out);
}

static int expose(struct api_request *q, const char *service, struct err *err)
{
    struct exposition x = {.q = q, .filtered = api_query_flag(q, "filtered_metrics"), .reports = json_object()};
    int r = read_services(&x, service, err);
    if (r == 0 && service && !x.n)
        r = api_missing(q, "service");
    if (r == 0) {
        q->plain = true;
        write_all(&x, &q->list);
    }
    for (size_t i = 0; i < x.n; i++) {
        free(x.services[i].id);
        free(x.services[i].labels);
        free(x.services[i].info);
    }
    free(x.services);
    json_decref(x.reports);
    return r;
}

int service_prometheus(struct api_request *q, struct err *err)
{
    return expose(q, q->match.path[1], err);
}

int organization_prometheus(struct api_request *q, struct err *err)
{
    return expose(q, NULL, err);
}
