/* agent/operator/orders: what is begun, refused, carried on over restarts, and never taken away without the others. */
#include "../test.h"

#include "agent/operator/orders.h"
#include "base/js.h"
#include "blueprint/blueprint.h"

#define SERVICE "11111111-1111-4111-8111-111111111111"
#define REQUEST "22222222-2222-4222-8222-222222222222"
#define OTHER "33333333-3333-4333-8333-333333333333"
#define REPLICA_2 "clickhouse-" SERVICE "-2"

static const unsigned char key[32] = {1};

/* Three replicas of a server, and a runtime that counts what it is asked to remove. */
struct world {
    struct runtime runtime;
    struct desired_service service;
    struct desired desired;
    struct blueprint_env env;
    struct replica_view view;
    struct runtime_status items[3];
    struct runtime_status_list observed;
    struct workload workloads[3];
    struct workload_env labels[1];
    struct workload_list wanted;
    char digests[3][65];
    struct upgrades upgrades;
    struct orders orders;
    struct order_place p;
    char *path, *images;
    bool no_view;
    int removed;
    bool purged;
    unsigned reattach;
    int64_t queries;
};

static int fake_remove(struct runtime *rt, const char *name, bool delete_data, struct err *err OH_UNUSED)
{
    struct world *w = CONTAINER_OF(rt, struct world, runtime);
    assert_string_equal(name, REPLICA_2);
    w->removed++;
    w->purged = delete_data;
    return 0;
}

static const struct runtime_ops ops = {.remove = fake_remove};

static const struct replica_view *view(const char *service, void *data)
{
    struct world *w = data;
    assert_string_equal(service, SERVICE);
    return w->no_view ? NULL : &w->view;
}

static void reattach(const char *service OH_UNUSED, unsigned replicas, void *data)
{
    ((struct world *)data)->reattach = replicas;
}

static int64_t queries(const char *workload, void *data)
{
    assert_string_equal(workload, REPLICA_2);
    return ((struct world *)data)->queries;
}

static int setup(void **state)
{
    static const char *const names[] = {"clickhouse-" SERVICE "-0", "clickhouse-" SERVICE "-1", REPLICA_2};
    void *dir = NULL;
    if (scratch_setup(&dir) < 0)
        return -1;
    struct world *w = mem_alloc(sizeof(*w));
    *w = (struct world){
        .runtime = {.ops = &ops},
        .service = {.id = SERVICE, .name = "demo", .state = DESIRED_RUNNING, .replicas = 3},
        .env = {.engine = BLUEPRINT_SERVER, .replication_key = key},
        .view = {.placed = 7, .serving = 7, .wanted = 3},
        .labels = {{BLUEPRINT_SERVICE, SERVICE}},
    };
    for (int i = 0; i < 3; i++) {
        w->view.said[i] = (struct replica_said){.known = true, .tables = 5, .schema = "a"};
        snprintf(w->digests[i], sizeof(w->digests[i]), "d%d", i);
        w->items[i] = (struct runtime_status){.name = names[i], .state = RUNTIME_RUNNING};
        memcpy(w->items[i].digest, w->digests[i], sizeof(w->digests[i]));
        w->workloads[i] = (struct workload){.name = names[i], .labels = w->labels, .n_labels = 1};
    }
    w->desired = (struct desired){.services = &w->service, .n_services = 1};
    w->observed = (struct runtime_status_list){.items = w->items, .n = 3};
    w->wanted = (struct workload_list){.items = w->workloads, .n = 3};
    w->path = mem_printf("%s/orders.json", (char *)dir);
    w->images = mem_printf("%s/images.json", (char *)dir);
    free(dir);
    upgrades_open(&w->upgrades, w->images);
    orders_open(&w->orders, w->path);
    w->p = (struct order_place){.desired = &w->desired,
                                .env = &w->env,
                                .wanted = &w->wanted,
                                .digests = (const char(*)[65])w->digests,
                                .observed = &w->observed,
                                .runtime = &w->runtime,
                                .upgrades = &w->upgrades,
                                .now_ms = 1000000,
                                .view = view,
                                .reattach = reattach,
                                .queries = queries,
                                .data = w};
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    orders_free(&w->orders);
    upgrades_free(&w->upgrades);
    char *slash = strrchr(w->path, '/');
    *slash = '\0';
    void *dir = w->path;
    free(w->images);
    free(w);
    return scratch_teardown(&dir);
}

