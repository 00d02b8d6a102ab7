/* The two ends of a TLS connection: contexts, and the strict check of the other end's certificate. */
#include "net/tls_internal.h"

#include "base/mem.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#define TRUST_MAX 8
#define PEER_CHAIN_BYTES 8192
#define DAY_MS (24 * 3600 * 1000ll)

struct tls_ctx {
    int refs;
    bool server;
    SSL_CTX *ssl;
    const struct clock *clock;
    int64_t grace_ms;
    X509 *trust[TRUST_MAX]; /* server: authorities of clients */
    char *prefix[TRUST_MAX];
    unsigned char pins[TRUST_MAX][SHA256_SIZE]; /* client: keys of the server's authority */
    size_t trust_count;
    char alpn_cert[32];    /* client: the protocol offered */
    char alpn_open[2][32]; /* "" if there is none */
};

struct tls_ctx *tls_ctx_ref(struct tls_ctx *ctx)
{
    __atomic_add_fetch(&ctx->refs, 1, __ATOMIC_RELAXED);
    return ctx;
}

void tls_ctx_free(struct tls_ctx *ctx)
{
    if (!ctx || __atomic_sub_fetch(&ctx->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    SSL_CTX_free(ctx->ssl);
    for (size_t i = 0; i < TRUST_MAX; i++) {
        X509_free(ctx->trust[i]);
        free(ctx->prefix[i]);
    }
    free(ctx);
}

int tls_error(SSL *ssl, struct err *err, int code, const char *what)
{
    long verify = ssl ? SSL_get_verify_result(ssl) : X509_V_OK;
    unsigned long e = ERR_peek_error();
    const char *reason = e ? ERR_reason_error_string(e) : NULL;
    if (verify != X509_V_OK)
        reason = X509_verify_cert_error_string(verify);
    ERR_clear_error();
    return reason ? err_set(err, code, "%s: %s", what, reason) : err_set_errno(err, code, "%s", what);
}

/* ---- checking a certificate ---- */

/* The rules that OpenSSL leaves to us: an authority signs leaves only, and is in its time now, whatever the leaf's. */
static int check_authority(X509 *ca, int64_t now)
{
    if (X509_check_ca(ca) != 1 || X509_get_pathlen(ca) != 0)
        return X509_V_ERR_INVALID_CA;
    if (now < tls_asn1_ms(X509_get0_notBefore(ca)))
        return X509_V_ERR_CERT_NOT_YET_VALID;
    return now > tls_asn1_ms(X509_get0_notAfter(ca)) ? X509_V_ERR_CERT_HAS_EXPIRED : X509_V_OK;
}

static int check_leaf(X509 *leaf, uint32_t extended_usage)
{
    uint32_t flags = X509_get_extension_flags(leaf);
    if (flags & EXFLAG_INVALID || X509_check_ca(leaf) != 0)
        return X509_V_ERR_INVALID_CA;
    /* A missing extension would mean "any usage". */
    if (!(flags & EXFLAG_XKUSAGE) || !(X509_get_extended_key_usage(leaf) & extended_usage) ||
        !(flags & EXFLAG_KUSAGE) || !(X509_get_key_usage(leaf) & KU_DIGITAL_SIGNATURE))
        return X509_V_ERR_INVALID_PURPOSE;
    return X509_V_OK;
}

/* Signature, names and extensions by OpenSSL's own verifier in a store that holds nothing but this authority. `from`
 * hands on the host or address that a server must prove. */
static int check_path(X509 *leaf, X509 *ca, int64_t at_ms, int purpose, const X509_VERIFY_PARAM *from)
{
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *sc = X509_STORE_CTX_new();
    int result = X509_V_ERR_OUT_OF_MEM;
    if (store && sc && X509_STORE_add_cert(store, ca) && X509_STORE_CTX_init(sc, store, leaf, NULL)) {
        X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(sc);
        if (X509_VERIFY_PARAM_set1(param, from) && X509_VERIFY_PARAM_set_purpose(param, purpose)) {
            X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_X509_STRICT);
            X509_VERIFY_PARAM_set_time(param, (time_t)(at_ms / 1000));
            X509_VERIFY_PARAM_set_depth(param, 0);
            result = X509_verify_cert(sc) == 1 ? X509_V_OK : X509_STORE_CTX_get_error(sc);
            if (result == X509_V_OK && sk_X509_num(X509_STORE_CTX_get0_chain(sc)) != 2)
                result = X509_V_ERR_CERT_CHAIN_TOO_LONG;
        }
    }
    X509_STORE_CTX_free(sc);
    X509_STORE_free(store);
    return result;
}

/* The time at which to judge the leaf: now, or its last moment if it expired within the grace. */
static int leaf_time(const struct tls_ctx *ctx, X509 *leaf, int64_t now, int64_t *ret_at)
{
    int64_t end = tls_asn1_ms(X509_get0_notAfter(leaf));
    *ret_at = now;
    if (now < end)
        return X509_V_OK;
    *ret_at = end - 1000;
    return now - end <= ctx->grace_ms ? X509_V_OK : X509_V_ERR_CERT_HAS_EXPIRED;
}

static int check_client(const struct tls_ctx *ctx, X509 *leaf, STACK_OF(X509) * sent, const X509_VERIFY_PARAM *param)
{
    int64_t now = clock_wall_ms(ctx->clock), at;
    char uri[TLS_URI_MAX];
    int r = check_leaf(leaf, XKU_SSL_CLIENT);
    if (r == X509_V_OK)
        r = leaf_time(ctx, leaf, now, &at);
    if (r != X509_V_OK)
        return r;
    if (tls_x509_uri(leaf, uri) != 1 || !uri[0])
        return X509_V_ERR_PERMITTED_VIOLATION;
    r = X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY;
    for (size_t i = 0; i < ctx->trust_count; i++) {
        X509 *ca = ctx->trust[i];
        if (X509_check_issued(ca, leaf) != X509_V_OK)
            continue;
        if (sk_X509_num(sent) > 2 || (sk_X509_num(sent) == 2 && X509_cmp(sk_X509_value(sent, 1), ca) != 0))
            return X509_V_ERR_CERT_CHAIN_TOO_LONG;
        r = strncmp(uri, ctx->prefix[i], strlen(ctx->prefix[i])) ? X509_V_ERR_PERMITTED_VIOLATION : X509_V_OK;
        if (r == X509_V_OK)
            r = check_authority(ca, now);
        if (r == X509_V_OK)
            r = check_path(leaf, ca, at, X509_PURPOSE_SSL_CLIENT, param);
        if (r == X509_V_OK)
            return r;
    }
    return r;
}

static bool pinned(const struct tls_ctx *ctx, X509 *ca)
{
    struct tls_cert_info info;
    bool found = false;
    tls_x509_info(ca, &info);
    for (size_t i = 0; i < ctx->trust_count; i++)
        found |= bytes_equal(info.spki, ctx->pins[i], SHA256_SIZE);
    return found;
}

static int check_server(const struct tls_ctx *ctx, X509 *leaf, STACK_OF(X509) * sent, const X509_VERIFY_PARAM *param)
{
    int64_t now = clock_wall_ms(ctx->clock);
    X509 *ca = sk_X509_num(sent) == 2 ? sk_X509_value(sent, 1) : NULL;
    if (!ca)
        return sk_X509_num(sent) > 2 ? X509_V_ERR_CERT_CHAIN_TOO_LONG : X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT;
    if (!pinned(ctx, ca))
        return X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN;
    int r = check_leaf(leaf, XKU_SSL_SERVER);
    if (r == X509_V_OK)
        r = check_authority(ca, now);
    if (r == X509_V_OK)
        r = X509_check_issued(ca, leaf);
    return r == X509_V_OK ? check_path(leaf, ca, now, X509_PURPOSE_SSL_SERVER, param) : r;
}

static int on_verify(X509_STORE_CTX *sc, void *arg)
{
    const struct tls_ctx *ctx = arg;
    X509 *leaf = X509_STORE_CTX_get0_cert(sc);
    STACK_OF(X509) *sent = X509_STORE_CTX_get0_untrusted(sc);
    const X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(sc);
    int r = ctx->server ? check_client(ctx, leaf, sent, param) : check_server(ctx, leaf, sent, param);
    X509_STORE_CTX_set_error(sc, r);
    return r == X509_V_OK;
}

/* ---- protocol choice ---- */

static bool list_has(const unsigned char *p, size_t len, const char *name)
{
    size_t want = strlen(name);
    while (want && len) {
        size_t n = p[0];
        if (n + 1 > len)
            return false;
        if (n == want && memcmp(p + 1, name, n) == 0)
            return true;
        p += n + 1;
        len -= n + 1;
    }
    return false;
}

/* Asks for a certificate only of those who offer the protocol that needs one: browsers would show a dialogue. */
static int on_client_hello(SSL *ssl, int *alert, void *arg)
{
    const struct tls_ctx *ctx = arg;
    const unsigned char *p;
    size_t len;
    if (!SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_application_layer_protocol_negotiation, &p, &len) || len < 2) {
        *alert = SSL_AD_NO_APPLICATION_PROTOCOL;
        return SSL_CLIENT_HELLO_ERROR;
    }
    bool want = list_has(p + 2, len - 2, ctx->alpn_cert);
    SSL_set_verify(ssl, want ? SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT : SSL_VERIFY_NONE, NULL);
    return SSL_CLIENT_HELLO_SUCCESS;
}

