/* Leaves: canonical, strict, bounded. */
#include "../test.h"

#include "ledger/leaf.h"

static void test_round_trip(void **state)
{
    autojson json_t *body = json_pack("{ss}", "service", "x"), *totals = json_pack("{si}", "ping", 3);
    autobuf struct buf b = BUF_INIT;
    autoleaf struct leaf l = {0};
    assert_int_equal(leaf_write(7, 1000, 20, "operation", body, totals, &b, NULL), 0);
    assert_int_equal(leaf_parse(b.data, b.len, &l, NULL), 0);
    assert_int_equal(l.index, 7);
    assert_int_equal(l.time_ms, 1000);
    assert_int_equal(l.mono_ms, 20);
    assert_string_equal(l.kind, "operation");
    assert_true(json_equal(l.body, body));
    assert_true(json_equal(l.totals, totals));
}

static void test_refused(void **state)
{
    autojson json_t *body = json_pack("{s[]}", "x"), *list = json_array();
    autobuf struct buf b = BUF_INIT;
    struct leaf l;
    assert_int_equal(leaf_write(0, 0, 0, "Bad kind", body, NULL, &b, NULL), -EINVAL);
    assert_int_equal(leaf_write(0, 0, 0, "", body, NULL, &b, NULL), -EINVAL);
    assert_int_equal(leaf_write(0, 0, 0, "x", list, NULL, &b, NULL), -EINVAL);
    assert_int_equal(leaf_write(0, 0, 0, "x", body, NULL, &b, NULL), 0);
    buf_addc(&b, ' ');
    assert_int_equal(leaf_parse(b.data, b.len, &l, NULL), -EINVAL);
    static const char loose[] =
        "{\"v\":1,\"body\":{},\"index\":0,\"kind\":\"x\",\"mono\":0,\"time\":\"1970-01-01T00:00:00."
        "000Z\",\"type\":\"ownhouse/leaf\"}";
    assert_int_equal(leaf_parse(loose, strlen(loose), &l, NULL), -EINVAL);
}

static void test_too_long(void **state)
{
    autofree char *text = mem_alloc(70000);
    memset(text, 'a', 69999);
    autojson json_t *body = json_pack("{ss}", "x", text);
    autobuf struct buf b = BUF_INIT;
    assert_int_equal(leaf_write(0, 0, 0, "x", body, NULL, &b, NULL), -EMSGSIZE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_too_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
