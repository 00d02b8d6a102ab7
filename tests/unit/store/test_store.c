/* store/store: parameters, transactions, errors, racing connections, schema versions. */
#include "../test.h"

#include "store/migrations.h"
#include "store/store.h"

#include <pthread.h>
#include <sys/stat.h>

static char *db_path(void **state)
{
    return mem_printf("%s/control.db", (char *)*state);
}

static struct store *open_new(void **state)
{
    autofree char *path = db_path(state);
    struct store *s = NULL;
    struct err err = ERR_INIT;
    assert_int_equal(store_open(path, STORE_CREATE, &s, &err), 0);
    return s;
}

static int add_organization(struct store *s, const char *id, const char *name, struct err *err)
{
    return store_exec(s, "INSERT INTO organization (id, name, created_at) VALUES ($1, $2, $3)",
                      STORE_ARGS(store_text(id), store_text(name), store_int(7)), NULL, err);
}

static int64_t count(struct store *s, const char *sql)
{
    autorows struct store_rows *rows = NULL;
    assert_int_equal(store_query(s, sql, STORE_NO_ARGS, &rows, NULL), 0);
    assert_int_equal(store_next(rows, NULL), 1);
    return store_column_int(rows, 0);
}

static void parameters_go_by_number(void **state)
{
    autostore struct store *s = open_new(state);
    autorows struct store_rows *rows = NULL;
    assert_int_equal(add_organization(s, "a", "x'; DROP TABLE organization; --", NULL), 0);
    /* $2 before $1, and $1 twice. */
    assert_int_equal(
        store_query(s, "SELECT name, created_at FROM organization WHERE created_at = $2 AND id = $1 AND $1 = id",
                    STORE_ARGS(store_text("a"), store_int(7)), &rows, NULL),
        0);
    assert_int_equal(store_next(rows, NULL), 1);
    assert_string_equal(store_column_text(rows, 0), "x'; DROP TABLE organization; --");
    assert_int_equal(store_column_int(rows, 1), 7);
    assert_int_equal(store_next(rows, NULL), 0);
    assert_int_equal(store_next(rows, NULL), 0);
}

static void null_is_told_from_empty(void **state)
{
    autostore struct store *s = open_new(state);
    autorows struct store_rows *rows = NULL;
    assert_int_equal(
        store_query(s, "SELECT $1, $2, $3", STORE_ARGS(store_null(), store_text(NULL), store_text("")), &rows, NULL),
        0);
    assert_int_equal(store_next(rows, NULL), 1);
    assert_true(store_column_is_null(rows, 0));
    assert_true(store_column_is_null(rows, 1));
    assert_null(store_column_text(rows, 1));
    assert_false(store_column_is_null(rows, 2));
    assert_string_equal(store_column_text(rows, 2), "");
}

static void wrong_number_of_parameters(void **state)
{
    autostore struct store *s = open_new(state);
    struct err err = ERR_INIT;
    assert_int_equal(store_exec(s, "DELETE FROM organization WHERE id = $1", STORE_NO_ARGS, NULL, &err), -EINVAL);
    assert_non_null(strstr(err.message, "1 parameters wanted, 0 given"));
    assert_int_equal(store_exec(s, "SELECT 1", STORE_NO_ARGS, NULL, &err), -EINVAL);
}

static void constraints_are_told_apart(void **state)
{
    autostore struct store *s = open_new(state);
    struct err err = ERR_INIT;
    assert_int_equal(add_organization(s, "a", "canary-value", NULL), 0);
    assert_int_equal(add_organization(s, "a", "canary-value", &err), -EEXIST);
    assert_null(strstr(err.message, "canary"));
    /* foreign key */
    assert_int_equal(store_exec(s,
                                "INSERT INTO account (id, organization_id, name, provider, config, created_at) "
                                "VALUES ('a', 'missing', 'n', 'local', '{}', 1)",
                                STORE_NO_ARGS, NULL, &err),
                     -EINVAL);
    /* check */
    assert_int_equal(add_organization(s, NULL, "x", &err), -EINVAL);
}

static void rollback_undoes_and_commit_keeps(void **state)
{
    autostore struct store *s = open_new(state);
    assert_int_equal(store_begin(s, NULL), 0);
    assert_int_equal(store_begin(s, NULL), -EINVAL);
    assert_int_equal(add_organization(s, "a", "a", NULL), 0);
    store_rollback(s);
    store_rollback(s);
    assert_int_equal(count(s, "SELECT count(*) FROM organization"), 0);
    assert_int_equal(store_begin(s, NULL), 0);
    assert_int_equal(add_organization(s, "a", "a", NULL), 0);
    assert_int_equal(add_organization(s, "a", "a", NULL), -EEXIST); /* a failed statement leaves the rest standing */
    assert_int_equal(store_commit(s, NULL), 0);
    assert_int_equal(store_commit(s, NULL), -EINVAL);
    assert_int_equal(count(s, "SELECT count(*) FROM organization"), 1);
}

static void changed_rows_are_counted(void **state)
{
    autostore struct store *s = open_new(state);
    int64_t changed = -1;
    assert_int_equal(add_organization(s, "a", "a", NULL), 0);
    assert_int_equal(add_organization(s, "b", "b", NULL), 0);
    assert_int_equal(store_exec(s, "UPDATE organization SET name = 'c'", STORE_NO_ARGS, &changed, NULL), 0);
    assert_int_equal(changed, 2);
    assert_int_equal(store_exec(s, "UPDATE organization SET name = 'c' WHERE id = 'z'", STORE_NO_ARGS, &changed, NULL),
                     0);
    assert_int_equal(changed, 0);
}

