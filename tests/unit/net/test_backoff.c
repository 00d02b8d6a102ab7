/* net/backoff: ceilings, jitter, and when they fall back. */
#include "../test.h"

#include "net/backoff.h"

static void ceilings_double(void **state OH_UNUSED)
{
    static const int64_t ceilings[] = {500, 1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000};
    struct backoff b = {0};
    for (size_t i = 0; i < ARRAY_SIZE(ceilings); i++) {
        struct backoff low = b;
        assert_int_equal(backoff_next(&low, 1000, 0), 0);
        assert_int_equal(backoff_next(&b, 1000, (uint32_t)ceilings[i]), ceilings[i]);
    }
    struct backoff fresh = {0};
    assert_int_equal(backoff_next(&fresh, 1000, 501), 0); /* wraps: never above the ceiling */
}

static void only_a_lasting_connection_resets(void **state OH_UNUSED)
{
    struct backoff b = {0};
    for (int i = 0; i < 8; i++)
        assert_true(backoff_next(&b, 0, 7) >= 0);
    backoff_connected(&b, 100000);
    assert_int_equal(backoff_next(&b, 159999, 60000), 60000); /* accepted and dropped: go on waiting long */
    backoff_connected(&b, 200000);
    assert_int_equal(backoff_next(&b, 260000, 500), 500);
    assert_int_equal(backoff_next(&b, 260000, 1000), 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ceilings_double),
        cmocka_unit_test(only_a_lasting_connection_resets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
