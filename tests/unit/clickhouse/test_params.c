/* clickhouse/params: the query string of the HTTP interface. */
#include "../test.h"

#include "clickhouse/params.h"

static struct params *parsed(const char *text)
{
    struct params *p = params_new();
    struct err err = ERR_INIT;
    if (params_parse(p, text, strlen(text), &err) < 0)
        fail_msg("%s", err.message);
    return p;
}

static int refused(const char *text, size_t len, const char *why)
{
    autoparams struct params *p = params_new();
    struct err err = ERR_INIT;
    int r = params_parse(p, text, len, &err);
    assert_true(r < 0);
    assert_non_null(strstr(err.message, why));
    return r;
}

static void sorts_names(void **state)
{
    const struct param *list;
    autoparams struct params *p = parsed("query=SELECT+%7Ba%3AUInt8%7D&max_threads=2&param_a=5&database=d&&=");
    assert_string_equal(params_get(p, "query"), "SELECT {a:UInt8}");
    assert_string_equal(params_get(p, "database"), "d");
    assert_null(params_get(p, "max_threads"));
    assert_string_equal(params_setting(p, "max_threads"), "2");
    assert_int_equal(params_settings(p, &list), 1);
    assert_int_equal(params_bindings(p, &list), 1);
    assert_string_equal(list[0].name, "a");
    assert_string_equal(list[0].value, "5");
}

static void decodes(void **state)
{
    const struct param *list;
    autoparams struct params *p = parsed("query=a%2Bb+c%41&param_b=x%00y&param_0=%C3%A9");
    assert_string_equal(params_get(p, "query"), "a+b cA");
    assert_int_equal(params_bindings(p, &list), 2);
    assert_int_equal(list[0].value_len, 3);
    assert_memory_equal(list[0].value, "x\0y", 3);
    assert_string_equal(list[1].name, "0");
    assert_string_equal(list[1].value, "\xc3\xa9");
}

static void refuses_malformed(void **state)
{
    assert_int_equal(refused("query=%4", 8, "two hexadecimal digits"), -EINVAL);
    assert_int_equal(refused("query=%zz", 9, "two hexadecimal digits"), -EINVAL);
    assert_int_equal(refused("query=a%00b", 11, "NUL"), -EINVAL);
    assert_int_equal(refused("a%00b=1", 7, "NUL"), -EINVAL);
    assert_int_equal(refused("a;b=1", 5, "neither known nor"), -EINVAL);
    assert_int_equal(refused("1a=1", 4, "neither known nor"), -EINVAL);
    assert_int_equal(refused("param_a'b=1", 11, "is not letters"), -EINVAL);
}

static void refusal_does_not_echo_values(void **state)
{
    autoparams struct params *p = params_new();
    struct err err = ERR_INIT;
    const char *text = "password=canary%00";
    assert_true(params_parse(p, text, strlen(text), &err) < 0);
    assert_null(strstr(err.message, "canary"));
}

static void limits(void **state)
{
    autobuf struct buf many = BUF_INIT, name = BUF_INIT, huge = BUF_INIT;
    for (int i = 0; i <= PARAMS_MAX_COUNT; i++)
        buf_printf(&many, "a%d=1&", i);
    assert_int_equal(refused(many.data, many.len, "more than 1024"), -E2BIG);
    for (int i = 0; i <= PARAMS_MAX_NAME; i++)
        buf_addc(&name, 'n');
    assert_int_equal(refused(name.data, name.len, "longer than"), -E2BIG);
    for (size_t i = 0; i <= PARAMS_MAX_BYTES; i++)
        buf_addc(&huge, 'n');
    assert_int_equal(refused(huge.data, huge.len, "longer than"), -E2BIG);
}

static void first_own_last_setting(void **state)
{
    autoparams struct params *p = parsed("user=a&user=b&max_threads=1&max_threads=2");
    assert_string_equal(params_get(p, "user"), "a");
    assert_string_equal(params_setting(p, "max_threads"), "2");
}

static void settings_are_quoted(void **state)
{
    autobuf struct buf sql = BUF_INIT;
    autoparams struct params *p = parsed("a=1&log_comment=it%27s%5C&a=2");
    params_settings_sql(p, &sql);
    assert_string_equal(sql.data, "a = '2', log_comment = 'it\\'s\\\\'");
}

static void flags_and_numbers(void **state)
{
    struct err err = ERR_INIT;
    uint64_t n = 7;
    autoparams struct params *p =
        parsed("compress=1&decompress=0&big=18446744073709551616&session_timeout=60&bad=1x&none=");
    assert_true(params_flag(p, "compress", false));
    assert_false(params_flag(p, "decompress", true));
    assert_true(params_flag(p, "wait_end_of_query", true));
    assert_int_equal(params_number(p, "session_timeout", 3600, &n, &err), 0);
    assert_int_equal(n, 60);
    assert_int_equal(params_number(p, "session_timeout", 59, &n, &err), -EINVAL);
    assert_int_equal(params_number(p, "big", UINT64_MAX, &n, &err), -EINVAL);
    assert_int_equal(params_number(p, "bad", 100, &n, &err), -EINVAL);
    assert_int_equal(params_number(p, "none", 100, &n, &err), -EINVAL);
    assert_int_equal(params_number(p, "absent", 100, &n, &err), 0);
    assert_int_equal(n, 60);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sorts_names),
        cmocka_unit_test(decodes),
        cmocka_unit_test(refuses_malformed),
        cmocka_unit_test(refusal_does_not_echo_values),
        cmocka_unit_test(limits),
        cmocka_unit_test(first_own_last_setting),
        cmocka_unit_test(settings_are_quoted),
        cmocka_unit_test(flags_and_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
