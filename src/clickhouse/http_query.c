/* Serves query endpoints: saved queries by id and statements of API keys, in the published HTTP form. */
#include "clickhouse/http_query.h"

#include "base/mem.h"
#include "clickhouse/engine.h"
#include "clickhouse/query_run.h"

#include <stdarg.h>

#define ENDPOINT_VERSION "2"

struct http_query {
    struct service *service;
    struct query_path path;
    struct query_caller caller;
    const char *url_query;
    char *origin; /* allowed; NULL: none was named */
    bool get, preflight;
    struct buf body;
    int status; /* 0: not answered */
    char *message;
};

bool http_query_is(const char *url)
{
    struct query_path path;
    return query_path_parse(url, &path);
}

static void refuse(struct http_query *q, int status, const char *fmt, ...) OH_PRINTF(3, 4);
static void refuse(struct http_query *q, int status, const char *fmt, ...)
{
    char text[ERR_MESSAGE_MAX];
    va_list ap;
    if (q->status)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    q->status = status;
    q->message = mem_strdup(text);
}

static const char *header(struct MHD_Connection *c, const char *name)
{
    return MHD_lookup_connection_value(c, MHD_HEADER_KIND, name);
}

static void check_place(struct http_query *q)
{
    char service[UUID_SIZE];
    if (!query_access_service(q->service->query_access, service))
        refuse(q, 404, "this service has no query endpoint: make one with POST .../serviceQueryEndpoint");
    else if (q->path.kind == QUERY_SQL && strcmp(service, q->path.id))
        refuse(q, 404, "the service of this host is %s: send the query to the host of the service that you mean",
               service);
}

static void check_origin(struct http_query *q, struct MHD_Connection *c)
{
    const char *origin = header(c, "Origin");
    if (q->status || !origin)
        return;
    if (strlen(origin) > 512 || !query_access_origin(q->service->query_access, origin))
        refuse(q, 403, "pages of this origin may not send queries: see allowedOrigins of the query endpoint");
    else
        q->origin = mem_strdup(origin);
}

static void check_method(struct http_query *q, struct MHD_Connection *c, const char *method)
{
    const char *version = header(c, "x-clickhouse-endpoint-version");
    bool get = !strcmp(method, "GET"), post = !strcmp(method, "POST");
    q->get = get;
    if (!strcmp(method, "OPTIONS") && q->origin) {
        q->preflight = true;
        q->status = q->status ? q->status : 204;
        return;
    }
    if (q->path.kind == QUERY_SQL && !post)
        refuse(q, 405, "use POST with a JSON body that has the statement as sql");
    else if (!get && !post)
        refuse(q, 405, "use GET or POST");
    if (version && strcmp(version, ENDPOINT_VERSION))
        refuse(q, 400, "x-clickhouse-endpoint-version: only version " ENDPOINT_VERSION " is served");
}

/* The ingress sets the header and lets no client's through. */
static void check_caller(struct http_query *q, struct MHD_Connection *c)
{
    const char *address = header(c, "X-Forwarded-For");
    struct err err = ERR_INIT;
    int r = q->status ? 0
                      : query_access_check(q->service->query_access, q->service->clock, header(c, "Authorization"),
                                           address ? address : "", &q->caller, &err);
    if (r < 0)
        refuse(q, r == -EPERM ? 403 : 401, "%s", err.message);
}

struct http_query *http_query_new(struct service *s, struct MHD_Connection *c, const char *url, const char *url_query,
                                  const char *method)
{
    struct http_query *q = mem_alloc(sizeof(*q));
    q->service = s;
    q->url_query = url_query;
    q->body = BUF_INIT_MAX((size_t)s->config.max_query_bytes);
    if (!query_path_parse(url, &q->path))
        refuse(q, 404, "there is no such page");
    check_place(q);
    check_origin(q, c);
    check_method(q, c, method);
    check_caller(q, c);
    return q;
}

void http_query_free(struct http_query *q)
{
    if (!q)
        return;
    buf_free(&q->body);
    free(q->origin);
    free(q->message);
    free(q);
}

bool http_query_answered(const struct http_query *q)
{
    return q->status != 0;
}

