/* plan: applying, its order, its refusals, its retries. */
#include "../test.h"

#include "sim.h"

#define ADD(g, type, name, ...) assert_int_equal(plan_graph_add(g, type, name, json_pack(__VA_ARGS__), NULL, NULL), 0)

static int sim_setup(void **state)
{
    struct sim *s = mem_alloc(sizeof(*s));
    sim_init(s);
    *state = s;
    return 0;
}

static int sim_teardown(void **state)
{
    sim_free(*state);
    free(*state);
    return 0;
}

/* a <- b <- c, and a disk beside. */
static struct plan_graph *chain(int size, const char *zone)
{
    struct plan_graph *g = plan_graph_new();
    ADD(g, "node", "c", "{s:s, s:s}", "peer", "${node.b.id}", "note", "to ${node.b.address}");
    ADD(g, "node", "b", "{s:s, s:i}", "peer", "${node.a.id}", "size", size);
    ADD(g, "node", "a", "{s:s, s:s}", "zone", zone, "password", "sesame");
    ADD(g, "disk", "data", "{s:i}", "size", 1);
    return g;
}

static void go(struct sim *s, const struct plan_graph *g, enum plan_kind kind, bool delete_data)
{
    struct err err = ERR_INIT;
    int r = sim_go(s, g, kind, delete_data, NULL, &err);
    if (r < 0)
        fail_msg("%d %s", r, err.message);
}

static void check_empty(struct sim *s, const struct plan_graph *g)
{
    struct plan_context c = sim_context(s);
    autojson json_t *doc = NULL;
    assert_int_equal(plan_make(&c, g, PLAN_APPLY, false, &doc, NULL), 0);
    autofree char *text = js_text(doc);
    if (!plan_is_empty(doc))
        fail_msg("not settled: %s", text);
}

static void makes_in_order_and_settles(void **state)
{
    struct sim *s = *state;
    autograph struct plan_graph *g = chain(1, "x");
    s->slow = 2;
    go(s, g, PLAN_APPLY, false);
    assert_true(sim_log_at(s, "create node.a") < sim_log_at(s, "create node.b"));
    assert_true(sim_log_at(s, "create node.b") < sim_log_at(s, "create node.c"));
    const json_t *note = json_object_get(json_object_get(sim_object(s, "node.c"), "attributes"), "note");
    assert_string_equal(json_string_value(note), "to node.b.example");
    check_empty(s, g);
    size_t before = json_array_size(s->log);
    go(s, g, PLAN_APPLY, false);
    assert_int_equal(json_array_size(s->log), before);
    autofree char *records = js_text(s->records);
    assert_null(strstr(records, "sesame"));
}

static void replaces_from_the_leaves_and_back(void **state)
{
    struct sim *s = *state;
    autograph struct plan_graph *g = chain(1, "x"), *g2 OH_CLEANUP(plan_graph_freep) = chain(1, "y");
    go(s, g, PLAN_APPLY, false);
    go(s, g2, PLAN_APPLY, false);
    const char *order[] = {"destroy node.c", "destroy node.b", "destroy node.a",
                           "create node.a",  "create node.b",  "create node.c"};
    for (size_t i = 1; i < ARRAY_SIZE(order); i++)
        assert_true(sim_log_at(s, order[i - 1]) < sim_log_at(s, order[i]));
    check_empty(s, g2);
}

static void removes_in_reverse_and_names_leftovers(void **state)
{
    struct sim *s = *state;
    struct err err = ERR_INIT;
    autograph struct plan_graph *g = chain(1, "x");
    go(s, g, PLAN_APPLY, false);
    s->slow = 2;
    s->fail = "node.b";
    autojson json_t *result = NULL;
    assert_int_equal(sim_go(s, g, PLAN_REMOVE, false, &result, &err), -EACCES);
    assert_string_equal(err.message, "node.b: not allowed");
    autofree char *text = json_dumps(json_object_get(result, "leftovers"), JSON_COMPACT);
    assert_string_equal(
        text, "[{\"resource\":\"node.b\",\"why\":\"not allowed\"},"
              "{\"resource\":\"node.a\",\"why\":\"something that stands on it could not be removed, or removal was "
              "cancelled\"},"
              "{\"resource\":\"disk.data\",\"why\":\"it holds data, and deleting data was not asked for\"}]");
    s->fail = NULL;
    go(s, g, PLAN_REMOVE, false);
    assert_int_equal(json_array_size(s->objects), 1);
    go(s, g, PLAN_REMOVE, true);
    assert_int_equal(json_array_size(s->objects), 0);
    assert_int_equal(json_object_size(s->records), 0);
}

