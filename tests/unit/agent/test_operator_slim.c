/* What is remembered of workloads: equal stays equal, other stays other, and whom a file names is still known. */
#include "../test.h"
#include "agent/operator/slim.h"
#include "base/mem.h"

#define LONG_TEXT \
    "a line that is long enough to be left out of what is remembered, and that says nothing that anybody would need"

static struct workload_file file(const char *path, const char *content)
{
    return (struct workload_file){.path = path, .content = content, .on_change = WORKLOAD_RELOAD};
}

static void contents(void **state OH_UNUSED)
{
    struct workload_list slim;
    struct workload_env labels[] = {{"role", "clickhouse"}};
    struct workload_file files[] = {
        file("long", LONG_TEXT " ${ready:clickhouse-a-0} $${address:not-this} ${address:dns} ${param:x}"),
        file("same", LONG_TEXT), file("short", "7\n"), file("again", LONG_TEXT)};
    struct workload items[] = {
        {.name = "one", .labels = labels, .n_labels = 1, .files = files, .n_files = 3, .image = "i@sha256:1"},
        {.name = "two",
         .labels = labels,
         .n_labels = 1,
         .files = files + 3,
         .n_files = 1,
         .order = 4,
         .stopped = true}};
    const struct workload_list list = {.items = items, .n = 2};
    slim_copy(&list, &slim);
    memset(labels, 0, sizeof(labels)); /* nothing is borrowed */
    assert_int_equal(slim.n, 2);
    const struct workload *one = &slim.items[0], *two = &slim.items[1];
    assert_string_equal(one->name, "one");
    assert_string_equal(workload_label(one, "role"), "clickhouse");
    assert_string_equal(one->image, "i@sha256:1");
    assert_non_null(strstr(one->files[0].content, "${ready:clickhouse-a-0}${address:dns}"));
    assert_null(strstr(one->files[0].content, "not-this"));
    assert_null(strstr(one->files[0].content, "a line"));
    assert_string_not_equal(one->files[0].content, one->files[1].content);
    assert_int_equal(strlen(one->files[1].content), 64);
    assert_string_equal(one->files[2].content, "7\n");
    assert_int_equal(one->files[2].on_change, WORKLOAD_RELOAD);
    assert_ptr_equal(one->files[1].content, two->files[0].content);
    assert_ptr_equal(one->labels[0].value, two->labels[0].value);
    assert_true(two->stopped && two->order == 4 && !two->image);
    workload_list_free(&slim);
}

/* More texts than the table begins with. */
static void many(void **state OH_UNUSED)
{
    struct workload_list list, slim;
    workload_list_init(&list);
    for (int i = 0; i < 1000; i++)
        workload_list_add(&list)->name = arena_printf(list.arena, "workload-%d", i);
    slim_copy(&list, &slim);
    for (size_t i = 0; i < 1000; i++) {
        assert_string_equal(slim.items[i].name, list.items[i].name);
        assert_ptr_not_equal(slim.items[i].name, list.items[i].name);
    }
    workload_list_free(&slim);
    workload_list_free(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(contents), cmocka_unit_test(many)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
