/* base/buf: growth, ceiling, hex and base64. */
#include "../test.h"

#include "base/buf.h"

static void ceiling_sets_overflow_and_keeps_content(void **state OH_UNUSED)
{
    autobuf struct buf b = BUF_INIT_MAX(8);
    buf_adds(&b, "12345678");
    assert_false(b.overflow);
    buf_addc(&b, '9');
    assert_true(b.overflow);
    assert_string_equal(b.data, "12345678");
}

static void consume_drops_from_the_front(void **state OH_UNUSED)
{
    autobuf struct buf b = BUF_INIT;
    buf_printf(&b, "%s-%d", "abc", 42);
    buf_consume(&b, 4);
    assert_string_equal(b.data, "42");
    buf_consume(&b, 99);
    assert_int_equal(b.len, 0);
}

static void a_quoted_text_ends_only_at_its_mark(void **state OH_UNUSED)
{
    autobuf struct buf b = BUF_INIT;
    buf_quote(&b, '\'', "");
    buf_quote(&b, '\'', "it's `a\\b`");
    buf_quote(&b, '`', "it's `a\\");
    assert_string_equal(b.data, "''"
                                "'it\\'s `a\\\\b`'"
                                "`it's \\`a\\\\`");
}

static void hex_round_trip_and_strictness(void **state OH_UNUSED)
{
    unsigned char raw[3] = {0x00, 0xab, 0xff}, back[3];
    char text[7];
    hex_encode(raw, 3, text);
    assert_string_equal(text, "00abff");
    assert_int_equal(hex_decode("00ABff", back, 3), 0);
    assert_memory_equal(raw, back, 3);
    assert_int_equal(hex_decode("00abf", back, 3), -EINVAL);
    assert_int_equal(hex_decode("00abfff", back, 3), -EINVAL);
    assert_int_equal(hex_decode("00abfg", back, 3), -EINVAL);
}

/* RFC 4648 section 10. */
static void base64_vectors(void **state OH_UNUSED)
{
    static const char *const v[][2] = {{"", ""},
                                       {"f", "Zg=="},
                                       {"fo", "Zm8="},
                                       {"foo", "Zm9v"},
                                       {"foob", "Zm9vYg=="},
                                       {"fooba", "Zm9vYmE="},
                                       {"foobar", "Zm9vYmFy"}};
    for (size_t i = 0; i < ARRAY_SIZE(v); i++) {
        autofree char *text = base64_encode(v[i][0], strlen(v[i][0]));
        autofree unsigned char *back = NULL;
        size_t len;
        assert_string_equal(text, v[i][1]);
        assert_int_equal(base64_decode(text, 100, &back, &len), 0);
        assert_int_equal(len, strlen(v[i][0]));
        assert_memory_equal(back, v[i][0], len);
    }
}

static void base64_refuses_what_is_not_canonical(void **state OH_UNUSED)
{
    static const char *const bad[] = {"Zg=", "Zg", "Z===", "Zh==", "Zm9=", "Zm 9v", "=Zm9", "Zm9v===="};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        autofree unsigned char *back = NULL;
        size_t len;
        assert_int_equal(base64_decode(bad[i], 100, &back, &len), -EINVAL);
    }
    autofree unsigned char *back = NULL;
    size_t len;
    assert_int_equal(base64_decode("Zm9v", 2, &back, &len), -EMSGSIZE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ceiling_sets_overflow_and_keeps_content),
        cmocka_unit_test(consume_drops_from_the_front),
        cmocka_unit_test(hex_round_trip_and_strictness),
        cmocka_unit_test(base64_vectors),
        cmocka_unit_test(base64_refuses_what_is_not_canonical),
        cmocka_unit_test(a_quoted_text_ends_only_at_its_mark),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