static int begin(struct world *w, const char *request, const char *operation, int replica, struct err *err)
{
    autojson json_t *arguments = json_pack("{ss}", "service", SERVICE);
    if (replica >= 0)
        json_object_set_new(arguments, "replica", json_integer(replica));
    *err = (struct err)ERR_INIT;
    return orders_begin(&w->orders, &w->p, request, operation, arguments, err);
}

static void begun(struct world *w, const char *request, const char *operation, int replica)
{
    struct err err = ERR_INIT;
    if (begin(w, request, operation, replica, &err) < 0)
        fail_msg("%s", err.message);
}

/* Refused, and nothing of it is left. */
static void refused(struct world *w, const char *operation, int replica, int code, const char *why)
{
    struct err err = ERR_INIT;
    autojson json_t *before = orders_describe(&w->orders), *after = NULL;
    autojson json_t *kept = json_deep_copy(before);
    assert_int_equal(begin(w, OTHER, operation, replica, &err), code);
    if (!strstr(err.message, why))
        fail_msg("\"%s\" lacks \"%s\"", err.message, why);
    after = orders_describe(&w->orders);
    assert_true(json_equal(kept, after));
}

static bool step(struct world *w)
{
    struct err err = ERR_INIT;
    bool changed = orders_step(&w->orders, &w->p);
    assert_int_equal(orders_keep(&w->orders, &err), 0);
    return changed;
}

static void again(struct world *w)
{
    orders_free(&w->orders);
    orders_open(&w->orders, w->path);
}

static unsigned drained(struct world *w)
{
    orders_mark(&w->orders, &w->desired);
    return w->service.drained;
}

static void settled(struct world *w, const char *request, bool done, const char *why)
{
    const char *operation = "", *told = "";
    bool is_done = !done;
    const char *id = orders_settled(&w->orders, &operation, &is_done, &told);
    assert_non_null(id);
    assert_string_equal(id, request);
    assert_int_equal(is_done, done);
    if (!strstr(told, why))
        fail_msg("\"%s\" lacks \"%s\"", told, why);
    orders_told(&w->orders, id);
    assert_null(orders_settled(&w->orders, &operation, &is_done, &told));
}

static bool nothing_settled(struct world *w)
{
    const char *operation, *why;
    bool done;
    return !orders_settled(&w->orders, &operation, &done, &why);
}

/* ---- drain ---- */

static void a_replica_is_drained_and_comes_back(void **state)
{
    struct world *w = *state;
    begun(w, REQUEST, "service.drain", 2);
    assert_int_equal(drained(w), 4);
    step(w);
    assert_true(nothing_settled(w));
    again(w); /* the agent starts anew: it is carried on */
    w->p.ingress_told = true;
    step(w);
    settled(w, REQUEST, true, "");
    again(w);
    assert_int_equal(drained(w), 4);
    refused(w, "service.drain", 2, -EALREADY, "drained already");
    begun(w, REQUEST, "service.undrain", 2);
    assert_int_equal(drained(w), 0);
    step(w);
    settled(w, REQUEST, true, "");
    refused(w, "service.undrain", 2, -EALREADY, "not drained");
}

static void somebody_is_left(void **state)
{
    struct world *w = *state;
    w->p.ingress_told = true;
    begun(w, REQUEST, "service.drain", 0);
    step(w);
    settled(w, REQUEST, true, "");
    w->view.serving = 1 | 4; /* 1 does not answer */
    refused(w, "service.drain", 2, -EPERM, "no other replica");
    w->view.serving = 7;
    begun(w, REQUEST, "service.drain", 1);
    step(w);
    settled(w, REQUEST, true, "");
    refused(w, "service.drain", 2, -EPERM, "no other replica");
    refused(w, "service.rebuild-replica", 2, -EPERM, "drained");
}

