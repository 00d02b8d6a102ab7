/* Keeps the data plane's own authority and the ingress's certificate. */
#include "agent/operator/certs.h"

#include "base/fs.h"
#include "base/js.h"
#include "base/mem.h"
#include "net/tls.h"

#define DAY_MS (INT64_C(86400) * 1000)
#define LEAF_MAX KIB(256)

struct certs {
    char *ca_key, *ca_pem_path, *leaf_path;
    struct tls_ca *ca;
    char *ca_pem;
    struct tls_cert_info ca_info;
    /* the certificate now in use; bundle NULL = none */
    char *names, *bundle;
    int64_t not_before_ms, not_after_ms;
};

static void wipe(char **secret)
{
    if (*secret)
        mem_wipe(*secret, strlen(*secret));
    free(*secret);
    *secret = NULL;
}

void certs_free(struct certs *c)
{
    if (!c)
        return;
    wipe(&c->bundle);
    free(c->names);
    free(c->ca_pem);
    tls_ca_free(c->ca);
    free(c->ca_key);
    free(c->ca_pem_path);
    free(c->leaf_path);
    free(c);
}

static void use_ca(struct certs *c, struct tls_ca *ca)
{
    tls_ca_free(c->ca);
    free(c->ca_pem);
    c->ca = ca;
    c->ca_pem = tls_cert_pem(tls_ca_cert(ca));
    tls_cert_info(tls_ca_cert(ca), &c->ca_info);
}

static int make_ca(struct certs *c, int64_t now_ms, struct err *err)
{
    autoca struct tls_ca *ca = NULL;
    int r = tls_ca_new("OwnHouse data plane", now_ms - DAY_MS, now_ms + CERTS_CA_DAYS * DAY_MS, &ca, err);
    if (r < 0 || (r = tls_ca_save(ca, c->ca_key, c->ca_pem_path, err)) < 0)
        return r;
    use_ca(c, TAKE_PTR(ca));
    return 0;
}

/* The key is written first: a certificate on disk means that both are there. A key alone is of a start that was cut
 * short, and nothing was signed with it. */
static int open_ca(struct certs *c, int64_t now_ms, struct err *err)
{
    autoca struct tls_ca *ca = NULL;
    if (!fs_exists(c->ca_pem_path))
        return make_ca(c, now_ms, err);
    int r = tls_ca_load(c->ca_key, c->ca_pem_path, &ca, err);
    if (r < 0)
        return err_wrap(err, r, "the data plane's authority");
    use_ca(c, TAKE_PTR(ca));
    return 0;
}

static int parse_leaf(const char *text, size_t len, struct certs *c, struct err *err)
{
    static const char *const known[] = {"v", "names", "authority", "notBefore", "notAfter", "pem", NULL};
    autojson json_t *o = NULL;
    const char *names = NULL, *pem = NULL, *authority = NULL;
    char ours[2 * SHA256_SIZE + 1];
    int64_t v = 0;
    int r = js_parse(text, len, LEAF_MAX, &o, err);
    if (r < 0 || (r = js_only(o, "", known, err)) < 0 || (r = js_int(o, "", "v", 1, 1, &v, err)) < 0 ||
        (r = js_string(o, "", "names", KIB(32), &names, err)) < 0 ||
        (r = js_string(o, "", "authority", 64, &authority, err)) < 0 ||
        (r = js_int(o, "", "notBefore", INT64_MIN, INT64_MAX, &c->not_before_ms, err)) < 0 ||
        (r = js_int(o, "", "notAfter", INT64_MIN, INT64_MAX, &c->not_after_ms, err)) < 0 ||
        (r = js_string(o, "", "pem", LEAF_MAX, &pem, err)) < 0)
        return r;
    hex_encode(c->ca_info.fingerprint, SHA256_SIZE, ours);
    if (strcmp(ours, authority))
        return err_set(err, -ESTALE, "it is of another authority");
    c->names = mem_strdup(names);
    c->bundle = mem_strdup(pem);
    return 0;
}

/* A certificate that cannot be read is made again: nothing is lost with it. */
static void open_leaf(struct certs *c)
{
    char *text = NULL;
    size_t len = 0;
    if (fs_read_secret(c->leaf_path, LEAF_MAX, &text, &len, NULL) == 0)
        (void)!parse_leaf(text, len, c, NULL);
    wipe(&text);
}

