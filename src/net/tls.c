/* X.509 identities: keys, certificates, requests and authorities over OpenSSL. */
#include "net/tls_internal.h"

#include "base/buf.h"
#include "base/fs.h"
#include "base/mem.h"

#include <arpa/inet.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <time.h>

#define NAMES_MAX 100
#define NAME_MAX_BYTES 253

static inline void x509_freep(X509 **x)
{
    X509_free(*x);
}
static inline void bio_freep(BIO **b)
{
    BIO_free(*b);
}
static inline void req_freep(X509_REQ **r)
{
    X509_REQ_free(*r);
}
static inline void names_freep(GENERAL_NAMES **n)
{
    GENERAL_NAMES_free(*n);
}
#define autox509 OH_CLEANUP(x509_freep)
#define autobio OH_CLEANUP(bio_freep)
#define autoreq OH_CLEANUP(req_freep)
#define autonames OH_CLEANUP(names_freep)

/* What a bio holds, as free()d text. */
static char *bio_text(BIO *bio)
{
    char *p = NULL;
    long n = BIO_get_mem_data(bio, &p);
    return mem_strndup(p ? p : "", (size_t)MAX(n, 0));
}

static BIO *bio_new(void)
{
    BIO *bio = BIO_new(BIO_s_mem());
    if (!bio)
        abort(); /* out of memory */
    return bio;
}

static int invalid(struct err *err, const char *what)
{
    ERR_clear_error();
    return err_set(err, -EINVAL, "%s", what);
}

/* ---- keys ---- */

struct tls_key *tls_key_new(void)
{
    struct tls_key *k = mem_alloc(sizeof(*k));
    k->pkey = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    if (!k->pkey)
        abort(); /* no randomness or no P-256: nothing we do is safe */
    return k;
}

void tls_key_free(struct tls_key *k)
{
    if (!k)
        return;
    EVP_PKEY_free(k->pkey);
    free(k);
}

char *tls_key_pem(const struct tls_key *k)
{
    autobio BIO *bio = bio_new();
    char *p = NULL, *text;
    if (!PEM_write_bio_PKCS8PrivateKey(bio, k->pkey, NULL, NULL, 0, NULL, NULL))
        abort(); /* a key that we made or read can always be written */
    text = bio_text(bio);
    long n = BIO_get_mem_data(bio, &p);
    mem_wipe(p, (size_t)n);
    return text;
}

int tls_key_save(const struct tls_key *k, const char *path, struct err *err)
{
    char *text = tls_key_pem(k);
    int r = fs_write_atomic(path, text, strlen(text), 0600, err);
    mem_wipe(text, strlen(text));
    free(text);
    return r;
}

static bool is_p256(EVP_PKEY *pkey)
{
    char group[32] = "";
    return pkey && EVP_PKEY_get_base_id(pkey) == EVP_PKEY_EC &&
           EVP_PKEY_get_group_name(pkey, group, sizeof(group), NULL) && strcmp(group, "prime256v1") == 0;
}

int tls_key_load(const char *path, struct tls_key **ret, struct err *err)
{
    autofree char *text = NULL;
    size_t len = 0;
    int r = fs_read_secret(path, KIB(16), &text, &len, err);
    if (r == -ENOENT)
        return err_set_errno(err, r, "cannot read %s", path);
    if (r < 0)
        return r;
    autobio BIO *bio = BIO_new_mem_buf(text, (int)len);
    EVP_PKEY *pkey = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;
    mem_wipe(text, len);
    if (!is_p256(pkey)) {
        EVP_PKEY_free(pkey);
        ERR_clear_error();
        return err_set(err, -EINVAL, "%s is not an EC P-256 private key in PEM form", path);
    }
    *ret = mem_alloc(sizeof(**ret));
    (*ret)->pkey = pkey;
    return 0;
}

static void spki_hash(X509_PUBKEY *pub, unsigned char out[SHA256_SIZE])
{
    unsigned char *der = NULL;
    int n = i2d_X509_PUBKEY(pub, &der);
    if (n < 0)
        abort(); /* out of memory: the key was read or made before */
    sha256(der, (size_t)n, out);
    OPENSSL_free(der);
}

