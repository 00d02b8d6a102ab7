/* Reads requests, approvals and pre-approvals, and makes and checks their signatures. */
#include "consent/request.h"

#include "base/clock.h"
#include "base/mem.h"

#define REQUEST_TYPE "ownhouse/request"
#define APPROVAL_TYPE "ownhouse/approval"
#define PREAPPROVAL_TYPE "ownhouse/preapproval"
#define APPROVAL_LINE "ownhouse-approval-v1"
#define PREAPPROVAL_LINE "ownhouse-preapproval-v1"

/* ---- fields ---- */

static int take_type(const json_t *o, const char *wanted, struct err *err)
{
    const char *type = NULL;
    int64_t v = 0;
    int r = js_string(o, "", "type", 40, &type, err);
    if (r == 0 && strcmp(type, wanted))
        r = err_set(err, -EINVAL, "type: must be \"%s\"", wanted);
    return r < 0 ? r : js_int(o, "", "v", 1, 1, &v, err);
}

static int take_uuid(const json_t *o, const char *key, char ret[UUID_SIZE], struct err *err)
{
    const char *text = NULL;
    int r = js_string(o, "", key, UUID_SIZE - 1, &text, err);
    if (r == 0 && (!uuid_valid(text) || strpbrk(text, "ABCDEF")))
        r = err_set(err, -EINVAL, "%s: must be a lower-case UUID", key);
    if (r == 0)
        memcpy(ret, text, UUID_SIZE);
    return r;
}

static int take_time(const json_t *o, const char *key, int64_t *ret, struct err *err)
{
    const char *text = NULL;
    int r = js_string(o, "", key, CLOCK_ISO_SIZE, &text, err);
    if (r == 0 && clock_iso_parse(text, ret) < 0)
        r = err_set(err, -EINVAL, "%s: must be a time as in RFC 3339", key);
    return r;
}

static int take_hex(const char *text, const char *field, size_t bytes, void *ret, struct err *err)
{
    if (!text || strlen(text) != 2 * bytes || strspn(text, "0123456789abcdef") != 2 * bytes ||
        hex_decode(text, ret, bytes) < 0)
        return err_set(err, -EINVAL, "%s: must be %zu lower-case hexadecimal digits", field, 2 * bytes);
    return 0;
}

static int take_digest(const json_t *o, const char *key, char ret[65], struct err *err)
{
    unsigned char raw[SHA256_SIZE];
    const char *text = NULL;
    int r = js_string(o, "", key, 64, &text, err);
    if (r == 0)
        r = take_hex(text, key, sizeof(raw), raw, err);
    if (r == 0)
        memcpy(ret, text, 65);
    return r;
}

static int take_operations(const json_t *o, const struct operation **ret, size_t max, size_t *ret_n, struct err *err)
{
    json_t *list = NULL;
    int r = js_array(o, "", "operations", max, &list, err);
    if (r == 0 && json_array_size(list) == 0)
        r = err_set(err, -EINVAL, "operations: must name one at least");
    for (size_t i = 0; r == 0 && i < json_array_size(list); i++) {
        const char *name = json_string_value(json_array_get(list, i));
        ret[i] = name ? operation_find(name) : NULL;
        if (!ret[i])
            r = err_set(err, -EINVAL, "operations[%zu]: there is no operation \"%.60s\"", i, name ? name : "");
        for (size_t k = 0; r == 0 && k < i; k++)
            if (ret[k] == ret[i])
                r = err_set(err, -EINVAL, "operations[%zu]: repeats operations[%zu]", i, k);
        if (r == 0)
            *ret_n = i + 1;
    }
    return r;
}

static int take_keys(const json_t *o, const char *field, unsigned char (*keys)[ED25519_PUBLIC_SIZE], size_t *ret_n,
                     struct err *err)
{
    json_t *list = NULL;
    int r = js_array(o, "", field, POLICY_MAX_KEYS, &list, err);
    for (size_t i = 0; r == 0 && i < json_array_size(list); i++) {
        char place[40];
        snprintf(place, sizeof(place), "%s[%zu]", field, i);
        r = take_hex(json_string_value(json_array_get(list, i)), place, ED25519_PUBLIC_SIZE, keys[i], err);
        for (size_t k = 0; r == 0 && k < i; k++)
            if (bytes_equal(keys[k], keys[i], ED25519_PUBLIC_SIZE))
                r = err_set(err, -EINVAL, "%s: is there twice", place);
        if (r == 0)
            *ret_n = i + 1;
    }
    return r;
}

/* ---- requests ---- */

