/* net/tls: identities, and who gets through a real handshake. */
#include "tls_fixture.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

static struct clock_manual manual;

/* ---- handshakes over a socket pair ---- */

struct outcome {
    bool ok;              /* both ends finished and the server read a byte */
    struct tls_peer peer; /* as the server sees the client */
    struct err server, client;
};

static bool step(SSL *ssl, bool *done, bool *failed)
{
    if (*done || *failed)
        return false;
    int r = SSL_do_handshake(ssl), e = SSL_get_error(ssl, r);
    *done = r == 1;
    *failed = r != 1 && e != SSL_ERROR_WANT_READ && e != SSL_ERROR_WANT_WRITE;
    return true;
}

/* Takes over both SSL objects. A TLS 1.3 client finishes before the server has judged it, so a byte must get through.
 */
static struct outcome shake(struct tls_ctx *server, SSL *s, SSL *c)
{
    struct outcome out = {0};
    int fd[2];
    bool sd = false, sf = false, cd = false, cf = false;
    char byte = 'x';
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
    SSL_set_fd(s, fd[0]);
    SSL_set_fd(c, fd[1]);
    for (int i = 0; i < 20; i++) {
        ERR_clear_error();
        step(c, &cd, &cf);
        if (cf && !out.client.code)
            tls_error(c, &out.client, -EACCES, "client");
        ERR_clear_error();
        step(s, &sd, &sf);
        if (sf && !out.server.code)
            tls_error(s, &out.server, -EACCES, "server");
    }
    if (sd && cd)
        out.ok = tls_peer_get(server, s, &out.peer, &out.server) == 0 && SSL_write(c, &byte, 1) == 1 &&
                 SSL_read(s, &byte, 1) == 1;
    SSL_free(s);
    SSL_free(c);
    close(fd[0]);
    close(fd[1]);
    ERR_clear_error();
    return out;
}

static struct outcome connect_as(struct tls_ctx *server, struct tls_ctx *client, const char *host)
{
    SSL *c = NULL;
    assert_int_equal(tls_ctx_connect(client, host, &c, NULL), 0);
    return shake(server, tls_ctx_accept(server), c);
}

/* One link server, trusting tenant A's authority for A's names. */
struct world {
    struct tls_ca *link_ca, *tenant, *other;
    struct identity server;
    struct tls_ctx *ctx;
};

static int world_setup(void **state)
{
    struct world *w = mem_alloc(sizeof(*w));
    clock_manual_init(&manual, NOW);
    w->link_ca = make_ca("link");
    w->tenant = make_ca("tenant a");
    w->other = make_ca("tenant b");
    w->server = make_server(w->link_ca);
    const struct tls_trust trust[] = {{tls_ca_cert(w->tenant), "ownhouse:agent/a/"},
                                      {tls_ca_cert(w->other), "ownhouse:agent/b/"}};
    w->ctx = server_ctx(w->link_ca, &w->server, trust, 2, &manual.clock);
    *state = w;
    return 0;
}

static int world_teardown(void **state)
{
    struct world *w = *state;
    tls_ctx_free(w->ctx);
    identity_free(&w->server);
    tls_ca_free(w->link_ca);
    tls_ca_free(w->tenant);
    tls_ca_free(w->other);
    free(w);
    return 0;
}

/* A client with this certificate, link protocol, everything else right. */
static struct outcome link_with(struct world *w, const struct identity *i)
{
    autotlsctx struct tls_ctx *c = client_ctx(w->link_ca, i, TLS_ALPN_LINK, &manual.clock);
    return connect_as(w->ctx, c, "control.example");
}

