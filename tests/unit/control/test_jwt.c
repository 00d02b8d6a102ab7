/* control/outward/jwt: tokens signed here by real keys, and everything that may be wrong with them. */
#include "../test.h"

#include "base/buf.h"
#include "base/keys.h"
#include "control/outward/jwt.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#define NOW 1800000000000LL
static const struct jwt_wanted wanted = {"https://id.example", "client", "nonce", NOW};
static EVP_PKEY *rsa, *ec, *small;
static json_t *keys;

/* ---- making ---- */

static char *big(EVP_PKEY *key, const char *name, size_t width)
{
    BIGNUM *n = NULL;
    unsigned char raw[512];
    assert_int_equal(EVP_PKEY_get_bn_param(key, name, &n), 1);
    size_t len = width ? width : (size_t)BN_num_bytes(n);
    assert_int_equal(BN_bn2binpad(n, raw, (int)len), len);
    BN_free(n);
    return jwt_base64url_encode(raw, len);
}

static json_t *rsa_jwk(EVP_PKEY *key, const char *kid)
{
    autofree char *n = big(key, OSSL_PKEY_PARAM_RSA_N, 0), *e = big(key, OSSL_PKEY_PARAM_RSA_E, 0);
    return json_pack("{s:s,s:s,s:s,s:s,s:s}", "kty", "RSA", "kid", kid, "use", "sig", "n", n, "e", e);
}

static json_t *ec_jwk(EVP_PKEY *key, const char *kid)
{
    autofree char *x = big(key, OSSL_PKEY_PARAM_EC_PUB_X, 32), *y = big(key, OSSL_PKEY_PARAM_EC_PUB_Y, 32);
    return json_pack("{s:s,s:s,s:s,s:s,s:s,s:s}", "kty", "EC", "crv", "P-256", "kid", kid, "alg", "ES256", "x", x, "y",
                     y);
}

static int make_keys(void **unused)
{
    rsa = EVP_RSA_gen(2048);
    small = EVP_RSA_gen(1024);
    ec = EVP_EC_gen("P-256");
    keys = json_pack("{s:[o,o,o]}", "keys", rsa_jwk(rsa, "r"), ec_jwk(ec, "e"), rsa_jwk(small, "s"));
    return 0;
}

static int free_keys(void **unused)
{
    EVP_PKEY_free(rsa);
    EVP_PKEY_free(small);
    EVP_PKEY_free(ec);
    json_decref(keys);
    return 0;
}

static char *encode(const json_t *v)
{
    autofree char *text = js_text(v);
    return jwt_base64url_encode(text, strlen(text));
}

/* r and s side by side. */
static char *raw_signature(const unsigned char *der, size_t len)
{
    const unsigned char *p = der;
    unsigned char raw[64];
    ECDSA_SIG *s = d2i_ECDSA_SIG(NULL, &p, (long)len);
    BN_bn2binpad(ECDSA_SIG_get0_r(s), raw, 32);
    BN_bn2binpad(ECDSA_SIG_get0_s(s), raw + 32, 32);
    ECDSA_SIG_free(s);
    return jwt_base64url_encode(raw, sizeof(raw));
}

static char *sign(EVP_PKEY *key, const char *alg, const char *kid, const json_t *claims)
{
    autojson json_t *header = json_pack("{s:s,s:s}", "alg", alg, "kid", kid);
    autofree char *h = encode(header), *c = encode(claims), *text = mem_printf("%s.%s", h, c), *signature = NULL;
    unsigned char out[512];
    size_t len = sizeof(out);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    assert_int_equal(EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key), 1);
    assert_int_equal(EVP_DigestSign(ctx, out, &len, (const unsigned char *)text, strlen(text)), 1);
    EVP_MD_CTX_free(ctx);
    signature = !strcmp(alg, "ES256") ? raw_signature(out, len) : jwt_base64url_encode(out, len);
    return mem_printf("%s.%s", text, signature);
}