void tls_key_spki(const struct tls_key *k, unsigned char out[SHA256_SIZE])
{
    X509_PUBKEY *pub = NULL;
    if (!X509_PUBKEY_set(&pub, k->pkey))
        abort();
    spki_hash(pub, out);
    X509_PUBKEY_free(pub);
}

/* ---- certificates ---- */

static struct tls_cert *wrap(X509 *x)
{
    struct tls_cert *c = mem_alloc(sizeof(*c));
    c->x509 = x;
    return c;
}

int tls_cert_parse(const char *pem, size_t len, struct tls_cert **ret, struct err *err)
{
    if (len > TLS_PEM_MAX)
        return err_set(err, -EMSGSIZE, "certificate text is longer than 64 KiB");
    autobio BIO *bio = BIO_new_mem_buf(pem, (int)len);
    X509 *x = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
    if (!x)
        return invalid(err, "not a certificate in PEM form");
    *ret = wrap(x);
    return 0;
}

int tls_cert_load(const char *path, struct tls_cert **ret, struct err *err)
{
    autofree char *text = NULL;
    size_t len = 0;
    int r = fs_read(path, TLS_PEM_MAX, &text, &len, err);
    if (r == -ENOENT)
        return err_set_errno(err, r, "cannot read %s", path);
    if (r < 0)
        return r;
    r = tls_cert_parse(text, len, ret, err);
    return r < 0 ? err_wrap(err, r, "%s", path) : 0;
}

void tls_cert_free(struct tls_cert *c)
{
    if (!c)
        return;
    X509_free(c->x509);
    free(c);
}

char *tls_cert_pem(const struct tls_cert *c)
{
    autobio BIO *bio = bio_new();
    if (!PEM_write_bio_X509(bio, c->x509))
        abort(); /* out of memory */
    return bio_text(bio);
}

int64_t tls_asn1_ms(const ASN1_TIME *t)
{
    struct tm tm = {0};
    return ASN1_TIME_to_tm(t, &tm) ? (int64_t)timegm(&tm) * 1000 : 0;
}

int tls_x509_uri(X509 *x, char out[TLS_URI_MAX])
{
    autonames GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
    int found = 0;
    out[0] = 0;
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *n = sk_GENERAL_NAME_value(names, i);
        if (n->type != GEN_URI)
            continue;
        const unsigned char *p = ASN1_STRING_get0_data(n->d.uniformResourceIdentifier);
        size_t len = (size_t)ASN1_STRING_length(n->d.uniformResourceIdentifier);
        /* A NUL inside would make two programs see two names. */
        if (found++ == 0 && len < TLS_URI_MAX && !memchr(p, 0, len)) {
            memcpy(out, p, len);
            out[len] = 0;
        }
    }
    return found;
}

void tls_x509_info(X509 *x, struct tls_cert_info *ret)
{
    unsigned char *der = NULL, serial[21];
    memset(ret, 0, sizeof(*ret));
    if (tls_x509_uri(x, ret->uri) != 1)
        ret->uri[0] = 0;
    if (X509_NAME_get_text_by_NID(X509_get_subject_name(x), NID_commonName, ret->common_name,
                                  sizeof(ret->common_name)) < 0)
        ret->common_name[0] = 0;
    BIGNUM *bn = ASN1_INTEGER_to_BN(X509_get0_serialNumber(x), NULL);
    if (bn && BN_num_bytes(bn) <= 20)
        hex_encode(serial, (size_t)BN_bn2bin(bn, serial), ret->serial);
    BN_free(bn);
    ret->not_before_ms = tls_asn1_ms(X509_get0_notBefore(x));
    ret->not_after_ms = tls_asn1_ms(X509_get0_notAfter(x));
    int n = i2d_X509(x, &der);
    if (n < 0)
        abort(); /* out of memory */
    sha256(der, (size_t)n, ret->fingerprint);
    OPENSSL_free(der);
    spki_hash(X509_get_X509_PUBKEY(x), ret->spki);
    ret->authority = X509_check_ca(x) == 1;
    ERR_clear_error();
}

