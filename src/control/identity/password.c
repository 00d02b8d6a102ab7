/* Makes and checks passwords. */
#include "control/identity/password.h"

#include "base/buf.h"
#include "base/keys.h"
#include "base/mem.h"

#include <ctype.h>
#include <openssl/evp.h>
#include <sodium.h>

#define ARGON_PASSES 3
#define ARGON_MEMORY MIB(64)

/* A hash of nobody's password, so that an unknown user costs what a known one does. */
static const char decoy[] = "$argon2id$v=19$m=65536,t=3,p=1$c29tZSBzYWx0IGhlcmUhIQ$"
                            "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

_Static_assert(PASSWORD_HASH_SIZE == crypto_pwhash_STRBYTES, "libsodium's text has another size");

static void prepare(void)
{
    if (sodium_init() < 0)
        abort();
}

int password_hash(const char *password, char ret[PASSWORD_HASH_SIZE], struct err *err)
{
    size_t len = strlen(password);
    prepare();
    if (!len || len > PASSWORD_MAX)
        return err_set(err, -EINVAL, "a password must have 1 to %d bytes", PASSWORD_MAX);
    if (crypto_pwhash_str_alg(ret, password, len, ARGON_PASSES, ARGON_MEMORY, crypto_pwhash_ALG_ARGON2ID13) < 0)
        return err_set(err, -ENOMEM, "no memory to hash a password");
    return 0;
}

bool password_matches(const char *hash, const char *password)
{
    size_t len = strlen(password);
    prepare();
    if (len > PASSWORD_MAX)
        return false;
    bool matches = crypto_pwhash_str_verify(hash ? hash : decoy, password, len) == 0;
    return hash && matches;
}

void token_generate(char *ret, size_t len)
{
    static const char alphabet[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    for (size_t i = 0; i < len; i++)
        ret[i] = alphabet[random_below(sizeof(alphabet) - 1)];
    ret[len] = 0;
}

static bool has(const char *text, int (*class)(int))
{
    for (; *text; text++)
        if (class((unsigned char)*text))
            return true;
    return false;
}

void password_generate(char ret[PASSWORD_GENERATED_SIZE])
{
    do
        token_generate(ret, PASSWORD_GENERATED_SIZE - 1);
    while (!has(ret, isdigit) || !has(ret, isupper) || !has(ret, islower));
}

static void sha1(const void *data, size_t len, unsigned char out[20])
{
    if (EVP_Digest(data, len, out, NULL, EVP_sha1(), NULL) != 1)
        abort();
}

void password_clickhouse(const char *password, char ret_sha256[65], char ret_double_sha1[41])
{
    unsigned char once[20], twice[20];
    sha256_hex(password, strlen(password), ret_sha256);
    sha1(password, strlen(password), once);
    sha1(once, sizeof(once), twice);
    hex_encode(twice, sizeof(twice), ret_double_sha1);
    mem_wipe(once, sizeof(once));
}
