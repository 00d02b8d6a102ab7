/* Authorities, identities and handshakes in memory, for the tests of TLS and of link connections. */
#pragma once

#include "../test.h"

#include "net/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#define DAY 86400000ll
#define NOW 1790000000000ll

struct identity {
    struct tls_key *key;
    struct tls_cert *cert;
};

static inline void identity_free(struct identity *i)
{
    tls_key_free(i->key);
    tls_cert_free(i->cert);
}
#define autoidentity OH_CLEANUP(identity_free)

static inline struct tls_ca *make_ca(const char *name)
{
    struct tls_ca *ca = NULL;
    assert_int_equal(tls_ca_new(name, NOW - 400 * DAY, NOW + 3650 * DAY, &ca, NULL), 0);
    return ca;
}

static inline struct identity make_client(struct tls_ca *ca, const char *uri, int64_t from, int64_t to)
{
    struct identity i = {.key = tls_key_new()};
    autofree char *csr = tls_csr_new(i.key);
    assert_int_equal(tls_ca_sign_client(ca, csr, strlen(csr), uri, from, to, &i.cert, NULL), 0);
    return i;
}

static inline struct identity make_server(struct tls_ca *ca)
{
    static const char *const dns[] = {"control.example", "*.wild.example", NULL}, *const ip[] = {"127.0.0.1", "::1",
                                                                                                 NULL};
    struct identity i = {.key = tls_key_new()};
    assert_int_equal(tls_ca_issue_server(ca, i.key, dns, ip, NOW - DAY, NOW + DAY, &i.cert, NULL), 0);
    return i;
}

static inline struct tls_ctx *server_ctx(struct tls_ca *ca, const struct identity *i, const struct tls_trust *trust,
                                         size_t n, const struct clock *clock)
{
    struct tls_ctx *ctx = NULL;
    const struct tls_server_config config = {.key = i->key,
                                             .cert = i->cert,
                                             .authority = tls_ca_cert(ca),
                                             .alpn_open = TLS_ALPN_ENROL,
                                             .trust = trust,
                                             .trust_count = n,
                                             .grace_days = TLS_RENEW_GRACE_DAYS,
                                             .clock = clock};
    assert_int_equal(tls_server_new(&config, &ctx, NULL), 0);
    return ctx;
}

/* i may be NULL: no client certificate. */
static inline struct tls_ctx *client_ctx(struct tls_ca *ca, const struct identity *i, const char *alpn,
                                         const struct clock *clock)
{
    struct tls_ctx *ctx = NULL;
    struct tls_cert_info info;
    tls_cert_info(tls_ca_cert(ca), &info);
    const struct tls_client_config config = {.pins = (const unsigned char(*)[SHA256_SIZE]) & info.spki,
                                             .pin_count = 1,
                                             .key = i ? i->key : NULL,
                                             .cert = i ? i->cert : NULL,
                                             .alpn = alpn,
                                             .clock = clock};
    assert_int_equal(tls_client_new(&config, &ctx, NULL), 0);
    return ctx;
}
