/* agent/operator/reconcile: each rule by itself, then all of them against a simulated runtime that fails, is slow and
 * forgets, from seeds. */
#include "reconcile_world.h"

/* ---- rules ---- */

static void engines_come_before_the_ingress(void **state OH_UNUSED)
{
    struct world w;
    struct wish v;
    struct runtime_status_list observed;
    world_init(&w);
    wish_init(&v, 2);
    wish_render(&v);
    autoplan struct reconcile_plan p;
    plan(&w, &v, &observed, &p);
    assert_int_equal(p.n_actions, 4);
    for (size_t i = 1; i < p.n_actions; i++)
        assert_true(p.actions[i - 1].workload->order <= p.actions[i].workload->order);
    assert_string_equal(p.actions[3].name, "ingress");
    assert_int_equal(p.services[0].state, SERVICE_STARTING);
    runtime_status_list_free(&observed);
    settle(&w, &v);
    assert_int_equal(state_of(&w, &v, 0).state, SERVICE_RUNNING);
    assert_int_equal(state_of(&w, &v, 1).ready, 1);
    wish_clear(&v);
    reconcile_memory_free(w.memory);
}

static void nothing_to_do_does_nothing(void **state OH_UNUSED)
{
    struct world w;
    struct wish v;
    world_init(&w);
    wish_init(&v, 3);
    wish_render(&v);
    settle(&w, &v);
    int before = w.actions;
    for (int i = 0; i < 100; i++, tick(&w, 60000))
        pass(&w, &v);
    assert_int_equal(w.actions, before);
    reconcile_memory_free(w.memory);
    w.memory = reconcile_memory_new(); /* the agent restarts */
    assert_int_equal(pass(&w, &v), 0);
    wish_clear(&v);
    reconcile_memory_free(w.memory);
}

static void stopping_waits_for_the_ingress(void **state OH_UNUSED)
{
    struct world w;
    struct wish v;
    world_init(&w);
    wish_init(&v, 1);
    wish_render(&v);
    settle(&w, &v);
    wish_clear(&v);
    v.services[0].state = DESIRED_STOPPED;
    wish_render(&v);
    struct placed *engine = find(&w, v.list.items[0].name);
    pass(&w, &v);
    assert_int_equal(engine->state, RUNTIME_RUNNING); /* only the ingress was told */
    assert_int_equal(state_of(&w, &v, 0).state, SERVICE_STOPPING);
    w.front_behind = true;
    pass(&w, &v);
    assert_int_equal(engine->state, RUNTIME_RUNNING); /* and it has not said that it does as told */
    w.front_behind = false;
    pass(&w, &v);
    assert_int_equal(engine->state, RUNTIME_STOPPING);
    tick(&w, 1000);
    assert_int_equal(state_of(&w, &v, 0).state, SERVICE_STOPPED);
    wish_clear(&v);
    v.services[0].state = DESIRED_RUNNING;
    wish_render(&v);
    w.front_behind = true;
    settle(&w, &v);
    assert_int_equal(state_of(&w, &v, 0).state, SERVICE_STARTING); /* the ingress still says that it is stopped */
    w.front_behind = false;
    assert_int_equal(state_of(&w, &v, 0).state, SERVICE_RUNNING);
    w.front_behind = true; /* another service's change */
    assert_int_equal(state_of(&w, &v, 0).state, SERVICE_RUNNING);
    wish_clear(&v);
    reconcile_memory_free(w.memory);
}

static void a_broken_ingress_holds_a_stop_only_for_the_bound(void **state OH_UNUSED)
{
    struct world w;
    struct wish v;
    world_init(&w);
    wish_init(&v, 1);
    wish_render(&v);
    settle(&w, &v);
    wish_clear(&v);
    w.now = 0;
    w.failing = "ingress";
    v.services[0].state = DESIRED_STOPPED;
    wish_render(&v);
    struct placed *engine = find(&w, v.list.items[0].name);
    for (int i = 0; i < 29; i++) {
        pass(&w, &v);
        assert_int_equal(engine->state, RUNTIME_RUNNING);
        w.now += 1000;
    }
    w.now += 2000;
    pass(&w, &v);
    assert_int_equal(engine->state, RUNTIME_STOPPING);
    wish_clear(&v);
    reconcile_memory_free(w.memory);
}

