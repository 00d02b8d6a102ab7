/* The plan engine's memory in a real store: records that come back as they were, and journal phases by token. */
#include "control/controller/plan_store.h"

#include "control_fixture.h"

#define PLAN "00000000-0000-4000-8000-00000000000c"
#define PLAN2 "00000000-0000-4000-8000-00000000000d"
#define OTHER "00000000-0000-4000-8000-00000000000e"
#define NOW_MS 7000

struct fixture {
    char *dir, *path;
    struct store *store;
    struct clock_manual clock;
    struct plan_store plan;
};

static int setup(void **state)
{
    struct fixture *f = mem_alloc(sizeof(*f));
    void *dir = NULL;
    if (scratch_setup(&dir) < 0)
        return -1;
    f->dir = dir;
    f->path = mem_printf("%s/control.db", f->dir);
    clock_manual_init(&f->clock, NOW_MS);
    f->store = new_store(f->path);
    sql(f->store, "INSERT INTO infrastructure (id, organization_id, account_id, name, display_name, provider, region, "
                  "cidr, zones, domain, config, state, want, created_at) VALUES ('" OTHER "', '" ORG "', 'acc', 'two', "
                  "'Two', 'local', 'l', '', '[]', 'two.example', '{}', 'infra-ready', 'present', 0)");
    sql(f->store, "INSERT INTO plan (id, infrastructure_id, kind, state, digest, document, created_at) VALUES "
                  "('" PLAN "', '" INFRA "', 'apply', 'applying', '', '', 0), "
                  "('" PLAN2 "', '" INFRA "', 'apply', 'proposed', '', '', 0)");
    plan_store_init(&f->plan, f->store, &f->clock.clock, INFRA, PLAN);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    void *dir = f->dir;
    store_close(f->store);
    free(f->path);
    free(f);
    return scratch_teardown(&dir);
}

static void save(struct plan_store *p, const char *type, const char *name, const char *record)
{
    autojson json_t *v = json_loads(record, 0, NULL);
    assert_non_null(v);
    assert_int_equal(p->state.save(&p->state, type, name, v, NULL), 0);
}

static void assert_record(struct plan_store *p, const char *type, const char *name, const char *expected)
{
    autojson json_t *got = json_null();
    assert_int_equal(p->state.load(&p->state, type, name, &got, NULL), 0);
    if (!expected) {
        assert_null(got);
        return;
    }
    autojson json_t *v = json_loads(expected, 0, NULL);
    assert_true(json_equal(got, v));
}

static void records_come_back_as_they_were(void **state)
{
    struct fixture *f = *state;
    struct plan_store *p = &f->plan;
    assert_record(p, "machine", "one", NULL);
    save(p, "machine", "one", "{\"a\":1,\"b\":[true,null,\"\\u00fc'\\\"\"],\"big\":9007199254740993}");
    save(p, "machine", "two", "{}");
    save(p, "network", "one", "{\"n\":1}");
    assert_record(p, "machine", "one", "{\"a\":1,\"b\":[true,null,\"\\u00fc'\\\"\"],\"big\":9007199254740993}");
    assert_record(p, "network", "one", "{\"n\":1}");
    save(p, "machine", "one", "{\"a\":2}");
    assert_record(p, "machine", "one", "{\"a\":2}");
    assert_record(p, "machine", "two", "{}");
    assert_int_equal(number(f->store, "SELECT count(*) FROM resource"), 3);
    assert_int_equal(number(f->store, "SELECT max(updated_at) FROM resource"), NOW_MS);
    /* Durable: another connection has it. */
    autostore struct store *other = NULL;
    struct plan_store again;
    assert_int_equal(store_open(f->path, STORE_EXISTING, &other, NULL), 0);
    plan_store_init(&again, other, &f->clock.clock, INFRA, PLAN);
    assert_record(&again, "machine", "one", "{\"a\":2}");
}

static void forgetting_takes_only_that_one(void **state)
{
    struct fixture *f = *state;
    struct plan_store *p = &f->plan, two;
    plan_store_init(&two, f->store, &f->clock.clock, OTHER, PLAN);
    save(p, "machine", "one", "{\"of\":1}");
    save(p, "machine", "two", "{\"of\":1}");
    save(&two, "machine", "one", "{\"of\":2}");
    assert_int_equal(p->state.forget(&p->state, "machine", "one", NULL), 0);
    assert_int_equal(p->state.forget(&p->state, "machine", "one", NULL), 0); /* absent is fine */
    assert_record(p, "machine", "one", NULL);
    assert_record(p, "machine", "two", "{\"of\":1}");
    assert_record(&two, "machine", "one", "{\"of\":2}");
}

