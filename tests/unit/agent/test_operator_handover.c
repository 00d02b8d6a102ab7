/* agent/operator/handover: what those that stay are told when a replica goes, and when it may; and
 * agent/operator/joined: who keeps Keeper. */
#include "../test.h"

#include "agent/operator/handover.h"
#include "agent/operator/joined.h"
#include "base/fs.h"

static void assert_next(const struct handover_turn *t, const char *begin, const char *end)
{
    autobuf struct buf sql = BUF_INIT;
    handover_statement(t, &sql);
    assert_true(!strncmp(sql.data, begin, strlen(begin)));
    if (!strstr(sql.data, end))
        fail_msg("%s has no %s", sql.data, end);
}

static void each_table_has_its_turn(void **state OH_UNUSED)
{
    struct handover_turn t = {.done = false};
    assert_next(&t, "SELECT", "name > ''");
    handover_heard(&t, "`a`.`b`");
    assert_next(&t, "SYSTEM SYNC REPLICA `a`.`b` LIGHTWEIGHT", "`b`");
    handover_heard(&t, "done");
    assert_next(&t, "SELECT", "name > '`a`.`b`'");
    handover_heard(&t, "`a`.`it\\'s \\`c\\``");
    assert_next(&t, "SYSTEM SYNC REPLICA `a`.`it\\'s \\`c\\`` LIGHTWEIGHT", "");
    handover_heard(&t, "done");
    assert_next(&t, "SELECT", "name > '`a`.`it\\\\\\'s \\\\`c\\\\``'"); /* quoted once more, as a text */
    assert_false(t.done);
    handover_heard(&t, "-");
    assert_true(t.done);
}

static void what_ends_a_tables_turn(void **state OH_UNUSED)
{
    assert_true(handover_is_synced(""));
    assert_true(handover_is_synced("Code: 60. DB::Exception: Table a.b does not exist. (UNKNOWN_TABLE)"));
    assert_true(handover_is_synced("Code: 81. DB::Exception: Database a does not exist"));
    assert_false(
        handover_is_synced("Code: 159. DB::Exception: SYNC REPLICA a.b: command timed out. (TIMEOUT_EXCEEDED)"));
    assert_false(handover_is_synced("Code: 497. DB::Exception: ownhouse_operator: Not enough privileges."));
    assert_false(handover_is_synced("Code: 601."));
    assert_false(handover_is_synced("<html>"));
}

static void what_all_of_them_say(void **state OH_UNUSED)
{
    struct handover_turn turns[BLUEPRINT_MAX_REPLICAS] = {{.done = true}, {.fetches = true, .table = "`a`.`b`"}};
    struct replica_said said[BLUEPRINT_MAX_REPLICAS] = {{.known = true}, {.known = true}};
    struct handover_said sum = handover_sum(turns, 3, said, 2);
    assert_int_equal(sum.taken, REPLICA_BEHIND);
    assert_string_equal(sum.table, "`a`.`b`");
    assert_int_equal(sum.alone, 2);
    turns[1] = (struct handover_turn){.done = true, .table = "`a`.`b`"};
    assert_int_equal(handover_sum(turns, 3, said, 0).taken, REPLICA_SYNCED);
    assert_int_equal(handover_sum(turns, 7, said, 0).taken, REPLICA_BEHIND);
    assert_int_equal(handover_sum(turns, 0, said, 0).taken, REPLICA_UNKNOWN); /* nobody is there */
    turns[0].done = turns[1].done = said[0].known = said[1].known = false;
    assert_int_equal(handover_sum(turns, 3, said, 0).taken, REPLICA_UNKNOWN);
}