static void what_left_the_graph_goes(void **state)
{
    struct sim *s = *state;
    autograph struct plan_graph *g = plan_graph_new(), *g2 OH_CLEANUP(plan_graph_freep) = plan_graph_new();
    ADD(g, "node", "a", "{}");
    ADD(g, "node", "b", "{s:s}", "link", "${node.a.id}");
    ADD(g2, "node", "b", "{s:s}", "link", "none");
    go(s, g, PLAN_APPLY, false);
    go(s, g2, PLAN_APPLY, false);
    assert_null(sim_object(s, "node.a"));
    /* b lets go of a before a is taken away. */
    assert_true(sim_log_at(s, "change node.b") < sim_log_at(s, "destroy node.a"));
    assert_int_equal(json_object_size(s->records), 1);
}

struct approved {
    struct plan_context c;
    json_t *doc;
    char digest[65];
};

static void approve(struct approved *a, struct sim *s, const struct plan_graph *g)
{
    a->c = sim_context(s);
    assert_int_equal(plan_make(&a->c, g, PLAN_APPLY, false, &a->doc, NULL), 0);
    assert_int_equal(plan_digest(a->doc, a->digest, NULL), 0);
}

static void refuses_what_was_not_approved(void **state)
{
    struct sim *s = *state;
    struct err err = ERR_INIT;
    struct approved a;
    autograph struct plan_graph *g = chain(1, "x"), *g2 OH_CLEANUP(plan_graph_freep) = chain(2, "x");
    approve(&a, s, g);
    char other[65];
    memset(other, 'a', 64);
    other[64] = 0;
    assert_int_equal(plan_apply(&a.c, g, a.doc, other, &s->j, NULL, &err), -EINVAL);
    json_object_set_new(a.doc, "delete_data", json_true());
    assert_int_equal(plan_apply(&a.c, g, a.doc, a.digest, &s->j, NULL, &err), -EINVAL);
    json_object_set_new(a.doc, "delete_data", json_false());
    assert_int_equal(plan_apply(&a.c, g2, a.doc, a.digest, &s->j, NULL, &err), -ESTALE);
    assert_string_equal(err.message, "what should be has changed since the plan was made: plan again");
    a.c.infrastructure = "another";
    assert_int_equal(plan_apply(&a.c, g, a.doc, a.digest, &s->j, NULL, &err), -EINVAL);
    assert_int_equal(json_array_size(s->log), 0);
    assert_int_equal(json_array_size(s->journal), 0);
    json_decref(a.doc);
}

static void refuses_when_the_world_has_moved(void **state)
{
    struct sim *s = *state;
    struct err err = ERR_INIT;
    struct approved a;
    autograph struct plan_graph *g = chain(1, "x"), *g2 OH_CLEANUP(plan_graph_freep) = chain(2, "x");
    go(s, g, PLAN_APPLY, false);
    approve(&a, s, g2);
    json_object_set_new(json_object_get(sim_object(s, "node.c"), "attributes"), "note", json_string("by hand"));
    size_t before = json_array_size(s->log);
    assert_int_equal(plan_apply(&a.c, g2, a.doc, a.digest, &s->j, NULL, &err), -ESTALE);
    assert_string_equal(err.message, "the world has moved since the plan was made (node.c has changed): plan again");
    assert_int_equal(json_array_size(s->log), before);
    json_decref(a.doc);
    approve(&a, s, g2);
    assert_int_equal(plan_apply(&a.c, g2, a.doc, a.digest, &s->j, NULL, &err), 0);
    json_decref(a.doc);
    check_empty(s, g2);
}

