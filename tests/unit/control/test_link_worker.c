/* The worker thread's order and end, and the table of connected agents. */
#include "control/link/worker.h"

#include "../test.h"
#include "control/link/registry.h"

struct job {
    struct work work;
    int number, *ran, *done;
    struct worker *again; /* posts one more from `done` */
};

static void finish(struct work *w);

static int run(struct work *w, void *state, struct err *err)
{
    struct job *j = CONTAINER_OF(w, struct job, work);
    assert_int_equal(*j->ran, j->number); /* in order */
    ++*j->ran;
    return j->number % 2 ? -EIO : 0;
}

static void post(struct worker *w, int number, int *ran, int *done, struct worker *again)
{
    struct job *j = mem_alloc(sizeof(*j));
    *j = (struct job){{.run = run, .done = finish}, number, ran, done, again};
    worker_post(w, &j->work);
}

static void finish(struct work *w)
{
    struct job *j = CONTAINER_OF(w, struct job, work);
    assert_int_equal(w->result, j->number % 2 ? -EIO : 0);
    ++*j->done;
    if (j->again)
        post(j->again, j->number + 1, j->ran, j->done, NULL);
    free(j);
}

static void all_is_done_in_order_and_at_the_end(void **state)
{
    uv_loop_t loop;
    struct worker *w = NULL;
    int ran = 0, done = 0;
    uv_loop_init(&loop);
    assert_int_equal(worker_start(&loop, worker_each, NULL, &w, NULL), 0);
    for (int i = 0; i < 999; i++)
        post(w, i, &ran, &done, NULL);
    while (worker_pending(w))
        uv_run(&loop, UV_RUN_ONCE);
    assert_int_equal(done, 999);
    /* Stopping leaves nothing undone, also what is posted on the way out. */
    post(w, 999, &ran, &done, w);
    worker_stop(w);
    assert_int_equal(done, 1001);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
}

static void count(struct registry_entry *e, void *user)
{
    ++*(int *)user;
}

static void agents_are_found_again(void **state)
{
    static struct registry_entry entries[1000];
    struct registry r = {0};
    int n = 0;
    assert_null(registry_find(&r, "x"));
    registry_remove(&r, &entries[0]);
    for (int i = 0; i < 1000; i++) {
        snprintf(entries[i].agent, sizeof(entries[i].agent), "agent-%d", i);
        registry_add(&r, &entries[i]);
    }
    for (int i = 0; i < 1000; i += 2)
        registry_remove(&r, &entries[i]);
    registry_remove(&r, &entries[0]);
    assert_int_equal(r.count, 500);
    registry_each(&r, count, &n);
    assert_int_equal(n, 500);
    assert_null(registry_find(&r, "agent-10"));
    assert_ptr_equal(registry_find(&r, "agent-11"), &entries[11]);
    registry_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_is_done_in_order_and_at_the_end),
        cmocka_unit_test(agents_are_found_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
