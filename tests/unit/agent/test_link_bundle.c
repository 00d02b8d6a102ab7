/* The enrolment bundle: what is taken, what is refused and with which words, and the fingerprint. */
#include "agent/link/bundle.h"

#include "../test.h"
#include "agent/link/link.h"
#include "base/fs.h"
#include "base/js.h"
#include "net/tls.h"

#define KEY_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define KEY_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static char *ca_pem;
static char ca_pin[TLS_PIN_SIZE];

static int make_ca(void **state)
{
    struct tls_ca *ca = NULL;
    struct tls_cert_info info;
    struct err err = ERR_INIT;
    if (tls_ca_new("test link", 0, 4000000000000, &ca, &err) < 0)
        return -1;
    ca_pem = tls_cert_pem(tls_ca_cert(ca));
    tls_cert_info(tls_ca_cert(ca), &info);
    tls_pin_text(info.spki, ca_pin);
    tls_ca_free(ca);
    return 0;
}

static int free_ca(void **state)
{
    free(ca_pem);
    return 0;
}

static json_t *good(void)
{
    json_t *v =
        json_pack("{si s{ss ss} s{ss ss} ss ss ss s[s] s{si ss}}", "v", 1, "control", "address", "control.example:443",
                  "serverName", "link.ownhouse", "linkCa", "pem", ca_pem, "spki", ca_pin, "spareSpki", "sha256/" KEY_B,
                  "desiredKey", KEY_A, "releaseKey", "", "approverKeys", KEY_B, "policy", "v", 1, "mode", "sealed");
    assert_non_null(v);
    return v;
}

static int parse(const json_t *v, struct bundle **ret, struct err *err)
{
    autofree char *text = js_text(v);
    return bundle_parse(text, strlen(text), ret, err);
}

static void takes_a_whole_bundle(void **state)
{
    autojson json_t *v = good();
    autobundle struct bundle *b = NULL;
    assert_int_equal(parse(v, &b, NULL), 0);
    assert_string_equal(b->host, "control.example");
    assert_int_equal(b->port, 443);
    assert_string_equal(b->server_name, "link.ownhouse");
    assert_int_equal(b->pin_count, 2);
    assert_int_equal(b->pins[1][0], 0xbb);
    assert_int_equal(b->desired_key[31], 0xaa);
    assert_false(b->has_release_key);
    assert_int_equal(b->approver_count, 1);
    assert_int_equal(b->mode, BUNDLE_SEALED);
    assert_string_equal(b->token, "");
}

/* The fingerprint must not depend on order, white space, the token or itself, and must on everything else. */
static void fingerprint_is_of_the_content(void **state)
{
    autojson json_t *v = good(), *plain = json_deep_copy(v);
    autobundle struct bundle *a = NULL, *b = NULL, *c = NULL;
    assert_int_equal(parse(v, &a, NULL), 0);
    char digest[65];
    assert_int_equal(js_digest(plain, digest, NULL), 0);
    assert_string_equal(a->fingerprint, digest);
    json_object_set_new(v, "token", json_string(KEY_A));
    json_object_set_new(v, "fingerprint", json_string(digest));
    autofree char *spaced = json_dumps(v, JSON_INDENT(3) | JSON_SORT_KEYS);
    assert_int_equal(bundle_parse(spaced, strlen(spaced), &b, NULL), 0);
    assert_string_equal(b->fingerprint, digest);
    assert_string_equal(b->token, KEY_A);
    assert_null(strstr(b->canonical, "token"));
    json_object_set_new(plain, "releaseKey", json_string(KEY_A));
    assert_int_equal(parse(plain, &c, NULL), 0);
    assert_string_not_equal(c->fingerprint, digest);
}

static void refused(const char *path, const char *key, json_t *value, const char *sentence)
{
    autojson json_t *v = good();
    autobundle struct bundle *b = NULL;
    struct err err = ERR_INIT;
    json_t *at = *path ? json_object_get(v, path) : v;
    if (value)
        json_object_set_new(at, key, value);
    else
        json_object_del(at, key);
    assert_int_equal(parse(v, &b, &err), -EINVAL);
    assert_null(b);
    if (!strstr(err.message, sentence))
        fail_msg("%s.%s: \"%s\" lacks \"%s\"", path, key, err.message, sentence);
}

