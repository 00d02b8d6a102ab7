/* Reading the enrolment bundle strictly, and computing its fingerprint. */
#include "agent/link/bundle.h"

#include "base/fs.h"
#include "base/js.h"
#include "base/mem.h"
#include "consent/policy.h"
#include "net/tls.h"

static const char *const bundle_fields[] = {"v",          "control",      "linkCa", "spareSpki", "desiredKey",
                                            "releaseKey", "approverKeys", "policy", "token",     "fingerprint",
                                            NULL};

/* `field` must be 2 * len hex digits. */
static int take_hex(const char *text, const char *field, void *out, size_t len, struct err *err)
{
    if (strlen(text) != 2 * len || hex_decode(text, out, len) < 0)
        return err_set(err, -EINVAL, "%s: must be %zu hexadecimal digits", field, 2 * len);
    return 0;
}

static int take_pin(const char *text, const char *field, unsigned char out[SHA256_SIZE], struct err *err)
{
    if (tls_pin_parse(text, out) < 0)
        return err_set(err, -EINVAL, "%s: must be \"sha256/\" and 64 hexadecimal digits", field);
    return 0;
}

static int take_version(const json_t *obj, const char *path, struct err *err)
{
    int64_t v = 0;
    int r = js_int(obj, path, "v", 1, INT32_MAX, &v, err);
    if (r == 0 && v != 1)
        r = err_set(err, -EINVAL, "%s%sv: version %lld is newer than this agent: update the agent", path,
                    *path ? "." : "", (long long)v);
    return r;
}

/* Names go into certificates' checks and CONNECT lines: letters, digits, dots, dashes; IPv6 needs colons. */
static bool host_valid(const char *s, size_t len, bool colons)
{
    if (len == 0 || len > 253)
        return false;
    for (size_t i = 0; i < len; i++) {
        char c = s[i];
        bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
        if (!ok && !(colons && c == ':'))
            return false;
    }
    return true;
}

int bundle_address(const char *text, char ret_host[BUNDLE_HOST_SIZE], uint16_t *ret_port)
{
    const char *colon = strrchr(text, ':');
    const char *host = text;
    size_t len = colon ? (size_t)(colon - text) : 0;
    bool v6 = len > 2 && text[0] == '[' && text[len - 1] == ']';
    unsigned long port = 0;
    if (v6) {
        host++;
        len -= 2;
    }
    if (colon && strspn(colon + 1, "0123456789") == strlen(colon + 1) && strlen(colon + 1) <= 5)
        port = strtoul(colon + 1, NULL, 10);
    if (!colon || !host_valid(host, len, v6) || port == 0 || port > 65535)
        return -EINVAL;
    memcpy(ret_host, host, len);
    ret_host[len] = '\0';
    *ret_port = (uint16_t)port;
    return 0;
}

static int take_control(const json_t *root, struct bundle *b, struct err *err)
{
    json_t *control = NULL;
    const char *address = NULL, *name = NULL;
    int r = js_object(root, "", "control", &control, err);
    if (r == 0)
        r = js_only(control, "control", (const char *const[]){"address", "serverName", NULL}, err);
    if (r == 0)
        r = js_string(control, "control", "address", 300, &address, err);
    if (r == 0)
        r = js_string(control, "control", "serverName", 253, &name, err);
    if (r == 0 && bundle_address(address, b->host, &b->port) < 0)
        r = err_set(err, -EINVAL, "control.address: must be host:port, as in control.example:443");
    if (r == 0 && !host_valid(name, strlen(name), false))
        r = err_set(err, -EINVAL, "control.serverName: must be a DNS name");
    if (r == 0)
        snprintf(b->server_name, sizeof(b->server_name), "%s", name);
    return r;
}

