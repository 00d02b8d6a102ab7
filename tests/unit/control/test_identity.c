/* control/identity: Basic credentials, IP lists, roles, passwords. */
#include "../test.h"

#include "base/buf.h"
#include "base/ip_list.h"
#include "control/identity/access.h"
#include "control/identity/basic.h"
#include "control/identity/password.h"
#include "control/identity/roles.h"

#include <time.h>

static int parse(const char *userinfo, size_t len, struct basic *b, struct err *err)
{
    autofree char *encoded = base64_encode(userinfo, len);
    autofree char *value = mem_printf("Basic %s", encoded);
    return basic_parse(value, b, err);
}

static void basic_reads_what_is_well_formed(void **unused)
{
    autobasic struct basic b = {0};
    assert_int_equal(parse("id:se:cret", 10, &b, NULL), 0);
    assert_string_equal(b.user, "id");
    assert_string_equal(b.password, "se:cret");
    basic_free(&b);
    assert_int_equal(basic_parse("bAsIc   OjE=", &b, NULL), 0);
    assert_string_equal(b.user, "");
    assert_string_equal(b.password, "1");
}

static void basic_refuses_the_rest(void **unused)
{
    autofree char *value = mem_alloc(BASIC_MAX + 10);
    struct basic b = {0};
    struct err err = ERR_INIT;
    assert_int_equal(basic_parse(NULL, &b, NULL), -ENOENT);
    assert_int_equal(basic_parse("Bearer abc", &b, NULL), -ENOENT);
    assert_int_equal(basic_parse("Basic", &b, NULL), -ENOENT);
    assert_int_equal(basic_parse("Basic canary!", &b, &err), -EINVAL);
    assert_null(strstr(err.message, "canary"));
    assert_int_equal(parse("nocolon", 7, &b, NULL), -EINVAL);
    assert_int_equal(parse("a\0b:c", 5, &b, NULL), -EINVAL);
    assert_int_equal(parse("a:b\n", 4, &b, NULL), -EINVAL);
    memset(value, 'A', BASIC_MAX + 1);
    memcpy(value, "Basic ", 6);
    assert_int_equal(basic_parse(value, &b, NULL), -EINVAL);
    assert_null(b.user);
}

static bool holds(const char *sources, const char *address)
{
    autojson json_t *list = json_array();
    autofree char *copy = mem_strdup(sources);
    char *save = NULL;
    for (char *s = strtok_r(copy, " ", &save); s; s = strtok_r(NULL, " ", &save))
        json_array_append_new(list, json_pack("{s:s}", "source", s));
    return ip_list_holds(list, address);
}

static void networks_hold_their_addresses(void **unused)
{
    assert_true(holds("10.1.2.3", "10.1.2.3"));
    assert_false(holds("10.1.2.3", "10.1.2.4"));
    assert_true(holds("10.1.2.0/23", "10.1.3.255"));
    assert_false(holds("10.1.2.0/23", "10.1.4.0"));
    assert_true(holds("10.1.2.99/24", "10.1.2.1")); /* bits beyond the prefix do not matter */
    assert_true(holds("192.168.0.0/16 2001:db8::/33", "2001:db8:7fff::1"));
    assert_false(holds("192.168.0.0/16 2001:db8::/33", "2001:db8:8000::1"));
    assert_true(holds("0.0.0.0/0", "1.2.3.4"));
    assert_false(holds("0.0.0.0/0", "2001:db8::1"));
    assert_false(holds("::/0", "1.2.3.4"));
}

static void mapped_addresses_count_as_ipv4(void **unused)
{
    assert_true(holds("10.1.2.0/24", "::ffff:10.1.2.3"));
    assert_true(holds("::ffff:10.1.2.0/120", "10.1.2.3"));
    assert_false(holds("::ffff:10.1.2.0/120", "10.1.3.3"));
}

static void unknown_address_is_outside_unless_all_are_in(void **unused)
{
    assert_false(holds("10.0.0.0/8 ::1", ""));
    assert_false(holds("10.0.0.0/8", "not-an-address"));
    assert_true(holds("0.0.0.0/0", ""));
    assert_true(holds("10.0.0.1 anywhere", ""));
    assert_false(holds("", "10.0.0.1"));
}

static void sources_are_checked(void **unused)
{
    static const char *const good[] = {"anywhere", "1.2.3.4", "1.2.3.4/0", "1.2.3.4/32", "::", "::1/128", "fe80::/10"};
    static const char *const bad[] = {"",
                                      "1.2.3",
                                      "1.2.3.4/33",
                                      "1.2.3.4/",
                                      "1.2.3.4/-1",
                                      "1.2.3.4/1x",
                                      "::1/129",
                                      "::ffff:1.2.3.4/95",
                                      "host.example",
                                      "1.2.3.4 ",
                                      "01.2.3.4/8/8"};
    for (size_t i = 0; i < ARRAY_SIZE(good); i++)
        assert_true(ip_source_valid(good[i]));
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_false(ip_source_valid(bad[i]));
}

static bool allowed(const char *role_name, const char *permission)
{
    for (size_t i = 0; i < roles_system_count; i++)
        if (!strcmp(roles_system[i].name, role_name)) {
            autojson json_t *ids = json_pack("[s]", roles_system[i].id);
            return roles_allow(ids, permission);
        }
    fail_msg("no role %s", role_name);
    return false;
}