void tls_cert_info(const struct tls_cert *c, struct tls_cert_info *ret)
{
    tls_x509_info(c->x509, ret);
}

bool tls_cert_matches(const struct tls_cert *c, const struct tls_key *k)
{
    bool same = X509_check_private_key(c->x509, k->pkey) == 1;
    ERR_clear_error();
    return same;
}

bool tls_cert_signed_by(const struct tls_cert *c, const struct tls_cert *ca)
{
    EVP_PKEY *key = X509_get0_pubkey(ca->x509);
    bool signed_by = key && X509_verify(c->x509, key) == 1;
    ERR_clear_error();
    return signed_by;
}

bool tls_cert_names(const struct tls_cert *c, const char *dns)
{
    bool names = X509_check_host(c->x509, dns, 0, 0, NULL) == 1;
    ERR_clear_error();
    return names;
}

void tls_pin_text(const unsigned char spki[SHA256_SIZE], char out[TLS_PIN_SIZE])
{
    memcpy(out, "sha256/", 7);
    hex_encode(spki, SHA256_SIZE, out + 7);
}

int tls_pin_parse(const char *text, unsigned char out[SHA256_SIZE])
{
    unsigned char spki[SHA256_SIZE];
    if (strncmp(text, "sha256/", 7) != 0 || strlen(text) != TLS_PIN_SIZE - 1 ||
        hex_decode(text + 7, spki, SHA256_SIZE) < 0)
        return -EINVAL;
    memcpy(out, spki, SHA256_SIZE);
    return 0;
}

/* ---- requests ---- */

char *tls_csr_new(const struct tls_key *k)
{
    autoreq X509_REQ *req = X509_REQ_new();
    autobio BIO *bio = bio_new();
    if (!req || !X509_REQ_set_version(req, X509_REQ_VERSION_1) || !X509_REQ_set_pubkey(req, k->pkey) ||
        !X509_REQ_sign(req, k->pkey, EVP_sha256()) || !PEM_write_bio_X509_REQ(bio, req))
        abort(); /* only memory or randomness can be missing */
    return bio_text(bio);
}

/* The parsed request; its key is good and it was signed with it. */
static int csr_parse(const char *pem, size_t len, X509_REQ **ret, struct err *err)
{
    if (len > KIB(16))
        return err_set(err, -EMSGSIZE, "certificate request is longer than 16 KiB");
    autobio BIO *bio = BIO_new_mem_buf(pem, (int)len);
    autoreq X509_REQ *req = bio ? PEM_read_bio_X509_REQ(bio, NULL, NULL, NULL) : NULL;
    if (!req)
        return invalid(err, "not a certificate request in PEM form");
    EVP_PKEY *pkey = X509_REQ_get0_pubkey(req);
    if (!is_p256(pkey))
        return invalid(err, "certificate request must be for an EC P-256 key");
    if (X509_REQ_verify(req, pkey) != 1)
        return invalid(err, "certificate request is not signed with the key that it asks for");
    *ret = TAKE_PTR(req);
    return 0;
}

int tls_csr_check(const char *pem, size_t len, unsigned char ret_spki[SHA256_SIZE], struct err *err)
{
    autoreq X509_REQ *req = NULL;
    int r = csr_parse(pem, len, &req, err);
    if (r < 0)
        return r;
    spki_hash(X509_REQ_get_X509_PUBKEY(req), ret_spki);
    return 0;
}

/* ---- building certificates ---- */

struct tls_ca {
    struct tls_key *key;
    struct tls_cert *cert;
};

enum kind { KIND_CA, KIND_CLIENT, KIND_SERVER };

static int add_constraints(X509 *x, enum kind kind)
{
    BASIC_CONSTRAINTS *bc = BASIC_CONSTRAINTS_new();
    if (!bc)
        return -ENOMEM;
    if (kind == KIND_CA) {
        bc->ca = 0xff;
        bc->pathlen = ASN1_INTEGER_new(); /* zero: this authority signs leaves only */
    }
    int ok = (kind != KIND_CA || (bc->pathlen && ASN1_INTEGER_set(bc->pathlen, 0))) &&
             X509_add1_ext_i2d(x, NID_basic_constraints, bc, 1, X509V3_ADD_DEFAULT);
    BASIC_CONSTRAINTS_free(bc);
    return ok ? 0 : -ENOMEM;
}