static int take_access(const json_t *o, struct consent_request *q, struct err *err)
{
    const char *device = NULL, *used = NULL;
    int64_t minutes = 0, severity = 0;
    int r = js_string_opt(o, "", "deviceKey", 64, &device, err);
    if (r == 0 && device) {
        r = take_hex(device, "deviceKey", ED25519_PUBLIC_SIZE, q->device_key, err);
        q->has_device_key = r == 0;
    }
    if (r == 0)
        r = js_int_opt(o, "", "minutes", 1, 480, &minutes, err);
    if (r == 0)
        r = js_int_opt(o, "", "severity", 1, 4, &severity, err);
    if (r == 0)
        r = js_string_opt(o, "", "preapproval", UUID_SIZE - 1, &used, err);
    if (r == 0 && used)
        r = take_uuid(o, "preapproval", q->preapproval, err);
    q->minutes = (int)minutes;
    q->severity = (int)severity;
    return r;
}

static int take_request(json_t *o, struct consent_request *q, struct err *err)
{
    static const char *const known[] = {
        "type", "v",         "id",       "infrastructure", "operations", "arguments", "state",       "reason", "ticket",
        "by",   "createdAt", "notAfter", "deviceKey",      "minutes",    "severity",  "preapproval", NULL};
    json_t *arguments = NULL;
    int r = js_only(o, "", known, err);
    if (r == 0)
        r = take_type(o, REQUEST_TYPE, err);
    if (r == 0)
        r = take_uuid(o, "id", q->id, err);
    if (r == 0)
        r = take_uuid(o, "infrastructure", q->infrastructure, err);
    if (r == 0)
        r = take_operations(o, q->operations, REQUEST_MAX_OPERATIONS, &q->n_operations, err);
    if (r == 0)
        r = js_object(o, "", "arguments", &arguments, err);
    if (r == 0 && json_object_get(o, "state"))
        r = take_digest(o, "state", q->state, err);
    if (r == 0)
        r = js_string(o, "", "reason", REQUEST_REASON_MAX, &q->reason, err);
    if (r == 0)
        r = js_string(o, "", "ticket", 200, &q->ticket, err);
    if (r == 0)
        r = js_string(o, "", "by", 200, &q->by, err);
    if (r == 0)
        r = take_time(o, "createdAt", &q->created_ms, err);
    if (r == 0)
        r = take_time(o, "notAfter", &q->not_after_ms, err);
    if (r == 0 && q->not_after_ms <= q->created_ms)
        r = err_set(err, -EINVAL, "notAfter: must be after createdAt");
    q->arguments = arguments;
    return r < 0 ? r : take_access(o, q, err);
}

int request_from_json(const json_t *o, struct consent_request *ret, struct err *err)
{
    autorequest struct consent_request q = {.json = json_deep_copy(o)};
    autobuf struct buf text = BUF_INIT;
    int r = json_is_object(q.json) ? take_request(q.json, &q, err) : err_set(err, -EINVAL, "must be a JSON object");
    if (r == 0)
        r = js_canonical(q.json, &text, err);
    if (r == 0 && text.len > REQUEST_MAX_BYTES)
        r = err_set(err, -EMSGSIZE, "is longer than %zu bytes", (size_t)REQUEST_MAX_BYTES);
    if (r < 0)
        return err_wrap(err, r, "the request");
    sha256_hex(text.data, text.len, q.digest);
    *ret = q;
    q = (struct consent_request){0};
    return 0;
}

int request_parse(const char *text, size_t len, struct consent_request *ret, struct err *err)
{
    autojson json_t *o = NULL;
    int r = js_parse(text, len, REQUEST_MAX_BYTES, &o, err);
    return r < 0 ? err_wrap(err, r, "the request") : request_from_json(o, ret, err);
}

void request_free(struct consent_request *q)
{
    json_decref(q->json);
    *q = (struct consent_request){0};
}

/* ---- signatures ---- */

/* The bytes that are signed: a line that says what it is, and the digest of the rest. */
static int signed_text(const char *line, const json_t *o, const char *without, char ret[128], struct err *err)
{
    autojson json_t *rest = json_copy((json_t *)(uintptr_t)o);
    char digest[65];
    json_object_del(rest, without);
    int r = js_digest(rest, digest, err);
    if (r == 0)
        snprintf(ret, 128, "%s\n%s\n", line, digest);
    return r;
}

static int sign(const struct signing_key *key, const char *line, const json_t *o, const char *without, char ret[129],
                struct err *err)
{
    unsigned char raw[ED25519_SIGNATURE_SIZE];
    char text[128];
    int r = signed_text(line, o, without, text, err);
    if (r < 0)
        return r;
    signing_key_sign(key, text, strlen(text), raw);
    hex_encode(raw, sizeof(raw), ret);
    return 0;
}

