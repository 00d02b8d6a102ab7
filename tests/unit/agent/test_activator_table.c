/* agent/activator/table: what a table may say. */
#include "../test.h"

#include "agent/activator/table.h"

static void a_table(void **unused)
{
    static const char text[] = "# a comment\n\n3 demo 127.0.0.19\n4095 other a-0.ns.svc.cluster.local,::1\n";
    struct table t;
    assert_int_equal(table_parse(text, strlen(text), &t, NULL), 0);
    assert_int_equal(t.n, 2);
    assert_int_equal(t.items[0].ordinal, 3);
    assert_string_equal(t.items[0].slug, "demo");
    assert_int_equal(t.items[1].n_hosts, 2);
    assert_string_equal(t.items[1].hosts[1], "::1");
    table_free(&t);
    assert_int_equal(table_parse("", 0, &t, NULL), 0);
    assert_int_equal(t.n, 0);
    table_free(&t);
}

static void what_is_none(void **unused)
{
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"1 a 127.0.0.1\nx b 127.0.0.1\n", "line 2: the ordinal"},
        {"0 a 127.0.0.1", "line 1: the ordinal"},
        {"4096 a 127.0.0.1", "line 1: the ordinal"},
        {"1 A 127.0.0.1", "line 1: the slug"},
        {"1 a", "line 1: must be"},
        {"1 a b c", "line 1: must be"},
        {"1 a 127.0.0.1,", "line 1: hosts"},
        {"1 a bad_host", "line 1: hosts"},
        {"1 a 127.0.0.1\n1 b 127.0.0.1", "line 2: the ordinal 1 is there twice"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct err err = ERR_INIT;
        struct table t;
        assert_int_equal(table_parse(cases[i].text, strlen(cases[i].text), &t, &err), -EINVAL);
        if (!strstr(err.message, cases[i].says))
            fail_msg("%s: %s", cases[i].text, err.message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_table), cmocka_unit_test(what_is_none)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
