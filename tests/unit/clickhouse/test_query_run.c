/* clickhouse/query_run: paths, variables and refusals of query endpoints. */
#include "../test.h"

#include "clickhouse/query_run.h"

#define ID "0b5e0000-0000-4000-8000-00000000000a"

static void paths(void **state)
{
    struct query_path p;
    assert_true(query_path_parse("/run/" ID, &p));
    assert_int_equal(p.kind, QUERY_SAVED);
    assert_string_equal(p.id, ID);
    assert_true(query_path_parse("/.api/query-endpoints/0B5E0000-0000-4000-8000-00000000000A/run", &p));
    assert_int_equal(p.kind, QUERY_SAVED);
    assert_string_equal(p.id, ID);
    assert_true(query_path_parse("/service/" ID "/run", &p));
    assert_int_equal(p.kind, QUERY_SQL);
    static const char *const others[] = {"/",
                                         "/run/",
                                         "/run/" ID "/",
                                         "/run/" ID "x",
                                         "/service/" ID,
                                         "/service/" ID "/runs",
                                         "/run/0b5e0000-0000-4000-8000-0000000000'a",
                                         "/service//run"};
    for (size_t i = 0; i < ARRAY_SIZE(others); i++)
        assert_false(query_path_parse(others[i], &p));
}

static void take(const char *url, const char *body, struct query_run *q)
{
    struct err err = ERR_INIT;
    if (query_run_read(url, body, strlen(body), q, &err) < 0)
        fail_msg("%s %s: %s", url, body, err.message);
}

static const char *binding(const struct query_run *q, const char *name)
{
    const struct param *list;
    for (size_t i = params_bindings(q->params, &list); i--;)
        if (!strcmp(list[i].name, name))
            return list[i].value;
    return NULL;
}

static void variables_become_what_the_engine_reads(void **state)
{
    autoqueryrun struct query_run q = {0};
    take("param_year=1999&param_only=u",
         "{\"queryVariables\": {\"year\": 2010, \"name\": \"a'b\\\\c\\td\\ne\", \"real\": 1.5, \"yes\": true, \"no\": "
         "null, "
         "\"list\": [\"it's\", \"\\\\\"], \"deep\": [[1, 2], [null]], \"map\": {\"k'\": \"v\"}}}",
         &q);
    assert_string_equal(binding(&q, "year"), "2010");
    assert_string_equal(binding(&q, "only"), "u");
    assert_string_equal(binding(&q, "name"), "a'b\\\\c\\td\\ne");
    assert_string_equal(binding(&q, "real"), "1.5");
    assert_string_equal(binding(&q, "yes"), "true");
    assert_string_equal(binding(&q, "no"), "\\N");
    assert_string_equal(binding(&q, "list"), "['it\\'s','\\\\']");
    assert_string_equal(binding(&q, "deep"), "[[1,2],[NULL]]");
    assert_string_equal(binding(&q, "map"), "{'k\\'':'v'}");
    assert_null(q.sql);
}

static void the_url_names_format_time_and_settings(void **state)
{
    autoqueryrun struct query_run q = {0}, plain = {0}, run = {0};
    take("format=CSV&request_timeout=2500&max_threads=2&database=d", "{\"format\": \"JSON\"}", &q);
    assert_string_equal(params_get(q.params, "default_format"), "CSV");
    assert_string_equal(params_setting(q.params, "max_execution_time"), "2.500");
    assert_string_equal(params_setting(q.params, "max_threads"), "2");
    assert_null(params_setting(q.params, "format"));
    assert_string_equal(params_get(q.params, "database"), "d");
    take(NULL, "", &plain);
    assert_string_equal(params_get(plain.params, "default_format"), "JSONEachRow");
    assert_string_equal(params_setting(plain.params, "max_execution_time"), "30.000");
    take("max_execution_time=5",
         "{\"sql\": \"SELECT 1\", \"runId\": \"r1\", \"database\": \"other\", \"format\": \"TSV\"}", &run);
    assert_string_equal(run.sql, "SELECT 1");
    assert_string_equal(params_get(run.params, "query_id"), "r1");
    assert_string_equal(params_get(run.params, "database"), "other");
    assert_string_equal(params_get(run.params, "default_format"), "TSV");
    assert_string_equal(params_setting(run.params, "max_execution_time"), "5");
}

static void refuses(const char *url, const char *body, const char *why)
{
    struct query_run q = {0};
    struct err err = ERR_INIT;
    assert_int_equal(query_run_read(url, body, strlen(body), &q, &err), -EINVAL);
    if (!strstr(err.message, why))
        fail_msg("%s %s: no '%s' in: %s", url, body, why, err.message);
    assert_null(q.params);
}

static void what_is_wrong_is_named(void **state)
{
    refuses(NULL, "{", "the body must be JSON");
    refuses(NULL, "[]", "must be a JSON object");
    refuses(NULL, "{\"sql\": 1}", "sql");
    refuses(NULL, "{\"queryVariables\": []}", "queryVariables");
    refuses(NULL, "{\"queryVariables\": {\"a b\": 1}}", "queryVariables");
    refuses(NULL, "{\"queryVariables\": {\"a\": [[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]}}", "nested");
    refuses("user=default", "", "user");
    refuses("query=SELECT+1", "", "query");
    refuses("session_id=s", "", "session_id");
    refuses("request_timeout=soon", "", "request_timeout");
    refuses("request_timeout=0", "", "request_timeout");
    refuses("format=%zz", "", "hexadecimal");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths),
        cmocka_unit_test(variables_become_what_the_engine_reads),
        cmocka_unit_test(the_url_names_format_time_and_settings),
        cmocka_unit_test(what_is_wrong_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
