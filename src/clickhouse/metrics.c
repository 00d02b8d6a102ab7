/* Answers GET /metrics from the engine's system tables. */
#include "clickhouse/metrics.h"

#include "base/mem.h"

#include <arpa/inet.h>
#include <microhttpd.h>

#define IDLE_S 60
#define CONNECTIONS 8

struct metrics {
    struct service *service;
    struct MHD_Daemon *daemon;
    struct engine_conn *conn; /* of the daemon's one thread; NULL until it is needed */
};

/* Limits that the owner has set for queries are not meant for this one. */
static const char settings[] =
    "SET max_result_rows = 0, max_result_bytes = 0, max_rows_to_read = 0, max_bytes_to_read = 0, max_columns_to_read = "
    "0, "
    "max_execution_time = 10, max_memory_usage = 0, log_queries = 0, system_events_show_zero_values = 1";

#define LINE(prefix, name, kind, value)                                                                     \
    "SELECT concat('# TYPE " prefix "', " name ", ' " kind "\\n" prefix "', " name ", ' ', toString(" value \
    ")) AS line "

static const char query[] =
    LINE("ClickHouseMetrics_", "metric", "gauge", "value") "FROM system.metrics UNION ALL " LINE(
        "ClickHouseProfileEvents_", "event", "counter",
        "value") "FROM system.events UNION ALL " LINE("ClickHouseAsyncMetrics_", "each.1", "gauge",
                                                      "each.2") "FROM (SELECT arrayJoin([('Uptime', "
                                                                "toUInt64(uptime())), "
                                                                "('NumberOfDatabases', (SELECT count() FROM "
                                                                "system.databases)), "
                                                                "('NumberOfTables', (SELECT count() FROM system.tables "
                                                                "WHERE database NOT IN ('system', "
                                                                "'information_schema', "
                                                                "'INFORMATION_SCHEMA'))), "
                                                                "('TotalRowsOfMergeTreeTables', (SELECT sum(rows) FROM "
                                                                "system.parts WHERE active)), "
                                                                "('TotalBytesOfMergeTreeTables', (SELECT "
                                                                "sum(bytes_on_disk) FROM system.parts WHERE active)), "
                                                                "('TotalPartsOfMergeTreeTables', (SELECT count() FROM "
                                                                "system.parts WHERE active)), "
                                                                "('MaxPartCountForPartition', (SELECT max(n) FROM "
                                                                "(SELECT count() AS n FROM system.parts WHERE active "
                                                                "GROUP BY "
                                                                "database, table, partition_id)))]) AS each)";

static int connect_engine(struct metrics *m)
{
    struct engine_result r;
    if (m->conn)
        return 0;
    int failed = engine_connect(m->service->engine, &m->conn, NULL);
    if (failed < 0)
        return failed;
    engine_query(m->conn, settings, strlen(settings), "Null", NULL, 0, &r);
    failed = r.error ? -EIO : 0;
    engine_result_free(&r);
    return failed;
}

static char *collect(struct metrics *m)
{
    struct engine_result r;
    char *text = NULL;
    if (connect_engine(m) < 0)
        return NULL;
    engine_query(m->conn, query, strlen(query), "TSVRaw", NULL, 0, &r);
    if (!r.error)
        text = mem_strndup(r.data, r.len);
    engine_result_free(&r);
    return text;
}

static enum MHD_Result send_text(struct MHD_Connection *c, unsigned status, char *text)
{
    struct MHD_Response *r = MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE);
    if (!r) {
        free(text);
        return MHD_NO;
    }
    MHD_add_response_header(r, "Content-Type", "text/plain; version=0.0.4; charset=UTF-8");
    enum MHD_Result sent = MHD_queue_response(c, status, r);
    MHD_destroy_response(r);
    return sent;
}

static enum MHD_Result handle(void *data, struct MHD_Connection *c, const char *url, const char *method,
                              const char *version OH_UNUSED, const char *upload OH_UNUSED, size_t *upload_len,
                              void **request)
{
    struct metrics *m = data;
    static char begun;
    if (!*request) {
        *request = &begun;
        return MHD_YES;
    }
    if (*upload_len) {
        *upload_len = 0;
        return MHD_YES;
    }
    if (strcmp(url, "/metrics") || strcmp(method, "GET"))
        return send_text(c, 404, mem_strdup("There is only GET /metrics here.\n"));
    char *text = atomic_load(&m->service->draining) ? NULL : collect(m);
    return text ? send_text(c, 200, text) : send_text(c, 503, mem_strdup("The engine does not answer now.\n"));
}

static int start_daemon(struct metrics *m, const struct listen_address *a)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(a->port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(a->port)};
    bool is_v6 = strchr(a->host, ':') != NULL;
    if (inet_pton(is_v6 ? AF_INET6 : AF_INET, a->host, is_v6 ? (void *)&v6.sin6_addr : (void *)&v4.sin_addr) != 1)
        return -EINVAL;
    m->daemon =
        MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL | MHD_USE_ITC | (is_v6 ? MHD_USE_IPv6 : 0),
                         a->port, NULL, NULL, handle, m, MHD_OPTION_SOCK_ADDR,
                         is_v6 ? (struct sockaddr *)&v6 : (struct sockaddr *)&v4, MHD_OPTION_CONNECTION_LIMIT,
                         (unsigned)CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_S, MHD_OPTION_END);
    return m->daemon ? 0 : -EADDRINUSE;
}

int metrics_start(struct service *s, struct metrics **ret, struct err *err)
{
    struct listen_address address;
    *ret = NULL;
    if (!*s->config.metrics_listen)
        return 0;
    int r = config_listen(s->config.metrics_listen, &address, err);
    if (r < 0)
        return r;
    struct metrics *m = mem_alloc(sizeof(*m));
    m->service = s;
    r = start_daemon(m, &address);
    if (r < 0) {
        free(m);
        return err_set(err, r, "metrics_listen: cannot listen on %s", s->config.metrics_listen);
    }
    *ret = m;
    return 0;
}

void metrics_stop(struct metrics *m)
{
    if (!m)
        return;
    MHD_stop_daemon(m->daemon);
    engine_disconnect(m->conn);
    free(m);
}
