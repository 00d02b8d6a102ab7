/* base/js: strictness, typed access, canonical form. */
#include "../test.h"

#include "base/js.h"

static json_t *parse(const char *text)
{
    json_t *v = NULL;
    assert_int_equal(js_parse(text, strlen(text), 4096, &v, NULL), 0);
    return v;
}

static void parser_is_strict(void **state OH_UNUSED)
{
    static const char *const bad[] = {
        "",    "{",        "{\"a\":1,\"a\":2}", "[1,]",   "\"\\ud800\"", "99999999999999999999",
        "nul", "\"\xff\"", "{\"a\":1}x",        "[1e999]"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        json_t *v = NULL;
        struct err err = ERR_INIT;
        if (js_parse(bad[i], strlen(bad[i]), 4096, &v, &err) != -EINVAL)
            fail_msg("accepted: %s", bad[i]);
        assert_null(v);
    }
    json_t *v = NULL;
    assert_int_equal(js_parse("[1]", 3, 2, &v, NULL), -EMSGSIZE);
}

static void depth_is_bounded(void **state OH_UNUSED)
{
    char text[300];
    json_t *v = NULL;
    memset(text, '[', 100);
    memset(text + 100, ']', 100);
    assert_int_equal(js_parse(text, 200, 4096, &v, NULL), -EINVAL);
}

static void errors_name_the_field(void **state OH_UNUSED)
{
    autojson json_t *v = parse("{\"name\":7,\"port\":70000,\"extra\":null}");
    struct err err = ERR_INIT;
    const char *s;
    int64_t n;
    assert_int_equal(js_string(v, "services[3]", "name", 10, &s, &err), -EINVAL);
    assert_string_equal(err.message, "services[3].name: must be a string");
    assert_int_equal(js_int(v, "", "port", 1, 65535, &n, &err), -EINVAL);
    assert_string_equal(err.message, "port: must be between 1 and 65535");
    assert_int_equal(js_string(v, "", "gone", 10, &s, &err), -EINVAL);
    assert_string_equal(err.message, "gone: is required");
    assert_int_equal(js_only(v, "", (const char *const[]){"name", "port", NULL}, &err), -EINVAL);
    assert_string_equal(err.message, "extra: is not a known field");
}

/* RFC 8785 section 3.2.3: keys sorted by UTF-16 code units. */
static void canonical_order_is_utf16(void **state OH_UNUSED)
{
    autojson json_t *v =
        parse("{\"\\u20ac\":1,\"\\r\":2,\"\\ufb33\":3,\"1\":4,\"\\ud83d\\ude00\":5,\"\\u0080\":6,\"\\u00f6\":7}");
    autobuf struct buf out = BUF_INIT;
    assert_int_equal(js_canonical(v, &out, NULL), 0);
    assert_string_equal(out.data, "{\"\\r\":2,\"1\":4,\"\xc2\x80\":6,\"\xc3\xb6\":7,\"\xe2\x82\xac\":1,"
                                  "\"\xf0\x9f\x98\x80\":5,\"\xef\xac\xb3\":3}");
}

static void canonical_escapes_and_numbers(void **state OH_UNUSED)
{
    autojson json_t *v = parse(" { \"b\" : [ true , null, -0, 12 ] , \"a\" : \"\\u000b\\u0008\\n\\/\\\"\\\\\" } ");
    autobuf struct buf out = BUF_INIT;
    assert_int_equal(js_canonical(v, &out, NULL), 0);
    assert_string_equal(out.data, "{\"a\":\"\\u000b\\b\\n/\\\"\\\\\",\"b\":[true,null,0,12]}");
}

static void canonical_refuses_reals_and_large_integers(void **state OH_UNUSED)
{
    autojson json_t *real = parse("[1.5]"), *large = parse("[9007199254740992]");
    autobuf struct buf out = BUF_INIT;
    struct err err = ERR_INIT;
    assert_int_equal(js_canonical(real, &out, &err), -EINVAL);
    assert_int_equal(js_canonical(large, &out, &err), -EINVAL);
}

static void text_that_is_not_whole_is_mended(void **state OH_UNUSED)
{
    static const char *const cases[][2] = {
        {"", ""},
        {"na\xc3\xafve", "na\xc3\xafve"},
        {"cut \xc3", "cut ?"},
        {"cut \xe2\x82", "cut ??"},
        {"\xf0\x9f\x98\x80 \xff\x80 \xed\xa0\x80x", "\xf0\x9f\x98\x80 ?? ???x"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        autojson json_t *v = js_string_of(cases[i][0]);
        assert_string_equal(json_string_value(v), cases[i][1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parser_is_strict),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(errors_name_the_field),
        cmocka_unit_test(canonical_order_is_utf16),
        cmocka_unit_test(canonical_escapes_and_numbers),
        cmocka_unit_test(canonical_refuses_reals_and_large_integers),
        cmocka_unit_test(text_that_is_not_whole_is_mended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