int certs_open(const char *state_dir, int64_t now_ms, struct certs **ret, struct err *err)
{
    autocerts struct certs *c = mem_alloc(sizeof(*c));
    c->ca_key = mem_printf("%s/ca.key", state_dir);
    c->ca_pem_path = mem_printf("%s/ca.pem", state_dir);
    c->leaf_path = mem_printf("%s/service.json", state_dir);
    int r = open_ca(c, now_ms, err);
    if (r < 0)
        return r;
    open_leaf(c);
    *ret = TAKE_PTR(c);
    return 0;
}

static char *join(const char *const *dns, const char *const *ip)
{
    struct buf out = BUF_INIT;
    for (; dns && *dns; dns++)
        buf_printf(&out, "DNS:%s ", *dns);
    for (; ip && *ip; ip++)
        buf_printf(&out, "IP:%s ", *ip);
    return buf_take(&out);
}

static int save_leaf(const struct certs *c, const char *names, const char *pem, int64_t from_ms, int64_t to_ms,
                     struct err *err)
{
    char authority[2 * SHA256_SIZE + 1];
    hex_encode(c->ca_info.fingerprint, SHA256_SIZE, authority);
    autojson json_t *o = json_pack("{s:i,s:s,s:s,s:I,s:I,s:s}", "v", 1, "names", names, "authority", authority,
                                   "notBefore", (json_int_t)from_ms, "notAfter", (json_int_t)to_ms, "pem", pem);
    char *text = js_text(o);
    int r = fs_write_atomic(c->leaf_path, text, strlen(text), 0600, err);
    wipe(&text);
    return r;
}

static int issue(struct certs *c, const char *const *dns, const char *const *ip, const char *names, int64_t now_ms,
                 struct err *err)
{
    int64_t from = MAX(now_ms - CERTS_BACKDATE_MS, c->ca_info.not_before_ms);
    int64_t to = MIN(now_ms + CERTS_LEAF_DAYS * DAY_MS, c->ca_info.not_after_ms);
    autotlskey struct tls_key *key = tls_key_new();
    autocert struct tls_cert *cert = NULL;
    int r = tls_ca_issue_server(c->ca, key, dns, ip, from, to, &cert, err);
    if (r < 0)
        return r;
    autofree char *leaf = tls_cert_pem(cert);
    char *secret = tls_key_pem(key), *bundle = mem_printf("%s%s%s", leaf, c->ca_pem, secret);
    wipe(&secret);
    if ((r = save_leaf(c, names, bundle, from, to, err)) < 0) {
        wipe(&bundle);
        return r;
    }
    wipe(&c->bundle);
    free(c->names);
    c->bundle = bundle;
    c->names = mem_strdup(names);
    c->not_before_ms = from;
    c->not_after_ms = to;
    return 0;
}

int64_t certs_renew_ms(const struct certs *c)
{
    int64_t authority = c->ca_info.not_after_ms - CERTS_CA_RENEW_DAYS * DAY_MS;
    return MIN(authority, c->not_before_ms + (c->not_after_ms - c->not_before_ms) / 3 * 2);
}

int64_t certs_from_ms(const struct certs *c)
{
    return c->not_before_ms;
}

int64_t certs_until_ms(const struct certs *c)
{
    return c->not_after_ms;
}

int certs_update(struct certs *c, const char *const *dns, const char *const *ip, int64_t now_ms, bool *ret_changed,
                 struct err *err)
{
    autofree char *names = join(dns, ip);
    bool stale = !c->bundle || strcmp(c->names, names) || now_ms < c->not_before_ms || now_ms >= certs_renew_ms(c);
    *ret_changed = false;
    if (!stale)
        return 0;
    if (now_ms < c->ca_info.not_before_ms)
        return err_set(err, -ERANGE,
                       "the clock is before the start of the data plane's authority: set the machine's clock right");
    if (now_ms >= c->ca_info.not_after_ms - CERTS_CA_RENEW_DAYS * DAY_MS) {
        int r = make_ca(c, now_ms, err);
        if (r < 0)
            return r;
    }
    int r = issue(c, dns, ip, names, now_ms, err);
    if (r < 0)
        return err_wrap(err, r, "the services' certificate");
    *ret_changed = true;
    return 0;
}

const char *certs_ca_pem(const struct certs *c)
{
    return c->ca_pem;
}

const char *certs_bundle(const struct certs *c)
{
    return c->bundle;
}
