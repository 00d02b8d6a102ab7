/* Keeps the access authority, the gate's own certificate, and issues those of devices. */
#include "agent/gate/authority.h"

#include "base/fs.h"
#include "base/mem.h"

#define DAY_MS (INT64_C(86400) * 1000)
#define CA_DAYS 3650
#define SERVER_MS DAY_MS
#define BACKDATE_MS 150000 /* clocks may differ by two minutes */

struct authority {
    struct tls_ca *ca;
    struct tls_key *key;
    const struct clock *clock;
    int64_t renew_ms; /* wall clock: the server certificate's half-life; 0: none yet */
    char pin[TLS_PIN_SIZE];
};

void authority_free(struct authority *a)
{
    if (!a)
        return;
    tls_ca_free(a->ca);
    tls_key_free(a->key);
    free(a);
}

static int load(struct authority *a, const char *dir, struct err *err)
{
    autofree char *key = mem_printf("%s/ca.key", dir), *cert = mem_printf("%s/ca.pem", dir);
    int64_t now = clock_wall_ms(a->clock);
    /* A key without its certificate is of a start that was cut short, and nothing was signed with it. */
    if (fs_exists(cert))
        return tls_ca_load(key, cert, &a->ca, err);
    int r = tls_ca_new("OwnHouse access", now - DAY_MS, now + CA_DAYS * DAY_MS, &a->ca, err);
    return r < 0 ? r : tls_ca_save(a->ca, key, cert, err);
}

int authority_open(const char *dir, const struct clock *clock, struct authority **ret, struct err *err)
{
    struct authority *a = mem_alloc(sizeof(*a));
    autofree char *path = mem_printf("%s/ca.pin", dir);
    struct tls_cert_info info;
    a->clock = clock;
    int r = fs_mkdirs(dir, 0700, err);
    if (r == 0)
        r = load(a, dir, err);
    if (r == 0) {
        autofree char *line = NULL;
        tls_cert_info(tls_ca_cert(a->ca), &info);
        tls_pin_text(info.spki, a->pin);
        line = mem_printf("%s\n", a->pin);
        r = fs_write_atomic(path, line, strlen(line), 0644, err);
    }
    if (r < 0) {
        authority_free(a);
        return err_wrap(err, r, "the access authority");
    }
    a->key = tls_key_new();
    *ret = a;
    return 0;
}

const char *authority_pin(const struct authority *a)
{
    return a->pin;
}

int authority_server(struct authority *a, struct tls_ctx **ret, struct err *err)
{
    static const char *const names[] = {TLS_GATE_NAME, NULL};
    autocert struct tls_cert *cert = NULL;
    int64_t now = clock_wall_ms(a->clock);
    *ret = NULL;
    /* A clock that was set back makes a certificate "not yet valid": make a new one then too. */
    if (a->renew_ms && now < a->renew_ms && now > a->renew_ms - SERVER_MS / 2 - BACKDATE_MS)
        return 0;
    int r = tls_ca_issue_server(a->ca, a->key, names, NULL, now - BACKDATE_MS, now + SERVER_MS, &cert, err);
    if (r < 0)
        return r;
    struct tls_trust trust = {.ca = tls_ca_cert(a->ca), .uri_prefix = GATE_URI_PREFIX};
    struct tls_server_config config = {
        .key = a->key,
        .cert = cert,
        .authority = tls_ca_cert(a->ca),
        .alpn_cert = TLS_ALPN_GATE,
        .alpn_open = TLS_ALPN_GATE_OPEN,
        .trust = &trust,
        .trust_count = 1,
        .clock = a->clock,
    };
    r = tls_server_new(&config, ret, err);
    if (r == 0)
        a->renew_ms = now + SERVER_MS / 2;
    return r;
}

int authority_certify(struct authority *a, const char *grant, const char *csr_pem, int64_t lasting_ms, char **ret,
                      struct err *err)
{
    autofree char *uri = mem_printf(GATE_URI_PREFIX "%s", grant);
    autocert struct tls_cert *cert = NULL;
    int64_t now = clock_wall_ms(a->clock), lasts = MIN(lasting_ms, (int64_t)GATE_CERTIFICATE_MS);
    /* X.509 counts whole seconds. */
    int r =
        tls_ca_sign_client(a->ca, csr_pem, strlen(csr_pem), uri, now - BACKDATE_MS, now + MAX(lasts, 1000), &cert, err);
    if (r == 0)
        *ret = tls_cert_pem(cert);
    return r;
}