static void good_client_is_known(void **state)
{
    struct world *w = *state;
    autoidentity struct identity i = make_client(w->tenant, "ownhouse:agent/a/1", NOW - DAY, NOW + DAY);
    struct tls_cert_info info;
    struct outcome o = link_with(w, &i);
    tls_cert_info(i.cert, &info);
    if (!o.ok)
        fail_msg("%s; %s", o.server.message, o.client.message);
    assert_string_equal(o.peer.uri, "ownhouse:agent/a/1");
    assert_string_equal(o.peer.alpn, TLS_ALPN_LINK);
    assert_memory_equal(o.peer.fingerprint, info.fingerprint, SHA256_SIZE);
    assert_int_equal(o.peer.not_after_ms, NOW + DAY);
    assert_true(o.peer.alpn_cert);
    assert_false(o.peer.renew_only);
    autotlsctx struct tls_ctx *c = client_ctx(w->link_ca, &i, TLS_ALPN_LINK, &manual.clock);
    assert_true(connect_as(w->ctx, c, "127.0.0.1").ok);
    assert_true(connect_as(w->ctx, c, "::1").ok);
    assert_true(connect_as(w->ctx, c, "x.wild.example").ok);
}

static void refused(struct outcome o, const char *why)
{
    assert_false(o.ok);
    if (!strstr(o.server.message, why) && !strstr(o.client.message, why))
        fail_msg("expected \"%s\", got \"%s\" and \"%s\"", why, o.server.message, o.client.message);
}

static void wrong_authority_is_refused(void **state)
{
    struct world *w = *state;
    autoca struct tls_ca *stranger = make_ca("tenant a"); /* same name, other key */
    autoidentity struct identity i = make_client(stranger, "ownhouse:agent/a/1", NOW - DAY, NOW + DAY);
    refused(link_with(w, &i), "issuer");
}

/* An authority may not name another tenant's agents. */
static void wrong_tenant_is_refused(void **state)
{
    struct world *w = *state;
    autoidentity struct identity i = make_client(w->other, "ownhouse:agent/a/1", NOW - DAY, NOW + DAY);
    refused(link_with(w, &i), "permitted subtree");
}

static void expiry_and_grace(void **state)
{
    struct world *w = *state;
    autoidentity struct identity fresh = make_client(w->tenant, "ownhouse:agent/a/1", NOW + DAY, NOW + 2 * DAY);
    autoidentity struct identity d29 = make_client(w->tenant, "ownhouse:agent/a/1", NOW - 31 * DAY, NOW - 29 * DAY);
    autoidentity struct identity d31 = make_client(w->tenant, "ownhouse:agent/a/1", NOW - 33 * DAY, NOW - 31 * DAY);
    autoidentity struct identity last = make_client(w->tenant, "ownhouse:agent/a/1", NOW - DAY, NOW);
    struct outcome o = link_with(w, &d29);
    assert_true(o.ok);
    assert_true(o.peer.renew_only);
    o = link_with(w, &last);
    assert_true(o.ok && o.peer.renew_only);
    refused(link_with(w, &d31), "expired");
    refused(link_with(w, &fresh), "not yet valid");
}

static void expired_authority_is_refused_within_the_grace(void **state)
{
    struct world *w = *state;
    autoca struct tls_ca *old = NULL;
    assert_int_equal(tls_ca_new("old", NOW - 90 * DAY, NOW - DAY, &old, NULL), 0);
    autoidentity struct identity i = make_client(old, "ownhouse:agent/a/1", NOW - 31 * DAY, NOW - 2 * DAY);
    const struct tls_trust trust = {tls_ca_cert(old), "ownhouse:agent/"};
    autotlsctx struct tls_ctx *s = server_ctx(w->link_ca, &w->server, &trust, 1, &manual.clock);
    autotlsctx struct tls_ctx *c = client_ctx(w->link_ca, &i, TLS_ALPN_LINK, &manual.clock);
    refused(connect_as(s, c, "control.example"), "expired");
}

static void server_certificate_is_no_client(void **state)
{
    struct world *w = *state;
    static const char *const dns[] = {"a.example", NULL};
    autoidentity struct identity i = {.key = tls_key_new()};
    assert_int_equal(tls_ca_issue_server(w->tenant, i.key, dns, NULL, NOW - DAY, NOW + DAY, &i.cert, NULL), 0);
    refused(link_with(w, &i), "unsuitable certificate purpose");
}

static void link_without_certificate_is_refused(void **state)
{
    struct world *w = *state;
    refused(link_with(w, NULL), "peer did not return a certificate");
}