static json_t *good_claims(void)
{
    return json_pack("{s:s,s:s,s:s,s:s,s:I,s:I,s:s}", "iss", "https://id.example", "aud", "client", "nonce", "nonce",
                     "sub", "42", "exp", (json_int_t)(NOW / 1000 + 300), "iat", (json_int_t)(NOW / 1000 - 5), "email",
                     "a@example.org");
}

static void assert_wrong(const char *token, const char *why)
{
    json_t *claims = NULL;
    struct err err = ERR_INIT;
    int r = jwt_verify(token, keys, &wanted, &claims, &err);
    if (r == 0)
        fail_msg("taken, but should be refused: %s", why);
    assert_null(claims);
    if (!strstr(err.message, why))
        fail_msg("\"%s\" does not say \"%s\"", err.message, why);
}

/* ---- tests ---- */

static void good_tokens_of_both_kinds_are_taken(void **unused)
{
    autojson json_t *claims = good_claims(), *got = NULL;
    autofree char *by_rsa = sign(rsa, "RS256", "r", claims), *by_ec = sign(ec, "ES256", "e", claims);
    assert_int_equal(jwt_verify(by_rsa, keys, &wanted, &got, NULL), 0);
    assert_string_equal(json_string_value(json_object_get(got, "sub")), "42");
    json_decref(got);
    got = NULL;
    assert_int_equal(jwt_verify(by_ec, keys, &wanted, &got, NULL), 0);
}

static void every_changed_byte_is_noticed(void **unused)
{
    autojson json_t *claims = good_claims();
    autofree char *token = sign(ec, "ES256", "e", claims);
    for (size_t i = 0; token[i]; i++) {
        char old = token[i];
        autojson json_t *got = NULL;
        if (old == '.')
            continue;
        /* The last character of a part has bits that are no data; those must be zero, so that no two texts are one. */
        token[i] = old == 'A' ? 'B' : 'A';
        if (jwt_verify(token, keys, &wanted, &got, NULL) == 0)
            fail_msg("byte %zu", i);
        token[i] = old;
    }
}

static void keys_are_not_mixed_up(void **unused)
{
    autojson json_t *claims = good_claims(), *got = NULL;
    struct err err = ERR_INIT;
    autofree char *stranger = sign(rsa, "RS256", "unknown", claims), *weak = sign(small, "RS256", "s", claims),
                  *crossed = sign(rsa, "RS256", "e", claims), *other = sign(small, "RS256", "r", claims);
    assert_int_equal(jwt_verify(stranger, keys, &wanted, &got, &err), -ENOKEY);
    assert_wrong(weak, "malformed or too short");
    assert_int_equal(jwt_verify(crossed, keys, &wanted, &got, NULL), -ENOKEY); /* that key is of another type */
    assert_wrong(other, "wrong signature");
    assert_null(got);
}

/* {"alg": ..., "kid": "r"} over a signature that is empty, or an HMAC by what everybody knows. */
static void weaker_algorithms_are_refused(void **unused)
{
    static const char *const algs[] = {"none", "None", "HS256", "RS1", "PS256", "ES384", "EdDSA", ""};
    autojson json_t *claims = good_claims();
    autofree char *c = encode(claims);
    for (size_t i = 0; i < ARRAY_SIZE(algs); i++) {
        autojson json_t *header = json_pack("{s:s,s:s}", "alg", algs[i], "kid", "r");
        autofree char *h = encode(header), *token = mem_printf("%s.%s.", h, c), *with = mem_printf("%s.%s.AAAA", h, c);
        assert_wrong(token, "another algorithm");
        assert_wrong(with, "another algorithm");
    }
    autojson json_t *header = json_pack("{s:s,s:s,s:[s]}", "alg", "RS256", "kid", "r", "crit", "exp");
    autofree char *h = encode(header), *token = mem_printf("%s.%s.AAAA", h, c);
    assert_wrong(token, "not understood");
}

