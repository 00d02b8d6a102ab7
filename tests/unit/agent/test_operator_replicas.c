/* agent/operator/replicas: what replicas say, whether one is in step, and whom Keeper has to forget. */
#include "../test.h"

#include "agent/operator/replicas.h"

#define REPLICAS 3

static void rows_are_read(void **state OH_UNUSED)
{
    struct replica_said r;
    assert_true(replica_parse("0 0 12 00ff34 r2\n", &r));
    assert_true(r.known && r.delay_s == 0 && r.readonly == 0 && r.tables == 12 && r.away == 4);
    assert_string_equal(r.schema, "00ff34");
    assert_true(replica_parse("301 2 1 0 \n", &r));
    assert_true(r.delay_s == 301 && r.readonly == 2 && r.away == 0);
    assert_true(replica_parse("0 0 1 a r0,r11,r12,other,r1x,r", &r));
    assert_int_equal(r.away, 1 | 1 << 11);
    assert_int_equal(replica_names("r1,r11,other,-\n"), 1 << 1 | 1 << 11);
    assert_int_equal(replica_names("-"), 0);
    static const char *const bad[] = {"",
                                      "\n",
                                      "Code: 516. DB::Exception",
                                      "0",
                                      "0 0 0",
                                      "0 0 0 0",
                                      "-1 0 0 0 ",
                                      "x 0 0 0 ",
                                      "0  0 0 0 ",
                                      "0 0 0 xyz r1",
                                      "0 0 0 00000000000000000 ",
                                      "1234567890123456789 0 0 0 "};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_false(replica_parse(bad[i], &r));
}

static void who_is_in_step(void **state OH_UNUSED)
{
    const struct replica_said good = {.known = true, .tables = 5, .schema = "a"};
    const struct {
        struct replica_said said[REPLICAS];
        enum replica_sync first;
    } cases[] = {
        {{good, good, good}, REPLICA_SYNCED},
        {{{.known = false, .tables = 5}, good, good}, REPLICA_UNKNOWN},
        {{{.known = true, .tables = 5, .delay_s = REPLICA_LAG_S}, good, good}, REPLICA_SYNCED}, /* inserts go on */
        {{{.known = true, .tables = 5, .delay_s = REPLICA_LAG_S + 1}, good, good}, REPLICA_BEHIND},
        {{{.known = true, .tables = 5, .readonly = 1}, good, good}, REPLICA_BEHIND},
        {{{.known = true, .tables = 4}, good, {.known = false}}, REPLICA_BEHIND}, /* lacks a table */
        {{{.known = true, .tables = 6}, good, good}, REPLICA_SYNCED},
        {{{.known = true, .tables = 4}, {.known = false, .tables = 5}, {.known = false}}, REPLICA_SYNCED},
        {{{.known = true}, {.known = true}, {.known = true}}, REPLICA_SYNCED}, /* nobody has tables */
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_int_equal(replica_judge(cases[i].said, REPLICAS, 0), cases[i].first);
}

static void whom_keeper_forgets(void **state OH_UNUSED)
{
    const struct replica_said full = {.known = true, .tables = 5}, empty = {.known = true},
                              misses1 = {.known = true, .tables = 5, .away = 2},
                              misses2 = {.known = true, .tables = 5, .away = 4}, silent = {.known = false, .away = 6},
                              base2 = {.known = true, .tables = 5, .away_database = 4},
                              both2 = {.known = true, .tables = 5, .away = 4, .away_database = 4};
    const struct {
        struct replica_view v;
        int k, on;
        bool database;
    } cases[] = {
        /* all is well */
        {{{full, full, full}, 7, 7, 3}, -1, -1},
        /* one is away, and comes back: restarted, stopped, without its node */
        {{{misses2, misses2}, 7, 3, 3}, -1, -1},
        {{{misses2, misses2}, 3, 3, 3}, -1, -1}, /* wanted, and not placed yet */
        /* the service became smaller: while the replica is going it is waited for, then it is forgotten */
        {{{misses2, misses2}, 7, 3, 2}, -1, -1},
        {{{misses2, misses2}, 3, 3, 2}, 2, 0},
        {{{full, misses2}, 3, 3, 2}, 2, 1},
        {{{misses2, misses2}, 3, 0, 2}, -1, -1}, /* nobody answers who could be told */
        {{{silent, silent}, 3, 3, 2}, -1, -1},   /* old words of a process that is no more */
        /* rebuilt without its disk: there, empty, and registered as away */
        {{{misses1, empty, misses1}, 7, 7, 3}, 1, 0},
        {{{misses1, full, misses1}, 7, 7, 3}, -1, -1},            /* it has its tables: it only reconnects */
        {{{misses1, silent, misses1}, 7, 7, 3}, -1, -1},          /* nobody knows what it has */
        {{{misses1, empty, misses1}, 7, 5, 3}, -1, -1},           /* it does not answer */
        {{{{.known = true, .away = 2}, empty}, 3, 3, 2}, -1, -1}, /* nobody has a table: nothing to mend */
        /* a Replicated database's registration goes after the tables', of one that is no more, and of nobody else */
        {{{both2, both2}, 3, 3, 2}, 2, 0},
        {{{base2, base2}, 3, 3, 2}, 2, 0, true},
        {{{base2}, 1, 1, 1}, 2, 0, true}, /* the service has one replica now */
        {{{base2, base2}, 7, 3, 2}, -1, -1},
        {{{base2, base2, empty}, 7, 7, 3}, -1, -1},
        {{{base2, base2}, 3, 3, 3}, -1, -1},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        int on = -1;
        bool database = false;
        assert_int_equal(replica_to_forget(&cases[i].v, &on, &database), cases[i].k);
        assert_int_equal(on, cases[i].on);
        assert_int_equal(database, cases[i].database);
    }
}

static void whose_tables_are_registered_anew(void **state OH_UNUSED)
{
    const struct replica_said full = {.known = true, .tables = 5}, cannot = {.known = true, .tables = 5, .readonly = 2},
                              misses2 = {.known = true, .tables = 5, .away = 4},
                              silent = {.known = false, .readonly = 2};
    const struct {
        struct replica_view v;
        bool restore;
    } cases[] = {
        {{{full, full, cannot}, 7, 7, 3}, true}, /* it came back, and nobody knows it */
        {{{full, full, full}, 7, 7, 3}, false},
        {{{misses2, misses2, cannot}, 7, 7, 3}, false}, /* it starts, or has lost its session */
        {{{full, misses2, cannot}, 7, 7, 3}, false},    /* one table of it is registered: that one only connects */
        {{{cannot, cannot, cannot}, 7, 7, 3}, false},   /* Keeper is away */
        {{{silent, silent, cannot}, 7, 7, 3}, false},   /* nobody says whether it is known */
        {{{full, full, silent}, 7, 7, 3}, false},       /* nobody knows what it has */
        {{{full, full, cannot}, 7, 3, 3}, false},       /* it does not answer */
        {{{full, full, cannot}, 7, 7, 2}, false},       /* it is to go */
        {{{{.known = true}, {.known = true}, cannot}, 7, 7, 3}, false}, /* the only one with tables */
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_int_equal(replica_to_restore(&cases[i].v, 2), cases[i].restore);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_read),
        cmocka_unit_test(who_is_in_step),
        cmocka_unit_test(whom_keeper_forgets),
        cmocka_unit_test(whose_tables_are_registered_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
