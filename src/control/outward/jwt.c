/* Reads and verifies ID tokens. */
#include "control/outward/jwt.h"

#include "base/buf.h"
#include "base/mem.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>

#define RSA_BITS_LEAST 2048
#define RSA_BYTES_MOST 1024
#define P256_BYTES 32

static int broken(struct err *err, const char *what)
{
    return err_set(err, -EACCES, "the identity provider's ID token %s", what);
}

int jwt_base64url(const char *text, size_t len, size_t max, unsigned char **ret, size_t *ret_len)
{
    if (len % 4 == 1 || len > max / 3 * 4 + 4)
        return len % 4 == 1 ? -EINVAL : -EMSGSIZE;
    autofree char *standard = mem_alloc(len + 4);
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '+' || text[i] == '/' || text[i] == '=' || !text[i])
            return -EINVAL;
        standard[i] = text[i] == '-' ? '+' : text[i] == '_' ? '/' : text[i];
    }
    for (size_t i = len; i % 4; i++)
        standard[i] = '=';
    return base64_decode(standard, max, ret, ret_len);
}

char *jwt_base64url_encode(const void *data, size_t len)
{
    char *text = base64_encode(data, len);
    for (char *p = text; *p; p++)
        *p = *p == '+' ? '-' : *p == '/' ? '_' : *p;
    text[strcspn(text, "=")] = 0;
    return text;
}

/* A field of a JWK in base64url. */
static int number_of(const json_t *key, const char *name, size_t max, unsigned char **ret, size_t *ret_len)
{
    const char *text = json_string_value(json_object_get(key, name));
    return text ? jwt_base64url(text, strlen(text), max, ret, ret_len) : -EINVAL;
}

static EVP_PKEY *from_parameters(const char *type, OSSL_PARAM_BLD *build)
{
    OSSL_PARAM *parameters = OSSL_PARAM_BLD_to_param(build);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    EVP_PKEY *key = NULL;
    if (!parameters || !ctx || EVP_PKEY_fromdata_init(ctx) != 1 ||
        EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, parameters) != 1)
        key = NULL;
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(parameters);
    return key;
}

static EVP_PKEY *rsa_key(const json_t *jwk)
{
    autofree unsigned char *n = NULL, *e = NULL;
    size_t n_len, e_len;
    if (number_of(jwk, "n", RSA_BYTES_MOST, &n, &n_len) < 0 || number_of(jwk, "e", 8, &e, &e_len) < 0 ||
        n_len < RSA_BITS_LEAST / 8)
        return NULL;
    BIGNUM *modulus = BN_bin2bn(n, (int)n_len, NULL), *exponent = BN_bin2bn(e, (int)e_len, NULL);
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    EVP_PKEY *key = NULL;
    if (build && modulus && exponent && OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, modulus) == 1 &&
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, exponent) == 1)
        key = from_parameters("RSA", build);
    OSSL_PARAM_BLD_free(build);
    BN_free(modulus);
    BN_free(exponent);
    if (key && EVP_PKEY_get_bits(key) < RSA_BITS_LEAST) {
        EVP_PKEY_free(key);
        return NULL;
    }
    return key;
}

static EVP_PKEY *p256_key(const json_t *jwk)
{
    autofree unsigned char *x = NULL, *y = NULL;
    size_t x_len, y_len;
    unsigned char point[1 + 2 * P256_BYTES] = {4}; /* uncompressed */
    const char *curve = json_string_value(json_object_get(jwk, "crv"));
    if (!curve || strcmp(curve, "P-256") || number_of(jwk, "x", P256_BYTES, &x, &x_len) < 0 ||
        number_of(jwk, "y", P256_BYTES, &y, &y_len) < 0 || x_len != P256_BYTES || y_len != P256_BYTES)
        return NULL;
    memcpy(point + 1, x, P256_BYTES);
    memcpy(point + 1 + P256_BYTES, y, P256_BYTES);
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    EVP_PKEY *key = NULL;
    if (build && OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, "P-256", 0) == 1 &&
        OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point)) == 1)
        key = from_parameters("EC", build);
    OSSL_PARAM_BLD_free(build);
    return key;
}

/* JWS has r and s side by side (RFC 7518 section 3.4), OpenSSL wants them in DER. */
static int to_der(const unsigned char *raw, size_t len, unsigned char **ret, size_t *ret_len)
{
    if (len != 2 * P256_BYTES)
        return -EINVAL;
    ECDSA_SIG *signature = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(raw, P256_BYTES, NULL), *s = BN_bin2bn(raw + P256_BYTES, P256_BYTES, NULL);
    if (!signature || !r || !s || ECDSA_SIG_set0(signature, r, s) != 1)
        abort(); /* no memory */
    int n = i2d_ECDSA_SIG(signature, NULL);
    unsigned char *out = mem_alloc((size_t)n), *p = out;
    i2d_ECDSA_SIG(signature, &p);
    ECDSA_SIG_free(signature);
    *ret = out;
    *ret_len = (size_t)n;
    return 0;
}

static bool signed_by(EVP_PKEY *key, const char *text, size_t len, const unsigned char *signature, size_t signature_len)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool good = ctx && EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, key) == 1 &&
                EVP_DigestVerify(ctx, signature, signature_len, (const unsigned char *)text, len) == 1;
    EVP_MD_CTX_free(ctx);
    return good;
}

static bool is(const json_t *object, const char *name, const char *expected)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text && !strcmp(text, expected);
}

/* A key that says it is for something else, or another algorithm, is not used. */
static bool fits(const json_t *jwk, const char *type, const char *alg, const char *kid)
{
    return is(jwk, "kty", type) && (!json_object_get(jwk, "use") || is(jwk, "use", "sig")) &&
           (!json_object_get(jwk, "alg") || is(jwk, "alg", alg)) && (!kid || is(jwk, "kid", kid));
}