static void data_is_not_destroyed_by_the_way(void **state)
{
    struct sim *s = *state;
    struct err err = ERR_INIT;
    autograph struct plan_graph *g = plan_graph_new(), *g2 OH_CLEANUP(plan_graph_freep) = plan_graph_new();
    ADD(g, "disk", "data", "{s:s}", "zone", "x");
    ADD(g2, "disk", "data", "{s:s}", "zone", "y");
    go(s, g, PLAN_APPLY, false);
    assert_int_equal(sim_go(s, g2, PLAN_APPLY, false, NULL, &err), -EPERM);
    assert_int_equal(sim_log_at(s, "destroy disk.data"), -1);
    go(s, g2, PLAN_APPLY, true);
    assert_true(sim_log_at(s, "destroy disk.data") >= 0);
}

static void a_failure_stops_only_what_stands_on_it(void **state)
{
    struct sim *s = *state;
    struct err err = ERR_INIT;
    autojson json_t *result = NULL;
    autograph struct plan_graph *g = chain(1, "x");
    s->fail = "node.b";
    assert_int_equal(sim_go(s, g, PLAN_APPLY, false, &result, &err), -EACCES);
    assert_string_equal(err.message, "node.b: not allowed");
    autofree char *text = json_dumps(result, JSON_COMPACT | JSON_SORT_KEYS);
    assert_non_null(strstr(text, "\"blocked\":[\"node.c\"]"));
    assert_non_null(strstr(text, "\"failed\":[{\"error\":\"not allowed\",\"resource\":\"node.b\"}]"));
    assert_non_null(sim_object(s, "disk.data"));
    s->fail = NULL;
    go(s, g, PLAN_APPLY, false);
    assert_int_equal(sim_count(s, "node.a"), 1);
    check_empty(s, g);
}

static void throttling_and_lost_answers_double_nothing(void **state)
{
    for (int every = 3; every < 7; every++) {
        struct sim *s = *state;
        autograph struct plan_graph *g = chain(1, "x");
        s->throttle = every;
        go(s, g, PLAN_APPLY, false);
        assert_int_equal(json_array_size(s->objects), 4);
        go(s, g, PLAN_REMOVE, true);
        assert_int_equal(json_array_size(s->objects), 0);
    }
}

static void what_may_have_been_made_is_looked_for(void **state)
{
    struct sim *s = *state;
    autograph struct plan_graph *g = plan_graph_new();
    ADD(g, "shy", "a", "{s:i}", "size", 1);
    s->lose = "shy.a";
    s->unseen = 5;
    go(s, g, PLAN_APPLY, false);
    assert_int_equal(sim_count(s, "shy.a"), 1);
    check_empty(s, g);
}

static void what_was_not_made_is_made_after_a_time(void **state)
{
    struct sim *s = *state;
    struct approved a;
    autograph struct plan_graph *g = plan_graph_new();
    ADD(g, "shy", "a", "{s:i}", "size", 1);
    approve(&a, s, g);
    a.c.settle_max_ms = 30;
    s->refuse = "shy.a";
    int64_t since = clock_mono_ms(a.c.clock);
    assert_int_equal(plan_apply(&a.c, g, a.doc, a.digest, &s->j, NULL, NULL), 0);
    assert_true(clock_mono_ms(a.c.clock) - since >= 30);
    assert_int_equal(sim_count(s, "shy.a"), 1);
    json_decref(a.doc);
}

static void what_came_to_its_end_leaves_no_doubt(void **state)
{
    struct sim *s = *state;
    struct plan_context c = sim_context(s);
    autograph struct plan_graph *g = plan_graph_new();
    ADD(g, "shy", "a", "{s:i}", "size", 1);
    go(s, g, PLAN_APPLY, false);
    go(s, g, PLAN_REMOVE, true);
    int64_t since = clock_mono_ms(c.clock);
    go(s, g, PLAN_APPLY, false); /* the same plan as the first, by its digest */
    assert_true(clock_mono_ms(c.clock) - since < 55000);
    assert_int_equal(sim_count(s, "shy.a"), 1);
}

static void parallel_but_bounded(void **state)
{
    struct sim *s = *state;
    struct plan_context c = sim_context(s);
    struct approved a;
    autograph struct plan_graph *g = plan_graph_new();
    char name[16];
    for (int i = 0; i < 12; i++) {
        snprintf(name, sizeof(name), "n%d", i);
        ADD(g, "node", name, "{s:i}", "size", i);
    }
    s->wait_ms = 20;
    approve(&a, s, g);
    a.c.threads = 3;
    assert_int_equal(plan_apply(&a.c, g, a.doc, a.digest, &s->j, NULL, NULL), 0);
    assert_int_equal(s->most_running, 3);
    assert_int_equal(c.threads, 0);
    json_decref(a.doc);
}

