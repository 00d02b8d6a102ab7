/* Keys, policy, bundle and passwords that only the customer holds. */
#include "cli/customer.h"

#include "base/fs.h"
#include "base/keys.h"
#include "base/mem.h"
#include "net/tls.h"

#define POLICY_TEXT "{\"mode\":\"open\",\"v\":1}\n"

char *customer_path(const struct cli *c, const char *account, const char *name)
{
    return cli_path(c, "accounts/%s/customer/%s", account, name);
}

static int make_approver(const struct cli *c, const char *account, struct err *err)
{
    autofree char *path = customer_path(c, account, "approver.key"),
                  *pub_path = customer_path(c, account, "approver.pub");
    unsigned char pub[ED25519_PUBLIC_SIZE];
    char hex[2 * ED25519_PUBLIC_SIZE + 2];
    autokey struct signing_key *k = NULL;
    int r = signing_key_keep(path, &k, err);
    if (r < 0)
        return r;
    signing_key_public(k, pub);
    hex_encode(pub, sizeof(pub), hex);
    strcat(hex, "\n");
    return fs_exists(pub_path) ? 0 : fs_write_atomic(pub_path, hex, strlen(hex), 0644, err);
}

int customer_prepare(const struct cli *c, const char *account, struct err *err)
{
    autofree char *passwords = customer_path(c, account, "passwords"),
                  *policy = customer_path(c, account, "policy.json");
    int r = fs_mkdirs(passwords, 0700, err);
    if (r == 0)
        r = make_approver(c, account, err);
    if (r == 0 && !fs_exists(policy))
        r = fs_write_atomic(policy, POLICY_TEXT, strlen(POLICY_TEXT), 0644, err);
    return r;
}

/* The pin of an authority's certificate in the control plane's keys folder, read as a file and not over the network. */
static int local_pin(const struct cli *c, const char *file, char out[TLS_PIN_SIZE], struct err *err)
{
    autofree char *path = cli_path(c, "control/keys/%s", file);
    autocert struct tls_cert *cert = NULL;
    struct tls_cert_info info;
    int r = tls_cert_load(path, &cert, err);
    if (r < 0)
        return r;
    tls_cert_info(cert, &info);
    tls_pin_text(info.spki, out);
    return 0;
}

static int local_desired_key(const struct cli *c, char out[2 * ED25519_PUBLIC_SIZE + 2], struct err *err)
{
    autofree char *path = cli_path(c, "control/keys/desired.pub"), *text = NULL;
    int r = fs_read(path, 4096, &text, NULL, err);
    if (r < 0)
        return r;
    snprintf(out, 2 * ED25519_PUBLIC_SIZE + 2, "%s", text);
    out[strcspn(out, "\n")] = 0;
    return 0;
}

static int same(const char *what, const char *offered, const char *local, struct err *err)
{
    if (!strcmp(offered, local))
        return 0;
    return err_set(err, -EACCES,
                   "the control plane offers another %s than the one in its keys folder on this machine: something "
                   "stands between, so nothing was enrolled",
                   what);
}

static int check_pins(const struct cli *c, const json_t *enrolment, struct err *err)
{
    char link[TLS_PIN_SIZE], spare[TLS_PIN_SIZE], desired[2 * ED25519_PUBLIC_SIZE + 2];
    const char *offered_link, *offered_spare, *offered_desired;
    json_t *ca;
    int r = js_object(enrolment, "enrolment", "linkCa", &ca, err);
    if (r == 0)
        r = js_string(ca, "enrolment.linkCa", "spki", 200, &offered_link, err);
    if (r == 0)
        r = js_string(enrolment, "enrolment", "spareSpki", 200, &offered_spare, err);
    if (r == 0)
        r = js_string(enrolment, "enrolment", "desiredKey", 200, &offered_desired, err);
    if (r == 0)
        r = local_pin(c, "link-ca.pem", link, err);
    if (r == 0)
        r = local_pin(c, "link-ca-spare.pem", spare, err);
    if (r == 0)
        r = local_desired_key(c, desired, err);
    if (r == 0)
        r = same("link authority", offered_link, link, err);
    if (r == 0)
        r = same("spare link authority", offered_spare, spare, err);
    if (r == 0)
        r = same("key for desired documents", offered_desired, desired, err);
    return r;
}

static int read_json(const char *path, json_t **ret, struct err *err)
{
    autofree char *text = NULL;
    size_t len = 0;
    int r = fs_read(path, KIB(64), &text, &len, err);
    if (r == 0)
        r = js_parse(text, len, KIB(64), ret, err);
    return r < 0 ? err_wrap(err, r, "%s", path) : 0;
}