static void deletion_reports_gone_only_when_data_are_gone(void **state OH_UNUSED)
{
    for (int purge = 0; purge < 2; purge++) {
        struct world w;
        struct wish v;
        world_init(&w);
        wish_init(&v, 2);
        wish_render(&v);
        settle(&w, &v);
        wish_clear(&v);
        v.services[0].state = DESIRED_DELETED;
        v.services[0].delete_data = purge;
        wish_render(&v);
        assert_int_equal(state_of(&w, &v, 0).state, SERVICE_STOPPING);
        settle(&w, &v);
        assert_int_equal(state_of(&w, &v, 0).state, SERVICE_GONE);
        assert_int_equal(state_of(&w, &v, 1).state, SERVICE_RUNNING);
        assert_int_equal(w.purged[0], purge);
        assert_false(w.purged[1]);
        wish_clear(&v);
        reconcile_memory_free(w.memory);
    }
}

/* Deleted first without its data, then with: what was kept is reached though nothing runs. */
static void kept_data_can_be_deleted_later(void **state OH_UNUSED)
{
    struct world w;
    struct wish v;
    world_init(&w);
    wish_init(&v, 1);
    v.services[0].state = DESIRED_DELETED;
    wish_render(&v);
    assert_int_equal(state_of(&w, &v, 0).state, SERVICE_GONE);
    wish_clear(&v);
    v.services[0].delete_data = true;
    wish_render(&v);
    assert_int_equal(state_of(&w, &v, 0).state, SERVICE_STOPPING);
    settle(&w, &v);
    assert_true(w.purged[0]);
    assert_int_equal(state_of(&w, &v, 0).state, SERVICE_GONE);
    wish_clear(&v);
    reconcile_memory_free(w.memory);
}

/* A workload that could never be started is shown without labels. */
static void what_never_started_can_be_deleted(void **state OH_UNUSED)
{
    for (int purge = 0; purge < 2; purge++) {
        struct world w;
        struct wish v;
        world_init(&w);
        wish_init(&v, 1);
        v.services[0].state = DESIRED_DELETED;
        v.services[0].delete_data = purge;
        wish_render(&v);
        struct placed *p = &w.items[w.n++];
        *p = (struct placed){.state = RUNTIME_STOPPED};
        snprintf(p->name, sizeof(p->name), "clickhouse-%s-0", ids[0]);
        assert_int_equal(state_of(&w, &v, 0).state, SERVICE_STOPPING);
        settle(&w, &v);
        assert_int_equal(state_of(&w, &v, 0).state, SERVICE_GONE);
        assert_int_equal(w.purged[0], purge);
        wish_clear(&v);
        reconcile_memory_free(w.memory);
    }
}

static void what_is_not_ours_is_left_alone(void **state OH_UNUSED)
{
    struct world w;
    struct wish v;
    world_init(&w);
    wish_init(&v, 0);
    v.env.n_certificates = 0;
    v.env.client_address = NULL;
    w.items[w.n++] = (struct placed){.name = "database", .state = RUNTIME_RUNNING};
    w.items[w.n++] = (struct placed){.name = "other", .state = RUNTIME_RUNNING, .labelled = true, .role = "theirs"};
    w.items[w.n++] =
        (struct placed){.name = "clickhouse-x-0", .state = RUNTIME_RUNNING, .labelled = true, .role = "clickhouse"};
    wish_render(&v);
    settle(&w, &v);
    assert_non_null(find(&w, "database"));
    assert_non_null(find(&w, "other"));
    assert_null(find(&w, "clickhouse-x-0")); /* ours, wanted by nobody: removed, data kept */
    wish_clear(&v);
    reconcile_memory_free(w.memory);
}

static void failures_are_tried_again_with_back_off(void **state OH_UNUSED)
{
    struct world w;
    struct wish v;
    world_init(&w);
    wish_init(&v, 1);
    wish_render(&v);
    w.failing = v.list.items[0].name;
    for (int i = 0; i < 100; i++, w.now += 1000)
        pass(&w, &v);
    /* after 1, 2, 4, 8, 16, 32 s: at 0, 1, 3, 7, 15, 31, 63 s, then each 60 s; beside two others once */
    assert_int_equal(w.actions, 7 + 2);
    assert_string_equal(state_of(&w, &v, 0).error, "the runtime said no");
    w.failing = NULL;
    w.now += 60000;
    settle(&w, &v);
    assert_string_equal(state_of(&w, &v, 0).error, "");
    wish_clear(&v);
    reconcile_memory_free(w.memory);
}