static void the_list_is_of_one_infrastructure(void **state)
{
    struct fixture *f = *state;
    struct plan_store *p = &f->plan, two;
    autojson json_t *none = NULL, *all = NULL;
    plan_store_init(&two, f->store, &f->clock.clock, OTHER, PLAN);
    assert_int_equal(p->state.list(&p->state, &none, NULL), 0);
    assert_int_equal(json_array_size(none), 0);
    save(p, "network", "one", "{\"x\":1}");
    save(p, "machine", "one", "{\"x\":2}");
    save(&two, "machine", "one", "{\"x\":3}");
    assert_int_equal(p->state.list(&p->state, &all, NULL), 0);
    autojson json_t *expected = json_loads("[{\"type\":\"machine\",\"name\":\"one\",\"record\":{\"x\":2}},"
                                           "{\"type\":\"network\",\"name\":\"one\",\"record\":{\"x\":1}}]",
                                           0, NULL);
    assert_true(json_equal(all, expected));
}

static void a_damaged_record_is_an_error(void **state)
{
    struct fixture *f = *state;
    struct plan_store *p = &f->plan;
    json_t *v = NULL;
    save(p, "machine", "one", "{}");
    sql(f->store, "UPDATE resource SET attributes = '{'");
    assert_int_equal(p->state.load(&p->state, "machine", "one", &v, NULL), -EINVAL);
    assert_null(v);
    assert_int_equal(p->state.list(&p->state, &v, NULL), -EINVAL);
    assert_null(v);
}

static enum plan_phase phase(struct plan_store *p, const struct plan_step *step)
{
    enum plan_phase got = (enum plan_phase) - 1;
    assert_int_equal(p->journal.phase(&p->journal, step, &got, NULL), 0);
    return got;
}

static void the_last_phase_of_a_token_wins(void **state)
{
    static const struct plan_step make = {"d", "machine", "one", "machine.one", PLAN_CREATE, "token-1"},
                                  other = {"d", "machine", "one", "machine.one", PLAN_DESTROY, "token-2"};
    struct fixture *f = *state;
    struct plan_journal *j = &f->plan.journal;
    struct plan_store second;
    struct err why = ERR_INIT;
    autojson json_t *attributes = json_pack("{s:s}", "address", "10.0.0.1");
    plan_store_init(&second, f->store, &f->clock.clock, INFRA, PLAN2);
    assert_int_equal(phase(&f->plan, &make), PLAN_PHASE_NONE);
    assert_int_equal(j->begin(j, &make, NULL), 0);
    assert_int_equal(phase(&f->plan, &make), PLAN_PHASE_BEGIN);
    assert_int_equal(phase(&f->plan, &other), PLAN_PHASE_NONE);
    (void)!err_set(&why, -EIO, "the cloud said no");
    assert_int_equal(j->failed(j, &make, &why, NULL), 0);
    assert_int_equal(phase(&f->plan, &make), PLAN_PHASE_FAILED);
    assert_words(f->store, "SELECT detail FROM journal WHERE phase = 'failed'", "the cloud said no");
    assert_int_equal(j->begin(j, &make, NULL), 0); /* again, after the failure */
    assert_int_equal(phase(&f->plan, &make), PLAN_PHASE_BEGIN);
    assert_int_equal(j->begin(j, &other, NULL), 0);
    assert_int_equal(j->done(j, &make, attributes, NULL), 0);
    assert_int_equal(phase(&f->plan, &make), PLAN_PHASE_DONE);
    assert_int_equal(phase(&f->plan, &other), PLAN_PHASE_BEGIN);
    assert_int_equal(j->done(j, &other, NULL, NULL), 0);
    assert_int_equal(phase(&f->plan, &other), PLAN_PHASE_DONE);
    /* Another plan begins anew, even with the same token. */
    assert_int_equal(phase(&second, &make), PLAN_PHASE_NONE);
    assert_words(f->store,
                 "SELECT group_concat(resource || ' ' || action || ' ' || phase || ' ' || token || ' ' || detail, ';') "
                 "FROM (SELECT * FROM journal WHERE phase = 'done' ORDER BY seq)",
                 "machine.one create done token-1 {\"address\":\"10.0.0.1\"};machine.one destroy done token-2 ");
    assert_int_equal(number(f->store, "SELECT count(*) FROM journal WHERE infrastructure_id = '" INFRA "'"), 6);
    assert_int_equal(number(f->store, "SELECT min(at) FROM journal"), NOW_MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(records_come_back_as_they_were, setup, teardown),
        cmocka_unit_test_setup_teardown(forgetting_takes_only_that_one, setup, teardown),
        cmocka_unit_test_setup_teardown(the_list_is_of_one_infrastructure, setup, teardown),
        cmocka_unit_test_setup_teardown(a_damaged_record_is_an_error, setup, teardown),
        cmocka_unit_test_setup_teardown(the_last_phase_of_a_token_wins, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
