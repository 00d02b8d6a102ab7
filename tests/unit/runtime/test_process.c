/* runtime/process: workloads become placements with every reference filled in, and statuses come back. */
#include "../test.h"

#include "blueprint/placement.h"
#include "runtime/process/process.h"
#include "runtime/runtime.h"

#include <poll.h>

struct fixture {
    char *dir, *buckets;
    struct runtime *rt;
    struct workload_list all;
    struct arena *arena;
};

static int setup(void **state)
{
    struct fixture *f = mem_alloc(sizeof(*f));
    static const struct workload_env params[] = {{"engine_library", "/lib/x.so"}};
    static const struct runtime_program programs[] = {
        {"sh", NULL, NULL, "install the package dash"},
        {"gone", NULL, "no-such-program-here", "install the package gone"},
        {"moved", "/no/such/file", NULL, "set moved_program"},
    };
    void *scratch;
    if (scratch_setup(&scratch) < 0)
        return -1;
    f->dir = mem_printf("%s/runtime", (char *)scratch);
    f->buckets = mem_printf("%s/buckets", (char *)scratch);
    free(scratch);
    workload_list_init(&f->all);
    f->arena = arena_new();
    struct runtime_process_config c = {.dir = f->dir,
                                       .infrastructure = "i",
                                       .loopback_base = "127.70.0.0",
                                       .bucket_dir = f->buckets,
                                       .programs = programs,
                                       .n_programs = 3,
                                       .params = params,
                                       .n_params = 1};
    *state = f;
    return runtime_process_new(&c, &f->rt, NULL);
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    f->rt->ops->free(f->rt);
    *strrchr(f->dir, '/') = 0;
    int r = fs_remove_tree(f->dir, NULL);
    workload_list_free(&f->all);
    arena_free(f->arena);
    free(f->dir);
    free(f->buckets);
    free(f);
    return r;
}

static struct workload *add(struct fixture *f, const char *name, const char *program, int slot)
{
    struct workload *w = workload_list_add(&f->all);
    w->name = name;
    w->program = program;
    w->slot = slot;
    return w;
}

static int apply(struct fixture *f, const struct workload *w, struct err *err)
{
    return f->rt->ops->apply(f->rt, w, &f->all, err);
}

static struct runtime_status find(struct fixture *f, struct runtime_status_list *l, const char *name)
{
    assert_int_equal(f->rt->ops->observe(f->rt, l, NULL), 0);
    for (size_t i = 0; i < l->n; i++)
        if (!strcmp(l->items[i].name, name))
            return l->items[i];
    return (struct runtime_status){.name = NULL};
}

static void references_are_filled_in(void **state)
{
    struct fixture *f = *state;
    static const char *arguments[] = {
        "${files}/a",     "${run} ${logs}",          "${address}", "${address:db}", "${volume:data}",
        "${volume:cold}", "${param:engine_library}", "$${x}"};
    static struct workload_file files[] = {{"a", "listen ${address}:80", WORKLOAD_RESTART, false}};
    static struct workload_env environment[] = {{"A", "${files}"}};
    static struct workload_volume volumes[] = {{"data", 0, true, NULL}, {"cold", 0, true, "data"}};
    add(f, "db", "sh", 300);
    struct workload *w = add(f, "web", "sh", 1);
    struct placement p;
    struct err err = ERR_INIT;
    w->arguments = arguments;
    w->n_arguments = ARRAY_SIZE(arguments);
    w->files = files;
    w->n_files = 1;
    w->environment = environment;
    w->n_environment = 1;
    w->volumes = volumes;
    w->n_volumes = 2;
    assert_int_equal(apply(f, w, &err), 0);
    assert_int_equal(placement_read(f->dir, "web", f->arena, &p, &err), 0);
    const char *work = arena_printf(f->arena, "%s/jobs/web", f->dir),
               *cold = arena_printf(f->arena, "%s/data/web/cold", f->buckets);
    assert_string_equal(p.workload.arguments[0], arena_printf(f->arena, "%s/files/a", work));
    assert_string_equal(p.workload.arguments[1], arena_printf(f->arena, "%s/run %s/logs", work, work));
    assert_string_equal(p.workload.arguments[2], "127.70.0.1");
    assert_string_equal(p.workload.arguments[3], "127.70.1.44");
    assert_string_equal(p.workload.arguments[4], arena_printf(f->arena, "%s/volumes/data", work));
    assert_string_equal(p.workload.arguments[5], cold);
    assert_string_equal(p.workload.arguments[6], "/lib/x.so");
    assert_string_equal(p.workload.arguments[7], "${x}");
    assert_string_equal(p.workload.files[0].content, "listen 127.70.0.1:80");
    assert_string_equal(p.workload.environment[0].value, arena_printf(f->arena, "%s/files", work));
    assert_string_equal(p.folders[1], cold);
    assert_null(p.folders[0]);
    assert_string_equal(p.address, "127.70.0.1");
    assert_string_equal(p.infrastructure, "i");
    char digest[65];
    assert_int_equal(runtime_digest(w, digest, NULL), 0);
    assert_string_equal(p.digest, digest);
    assert_non_null(strstr(p.executable, "/sh"));
}

