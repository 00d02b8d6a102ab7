/* The identity folder: what is kept, in which order, and that nothing foreign gets in. */
#include "agent/link/identity.h"

#include "../test.h"
#include "base/js.h"

#include <sys/stat.h>

#define AGENT "11111111-1111-4111-8111-111111111111"
#define OTHER "33333333-3333-4333-8333-333333333333"
#define INFRA "22222222-2222-4222-8222-222222222222"
#define KEY_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define NOW 1795341600000ll
#define HOUR (3600 * 1000ll)

static struct tls_ca *ca;
static struct bundle *bundle;

static int make(void **state)
{
    struct tls_cert_info info;
    char pin[TLS_PIN_SIZE];
    if (tls_ca_new("test link", NOW - HOUR, NOW + 1000 * HOUR, &ca, NULL) < 0)
        return -1;
    autofree char *pem = tls_cert_pem(tls_ca_cert(ca));
    tls_cert_info(tls_ca_cert(ca), &info);
    tls_pin_text(info.spki, pin);
    autojson json_t *v =
        json_pack("{si s{ss ss} s{ss ss} ss ss ss s[] s{si ss}}", "v", 1, "control", "address", "c:1", "serverName",
                  "link.ownhouse", "linkCa", "pem", pem, "spki", pin, "spareSpki", "", "desiredKey", KEY_A,
                  "releaseKey", "", "approverKeys", "policy", "v", 1, "mode", "open");
    autofree char *text = js_text(v);
    return bundle_parse(text, strlen(text), &bundle, NULL);
}

static int drop(void **state)
{
    tls_ca_free(ca);
    bundle_free(bundle);
    return 0;
}

static char *certificate(const struct tls_key *key, const char *agent, int64_t ends)
{
    autofree char *csr = tls_csr_new(key), *uri = mem_printf("ownhouse:agent/%s", agent);
    autocert struct tls_cert *cert = NULL;
    assert_int_equal(tls_ca_sign_client(ca, csr, strlen(csr), uri, NOW, ends, &cert, NULL), 0);
    return tls_cert_pem(cert);
}

static void enrols_and_renews(void **state)
{
    const char *dir = *state;
    struct identity id = {0};
    autotlskey struct tls_key *key = NULL, *again = NULL;
    unsigned char one[SHA256_SIZE], two[SHA256_SIZE];
    struct stat st;
    assert_int_equal(identity_load(dir, &id, NULL), -ENOENT);
    assert_int_equal(identity_key(dir, &key, NULL), 0);
    assert_int_equal(identity_key(dir, &again, NULL), 0);
    tls_key_spki(key, one);
    tls_key_spki(again, two);
    assert_memory_equal(one, two, SHA256_SIZE);
    autofree char *path = mem_printf("%s/key.pem", dir);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    autofree char *pem = certificate(key, AGENT, NOW + 24 * HOUR);
    assert_int_equal(identity_enrolled(dir, key, bundle, AGENT, INFRA, pem, NULL), 0);
    assert_int_equal(identity_load(dir, &id, NULL), 0);
    assert_string_equal(id.agent, AGENT);
    assert_string_equal(id.infrastructure, INFRA);
    assert_int_equal(id.not_after_ms, NOW + 24 * HOUR);
    autobundle struct bundle *kept = NULL;
    assert_int_equal(identity_bundle(dir, &kept, NULL), 0);
    assert_string_equal(kept->fingerprint, bundle->fingerprint);
    autofree char *next = certificate(key, AGENT, NOW + 40 * HOUR);
    assert_int_equal(identity_renewed(dir, &id, next, NULL), 0);
    assert_int_equal(id.not_after_ms, NOW + 40 * HOUR);
    /* A certificate that ends earlier would be a step back. */
    assert_int_equal(identity_renewed(dir, &id, pem, NULL), -EINVAL);
    identity_free(&id);
    assert_int_equal(identity_load(dir, &id, NULL), 0);
    assert_int_equal(id.not_after_ms, NOW + 40 * HOUR);
    identity_free(&id);
}

static void refuses_foreign_certificates(void **state)
{
    const char *dir = *state;
    autotlskey struct tls_key *key = NULL, *foreign = tls_key_new();
    struct identity id = {0};
    struct err err = ERR_INIT;
    assert_int_equal(identity_key(dir, &key, NULL), 0);
    autofree char *others_key = certificate(foreign, AGENT, NOW + HOUR),
                  *others_name = certificate(key, OTHER, NOW + HOUR);
    assert_int_equal(identity_enrolled(dir, key, bundle, AGENT, INFRA, others_key, &err), -EINVAL);
    assert_non_null(strstr(err.message, "not for this agent's key"));
    assert_int_equal(identity_enrolled(dir, key, bundle, AGENT, INFRA, others_name, &err), -EINVAL);
    assert_int_equal(identity_enrolled(dir, key, bundle, AGENT, INFRA, "rubbish", &err), -EINVAL);
    assert_int_equal(identity_load(dir, &id, NULL), -ENOENT);
}

/* A crash between any two of the files leaves a folder from which enrolment goes on, never one that half works. */
static void a_crash_anywhere_is_survived(void **state)
{
    static const char *const made_last_first[] = {"certificate.pem", "agent.json", "bundle.json"};
    const char *dir = *state;
    autotlskey struct tls_key *key = NULL;
    struct identity id = {0};
    assert_int_equal(identity_key(dir, &key, NULL), 0);
    autofree char *pem = certificate(key, AGENT, NOW + 24 * HOUR);
    assert_int_equal(identity_enrolled(dir, key, bundle, AGENT, INFRA, pem, NULL), 0);
    for (size_t i = 0; i < ARRAY_SIZE(made_last_first); i++) {
        autofree char *path = mem_printf("%s/%s", dir, made_last_first[i]);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(identity_load(dir, &id, NULL), -ENOENT);
    }
    assert_int_equal(identity_enrolled(dir, key, bundle, AGENT, INFRA, pem, NULL), 0);
    assert_int_equal(identity_load(dir, &id, NULL), 0);
    identity_free(&id);
}

static void damaged_files_are_named(void **state)
{
    const char *dir = *state;
    autotlskey struct tls_key *key = NULL;
    struct identity id = {0};
    struct err err = ERR_INIT;
    assert_int_equal(identity_key(dir, &key, NULL), 0);
    autofree char *pem = certificate(key, AGENT, NOW + 24 * HOUR), *path = mem_printf("%s/agent.json", dir);
    assert_int_equal(identity_enrolled(dir, key, bundle, AGENT, INFRA, pem, NULL), 0);
    assert_int_equal(fs_write_atomic(path, "{}", 2, 0600, NULL), 0);
    assert_int_equal(identity_load(dir, &id, &err), -EINVAL);
    assert_non_null(strstr(err.message, "agent.json"));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(identity_load(dir, &id, &err), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(enrols_and_renews, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(refuses_foreign_certificates, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(a_crash_anywhere_is_survived, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(damaged_files_are_named, scratch_setup, scratch_teardown),
    };
    return cmocka_run_group_tests(tests, make, drop);
}
