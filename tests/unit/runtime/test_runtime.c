/* runtime: the digest of a workload. */
#include "../test.h"

#include "runtime/runtime.h"

static void digest_is_of_the_whole_workload(void **state OH_UNUSED)
{
    struct workload_file file = {.path = "a", .content = "1"};
    struct workload w = {.name = "a", .files = &file, .n_files = 1};
    char one[65], two[65], three[65];
    assert_int_equal(runtime_digest(&w, one, NULL), 0);
    assert_int_equal(runtime_digest(&w, two, NULL), 0);
    assert_string_equal(one, two);
    file.content = "2";
    assert_int_equal(runtime_digest(&w, three, NULL), 0);
    assert_string_not_equal(one, three);
    file.content = "\xff";
    assert_int_equal(runtime_digest(&w, three, NULL), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(digest_is_of_the_whole_workload)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