static void unknown_references_are_named(void **state)
{
    struct fixture *f = *state;
    static const char *const bad[] = {"${address:nobody}", "${param:nothing}", "${volume:none}", "${what}"};
    struct workload *w = add(f, "web", "sh", 1);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        const char *arguments[] = {bad[i]};
        struct err err = ERR_INIT;
        w->arguments = arguments;
        w->n_arguments = 1;
        assert_int_equal(apply(f, w, &err), -EINVAL);
        assert_non_null(strstr(err.message, bad[i]));
        assert_non_null(strstr(err.message, "web"));
    }
}

static void a_missing_program_is_a_failed_workload_with_advice(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *program, *says;
    } cases[] = {{"gone", "install the package gone"}, {"moved", "/no/such/file"}, {"other", "other"}};
    struct workload *w = add(f, "web", "sh", 1);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct runtime_status_list l;
        w->program = cases[i].program;
        assert_int_equal(apply(f, w, NULL), 0);
        struct runtime_status s = find(f, &l, "web");
        assert_int_equal(s.state, RUNTIME_FAILED);
        assert_non_null(strstr(s.error, cases[i].says));
        assert_string_equal(s.digest, "");
        runtime_status_list_free(&l);
    }
    struct runtime_status_list l;
    w->program = "sh";
    assert_int_equal(apply(f, w, NULL), 0);
    assert_int_equal(find(f, &l, "web").state, RUNTIME_STARTING);
    runtime_status_list_free(&l);
    w->program = "gone";
    assert_int_equal(apply(f, w, NULL), 0);
    assert_int_equal(f->rt->ops->remove(f->rt, "web", false, NULL), 0);
    struct runtime_status s = find(f, &l, "web");
    assert_int_equal(s.state, RUNTIME_STOPPING);
    assert_string_equal(s.error, "");
    runtime_status_list_free(&l);
}

static void statuses_come_from_what_the_supervisor_wrote(void **state)
{
    struct fixture *f = *state;
    struct workload_env labels[] = {{"role", "x"}};
    struct workload *w = add(f, "web", "sh", 9);
    struct placement_status have = {
        .state = PLACEMENT_UNREADY, .restarts = 4, .since_ms = 1234, .labels = labels, .n_labels = 1};
    struct runtime_status_list l;
    w->labels = labels;
    w->n_labels = 1;
    assert_int_equal(apply(f, w, NULL), 0);
    struct runtime_status s = find(f, &l, "web");
    assert_int_equal(s.state, RUNTIME_STARTING);
    assert_string_equal(s.address, "127.70.0.9");
    assert_string_equal(s.labels[0].value, "x");
    runtime_status_list_free(&l);
    snprintf(have.name, sizeof(have.name), "web");
    snprintf(have.error, sizeof(have.error), "why");
    snprintf(have.address, sizeof(have.address), "127.70.0.9");
    memset(have.digest, 'd', 64);
    f->rt->ops->change_clear(f->rt);
    struct pollfd p = {f->rt->ops->change_fd(f->rt), POLLIN, 0};
    assert_int_equal(poll(&p, 1, 0), 0);
    assert_int_equal(placement_status_write(f->dir, &have, NULL), 0);
    assert_int_equal(poll(&p, 1, 0), 1);
    f->rt->ops->change_clear(f->rt);
    assert_int_equal(poll(&p, 1, 0), 0);
    s = find(f, &l, "web");
    assert_int_equal(s.state, RUNTIME_UNREADY);
    assert_int_equal(s.restarts, 4);
    assert_int_equal(s.since_ms, 1234);
    assert_string_equal(s.error, "why");
    assert_string_equal(s.address, "127.70.0.9");
    assert_int_equal(s.digest[0], 'd');
    runtime_status_list_free(&l);
}

static void the_states_have_the_same_names(void **state OH_UNUSED)
{
    for (int i = 0; i < PLACEMENT_STATE_COUNT; i++)
        assert_string_equal(placement_state_names[i], runtime_state_names[i]);
}

static void a_base_outside_loopback_is_refused(void **state)
{
    struct fixture *f = *state;
    static const char *const bad[] = {"10.0.0.0", "127.0.0.1", "127.1.1.0", "::1", ""};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct runtime_process_config c = {.dir = f->dir, .loopback_base = bad[i]};
        struct runtime *rt;
        assert_int_equal(runtime_process_new(&c, &rt, NULL), -EINVAL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(references_are_filled_in, setup, teardown),
        cmocka_unit_test_setup_teardown(unknown_references_are_named, setup, teardown),
        cmocka_unit_test_setup_teardown(a_missing_program_is_a_failed_workload_with_advice, setup, teardown),
        cmocka_unit_test_setup_teardown(statuses_come_from_what_the_supervisor_wrote, setup, teardown),
        cmocka_unit_test(the_states_have_the_same_names),
        cmocka_unit_test_setup_teardown(a_base_outside_loopback_is_refused, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
