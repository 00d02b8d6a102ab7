/* Hashes, random bytes and Ed25519 keys over OpenSSL. X.509 lives in net/tls.h. */
#pragma once

#include "base/err.h"

#define SHA256_SIZE 32
#define ED25519_PUBLIC_SIZE 32
#define ED25519_SIGNATURE_SIZE 64

void sha256(const void *data, size_t len, unsigned char out[SHA256_SIZE]);
void sha256_hex(const void *data, size_t len, char out[2 * SHA256_SIZE + 1]);

/* From the operating system; aborts if it has none to give. */
void random_bytes(void *out, size_t len);
/* Uniform in [0, bound); bound > 0. */
uint32_t random_below(uint32_t bound);

/* Equal-length comparison that takes the same time wherever the difference is. */
bool bytes_equal(const void *a, const void *b, size_t len);

#define UUID_SIZE 37
void uuid_new(char out[UUID_SIZE]); /* random (version 4), lower case */
bool uuid_valid(const char *text);  /* 8-4-4-4-12 hex digits, either case */

/* An Ed25519 private key, RFC 8032. */
struct signing_key;
struct signing_key *signing_key_new(void);
void signing_key_free(struct signing_key *k); /* NULL is fine; the secret is wiped */
/* PKCS#8 PEM file with mode 0600; loading refuses a file that group or others may read. */
OH_MUST_CHECK int signing_key_save(const struct signing_key *k, const char *path, struct err *err);
OH_MUST_CHECK int signing_key_load(const char *path, struct signing_key **ret, struct err *err);
/* Loads the file's key; where there is none, makes one and saves it. */
OH_MUST_CHECK int signing_key_keep(const char *path, struct signing_key **ret, struct err *err);
/* The same under a passphrase (PKCS#8, AES-256 under scrypt), for keys that people hold. Loading takes an unprotected
 * file too, with passphrase NULL or not; -EACCES: it is protected and the passphrase is wrong or NULL. */
OH_MUST_CHECK int signing_key_save_protected(const struct signing_key *k, const char *path, const char *passphrase,
                                             struct err *err);
OH_MUST_CHECK int signing_key_load_protected(const char *path, const char *passphrase, struct signing_key **ret,
                                             struct err *err);
void signing_key_public(const struct signing_key *k, unsigned char out[ED25519_PUBLIC_SIZE]);
void signing_key_sign(const struct signing_key *k, const void *data, size_t len,
                      unsigned char out[ED25519_SIGNATURE_SIZE]);

/* True only for a valid signature. */
OH_MUST_CHECK bool signature_valid(const unsigned char public_key[ED25519_PUBLIC_SIZE], const void *data, size_t len,
                                   const unsigned char signature[ED25519_SIGNATURE_SIZE]);

static inline void signing_key_freep(struct signing_key **k)
{
    signing_key_free(*k);
}
#define autokey OH_CLEANUP(signing_key_freep)