static void claims_must_be_as_wanted(void **unused)
{
    static const struct {
        const char *name, *json, *why;
    } cases[] = {
        {"iss", "\"https://evil.example\"", "another issuer"},
        {"iss", "null", "another issuer"},
        {"aud", "\"other\"", "another client"},
        {"aud", "[\"other\",\"more\"]", "another client"},
        {"aud", "[\"client\",\"other\"]", "another client"}, /* several, and no azp */
        {"azp", "\"other\"", "another client"},
        {"nonce", "\"other\"", "another sign-in"},
        {"nonce", "null", "another sign-in"},
        {"sub", "\"\"", "whose it is"},
        {"sub", "42", "whose it is"},
        {"exp", "1799999879", "has expired"}, /* two minutes and a second ago */
        {"exp", "null", "has expired"},
        {"exp", "\"1800000300\"", "has expired"},
        {"iat", "1800000121", "from the future"},
        {"iat", "1799999000", "too old"},
        {"nbf", "1800000121", "does not count yet"},
        {"nbf", "\"x\"", "does not count yet"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        autojson json_t *claims = good_claims();
        json_object_set_new(claims, cases[i].name, json_loads(cases[i].json, JSON_DECODE_ANY, NULL));
        autofree char *token = sign(ec, "ES256", "e", claims);
        assert_wrong(token, cases[i].why);
    }
}

static void clocks_may_differ_by_two_minutes(void **unused)
{
    static const struct {
        const char *name;
        int64_t seconds;
    } fine[] = {{"exp", -119}, {"iat", 119}, {"nbf", 119}};
    for (size_t i = 0; i < ARRAY_SIZE(fine); i++) {
        autojson json_t *claims = good_claims(), *got = NULL;
        json_object_set_new(claims, fine[i].name, json_integer(NOW / 1000 + fine[i].seconds));
        autofree char *token = sign(ec, "ES256", "e", claims);
        assert_int_equal(jwt_verify(token, keys, &wanted, &got, NULL), 0);
    }
    autojson json_t *claims = good_claims(), *got = NULL;
    json_object_set_new(claims, "aud", json_pack("[s,s]", "other", "client"));
    json_object_set_new(claims, "azp", json_string("client"));
    autofree char *token = sign(ec, "ES256", "e", claims);
    assert_int_equal(jwt_verify(token, keys, &wanted, &got, NULL), 0);
}

static void forms_that_are_none(void **unused)
{
    static const char *const bad[] = {"", ".", "..", "...", "a.b", "a.b.c.d", "e30.e30.", "W10.W10.AAAA", "!.!.!"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_wrong(bad[i], "the identity provider's ID token");
    autofree char *longest = mem_alloc(JWT_MAX + 2);
    memset(longest, 'a', JWT_MAX + 1);
    assert_wrong(longest, "malformed");
}

static void base64url_is_strict(void **unused)
{
    unsigned char *out = NULL;
    size_t len = 0;
    assert_int_equal(jwt_base64url("-_8", 3, 16, &out, &len), 0);
    assert_int_equal(len, 2);
    assert_memory_equal(out, "\xfb\xff", 2);
    free(out);
    static const char *const bad[] = {"a", "+/8", "-_8=", "a b", "aaaaa", "-_9"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_true(jwt_base64url(bad[i], strlen(bad[i]), 16, &out, &len) < 0);
    assert_int_equal(jwt_base64url("AAAAAAAA", 8, 2, &out, &len), -EMSGSIZE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_tokens_of_both_kinds_are_taken),
        cmocka_unit_test(every_changed_byte_is_noticed),
        cmocka_unit_test(keys_are_not_mixed_up),
        cmocka_unit_test(weaker_algorithms_are_refused),
        cmocka_unit_test(claims_must_be_as_wanted),
        cmocka_unit_test(clocks_may_differ_by_two_minutes),
        cmocka_unit_test(forms_that_are_none),
        cmocka_unit_test(base64url_is_strict),
    };
    return cmocka_run_group_tests(tests, make_keys, free_keys);
}
