/* clickhouse/auth: where credentials may stand in a request. */
#include "../test.h"

#include "clickhouse/auth.h"

static struct credentials found(const char *authorization, const char *user, const char *key, const char *query)
{
    autoparams struct params *p = params_new();
    struct credentials c;
    struct err err = ERR_INIT;
    assert_int_equal(params_parse(p, query, strlen(query), &err), 0);
    if (auth_credentials(authorization, user, key, p, &c, &err) < 0)
        fail_msg("%s", err.message);
    return c;
}

static void expect(struct credentials c, const char *user, const char *password, bool given)
{
    assert_string_equal(c.user, user);
    assert_string_equal(c.password, password);
    assert_int_equal(c.given, given);
    auth_free(&c);
}

static void three_ways(void **state)
{
    expect(found("Basic ZGVmYXVsdDpzOjE=", NULL, NULL, ""), "default", "s:1", true);
    expect(found(NULL, "u", "k", ""), "u", "k", true);
    expect(found(NULL, NULL, "k", ""), "default", "k", true);
    expect(found(NULL, NULL, NULL, "user=u&password=p%26"), "u", "p&", true);
    expect(found(NULL, NULL, NULL, ""), "default", "", false);
}

static void refused(const char *authorization, const char *user, const char *query)
{
    autoparams struct params *p = params_new();
    struct credentials c;
    struct err err = ERR_INIT;
    assert_int_equal(params_parse(p, query, strlen(query), &err), 0);
    assert_int_equal(auth_credentials(authorization, user, NULL, p, &c, &err), -EINVAL);
    assert_true(strlen(err.message) > 0);
    auth_free(&c);
}

static void one_way_only(void **state)
{
    refused("Basic ZGVmYXVsdDpz", "u", "");
    refused("Basic ZGVmYXVsdDpz", NULL, "user=u");
    refused(NULL, "u", "password=p");
    refused("Bearer x", NULL, "");
    refused("Basic ???", NULL, "");
    refused("Basic bm9jb2xvbg==", NULL, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(three_ways), cmocka_unit_test(one_way_only)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
