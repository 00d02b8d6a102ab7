/* Reads what engineers ask of ClickHouse and Prometheus, and asks for them. */
#include "agent/gate/target.h"

#include "agent/gate/query.h"
#include "base/mem.h"
#include "blueprint/diag.h"
#include "net/http_client.h"

#define TEXT "text/plain; charset=UTF-8"
#define KILL_MS 5000

void target_ask_free(struct target_ask *a)
{
    if (a->password)
        mem_wipe(a->password, strlen(a->password));
    free(a->password);
    free(a->sql);
    free(a->format);
    free(a->path);
    *a = (struct target_ask){0};
}

void target_answer_free(struct target_answer *a)
{
    free(a->body);
    *a = (struct target_answer){0};
}

/* ---- reading ---- */

static const char *const formats[] = {"TabSeparated",
                                      "TabSeparatedWithNames",
                                      "TabSeparatedWithNamesAndTypes",
                                      "CSV",
                                      "CSVWithNames",
                                      "JSON",
                                      "JSONCompact",
                                      "JSONEachRow",
                                      "PrettyCompact",
                                      "PrettyCompactNoEscapes",
                                      "Vertical"};

static int read_format(const char *target, struct target_ask *a, struct err *err)
{
    int r = http1_param(target, "default_format", &a->format, err);
    if (r < 0)
        return r;
    if (!a->format)
        a->format = mem_strdup("TabSeparatedWithNames");
    for (size_t i = 0; i < ARRAY_SIZE(formats); i++)
        if (!strcmp(formats[i], a->format))
            return 0;
    return err_set(err, -EACCES, "default_format: %.40s is not given here; JSONEachRow and TabSeparated are",
                   a->format);
}

int target_read_clickhouse(const struct http1_request *q, enum gate_target target, struct target_ask *ret,
                           bool *ret_ping, struct err *err)
{
    static const char *const allowed[] = {"query", "default_format", NULL};
    autofree char *in_url = NULL;
    size_t path = strcspn(q->target, "?");
    *ret_ping = !strcmp(q->target, "/ping");
    ret->target = target;
    if (*ret_ping)
        return 0;
    if (path != 1 || (strcmp(q->method, "GET") && strcmp(q->method, "POST")))
        return err_set(err, -EACCES, "only GET and POST on / are taken here");
    int r = http1_params_only(q->target, allowed, err);
    if (r == 0)
        r = http1_param(q->target, "query", &in_url, err);
    if (r == 0)
        r = read_format(q->target, ret, err);
    if (r == 0 && (in_url != NULL) == (q->body_len > 0))
        r = err_set(err, -EACCES, "send one statement, in the body or as the parameter query");
    if (r < 0)
        return r;
    const char *text = in_url ? in_url : q->body;
    size_t len = in_url ? strlen(in_url) : q->body_len;
    ret->sql = mem_alloc(len + 1);
    memcpy(ret->sql, text, len);
    return gate_query_check(text, len, target == GATE_CLICKHOUSE_TEXT ? GATE_QUERY_TEXT : GATE_QUERY_DIAG, err);
}

static bool prometheus_path(const char *path, size_t len)
{
    static const char *const whole[] = {"query",    "query_range", "series", "labels",
                                        "metadata", "targets",     "alerts", "rules"};
    static const char prefix[] = "/api/v1/", values[] = "/values", label[] = "label/";
    if (len < sizeof(prefix) || memcmp(path, prefix, sizeof(prefix) - 1))
        return false;
    path += sizeof(prefix) - 1;
    len -= sizeof(prefix) - 1;
    for (size_t i = 0; i < ARRAY_SIZE(whole); i++)
        if (len == strlen(whole[i]) && !memcmp(path, whole[i], len))
            return true;
    if (len <= strlen(label) + strlen(values) || memcmp(path, label, strlen(label)) ||
        memcmp(path + len - strlen(values), values, strlen(values)))
        return false;
    for (size_t i = strlen(label); i < len - strlen(values); i++)
        if (!(path[i] == '_' || (path[i] >= '0' && path[i] <= '9') || ((path[i] | 32) >= 'a' && (path[i] | 32) <= 'z')))
            return false;
    return true;
}

