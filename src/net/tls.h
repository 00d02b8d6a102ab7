/* TLS identities and contexts: keys, certificate authorities, certificates, and the two ends of the link.
 *
 * Everything is X.509 over OpenSSL 3 with EC P-256 keys. Trust is always a list of our own authorities, never the
 * system's store, and a chain is always exactly leaf -> authority: an authority has path length 0, a leaf is not an
 * authority and carries the extended key usage of its role. RFC 5280, RFC 8446, RFC 7301 (ALPN).
 * Times are milliseconds since 1970 UTC; X.509 keeps whole seconds. Text results are free()d by the caller. */
#pragma once

#include "base/clock.h"
#include "base/err.h"
#include "base/keys.h"

#define TLS_ALPN_LINK "ownhouse-link/1"   /* client certificate required */
#define TLS_ALPN_ENROL "ownhouse-enrol/1" /* no client certificate asked for */
/* An engineer's device at the relay: no client certificate either, since the relay is not who lets it in
 * (api/access.md) */
#define TLS_ALPN_ACCESS "ownhouse-access/1"
/* Inside, end to end between device and gate: a grant's certificate is required; none, where a grant is opened. */
#define TLS_ALPN_GATE "ownhouse-gate/1"
#define TLS_ALPN_GATE_OPEN "ownhouse-gate-open/1"
#define TLS_GATE_NAME "gate.ownhouse" /* the DNS name of every gate's certificate: whose it is, the pin says */
#define TLS_URI_MAX 200               /* bytes of a URI name, with NUL */
#define TLS_RENEW_GRACE_DAYS 30
#define TLS_PEM_MAX KIB(64) /* longest PEM text that parsers take */

/* ---- private keys ---- */
struct tls_key;
struct tls_key *tls_key_new(void);    /* EC P-256; aborts if the machine has no randomness */
void tls_key_free(struct tls_key *k); /* NULL is fine */
/* PKCS#8 PEM, mode 0600, durable; loading refuses a file that group or others may read. */
OH_MUST_CHECK int tls_key_save(const struct tls_key *k, const char *path, struct err *err);
OH_MUST_CHECK int tls_key_load(const char *path, struct tls_key **ret, struct err *err);
/* The secret as text, for programs that want key and certificate in one file: wipe it after use. */
char *tls_key_pem(const struct tls_key *k);
void tls_key_spki(const struct tls_key *k, unsigned char out[SHA256_SIZE]);

/* ---- certificates ---- */
struct tls_cert;
struct tls_cert_info {
    char uri[TLS_URI_MAX]; /* the one URI name, "" if none */
    char common_name[128]; /* of the subject, "" if none */
    char serial[41];       /* lower-case hex */
    int64_t not_before_ms, not_after_ms;
    unsigned char fingerprint[SHA256_SIZE]; /* of the DER form */
    unsigned char spki[SHA256_SIZE];        /* of the SubjectPublicKeyInfo: what pins name */
    bool authority;
};
/* One certificate in PEM form; -EINVAL with a message. Text after the first certificate is ignored. */
OH_MUST_CHECK int tls_cert_parse(const char *pem, size_t len, struct tls_cert **ret, struct err *err);
OH_MUST_CHECK int tls_cert_load(const char *path, struct tls_cert **ret, struct err *err);
void tls_cert_free(struct tls_cert *c); /* NULL is fine */
char *tls_cert_pem(const struct tls_cert *c);
void tls_cert_info(const struct tls_cert *c, struct tls_cert_info *ret);
/* True if the certificate is for this key. */
bool tls_cert_matches(const struct tls_cert *c, const struct tls_key *k);
/* True if the key of `ca` signed it; dates and uses are not looked at. */
bool tls_cert_signed_by(const struct tls_cert *c, const struct tls_cert *ca);
/* True if it is for this host name (RFC 6125; wildcards count). */
bool tls_cert_names(const struct tls_cert *c, const char *dns);
/* "sha256/" and 64 hex digits of the SPKI hash: how a pin is written in files. */
#define TLS_PIN_SIZE (7 + 64 + 1)
void tls_pin_text(const unsigned char spki[SHA256_SIZE], char out[TLS_PIN_SIZE]);
OH_MUST_CHECK int tls_pin_parse(const char *text, unsigned char out[SHA256_SIZE]);

/* ---- requests ---- */
/* A certificate request signed with the key (its subject is not believed by tls_ca_sign_client); PEM, never NULL. */
char *tls_csr_new(const struct tls_key *k);
/* Checks form, key type and self-signature, and gives the hash of the key asked for. */
OH_MUST_CHECK int tls_csr_check(const char *pem, size_t len, unsigned char ret_spki[SHA256_SIZE], struct err *err);

/* ---- authorities ---- */
struct tls_ca;
/* A new self-signed authority, path length 0. */
OH_MUST_CHECK int tls_ca_new(const char *common_name, int64_t not_before_ms, int64_t not_after_ms, struct tls_ca **ret,
                             struct err *err);
