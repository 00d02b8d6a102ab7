/* agent/operator/certs: made once, renewed in time, never lost. Certificates are judged by the openssl program. */
#include "../test.h"

#include "agent/operator/certs.h"
#include "base/proc.h"
#include "net/tls.h"

#include <sys/stat.h>

#define DAY_MS (INT64_C(86400) * 1000)
#define NOW INT64_C(1795000000000)

static const char *const dns[] = {"*.laptop.test", "laptop.test", "localhost", NULL};
static const char *const other_dns[] = {"*.other.test", NULL};
static const char *const ip[] = {"127.0.0.1", "::1", NULL};

static struct certs *opened(const char *dir, int64_t now)
{
    struct certs *c = NULL;
    struct err err = ERR_INIT;
    if (certs_open(dir, now, &c, &err) < 0)
        fail_msg("%s", err.message);
    return c;
}

static bool update(struct certs *c, const char *const *names, int64_t now)
{
    bool changed = false;
    struct err err = ERR_INIT;
    if (certs_update(c, names, ip, now, &changed, &err) < 0)
        fail_msg("%s", err.message);
    return changed;
}

static void openssl_says(const char *dir, const char *bundle, const char *option, const char *name, int64_t at,
                         bool good)
{
    autofree char *leaf = mem_printf("%s/leaf.pem", dir), *ca = mem_printf("%s/ca.pem", dir),
                  *time = mem_printf("%lld", (long long)at / 1000);
    assert_int_equal(fs_write_atomic(leaf, bundle, strlen(bundle), 0600, NULL), 0);
    const char *argv[] = {"openssl", "verify", "-purpose", "sslserver", "-attime", time,
                          "-CAfile", ca,       option,     name,        leaf,      NULL};
    struct err err = ERR_INIT;
    int r = proc_run(argv, NULL, 10000, NULL, &err);
    if ((r == 0) != good)
        fail_msg("%s %s: %s", option, name, r == 0 ? "accepted" : err.message);
}

static void names_are_as_asked(void **state)
{
    autocerts struct certs *c = opened(*state, NOW);
    assert_null(certs_bundle(c));
    assert_true(update(c, dns, NOW));
    openssl_says(*state, certs_bundle(c), "-verify_hostname", "demo.laptop.test", NOW, true);
    openssl_says(*state, certs_bundle(c), "-verify_hostname", "localhost", NOW, true);
    openssl_says(*state, certs_bundle(c), "-verify_ip", "127.0.0.1", NOW, true);
    openssl_says(*state, certs_bundle(c), "-verify_ip", "::1", NOW, true);
    openssl_says(*state, certs_bundle(c), "-verify_hostname", "demo.other.test", NOW, false);
    openssl_says(*state, certs_bundle(c), "-verify_hostname", "localhost", NOW + 29 * DAY_MS, true);
    openssl_says(*state, certs_bundle(c), "-verify_hostname", "localhost", NOW + 31 * DAY_MS, false);
    openssl_says(*state, certs_bundle(c), "-verify_hostname", "localhost", NOW - 30 * 60000, true);
    assert_non_null(strstr(certs_bundle(c), "PRIVATE KEY"));
}

static void secrets_have_the_right_mode(void **state)
{
    static const char *const files[] = {"ca.key", "service.json"};
    autocerts struct certs *c = opened(*state, NOW);
    assert_true(update(c, dns, NOW));
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        struct stat st;
        autofree char *path = mem_printf("%s/%s", (char *)*state, files[i]);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
    }
}

static void it_survives_a_restart_unchanged(void **state)
{
    autocerts struct certs *c = opened(*state, NOW);
    update(c, dns, NOW);
    autocerts struct certs *again = opened(*state, NOW + DAY_MS);
    assert_string_equal(certs_ca_pem(c), certs_ca_pem(again));
    assert_string_equal(certs_bundle(c), certs_bundle(again));
    assert_false(update(again, dns, NOW + DAY_MS));
}

