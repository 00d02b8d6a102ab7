/* SHA-256, randomness, UUIDs and Ed25519 over OpenSSL. */
#include "base/keys.h"

#include "base/buf.h"
#include "base/fs.h"
#include "base/mem.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/sha.h>
#include <sys/random.h>
#include <sys/stat.h>

void sha256(const void *data, size_t len, unsigned char out[SHA256_SIZE])
{
    SHA256(len ? data : (const void *)"", len, out);
}

void sha256_hex(const void *data, size_t len, char out[2 * SHA256_SIZE + 1])
{
    unsigned char hash[SHA256_SIZE];
    sha256(data, len, hash);
    hex_encode(hash, sizeof(hash), out);
}

void random_bytes(void *out, size_t len)
{
    unsigned char *p = out;
    while (len) {
        ssize_t n = getrandom(p, MIN(len, (size_t)256), 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            abort();
        p += n;
        len -= (size_t)n;
    }
}

uint32_t random_below(uint32_t bound)
{
    /* Reject the tail that would make small values likelier. */
    uint32_t v, limit = UINT32_MAX - UINT32_MAX % bound;
    do
        random_bytes(&v, sizeof(v));
    while (v >= limit);
    return v % bound;
}

bool bytes_equal(const void *a, const void *b, size_t len)
{
    return CRYPTO_memcmp(a, b, len) == 0;
}

void uuid_new(char out[UUID_SIZE])
{
    unsigned char u[16];
    char hex[33];
    random_bytes(u, sizeof(u));
    u[6] = (unsigned char)((u[6] & 0x0f) | 0x40);
    u[8] = (unsigned char)((u[8] & 0x3f) | 0x80);
    hex_encode(u, sizeof(u), hex);
    snprintf(out, UUID_SIZE, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
}

bool uuid_valid(const char *text)
{
    for (int i = 0; i < UUID_SIZE - 1; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        char c = text[i];
        bool digit = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
        if (dash ? c != '-' : !digit)
            return false;
    }
    return text[UUID_SIZE - 1] == 0;
}

struct signing_key {
    EVP_PKEY *pkey;
};

static struct signing_key *wrap(EVP_PKEY *pkey)
{
    struct signing_key *k = mem_alloc(sizeof(*k));
    k->pkey = pkey;
    return k;
}

struct signing_key *signing_key_new(void)
{
    EVP_PKEY *pkey = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    if (!pkey)
        abort(); /* no randomness or no Ed25519: nothing we do is safe */
    return wrap(pkey);
}

void signing_key_free(struct signing_key *k)
{
    if (!k)
        return;
    EVP_PKEY_free(k->pkey);
    free(k);
}

int signing_key_save(const struct signing_key *k, const char *path, struct err *err)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *text = NULL;
    if (!bio || !PEM_write_bio_PKCS8PrivateKey(bio, k->pkey, NULL, NULL, 0, NULL, NULL)) {
        BIO_free(bio);
        return err_set(err, -EIO, "cannot encode a private key");
    }
    long n = BIO_get_mem_data(bio, &text);
    int r = fs_write_atomic(path, text, (size_t)n, 0600, err);
    mem_wipe(text, (size_t)n);
    BIO_free(bio);
    return r;
}

int signing_key_load(const char *path, struct signing_key **ret, struct err *err)
{
    autofree char *text = NULL;
    size_t len = 0;
    int r = fs_read_secret(path, KIB(16), &text, &len, err);
    if (r < 0)
        return r;
    BIO *bio = BIO_new_mem_buf(text, (int)len);
    EVP_PKEY *pkey = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;
    BIO_free(bio);
    mem_wipe(text, len);
    if (!pkey || EVP_PKEY_get_base_id(pkey) != EVP_PKEY_ED25519) {
        EVP_PKEY_free(pkey);
        return err_set(err, -EINVAL, "%s is not an Ed25519 private key in PEM form", path);
    }
    *ret = wrap(pkey);
    return 0;
}

int signing_key_keep(const char *path, struct signing_key **ret, struct err *err)
{
    autokey struct signing_key *k = NULL;
    if (fs_exists(path))
        return signing_key_load(path, ret, err);
    k = signing_key_new();
    int r = signing_key_save(k, path, err);
    if (r == 0)
        *ret = TAKE_PTR(k);
    return r;
}

#define SCRYPT_N (1 << 14) /* 16 MiB, what OpenSSL takes to read it again without being told */

int signing_key_save_protected(const struct signing_key *k, const char *path, const char *passphrase, struct err *err)
{
    PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(k->pkey);
    X509_ALGOR *scheme = PKCS5_pbe2_set_scrypt(EVP_aes_256_cbc(), NULL, 0, NULL, SCRYPT_N, 8, 1);
    X509_SIG *sealed = info && scheme ? PKCS8_set0_pbe(passphrase, (int)strlen(passphrase), info, scheme) : NULL;
    BIO *bio = BIO_new(BIO_s_mem());
    char *text = NULL;
    int r = -EIO;
    if (!sealed)
        X509_ALGOR_free(scheme);
    if (sealed && bio && PEM_write_bio_PKCS8(bio, sealed)) {
        long n = BIO_get_mem_data(bio, &text);
        r = fs_write_atomic(path, text, (size_t)n, 0600, err);
    } else {
        err_set(err, r, "cannot protect a private key");
    }
    X509_SIG_free(sealed);
    PKCS8_PRIV_KEY_INFO_free(info);
    BIO_free(bio);
    return r;
}

static int give_passphrase(char *out, int size, int writing OH_UNUSED, void *passphrase)
{
    size_t len = passphrase ? strlen(passphrase) : 0;
    if (len == 0 || len > (size_t)size)
        return -1;
    memcpy(out, passphrase, len);
    return (int)len;
}

int signing_key_load_protected(const char *path, const char *passphrase, struct signing_key **ret, struct err *err)
{
    autofree char *text = NULL;
    size_t len = 0;
    int r = fs_read_secret(path, KIB(16), &text, &len, err);
    if (r < 0)
        return r;
    bool is_protected = strstr(text, "ENCRYPTED") != NULL;
    BIO *bio = BIO_new_mem_buf(text, (int)len);
    EVP_PKEY *pkey = bio ? PEM_read_bio_PrivateKey(bio, NULL, give_passphrase, (void *)(uintptr_t)passphrase) : NULL;
    BIO_free(bio);
    mem_wipe(text, len);
    if (pkey && EVP_PKEY_get_base_id(pkey) == EVP_PKEY_ED25519) {
        *ret = wrap(pkey);
        return 0;
    }
    bool other = pkey != NULL;
    EVP_PKEY_free(pkey);
    if (is_protected && !other)
        return err_set(err, -EACCES, "%s is protected, and the passphrase is %s", path,
                       passphrase && *passphrase ? "wrong" : "missing: give --passphrase-file or type it");
    return err_set(err, -EINVAL, "%s is not an Ed25519 private key in PEM form", path);
}

void signing_key_public(const struct signing_key *k, unsigned char out[ED25519_PUBLIC_SIZE])
{
    size_t len = ED25519_PUBLIC_SIZE;
    if (!EVP_PKEY_get_raw_public_key(k->pkey, out, &len) || len != ED25519_PUBLIC_SIZE)
        abort();
}

void signing_key_sign(const struct signing_key *k, const void *data, size_t len,
                      unsigned char out[ED25519_SIGNATURE_SIZE])
{
    size_t n = ED25519_SIGNATURE_SIZE;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (!ctx || EVP_DigestSignInit(ctx, NULL, NULL, NULL, k->pkey) != 1 || EVP_DigestSign(ctx, out, &n, data, len) != 1)
        abort();
    EVP_MD_CTX_free(ctx);
}

bool signature_valid(const unsigned char public_key[ED25519_PUBLIC_SIZE], const void *data, size_t len,
                     const unsigned char signature[ED25519_SIGNATURE_SIZE])
{
    EVP_PKEY *pkey = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, public_key, ED25519_PUBLIC_SIZE);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = pkey && ctx && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, pkey) == 1 &&
              EVP_DigestVerify(ctx, signature, ED25519_SIGNATURE_SIZE, data, len) == 1;
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(pkey);
    return ok;
}
