/* clickhouse/qlog: the execution log. */
#include "../test.h"

#include "base/js.h"
#include "clickhouse/qlog.h"

#include <sys/stat.h>

static void one_line_an_entry(void **state)
{
    autofree char *path = mem_printf("%s/q.log", (char *)*state), *moved = mem_printf("%s.1", path);
    autofree char *text = NULL, *old = NULL;
    size_t len;
    struct qlog *q;
    struct qlog_entry e = {.query_id = "id \"x\"", .user = "u", .kind = "Select", .wall_ms = 0, .duration_ms = 3};
    assert_int_equal(qlog_open(path, "", &q, NULL), 0);
    qlog_write(q, &e);
    assert_int_equal(rename(path, moved), 0);
    assert_int_equal(qlog_reopen(q, NULL), 0);
    e.exception_code = 62;
    qlog_write(q, &e);
    qlog_close(q);

    assert_int_equal(fs_read(moved, 4096, &old, NULL, NULL), 0);
    assert_int_equal(fs_read(path, 4096, &text, &len, NULL), 0);
    assert_ptr_equal(strchr(text, '\n'), text + len - 1);
    autojson json_t *v = NULL;
    assert_int_equal(js_parse(text, len, 4096, &v, NULL), 0);
    assert_int_equal(json_integer_value(json_object_get(v, "exception_code")), 62);
    assert_string_equal(json_string_value(json_object_get(v, "query_id")), "id \"x\"");
    assert_string_equal(json_string_value(json_object_get(v, "time")), "1970-01-01T00:00:00.000Z");
    assert_non_null(strstr(old, "\"exception_code\":0"));
}

static void some_users_in_so_much_room(void **state)
{
    autofree char *path = mem_printf("%s/q.log", (char *)*state), *moved = mem_printf("%s.1", path);
    autofree char *text = NULL;
    struct stat st;
    struct qlog *q;
    struct qlog_entry e = {.query_id = "a", .user = "ownhouse_grant_x", .kind = "Select"};
    struct qlog_entry other = {.query_id = "b", .user = "default", .kind = "Select"};
    assert_int_equal(qlog_open(path, "ownhouse_", &q, NULL), 0);
    qlog_write(q, &other);
    qlog_write(q, &e);
    assert_int_equal(fs_read(path, 4096, &text, NULL, NULL), 0);
    assert_non_null(strstr(text, "\"a\""));
    assert_null(strstr(text, "\"b\""));
    assert_int_equal(truncate(path, QLOG_KEPT_MAX), 0);
    qlog_write(q, &e);
    assert_int_equal(stat(moved, &st), 0);
    assert_int_equal(st.st_size, QLOG_KEPT_MAX);
    assert_int_equal(stat(path, &st), 0);
    assert_true(st.st_size > 0 && st.st_size < 4096);
    qlog_close(q);
}

static void no_path_writes_nothing(void **state)
{
    struct qlog *q;
    assert_int_equal(qlog_open("", "", &q, NULL), 0);
    qlog_write(q, &(struct qlog_entry){.query_id = "", .user = "", .kind = ""});
    assert_int_equal(qlog_reopen(q, NULL), 0);
    qlog_close(q);
}

static void bad_path_is_named(void **state)
{
    struct qlog *q;
    struct err err = ERR_INIT;
    assert_int_equal(qlog_open("/nonexistent/q.log", "", &q, &err), -ENOENT);
    assert_non_null(strstr(err.message, "query_log: cannot open /nonexistent/q.log"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_line_an_entry, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(some_users_in_so_much_room, scratch_setup, scratch_teardown),
        cmocka_unit_test(no_path_writes_nothing),
        cmocka_unit_test(bad_path_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