static void an_ingress_that_does_not_listen(void **state)
{
    struct world *w = *state;
    begun(w, REQUEST, "service.drain", 1);
    w->p.now_ms += ORDERS_TOLD_MS;
    assert_true(step(w));
    settled(w, REQUEST, false, "in use again");
    assert_int_equal(drained(w), 0);
}

static void one_replica_is_never_left_out(void **state)
{
    struct world *w = *state;
    w->env.engine = BLUEPRINT_EMBEDDED;
    refused(w, "service.drain", 0, -ENOTSUP, "embedded engine serves alone");
    refused(w, "service.undrain", 0, -ENOTSUP, "one replica");
    refused(w, "service.rebuild-replica", 0, -ENOTSUP, "one replica");
    refused(w, "service.reattach", 0, -ENOTSUP, "not registered in any Keeper");
    refused(w, "service.upgrade", -1, -ENOTSUP, "not an image");
    refused(w, "service.backup", -1, -ENOTSUP, "no place");
}

static void what_is_asked_for_must_be_there(void **state)
{
    struct world *w = *state;
    refused(w, "service.drain", 3, -EINVAL, "replicas 0 to 2");
    refused(w, "service.drain", -1, -EINVAL, "arguments.replica");
    refused(w, "service.backup", 1, -EINVAL, "arguments.replica");
    refused(w, "service.melt", -1, -ENOTSUP, "service.melt");
    begun(w, REQUEST, "service.drain", 1);
    refused(w, "service.rebuild-replica", 2, -EBUSY, REQUEST);
    w->service.asleep = true;
    refused(w, "service.drain", 1, -EPERM, "asleep");
    w->service.asleep = false;
    w->service.state = DESIRED_STOPPED;
    refused(w, "service.drain", 1, -ENOENT, "no running service");
    step(w);
    settled(w, REQUEST, false, "stopped");
    assert_int_equal(drained(w), 0);
}

/* ---- rebuild ---- */

static void a_replica_is_rebuilt(void **state)
{
    struct world *w = *state;
    begun(w, REQUEST, "service.rebuild-replica", 2);
    assert_int_equal(drained(w), 4);
    w->queries = 1;
    step(w);
    w->p.ingress_told = true;
    step(w); /* a query runs there */
    assert_false(orders_holds(&w->orders, REPLICA_2));
    w->queries = 0;
    w->p.locked = true;
    step(w);
    assert_false(orders_holds(&w->orders, REPLICA_2)); /* not while the data plane is locked */
    w->p.locked = false;
    step(w);
    assert_true(orders_holds(&w->orders, REPLICA_2));
    assert_int_equal(w->removed, 0); /* first on the disk */
    again(w);
    step(w);
    assert_int_equal(w->removed, 1);
    assert_true(w->purged);
    w->p.now_ms += ORDERS_REMOVE_AGAIN_MS;
    step(w);
    assert_int_equal(w->removed, 2);
    w->observed.n = 2;
    w->view.serving = 3;
    step(w);
    assert_false(orders_holds(&w->orders, REPLICA_2)); /* it may be placed */
    w->observed.n = 3;
    w->view.serving = 7;
    w->view.said[2].tables = 0;
    step(w);
    assert_true(nothing_settled(w));
    assert_int_equal(drained(w), 4); /* nothing is sent to it before it has everything */
    w->view.said[2].tables = 5;
    assert_true(step(w));
    settled(w, REQUEST, true, "");
    assert_int_equal(drained(w), 0);
    assert_int_equal(w->removed, 2);
}

static void nothing_is_rebuilt_from_who_lacks_something(void **state)
{
    struct world *w = *state;
    w->view.serving = 6;
    refused(w, "service.rebuild-replica", 2, -EPERM, "replica 0 of service demo does not serve");
    w->view.serving = 7;
    w->view.said[1].readonly = 1;
    refused(w, "service.rebuild-replica", 2, -EPERM, "replica 1 of service demo is not in step");
    w->view.said[1].readonly = 0;
    w->view.said[2].tables = 6; /* it alone has a table */
    refused(w, "service.rebuild-replica", 2, -EPERM, "would be lost");
    w->view.said[2].tables = 5;
    w->no_view = true;
    refused(w, "service.rebuild-replica", 2, -ENOTSUP, "no user");
    w->no_view = false;
    /* And again before anything is taken away. */
    begun(w, REQUEST, "service.rebuild-replica", 2);
    w->p.ingress_told = true;
    w->view.said[0].delay_s = REPLICA_LAG_S + 1;
    assert_true(step(w));
    settled(w, REQUEST, false, "replica 0");
    assert_int_equal(w->removed, 0);
    assert_int_equal(drained(w), 0);
}

