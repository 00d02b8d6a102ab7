/* store/group: commits that share an fsync are all there, are fewer fsyncs than commits, and say when the disk fails.
 */
#include "../test.h"

#include "store/group.h"

#include <pthread.h>

#define THREADS 8
#define EACH 40

struct writer {
    const char *path;
    struct store_group *group;
    pthread_mutex_t *turn;
    int number;
};

static void insert(struct store *s, const char *id)
{
    assert_int_equal(store_exec(s, "INSERT INTO organization (id, name, created_at) VALUES ($1, 'n', 7)",
                                STORE_ARGS(store_text(id)), NULL, NULL),
                     0);
}

static void *write_many(void *data)
{
    struct writer *w = data;
    autostore struct store *s = NULL;
    assert_int_equal(store_open(w->path, STORE_EXISTING, &s, NULL), 0);
    assert_int_equal(store_join(s, w->group, NULL), 0);
    for (int i = 0; i < EACH; i++) {
        autofree char *id = mem_printf("%d-%d", w->number, i);
        pthread_mutex_lock(w->turn);
        assert_int_equal(store_begin(s, NULL), 0);
        insert(s, id);
        assert_int_equal(store_commit(s, NULL), 0);
        pthread_mutex_unlock(w->turn);
        assert_int_equal(store_settle(s, NULL), 0);
    }
    return NULL;
}

static int64_t count(struct store *s)
{
    autorows struct store_rows *rows = NULL;
    assert_int_equal(store_query(s, "SELECT count(*) FROM organization", STORE_NO_ARGS, &rows, NULL), 0);
    assert_int_equal(store_next(rows, NULL), 1);
    return store_column_int(rows, 0);
}

static void many_commits_share_an_fsync(void **state)
{
    autofree char *path = mem_printf("%s/control.db", (char *)*state);
    autostore struct store *s = NULL;
    pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
    pthread_t threads[THREADS];
    struct writer writers[THREADS];
    assert_int_equal(store_open(path, STORE_CREATE, &s, NULL), 0);
    struct store_group *g = store_group_new(path);
    for (int i = 0; i < THREADS; i++) {
        writers[i] = (struct writer){path, g, &turn, i};
        assert_int_equal(pthread_create(&threads[i], NULL, write_many, &writers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(count(s), THREADS * EACH);
    /* Each commit waited for one that began after it, so at least as many as one thread made. */
    uint64_t syncs = store_group_syncs(g);
    if (syncs < EACH || syncs > THREADS * EACH)
        fail_msg("%llu fsyncs for %d commits", (unsigned long long)syncs, THREADS * EACH);
    store_group_free(g);
}

static void alone_each_commit_is_settled(void **state)
{
    autofree char *path = mem_printf("%s/control.db", (char *)*state);
    autostore struct store *s = NULL;
    assert_int_equal(store_open(path, STORE_CREATE, &s, NULL), 0);
    struct store_group *g = store_group_new(path);
    assert_int_equal(store_settle(s, NULL), 0); /* not joined: nothing to wait for */
    assert_int_equal(store_join(s, g, NULL), 0);
    insert(s, "outside a transaction");
    assert_int_equal(store_group_syncs(g), 1);
    assert_int_equal(count(s), 1);
    assert_int_equal(store_group_syncs(g), 1);
    assert_int_equal(store_begin(s, NULL), 0);
    insert(s, "inside");
    assert_int_equal(store_group_syncs(g), 1);
    assert_int_equal(store_commit(s, NULL), 0);
    assert_int_equal(store_group_syncs(g), 1);
    assert_int_equal(store_settle(s, NULL), 0);
    assert_int_equal(store_group_syncs(g), 2);
    store_close(TAKE_PTR(s));
    store_group_free(g);
}

static void a_disk_that_fails_is_told(void **state)
{
    autofree char *path = mem_printf("%s/control.db", (char *)*state), *other = mem_printf("%s/none", (char *)*state);
    autostore struct store *s = NULL;
    struct err err = ERR_INIT;
    assert_int_equal(store_open(path, STORE_CREATE, &s, NULL), 0);
    struct store_group *g = store_group_new(other); /* there is no log to wait for */
    assert_int_equal(store_join(s, g, NULL), 0);
    assert_int_equal(store_begin(s, NULL), 0);
    insert(s, "a");
    assert_int_equal(store_commit(s, NULL), 0);
    assert_int_equal(store_settle(s, &err), -EIO);
    assert_non_null(strstr(err.message, "did not take the change for good"));
    store_close(TAKE_PTR(s));
    store_group_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(many_commits_share_an_fsync, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(alone_each_commit_is_settled, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(a_disk_that_fails_is_told, scratch_setup, scratch_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