OH_MUST_CHECK int tls_ca_load(const char *key_path, const char *cert_path, struct tls_ca **ret, struct err *err);
OH_MUST_CHECK int tls_ca_save(const struct tls_ca *ca, const char *key_path, const char *cert_path, struct err *err);
void tls_ca_free(struct tls_ca *ca); /* NULL is fine */
const struct tls_cert *tls_ca_cert(const struct tls_ca *ca);
/* Certificates get a random 128-bit serial and never outlive the authority (-ERANGE). */
/* A client certificate (EKU clientAuth) for the key in the request, named by `uri` alone. */
OH_MUST_CHECK int tls_ca_sign_client(const struct tls_ca *ca, const char *csr_pem, size_t csr_len, const char *uri,
                                     int64_t not_before_ms, int64_t not_after_ms, struct tls_cert **ret,
                                     struct err *err);
/* A server certificate (EKU serverAuth) for a key, with DNS names ("*." wildcards allowed) and IP addresses as text;
 * both lists end with NULL and may be NULL, at least one name in all, at most 100. */
OH_MUST_CHECK int tls_ca_issue_server(const struct tls_ca *ca, const struct tls_key *key, const char *const *dns,
                                      const char *const *ip, int64_t not_before_ms, int64_t not_after_ms,
                                      struct tls_cert **ret, struct err *err);

/* The same for a key that is elsewhere, in a request; its subject is not believed. */
OH_MUST_CHECK int tls_ca_sign_server(const struct tls_ca *ca, const char *csr_pem, size_t csr_len,
                                     const char *const *dns, int64_t not_before_ms, int64_t not_after_ms,
                                     struct tls_cert **ret, struct err *err);

/* ---- the two ends of a connection ---- */

/* An authority for client certificates, and what the names it may give begin with: a leaf whose URI does not begin
 * with `uri_prefix` is refused, so that one tenant's authority cannot speak for another's. */
struct tls_trust {
    const struct tls_cert *ca;
    const char *uri_prefix; /* "ownhouse:agent/" */
};

struct tls_server_config {
    const struct tls_key *key;
    const struct tls_cert *cert;      /* server leaf */
    const struct tls_cert *authority; /* its issuer; sent along, since clients know only its pin */
    const char *alpn_cert;            /* protocol with a required client certificate; NULL: TLS_ALPN_LINK */
    const char *alpn_open;            /* protocol without one; NULL: there is none. TLS_ALPN_ENROL for the link */
    const char *alpn_open_too;        /* another without one; NULL: there is none */
    const struct tls_trust *trust;
    size_t trust_count;        /* 1..8 */
    int grace_days;            /* a leaf that expired at most so many days ago is taken, marked renew_only */
    const struct clock *clock; /* borrowed, outlives the context */
};

struct tls_client_config {
    const unsigned char (*pins)[SHA256_SIZE]; /* SPKI hashes of the authorities that may vouch for the server */
    size_t pin_count;                         /* 1..8 */
    const struct tls_key *key;                /* with cert: our identity; both NULL when enrolling */
    const struct tls_cert *cert;
    const char *alpn;          /* the one protocol offered */
    const struct clock *clock; /* borrowed, outlives the context */
};

/* A context makes any number of connections; configurations are copied (keys and certificates by reference count).
 * TLS 1.3 only, no tickets, no session cache, no early data, buffers released when idle. A client without certificate,
 * of another authority, of a longer chain, without its usage or outside its time is refused in the handshake. */
struct tls_ctx;
OH_MUST_CHECK int tls_server_new(const struct tls_server_config *config, struct tls_ctx **ret, struct err *err);
OH_MUST_CHECK int tls_client_new(const struct tls_client_config *config, struct tls_ctx **ret, struct err *err);
struct tls_ctx *tls_ctx_ref(struct tls_ctx *ctx);
void tls_ctx_free(struct tls_ctx *ctx); /* drops one reference; NULL is fine */

/* A new connection's SSL object (SSL_free). For a client `host` is the name or address the server must prove. */
struct ssl_st *tls_ctx_accept(struct tls_ctx *ctx);
OH_MUST_CHECK int tls_ctx_connect(struct tls_ctx *ctx, const char *host, struct ssl_st **ret, struct err *err);

/* Who is at the other end, after a finished handshake. */
struct tls_peer {
    char uri[TLS_URI_MAX]; /* "" without a client certificate, and for servers */
    unsigned char fingerprint[SHA256_SIZE];
    int64_t not_after_ms; /* 0 without certificate */
    bool renew_only;      /* the certificate has expired within the grace: only renewal may be served */
    bool alpn_cert;       /* the protocol with client certificate was chosen (servers) */
    char alpn[32];
};
/* -EACCES if no protocol was agreed, or the one with client certificate without a verified one. */
OH_MUST_CHECK int tls_peer_get(struct tls_ctx *ctx, struct ssl_st *ssl, struct tls_peer *ret, struct err *err);

/* Fills err from OpenSSL's queue and the verification result of a failed handshake; returns code. */
int tls_error(struct ssl_st *ssl, struct err *err, int code, const char *what);

#define TLS_CLEANUP_FN(type)                         \
    static inline void type##_freep(struct type **p) \
    {                                                \
        type##_free(*p);                             \
    }
TLS_CLEANUP_FN(tls_key)
TLS_CLEANUP_FN(tls_cert)
TLS_CLEANUP_FN(tls_ca)
TLS_CLEANUP_FN(tls_ctx)
#define autotlskey OH_CLEANUP(tls_key_freep)
#define autocert OH_CLEANUP(tls_cert_freep)
#define autoca OH_CLEANUP(tls_ca_freep)
#define autotlsctx OH_CLEANUP(tls_ctx_freep)
