/* Seals, opens and checks authenticators' secrets. */
#include "control/signer/signer_totp.h"

#include "base/buf.h"
#include "base/keys.h"
#include "base/mem.h"

#include <sodium.h>

#define NONCE crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define TAG crypto_aead_xchacha20poly1305_ietf_ABYTES

_Static_assert(SIGNER_TOTP_KEY_SIZE == crypto_aead_xchacha20poly1305_ietf_KEYBYTES, "libsodium's key has another size");

static void prepare(void)
{
    if (sodium_init() < 0)
        abort();
}

char *signer_totp_make(const unsigned char key[SIGNER_TOTP_KEY_SIZE], const char *user,
                       char ret_base32[TOTP_BASE32_SIZE])
{
    unsigned char secret[TOTP_SECRET_SIZE], sealed[NONCE + TOTP_SECRET_SIZE + TAG];
    prepare();
    random_bytes(secret, sizeof(secret));
    random_bytes(sealed, NONCE);
    crypto_aead_xchacha20poly1305_ietf_encrypt(sealed + NONCE, NULL, secret, sizeof(secret),
                                               (const unsigned char *)user, strlen(user), NULL, sealed, key);
    totp_base32(secret, ret_base32);
    mem_wipe(secret, sizeof(secret));
    return base64_encode(sealed, sizeof(sealed));
}

int signer_totp_verify(const unsigned char key[SIGNER_TOTP_KEY_SIZE], const char *user, const char *sealed,
                       int64_t now_ms, int64_t after, const char *code, int64_t *ret_step, struct err *err)
{
    unsigned char secret[TOTP_SECRET_SIZE];
    autofree unsigned char *raw = NULL;
    size_t len;
    prepare();
    if (base64_decode(sealed, NONCE + TOTP_SECRET_SIZE + TAG, &raw, &len) < 0 ||
        len != NONCE + TOTP_SECRET_SIZE + TAG ||
        crypto_aead_xchacha20poly1305_ietf_decrypt(secret, NULL, NULL, raw + NONCE, len - NONCE,
                                                   (const unsigned char *)user, strlen(user), raw, key) != 0)
        return err_set(err, -EIO,
                       "the authenticator's secret does not open: keys/totp.key is another, or the row was moved");
    *ret_step = totp_match(secret, now_ms, after, code);
    mem_wipe(secret, sizeof(secret));
    return 0;
}
