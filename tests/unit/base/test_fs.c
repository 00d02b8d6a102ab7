/* base/fs: bounded reads, atomic writes, trees. */
#include "../test.h"

#include <sys/stat.h>

static void write_then_read(void **state)
{
    autofree char *path = mem_printf("%s/file", (char *)*state);
    autofree char *text = NULL;
    size_t len;
    assert_int_equal(fs_write_atomic(path, "hello", 5, 0600, NULL), 0);
    assert_int_equal(fs_read(path, 5, &text, &len, NULL), 0);
    assert_string_equal(text, "hello");
    assert_int_equal(len, 5);
}

static void read_refuses_large_and_special(void **state)
{
    autofree char *path = mem_printf("%s/file", (char *)*state);
    autofree char *text = NULL;
    struct err err = ERR_INIT;
    assert_int_equal(fs_write_atomic(path, "123456", 6, 0600, NULL), 0);
    assert_int_equal(fs_read(path, 5, &text, NULL, &err), -EFBIG);
    assert_int_equal(fs_read(*state, 5, &text, NULL, &err), -EINVAL);
    assert_int_equal(fs_read("/dev/zero", 5, &text, NULL, &err), -EINVAL);
}

static void secrets_must_be_private(void **state)
{
    autofree char *path = mem_printf("%s/key", (char *)*state);
    autofree char *text = NULL;
    struct err err = ERR_INIT;
    assert_int_equal(fs_write_atomic(path, "k", 1, 0640, NULL), 0);
    assert_int_equal(fs_read_secret(path, 10, &text, NULL, &err), -EPERM);
    assert_non_null(strstr(err.message, "chmod 600"));
}

static void failed_write_keeps_the_old(void **state)
{
    autofree char *path = mem_printf("%s/dir/file", (char *)*state);
    struct err err = ERR_INIT;
    assert_int_equal(fs_write_atomic(path, "x", 1, 0600, &err), -ENOENT);
    assert_non_null(strstr(err.message, path));
}

static void trees(void **state)
{
    autofree char *deep = mem_printf("%s/a/b/c", (char *)*state);
    autofree char *top = mem_printf("%s/a", (char *)*state);
    autofree char *link = mem_printf("%s/a/link", (char *)*state);
    autofree char *kept = mem_printf("%s/kept", (char *)*state);
    autofree char *under = mem_printf("%s/kept/below", (char *)*state);
    assert_int_equal(fs_mkdirs(deep, 0700, NULL), 0);
    assert_int_equal(fs_mkdirs(deep, 0700, NULL), 0);
    assert_int_equal(fs_write_atomic(kept, "k", 1, 0600, NULL), 0);
    assert_int_equal(fs_mkdirs(kept, 0700, NULL), -ENOTDIR);
    assert_int_equal(fs_mkdirs(under, 0700, NULL), -ENOTDIR);
    assert_int_equal(symlink(kept, link), 0);
    assert_int_equal(fs_remove_tree(top, NULL), 0);
    assert_false(fs_exists(top));
    assert_true(fs_exists(kept)); /* the link was removed, not what it names */
    assert_int_equal(fs_remove_tree(top, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(write_then_read, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(read_refuses_large_and_special, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(secrets_must_be_private, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(failed_write_keeps_the_old, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(trees, scratch_setup, scratch_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