/* The same text open twice, and more different texts than the cache holds. */
static void cache_survives_nesting_and_overflow(void **state)
{
    autostore struct store *s = open_new(state);
    struct store_rows *open_rows[200];
    assert_int_equal(add_organization(s, "a", "a", NULL), 0);
    for (size_t i = 0; i < ARRAY_SIZE(open_rows); i++) {
        assert_int_equal(store_query(s, "SELECT id FROM organization", STORE_NO_ARGS, &open_rows[i], NULL), 0);
        assert_int_equal(store_next(open_rows[i], NULL), 1);
    }
    for (size_t i = 0; i < ARRAY_SIZE(open_rows); i++) {
        assert_string_equal(store_column_text(open_rows[i], 0), "a");
        store_rows_close(open_rows[i]);
    }
    for (int i = 0; i < 1000; i++) {
        autofree char *sql = mem_printf("SELECT count(*) FROM organization WHERE created_at < %d", i % 300);
        assert_int_equal(count(s, sql), i % 300 > 7);
    }
}

struct racer {
    char *path;
    int from;
};

static void *race(void *data)
{
    struct racer *racer = data;
    struct store *s = NULL;
    struct err err = ERR_INIT;
    if (store_open(racer->path, STORE_CREATE, &s, &err) < 0)
        return mem_strdup(err.message);
    for (int i = 0; i < 60; i++) {
        autofree char *id = mem_printf("%d", racer->from + i);
        if (store_begin(s, &err) < 0 || add_organization(s, id, "race", &err) < 0 ||
            store_exec(s, "UPDATE organization SET created_at = created_at + 1 WHERE id = '0'", STORE_NO_ARGS, NULL,
                       &err) < 0 ||
            store_commit(s, &err) < 0) {
            store_close(s);
            return mem_strdup(err.message);
        }
    }
    store_close(s);
    return NULL;
}

/* Four connections make the same new file at once and then write to it; nothing is lost. */
static void connections_race(void **state)
{
    autofree char *path = db_path(state);
    pthread_t threads[4];
    struct racer racers[4];
    for (int i = 0; i < 4; i++) {
        racers[i] = (struct racer){path, i * 60};
        assert_int_equal(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        void *failure;
        pthread_join(threads[i], &failure);
        if (failure)
            fail_msg("%s", (char *)failure);
    }
    autostore struct store *s = open_new(state);
    assert_int_equal(count(s, "SELECT count(*) FROM organization"), 240);
    assert_int_equal(count(s, "SELECT count(*) FROM schema_version"), migrations_count);
}

static void readers_see_one_snapshot(void **state)
{
    autostore struct store *reader = open_new(state), *writer = open_new(state);
    assert_int_equal(store_begin_read(reader, NULL), 0);
    assert_int_equal(count(reader, "SELECT count(*) FROM organization"), 0);
    assert_int_equal(add_organization(writer, "a", "a", NULL), 0);
    assert_int_equal(count(reader, "SELECT count(*) FROM organization"), 0);
    store_rollback(reader);
    assert_int_equal(count(reader, "SELECT count(*) FROM organization"), 1);
}

static void file_is_private(void **state)
{
    autofree char *path = db_path(state), *wal = mem_printf("%s-wal", path);
    struct stat st;
    mode_t old = umask(0);
    autostore struct store *s OH_UNUSED = open_new(state);
    umask(old);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(stat(wal, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void existing_means_existing(void **state)
{
    autofree char *path = db_path(state);
    struct store *s = NULL;
    struct err err = ERR_INIT;
    assert_int_equal(store_open(path, STORE_EXISTING, &s, &err), -ENOENT);
    assert_false(fs_exists(path));
    assert_int_equal(fs_write_atomic(path, "", 0, 0600, NULL), 0);
    assert_int_equal(store_open(path, STORE_EXISTING, &s, &err), -ENOEXEC);
    assert_non_null(strstr(err.message, "schema version 0"));
    store_close(open_new(state));
    assert_int_equal(store_open(path, STORE_EXISTING, &s, &err), 0);
    store_close(s);
}

static void newer_and_altered_schemas_are_refused(void **state)
{
    autofree char *path = db_path(state);
    struct store *s = open_new(state), *again = NULL;
    struct err err = ERR_INIT;
    assert_int_equal(
        store_exec(s, "INSERT INTO schema_version VALUES (99, 'future', 'x', 1)", STORE_NO_ARGS, NULL, NULL), 0);
    assert_int_equal(store_open(path, STORE_CREATE, &again, &err), -ENOTSUP);
    assert_non_null(strstr(err.message, "newer version of OwnHouse"));
    assert_int_equal(store_exec(s, "DELETE FROM schema_version WHERE version = 99", STORE_NO_ARGS, NULL, NULL), 0);
    assert_int_equal(store_exec(s, "UPDATE schema_version SET digest = 'other'", STORE_NO_ARGS, NULL, NULL), 0);
    assert_int_equal(store_open(path, STORE_EXISTING, &again, &err), -ENOTSUP);
    assert_non_null(strstr(err.message, "different build"));
    store_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(parameters_go_by_number, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(null_is_told_from_empty, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(wrong_number_of_parameters, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(constraints_are_told_apart, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(rollback_undoes_and_commit_keeps, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(changed_rows_are_counted, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(cache_survives_nesting_and_overflow, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(connections_race, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(readers_see_one_snapshot, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(file_is_private, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(existing_means_existing, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(newer_and_altered_schemas_are_refused, scratch_setup, scratch_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