static void it_is_renewed_at_two_thirds(void **state)
{
    autocerts struct certs *c = opened(*state, NOW);
    update(c, dns, NOW);
    autofree char *ca = mem_strdup(certs_ca_pem(c)), *bundle = mem_strdup(certs_bundle(c));
    int64_t at = certs_renew_ms(c);
    assert_in_range(at, NOW + 19 * DAY_MS, NOW + 20 * DAY_MS);
    assert_false(update(c, dns, at - 1));
    assert_true(update(c, dns, at));
    assert_string_not_equal(bundle, certs_bundle(c));
    assert_string_equal(ca, certs_ca_pem(c));
    assert_false(update(c, dns, at + DAY_MS));
}

static void other_names_make_another(void **state)
{
    autocerts struct certs *c = opened(*state, NOW);
    update(c, dns, NOW);
    assert_true(update(c, other_dns, NOW));
    openssl_says(*state, certs_bundle(c), "-verify_hostname", "demo.other.test", NOW, true);
    assert_false(update(c, other_dns, NOW));
}

static void the_authority_is_replaced_before_it_ends(void **state)
{
    autocerts struct certs *c = opened(*state, NOW);
    update(c, dns, NOW);
    autofree char *ca = mem_strdup(certs_ca_pem(c));
    int64_t late = NOW + (CERTS_CA_DAYS - CERTS_CA_RENEW_DAYS - 1) * DAY_MS;
    assert_true(update(c, dns, late));
    assert_string_equal(ca, certs_ca_pem(c));
    late += 2 * DAY_MS;
    assert_true(update(c, dns, late));
    assert_string_not_equal(ca, certs_ca_pem(c));
    openssl_says(*state, certs_bundle(c), "-verify_hostname", "localhost", late, true);
    assert_false(update(c, dns, late + DAY_MS));
}

static void a_wrong_clock_harms_nothing(void **state)
{
    autocerts struct certs *c = opened(*state, NOW);
    update(c, dns, NOW);
    autofree char *bundle = mem_strdup(certs_bundle(c));
    bool changed = true;
    struct err err = ERR_INIT;
    assert_int_equal(certs_update(c, dns, ip, NOW - 10 * DAY_MS, &changed, &err), -ERANGE);
    assert_false(changed);
    assert_non_null(strstr(err.message, "clock"));
    assert_string_equal(certs_bundle(c), bundle);
    assert_true(update(c, dns, NOW - DAY_MS / 2)); /* half a day off: a certificate that is valid now */
    assert_false(update(c, dns, NOW));
}

static void a_start_that_was_cut_short_is_mended(void **state)
{
    autofree char *key = mem_printf("%s/ca.key", (char *)*state), *leaf = mem_printf("%s/service.json", (char *)*state);
    autotlskey struct tls_key *lost = tls_key_new();
    assert_int_equal(tls_key_save(lost, key, NULL), 0); /* killed between key and certificate */
    autocerts struct certs *c = opened(*state, NOW);
    update(c, dns, NOW);
    assert_int_equal(fs_write_atomic(leaf, "{", 1, 0600, NULL), 0);
    autocerts struct certs *again = opened(*state, NOW);
    assert_string_equal(certs_ca_pem(c), certs_ca_pem(again));
    assert_true(update(again, dns, NOW));
}

static void a_lost_authority_key_is_an_error_and_not_replaced(void **state)
{
    autofree char *key = mem_printf("%s/ca.key", (char *)*state);
    certs_free(opened(*state, NOW));
    assert_int_equal(chmod(key, 0644), 0);
    struct certs *again = NULL;
    struct err err = ERR_INIT;
    assert_int_not_equal(certs_open(*state, NOW, &again, &err), 0);
    assert_null(again);
    assert_non_null(strstr(err.message, "ca.key"));
    assert_int_equal(unlink(key), 0);
    assert_int_not_equal(certs_open(*state, NOW, &again, NULL), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, scratch_setup, scratch_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(names_are_as_asked),
        TEST(secrets_have_the_right_mode),
        TEST(it_survives_a_restart_unchanged),
        TEST(it_is_renewed_at_two_thirds),
        TEST(other_names_make_another),
        TEST(the_authority_is_replaced_before_it_ends),
        TEST(a_wrong_clock_harms_nothing),
        TEST(a_start_that_was_cut_short_is_mended),
        TEST(a_lost_authority_key_is_an_error_and_not_replaced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
