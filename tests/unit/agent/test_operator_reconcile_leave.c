/* agent/operator/reconcile: a replica that nobody wants any more hands over what it has before it goes. */
#include "reconcile_world.h"

/* What a look would do; true: remove the third. */
static bool removes(struct world *w, struct wish *v, unsigned leaving, const char *words)
{
    struct runtime_status_list observed;
    autoplan struct reconcile_plan p;
    plan(w, v, &observed, &p);
    assert_int_equal(p.services[0].leaving, leaving);
    bool removal = p.n_actions == 1 && !p.actions[0].workload;
    if (removal && words)
        assert_non_null(strstr(p.actions[0].note, words));
    else if (removal)
        assert_null(p.actions[0].note);
    runtime_status_list_free(&observed);
    return removal;
}

/* 0: it hands over and goes. 1: it cannot, and goes at the bound. 2: minds change. 3: no other serves. 4: it is down.
 */
static void a_replica_hands_over_before_it_goes(void **state OH_UNUSED)
{
    for (int k = 0; k < 5; k++) {
        struct handover_said left = {.taken = REPLICA_BEHIND, .alone = 0, .table = "`a`.`b`"};
        struct world w;
        struct wish v;
        world_init(&w);
        wish_init(&v, 1);
        replicas(&v, 3, 'a');
        w.judged = true;
        w.left = &left;
        pass(&w, &v);
        tick(&w, 1000);
        wish_clear(&v);
        replicas(&v, 2, 'a');
        for (int i = 0; k == 3 && i < 2; i++)
            find(&w, v.list.items[i].name)->state = RUNTIME_FAILED;
        if (k == 4)
            w.items[2].state = RUNTIME_FAILED;
        int64_t end = w.now + (k == 4 ? HANDOVER_MUTE_MS : HANDOVER_BOUND_MS);
        while (w.now < end) {
            assert_false(removes(&w, &v, 4, NULL));
            w.now += 10000;
            if (k == 0 && w.now > 100000)
                break;
            if (k == 2 && w.now > 100000 &&
                w.now < 200000) { /* a new agent, which knows nothing, and then a new mind */
                reconcile_memory_free(w.memory);
                w.memory = reconcile_memory_new();
                end = w.now + HANDOVER_BOUND_MS;
            }
        }
        if (k == 0)
            left.taken = REPLICA_SYNCED;
        if (k == 2) {
            wish_clear(&v);
            replicas(&v, 3, 'a');
            assert_false(removes(&w, &v, 0, NULL));
            wish_clear(&v);
            replicas(&v, 2, 'a');
            assert_false(removes(&w, &v, 4, NULL)); /* its time begins anew */
        } else if (k == 3) {
            assert_false(removes(&w, &v, 4, NULL));
        } else {
            assert_true(removes(&w, &v, 4, k == 0 ? NULL : k == 1 ? "`a`.`b`" : "it is down"));
        }
        wish_clear(&v);
        reconcile_memory_free(w.memory);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_replica_hands_over_before_it_goes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