/* Going up and coming down: c waits for b, b for a, and the disks for nobody. */
static void what_the_longest_chain_waits_for_goes_first(void **state)
{
    struct sim *s = *state;
    struct approved a;
    autograph struct plan_graph *g = plan_graph_new();
    ADD(g, "disk", "one", "{s:i}", "size", 1);
    ADD(g, "node", "alone", "{s:i}", "size", 1);
    ADD(g, "node", "c", "{s:s}", "peer", "${node.b.id}");
    ADD(g, "node", "b", "{s:s}", "peer", "${node.a.id}");
    ADD(g, "node", "a", "{s:i}", "size", 1);
    approve(&a, s, g);
    a.c.threads = 1;
    assert_int_equal(plan_apply(&a.c, g, a.doc, a.digest, &s->j, NULL, NULL), 0);
    json_decref(a.doc);
    assert_true(sim_log_at(s, "create node.a") < sim_log_at(s, "create node.alone"));
    assert_true(sim_log_at(s, "create node.a") < sim_log_at(s, "create disk.one"));
    struct plan_context c = sim_context(s);
    json_t *doc;
    char digest[65];
    c.threads = 1;
    assert_int_equal(plan_make(&c, g, PLAN_REMOVE, true, &doc, NULL), 0);
    assert_int_equal(plan_digest(doc, digest, NULL), 0);
    assert_int_equal(plan_apply(&c, g, doc, digest, &s->j, NULL, NULL), 0);
    json_decref(doc);
    assert_true(sim_log_at(s, "destroy node.c") < sim_log_at(s, "destroy node.alone"));
    assert_true(sim_log_at(s, "destroy node.c") < sim_log_at(s, "destroy disk.one"));
}

static atomic_bool stop;

static void stop_after_first(void *data OH_UNUSED, const struct plan_progress *p)
{
    if (p->event == PLAN_EVENT_DONE)
        atomic_store(&stop, true);
}

static void cancel_leaves_a_plan_that_goes_on(void **state)
{
    struct sim *s = *state;
    struct err err = ERR_INIT;
    struct approved a;
    autograph struct plan_graph *g = chain(1, "x");
    approve(&a, s, g);
    a.c.cancel = &stop;
    a.c.progress = stop_after_first;
    a.c.threads = 1;
    assert_int_equal(plan_apply(&a.c, g, a.doc, a.digest, &s->j, NULL, &err), -ECANCELED);
    assert_true(json_array_size(s->objects) < 4);
    atomic_store(&stop, false);
    a.c.progress = NULL;
    assert_int_equal(plan_apply(&a.c, g, a.doc, a.digest, &s->j, NULL, &err), 0);
    assert_int_equal(json_array_size(s->objects), 4);
    /* Once more changes nothing. */
    size_t log = json_array_size(s->log), journal = json_array_size(s->journal);
    assert_int_equal(plan_apply(&a.c, g, a.doc, a.digest, &s->j, NULL, &err), 0);
    assert_int_equal(json_array_size(s->log), log);
    assert_int_equal(json_array_size(s->journal), journal);
    json_decref(a.doc);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, sim_setup, sim_teardown)
    const struct CMUnitTest tests[] = {
        T(makes_in_order_and_settles),
        T(replaces_from_the_leaves_and_back),
        T(removes_in_reverse_and_names_leftovers),
        T(what_left_the_graph_goes),
        T(refuses_what_was_not_approved),
        T(refuses_when_the_world_has_moved),
        T(data_is_not_destroyed_by_the_way),
        T(a_failure_stops_only_what_stands_on_it),
        T(throttling_and_lost_answers_double_nothing),
        T(what_may_have_been_made_is_looked_for),
        T(what_was_not_made_is_made_after_a_time),
        T(what_came_to_its_end_leaves_no_doubt),
        T(parallel_but_bounded),
        T(what_the_longest_chain_waits_for_goes_first),
        T(cancel_leaves_a_plan_that_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