static int verify(const unsigned char key[ED25519_PUBLIC_SIZE], const char *line, const json_t *o, const char *without,
                  const char *signature, struct err *err)
{
    unsigned char raw[ED25519_SIGNATURE_SIZE];
    char text[128];
    int r = take_hex(signature, "signature", sizeof(raw), raw, err);
    if (r == 0)
        r = signed_text(line, o, without, text, err);
    if (r == 0 && !signature_valid(key, text, strlen(text), raw))
        r = err_set(err, -EBADMSG, "signature: is not by the key that it names, or the text was altered");
    return r;
}

/* ---- approvals ---- */

static int take_seen(const json_t *o, struct approval *a, struct err *err)
{
    json_t *list = NULL;
    int r = js_array(o, "", "seen", APPROVAL_MAX_SEEN, &list, err);
    for (size_t i = 0; r == 0 && i < json_array_size(list); i++) {
        unsigned char raw[SHA256_SIZE];
        const char *text = json_string_value(json_array_get(list, i));
        if ((r = take_hex(text, "seen", sizeof(raw), raw, err)) == 0)
            memcpy(a->seen[a->n_seen++], text, 65);
    }
    return r;
}

static int take_approval(const json_t *o, struct approval *a, struct err *err)
{
    static const char *const known[] = {"type", "v",  "request",  "infrastructure", "digest",    "verdict",
                                        "at",   "by", "notAfter", "seen",           "signature", NULL};
    const char *by = NULL, *verdict = NULL, *signature = NULL;
    int r = js_only(o, "", known, err);
    if (r == 0)
        r = take_type(o, APPROVAL_TYPE, err);
    if (r == 0)
        r = take_uuid(o, "request", a->request, err);
    if (r == 0)
        r = take_uuid(o, "infrastructure", a->infrastructure, err);
    if (r == 0)
        r = take_digest(o, "digest", a->digest, err);
    if (r == 0)
        r = js_string(o, "", "verdict", 16, &verdict, err);
    if (r == 0 && strcmp(verdict, "approve") && strcmp(verdict, "deny"))
        r = err_set(err, -EINVAL, "verdict: must be approve or deny");
    if (r == 0)
        r = take_time(o, "at", &a->at_ms, err);
    if (r == 0)
        r = take_time(o, "notAfter", &a->not_after_ms, err);
    if (r == 0)
        r = take_seen(o, a, err);
    if (r == 0)
        r = js_string(o, "", "by", 64, &by, err);
    if (r == 0)
        r = take_hex(by, "by", ED25519_PUBLIC_SIZE, a->by, err);
    if (r == 0)
        r = js_string(o, "", "signature", 128, &signature, err);
    if (r < 0)
        return r;
    a->deny = !strcmp(verdict, "deny");
    sha256_hex(signature, strlen(signature), a->signature_digest);
    return verify(a->by, APPROVAL_LINE, o, "signature", signature, err);
}

int approval_from_json(const json_t *o, struct approval *ret, struct err *err)
{
    struct approval a = {0};
    int r = json_is_object(o) ? take_approval(o, &a, err) : err_set(err, -EINVAL, "must be a JSON object");
    if (r < 0)
        return err_wrap(err, r, "the approval");
    *ret = a;
    return 0;
}

int approval_sign(const struct signing_key *key, const struct consent_request *q, bool deny, int64_t at_ms,
                  int64_t not_after_ms, const struct approval *seen, size_t n_seen, json_t **ret, struct err *err)
{
    unsigned char public[ED25519_PUBLIC_SIZE];
    char by[65], at[CLOCK_ISO_SIZE], not_after[CLOCK_ISO_SIZE], signature[129];
    signing_key_public(key, public);
    hex_encode(public, sizeof(public), by);
    clock_iso(at_ms, at);
    clock_iso(not_after_ms, not_after);
    autojson json_t *list = json_array();
    for (size_t i = 0; i < n_seen && i < APPROVAL_MAX_SEEN; i++)
        json_array_append_new(list, json_string(seen[i].signature_digest));
    autojson json_t *o = json_pack("{ss si ss ss ss ss ss ss ss sO}", "type", APPROVAL_TYPE, "v", 1, "request", q->id,
                                   "infrastructure", q->infrastructure, "digest", q->digest, "verdict",
                                   deny ? "deny" : "approve", "at", at, "notAfter", not_after, "by", by, "seen", list);
    int r = sign(key, APPROVAL_LINE, o, "signature", signature, err);
    if (r < 0)
        return r;
    json_object_set_new(o, "signature", json_string(signature));
    *ret = TAKE_PTR(o);
    return 0;
}