int target_read_prometheus(const struct http1_request *q, struct target_ask *ret, struct err *err)
{
    static const char *const allowed[] = {"query",       "time",  "start", "end",   "step",   "timeout", "match[]",
                                          "match%5B%5D", "limit", "type",  "state", "metric", NULL};
    bool post = !strcmp(q->method, "POST");
    size_t path = strcspn(q->target, "?");
    ret->target = GATE_PROMETHEUS;
    if (!post && strcmp(q->method, "GET"))
        return err_set(err, -EACCES, "only GET and POST are taken here");
    if (!prometheus_path(q->target, path))
        return err_set(err, -EACCES,
                       "this path of Prometheus is not on the list: query, query_range, series, labels, "
                       "label/NAME/values, metadata, targets, alerts and rules below /api/v1/ are");
    int r = http1_params_only(q->target, allowed, err);
    if (r < 0)
        return r;
    if (post && q->target[path])
        return err_set(err, -EACCES, "a POST has its parameters in the body alone");
    if (memchr(q->body, '\0', q->body_len) || (!post && q->body_len))
        return err_set(err, -EACCES, "the body must be a form, and is for POST alone");
    /* A form and a query string are written alike: what goes on is always a GET. */
    ret->path = post ? mem_printf("%.*s?%.*s", (int)path, q->target, (int)q->body_len, q->body) : mem_strdup(q->target);
    for (const char *p = ret->path; *p; p++)
        if (*p <= ' ' || *p >= 0x7f)
            return err_set(err, -EACCES, "the form must be encoded as a URL asks for");
    return http1_params_only(ret->path, allowed, err);
}

/* ---- asking ---- */

static int base_url(const struct target_ask *a, struct buf *url)
{
    bool v6 = strchr(a->address, ':') != NULL;
    buf_printf(url, "http://%s%s%s:%d", v6 ? "[" : "", a->address, v6 ? "]" : "", a->port);
    return 0;
}

static void fail(struct target_answer *ret, int status, const char *sentence)
{
    ret->status = status;
    ret->type = TEXT;
    ret->rows = -1;
    ret->body = mem_printf("%s\n", sentence);
    ret->len = strlen(ret->body);
}

static int64_t rows_of(const struct http_response *r)
{
    char summary[1024];
    autojson json_t *o = NULL;
    if (!http_response_header(r, "x-clickhouse-summary", summary, sizeof(summary)) ||
        js_parse(summary, strlen(summary), sizeof(summary), &o, NULL) < 0)
        return -1;
    const json_t *v = json_object_get(o, "result_rows");
    return json_is_string(v)    ? strtoll(json_string_value(v), NULL, 10)
           : json_is_integer(v) ? json_integer_value(v)
                                : -1;
}

