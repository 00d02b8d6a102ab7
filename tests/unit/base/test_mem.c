/* base/mem: arenas. */
#include "../test.h"

static void arena_keeps_many_sizes(void **state OH_UNUSED)
{
    autoarena struct arena *a = arena_new();
    char *first = arena_strdup(a, "first");
    for (size_t i = 1; i < 20000; i += 97) {
        unsigned char *p = arena_alloc(a, i);
        assert_int_equal((uintptr_t)p % 16, 0);
        assert_int_equal(p[0], 0);
        memset(p, 0xee, i);
    }
    assert_string_equal(first, "first");
    assert_string_equal(arena_printf(a, "%s-%d", "x", 7), "x-7");
    assert_null(arena_strdup(a, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(arena_keeps_many_sizes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
