/* Authenticators' secrets, sealed: XChaCha20-Poly1305 (libsodium) under the signer's key, with the user's id bound in,
 * so that a sealed secret moved to another user's row does not open. */
#pragma once

#include "base/err.h"
#include "control/identity/totp.h"

#define SIGNER_TOTP_KEY_SIZE 32

/* A new secret: base32 to show, and sealed in base64 (heap). */
char *signer_totp_make(const unsigned char key[SIGNER_TOTP_KEY_SIZE], const char *user,
                       char ret_base32[TOTP_BASE32_SIZE]);
/* *ret_step as totp_match(). -EIO: what is sealed does not open with this key for this user. */
OH_MUST_CHECK int signer_totp_verify(const unsigned char key[SIGNER_TOTP_KEY_SIZE], const char *user,
                                     const char *sealed, int64_t now_ms, int64_t after, const char *code,
                                     int64_t *ret_step, struct err *err);
