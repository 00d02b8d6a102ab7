/* runtime/process/restart: how long to wait before starting again. */
#include "../test.h"

#include "runtime/process/restart.h"

static void doubles_up_to_its_limit(void **state OH_UNUSED)
{
    struct restart r = {0};
    int64_t expected = RESTART_FIRST_MS;
    for (int i = 0; i < 20; i++) {
        assert_int_equal(restart_next(&r, 100), MIN(expected, (int64_t)RESTART_MAX_MS));
        expected *= 2;
    }
}

static void a_stable_run_forgives(void **state OH_UNUSED)
{
    struct restart r = {0};
    for (int i = 0; i < 5; i++)
        restart_next(&r, 0);
    assert_int_equal(restart_next(&r, RESTART_STABLE_MS - 1), 32 * RESTART_FIRST_MS);
    assert_int_equal(restart_next(&r, RESTART_STABLE_MS), RESTART_FIRST_MS);
    assert_int_equal(restart_next(&r, 0), 2 * RESTART_FIRST_MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(doubles_up_to_its_limit),
        cmocka_unit_test(a_stable_run_forgives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
