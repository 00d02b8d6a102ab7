/* store/store when the machine misbehaves: full disk, read-only folder, damaged file, kill -9 while writing. */
#include "../test.h"

#include "store/store.h"

#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

static int64_t count(struct store *s)
{
    autorows struct store_rows *rows = NULL;
    assert_int_equal(store_query(s, "SELECT count(*) FROM organization", STORE_NO_ARGS, &rows, NULL), 0);
    assert_int_equal(store_next(rows, NULL), 1);
    return store_column_int(rows, 0);
}

static int add_organization(struct store *s, int64_t id, const char *name, struct err *err)
{
    return store_exec(s, "INSERT INTO organization (id, name, created_at) VALUES ($1, $2, 1)",
                      STORE_ARGS(store_int(id), store_text(name)), NULL, err);
}

/* Runs `body` in a child, whose limits and mounts die with it; the child's exit status is the result. */
static void in_child(void (*body)(const char *path), const char *path)
{
    int status;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        body(path);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

#define NEED(condition)                                                             \
    do {                                                                            \
        if (!(condition)) {                                                         \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
            _exit(1);                                                               \
        }                                                                           \
    } while (0)

/* Fills the file system under `path` within a transaction; what was committed before must stand, also for a reader. */
static void fill(const char *path)
{
    struct store *s = NULL;
    struct err err = ERR_INIT;
    autofree char *big = mem_alloc(KIB(64) + 1);
    memset(big, 'x', KIB(64));
    int r = store_open(path, STORE_CREATE, &s, &err);
    if (r < 0)
        fprintf(stderr, "%s\n", err.message);
    NEED(r == 0);
    NEED(add_organization(s, 1, "kept", &err) == 0);
    NEED(store_begin(s, &err) == 0);
    for (int i = 2; r == 0 && i < 2000; i++)
        r = add_organization(s, i, big, &err);
    if (r == 0)
        r = store_commit(s, &err);
    else
        NEED(store_commit(s, NULL) < 0);
    NEED(r == -ENOSPC);
    NEED(strstr(err.message, "the disk is full"));
    store_rollback(s);
    autorows struct store_rows *rows = NULL;
    NEED(store_query(s, "SELECT count(*) FROM organization", STORE_NO_ARGS, &rows, NULL) == 0);
    NEED(store_next(rows, NULL) == 1);
    NEED(store_column_int(rows, 0) == 1);
}

static void limit_size(const char *path)
{
    const struct rlimit limit = {MIB(1), MIB(1)};
    signal(SIGXFSZ, SIG_IGN);
    NEED(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    fill(path);
}

static void full_by_file_size_limit(void **state)
{
    autofree char *path = mem_printf("%s/control.db", (char *)*state);
    in_child(limit_size, path);
    autostore struct store *s = NULL;
    assert_int_equal(store_open(path, STORE_EXISTING, &s, NULL), 0);
    assert_int_equal(count(s), 1);
    assert_int_equal(add_organization(s, 2, "room again", NULL), 0);
}

static void mount_small(const char *path)
{
    autofree char *folder = mem_strndup(path, (size_t)(strrchr(path, '/') - path));
    NEED(unshare(CLONE_NEWNS) == 0);
    NEED(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
    NEED(mount("tmpfs", folder, "tmpfs", 0, "size=1m") == 0);
    fill(path);
}

static void full_by_small_disk(void **state)
{
    autofree char *path = mem_printf("%s/control.db", (char *)*state);
    if (geteuid() != 0)
        skip();
    in_child(mount_small, path);
}

static void mount_read_only(const char *path)
{
    autofree char *folder = mem_strndup(path, (size_t)(strrchr(path, '/') - path));
    autofree char *other = mem_printf("%s/new.db", folder);
    struct store *s = NULL;
    struct err err = ERR_INIT;
    NEED(unshare(CLONE_NEWNS) == 0);
    NEED(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
    NEED(mount(folder, folder, NULL, MS_BIND, NULL) == 0);
    NEED(mount(NULL, folder, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL) == 0);
    NEED(store_open(path, STORE_EXISTING, &s, &err) == -EROFS);
    NEED(strstr(err.message, "may not be written"));
    NEED(store_open(other, STORE_CREATE, &s, &err) == -EROFS);
}

static void read_only_folder(void **state)
{
    autofree char *path = mem_printf("%s/control.db", (char *)*state);
    if (geteuid() != 0)
        skip();
    struct store *s = NULL;
    assert_int_equal(store_open(path, STORE_CREATE, &s, NULL), 0);
    store_close(s);
    in_child(mount_read_only, path);
}

static void refuse(const char *path, const char *needle)
{
    struct store *s = NULL;
    struct err err = ERR_INIT;
    assert_int_equal(store_open(path, STORE_CREATE, &s, &err), -EIO);
    if (!strstr(err.message, needle))
        fail_msg("%s", err.message);
}

static void damaged_files_are_refused_unchanged(void **state)
{
    autofree char *path = mem_printf("%s/control.db", (char *)*state);
    autofree char *text = NULL, *garbage = mem_alloc(4097);
    size_t len;
    memset(garbage, 'g', 4096);
    assert_int_equal(fs_write_atomic(path, garbage, 4096, 0600, NULL), 0);
    refuse(path, "is damaged or not a database");
    assert_int_equal(fs_read(path, 5000, &text, &len, NULL), 0);
    assert_int_equal(len, 4096);
    assert_memory_equal(text, garbage, 4096);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    refuse(path, "is not a regular file");
}

static void another_programs_database_is_refused(void **state)
{
    autofree char *path = mem_printf("%s/control.db", (char *)*state);
    struct store *s = NULL;
    struct err err = ERR_INIT;
    assert_int_equal(store_open(path, STORE_CREATE, &s, NULL), 0);
    assert_int_equal(store_exec(s, "ALTER TABLE schema_version RENAME TO other", STORE_NO_ARGS, NULL, NULL), 0);
    store_close(s);
    assert_int_equal(store_open(path, STORE_CREATE, &s, &err), -ENOTSUP);
    assert_non_null(strstr(err.message, "another program"));
}

/* Commits numbers and says each on the pipe only after the commit returned. */
static void write_forever(const char *path, int out)
{
    struct store *s = NULL;
    if (store_open(path, STORE_CREATE, &s, NULL) < 0)
        _exit(1);
    int64_t id = count(s);
    for (;; id += 2) {
        if (store_begin(s, NULL) < 0 || add_organization(s, id, "one", NULL) < 0 ||
            add_organization(s, id + 1, "two", NULL) < 0 || store_commit(s, NULL) < 0 ||
            write(out, &id, sizeof(id)) != sizeof(id))
            _exit(1);
    }
}

/* What was acknowledged is there after kill -9, and never half a transaction. */
static void killed_while_writing(void **state)
{
    autofree char *path = mem_printf("%s/control.db", (char *)*state);
    for (int round = 0; round < 10; round++) {
        int pipes[2], status;
        int64_t id, acknowledged = -1;
        assert_int_equal(pipe(pipes), 0);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0)
            write_forever(path, pipes[1]);
        close(pipes[1]);
        while (read(pipes[0], &id, sizeof(id)) == sizeof(id)) {
            acknowledged = id;
            if (id % 64 >= 6 + 2 * round)
                kill(child, SIGKILL);
        }
        close(pipes[0]);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        autostore struct store *s = NULL;
        struct err err = ERR_INIT;
        assert_int_equal(store_open(path, STORE_EXISTING, &s, &err), 0);
        int64_t n = count(s);
        assert_true(acknowledged >= 0);
        assert_true(n >= acknowledged + 2);
        assert_int_equal(n % 2, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(full_by_file_size_limit, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(full_by_small_disk, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(read_only_folder, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(damaged_files_are_refused_unchanged, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(another_programs_database_is_refused, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(killed_while_writing, scratch_setup, scratch_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
