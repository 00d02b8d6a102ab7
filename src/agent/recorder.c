/* Puts what the operator does into the ledger's words. */
#include "agent/recorder.h"

#include "agent/ledger/client.h"
#include "base/clock.h"
#include "version.h"

int recorder_begin(const struct recorder *r, const struct bundle *bundle, const struct identity *id,
                   const char *policy_digest, struct err *err)
{
    autojson json_t *status = NULL;
    int64_t size = 0;
    int code = ledger_ask_status(r->fd, &status, err);
    if (code == 0)
        code = js_int(status, "ledger", "size", 0, INT64_MAX, &size, err);
    if (code < 0)
        return code;
    autojson json_t *body =
        json_pack("{ss ss ss ss ss}", "bundle", bundle->fingerprint, "agent", id->agent, "infrastructure",
                  id->infrastructure, "policy", policy_digest, "version", OWNHOUSE_VERSION);
    if (size == 0 && ((code = ledger_ask_append(r->fd, "enrolled", body, NULL, err)) < 0 ||
                      (code = recorder_certificate(r, "link", id->cert, err)) < 0))
        return code;
    return ledger_ask_append(r->fd, "started", body, NULL, err);
}

int recorder_egress(const struct recorder *r, const char *type, const char *text, size_t len, const char *destination,
                    struct err *err)
{
    char digest[65];
    if (!strcmp(type, "checkpoint") || !strcmp(type, "activities-cosigned")) {
        /* A leaf for each would make a checkpoint for each leaf, for ever. */
        char what[64];
        snprintf(what, sizeof(what), "egress.%s", type);
        ledger_tell_count(r->fd, what, 1);
        snprintf(what, sizeof(what), "egress.%s.bytes", type);
        ledger_tell_count(r->fd, what, (int64_t)len);
        return 0;
    }
    sha256_hex(text, len, digest);
    autojson json_t *body = json_pack("{ss ss sI ss ss}", "message", type, "schema", "ownhouse-link/1", "bytes",
                                      (json_int_t)len, "sha256", digest, "destination", destination);
    if (!body)
        return err_set(err, -EINVAL, "a message's type is not text");
    return ledger_ask_append(r->fd, "egress", body, NULL, err);
}

int recorder_certificate(const struct recorder *r, const char *purpose, const struct tls_cert *cert, struct err *err)
{
    struct tls_cert_info info;
    char fingerprint[2 * SHA256_SIZE + 1], from[CLOCK_ISO_SIZE], to[CLOCK_ISO_SIZE];
    tls_cert_info(cert, &info);
    hex_encode(info.fingerprint, SHA256_SIZE, fingerprint);
    clock_iso(info.not_before_ms, from);
    clock_iso(info.not_after_ms, to);
    autojson json_t *body = json_pack("{ss ss ss ss ss}", "purpose", purpose, "serial", info.serial, "sha256",
                                      fingerprint, "notBefore", from, "notAfter", to);
    return ledger_ask_append(r->fd, "certificate", body, NULL, err);
}

int recorder_desired(const struct recorder *r, int64_t version, const char *document, size_t len, const char *verdict,
                     const char *why, struct err *err)
{
    char digest[65];
    sha256_hex(document, len, digest);
    autojson json_t *body =
        json_pack("{sI ss ss ss}", "version", (json_int_t)version, "sha256", digest, "verdict", verdict, "why", why);
    if (!body)
        return err_set(err, -EINVAL, "a refusal's sentence is not text");
    return ledger_ask_append(r->fd, "desired", body, NULL, err);
}