/* One extension from a constant in OpenSSL's configuration syntax; never from foreign text. */
static int add_constant(X509 *x, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX v3;
    X509V3_set_ctx_nodb(&v3);
    X509V3_set_ctx(&v3, issuer, x, NULL, NULL, 0);
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &v3, nid, value);
    int ok = ext && X509_add_ext(x, ext, -1);
    X509_EXTENSION_free(ext);
    return ok ? 0 : -ENOMEM;
}

static int add_extensions(X509 *x, X509 *issuer, enum kind kind, GENERAL_NAMES *names, bool names_critical)
{
    static const char *const usage[] = {"critical,keyCertSign,cRLSign", "critical,digitalSignature",
                                        "critical,digitalSignature"};
    static const char *const extended[] = {NULL, "clientAuth", "serverAuth"};
    if (add_constraints(x, kind) < 0 || add_constant(x, issuer, NID_key_usage, usage[kind]) < 0 ||
        (extended[kind] && add_constant(x, issuer, NID_ext_key_usage, extended[kind]) < 0) ||
        add_constant(x, issuer, NID_subject_key_identifier, "hash") < 0 ||
        add_constant(x, issuer, NID_authority_key_identifier, "keyid:always") < 0)
        return -ENOMEM;
    if (names && !X509_add1_ext_i2d(x, NID_subject_alt_name, names, names_critical, X509V3_ADD_DEFAULT))
        return -ENOMEM;
    return 0;
}

static int set_serial(X509 *x)
{
    unsigned char bytes[16];
    random_bytes(bytes, sizeof(bytes));
    bytes[0] = (unsigned char)((bytes[0] & 0x7f) | 0x40); /* positive and always 16 bytes long */
    BIGNUM *bn = BN_bin2bn(bytes, sizeof(bytes), NULL);
    bool ok = bn && BN_to_ASN1_INTEGER(bn, X509_get_serialNumber(x));
    BN_free(bn);
    return ok ? 0 : -ENOMEM;
}

struct request {
    enum kind kind;
    EVP_PKEY *pkey; /* of the subject */
    const char *common_name;
    GENERAL_NAMES *names;
    int64_t not_before_ms, not_after_ms;
};

/* Fills all but signature and extensions. */
static int set_fields(X509 *x, const X509_NAME *issuer, const struct request *q)
{
    X509_NAME *subject = X509_get_subject_name(x);
    const unsigned char *cn = (const unsigned char *)q->common_name;
    if (!X509_set_version(x, X509_VERSION_3) || set_serial(x) < 0 || !X509_set_pubkey(x, q->pkey) ||
        !ASN1_TIME_adj(X509_getm_notBefore(x), (time_t)(q->not_before_ms / 1000), 0, 0) ||
        !ASN1_TIME_adj(X509_getm_notAfter(x), (time_t)(q->not_after_ms / 1000), 0, 0))
        return -ENOMEM;
    if (cn && !X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, cn, -1, -1, 0))
        return -EINVAL;
    return X509_set_issuer_name(x, issuer ? issuer : subject) ? 0 : -ENOMEM;
}

/* ca NULL: signed with its own key. */
static int issue(const struct tls_ca *ca, EVP_PKEY *signer, const struct request *q, struct tls_cert **ret,
                 struct err *err)
{
    X509 *issuer = ca ? ca->cert->x509 : NULL;
    if (q->not_before_ms < 0 || q->not_after_ms <= q->not_before_ms)
        return err_set(err, -ERANGE, "certificate would end before it begins");
    if (issuer && q->not_after_ms > tls_asn1_ms(X509_get0_notAfter(issuer)))
        return err_set(err, -ERANGE, "certificate would outlive its authority: renew the authority first");
    autox509 X509 *x = X509_new();
    int r = x ? set_fields(x, issuer ? X509_get_subject_name(issuer) : NULL, q) : -ENOMEM;
    if (r == 0)
        r = add_extensions(x, issuer ? issuer : x, q->kind, q->names, !q->common_name);
    if (r == 0 && !X509_sign(x, signer, EVP_sha256()))
        r = -EIO;
    if (r < 0) {
        ERR_clear_error();
        return err_set(err, r, "cannot build a certificate");
    }
    *ret = wrap(TAKE_PTR(x));
    return 0;
}