static void states_of_a_service(void **state OH_UNUSED)
{
    struct world w;
    struct wish v;
    world_init(&w);
    wish_init(&v, 1);
    wish_render(&v);
    settle(&w, &v);
    struct placed *engine = find(&w, v.list.items[0].name), *ingress = find(&w, "ingress");
    engine->state = RUNTIME_FAILED;
    assert_int_equal(state_of(&w, &v, 0).state, SERVICE_FAILED);
    assert_string_equal(state_of(&w, &v, 0).error, "it ended with status 1");
    engine->state = RUNTIME_UNREADY;
    assert_int_equal(state_of(&w, &v, 0).state, SERVICE_DEGRADED);
    engine->state = RUNTIME_RUNNING;
    ingress->state = RUNTIME_FAILED;
    assert_int_equal(state_of(&w, &v, 0).state, SERVICE_DEGRADED);
    assert_string_equal(state_of(&w, &v, 0).error, "the ingress: it ended with status 1");
    ingress->state = RUNTIME_RUNNING;
    memset(ingress->digest, 'x', 64); /* about to be reloaded: what ran goes on */
    assert_int_equal(state_of(&w, &v, 0).state, SERVICE_RUNNING);
    v.services[0].replicas = 3;
    assert_non_null(strstr(state_of(&w, &v, 0).notice, "3 replicas"));
    wish_clear(&v);
    reconcile_memory_free(w.memory);
}

static void without_a_certificate_there_is_no_way_in(void **state OH_UNUSED)
{
    struct world w;
    struct wish v;
    world_init(&w);
    wish_init(&v, 1);
    v.env.n_certificates = 0;
    wish_render(&v);
    settle(&w, &v);
    assert_int_equal(state_of(&w, &v, 0).state, SERVICE_STARTING);
    assert_non_null(strstr(state_of(&w, &v, 0).error, "no ingress"));
    wish_clear(&v);
    reconcile_memory_free(w.memory);
}

/* ---- several replicas, by hand: the blueprint makes one as yet ---- */

static int count_states(const struct world *w, enum runtime_state state)
{
    int n = 0;
    for (size_t i = 0; i < w->n; i++)
        n += w->items[i].state == state;
    return n;
}

static void one_replica_changes_at_a_time(void **state OH_UNUSED)
{
    struct world w;
    struct wish v;
    world_init(&w);
    wish_init(&v, 1);
    replicas(&v, 3, 'a');
    assert_int_equal(pass(&w, &v), 3); /* new ones come at once */
    tick(&w, 1000);
    assert_int_equal(count_states(&w, RUNTIME_RUNNING), 3);
    wish_clear(&v);
    replicas(&v, 3, 'b');
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pass(&w, &v), 1);
        assert_int_equal(count_states(&w, RUNTIME_RUNNING), 2);
        assert_int_equal(pass(&w, &v), 0); /* the others wait */
        tick(&w, 1000);
    }
    assert_int_equal(pass(&w, &v), 0);
    wish_clear(&v);
    reconcile_memory_free(w.memory);
}

/* After the first of three was changed it answers, and lags: the next waits until it is in step, or for the bound. */
static void the_next_replica_waits_until_the_last_is_in_step(void **state OH_UNUSED)
{
    static const int64_t bounds[] = {RECONCILE_SYNC_BOUND_MS, RECONCILE_UNKNOWN_BOUND_MS};
    for (size_t k = 0; k < 4; k++) {
        struct world w;
        struct wish v;
        bool mute = k % 2, by_itself = k >= 2;
        world_init(&w);
        wish_init(&v, 1);
        replicas(&v, 3, 'a');
        pass(&w, &v);
        tick(&w, 1000);
        wish_clear(&v);
        replicas(&v, 3, 'b');
        w.judged = true;
        assert_int_equal(pass(&w, &v), 1);
        tick(&w, 1000);
        *(mute ? &w.mute : &w.behind) = v.list.items[0].name;
        int64_t since = w.now;
        assert_int_equal(pass(&w, &v), 0);
        while (!by_itself && w.now + 5000 < since + bounds[mute]) {
            tick(&w, 5000);
            assert_int_equal(pass(&w, &v), 0);
        }
        assert_int_equal(count_states(&w, RUNTIME_RUNNING), 3);
        if (by_itself)
            w.mute = w.behind = NULL;
        else
            tick(&w, 5000);
        assert_int_equal(pass(&w, &v), 1);
        wish_clear(&v);
        reconcile_memory_free(w.memory);
    }
}