/* Takes from the enrolment answer only the fields a bundle has; keys and policy are the customer's own. */
static int build_bundle(const struct cli *c, const char *account, const json_t *enrolment, json_t **ret,
                        struct err *err)
{
    static const char *const from_control[] = {"control", "linkCa", "spareSpki", "desiredKey", "releaseKey"};
    autofree char *policy_path = customer_path(c, account, "policy.json"),
                  *pub_path = customer_path(c, account, "approver.pub"), *pub = NULL;
    autojson json_t *policy = NULL, *b = json_object();
    int r = read_json(policy_path, &policy, err);
    if (r == 0)
        r = fs_read(pub_path, 4096, &pub, NULL, err);
    if (r < 0)
        return r;
    pub[strcspn(pub, "\n")] = 0;
    json_object_set_new(b, "v", json_integer(1));
    for (size_t i = 0; i < ARRAY_SIZE(from_control); i++)
        if (json_object_get(enrolment, from_control[i]))
            json_object_set(b, from_control[i], json_object_get(enrolment, from_control[i]));
    json_object_set_new(b, "approverKeys", json_pack("[s]", pub));
    json_object_set(b, "policy", policy);
    *ret = TAKE_PTR(b);
    return 0;
}

static int write_if_changed(const char *path, const char *text, mode_t mode, struct err *err)
{
    autofree char *old = NULL;
    if (fs_read(path, KIB(256), &old, NULL, NULL) == 0 && !strcmp(old, text))
        return 0;
    int r = fs_write_atomic(path, text, strlen(text), mode, err);
    return r < 0 ? r : 1;
}

int customer_write_bundle(const struct cli *c, const char *account, const json_t *enrolment, struct err *err)
{
    autojson json_t *b = NULL;
    autofree char *path = customer_path(c, account, "bundle.json"), *text = NULL;
    char fingerprint[65];
    int r = check_pins(c, enrolment, err);
    if (r == 0)
        r = build_bundle(c, account, enrolment, &b, err);
    if (r == 0)
        r = js_digest(b, fingerprint, err);
    if (r < 0)
        return r;
    json_object_set_new(b, "fingerprint", json_string(fingerprint));
    text = json_dumps(b, JSON_INDENT(2) | JSON_SORT_KEYS);
    return write_if_changed(path, text, 0600, err);
}

int customer_write_ca(const struct cli *c, const char *account, const char *pem, struct err *err)
{
    autofree char *path = customer_path(c, account, "ca.pem");
    return write_if_changed(path, pem, 0644, err);
}

/* A service's name is any text: what is not plain in a file name is written as %XX. */
char *customer_password_path(const struct cli *c, const char *account, const char *service)
{
    struct buf name = BUF_INIT;
    for (const char *p = service; *p; p++) {
        bool plain = strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-", *p) ||
                     (*p == '.' && p > service);
        if (plain)
            buf_addc(&name, *p);
        else
            buf_printf(&name, "%%%02X", (unsigned char)*p);
    }
    autofree char *text = buf_take(&name);
    return cli_path(c, "accounts/%s/customer/passwords/%s", account, text);
}

int customer_read_password(const struct cli *c, const char *account, const char *service, char **ret, struct err *err)
{
    autofree char *path = customer_password_path(c, account, service);
    if (!fs_exists(path))
        return -ENOENT;
    int r = fs_read_secret(path, PASSWORD_MAX, ret, NULL, err);
    if (r == 0)
        (*ret)[strcspn(*ret, "\n")] = 0;
    return r;
}

int customer_write_password(const struct cli *c, const char *account, const char *service, const char *password,
                            struct err *err)
{
    autofree char *folder = customer_path(c, account, "passwords"), *path = customer_password_path(c, account, service);
    int r = fs_mkdirs(folder, 0700, err);
    return r < 0 ? r : fs_write_atomic(path, password, strlen(password), 0600, err);
}

int customer_forget_password(const struct cli *c, const char *account, const char *service, struct err *err)
{
    autofree char *path = customer_password_path(c, account, service);
    return unlink(path) < 0 && errno != ENOENT ? err_set_errno(err, -errno, "cannot remove %s", path) : 0;
}

char *customer_new_password(void)
{
    static const char alphabet[] = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789";
    char *p = mem_alloc(25);
    for (int i = 0; i < 24; i++)
        p[i] = alphabet[random_below(sizeof(alphabet) - 1)];
    return p;
}

char *customer_password_hash(const char *password)
{
    unsigned char digest[SHA256_SIZE];
    sha256(password, strlen(password), digest);
    return base64_encode(digest, sizeof(digest));
}