/* ---- pre-approvals ---- */

static int take_signers(const json_t *o, struct preapproval *p, struct err *err)
{
    json_t *list = NULL;
    int r = js_array(o, "", "signatures", POLICY_MAX_KEYS, &list, err);
    for (size_t i = 0; r == 0 && i < json_array_size(list); i++) {
        const json_t *s = json_array_get(list, i);
        const char *by = json_string_value(json_object_get(s, "by")),
                   *signature = json_string_value(json_object_get(s, "signature"));
        r = take_hex(by, "signatures.by", ED25519_PUBLIC_SIZE, p->signers[i].by, err);
        if (r == 0)
            r = verify(p->signers[i].by, PREAPPROVAL_LINE, o, "signatures", signature, err);
        for (size_t k = 0; r == 0 && k < i; k++)
            if (bytes_equal(p->signers[k].by, p->signers[i].by, ED25519_PUBLIC_SIZE))
                r = err_set(err, -EINVAL, "signatures[%zu]: is by the key of signatures[%zu]", i, k);
        if (r == 0)
            p->n_signers = i + 1;
    }
    return r;
}

static int take_preapproval(const json_t *o, struct preapproval *p, struct err *err)
{
    static const char *const known[] = {
        "type",      "v",        "id",      "infrastructure", "operations", "severity",         "minutes",    "count",
        "notBefore", "notAfter", "vendors", "devices",        "reason",     "vendorSignatures", "signatures", NULL};
    const struct operation *ops[64] = {0};
    size_t n_ops = 0;
    int64_t severity = 0, minutes = 0, needed = 0;
    int r = js_only(o, "", known, err);
    if (r == 0)
        r = take_type(o, PREAPPROVAL_TYPE, err);
    if (r == 0)
        r = take_uuid(o, "id", p->id, err);
    if (r == 0)
        r = take_uuid(o, "infrastructure", p->infrastructure, err);
    if (r == 0)
        r = take_operations(o, ops, ARRAY_SIZE(ops), &n_ops, err);
    for (size_t i = 0; r == 0 && i < n_ops; i++)
        p->operations |= 1ULL << (ops[i] - operations);
    if (r == 0)
        r = js_int_opt(o, "", "severity", 1, 4, &severity, err);
    if (r == 0)
        r = js_int(o, "", "minutes", 1, 480, &minutes, err);
    if (r == 0)
        r = js_int(o, "", "count", 1, 10000, &p->count, err);
    if (r == 0)
        r = js_int(o, "", "vendorSignatures", 1, POLICY_MAX_KEYS, &needed, err);
    if (r == 0)
        r = take_time(o, "notBefore", &p->not_before_ms, err);
    if (r == 0)
        r = take_time(o, "notAfter", &p->not_after_ms, err);
    if (r == 0)
        r = take_keys(o, "vendors", p->vendors, &p->n_vendors, err);
    if (r == 0)
        r = take_keys(o, "devices", p->devices, &p->n_devices, err);
    if (r == 0 && needed > (int64_t)p->n_vendors)
        r = err_set(err, -EINVAL, "vendorSignatures: more than there are keys in vendors");
    p->severity = (int)severity;
    p->minutes = (int)minutes;
    p->vendor_signatures = (int)needed;
    return r < 0 ? r : take_signers(o, p, err);
}

int preapproval_from_json(const json_t *o, struct preapproval *ret, struct err *err)
{
    struct preapproval p = {0};
    int r = json_is_object(o) ? take_preapproval(o, &p, err) : err_set(err, -EINVAL, "must be a JSON object");
    autojson json_t *rest = json_copy((json_t *)(uintptr_t)o);
    json_object_del(rest, "signatures");
    if (r == 0)
        r = js_digest(rest, p.digest, err);
    if (r < 0)
        return err_wrap(err, r, "the pre-approval");
    *ret = p;
    return 0;
}

int preapproval_sign(const struct signing_key *key, json_t *o, struct err *err)
{
    unsigned char public[ED25519_PUBLIC_SIZE];
    char by[65], signature[129];
    int r = sign(key, PREAPPROVAL_LINE, o, "signatures", signature, err);
    if (r < 0)
        return r;
    signing_key_public(key, public);
    hex_encode(public, sizeof(public), by);
    if (!json_is_array(json_object_get(o, "signatures")))
        json_object_set_new(o, "signatures", json_array());
    json_array_append_new(json_object_get(o, "signatures"), json_pack("{ss ss}", "by", by, "signature", signature));
    return 0;
}