/* ---- authorities ---- */

int tls_ca_new(const char *common_name, int64_t not_before_ms, int64_t not_after_ms, struct tls_ca **ret,
               struct err *err)
{
    struct tls_ca *ca = mem_alloc(sizeof(*ca));
    ca->key = tls_key_new();
    struct request q = {.kind = KIND_CA,
                        .pkey = ca->key->pkey,
                        .common_name = common_name,
                        .not_before_ms = not_before_ms,
                        .not_after_ms = not_after_ms};
    int r = issue(NULL, ca->key->pkey, &q, &ca->cert, err);
    if (r < 0) {
        tls_ca_free(ca);
        return r;
    }
    *ret = ca;
    return 0;
}

void tls_ca_free(struct tls_ca *ca)
{
    if (!ca)
        return;
    tls_key_free(ca->key);
    tls_cert_free(ca->cert);
    free(ca);
}

const struct tls_cert *tls_ca_cert(const struct tls_ca *ca)
{
    return ca->cert;
}

int tls_ca_load(const char *key_path, const char *cert_path, struct tls_ca **ret, struct err *err)
{
    autoca struct tls_ca *ca = mem_alloc(sizeof(*ca));
    int r = tls_key_load(key_path, &ca->key, err);
    if (r == 0)
        r = tls_cert_load(cert_path, &ca->cert, err);
    if (r < 0)
        return r;
    if (!tls_cert_matches(ca->cert, ca->key))
        return err_set(err, -EINVAL, "%s is not the certificate of the key in %s", cert_path, key_path);
    if (X509_check_ca(ca->cert->x509) != 1)
        return err_set(err, -EINVAL, "%s is not the certificate of an authority", cert_path);
    *ret = TAKE_PTR(ca);
    return 0;
}

int tls_ca_save(const struct tls_ca *ca, const char *key_path, const char *cert_path, struct err *err)
{
    autofree char *pem = tls_cert_pem(ca->cert);
    int r = tls_key_save(ca->key, key_path, err);
    return r < 0 ? r : fs_write_atomic(cert_path, pem, strlen(pem), 0644, err);
}

static int add_name(GENERAL_NAMES *names, int type, int asn1_type, const void *data, size_t len)
{
    GENERAL_NAME *n = GENERAL_NAME_new();
    ASN1_STRING *s = ASN1_STRING_type_new(asn1_type);
    if (!n || !s || !ASN1_STRING_set(s, data, (int)len)) {
        GENERAL_NAME_free(n);
        ASN1_STRING_free(s);
        return -ENOMEM;
    }
    GENERAL_NAME_set0_value(n, type, s);
    if (!sk_GENERAL_NAME_push(names, n)) {
        GENERAL_NAME_free(n);
        return -ENOMEM;
    }
    return 0;
}

static bool uri_is_plain(const char *uri)
{
    size_t len = strlen(uri);
    if (len == 0 || len >= TLS_URI_MAX || !strchr(uri, ':'))
        return false;
    for (size_t i = 0; i < len; i++)
        if (uri[i] <= ' ' || uri[i] > '~')
            return false;
    return true;
}

