/* Turns a query endpoint's request into what the engine's own HTTP interface would have been told. */
#include "clickhouse/query_run.h"

#include "base/mem.h"

#include <ctype.h>

#define BODY_MAX MIB(64) /* the server's own limit is lower and comes first */
#define VALUE_DEPTH 16

const char query_tables[] = "CREATE DATABASE IF NOT EXISTS " QUERY_DATABASE ";\n"
                            "CREATE TABLE IF NOT EXISTS " QUERY_TABLE
                            " (id UUID DEFAULT generateUUIDv4(), name String, query String, saved_at DateTime64(3) "
                            "DEFAULT now64(3)) ENGINE = ReplacingMergeTree(saved_at) ORDER BY id;\n";

/* ---- path ---- */

static bool id_between(const char *path, const char *before, const char *behind, char ret[UUID_SIZE])
{
    size_t n = strlen(before);
    if (strncmp(path, before, n) || strlen(path + n) != UUID_SIZE - 1 + strlen(behind) ||
        strcmp(path + n + UUID_SIZE - 1, behind))
        return false;
    for (int i = 0; i < UUID_SIZE - 1; i++)
        ret[i] = (char)tolower((unsigned char)path[n + (size_t)i]);
    ret[UUID_SIZE - 1] = '\0';
    return uuid_valid(ret);
}

bool query_path_parse(const char *path, struct query_path *ret)
{
    ret->kind = QUERY_SAVED;
    if (id_between(path, "/run/", "", ret->id) || id_between(path, "/.api/query-endpoints/", "/run", ret->id))
        return true;
    ret->kind = QUERY_SQL;
    return id_between(path, "/service/", "/run", ret->id);
}

/* ---- values ---- */

/* A text alone is read by the engine as in TabSeparated. */
static void escaped(const char *text, size_t len, struct buf *out)
{
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '\\')
            buf_adds(out, "\\\\");
        else if (text[i] == '\t')
            buf_adds(out, "\\t");
        else if (text[i] == '\n')
            buf_adds(out, "\\n");
        else
            buf_addc(out, text[i]);
    }
}

/* Inside a list a text stands in quotes. */
static int value_text(const json_t *v, int depth, struct buf *out)
{
    const json_t *one;
    const char *name;
    size_t i;
    if (depth > VALUE_DEPTH)
        return -EINVAL;
    switch (json_typeof(v)) {
    case JSON_STRING:
        if (depth)
            params_quote(json_string_value(v), json_string_length(v), out);
        else
            escaped(json_string_value(v), json_string_length(v), out);
        return 0;
    case JSON_NULL:
        buf_adds(out, depth ? "NULL" : "\\N");
        return 0;
    case JSON_ARRAY:
        buf_addc(out, '[');
        json_array_foreach((json_t *)(uintptr_t)v, i, one)
        {
            buf_adds(out, i ? "," : "");
            if (value_text(one, depth + 1, out) < 0)
                return -EINVAL;
        }
        buf_addc(out, ']');
        return 0;
    case JSON_OBJECT:
        buf_addc(out, '{');
        i = 0;
        json_object_foreach((json_t *)(uintptr_t)v, name, one)
        {
            buf_adds(out, i++ ? "," : "");
            params_quote(name, strlen(name), out);
            buf_addc(out, ':');
            if (value_text(one, depth + 1, out) < 0)
                return -EINVAL;
        }
        buf_addc(out, '}');
        return 0;
    default:
        js_append(v, out); /* a number, true or false */
        return 0;
    }
}

static int add(struct params *p, const char *name, const char *value, struct err *err)
{
    return params_add(p, name, strlen(name), value, strlen(value), err);
}

static int add_variables(const json_t *all, struct params *p, struct err *err)
{
    const char *name;
    const json_t *value;
    int r = 0;
    json_object_foreach((json_t *)(uintptr_t)all, name, value)
    {
        autobuf struct buf text = BUF_INIT;
        autobuf struct buf key = BUF_INIT;
        buf_printf(&key, "param_%s", name);
        if (value_text(value, 0, &text) < 0)
            return err_set(err, -EINVAL, "queryVariables: lists must not be nested more than %d deep", VALUE_DEPTH);
        r = params_add(p, key.data, key.len, text.data ? text.data : "", text.len, err);
        if (r < 0)
            return err_wrap(err, -EINVAL, "queryVariables");
    }
    return r;
}

/* ---- URL ---- */