static void when_it_goes(void **state OH_UNUSED)
{
    const struct handover_said unknown = {.taken = REPLICA_UNKNOWN, .alone = -1, .table = ""},
                               behind = {.taken = REPLICA_BEHIND, .alone = -1, .table = "`a`.`b`"},
                               table_less = {.taken = REPLICA_SYNCED, .alone = 0, .table = ""},
                               alone = {.taken = REPLICA_SYNCED, .alone = 3, .table = ""};
    const int64_t late = HANDOVER_BOUND_MS, mute = HANDOVER_MUTE_MS;
    const struct {
        struct handover_seen seen;
        enum handover judged;
        const char *words;
    } cases[] = {
        {{false, true, true, true, true, table_less, 0, 0}, HANDOVER_GO, ""},
        {{false, true, true, true, true, alone, 0, 0}, HANDOVER_GO, "3 tables that do not replicate"},
        {{false, true, true, true, true, behind, 0, 0}, HANDOVER_WAIT, ""},
        {{false, true, true, true, true, behind, late - 1, 0}, HANDOVER_WAIT, ""},
        {{false, true, true, true, true, behind, late, 0}, HANDOVER_GO_LACKING, "table `a`.`b`"},
        {{false, true, false, true, true, table_less, late - 1, 0}, HANDOVER_WAIT, ""},
        {{false, true, false, true, true, table_less, late, 0}, HANDOVER_GO_LACKING, "none of them has"},
        {{false, true, false, true, true, unknown, mute, mute - 1}, HANDOVER_WAIT, ""},
        {{false, true, false, true, true, unknown, mute, mute}, HANDOVER_GO_LACKING, "do not say"},
        {{false, true, true, true, false, behind, mute, mute}, HANDOVER_GO_LACKING, "it is down"},
        {{false, true, true, true, false, table_less, 0, 0}, HANDOVER_GO, ""}, /* down, and nobody lacks anything */
        {{false, false, true, true, true, unknown, 9 * late, 9 * late}, HANDOVER_WAIT, ""}, /* the last that serves */
        {{true, false, true, true, false, unknown, 0, 0}, HANDOVER_GO, ""},                 /* asleep */
        {{false, true, true, false, true, unknown, 0, 0}, HANDOVER_GO, ""},                 /* nobody can be asked */
        {{false, false, true, false, true, unknown, 9 * late, 0}, HANDOVER_WAIT, ""},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        autoarena struct arena *a = arena_new();
        enum handover judged = handover_judge(&cases[i].seen);
        const char *words = handover_sentence(&cases[i].seen, judged, a);
        if (judged != cases[i].judged)
            fail_msg("case %zu: %d", i, (int)judged);
        assert_int_equal(!*words, !*cases[i].words);
        assert_non_null(strstr(words, cases[i].words));
        if (*words)
            assert_non_null(strstr(words, "Its disk stays"));
    }
}

/* ---- joined ---- */

#define ONE "11111111-1111-4111-8111-111111111111"
#define TWO "22222222-2222-4222-8222-222222222222"

static void who_had_a_keeper_keeps_it(void **state OH_UNUSED)
{
    autofree char *path =
        mem_printf("%s/ownhouse-joined-%d", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp", (int)getpid());
    struct desired_service services[] = {{.id = ONE, .replicas = 1}, {.id = TWO, .replicas = 1}};
    struct desired d = {.services = services, .n_services = 2};
    struct workload_env keeper[] = {{"role", "keeper"}, {"service", ONE}},
                        engine[] = {{"role", "clickhouse"}, {"service", TWO}},
                        other[] = {{"role", "keeper"}, {"service", "gone"}};
    struct runtime_status items[] = {{.name = "a", .labels = keeper, .n_labels = 2},
                                     {.name = "b", .labels = engine, .n_labels = 2},
                                     {.name = "c", .labels = other, .n_labels = 2}};
    struct runtime_status_list seen = {.items = items, .n = 3}, nothing = {0};
    struct joined j;
    bool changed = false;
    unlink(path);
    joined_open(&j, path);
    assert_int_equal(joined_look(&j, &d, &nothing, &changed, NULL), 0);
    assert_false(changed);
    assert_false(fs_exists(path));
    assert_int_equal(joined_look(&j, &d, &seen, &changed, NULL), 0);
    assert_true(changed);
    joined_free(&j);
    /* another agent, and Keeper's objects are away */
    joined_open(&j, path);
    assert_int_equal(joined_look(&j, &d, &nothing, &changed, NULL), 0);
    assert_false(changed);
    joined_mark(&j, &d);
    assert_true(services[0].joined);
    assert_false(services[1].joined);
    unsigned char key[32] = {0};
    struct blueprint_env env = {.engine = BLUEPRINT_SERVER, .replication_key = key};
    assert_true(blueprint_joined(&services[0], &env));
    assert_int_equal(blueprint_replicas(&services[0], &env), 1);
    assert_false(blueprint_joined(&services[1], &env));
    env.engine = BLUEPRINT_EMBEDDED;
    assert_false(blueprint_joined(&services[0], &env));
    /* the document does not name it any more */
    d.services = services + 1, d.n_services = 1;
    assert_int_equal(joined_look(&j, &d, &seen, &changed, NULL), 0);
    d.services = services, d.n_services = 2;
    joined_mark(&j, &d);
    assert_false(services[0].joined);
    joined_free(&j);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_table_has_its_turn),   cmocka_unit_test(what_ends_a_tables_turn),
        cmocka_unit_test(what_all_of_them_say),      cmocka_unit_test(when_it_goes),
        cmocka_unit_test(who_had_a_keeper_keeps_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