static void enrolment_asks_for_no_certificate(void **state)
{
    struct world *w = *state;
    autoidentity struct identity i = make_client(w->other, "ownhouse:agent/a/1", NOW - DAY, NOW + DAY);
    autotlsctx struct tls_ctx *c = client_ctx(w->link_ca, &i, TLS_ALPN_ENROL, &manual.clock);
    struct outcome o = connect_as(w->ctx, c, "control.example");
    assert_true(o.ok);
    assert_string_equal(o.peer.uri, "");
    assert_string_equal(o.peer.alpn, TLS_ALPN_ENROL);
    assert_false(o.peer.alpn_cert);
}

/* ---- clients that are not ours ---- */

static int certificate_requests;
static void watch(int write_p, int version, int type, const void *buf, size_t len, SSL *ssl, void *arg)
{
    if (!write_p && type == SSL3_RT_HANDSHAKE && len && *(const unsigned char *)buf == SSL3_MT_CERTIFICATE_REQUEST)
        certificate_requests++;
}

static struct outcome foreign(struct world *w, const char *alpn_wire, int max_version)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_max_proto_version(ctx, max_version);
    if (alpn_wire)
        assert_int_equal(SSL_CTX_set_alpn_protos(ctx, (const unsigned char *)alpn_wire, (unsigned)strlen(alpn_wire)),
                         0);
    SSL *c = SSL_new(ctx);
    SSL_set_msg_callback(c, watch);
    SSL_set_connect_state(c);
    certificate_requests = 0;
    struct outcome o = shake(w->ctx, tls_ctx_accept(w->ctx), c);
    SSL_CTX_free(ctx);
    return o;
}

static void foreign_clients(void **state)
{
    struct world *w = *state;
    refused(foreign(w, "\x02h2\x08http/1.1", TLS1_3_VERSION), "no application protocol");
    assert_int_equal(certificate_requests, 0);
    refused(foreign(w, NULL, TLS1_3_VERSION), "no application protocol");
    assert_true(foreign(w, "\x02h2\x10ownhouse-enrol/1", TLS1_3_VERSION).ok);
    assert_int_equal(certificate_requests, 0);
    refused(foreign(w, "\x02h2\x0fownhouse-link/1", TLS1_3_VERSION), "peer did not return a certificate");
    assert_int_equal(certificate_requests, 1);
    refused(foreign(w, "\x10ownhouse-enrol/1\x0fownhouse-link/1", TLS1_3_VERSION), "peer did not return a certificate");
    refused(foreign(w, "\x0fownhouse-link/1", TLS1_2_VERSION), "unsupported protocol");
}

/* ---- certificates built outside our rules ---- */

/* Signs with OpenSSL directly whatever the case asks for. */
static X509 *rogue(EVP_PKEY *subject_key, X509 *issuer, EVP_PKEY *issuer_key, bool authority, int pathlen,
                   const char *usage, const char *san)
{
    X509 *x = X509_new();
    X509V3_CTX v3;
    const char *values[][2] = {{"basicConstraints", NULL},
                               {"keyUsage", NULL},
                               {"extendedKeyUsage", usage},
                               {"subjectAltName", san},
                               {"subjectKeyIdentifier", "hash"}};
    char bc[64];
    snprintf(bc, sizeof(bc), authority ? "critical,CA:TRUE,pathlen:%d" : "critical,CA:FALSE", pathlen);
    values[0][1] = bc;
    values[1][1] = authority ? "critical,keyCertSign,digitalSignature" : "critical,digitalSignature";
    X509_set_version(x, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 77);
    ASN1_TIME_adj(X509_getm_notBefore(x), NOW / 1000 - 86400, 0, 0);
    ASN1_TIME_adj(X509_getm_notAfter(x), NOW / 1000 + 86400, 0, 0);
    X509_set_pubkey(x, subject_key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
                               (const unsigned char *)(authority ? "nested" : "leaf"), -1, -1, 0);
    X509_set_issuer_name(x, issuer ? X509_get_subject_name(issuer) : X509_get_subject_name(x));
    X509V3_set_ctx(&v3, issuer ? issuer : x, x, NULL, NULL, 0);
    for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
        if (!values[i][1])
            continue;
        X509_EXTENSION *e = X509V3_EXT_conf(NULL, &v3, values[i][0], values[i][1]);
        assert_non_null(e);
        X509_add_ext(x, e, -1);
        X509_EXTENSION_free(e);
    }
    X509_EXTENSION *e = X509V3_EXT_conf(NULL, &v3, "authorityKeyIdentifier", "keyid");
    X509_add_ext(x, e, -1);
    X509_EXTENSION_free(e);
    assert_true(X509_sign(x, issuer_key, EVP_sha256()) > 0);
    return x;
}