static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in,
                   unsigned int in_len, void *arg)
{
    const struct tls_ctx *ctx = arg;
    const char *chosen = list_has(in, in_len, ctx->alpn_cert)      ? ctx->alpn_cert
                         : list_has(in, in_len, ctx->alpn_open[0]) ? ctx->alpn_open[0]
                         : list_has(in, in_len, ctx->alpn_open[1]) ? ctx->alpn_open[1]
                                                                   : NULL;
    if (!chosen)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = (const unsigned char *)chosen;
    *out_len = (unsigned char)strlen(chosen);
    return SSL_TLSEXT_ERR_OK;
}

/* ---- contexts ---- */

static struct tls_ctx *ctx_new(bool server, const struct clock *clock, struct err *err)
{
    static char groups[] = "X25519:P-256"; /* not const: OpenSSL's macro casts to char * */
    struct tls_ctx *ctx = mem_alloc(sizeof(*ctx));
    SSL_CTX *s = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
    ctx->refs = 1;
    ctx->server = server;
    ctx->clock = clock;
    ctx->ssl = s;
    if (!s || !SSL_CTX_set_min_proto_version(s, TLS1_3_VERSION) || !SSL_CTX_set_num_tickets(s, 0) ||
        !SSL_CTX_set_ciphersuites(s, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256") ||
        !SSL_CTX_set1_groups_list(s, groups)) {
        tls_error(NULL, err, -EIO, "cannot set up TLS 1.3");
        tls_ctx_free(ctx);
        return NULL;
    }
    SSL_CTX_set_options(s, SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_mode(s, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(s, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_max_early_data(s, 0);
    SSL_CTX_set_max_cert_list(s, PEER_CHAIN_BYTES);
    SSL_CTX_set_cert_verify_callback(s, on_verify, ctx);
    return ctx;
}

static int use_identity(struct tls_ctx *ctx, const struct tls_key *key, const struct tls_cert *cert, struct err *err)
{
    if (!SSL_CTX_use_certificate(ctx->ssl, cert->x509) || !SSL_CTX_use_PrivateKey(ctx->ssl, key->pkey))
        return tls_error(NULL, err, -EINVAL, "certificate and private key do not fit together");
    return 0;
}

static int set_trust(struct tls_ctx *ctx, const struct tls_server_config *config, struct err *err)
{
    if (config->trust_count < 1 || config->trust_count > TRUST_MAX)
        return err_set(err, -EINVAL, "a TLS server needs 1 to %d client authorities", TRUST_MAX);
    for (size_t i = 0; i < config->trust_count; i++) {
        X509_up_ref(config->trust[i].ca->x509);
        ctx->trust[i] = config->trust[i].ca->x509;
        ctx->prefix[i] = mem_strdup(config->trust[i].uri_prefix);
        ctx->trust_count++;
    }
    return 0;
}

int tls_server_new(const struct tls_server_config *config, struct tls_ctx **ret, struct err *err)
{
    autotlsctx struct tls_ctx *ctx = ctx_new(true, config->clock, err);
    int r = ctx ? set_trust(ctx, config, err) : -EIO;
    if (r == 0)
        r = use_identity(ctx, config->key, config->cert, err);
    if (r < 0)
        return r;
    if (!SSL_CTX_add1_chain_cert(ctx->ssl, config->authority->x509))
        return tls_error(NULL, err, -EIO, "cannot set up TLS");
    ctx->grace_ms = config->grace_days * DAY_MS;
    snprintf(ctx->alpn_cert, sizeof(ctx->alpn_cert), "%s", config->alpn_cert ? config->alpn_cert : TLS_ALPN_LINK);
    const char *open[] = {config->alpn_open, config->alpn_open_too};
    for (size_t i = 0; i < ARRAY_SIZE(open); i++)
        snprintf(ctx->alpn_open[i], sizeof(ctx->alpn_open[i]), "%s", open[i] ? open[i] : "");
    SSL_CTX_set_client_hello_cb(ctx->ssl, on_client_hello, ctx);
    SSL_CTX_set_alpn_select_cb(ctx->ssl, on_alpn, ctx);
    *ret = TAKE_PTR(ctx);
    return 0;
}

int tls_client_new(const struct tls_client_config *config, struct tls_ctx **ret, struct err *err)
{
    autotlsctx struct tls_ctx *ctx = ctx_new(false, config->clock, err);
    unsigned char wire[33];
    size_t n = strlen(config->alpn);
    if (!ctx)
        return -EIO;
    if (config->pin_count < 1 || config->pin_count > TRUST_MAX || n < 1 || n >= sizeof(ctx->alpn_cert))
        return err_set(err, -EINVAL, "a TLS client needs 1 to %d pins and one protocol", TRUST_MAX);
    memcpy(ctx->pins, config->pins, config->pin_count * SHA256_SIZE);
    ctx->trust_count = config->pin_count;
    memcpy(ctx->alpn_cert, config->alpn, n + 1);
    wire[0] = (unsigned char)n;
    memcpy(wire + 1, config->alpn, n);
    if (SSL_CTX_set_alpn_protos(ctx->ssl, wire, (unsigned int)n + 1) != 0)
        return tls_error(NULL, err, -EIO, "cannot set up TLS");
    int r = config->cert ? use_identity(ctx, config->key, config->cert, err) : 0;
    if (r < 0)
        return r;
    SSL_CTX_set_verify(ctx->ssl, SSL_VERIFY_PEER, NULL);
    *ret = TAKE_PTR(ctx);
    return 0;
}

SSL *tls_ctx_accept(struct tls_ctx *ctx)
{
    SSL *ssl = SSL_new(ctx->ssl);
    if (!ssl)
        abort(); /* out of memory */
    SSL_set_accept_state(ssl);
    return ssl;
}

int tls_ctx_connect(struct tls_ctx *ctx, const char *host, SSL **ret, struct err *err)
{
    unsigned char raw[16];
    autofree char *name = mem_strdup(host);
    SSL *ssl = SSL_new(ctx->ssl);
    if (!ssl)
        abort(); /* out of memory */
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
    bool address = inet_pton(AF_INET, host, raw) == 1 || inet_pton(AF_INET6, host, raw) == 1;
    bool ok = address ? X509_VERIFY_PARAM_set1_ip_asc(param, host)
                      : *host && SSL_set_tlsext_host_name(ssl, name) && X509_VERIFY_PARAM_set1_host(param, host, 0);
    if (!ok) {
        ERR_clear_error();
        SSL_free(ssl);
        return err_set(err, -EINVAL, "\"%.100s\" is not a server name that a certificate can prove", host);
    }
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    SSL_set_connect_state(ssl);
    *ret = ssl;
    return 0;
}

int tls_peer_get(struct tls_ctx *ctx, SSL *ssl, struct tls_peer *ret, struct err *err)
{
    const unsigned char *alpn;
    unsigned int len;
    struct tls_peer peer = {0};
    X509 *x = SSL_get0_peer_certificate(ssl);
    SSL_get0_alpn_selected(ssl, &alpn, &len);
    if (len == 0 || len >= sizeof(peer.alpn))
        return err_set(err, -EACCES, "the other end agreed to no protocol of ours");
    memcpy(peer.alpn, alpn, len);
    bool first = strcmp(peer.alpn, ctx->alpn_cert) == 0;
    if (!first && (!ctx->server || (strcmp(peer.alpn, ctx->alpn_open[0]) && strcmp(peer.alpn, ctx->alpn_open[1]))))
        return err_set(err, -EACCES, "the other end chose a protocol that was not offered");
    peer.alpn_cert = ctx->server && first;
    if (!ctx->server || peer.alpn_cert) {
        struct tls_cert_info info;
        if (!x || SSL_get_verify_result(ssl) != X509_V_OK)
            return err_set(err, -EACCES, "the other end has no verified certificate");
        tls_x509_info(x, &info);
        memcpy(peer.fingerprint, info.fingerprint, SHA256_SIZE);
        memcpy(peer.uri, info.uri, sizeof(peer.uri));
        peer.not_after_ms = info.not_after_ms;
        peer.renew_only = ctx->server && clock_wall_ms(ctx->clock) >= info.not_after_ms;
    }
    *ret = peer;
    return 0;
}