void http_query_body(struct http_query *q, const void *data, size_t len)
{
    buf_add(&q->body, data, len);
    if (q->body.overflow)
        refuse(q, 413, "the body is larger than %lld bytes", (long long)q->service->config.max_query_bytes);
}

/* The saved query's text; NULL: it was refused. */
static char *saved(struct http_query *q)
{
    autofree char *sql = mem_printf("SELECT query FROM " QUERY_TABLE " FINAL WHERE id = '%s'", q->path.id);
    struct engine_conn *conn = NULL;
    struct engine_result result;
    struct err err = ERR_INIT;
    char *text = NULL;
    if (engine_connect(q->service->engine, &conn, &err) < 0) {
        refuse(q, 503, "%s", err.message);
        return NULL;
    }
    engine_query(conn, sql, strlen(sql), "RawBLOB", NULL, 0, &result);
    if (result.error || !result.len)
        refuse(q, 404, "there is no saved query %s: save it as a row of " QUERY_TABLE, q->path.id);
    else if (result.len > (size_t)q->service->config.max_query_bytes)
        refuse(q, 400, "the saved query is larger than %lld bytes", (long long)q->service->config.max_query_bytes);
    else
        text = mem_strndup(result.data, result.len);
    engine_result_free(&result);
    engine_disconnect(conn);
    return text;
}

static char *statement(struct http_query *q, const struct query_run *run)
{
    if (q->path.kind == QUERY_SAVED) {
        if (!run->sql)
            return saved(q);
        refuse(q, 400, "sql: a saved query is run as it was saved; send only its queryVariables");
    } else if (run->sql && *run->sql) {
        return mem_strdup(run->sql);
    } else {
        refuse(q, 400, "sql: is missing: send the statement in a JSON body such as {\"sql\": \"SELECT 1\"}");
    }
    return NULL;
}

struct request *http_query_request(struct http_query *q, int client_fd)
{
    autoqueryrun struct query_run run = {0};
    autofree char *sql = NULL, *user = mem_printf("query-endpoint:%s", q->caller.key);
    struct err err = ERR_INIT;
    if (q->status)
        return NULL;
    if (query_run_read(q->url_query, q->body.data ? q->body.data : "", q->body.len, &run, &err) < 0)
        refuse(q, 400, "%s", err.message);
    else
        sql = statement(q, &run);
    if (!sql)
        return NULL;
    struct request_head head = {.method = q->get ? "GET" : "POST",
                                .client_fd = client_fd,
                                .params = TAKE_PTR(run.params),
                                .trusted_user = user,
                                .sql = sql,
                                .trusted_readonly = q->caller.readonly};
    return request_new(q->service, &head);
}

/* ---- what goes back ---- */

void http_query_headers(const struct http_query *q, struct MHD_Response *r)
{
    if (!q || !q->origin)
        return;
    MHD_add_response_header(r, "Access-Control-Allow-Origin", q->origin);
    MHD_add_response_header(r, "Vary", "Origin");
    if (!q->preflight)
        return;
    MHD_add_response_header(r, "Access-Control-Allow-Methods", "GET, POST");
    MHD_add_response_header(r, "Access-Control-Allow-Headers",
                            "Authorization, Content-Type, x-clickhouse-endpoint-version, "
                            "x-clickhouse-endpoint-upgrade");
    MHD_add_response_header(r, "Access-Control-Max-Age", "600");
}

enum MHD_Result http_query_refuse(struct http_query *q, struct MHD_Connection *c)
{
    autojson json_t *body =
        q->message ? json_pack("{s:i,s:o}", "status", q->status, "error", js_string_of(q->message)) : NULL;
    char *text = body ? js_text(body) : mem_strdup("");
    struct MHD_Response *r = MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE);
    if (!r) {
        free(text);
        return MHD_NO;
    }
    if (body)
        MHD_add_response_header(r, "Content-Type", "application/json");
    if (q->status == 401)
        MHD_add_response_header(r, "WWW-Authenticate", "Basic realm=\"ClickHouse query endpoint\"");
    http_query_headers(q, r);
    enum MHD_Result ret = MHD_queue_response(c, (unsigned)q->status, r);
    MHD_destroy_response(r);
    return ret;
}