/* The certificate and its pin must agree, so that a person can compare either. */
static int take_link_ca(const json_t *root, struct bundle *b, struct err *err)
{
    json_t *ca = NULL;
    const char *pem = NULL, *spki = NULL;
    autocert struct tls_cert *cert = NULL;
    struct tls_cert_info info;
    int r = js_object(root, "", "linkCa", &ca, err);
    if (r == 0)
        r = js_only(ca, "linkCa", (const char *const[]){"pem", "spki", NULL}, err);
    if (r == 0)
        r = js_string(ca, "linkCa", "pem", KIB(16), &pem, err);
    if (r == 0)
        r = js_string(ca, "linkCa", "spki", 128, &spki, err);
    if (r == 0)
        r = take_pin(spki, "linkCa.spki", b->pins[0], err);
    if (r == 0 && (r = tls_cert_parse(pem, strlen(pem), &cert, err)) < 0)
        return err_wrap(err, -EINVAL, "linkCa.pem");
    if (r < 0)
        return r;
    tls_cert_info(cert, &info);
    if (!info.authority)
        return err_set(err, -EINVAL, "linkCa.pem: is not the certificate of an authority");
    if (!bytes_equal(info.spki, b->pins[0], SHA256_SIZE))
        return err_set(err, -EINVAL, "linkCa.spki: is not the pin of linkCa.pem: the bundle was damaged or altered");
    b->pin_count = 1;
    return 0;
}

static int take_spare(const json_t *root, struct bundle *b, struct err *err)
{
    const char *spare = NULL;
    int r = js_string(root, "", "spareSpki", 128, &spare, err);
    if (r < 0 || !*spare)
        return r;
    r = take_pin(spare, "spareSpki", b->pins[1], err);
    if (r == 0 && bytes_equal(b->pins[0], b->pins[1], SHA256_SIZE))
        r = err_set(err, -EINVAL, "spareSpki: must not be the pin of linkCa itself");
    if (r == 0)
        b->pin_count = 2;
    return r;
}

static int take_keys(const json_t *root, struct bundle *b, struct err *err)
{
    const char *desired = NULL, *release = NULL;
    json_t *approvers = NULL;
    int r = js_string(root, "", "desiredKey", 64, &desired, err);
    if (r == 0)
        r = take_hex(desired, "desiredKey", b->desired_key, sizeof(b->desired_key), err);
    if (r == 0)
        r = js_string(root, "", "releaseKey", 64, &release, err);
    if (r == 0 && *release) {
        r = take_hex(release, "releaseKey", b->release_key, sizeof(b->release_key), err);
        b->has_release_key = r == 0;
    }
    if (r == 0)
        r = js_array(root, "", "approverKeys", BUNDLE_MAX_APPROVERS, &approvers, err);
    for (size_t i = 0; r == 0 && i < json_array_size(approvers); i++) {
        char field[32];
        const char *text = json_string_value(json_array_get(approvers, i));
        snprintf(field, sizeof(field), "approverKeys[%zu]", i);
        r = take_hex(text ? text : "", field, b->approver_keys[i], ED25519_PUBLIC_SIZE, err);
        for (size_t k = 0; r == 0 && k < i; k++)
            if (bytes_equal(b->approver_keys[k], b->approver_keys[i], ED25519_PUBLIC_SIZE))
                r = err_set(err, -EINVAL, "%s: repeats approverKeys[%zu]", field, k);
        if (r == 0)
            b->approver_count = i + 1;
    }
    return r;
}

/* What a policy may say is the consent layer's to know. */
static int take_policy(const json_t *root, struct bundle *b, struct err *err)
{
    json_t *policy = NULL;
    autopolicy struct policy *checked = NULL;
    int r = js_object(root, "", "policy", &policy, err);
    if (r == 0)
        r = take_version(policy, "policy", err);
    if (r == 0)
        r = policy_from_bundle(policy, (const unsigned char(*)[ED25519_PUBLIC_SIZE])b->approver_keys, b->approver_count,
                               &checked, err);
    if (r < 0)
        return r;
    b->mode = checked->mode == POLICY_SEALED ? BUNDLE_SEALED : BUNDLE_OPEN;
    b->policy = js_text(policy);
    return 0;
}

