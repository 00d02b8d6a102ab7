/* Computes and compares one-time codes. */
#include "control/identity/totp.h"

#include "base/keys.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

void totp_code(const unsigned char secret[TOTP_SECRET_SIZE], int64_t step, char ret[7])
{
    unsigned char counter[8], mac[EVP_MAX_MD_SIZE];
    unsigned int len = 0;
    for (int i = 0; i < 8; i++)
        counter[i] = (unsigned char)((uint64_t)step >> (56 - 8 * i));
    if (!HMAC(EVP_sha1(), secret, TOTP_SECRET_SIZE, counter, sizeof(counter), mac, &len) || len != 20)
        abort();
    size_t at = mac[19] & 15; /* RFC 4226 section 5.3 */
    uint32_t n =
        ((uint32_t)mac[at] & 0x7f) << 24 | (uint32_t)mac[at + 1] << 16 | (uint32_t)mac[at + 2] << 8 | mac[at + 3];
    snprintf(ret, 7, "%06u", n % 1000000);
}

int64_t totp_match(const unsigned char secret[TOTP_SECRET_SIZE], int64_t now_ms, int64_t after, const char *code)
{
    int64_t now = now_ms / TOTP_STEP_MS, found = 0;
    if (strlen(code) != 6)
        return 0;
    for (int64_t step = now - 1; step <= now + 1; step++) {
        char expected[7];
        totp_code(secret, step, expected);
        if (bytes_equal(expected, code, 6) && step > after && !found)
            found = step;
    }
    return found;
}

void totp_base32(const unsigned char secret[TOTP_SECRET_SIZE], char ret[TOTP_BASE32_SIZE])
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    for (size_t i = 0; i < TOTP_BASE32_SIZE - 1; i++) {
        size_t bit = i * 5, byte = bit / 8;
        unsigned pair = (unsigned)secret[byte] << 8 | (byte + 1 < TOTP_SECRET_SIZE ? secret[byte + 1] : 0);
        ret[i] = alphabet[pair >> (11 - bit % 8) & 31];
    }
    ret[TOTP_BASE32_SIZE - 1] = 0;
}