/* Who asks and in which session is not for the URL to say here. */
static int refuse_own_names(const struct params *url, struct err *err)
{
    static const char *const own[] = {"query",           "user",          "password",      "session_id",
                                      "session_timeout", "session_check", "close_session", "role",
                                      "quota_key",       "compress",      "decompress"};
    for (size_t i = 0; i < ARRAY_SIZE(own); i++)
        if (params_get(url, own[i]))
            return err_set(err, -EINVAL, "%s: is not a parameter of query endpoints", own[i]);
    return 0;
}

static int set_timeout(const char *text, struct params *into, struct err *err)
{
    size_t digits = text ? strspn(text, "0123456789") : 0;
    int64_t ms = QUERY_TIMEOUT_MS;
    if (text) {
        if (!digits || digits > 8 || text[digits] || (ms = atoll(text)) < 1)
            return err_set(err, -EINVAL, "request_timeout: must be a number of milliseconds, 1 to 99999999");
    }
    autofree char *seconds = mem_printf("%lld.%03lld", (long long)ms / 1000, (long long)ms % 1000);
    return add(into, "max_execution_time", seconds, err);
}

static int read_url(const char *query, struct params *into, const char **ret_format, struct params *url,
                    struct err *err)
{
    const struct param *list;
    const char *timeout = NULL;
    int r = query ? params_parse(url, query, strlen(query), err) : 0;
    if (r == 0)
        r = refuse_own_names(url, err);
    if (r < 0)
        return r;
    *ret_format = params_get(url, "default_format");
    for (size_t i = 0, n = params_settings(url, &list); r == 0 && i < n; i++) {
        if (!strcmp(list[i].name, "format"))
            *ret_format = list[i].value;
        else if (!strcmp(list[i].name, "request_timeout"))
            timeout = list[i].value;
        else
            r = params_add(into, list[i].name, strlen(list[i].name), list[i].value, list[i].value_len, err);
    }
    if (r == 0 && (timeout || !params_setting(into, "max_execution_time")))
        r = set_timeout(timeout, into, err);
    for (size_t i = 0, n = params_bindings(url, &list); r == 0 && i < n; i++) {
        autofree char *name = mem_printf("param_%s", list[i].name);
        r = params_add(into, name, strlen(name), list[i].value, list[i].value_len, err);
    }
    static const char *const kept[] = {"database", "query_id", "wait_end_of_query"};
    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(kept); i++)
        if (params_get(url, kept[i]))
            r = add(into, kept[i], params_get(url, kept[i]), err);
    return r;
}

/* ---- body ---- */

static int read_body(const json_t *body, struct query_run *q, const char **ret_format, struct err *err)
{
    const char *sql = NULL, *database = NULL, *run = NULL;
    json_t *variables = NULL;
    if (!json_is_object(body))
        return err_set(err, -EINVAL, "the body must be a JSON object such as {\"queryVariables\": {}}");
    int r = js_string_opt(body, "", "sql", BODY_MAX, &sql, err);
    if (r == 0)
        r = js_string_opt(body, "", "database", 1024, &database, err);
    if (r == 0)
        r = js_string_opt(body, "", "runId", 128, &run, err);
    if (r == 0)
        r = js_string_opt(body, "", "format", 64, ret_format, err);
    if (r == 0 && json_object_get(body, "queryVariables"))
        r = js_object(body, "", "queryVariables", &variables, err);
    if (r == 0 && database && *database)
        r = add(q->params, "database", database, err);
    if (r == 0 && run && *run)
        r = add(q->params, "query_id", run, err);
    if (r == 0)
        r = add_variables(variables, q->params, err);
    if (r == 0 && sql)
        q->sql = mem_strdup(sql);
    return r;
}

int query_run_read(const char *url_query, const char *body, size_t len, struct query_run *ret, struct err *err)
{
    autoparams struct params *url = params_new();
    autojson json_t *parsed = NULL;
    struct query_run q = {.params = params_new()};
    const char *url_format = NULL, *body_format = NULL;
    int r = read_url(url_query, q.params, &url_format, url, err);
    if (r == 0 && len && body[strspn(body, " \t\r\n")]) {
        r = js_parse(body, len, BODY_MAX, &parsed, err);
        if (r < 0)
            r = err_wrap(err, -EINVAL, "the body must be JSON");
        if (r == 0)
            r = read_body(parsed, &q, &body_format, err);
    }
    if (r == 0)
        r = add(q.params, "default_format",
                url_format && *url_format     ? url_format
                : body_format && *body_format ? body_format
                                              : "JSONEachRow",
                err);
    if (r < 0) {
        query_run_free(&q);
        return -EINVAL;
    }
    *ret = q;
    return 0;
}

void query_run_free(struct query_run *q)
{
    params_free(q->params);
    free(q->sql);
    *q = (struct query_run){0};
}
