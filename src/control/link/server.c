/* The link role's own identity towards agents, and whose certificates it takes. */
#include "control/link/hub.h"

#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "control/signer.h"

/* Authorities that may vouch for agents: the one that signed our own certificate, and those whose public part lies in
 * keys/. The latter matter while the spare takes over from the first; a file that is not there is no error. */
struct authorities {
    struct tls_cert *certs[3];
    struct tls_trust trust[3];
    size_t count;
};

static void authorities_free(struct authorities *a)
{
    for (size_t i = 0; i < ARRAY_SIZE(a->certs); i++)
        tls_cert_free(a->certs[i]);
}

static void authorities_add(struct authorities *a, struct tls_cert *cert)
{
    struct tls_cert_info info, other;
    tls_cert_info(cert, &info);
    a->certs[a->count] = cert;
    for (size_t i = 0; i < a->count; i++) {
        tls_cert_info(a->certs[i], &other);
        if (bytes_equal(info.spki, other.spki, SHA256_SIZE)) {
            tls_cert_free(cert);
            a->certs[a->count] = NULL;
            return;
        }
    }
    a->trust[a->count++] = (struct tls_trust){.ca = cert, .uri_prefix = SIGNER_AGENT_URI_PREFIX};
}

static void authorities_load(struct authorities *a, const struct control_config *config)
{
    static const char *const files[] = {"keys/link-ca.pem", "keys/link-ca-spare.pem"};
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        autofree char *path = control_path(config, files[i]);
        struct tls_cert *cert = NULL;
        if (tls_cert_load(path, &cert, NULL) == 0)
            authorities_add(a, cert);
    }
}

/* The second certificate of a chain, which the signer puts after the leaf. */
static int issuer_of(const char *chain_pem, struct tls_cert **ret, struct err *err)
{
    static const char end[] = "-----END CERTIFICATE-----";
    const char *second = strstr(chain_pem, end);
    if (!second)
        return err_set(err, -EINVAL, "the signer's answer is not a certificate");
    second += sizeof(end) - 1;
    return tls_cert_parse(second, strlen(second), ret, err);
}

static int make_context(struct hub *h, const struct tls_cert *leaf, const char *chain_pem, struct tls_ctx **ret,
                        struct err *err)
{
    struct authorities a = {0};
    struct tls_cert *issuer = NULL;
    int r = issuer_of(chain_pem, &issuer, err);
    if (r < 0)
        return r;
    authorities_add(&a, issuer);
    authorities_load(&a, &h->role->config);
    struct tls_server_config config = {
        .key = h->server_key,
        .cert = leaf,
        .authority = issuer,
        .alpn_cert = TLS_ALPN_LINK,
        .alpn_open = TLS_ALPN_ENROL,
        .alpn_open_too = TLS_ALPN_ACCESS,
        .trust = a.trust,
        .trust_count = a.count,
        .grace_days = TLS_RENEW_GRACE_DAYS,
        .clock = h->clock,
    };
    r = tls_server_new(&config, ret, err);
    authorities_free(&a);
    return r;
}

int server_use(struct hub *h, const char *chain_pem, struct tls_ctx **ret, struct err *err)
{
    autocert struct tls_cert *leaf = NULL;
    autotlsctx struct tls_ctx *ctx = NULL;
    struct tls_cert_info info;
    int r = tls_cert_parse(chain_pem, strlen(chain_pem), &leaf, err);
    if (r == 0 && !tls_cert_matches(leaf, h->server_key))
        r = err_set(err, -EINVAL, "the signer's certificate is not for our key");
    if (r == 0)
        r = make_context(h, leaf, chain_pem, &ctx, err);
    if (r < 0)
        return r;
    tls_cert_info(leaf, &info);
    h->server_renew_ms = info.not_before_ms + (info.not_after_ms - info.not_before_ms) / 3 * 2;
    if (ret)
        *ret = TAKE_PTR(ctx);
    else
        link_listener_set_tls(h->listener, ctx);
    return 0;
}