int tls_ca_sign_client(const struct tls_ca *ca, const char *csr_pem, size_t csr_len, const char *uri,
                       int64_t not_before_ms, int64_t not_after_ms, struct tls_cert **ret, struct err *err)
{
    autoreq X509_REQ *req = NULL;
    autonames GENERAL_NAMES *names = GENERAL_NAMES_new();
    if (!uri_is_plain(uri))
        return err_set(err, -EINVAL, "a client certificate must be named by a URI of at most %d plain characters",
                       TLS_URI_MAX - 1);
    int r = csr_parse(csr_pem, csr_len, &req, err);
    if (r < 0)
        return r;
    if (!names || add_name(names, GEN_URI, V_ASN1_IA5STRING, uri, strlen(uri)) < 0)
        return err_set(err, -ENOMEM, "cannot build a certificate");
    struct request q = {.kind = KIND_CLIENT,
                        .pkey = X509_REQ_get0_pubkey(req),
                        .names = names,
                        .not_before_ms = not_before_ms,
                        .not_after_ms = not_after_ms};
    return issue(ca, ca->key->pkey, &q, ret, err);
}

static bool dns_is_plain(const char *name)
{
    size_t len = strlen(name), skip = strncmp(name, "*.", 2) == 0 ? 2 : 0;
    return len > skip && len <= NAME_MAX_BYTES &&
           strspn(name + skip, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._") == len - skip;
}

static int add_server_names(GENERAL_NAMES *names, const char *const *dns, const char *const *ip, struct err *err)
{
    int r = 0;
    for (; dns && *dns && r == 0; dns++) {
        if (!dns_is_plain(*dns))
            return err_set(err, -EINVAL, "\"%.100s\" is not a DNS name", *dns);
        r = add_name(names, GEN_DNS, V_ASN1_IA5STRING, *dns, strlen(*dns));
    }
    for (; ip && *ip && r == 0; ip++) {
        unsigned char raw[16];
        bool v6 = strchr(*ip, ':');
        if (inet_pton(v6 ? AF_INET6 : AF_INET, *ip, raw) != 1)
            return err_set(err, -EINVAL, "\"%.100s\" is not an IP address", *ip);
        r = add_name(names, GEN_IPADD, V_ASN1_OCTET_STRING, raw, v6 ? 16 : 4);
    }
    if (r < 0)
        return err_set(err, r, "cannot build a certificate");
    int n = sk_GENERAL_NAME_num(names);
    if (n < 1 || n > NAMES_MAX)
        return err_set(err, -EINVAL, "a server certificate needs 1 to %d names, not %d", NAMES_MAX, n);
    return 0;
}

/* dns and ip as in tls_ca_issue_server. */
static int issue_server(const struct tls_ca *ca, EVP_PKEY *pkey, const char *const *dns, const char *const *ip,
                        int64_t not_before_ms, int64_t not_after_ms, struct tls_cert **ret, struct err *err)
{
    autonames GENERAL_NAMES *names = GENERAL_NAMES_new();
    if (!names)
        return err_set(err, -ENOMEM, "cannot build a certificate");
    int r = add_server_names(names, dns, ip, err);
    if (r < 0)
        return r;
    /* Verifiers look at the names above only; the common name is for people, and fits 64 characters. */
    const char *first = dns && *dns ? *dns : *ip;
    struct request q = {.kind = KIND_SERVER,
                        .pkey = pkey,
                        .common_name = strlen(first) <= 64 ? first : NULL,
                        .names = names,
                        .not_before_ms = not_before_ms,
                        .not_after_ms = not_after_ms};
    return issue(ca, ca->key->pkey, &q, ret, err);
}

int tls_ca_issue_server(const struct tls_ca *ca, const struct tls_key *key, const char *const *dns,
                        const char *const *ip, int64_t not_before_ms, int64_t not_after_ms, struct tls_cert **ret,
                        struct err *err)
{
    return issue_server(ca, key->pkey, dns, ip, not_before_ms, not_after_ms, ret, err);
}

int tls_ca_sign_server(const struct tls_ca *ca, const char *csr_pem, size_t csr_len, const char *const *dns,
                       int64_t not_before_ms, int64_t not_after_ms, struct tls_cert **ret, struct err *err)
{
    autoreq X509_REQ *req = NULL;
    int r = csr_parse(csr_pem, csr_len, &req, err);
    return r < 0 ? r : issue_server(ca, X509_REQ_get0_pubkey(req), dns, NULL, not_before_ms, not_after_ms, ret, err);
}