static EVP_PKEY *key_of(const char *pem)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    EVP_PKEY *k = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    BIO_free(bio);
    assert_non_null(k);
    return k;
}

static X509 *cert_of(const struct tls_cert *c)
{
    autofree char *pem = tls_cert_pem(c);
    BIO *bio = BIO_new_mem_buf(pem, -1);
    X509 *x = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    BIO_free(bio);
    return x;
}

static EVP_PKEY *ca_key(const struct tls_ca *ca, const char *folder)
{
    autofree char *k = mem_printf("%s/k", folder), *c = mem_printf("%s/c", folder), *pem = NULL;
    size_t len;
    assert_int_equal(tls_ca_save(ca, k, c, NULL), 0);
    assert_int_equal(fs_read(k, KIB(16), &pem, &len, NULL), 0);
    EVP_PKEY *key = key_of(pem);
    return key;
}

/* A link client with this leaf and, if given, one more certificate. */
static struct outcome link_rogue(struct world *w, X509 *leaf, EVP_PKEY *key, X509 *extra)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    assert_int_equal(SSL_CTX_set_alpn_protos(ctx, (const unsigned char *)"\x0fownhouse-link/1", 16), 0);
    assert_int_equal(SSL_CTX_use_certificate(ctx, leaf), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(ctx, key), 1);
    if (extra)
        SSL_CTX_add1_chain_cert(ctx, extra);
    SSL *c = SSL_new(ctx);
    SSL_set_connect_state(c);
    struct outcome o = shake(w->ctx, tls_ctx_accept(w->ctx), c);
    SSL_CTX_free(ctx);
    return o;
}

/* CVE-2025-49825 and its like: a certificate must not work as an authority, whatever it says of itself. */
static void odd_chains_are_refused(void **state)
{
    struct world *w = *state;
    char folder[] = "/tmp/ownhouse-tls-XXXXXX";
    assert_non_null(mkdtemp(folder));
    EVP_PKEY *tenant_key = ca_key(w->tenant, folder), *mid_key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256"),
             *leaf_key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    X509 *tenant = cert_of(tls_ca_cert(w->tenant));
    const char *san = "URI:ownhouse:agent/a/1", *client = "clientAuth";
    X509 *good = rogue(leaf_key, tenant, tenant_key, false, 0, client, san);
    X509 *mid = rogue(mid_key, tenant, tenant_key, true, 0, NULL, NULL);
    X509 *nested = rogue(leaf_key, mid, mid_key, false, 0, client, san);
    X509 *leaf_ca = rogue(leaf_key, tenant, tenant_key, true, 0, client, san);
    X509 *any = rogue(leaf_key, tenant, tenant_key, false, 0, NULL, san);
    X509 *two = rogue(leaf_key, tenant, tenant_key, false, 0, client, "URI:ownhouse:agent/a/1,URI:ownhouse:agent/a/2");
    X509 *nameless = rogue(leaf_key, tenant, tenant_key, false, 0, client, "DNS:a.example");
    X509 *self = rogue(leaf_key, NULL, leaf_key, false, 0, client, san);
    assert_true(link_rogue(w, good, leaf_key, NULL).ok); /* the cases below differ from this one in one thing each */
    assert_true(link_rogue(w, good, leaf_key, tenant).ok);
    refused(link_rogue(w, good, leaf_key, mid), "chain too long");
    refused(link_rogue(w, nested, leaf_key, mid), "issuer");
    refused(link_rogue(w, nested, leaf_key, tenant), "issuer");
    refused(link_rogue(w, leaf_ca, leaf_key, NULL), "invalid CA");
    refused(link_rogue(w, any, leaf_key, NULL), "purpose");
    refused(link_rogue(w, two, leaf_key, NULL), "permitted");
    refused(link_rogue(w, nameless, leaf_key, NULL), "permitted");
    refused(link_rogue(w, self, leaf_key, NULL), "issuer");
    X509 *all[] = {tenant, good, mid, nested, leaf_ca, any, two, nameless, self};
    for (size_t i = 0; i < ARRAY_SIZE(all); i++)
        X509_free(all[i]);
    EVP_PKEY_free(tenant_key);
    EVP_PKEY_free(mid_key);
    EVP_PKEY_free(leaf_key);
    assert_int_equal(fs_remove_tree(folder, NULL), 0);
}

