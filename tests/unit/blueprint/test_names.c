/* blueprint/names: what may be written into other programs' files. */
#include "../test.h"

#include "blueprint/names.h"

static void check(bool (*valid)(const char *), const char *const *good, const char *const *bad)
{
    for (; *good; good++)
        if (!valid(*good))
            fail_msg("refused: %s", *good);
    for (; *bad; bad++)
        if (valid(*bad))
            fail_msg("accepted: %s", *bad);
}

#define LIST(...) ((const char *const[]){__VA_ARGS__, NULL})

static void labels(void **state OH_UNUSED)
{
    char long_one[65];
    memset(long_one, 'a', 64);
    long_one[64] = '\0';
    assert_false(names_label_valid(long_one));
    assert_true(names_label_valid(long_one + 1));
    check(names_label_valid, LIST("a", "demo", "a-b", "0", "x9"),
          LIST("", "-a", "a-", "A", "a.b", "a_b", "a b", "é", "a\n"));
}

static void domains(void **state OH_UNUSED)
{
    check(names_domain_valid, LIST("localhost", "laptop.ownhouse.localhost", "a.b"),
          LIST("", ".", "a.", ".a", "a..b", "A.b", "a b.c", "a\n.b"));
    char text[NAMES_DOMAIN_MAX + 2];
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = i % 2 ? '.' : 'a';
    text[NAMES_DOMAIN_MAX] = '\0';
    assert_true(names_domain_valid(text));
    text[NAMES_DOMAIN_MAX] = 'b';
    text[NAMES_DOMAIN_MAX + 1] = '\0';
    assert_false(names_domain_valid(text));
}

static void users(void **state OH_UNUSED)
{
    check(names_user_valid, LIST("default", "_x", "a_b-c", "Z9", "ownhouse"),
          LIST("", "9a", "a b", "a/b", "a\"", "ownhouse_operator", "é", "a:b", "a.b", "a@b"));
}

static void networks(void **state OH_UNUSED)
{
    check(names_network_valid,
          LIST("0.0.0.0/0", "::/0", "10.0.0.1", "10.0.0.0/8", "2001:db8::/32", "::1", "1.2.3.4/32"),
          LIST("", "/8", "10.0.0.0/", "10.0.0.0/33", "::/129", "10.0.0/8", "10.0.0.0/08", "1.2.3.4/-1", "1.2.3.4 ",
               "fe80::1%eth0", "example.com", "1.2.3.4/8/8", "01.2.3.4", "1.2.3.4/1a"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(labels),
        cmocka_unit_test(domains),
        cmocka_unit_test(users),
        cmocka_unit_test(networks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