static void roles_allow_what_they_name(void **unused)
{
    assert_true(allowed("Admin", "control-plane:organization:manage"));
    assert_true(allowed("Admin", "control-plane:infrastructure:approve"));
    assert_true(allowed("Service reader", "control-plane:service:view"));
    assert_true(allowed("Service reader", "control-plane:service:view-backups"));
    assert_false(allowed("Service reader", "control-plane:service:manage"));
    assert_true(allowed("Basic service API reader", "control-plane:service:view"));
    assert_false(allowed("Basic service API reader", "control-plane:service:view-backups"));
    assert_false(allowed("Member", "control-plane:service:view"));
    assert_false(allowed("Service admin", "control-plane:organization:manage"));
    assert_false(allowed("Query endpoints", "control-plane:organization:view"));
    autojson json_t *odd = json_pack("[s,i]", "0b5e0000-0000-4000-8000-0000000000ff", 1), *none = json_array();
    assert_false(roles_allow(odd, "control-plane:organization:view"));
    assert_false(roles_allow(none, "control-plane:organization:view"));
}

static json_t *one_policy(const char *kind, const char *permission, const char *resource)
{
    return json_pack("{s:s,s:[s],s:[s]}", "allowDeny", kind, "permissions", permission, "resources", resource);
}

static void a_denial_beats_every_allowance(void **unused)
{
    static const char view[] = "control-plane:service:view";
    autojson json_t *admin = json_pack("[s]", ROLE_ADMIN_ID), *nobody = json_array();
    autojson json_t *allow = json_pack("[o]", one_policy("ALLOW", view, "instance/a"));
    autojson json_t *deny = json_pack("[o]", one_policy("DENY", view, "instance/a"));
    autojson json_t *deny_all =
        json_pack("[o,o]", one_policy("ALLOW", view, "instance/a"), one_policy("DENY", view, "instance/*"));
    assert_true(access_allows(nobody, allow, view, "instance/a"));
    assert_false(access_allows(nobody, allow, view, "instance/ab"));
    assert_false(access_allows(nobody, allow, view, "instance/*"));
    assert_false(access_allows(nobody, allow, "control-plane:service:view-backups", "instance/a"));
    assert_true(access_allows(nobody, allow, view, NULL));
    assert_false(access_allows(nobody, NULL, view, NULL));
    assert_false(access_allows(admin, deny, view, "instance/a"));
    assert_true(access_allows(admin, deny, view, "instance/b"));
    assert_true(access_allows(admin, deny, view, NULL));
    assert_true(access_allows(admin, deny, view, "organization/a"));
    assert_false(access_allows(admin, deny_all, view, "instance/a"));
    assert_false(access_allows(admin, deny_all, view, "instance/*"));
    assert_false(access_allows(admin, deny_all, view, NULL));
}

static double seconds_of_match(const char *hash, const char *password, bool expected)
{
    struct timespec a, b;
    clock_gettime(CLOCK_MONOTONIC, &a);
    assert_int_equal(password_matches(hash, password), expected);
    clock_gettime(CLOCK_MONOTONIC, &b);
    return (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9;
}

static void passwords_match_their_hash_only(void **unused)
{
    char one[PASSWORD_HASH_SIZE], two[PASSWORD_HASH_SIZE];
    autofree char *longer = mem_alloc(PASSWORD_MAX + 2);
    memset(longer, 'p', PASSWORD_MAX + 1);
    assert_int_equal(password_hash("secret", one, NULL), 0);
    assert_int_equal(password_hash("secret", two, NULL), 0);
    assert_string_not_equal(one, two);
    assert_memory_equal(one, "$argon2id$", 10);
    assert_null(strstr(one, "secret"));
    double known = seconds_of_match(one, "secret", true);
    seconds_of_match(one, "Secret", false);
    /* Nobody's password costs the same: an answer's time must not tell who exists. */
    assert_true(seconds_of_match(NULL, "secret", false) > known / 4);
    assert_int_equal(password_hash("", one, NULL), -EINVAL);
    assert_int_equal(password_hash(longer, one, NULL), -EINVAL);
}

static void generated_passwords_have_each_class(void **unused)
{
    char a[PASSWORD_GENERATED_SIZE], b[PASSWORD_GENERATED_SIZE];
    for (int i = 0; i < 200; i++) {
        password_generate(a);
        assert_int_equal(strlen(a), PASSWORD_GENERATED_SIZE - 1);
        assert_non_null(strpbrk(a, "0123456789"));
        assert_non_null(strpbrk(a, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"));
        assert_non_null(strpbrk(a, "abcdefghijklmnopqrstuvwxyz"));
    }
    password_generate(b);
    assert_string_not_equal(a, b);
}

/* Checked with: printf %s password | sha256sum; ... | openssl sha1 -binary | openssl sha1 */
static void clickhouse_hashes(void **unused)
{
    char sha256[65], sha1[41];
    password_clickhouse("password", sha256, sha1);
    assert_string_equal(sha256, "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8");
    assert_string_equal(sha1, "2470c0c06dee42fd1618bb99005adca2ec9d1e19");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(basic_reads_what_is_well_formed),
        cmocka_unit_test(basic_refuses_the_rest),
        cmocka_unit_test(networks_hold_their_addresses),
        cmocka_unit_test(mapped_addresses_count_as_ipv4),
        cmocka_unit_test(unknown_address_is_outside_unless_all_are_in),
        cmocka_unit_test(sources_are_checked),
        cmocka_unit_test(roles_allow_what_they_name),
        cmocka_unit_test(a_denial_beats_every_allowance),
        cmocka_unit_test(passwords_match_their_hash_only),
        cmocka_unit_test(generated_passwords_have_each_class),
        cmocka_unit_test(clickhouse_hashes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