/* Even when it is trusted by name: one that may make further authorities is not what was meant to be pinned. */
static void authority_with_room_below_is_refused(void **state)
{
    struct world *w = *state;
    EVP_PKEY *ca_pkey = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256"),
             *key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    for (int pathlen = 0; pathlen <= 1; pathlen++) {
        X509 *ca = rogue(ca_pkey, NULL, ca_pkey, true, pathlen, NULL, NULL);
        X509 *leaf = rogue(key, ca, ca_pkey, false, 0, "clientAuth", "URI:ownhouse:agent/a/1");
        BIO *bio = BIO_new(BIO_s_mem());
        char *pem;
        assert_true(PEM_write_bio_X509(bio, ca));
        long n = BIO_get_mem_data(bio, &pem);
        autocert struct tls_cert *trusted = NULL;
        assert_int_equal(tls_cert_parse(pem, (size_t)n, &trusted, NULL), 0);
        const struct tls_trust trust = {trusted, "ownhouse:agent/"};
        struct tls_ctx *usual = w->ctx;
        w->ctx = server_ctx(w->link_ca, &w->server, &trust, 1, &manual.clock);
        if (pathlen == 0)
            assert_true(link_rogue(w, leaf, key, NULL).ok);
        else
            refused(link_rogue(w, leaf, key, NULL), "invalid CA");
        tls_ctx_free(w->ctx);
        w->ctx = usual;
        BIO_free(bio);
        X509_free(ca);
        X509_free(leaf);
    }
    EVP_PKEY_free(ca_pkey);
    EVP_PKEY_free(key);
}

/* ---- the client's check of the server ---- */

static void client_knows_its_server(void **state)
{
    struct world *w = *state;
    autotlsctx struct tls_ctx *c = client_ctx(w->link_ca, NULL, TLS_ALPN_ENROL, &manual.clock);
    autotlsctx struct tls_ctx *elsewhere = client_ctx(w->tenant, NULL, TLS_ALPN_ENROL, &manual.clock);
    assert_true(connect_as(w->ctx, c, "control.example").ok);
    refused(connect_as(w->ctx, c, "other.example"), "hostname mismatch");
    refused(connect_as(w->ctx, c, "a.b.wild.example"), "hostname mismatch");
    refused(connect_as(w->ctx, c, "127.0.0.2"), "IP address mismatch");
    refused(connect_as(w->ctx, elsewhere, "control.example"), "self-signed certificate in certificate chain");
    clock_manual_advance(&manual, 2 * DAY);
    refused(connect_as(w->ctx, c, "control.example"), "expired");
    SSL *ssl = NULL;
    struct err err = ERR_INIT;
    assert_int_equal(tls_ctx_connect(c, "", &ssl, &err), -EINVAL);
    clock_manual_init(&manual, NOW);
}

