/* Makes, loads and guards the signer's keys. */
#include "control/signer/signer_keys.h"

#include "base/buf.h"
#include "base/fs.h"
#include "base/mem.h"
#include "blueprint/desired.h"

#define YEAR_MS (365 * 24 * 3600 * 1000LL)
#define CA_YEARS 10

static int make_ca(const struct control_config *c, const char *name, const char *key_path, const char *pem_path,
                   int64_t now, struct err *err)
{
    autoca struct tls_ca *ca = NULL;
    /* The key was written first: both are there. */
    if (fs_exists(pem_path))
        return 0;
    /* An hour back, so that an agent whose clock is a little behind can connect. */
    int r = tls_ca_new(name, now - 3600 * 1000LL, now + CA_YEARS * YEAR_MS, &ca, err);
    return r < 0 ? r : tls_ca_save(ca, key_path, pem_path, err);
}

static int make_desired(const char *key_path, const char *pub_path, struct err *err)
{
    autokey struct signing_key *k = NULL;
    unsigned char pub[ED25519_PUBLIC_SIZE];
    char hex[2 * ED25519_PUBLIC_SIZE + 2];
    int r = signing_key_keep(key_path, &k, err);
    if (r < 0)
        return r;
    signing_key_public(k, pub);
    hex_encode(pub, sizeof(pub), hex);
    strcat(hex, "\n");
    return fs_write_atomic(pub_path, hex, strlen(hex), 0644, err);
}

static int make_witness(const struct control_config *c, const struct clock *clock, struct err *err)
{
    autofree char *keys = control_path(c, "keys");
    struct witness w;
    int r = witness_open(keys, "ownhouse/witness", clock, &w, err);
    if (r == 0)
        witness_close(&w);
    return r;
}

/* A folder is complete once `keys/complete` exists; until then the first start may be repeated from any point. What is
 * there is never made anew: the mark alone may have been lost, and agents trust these keys. */
static int make_missing(const struct control_config *c, const struct clock *clock, struct err *err)
{
    int64_t now = clock_wall_ms(clock);
    autofree char *mark = control_path(c, "keys/complete");
    autofree char *ca_key = control_path(c, "keys/link-ca.key"), *ca_pem = control_path(c, "keys/link-ca.pem");
    autofree char *spare_key = control_path(c, "keys/link-ca-spare.key"),
                  *spare_pem = control_path(c, "keys/link-ca-spare.pem");
    autofree char *key = control_path(c, "keys/desired.key"), *pub = control_path(c, "keys/desired.pub");
    autofree char *versions = control_path(c, "keys/signed");
    if (fs_exists(mark))
        return 0;
    int r = fs_mkdirs(versions, 0700, err);
    if (r == 0)
        r = make_ca(c, "OwnHouse link", ca_key, ca_pem, now, err);
    if (r == 0)
        r = make_ca(c, "OwnHouse link spare", spare_key, spare_pem, now, err);
    if (r == 0)
        r = make_desired(key, pub, err);
    /* The other roles start at the mark, and may read from then on only what was there. */
    if (r == 0)
        r = make_witness(c, clock, err);
    if (r == 0)
        r = fs_write_atomic(mark, "", 0, 0600, err);
    return r;
}

/* A half of the spare is found out now, not on the day it is needed. */
static int check_spare(const struct control_config *c, struct err *err)
{
    autofree char *key = control_path(c, "keys/link-ca-spare.key"), *pem = control_path(c, "keys/link-ca-spare.pem");
    autoca struct tls_ca *spare = NULL;
    return fs_exists(key) || fs_exists(pem) ? tls_ca_load(key, pem, &spare, err) : 0;
}

/* Older control planes have none; a lost one is made anew, and codes of authenticators are wrong until they are
 * enrolled again. */
static int open_totp(const struct control_config *c, unsigned char ret[SIGNER_TOTP_KEY_SIZE], struct err *err)
{
    autofree char *path = control_path(c, "keys/totp.key"), *text = NULL;
    size_t len;
    if (!fs_exists(path)) {
        random_bytes(ret, SIGNER_TOTP_KEY_SIZE);
        return fs_write_atomic(path, ret, SIGNER_TOTP_KEY_SIZE, 0600, err);
    }
    int r = fs_read_secret(path, SIGNER_TOTP_KEY_SIZE, &text, &len, err);
    if (r < 0)
        return r;
    if (len != SIGNER_TOTP_KEY_SIZE)
        return err_set(err, -EIO, "%s is damaged: restore it from a backup", path);
    memcpy(ret, text, len);
    mem_wipe(text, len);
    return 0;
}

