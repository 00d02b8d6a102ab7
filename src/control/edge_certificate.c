/* Makes and renews the certificate of the control plane's edge. */
#include "control/edge_certificate.h"

#include "base/buf.h"
#include "base/fs.h"
#include "base/mem.h"
#include "net/tls.h"

#define DAY_MS (24 * 3600 * 1000LL)
#define CA_DAYS 3650
#define CERTIFICATE_DAYS 397 /* the longest that browsers take */
#define RENEW_BEFORE_DAYS 30

static int authority(const struct control_config *c, int64_t now, struct tls_ca **ret, struct err *err)
{
    autofree char *key = control_path(c, "keys/edge-ca.key"), *pem = control_path(c, "keys/edge-ca.pem");
    if (fs_exists(key) && fs_exists(pem))
        return tls_ca_load(key, pem, ret, err);
    autoca struct tls_ca *ca = NULL;
    int r = tls_ca_new("OwnHouse edge", now - DAY_MS, now + CA_DAYS * DAY_MS, &ca, err);
    if (r == 0)
        r = tls_ca_save(ca, key, pem, err);
    if (r == 0)
        *ret = TAKE_PTR(ca);
    return r;
}

/* Our own certificate stands while it names this server and is not about to expire. One that another authority signed
 * is the operator's: it always stands, since only they can renew it. */
static bool stands(const char *path, const struct tls_ca *ca, const char *server_name, int64_t now)
{
    autocert struct tls_cert *cert = NULL;
    struct tls_cert_info info;
    if (!fs_exists(path) || tls_cert_load(path, &cert, NULL) < 0)
        return false;
    if (!tls_cert_signed_by(cert, tls_ca_cert(ca)))
        return true;
    tls_cert_info(cert, &info);
    return tls_cert_names(cert, server_name) && info.not_before_ms <= now &&
           now < info.not_after_ms - RENEW_BEFORE_DAYS * DAY_MS;
}

int edge_certificate_prepare(const struct control_config *c, const struct clock *clock, struct err *err)
{
    autofree char *path = control_path(c, "keys/edge.pem");
    int64_t now = clock_wall_ms(clock);
    autoca struct tls_ca *ca = NULL;
    int r = authority(c, now, &ca, err);
    if (r < 0)
        return err_wrap(err, r, "edge certificate authority");
    if (stands(path, ca, c->server_name, now))
        return 0;
    const char *dns[] = {c->server_name, strcmp(c->server_name, "localhost") ? "localhost" : NULL, NULL};
    const char *ip[] = {"127.0.0.1", "::1", NULL};
    autotlskey struct tls_key *key = tls_key_new();
    autocert struct tls_cert *cert = NULL;
    r = tls_ca_issue_server(ca, key, dns, ip, now - DAY_MS, now + CERTIFICATE_DAYS * DAY_MS, &cert, err);
    if (r < 0)
        return err_wrap(err, r, "edge certificate");
    autofree char *cert_pem = tls_cert_pem(cert), *ca_pem = tls_cert_pem(tls_ca_cert(ca)), *key_pem = tls_key_pem(key);
    autofree char *all = mem_printf("%s%s%s", cert_pem, ca_pem, key_pem);
    r = fs_write_atomic(path, all, strlen(all), 0600, err);
    mem_wipe(key_pem, strlen(key_pem));
    mem_wipe(all, strlen(all));
    return r < 0 ? r : 1;
}