static void refuses_what_is_wrong(void **state)
{
    refused("", "v", json_integer(2), "update the agent");
    refused("", "extra", json_true(), "not a known field");
    refused("control", "extra", json_true(), "control.extra");
    refused("linkCa", "extra", json_true(), "linkCa.extra");
    refused("policy", "extra", json_true(), "extra");
    refused("control", "address", json_string("control.example"), "host:port");
    refused("control", "address", json_string("control.example:0"), "host:port");
    refused("control", "address", json_string("control.example:65536"), "host:port");
    refused("control", "address", json_string("a b:443"), "host:port");
    refused("control", "address", json_string("a\r\nX: y:443"), "host:port");
    refused("control", "address", json_string("2001:db8::1:443"), "host:port");
    refused("control", "serverName", json_string(""), "DNS name");
    refused("control", "serverName", json_string("a/b"), "DNS name");
    refused("linkCa", "pem", json_string("nonsense"), "linkCa.pem");
    refused("linkCa", "spki", json_string("sha256/" KEY_A), "damaged or altered");
    refused("linkCa", "spki", json_string(KEY_A), "sha256/");
    refused("", "spareSpki", json_string("sha256/12"), "spareSpki");
    refused("", "spareSpki", json_string(ca_pin), "must not be the pin of linkCa");
    refused("", "desiredKey", json_string("12"), "desiredKey");
    refused("", "desiredKey", json_string(""), "desiredKey");
    refused("", "desiredKey", NULL, "desiredKey");
    refused("", "releaseKey", json_string("zz"), "releaseKey");
    refused("", "approverKeys", json_pack("[ss]", KEY_A, KEY_A), "repeats");
    refused("", "approverKeys", json_pack("[i]", 1), "approverKeys[0]");
    refused("", "approverKeys", json_array(), "sealed needs one at least");
    refused("policy", "mode", json_string("ajar"), "mode");
    refused("policy", "v", json_integer(7), "policy.v");
    refused("policy", "version", json_integer(2), "must not have");
    refused("policy", "operations", json_pack("{s{}}", "service.explode"), "service.explode");
    refused("", "token", json_string("12"), "token");
    refused("", "fingerprint", json_string(KEY_A), "damaged or altered");
}

static void optional_parts_may_be_empty(void **state)
{
    autojson json_t *v = good();
    autobundle struct bundle *b = NULL;
    json_object_set_new(v, "spareSpki", json_string(""));
    json_object_set_new(v, "approverKeys", json_array());
    json_object_set_new(json_object_get(v, "policy"), "mode", json_string("open"));
    json_object_set_new(json_object_get(v, "control"), "address", json_string("[2001:db8::1]:8443"));
    assert_int_equal(parse(v, &b, NULL), 0);
    assert_string_equal(b->host, "2001:db8::1");
    assert_int_equal(b->pin_count, 1);
    assert_int_equal(b->mode, BUNDLE_OPEN);
}

static void too_long_is_refused(void **state)
{
    autobundle struct bundle *b = NULL;
    autofree char *text = mem_alloc(BUNDLE_MAX_BYTES + 1);
    memset(text, ' ', BUNDLE_MAX_BYTES + 1);
    assert_int_equal(bundle_parse(text, BUNDLE_MAX_BYTES + 1, &b, NULL), -EMSGSIZE);
}

static void token_files(void **state)
{
    autofree char *path = mem_printf("%s/token", (char *)*state);
    char token[BUNDLE_TOKEN_SIZE];
    struct err err = ERR_INIT;
    assert_int_equal(bundle_token_load(path, token, &err), -ENOENT);
    assert_int_equal(fs_write_atomic(path, "\n" KEY_A "\n", 66, 0600, NULL), 0);
    assert_int_equal(bundle_token_load(path, token, NULL), 0);
    assert_string_equal(token, KEY_A);
    assert_int_equal(fs_write_atomic(path, KEY_A, 64, 0644, NULL), 0);
    assert_int_equal(bundle_token_load(path, token, &err), -EPERM);
    assert_int_equal(fs_write_atomic(path, KEY_A "0", 65, 0600, NULL), 0);
    assert_int_equal(bundle_token_load(path, token, &err), -EINVAL);
    assert_null(strstr(err.message, KEY_A));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_a_whole_bundle),
        cmocka_unit_test(fingerprint_is_of_the_content),
        cmocka_unit_test(refuses_what_is_wrong),
        cmocka_unit_test(optional_parts_may_be_empty),
        cmocka_unit_test(too_long_is_refused),
        cmocka_unit_test_setup_teardown(token_files, scratch_setup, scratch_teardown),
    };
    return cmocka_run_group_tests(tests, make_ca, free_ca);
}