/* What an engine says of an error may hold values of the customer's: the code is enough to find out more. */
static void tell_exception(struct target_answer *ret, const struct http_response *r)
{
    char code[16] = "", text[200];
    const char *name = NULL;
    size_t name_len = 0;
    if (!http_response_header(r, "x-clickhouse-exception-code", code, sizeof(code)))
        snprintf(code, sizeof(code), "%s", "?");
    /* "... (UNKNOWN_IDENTIFIER) (version ...": the last word in capitals in brackets. */
    for (const char *p = r->body; (p = strchr(p, '(')); p++) {
        size_t n = strspn(p + 1, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789");
        if (n && p[1 + n] == ')') {
            name = p + 1;
            name_len = n;
        }
    }
    snprintf(text, sizeof(text), "Code: %.10s. The engine refused the statement: %.*s", code,
             name ? (int)MIN(name_len, (size_t)60) : 7, name ? name : "unknown");
    fail(ret, r->status == 404 ? 404 : 400, text);
    ret->unknown = !strcmp(code, "516") || !strcmp(code, "194") || !strcmp(code, "192");
}

static void run_clickhouse(const struct target_ask *a, struct target_answer *ret)
{
    autobuf struct buf url = BUF_INIT;
    autofree char *basic = mem_printf("%s:%s", a->user, a->password);
    autoresponse struct http_response response = {0};
    struct err err = ERR_INIT;
    base_url(a, &url);
    buf_printf(&url, "/?database=%s&query_id=%s&default_format=%s",
               a->target == GATE_CLICKHOUSE_TEXT ? DIAG_TEXT_DATABASE : DIAG_DATABASE, a->query_id, a->format);
    if (!a->server)
        buf_printf(&url,
                   "&readonly=1&max_execution_time=%d&max_result_rows=%d&max_result_bytes=%zu&max_threads=2"
                   "&result_overflow_mode=throw&max_memory_usage=1073741824&allow_introspection_functions=0",
                   TARGET_SECONDS, TARGET_ROWS_MAX, TARGET_RESULT_MAX);
    struct http_request request = {
        .method = "POST",
        .url = url.data,
        .basic = basic,
        .body = a->sql,
        .body_len = strlen(a->sql),
        .direct = true,
        .timeout_ms = (TARGET_SECONDS + 5) * 1000,
        .max_response = TARGET_RESULT_MAX,
    };
    int r = http_do(&request, &response, &err);
    mem_wipe(basic, strlen(basic));
    if (r == -EMSGSIZE) {
        fail(ret, 413, "the result is longer than 4 MiB: ask for less");
    } else if (r < 0) {
        fail(ret, r == -ETIMEDOUT ? 504 : 502, "the engine did not answer");
    } else if (response.status != 200) {
        tell_exception(ret, &response);
    } else {
        ret->status = 200;
        ret->type = strstr(a->format, "JSON") ? "application/json; charset=UTF-8" : TEXT;
        ret->rows = rows_of(&response);
        ret->len = response.body_len;
        ret->body = TAKE_PTR(response.body);
    }
}

static void run_prometheus(const struct target_ask *a, struct target_answer *ret)
{
    autobuf struct buf url = BUF_INIT;
    autoresponse struct http_response response = {0};
    struct err err = ERR_INIT;
    base_url(a, &url);
    buf_adds(&url, a->path);
    struct http_request request = {
        .url = url.data,
        .direct = true,
        .timeout_ms = (TARGET_SECONDS + 5) * 1000,
        .max_response = TARGET_RESULT_MAX,
    };
    int r = http_do(&request, &response, &err);
    if (r == -EMSGSIZE)
        fail(ret, 413, "the result is longer than 4 MiB: ask for less");
    else if (r < 0)
        fail(ret, r == -ETIMEDOUT ? 504 : 502, "Prometheus did not answer");
    if (r < 0)
        return;
    ret->status = response.status >= 300 && response.status < 400 ? 502 : response.status;
    ret->type = "application/json";
    ret->rows = -1;
    ret->len = response.body_len;
    ret->body = TAKE_PTR(response.body);
}

void target_run(const struct target_ask *a, struct target_answer *ret)
{
    *ret = (struct target_answer){0};
    if (a->target == GATE_PROMETHEUS)
        run_prometheus(a, ret);
    else
        run_clickhouse(a, ret);
}

void target_kill(const struct target_ask *a)
{
    autobuf struct buf url = BUF_INIT;
    autofree char *basic = mem_printf("%s:%s", a->user, a->password ? a->password : "");
    autofree char *sql = mem_printf("KILL QUERY WHERE query_id = '%s' ASYNC", a->query_id);
    autoresponse struct http_response response = {0};
    base_url(a, &url);
    buf_adds(&url, "/");
    struct http_request request = {
        .method = "POST",
        .url = url.data,
        .basic = basic,
        .body = sql,
        .body_len = strlen(sql),
        .direct = true,
        .timeout_ms = KILL_MS,
    };
    /* Whether it was still there does not matter: the statement's own answer says how it ended. */
    (void)!http_do(&request, &response, NULL);
    mem_wipe(basic, strlen(basic));
}
