/* cli/customer: keys and bundle of the customer, checked against the control plane's folder; passwords. */
#include "../test.h"

#include "agent/link/bundle.h"
#include "base/keys.h"
#include "cli/customer.h"
#include "net/tls.h"

#include <sys/stat.h>

#define YEAR_MS (365LL * 24 * 3600 * 1000)

/* Makes what the control plane keeps: <home>/control/keys with two authorities and the document key. */
static json_t *make_control_plane(const struct cli *c)
{
    autofree char *keys = cli_path(c, "control/keys");
    static const char *const names[] = {"link-ca", "link-ca-spare"};
    char pins[2][TLS_PIN_SIZE], hex[2 * ED25519_PUBLIC_SIZE + 2];
    autofree char *pem = NULL;
    unsigned char pub[ED25519_PUBLIC_SIZE];
    int64_t now = clock_wall_ms(&clock_system);
    assert_int_equal(fs_mkdirs(keys, 0700, NULL), 0);
    for (int i = 0; i < 2; i++) {
        autofree char *key = mem_printf("%s/%s.key", keys, names[i]), *cert = mem_printf("%s/%s.pem", keys, names[i]);
        autoca struct tls_ca *ca = NULL;
        struct tls_cert_info info;
        assert_int_equal(tls_ca_new(names[i], now - 1000, now + YEAR_MS, &ca, NULL), 0);
        assert_int_equal(tls_ca_save(ca, key, cert, NULL), 0);
        tls_cert_info(tls_ca_cert(ca), &info);
        tls_pin_text(info.spki, pins[i]);
        if (i == 0)
            pem = tls_cert_pem(tls_ca_cert(ca));
    }
    autokey struct signing_key *k = signing_key_new();
    autofree char *pub_path = mem_printf("%s/desired.pub", keys);
    signing_key_public(k, pub);
    hex_encode(pub, sizeof(pub), hex);
    strcat(hex, "\n");
    assert_int_equal(fs_write_atomic(pub_path, hex, strlen(hex), 0644, NULL), 0);
    hex[64] = 0;
    return json_pack("{s:{s:s,s:s},s:{s:s,s:s},s:s,s:s,s:s}", "control", "address", "control.example:443", "serverName",
                     "link.ownhouse", "linkCa", "pem", pem, "spki", pins[0], "spareSpki", pins[1], "desiredKey", hex,
                     "releaseKey", "");
}

static void the_agent_takes_the_bundle(void **state)
{
    struct cli c = {.home = *state};
    struct err err = ERR_INIT;
    autojson json_t *enrolment = make_control_plane(&c);
    autofree char *path = customer_path(&c, "laptop", "bundle.json"),
                  *key = customer_path(&c, "laptop", "approver.key");
    autobundle struct bundle *b = NULL;
    struct stat st;
    assert_int_equal(customer_prepare(&c, "laptop", &err), 0);
    assert_int_equal(customer_write_bundle(&c, "laptop", enrolment, &err), 1);
    assert_int_equal(bundle_load(path, &b, &err), 0);
    assert_int_equal(b->approver_count, 1);
    assert_int_equal(b->mode, BUNDLE_OPEN);
    assert_int_equal(b->pin_count, 2);
    assert_string_equal(b->server_name, "link.ownhouse");
    assert_int_equal(stat(key, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    /* Again: nothing changes, the approver key least of all. */
    assert_int_equal(customer_prepare(&c, "laptop", &err), 0);
    assert_int_equal(customer_write_bundle(&c, "laptop", enrolment, &err), 0);
}

static void another_key_than_on_this_machine_is_refused(void **state)
{
    static const char *const fields[] = {"spareSpki", "desiredKey"};
    struct cli c = {.home = *state};
    autojson json_t *enrolment = make_control_plane(&c);
    autofree char *path = customer_path(&c, "laptop", "bundle.json");
    assert_int_equal(customer_prepare(&c, "laptop", NULL), 0);
    for (size_t i = 0; i < 3; i++) {
        struct err err = ERR_INIT;
        autojson json_t *forged = json_deep_copy(enrolment);
        json_t *at = i < 2 ? forged : json_object_get(forged, "linkCa");
        const char *field = i < 2 ? fields[i] : "spki";
        autofree char *text = mem_strdup(json_string_value(json_object_get(at, field)));
        text[strlen(text) - 1] = text[strlen(text) - 1] == '0' ? '1' : '0';
        json_object_set_new(at, field, json_string(text));
        assert_int_equal(customer_write_bundle(&c, "laptop", forged, &err), -EACCES);
        assert_non_null(strstr(err.message, "keys folder"));
        assert_false(fs_exists(path));
    }
}

static void passwords_are_kept_private_under_any_name(void **state)
{
    struct cli c = {.home = *state};
    static const char *const names[] = {"demo", "../../etc/passwd", ".", "a b", "\xc3\xa4", "100%"};
    struct stat st;
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        char *read = NULL;
        autofree char *password = customer_new_password(), *path = customer_password_path(&c, "laptop", names[i]);
        assert_int_equal(strlen(password), 24);
        assert_null(strstr(path, "/../"));
        assert_int_equal(customer_read_password(&c, "laptop", names[i], &read, NULL), -ENOENT);
        assert_int_equal(customer_write_password(&c, "laptop", names[i], password, NULL), 0);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
        assert_int_equal(customer_read_password(&c, "laptop", names[i], &read, NULL), 0);
        assert_string_equal(read, password);
        free(read);
        assert_int_equal(customer_forget_password(&c, "laptop", names[i], NULL), 0);
        assert_int_equal(customer_forget_password(&c, "laptop", names[i], NULL), 0);
        assert_false(fs_exists(path));
    }
}

static void the_hash_is_the_published_one(void **state OH_UNUSED)
{
    /* printf %s secret | sha256sum | xxd -r -p | base64 */
    autofree char *hash = customer_password_hash("secret");
    assert_string_equal(hash, "K7gNU3sdo+OL0wNhqoVWhr3g6s1xYv72ol/pe/Unols=");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_agent_takes_the_bundle, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(another_key_than_on_this_machine_is_refused, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(passwords_are_kept_private_under_any_name, scratch_setup, scratch_teardown),
        cmocka_unit_test(the_hash_is_the_published_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
