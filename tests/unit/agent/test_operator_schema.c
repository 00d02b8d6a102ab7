/* agent/operator/schema: which databases a new replica gets, and that nothing but a database is ever said. */
#include "../test.h"

#include "agent/operator/schema.h"

#define ID "0a7b4c1e-5f0e-4a57-9c3b-2f0d9d1b6c11"
#define SHOP "`shop` UUID '" ID "' ENGINE = Replicated('/clickhouse/databases/shop', '{shard}', '{replica}')"

static void who_gets_them(void **state OH_UNUSED)
{
    const struct replica_said full = {.known = true, .tables = 5}, some = {.known = true, .tables = 3},
                              none = {.known = true}, silent = {.known = false};
    const struct {
        struct replica_view v;
        int64_t age;
        int from; /* -1: nobody */
    } cases[] = {
        {{{full, some, none}, 7, 7, 3}, 0, 0},
        {{{some, full, none}, 7, 7, 3}, SCHEMA_NEW_MS - 1, 1},
        {{{full, full, some}, 7, 7, 3}, 1000, 0}, /* some are there already: the agent was new in between */
        {{{full, full, full}, 7, 7, 3}, 0, -1},
        {{{none, none, none}, 7, 7, 3}, 0, -1},
        {{{full, full, none}, 7, 7, 3}, SCHEMA_NEW_MS, -1}, /* somebody dropped them there */
        {{{full, full, silent}, 7, 7, 3}, 0, -1},
        {{{full, full, none}, 7, 3, 3}, 0, -1},
        {{{full, full, none}, 7, 7, 2}, 0, -1}, /* it is to go */
        {{{silent, silent, none}, 7, 7, 3}, 0, -1},
        {{{some, full, none}, 7, 5, 3}, 0, 0}, /* who has most does not serve */
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        int from = -1;
        bool lacks = schema_lacks(&cases[i].v, 2, cases[i].age, &from);
        if (lacks != (cases[i].from >= 0) || (lacks && from != cases[i].from))
            fail_msg("case %zu: %d from %d", i, (int)lacks, from);
    }
}

static void what_is_said_to_another_engine(void **state OH_UNUSED)
{
    assert_true(schema_is_definition(SHOP));
    assert_true(schema_is_definition("`a\\`b '` UUID '" ID "' ENGINE = Replicated('/it\\'s', 's', 'r')"));
    static const char *const bad[] = {
        "",
        "-",
        "shop UUID '" ID "' ENGINE = Replicated('a', 'b', 'c')",
        "`shop UUID '" ID "' ENGINE = Replicated('a', 'b', 'c')",
        "`shop` ENGINE = Replicated('a', 'b', 'c')",
        "`shop` UUID '" ID "0' ENGINE = Replicated('a', 'b', 'c')",
        "`shop` UUID '" ID "' ENGINE = Atomic",
        "`shop` UUID '" ID "' ENGINE = MySQL('a', 'b', 'c')",
        "`shop` UUID '" ID "' ENGINE = Replicated('a', 'b')",
        "`shop` UUID '" ID "' ENGINE = Replicated('a', 'b', 'c', 'd')",
        "`shop` UUID '" ID "' ENGINE = Replicated('a', 'b', 'c') SETTINGS x = 1",
        "`shop` UUID '" ID "' ENGINE = Replicated('a', 'b', 'c'); DROP DATABASE shop",
        "`shop` UUID '" ID "' ENGINE = Replicated('a', 'b', 'c",
        "`shop` ON CLUSTER x UUID '" ID "' ENGINE = Replicated('a', 'b', 'c')",
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        if (schema_is_definition(bad[i]))
            fail_msg("%s", bad[i]);
}

static void assert_next(const struct schema_turn *t, const char *begin, const char *end)
{
    autobuf struct buf sql = BUF_INIT;
    schema_statement(t, &sql);
    assert_true(!strncmp(sql.data, begin, strlen(begin)));
    if (!strstr(sql.data, end))
        fail_msg("%s has no %s", sql.data, end);
}

static void each_database_has_its_turn(void **state OH_UNUSED)
{
    struct schema_turn t = {.done = false};
    assert_next(&t, "SELECT", "name > ''");
    schema_heard(&t, SHOP);
    assert_next(&t, "CREATE DATABASE IF NOT EXISTS " SHOP, "");
    schema_heard(&t, "done");
    assert_next(&t, "SELECT", "name > '`shop`'");
    schema_heard(&t, "`it\\`s` UUID '" ID "' ENGINE = Replicated('a', 'b', 'c')");
    schema_heard(&t, "done");
    assert_next(&t, "SELECT", "name > '`it\\\\`s`'");
    assert_false(t.done);
    schema_heard(&t,
                 "`j` UUID '" ID "' ENGINE = Replicated('a', 'b', 'c') SETTINGS max_replication_lag_to_enqueue = 1");
    assert_false(t.makes); /* passed over, and the next is asked for */
    assert_next(&t, "SELECT", "name > '`j`'");
    schema_heard(&t, "-");
    assert_true(t.done);
    t = (struct schema_turn){.done = false};
    schema_heard(&t, "`cut");
    assert_true(t.done);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_gets_them),
        cmocka_unit_test(what_is_said_to_another_engine),
        cmocka_unit_test(each_database_has_its_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