int signer_keys_open(const struct control_config *c, const struct clock *clock, struct signer_keys *ret,
                     struct err *err)
{
    autofree char *ca_key = control_path(c, "keys/link-ca.key"), *ca_pem = control_path(c, "keys/link-ca.pem");
    autofree char *key = control_path(c, "keys/desired.key"), *keys = control_path(c, "keys");
    struct signer_keys k = {.versions_dir = control_path(c, "keys/signed")};
    int r = make_missing(c, clock, err);
    if (r == 0 && !fs_exists(k.versions_dir))
        r = err_set(err, -ENOENT, "%s is missing", k.versions_dir);
    if (r == 0)
        r = tls_ca_load(ca_key, ca_pem, &k.ca, err);
    if (r == 0)
        r = check_spare(c, err);
    if (r == 0)
        r = signing_key_load(key, &k.desired, err);
    if (r == 0)
        r = open_totp(c, k.totp, err);
    if (r == 0)
        r = witness_open(keys, "ownhouse/witness", clock, &k.witness, err);
    if (r == 0) {
        k.seal = mem_alloc(sizeof(*k.seal));
        r = signer_seal_open(keys, clock, k.seal, err);
    }
    if (r < 0) {
        signer_keys_close(&k);
        return err_wrap(err, r, "the signer's keys: restore the keys folder from a backup");
    }
    *ret = k;
    return 0;
}

void signer_keys_close(struct signer_keys *k)
{
    tls_ca_free(k->ca);
    signing_key_free(k->desired);
    witness_close(&k->witness);
    if (k->seal)
        signer_seal_close(k->seal);
    free(k->seal);
    free(k->versions_dir);
    mem_wipe(k->totp, sizeof(k->totp));
    *k = (struct signer_keys){0};
}

/* 0 with version 0 when nothing was signed yet. */
static int last_signed(const char *path, int64_t *ret_version, char ret_digest[65], struct err *err)
{
    autofree char *text = NULL;
    long long version;
    *ret_version = 0;
    ret_digest[0] = 0;
    if (!fs_exists(path))
        return 0;
    int r = fs_read(path, 256, &text, NULL, err);
    if (r < 0)
        return r;
    if (sscanf(text, "%lld %64[0-9a-f]", &version, ret_digest) != 2 || version < 1 || strlen(ret_digest) != 64)
        return err_set(err, -EIO, "%s is damaged: restore it from a backup", path);
    *ret_version = version;
    return 0;
}

/* Names of files and of what is signed have one spelling. */
static bool has_upper(const char *text)
{
    return strpbrk(text, "ABCDEF") != NULL;
}

int signer_keys_desired(const struct signer_keys *k, const char *infrastructure, int64_t version, const char *digest,
                        char ret_signature[129], struct err *err)
{
    unsigned char raw[SHA256_SIZE], signature[ED25519_SIGNATURE_SIZE];
    char last_digest[65];
    int64_t last;
    if (!uuid_valid(infrastructure) || version < 1 || hex_decode(digest, raw, sizeof(raw)) < 0 ||
        has_upper(infrastructure) || has_upper(digest))
        return err_set(err, -EINVAL, "infrastructure, version or digest is malformed");
    autofree char *path = mem_printf("%s/%s", k->versions_dir, infrastructure);
    int r = last_signed(path, &last, last_digest, err);
    if (r < 0)
        return r;
    bool repeat = version == last && !strcmp(digest, last_digest);
    if (version <= last && !repeat)
        return err_set(err, -EPERM, "version %lld is not above %lld, the last one signed", (long long)version,
                       (long long)last);
    if (!repeat) {
        autofree char *line = mem_printf("%lld %s\n", (long long)version, digest);
        r = fs_write_atomic(path, line, strlen(line), 0600, err);
        if (r < 0)
            return r;
    }
    autobuf struct buf statement = BUF_INIT;
    desired_statement_of_digest(infrastructure, version, digest, &statement);
    signing_key_sign(k->desired, statement.data, statement.len, signature);
    hex_encode(signature, sizeof(signature), ret_signature);
    return 0;
}
