/* base/clock: RFC 3339 text and the manual clock. */
#include "../test.h"

#include "base/clock.h"

static void iso_round_trip(void **state OH_UNUSED)
{
    char text[CLOCK_ISO_SIZE];
    int64_t back;
    clock_iso(1795348800123LL, text);
    assert_string_equal(text, "2026-11-22T12:00:00.123Z");
    assert_int_equal(clock_iso_parse(text, &back), 0);
    assert_true(back == 1795348800123LL);
    assert_int_equal(clock_iso_parse("2026-11-22T13:30:00+01:30", &back), 0);
    assert_true(back == 1795348800000LL);
}

static void iso_refuses_nonsense(void **state OH_UNUSED)
{
    static const char *const bad[] = {"",
                                      "2026-11-22",
                                      "2026-02-30T00:00:00Z",
                                      "2026-13-01T00:00:00Z",
                                      "2026-11-22T24:00:00Z",
                                      "2026-11-22T10:00:00",
                                      "2026-11-22T10:00:00Zx",
                                      "2026-11-22T10:00:00.Z"};
    int64_t v;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(clock_iso_parse(bad[i], &v), -EINVAL);
}

static void manual_clock_moves_when_told(void **state OH_UNUSED)
{
    struct clock_manual m;
    clock_manual_init(&m, 1000);
    clock_manual_advance(&m, 50);
    assert_true(clock_wall_ms(&m.clock) == 1050);
    assert_true(clock_mono_ms(&m.clock) == 51);
    m.wall -= 3600000; /* the wall clock jumps, the other does not */
    assert_true(clock_mono_ms(&m.clock) == 51);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(iso_round_trip),
        cmocka_unit_test(iso_refuses_nonsense),
        cmocka_unit_test(manual_clock_moves_when_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
