/* control/identity/totp and control/signer/signer_totp: the vectors of RFC 6238, and sealed secrets. */
#include "../test.h"

#include "base/buf.h"
#include "control/signer/signer_totp.h"

static const unsigned char rfc[TOTP_SECRET_SIZE + 1] = "12345678901234567890"; /* appendix B, SHA-1 */
static const unsigned char key[SIGNER_TOTP_KEY_SIZE] = {1, 2, 3};
#define USER "00000000-0000-4000-8000-000000000001"
#define OTHER "00000000-0000-4000-8000-000000000002"

static void codes_are_those_of_the_rfc(void **unused)
{
    static const struct {
        int64_t seconds;
        const char *code; /* the last six of the eight digits there */
    } vectors[] = {
        {59, "287082"},         {1111111109, "081804"}, {1111111111, "050471"},
        {1234567890, "005924"}, {2000000000, "279037"}, {20000000000, "353130"},
    };
    char code[7];
    for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
        totp_code(rfc, vectors[i].seconds / 30, code);
        assert_string_equal(code, vectors[i].code);
        assert_int_equal(totp_match(rfc, vectors[i].seconds * 1000, 0, vectors[i].code), vectors[i].seconds / 30);
    }
}

static void one_step_of_difference_counts_and_each_code_once(void **unused)
{
    const int64_t now = 1234567890000, step = now / 30000;
    char code[7];
    for (int d = -3; d <= 3; d++) {
        totp_code(rfc, step + d, code);
        assert_int_equal(totp_match(rfc, now, 0, code), d >= -1 && d <= 1 ? step + d : 0);
        assert_int_equal(totp_match(rfc, now, step + d, code), 0); /* used */
    }
    totp_code(rfc, step, code);
    assert_int_equal(totp_match(rfc, now, step - 1, code), step);
    assert_int_equal(totp_match(rfc, now, step + 1, code), 0); /* an older one than the last used */
    assert_int_equal(totp_match(rfc, now, 0, ""), 0);
    assert_int_equal(totp_match(rfc, now, 0, "00592"), 0);
    assert_int_equal(totp_match(rfc, now, 0, "0059240"), 0);
}

static void base32_is_that_of_authenticators(void **unused)
{
    char text[TOTP_BASE32_SIZE];
    totp_base32(rfc, text);
    assert_string_equal(text, "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
}

/* The secret that was shown, read back from base32. */
static void decode(const char *text, unsigned char out[TOTP_SECRET_SIZE])
{
    uint64_t bits = 0;
    int n = 0;
    for (size_t i = 0, at = 0; text[i]; i++) {
        unsigned v = text[i] >= 'A' ? (unsigned)(text[i] - 'A') : (unsigned)(text[i] - '2' + 26);
        bits = bits << 5 | v;
        n += 5;
        if (n >= 8)
            out[at++] = (unsigned char)(bits >> (n -= 8));
    }
}

static int verify(const unsigned char *with, const char *user, const char *sealed, const char *code, int64_t *step)
{
    return signer_totp_verify(with, user, sealed, 1234567890000, 0, code, step, NULL);
}

static void a_sealed_secret_opens_for_its_user_and_key_only(void **unused)
{
    unsigned char secret[TOTP_SECRET_SIZE], other[SIGNER_TOTP_KEY_SIZE] = {9};
    char shown[TOTP_BASE32_SIZE], code[7];
    int64_t step = 0;
    autofree char *sealed = signer_totp_make(key, USER, shown), *again = signer_totp_make(key, USER, shown);
    assert_string_not_equal(sealed, again);
    decode(shown, secret);
    totp_code(secret, 1234567890 / 30, code);
    assert_int_equal(verify(key, USER, again, code, &step), 0);
    assert_int_equal(step, 1234567890 / 30);
    assert_int_equal(verify(key, USER, sealed, code, &step), 0);
    assert_int_equal(step, 0); /* another secret */
    assert_int_equal(verify(key, OTHER, again, code, &step), -EIO);
    assert_int_equal(verify(other, USER, again, code, &step), -EIO);
    assert_int_equal(verify(key, USER, "", code, &step), -EIO);
    assert_int_equal(verify(key, USER, "no base64!", code, &step), -EIO);
    again[10] = again[10] == 'A' ? 'B' : 'A';
    assert_int_equal(verify(key, USER, again, code, &step), -EIO);
    assert_null(strstr(sealed, shown));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codes_are_those_of_the_rfc),
        cmocka_unit_test(one_step_of_difference_counts_and_each_code_once),
        cmocka_unit_test(base32_is_that_of_authenticators),
        cmocka_unit_test(a_sealed_secret_opens_for_its_user_and_key_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