static void spare_pin_works(void **state)
{
    struct world *w = *state;
    unsigned char pins[2][SHA256_SIZE] = {{0}};
    struct tls_cert_info info;
    struct tls_ctx *c = NULL;
    tls_cert_info(tls_ca_cert(w->link_ca), &info);
    memcpy(pins[1], info.spki, SHA256_SIZE);
    const struct tls_client_config config = {.pins = (const unsigned char(*)[SHA256_SIZE])pins,
                                             .pin_count = 2,
                                             .alpn = TLS_ALPN_ENROL,
                                             .clock = &manual.clock};
    assert_int_equal(tls_client_new(&config, &c, NULL), 0);
    assert_true(connect_as(w->ctx, c, "control.example").ok);
    tls_ctx_free(c);
}

/* A client's leaf, even of the pinned authority, cannot play server; nor a server send its leaf as authority. */
static void false_servers_are_refused(void **state)
{
    struct world *w = *state;
    autoidentity struct identity agent = make_client(w->link_ca, "ownhouse:agent/a/1", NOW - DAY, NOW + DAY);
    const struct tls_trust trust = {tls_ca_cert(w->tenant), "ownhouse:agent/"};
    autotlsctx struct tls_ctx *s = server_ctx(w->link_ca, &agent, &trust, 1, &manual.clock);
    autotlsctx struct tls_ctx *c = client_ctx(w->link_ca, NULL, TLS_ALPN_ENROL, &manual.clock);
    refused(connect_as(s, c, "control.example"), "purpose");
    autoidentity struct identity forged = make_server(w->tenant);
    autotlsctx struct tls_ctx *f = server_ctx(w->link_ca, &forged, &trust, 1, &manual.clock);
    refused(connect_as(f, c, "control.example"), "issuer");
}

/* ---- identities ---- */