/* The rows that only the replica that goes has must be with another first. */
static void a_replica_goes_when_those_that_stay_are_in_step(void **state OH_UNUSED)
{
    struct world w;
    struct wish v;
    world_init(&w);
    wish_init(&v, 1);
    replicas(&v, 3, 'a');
    pass(&w, &v);
    tick(&w, 1000);
    wish_clear(&v);
    replicas(&v, 2, 'a');
    w.judged = true;
    w.behind = v.list.items[1].name;
    for (int i = 0; i < 10; i++) {
        assert_int_equal(pass(&w, &v), 0);
        tick(&w, 10000);
    }
    assert_int_equal(w.n, 3);
    w.behind = NULL;
    struct runtime_status_list observed;
    autoplan struct reconcile_plan p;
    plan(&w, &v, &observed, &p);
    assert_int_equal(p.n_actions, 1);
    assert_null(p.actions[0].workload);
    assert_false(p.actions[0].delete_data);
    assert_non_null(strstr(p.actions[0].name, "-2"));
    runtime_status_list_free(&observed);
    wish_clear(&v);
    reconcile_memory_free(w.memory);
}

static void a_failed_canary_stops_the_change_and_can_be_mended(void **state OH_UNUSED)
{
    struct world w;
    struct wish v;
    world_init(&w);
    wish_init(&v, 1);
    replicas(&v, 3, 'a');
    pass(&w, &v);
    tick(&w, 1000);
    wish_clear(&v);
    replicas(&v, 3, 'b');
    assert_int_equal(pass(&w, &v), 1);
    for (size_t i = 0; i < w.n; i++)
        if (w.items[i].state == RUNTIME_STARTING)
            w.items[i].state = RUNTIME_FAILED;
    for (int i = 0; i < 5; i++)
        assert_int_equal(pass(&w, &v), 0);
    assert_int_equal(count_states(&w, RUNTIME_RUNNING), 2);
    wish_clear(&v);
    replicas(&v, 3, 'c'); /* the next version goes to the broken one first */
    struct runtime_status_list observed;
    autoplan struct reconcile_plan p;
    plan(&w, &v, &observed, &p);
    assert_int_equal(p.n_actions, 1);
    assert_int_equal(find(&w, p.actions[0].name)->state, RUNTIME_FAILED);
    runtime_status_list_free(&observed);
    wish_clear(&v);
    reconcile_memory_free(w.memory);
}

static void engines_start_a_few_at_a_time(void **state OH_UNUSED)
{
    struct world w;
    struct wish v;
    world_init(&w);
    wish_init(&v, 1);
    replicas(&v, 30, 'a');
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pass(&w, &v), i < 3 ? RECONCILE_MAX_STARTING : 30 - 3 * RECONCILE_MAX_STARTING);
        assert_int_equal(pass(&w, &v), 0);
        tick(&w, 1000);
    }
    assert_int_equal(count_states(&w, RUNTIME_RUNNING), 30);
    wish_clear(&v);
    reconcile_memory_free(w.memory);
}

/* ---- everything at once ---- */

static void change_wish(struct world *w, struct wish *v)
{
    struct desired_service *s = &v->services[chance(w, (uint32_t)v->d.n_services)];
    wish_clear(v);
    v->d.version++;
    s->delete_data = false;
    s->state = (enum desired_state)chance(w, 3);
    if (s->state == DESIRED_DELETED)
        s->delete_data = chance(w, 2);
    s->memory_bytes = (int64_t)(1 + chance(w, 3)) << 30;
    wish_render(v);
}

static void expect_final_states(struct world *w, struct wish *v)
{
    static const enum service_state should[] = {SERVICE_RUNNING, SERVICE_STOPPED, SERVICE_GONE};
    for (size_t i = 0; i < v->d.n_services; i++)
        assert_int_equal(state_of(w, v, i).state, should[v->services[i].state]);
}

static void it_converges_from_every_history(void **state OH_UNUSED)
{
    for (uint32_t seed = 1; seed <= 300; seed++) {
        struct world w;
        struct wish v;
        world_init(&w);
        w.seed = seed * 2654435761u | 1;
        w.now = 1000000; /* the bound on drains may be reached here */
        wish_init(&v, 6);
        wish_render(&v);
        for (int i = 0; i < 120; i++) {
            if (chance(&w, 4) == 0)
                change_wish(&w, &v);
            if (chance(&w, 20) == 0) { /* the agent is killed */
                reconcile_memory_free(w.memory);
                w.memory = reconcile_memory_new();
            }
            pass(&w, &v);
            tick(&w, 500 + chance(&w, 3000));
        }
        w.seed = 0;
        for (int i = 0; i < 200; i++) {
            pass(&w, &v);
            tick(&w, 1000);
        }
        if (pass(&w, &v))
            fail_msg("seed %u does not come to rest", seed);
        expect_final_states(&w, &v);
        wish_clear(&v);
        reconcile_memory_free(w.memory);
    }
}