/* The token as lower-case digits, so that both sides hash the same text. */
static int take_token(const char *text, const char *field, char out[BUNDLE_TOKEN_SIZE], struct err *err)
{
    unsigned char raw[32];
    int r = take_hex(text, field, raw, sizeof(raw), err);
    if (r == 0)
        hex_encode(raw, sizeof(raw), out);
    mem_wipe(raw, sizeof(raw));
    return r;
}

static int take_fingerprint(json_t *root, struct bundle *b, struct err *err)
{
    const char *token = NULL, *claimed = NULL;
    autobuf struct buf text = BUF_INIT;
    int r = js_string_opt(root, "", "token", 64, &token, err);
    if (r == 0 && token)
        r = take_token(token, "token", b->token, err);
    if (r == 0)
        r = js_string_opt(root, "", "fingerprint", 64, &claimed, err);
    char kept[65] = "";
    if (r == 0 && claimed)
        snprintf(kept, sizeof(kept), "%s", claimed);
    (void)json_object_del(root, "token");
    (void)json_object_del(root, "fingerprint");
    if (r == 0)
        r = js_canonical(root, &text, err);
    if (r < 0)
        return r;
    sha256_hex(text.data, text.len, b->fingerprint);
    b->canonical = buf_take(&text);
    if (claimed && strcmp(kept, b->fingerprint))
        return err_set(err, -EINVAL, "fingerprint: is not this bundle's: it was damaged or altered");
    return 0;
}

int bundle_parse(const char *text, size_t len, struct bundle **ret, struct err *err)
{
    autojson json_t *root = NULL;
    autobundle struct bundle *b = mem_alloc(sizeof(*b));
    int r = js_parse(text, len, BUNDLE_MAX_BYTES, &root, err);
    if (r == 0 && !json_is_object(root))
        r = err_set(err, -EINVAL, "the bundle must be a JSON object");
    if (r == 0)
        r = js_only(root, "", bundle_fields, err);
    if (r == 0)
        r = take_version(root, "", err);
    if (r == 0)
        r = take_control(root, b, err);
    if (r == 0)
        r = take_link_ca(root, b, err);
    if (r == 0)
        r = take_spare(root, b, err);
    if (r == 0)
        r = take_keys(root, b, err);
    if (r == 0)
        r = take_policy(root, b, err);
    if (r == 0)
        r = take_fingerprint(root, b, err);
    if (r == 0)
        *ret = TAKE_PTR(b);
    return r;
}

int bundle_load(const char *path, struct bundle **ret, struct err *err)
{
    autofree char *text = NULL;
    size_t len = 0;
    int r = fs_read(path, BUNDLE_MAX_BYTES, &text, &len, err);
    if (r == -ENOENT)
        return err_set(err, r, "%s: there is no enrolment bundle: get one from the control plane", path);
    if (r < 0)
        return r;
    r = bundle_parse(text, len, ret, err);
    mem_wipe(text, len);
    return r < 0 ? err_wrap(err, r, "%s", path) : 0;
}

void bundle_free(struct bundle *b)
{
    if (!b)
        return;
    free(b->canonical);
    free(b->policy);
    mem_wipe(b, sizeof(*b));
    free(b);
}

int bundle_token_load(const char *path, char ret[BUNDLE_TOKEN_SIZE], struct err *err)
{
    autofree char *text = NULL;
    size_t len = 0;
    int r = fs_read_secret(path, 256, &text, &len, err);
    if (r == -ENOENT)
        return err_set(err, r, "%s: there is no enrolment token", path);
    if (r < 0)
        return r;
    char *from = text + strspn(text, " \t\r\n");
    from[strcspn(from, " \t\r\n")] = '\0';
    r = take_token(from, "token", ret, err);
    mem_wipe(text, len);
    return r < 0 ? err_wrap(err, r, "%s", path) : 0;
}