static void files_round_trip(void **state)
{
    autofree char *key = mem_printf("%s/ca.key", (char *)*state), *cert = mem_printf("%s/ca.crt", (char *)*state);
    autoca struct tls_ca *ca = make_ca("one"), *again = NULL, *two = make_ca("two");
    struct tls_cert_info a, b;
    struct stat st;
    struct err err = ERR_INIT;
    assert_int_equal(tls_ca_save(ca, key, cert, NULL), 0);
    assert_int_equal(stat(key, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(tls_ca_load(key, cert, &again, NULL), 0);
    tls_cert_info(tls_ca_cert(ca), &a);
    tls_cert_info(tls_ca_cert(again), &b);
    assert_memory_equal(&a, &b, sizeof(a));
    assert_true(a.authority);
    assert_string_equal(a.common_name, "one");
    assert_int_equal(strlen(a.serial), 32);
    assert_int_equal(chmod(key, 0640), 0);
    tls_ca_free(again);
    again = NULL;
    assert_int_equal(tls_ca_load(key, cert, &again, &err), -EPERM);
    autofree char *pem = tls_cert_pem(tls_ca_cert(two));
    assert_int_equal(chmod(key, 0600), 0);
    assert_int_equal(fs_write_atomic(cert, pem, strlen(pem), 0644, NULL), 0);
    err = ERR_INIT;
    assert_int_equal(tls_ca_load(key, cert, &again, &err), -EINVAL);
    assert_non_null(strstr(err.message, "is not the certificate of the key"));
    assert_int_equal(fs_write_atomic(cert, "nonsense", 8, 0644, NULL), 0);
    err = ERR_INIT;
    assert_int_equal(tls_ca_load(key, cert, &again, &err), -EINVAL);
    assert_non_null(strstr(err.message, "ca.crt"));
}

static void requests(void **state OH_UNUSED)
{
    autotlskey struct tls_key *k = tls_key_new();
    autoca struct tls_ca *ca = make_ca("ca");
    autofree char *csr = tls_csr_new(k);
    unsigned char asked[SHA256_SIZE], own[SHA256_SIZE];
    struct err err = ERR_INIT;
    autocert struct tls_cert *c = NULL;
    struct tls_cert_info info;
    tls_key_spki(k, own);
    assert_int_equal(tls_csr_check(csr, strlen(csr), asked, NULL), 0);
    assert_memory_equal(asked, own, SHA256_SIZE);
    assert_int_equal(tls_ca_sign_client(ca, csr, strlen(csr), "ownhouse:agent/x", NOW, NOW + DAY, &c, NULL), 0);
    tls_cert_info(c, &info);
    assert_string_equal(info.uri, "ownhouse:agent/x");
    assert_int_equal(info.not_before_ms, NOW);
    assert_int_equal(info.not_after_ms, NOW + DAY);
    assert_memory_equal(info.spki, own, SHA256_SIZE);
    assert_false(info.authority);
    assert_true(tls_cert_matches(c, k));
    const char *bad[] = {"", "noscheme", "a:b c", "a:\nb"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct tls_cert *none = NULL;
        assert_int_equal(tls_ca_sign_client(ca, csr, strlen(csr), bad[i], NOW, NOW + DAY, &none, NULL), -EINVAL);
    }
    struct tls_cert *none = NULL;
    assert_int_equal(tls_ca_sign_client(ca, csr, strlen(csr), "a:b", NOW, NOW + 9999 * DAY, &none, &err), -ERANGE);
    assert_int_equal(tls_ca_sign_client(ca, csr, strlen(csr), "a:b", NOW, NOW, &none, NULL), -ERANGE);
    csr[200] = csr[200] == 'A' ? 'B' : 'A'; /* the signature does not fit any more */
    assert_int_equal(tls_csr_check(csr, strlen(csr), asked, NULL), -EINVAL);
    assert_int_equal(tls_csr_check("x", 1, asked, NULL), -EINVAL);
}

static void server_names_are_checked(void **state OH_UNUSED)
{
    autoca struct tls_ca *ca = make_ca("ca");
    autotlskey struct tls_key *k = tls_key_new();
    const char *bad_dns[] = {"a b", NULL}, *bad_ip[] = {"1.2.3", NULL}, *empty[] = {NULL}, *dns[] = {"*.x", NULL};
    struct tls_cert *c = NULL;
    assert_int_equal(tls_ca_issue_server(ca, k, bad_dns, NULL, NOW, NOW + DAY, &c, NULL), -EINVAL);
    assert_int_equal(tls_ca_issue_server(ca, k, NULL, bad_ip, NOW, NOW + DAY, &c, NULL), -EINVAL);
    assert_int_equal(tls_ca_issue_server(ca, k, empty, NULL, NOW, NOW + DAY, &c, NULL), -EINVAL);
    assert_int_equal(tls_ca_issue_server(ca, k, dns, NULL, NOW, NOW + DAY, &c, NULL), 0);
    tls_cert_free(c);
}

static void pins_as_text(void **state OH_UNUSED)
{
    unsigned char spki[SHA256_SIZE], back[SHA256_SIZE];
    char text[TLS_PIN_SIZE];
    random_bytes(spki, sizeof(spki));
    tls_pin_text(spki, text);
    assert_int_equal(tls_pin_parse(text, back), 0);
    assert_memory_equal(spki, back, sizeof(spki));
    assert_int_equal(tls_pin_parse("sha256/", back), -EINVAL);
    assert_int_equal(tls_pin_parse("sha1/aa", back), -EINVAL);
    text[10] = 'g';
    assert_int_equal(tls_pin_parse(text, back), -EINVAL);
}

#define WORLD(test) cmocka_unit_test_setup_teardown(test, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD(good_client_is_known),
        WORLD(wrong_authority_is_refused),
        WORLD(wrong_tenant_is_refused),
        WORLD(expiry_and_grace),
        WORLD(expired_authority_is_refused_within_the_grace),
        WORLD(server_certificate_is_no_client),
        WORLD(link_without_certificate_is_refused),
        WORLD(enrolment_asks_for_no_certificate),
        WORLD(foreign_clients),
        WORLD(odd_chains_are_refused),
        WORLD(authority_with_room_below_is_refused),
        WORLD(client_knows_its_server),
        WORLD(spare_pin_works),
        WORLD(false_servers_are_refused),
        cmocka_unit_test_setup_teardown(files_round_trip, scratch_setup, scratch_teardown),
        cmocka_unit_test(requests),
        cmocka_unit_test(server_names_are_checked),
        cmocka_unit_test(pins_as_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
