/* runtime/process/rotate: logs cut under their writers' hands. */
#include "../test.h"

#include "base/buf.h"
#include "runtime/process/rotate.h"

#include <sys/stat.h>

static int open_log(const char *path, int flags)
{
    int fd = open(path, O_WRONLY | O_CREAT | flags, 0600);
    assert_true(fd >= 0);
    return fd;
}

/* Lines "000000000000000\n" upwards: 16 bytes each. */
static void write_lines(int fd, int from, int n)
{
    for (int i = from; i < from + n; i++) {
        char line[17];
        snprintf(line, sizeof(line), "%015d\n", i);
        assert_int_equal(write(fd, line, 16), 16);
    }
}

static size_t size_of(const char *path)
{
    struct stat st;
    return stat(path, &st) < 0 ? 0 : (size_t)st.st_size;
}

/* Appends the file's text to `all`. */
static void collect(const char *path, struct buf *all)
{
    autofree char *text = NULL;
    size_t len = 0;
    if (fs_read(path, MIB(64), &text, &len, NULL) == 0)
        buf_add(all, text, len);
}

static void assert_counts(const struct buf *all, int from, int n)
{
    assert_int_equal(all->len, (size_t)n * 16);
    for (int i = 0; i < n; i++) {
        char line[17];
        snprintf(line, sizeof(line), "%015d\n", from + i);
        assert_memory_equal(all->data + (size_t)i * 16, line, 16);
    }
}

static void nothing_is_lost_between_the_pieces(void **state)
{
    autofree char *path = mem_printf("%s/a.log", (char *)*state);
    autobuf struct buf all = BUF_INIT;
    autoclose int fd = open_log(path, O_APPEND);
    for (int round = 0; round < 4; round++) {
        write_lines(fd, round * 1000, 1000);
        assert_int_equal(rotate_file(path, 8192, 9, NULL), 0);
        assert_true(size_of(path) < 8192);
    }
    write_lines(fd, 4000, 10);
    for (int i = 9; i >= 1; i--) {
        autofree char *old = mem_printf("%s.%d", path, i);
        collect(old, &all);
    }
    collect(path, &all);
    assert_counts(&all, 0, 4010);
}

static void below_the_size_nothing_happens(void **state)
{
    autofree char *path = mem_printf("%s/a.log", (char *)*state), *first = mem_printf("%s.1", path);
    autoclose int fd = open_log(path, O_APPEND);
    write_lines(fd, 0, 512);
    assert_int_equal(rotate_file(path, 8192, 2, NULL), 0);
    assert_false(fs_exists(first));
    assert_int_equal(rotate_file("/does/not/exist.log", 1, 2, NULL), 0);
}

static void only_so_many_are_kept(void **state)
{
    autofree char *path = mem_printf("%s/a.log", (char *)*state), *second = mem_printf("%s.2", path),
                  *third = mem_printf("%s.3", path);
    autoclose int fd = open_log(path, O_APPEND);
    for (int round = 0; round < 5; round++) {
        write_lines(fd, 0, 1024);
        assert_int_equal(rotate_file(path, 4096, 2, NULL), 0);
    }
    assert_true(fs_exists(second));
    assert_false(fs_exists(third));
}

static void a_writer_that_does_not_append_does_not_grow_on_disk(void **state)
{
    autofree char *path = mem_printf("%s/a.log", (char *)*state);
    struct stat st;
    autoclose int fd = open_log(path, 0);
    for (int round = 0; round < 5; round++) {
        write_lines(fd, 0, 4096);
        assert_int_equal(rotate_file(path, 16384, 1, NULL), 0);
    }
    assert_int_equal(stat(path, &st), 0);
    assert_true(st.st_blocks * 512 <= 65536 + 8192);
}

static void a_folder_means_its_logs_only(void **state)
{
    autofree char *log = mem_printf("%s/a.log", (char *)*state), *first = mem_printf("%s.1", log),
                  *other = mem_printf("%s/a.txt", (char *)*state), *link = mem_printf("%s/b.log", (char *)*state);
    autoclose int fd = open_log(log, O_APPEND);
    autoclose int fd2 = open_log(other, O_APPEND);
    struct err err = ERR_INIT;
    write_lines(fd, 0, 1024);
    write_lines(fd2, 0, 1024);
    assert_int_equal(symlink(other, link), 0);
    assert_true(rotate_folder(*state, 4096, 1, &err) < 0); /* a link is not followed, and said */
    assert_non_null(strstr(err.message, "b.log"));
    assert_true(fs_exists(first));
    assert_int_equal(size_of(other), 16384);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_is_lost_between_the_pieces, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(below_the_size_nothing_happens, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(only_so_many_are_kept, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(a_writer_that_does_not_append_does_not_grow_on_disk, scratch_setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(a_folder_means_its_logs_only, scratch_setup, scratch_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
