/* control/api/view_cache: what was made from the same bytes is found, nothing else, and the ceiling holds. */
#include "../test.h"

#include "control/api/view_cache.h"

static const char *get(struct view_cache *c, const char *key, const char *inputs, struct buf *out)
{
    out->len = 0;
    if (!view_cache_get(c, key, inputs, strlen(inputs), out))
        return NULL;
    return out->len ? out->data : "";
}

static void put(struct view_cache *c, const char *key, const char *inputs, const char *text)
{
    view_cache_put(c, key, inputs, strlen(inputs), text, strlen(text));
}

static void finds_what_was_made_from_the_same(void **unused)
{
    struct view_cache *c = view_cache_new(MIB(1));
    autobuf struct buf out = BUF_INIT;
    assert_null(get(c, "a", "1", &out));
    put(c, "a", "1", "one");
    put(c, "b", "1", "other");
    assert_string_equal(get(c, "a", "1", &out), "one");
    assert_null(get(c, "a", "2", &out));
    assert_null(get(c, "a", "", &out));
    assert_null(get(c, "a", "12", &out));
    put(c, "a", "2", "two");
    assert_null(get(c, "a", "1", &out));
    assert_string_equal(get(c, "a", "2", &out), "two");
    assert_string_equal(get(c, "b", "1", &out), "other");
    view_cache_free(c);
    put(NULL, "a", "1", "one");
    assert_null(get(NULL, "a", "1", &out));
}

static void the_ceiling_holds(void **unused)
{
    struct view_cache *c = view_cache_new(KIB(64));
    autobuf struct buf out = BUF_INIT;
    char key[16], large[KIB(65)];
    int found = 0;
    for (int i = 0; i < 10000; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        put(c, key, "inputs", "text");
        assert_string_equal(get(c, key, "inputs", &out), "text");
    }
    for (int i = 0; i < 10000; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        found += get(c, key, "inputs", &out) != NULL;
    }
    assert_in_range(found, 1, 1000);
    memset(large, 'x', sizeof(large) - 1);
    large[sizeof(large) - 1] = 0;
    put(c, "large", "inputs", large);
    assert_null(get(c, "large", "inputs", &out));
    view_cache_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_was_made_from_the_same),
        cmocka_unit_test(the_ceiling_holds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