static void queries_are_let_end_for_a_while(void **state)
{
    struct world *w = *state;
    begun(w, REQUEST, "service.rebuild-replica", 2);
    w->p.ingress_told = true;
    w->queries = 3;
    w->p.now_ms += ORDERS_QUIET_MS - 1;
    step(w);
    assert_false(orders_holds(&w->orders, REPLICA_2));
    w->p.now_ms++;
    step(w);
    assert_true(orders_holds(&w->orders, REPLICA_2));
}

/* ---- the others ---- */

static void tables_are_registered_anew(void **state)
{
    struct world *w = *state;
    refused(w, "service.reattach", 1, -EALREADY, "can write every table");
    for (int i = 0; i < 3; i++)
        w->view.said[i].readonly = 2; /* Keeper has lost everything */
    begun(w, REQUEST, "service.reattach", 1);
    step(w);
    assert_int_equal(w->reattach, 2);
    w->view.said[1].readonly = 0;
    step(w);
    assert_int_equal(w->reattach, 0);
    settled(w, REQUEST, true, "");
    begun(w, REQUEST, "service.reattach", 0);
    w->p.now_ms += ORDERS_REATTACH_MS;
    step(w);
    assert_int_equal(w->reattach, 0);
    settled(w, REQUEST, false, "can still not be written");
}

static void an_upgrade_does_not_wait_for_its_window(void **state)
{
    struct world *w = *state;
    struct desired_window window = {.weekday = 3, .start_hour = 18, .hours = 6};
    struct err err = ERR_INIT;
    int64_t wednesday = 1790121600000LL;
    w->service.window = &window;
    w->wanted.arena = arena_new();
    for (int i = 0; i < 3; i++)
        w->workloads[i].image = "engine@1";
    assert_int_equal(upgrades_apply(&w->upgrades, &w->desired, wednesday, &w->wanted, &err), 0);
    refused(w, "service.upgrade", -1, -ENOENT, "no other image waits");
    for (int i = 0; i < 3; i++)
        w->workloads[i].image = "engine@2";
    assert_int_equal(upgrades_apply(&w->upgrades, &w->desired, wednesday, &w->wanted, &err), 0);
    assert_string_equal(w->workloads[0].image, "engine@1");
    begun(w, REQUEST, "service.upgrade", -1);
    for (int i = 0; i < 3; i++)
        w->workloads[i].image = "engine@2";
    assert_int_equal(upgrades_apply(&w->upgrades, &w->desired, wednesday, &w->wanted, &err), 0);
    assert_string_equal(w->workloads[0].image, "engine@2");
    memcpy(w->digests[1], "new", 4);
    step(w);
    assert_true(nothing_settled(w));
    memcpy(w->items[1].digest, "new", 4);
    step(w);
    settled(w, REQUEST, true, "");
    arena_free(w->wanted.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_replica_is_drained_and_comes_back, setup, teardown),
        cmocka_unit_test_setup_teardown(somebody_is_left, setup, teardown),
        cmocka_unit_test_setup_teardown(an_ingress_that_does_not_listen, setup, teardown),
        cmocka_unit_test_setup_teardown(one_replica_is_never_left_out, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_asked_for_must_be_there, setup, teardown),
        cmocka_unit_test_setup_teardown(a_replica_is_rebuilt, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_is_rebuilt_from_who_lacks_something, setup, teardown),
        cmocka_unit_test_setup_teardown(queries_are_let_end_for_a_while, setup, teardown),
        cmocka_unit_test_setup_teardown(tables_are_registered_anew, setup, teardown),
        cmocka_unit_test_setup_teardown(an_upgrade_does_not_wait_for_its_window, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
