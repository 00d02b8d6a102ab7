/* clickhouse/query_access: keys, addresses and origins of query endpoints. */
#include "../test.h"

#include "clickhouse/query_access.h"

/* sha256("id-one"), sha256("secret") */
#define SECRET "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"
#define SERVICE "0b5e0000-0000-4000-8000-000000000001"
#define KEY "0b5e0000-0000-4000-8000-000000000002"
#define USERS "{\"users\": [{\"name\": \"default\", \"sha256\": \"" SECRET "\"}]"

static char *put(void **state, const char *text)
{
    char *path = mem_printf("%s/users.json", (char *)*state);
    assert_int_equal(fs_write_atomic(path, text, strlen(text), 0600, NULL), 0);
    return path;
}

static char *rules(const char *origins, const char *networks, long long expires)
{
    char id[65];
    sha256_hex("id-one", 6, id);
    return mem_printf(USERS ", \"queryEndpoint\": {\"service\": \"" SERVICE
                            "\", \"readonly\": true, \"origins\": [%s], "
                            "\"keys\": [{\"id\": \"" KEY "\", \"id_sha256\": \"%s\", \"sha256\": \"" SECRET
                            "\", \"expires_ms\": %lld, \"networks\": [%s]}]}}",
                      origins, id, expires, networks);
}

static int check(struct query_access *a, const char *credentials, const char *address, struct query_caller *caller)
{
    struct clock_manual clock;
    struct err err = ERR_INIT;
    autofree char *code = base64_encode(credentials, strlen(credentials)), *header = mem_printf("Basic %s", code);
    clock_manual_init(&clock, 1790000000000LL);
    int r = query_access_check(a, &clock.clock, *credentials ? header : NULL, address, caller, &err);
    if (r < 0)
        assert_true(err.message[0]);
    return r;
}

static void keys_are_known_by_their_hashes(void **state)
{
    autofree char *text = rules("", "{\"source\":\"10.0.0.0/8\"}", 1790000000001LL), *path = put(state, text);
    struct query_caller caller = {0};
    struct query_access *a;
    char service[UUID_SIZE];
    assert_int_equal(query_access_load(path, &a, NULL), 0);
    assert_true(query_access_service(a, service));
    assert_string_equal(service, SERVICE);
    assert_int_equal(check(a, "id-one:secret", "10.1.2.3", &caller), 0);
    assert_string_equal(caller.key, KEY);
    assert_true(caller.readonly);
    assert_int_equal(check(a, "id-one:wrong", "10.1.2.3", &caller), -EACCES);
    assert_int_equal(check(a, "id-two:secret", "10.1.2.3", &caller), -EACCES);
    assert_int_equal(check(a, "default:secret", "10.1.2.3", &caller), -EACCES);
    assert_int_equal(check(a, "", "10.1.2.3", &caller), -EACCES);
    assert_int_equal(check(a, "id-one:secret", "11.1.2.3", &caller), -EPERM);
    assert_int_equal(check(a, "id-one:secret", "", &caller), -EPERM);

    autofree char *ended = rules("", "{\"source\":\"0.0.0.0/0\"}", 1790000000000LL);
    free(put(state, ended));
    assert_int_equal(query_access_reload(a, NULL), 0);
    assert_int_equal(check(a, "id-one:secret", "10.1.2.3", &caller), -EACCES);

    free(put(state, USERS "}"));
    assert_int_equal(query_access_reload(a, NULL), 0);
    assert_false(query_access_service(a, service));
    assert_int_equal(check(a, "id-one:secret", "10.1.2.3", &caller), -EACCES);
    query_access_free(a);
}

static void origins(void **state)
{
    static const struct {
        const char *pattern, *origin;
        bool match;
    } cases[] = {
        {"*", "https://any.example", true},
        {"https://app.example.org", "https://app.example.org", true},
        {"https://app.example.org", "HTTPS://APP.example.org", true},
        {"https://app.example.org", "http://app.example.org", false},
        {"https://app.example.org", "https://app.example.org:8443", false},
        {"https://app.example.org:8443", "https://app.example.org:8443", true},
        {"https://app.example.org/", "https://app.example.org", true},
        {"app.example.org", "https://app.example.org", true},
        {"app.example.org", "http://app.example.org:3000", true},
        {"app.example.org:3000", "http://app.example.org", false},
        {"app.example.org", "https://evilapp.example.org", false},
        {"app.example.org", "https://app.example.org.evil.example", false},
        {"*.example.org", "https://app.example.org", true},
        {"*.example.org", "https://example.org", false},
        {"*.example.org", "https://evilexample.org", false},
        {"https://*.example.org", "https://a.b.example.org", true},
        {"http://[::1]:3000", "http://[::1]:3000", true},
        {"[::1]", "http://[::1]:3000", true},
        {"example.org", "null", false},
        {"", "https://example.org", false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        if (query_origin_matches(cases[i].pattern, cases[i].origin) != cases[i].match)
            fail_msg("%s against %s", cases[i].pattern, cases[i].origin);

    autofree char *text = rules("\"https://app.example.org\", \"*.other.example\"", "", 0), *path = put(state, text);
    struct query_access *a;
    assert_int_equal(query_access_load(path, &a, NULL), 0);
    assert_true(query_access_origin(a, "https://x.other.example"));
    assert_false(query_access_origin(a, "https://example.org"));
    query_access_free(a);
}

static void a_wrong_file_changes_nothing(void **state)
{
    static const char *const wrong[] = {"[]",
                                        "{}",
                                        "{\"service\": \"x\", \"origins\": [], \"keys\": []}",
                                        "{\"service\": \"" SERVICE "\", \"origins\": [1], \"keys\": []}",
                                        "{\"service\": \"" SERVICE "\", \"origins\": [], \"keys\": [{}]}",
                                        "{\"service\": \"" SERVICE "\", \"origins\": [], \"keys\": [], \"more\": 1}"};
    autofree char *text = rules("", "{\"source\":\"0.0.0.0/0\"}", 0), *path = put(state, text);
    struct query_caller caller;
    struct query_access *a;
    assert_int_equal(query_access_load(path, &a, NULL), 0);
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        struct err err = ERR_INIT;
        autofree char *bad = mem_printf(USERS ", \"queryEndpoint\": %s}", wrong[i]);
        free(put(state, bad));
        assert_int_equal(query_access_reload(a, &err), -EINVAL);
        assert_non_null(strstr(err.message, "queryEndpoint"));
        assert_int_equal(check(a, "id-one:secret", "", &caller), 0);
    }
    query_access_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(keys_are_known_by_their_hashes, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(origins, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(a_wrong_file_changes_nothing, scratch_setup, scratch_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