static int not_running(const struct world *w, const char *prefix)
{
    int n = 0;
    for (size_t i = 0; i < w->n; i++)
        n += !strncmp(w->items[i].name, prefix, strlen(prefix)) && w->items[i].state != RUNTIME_RUNNING;
    return n;
}

static bool all_stopped(const struct world *w, const char *prefix)
{
    for (size_t i = 0; i < w->n; i++)
        if (!strncmp(w->items[i].name, prefix, strlen(prefix)) && w->items[i].state != RUNTIME_STOPPED)
            return false;
    return true;
}

static void settle_watching(struct world *w, struct wish *v, bool keeper_after_engines)
{
    for (int i = 0; i < 50; i++, tick(w, 1000)) {
        pass(w, v);
        if (!keeper_after_engines)
            assert_true(not_running(w, "clickhouse-") <= 1 && not_running(w, "keeper-") <= 1);
        else if (not_running(w, "keeper-"))
            assert_true(all_stopped(w, "clickhouse-"));
    }
    assert_int_equal(pass(w, v), 0);
}

/* Three replicas and three members of Keeper: one of each at a time, Keeper outlives its users, and nothing is left. */
static void keeper_changes_one_member_at_a_time_and_stops_last(void **state OH_UNUSED)
{
    static const unsigned char key[32] = {1};
    struct world w;
    struct wish v;
    world_init(&w);
    wish_init(&v, 1);
    v.services[0].replicas = 3;
    v.env.engine = BLUEPRINT_SERVER;
    v.env.replication_key = key;
    wish_render(&v);
    settle(&w, &v);
    assert_int_equal(w.n, 3 + 3 + 2);
    struct reconcile_service s = state_of(&w, &v, 0);
    assert_int_equal(s.state, SERVICE_RUNNING);
    assert_int_equal(s.ready, 3);
    assert_int_equal(s.replicas, 3);
    wish_clear(&v);
    v.env.clickhouse_image = "another"; /* a change of all six */
    wish_render(&v);
    settle_watching(&w, &v, false);
    wish_clear(&v);
    v.services[0].state = DESIRED_STOPPED;
    wish_render(&v);
    settle_watching(&w, &v, true);
    assert_int_equal(state_of(&w, &v, 0).state, SERVICE_STOPPED);
    wish_clear(&v);
    v.services[0].state = DESIRED_DELETED;
    v.services[0].delete_data = true;
    v.services[0].replicas = 2; /* it was larger once */
    wish_render(&v);
    settle(&w, &v);
    assert_int_equal(state_of(&w, &v, 0).state, SERVICE_GONE);
    assert_int_equal(w.n, 2);
    wish_clear(&v);
    reconcile_memory_free(w.memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(engines_come_before_the_ingress),
        cmocka_unit_test(nothing_to_do_does_nothing),
        cmocka_unit_test(stopping_waits_for_the_ingress),
        cmocka_unit_test(a_broken_ingress_holds_a_stop_only_for_the_bound),
        cmocka_unit_test(deletion_reports_gone_only_when_data_are_gone),
        cmocka_unit_test(kept_data_can_be_deleted_later),
        cmocka_unit_test(what_never_started_can_be_deleted),
        cmocka_unit_test(what_is_not_ours_is_left_alone),
        cmocka_unit_test(failures_are_tried_again_with_back_off),
        cmocka_unit_test(states_of_a_service),
        cmocka_unit_test(without_a_certificate_there_is_no_way_in),
        cmocka_unit_test(one_replica_changes_at_a_time),
        cmocka_unit_test(the_next_replica_waits_until_the_last_is_in_step),
        cmocka_unit_test(a_replica_goes_when_those_that_stay_are_in_step),
        cmocka_unit_test(a_failed_canary_stops_the_change_and_can_be_mended),
        cmocka_unit_test(keeper_changes_one_member_at_a_time_and_stops_last),
        cmocka_unit_test(engines_start_a_few_at_a_time),
        cmocka_unit_test(it_converges_from_every_history),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