/* The one key of the set that the header means. */
static int find_key(const json_t *keys, const char *alg, const char *kid, EVP_PKEY **ret, struct err *err)
{
    bool rsa = !strcmp(alg, "RS256");
    const json_t *jwk, *found = NULL;
    size_t i;
    if (!rsa && strcmp(alg, "ES256") != 0)
        return broken(err, "is signed by another algorithm than RS256 or ES256");
    json_array_foreach(json_object_get(keys, "keys"), i, jwk)
    {
        if (i == JWT_KEYS)
            break;
        if (!fits(jwk, rsa ? "RSA" : "EC", alg, kid))
            continue;
        if (found)
            return broken(err, kid ? "names a key of which there are two" : "does not say which key signed it");
        found = jwk;
    }
    if (!found)
        return err_set(err, -ENOKEY, "the identity provider's ID token is signed by a key that it does not publish");
    *ret = rsa ? rsa_key(found) : p256_key(found);
    return *ret ? 0 : broken(err, "is signed by a key that is malformed or too short");
}

/* One part between dots, as JSON. */
static int parse_part(const char *text, size_t len, json_t **ret, struct err *err)
{
    autofree unsigned char *raw = NULL;
    size_t raw_len;
    if (jwt_base64url(text, len, JWT_MAX, &raw, &raw_len) < 0 ||
        js_parse((const char *)raw, raw_len, JWT_MAX, ret, NULL) < 0)
        return broken(err, "is malformed");
    if (!json_is_object(*ret)) {
        json_decref(*ret);
        *ret = NULL;
        return broken(err, "is malformed");
    }
    return 0;
}

static int check_signature(const char *token, size_t signed_len, const json_t *header, const json_t *keys,
                           struct err *err)
{
    const char *alg = json_string_value(json_object_get(header, "alg"));
    const char *kid = json_string_value(json_object_get(header, "kid"));
    const char *text = token + signed_len + 1;
    autofree unsigned char *signature = NULL, *der = NULL;
    size_t len, der_len = 0;
    EVP_PKEY *key = NULL;
    if (!alg || json_object_get(header, "crit"))
        return broken(err, "has a header that is not understood");
    if (jwt_base64url(text, strlen(text), RSA_BYTES_MOST, &signature, &len) < 0)
        return broken(err, "is malformed");
    int r = find_key(keys, alg, kid, &key, err);
    if (r < 0)
        return r;
    bool rsa = !strcmp(alg, "RS256");
    bool good = rsa || to_der(signature, len, &der, &der_len) == 0;
    good = good && signed_by(key, token, signed_len, rsa ? signature : der, rsa ? len : der_len);
    EVP_PKEY_free(key);
    return good ? 0 : broken(err, "has a wrong signature");
}

static bool for_us(const json_t *claims, const char *audience)
{
    const json_t *all = json_object_get(claims, "aud"), *one;
    size_t i;
    bool found = is(claims, "aud", audience);
    json_array_foreach(all, i, one)
    {
        found |= json_is_string(one) && !strcmp(json_string_value(one), audience);
    }
    if (json_object_get(claims, "azp") || json_array_size(all) > 1)
        return found && is(claims, "azp", audience);
    return found;
}

/* Seconds since 1970, whole or not; false where there are none. */
static bool time_of(const json_t *claims, const char *name, int64_t *ret_ms)
{
    const json_t *v = json_object_get(claims, name);
    double seconds = json_number_value(v);
    if (!json_is_number(v) || !(seconds >= 0) || seconds > 1e11)
        return false;
    *ret_ms = (int64_t)(seconds * 1000);
    return true;
}

static int check_claims(const json_t *claims, const struct jwt_wanted *w, struct err *err)
{
    const char *subject = json_string_value(json_object_get(claims, "sub"));
    int64_t until, issued, from;
    if (!is(claims, "iss", w->issuer))
        return broken(err, "is from another issuer");
    if (!for_us(claims, w->audience))
        return broken(err, "is for another client");
    if (!is(claims, "nonce", w->nonce))
        return broken(err, "is for another sign-in");
    if (!subject || !*subject || strlen(subject) > 255)
        return broken(err, "does not say whose it is");
    if (!time_of(claims, "exp", &until) || until + JWT_SKEW_MS <= w->now_ms)
        return broken(err, "has expired; check the clocks of both");
    if (!time_of(claims, "iat", &issued) || issued > w->now_ms + JWT_SKEW_MS)
        return broken(err, "is from the future; check the clocks of both");
    if (issued + JWT_AGE_MS + JWT_SKEW_MS < w->now_ms)
        return broken(err, "is too old; check the clocks of both");
    if (json_object_get(claims, "nbf") && (!time_of(claims, "nbf", &from) || from > w->now_ms + JWT_SKEW_MS))
        return broken(err, "does not count yet; check the clocks of both");
    return 0;
}

int jwt_verify(const char *token, const json_t *keys, const struct jwt_wanted *wanted, json_t **ret, struct err *err)
{
    autojson json_t *header = NULL, *claims = NULL;
    const char *dot = strchr(token, '.'), *second = dot ? strchr(dot + 1, '.') : NULL;
    if (strlen(token) > JWT_MAX || !second || strchr(second + 1, '.'))
        return broken(err, "is malformed");
    int r = parse_part(token, (size_t)(dot - token), &header, err);
    if (r == 0)
        r = check_signature(token, (size_t)(second - token), header, keys, err);
    if (r == 0)
        r = parse_part(dot + 1, (size_t)(second - dot - 1), &claims, err);
    if (r == 0)
        r = check_claims(claims, wanted, err);
    if (r == 0)
        *ret = TAKE_PTR(claims);
    return r;
}
