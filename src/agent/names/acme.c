/* Runs uacme, answers its calls, and puts its certificates in place. */
#include "agent/names/acme.h"

#include "agent/names/records.h"
#include "base/fs.h"
#include "base/proc.h"
#include "net/tls.h"

#define ACCOUNT_MS 60000
#define ISSUE_MS 900000

char *acme_program(const struct agent_config *c)
{
    if (*c->uacme_program)
        return access(c->uacme_program, X_OK) == 0 ? mem_strdup(c->uacme_program) : NULL;
    const char *path = getenv("PATH");
    autofree char *copy = mem_strdup(path && *path ? path : "/usr/local/bin:/usr/bin:/bin");
    char *rest = copy, *folder;
    while ((folder = strsep(&rest, ":"))) {
        autofree char *full = mem_printf("%s/uacme", folder);
        if (*folder == '/' && access(full, X_OK) == 0)
            return TAKE_PTR(full);
    }
    return NULL;
}

/* Another directory is another account: its URL's hash names the folder. */
static char *folder_of(const struct acme *a)
{
    char digest[65];
    sha256_hex(a->config->acme_directory, strlen(a->config->acme_directory), digest);
    return mem_printf("%s/acme-%.16s", a->dir, digest);
}

static int run(const struct acme *a, const char *uacme, const char *folder, const char *const *words, int timeout_ms,
               struct err *err)
{
    const char *argv[20] = {uacme, "-y", "-c", folder, "-a", a->config->acme_directory, "-h", a->program};
    size_t n = 8;
    for (; *words && n + 1 < ARRAY_SIZE(argv); words++)
        argv[n++] = *words;
    return proc_run(argv, NULL, timeout_ms, NULL, err);
}

static int make_account(const struct acme *a, const char *uacme, const char *folder, struct err *err)
{
    const char *words[] = {"new", *a->config->acme_contact ? a->config->acme_contact : NULL, NULL};
    autofree char *key = mem_printf("%s/private/key.pem", folder), *done = mem_printf("%s/account", folder);
    if (fs_exists(key) && fs_exists(done))
        return 0;
    int r = fs_mkdirs(folder, 0700, err);
    if (r == 0 && (r = run(a, uacme, folder, words, ACCOUNT_MS, err)) < 0)
        return err_wrap(err, r, "the ACME account");
    return r < 0 ? r : fs_write_atomic(done, "made\n", 5, 0600, err);
}

static void wipe(char *text)
{
    if (text)
        mem_wipe(text, strlen(text));
    free(text);
}

void acme_certificate_free(struct acme_certificate *c)
{
    wipe(c->pem);
    *c = (struct acme_certificate){0};
}

static int check(const char *path, const char *domain, struct acme_certificate *c, struct err *err)
{
    autocert struct tls_cert *cert = NULL;
    autotlskey struct tls_key *key = NULL;
    struct tls_cert_info info;
    autofree char *below = mem_printf("any.%s", domain);
    int r = tls_cert_parse(c->pem, strlen(c->pem), &cert, err);
    if (r < 0 || (r = tls_key_load(path, &key, err)) < 0)
        return r;
    if (!tls_cert_matches(cert, key))
        return err_set(err, -EINVAL, "its key is another");
    if (!tls_cert_names(cert, domain) || !tls_cert_names(cert, below))
        return err_set(err, -EINVAL, "it is not for %s and the names right below it", domain);
    tls_cert_info(cert, &info);
    c->not_before_ms = info.not_before_ms;
    c->not_after_ms = info.not_after_ms;
    return 0;
}

int acme_load(const char *dir, const char *domain, struct acme_certificate *ret, struct err *err)
{
    autofree char *path = mem_printf("%s/certificate.pem", dir);
    autoacme struct acme_certificate c = {0};
    size_t len = 0;
    int r = fs_read_secret(path, ACME_PEM_MAX, &c.pem, &len, err);
    if (r == 0 && strlen(c.pem) != len)
        r = err_set(err, -EINVAL, "it holds a zero byte");
    if (r == 0)
        r = check(path, domain, &c, err);
    if (r == -ENOENT)
        return r;
    if (r < 0)
        return err_wrap(err, r, "the certificate in %s", path);
    *ret = c;
    c = (struct acme_certificate){0};
    return 0;
}

/* Written aside and read back as the ingress will have it; only a whole one takes the old one's place. */
static int put_in_place(const struct acme *a, const char *folder, const char *domain, struct err *err)
{
    autofree char *chain_path = mem_printf("%s/%s/cert.pem", folder, domain), *chain = NULL,
                  *key_path = mem_printf("%s/private/%s/key.pem", folder, domain),
                  *fresh = mem_printf("%s/fresh", a->dir), *fresh_path = mem_printf("%s/certificate.pem", fresh),
                  *path = mem_printf("%s/certificate.pem", a->dir);
    autotlskey struct tls_key *key = NULL;
    autoacme struct acme_certificate c = {0};
    size_t len = 0;
    int r = fs_read(chain_path, ACME_PEM_MAX / 2, &chain, &len, err);
    if (r == -ENOENT)
        err_set(err, r, "uacme left no certificate in %s", chain_path);
    if (r < 0 || (r = tls_key_load(key_path, &key, err)) < 0 || (r = fs_mkdirs(fresh, 0700, err)) < 0)
        return r;
    char *secret = tls_key_pem(key), *all = mem_printf("%s\n%s", chain, secret);
    r = fs_write_atomic(fresh_path, all, strlen(all), 0600, err);
    wipe(secret);
    wipe(all);
    if (r == 0)
        r = acme_load(fresh, domain, &c, err);
    if (r == 0 && rename(fresh_path, path) < 0)
        r = err_set_errno(err, -errno, "cannot put %s in place", path);
    return r;
}

int acme_issue(const struct acme *a, const char *domain, struct err *err)
{
    autofree char *uacme = acme_program(a->config), *folder = folder_of(a), *wild = mem_printf("*.%s", domain),
                  *key = mem_printf("%s/private/%s/key.pem", folder, domain);
    const char *words[] = {"-f", "-o", "-t", "EC", "-b", "256", "issue", domain, wild, NULL};
    if (!uacme)
        return err_set(err, -ENOENT, "uacme is missing: install the package uacme, or set uacme_program in agent.conf");
    int r = make_account(a, uacme, folder, err);
    if (r < 0)
        return r;
    /* Each certificate has a key of its own: uacme makes one where there is none. */
    if (unlink(key) < 0 && errno != ENOENT)
        return err_set_errno(err, -errno, "cannot remove %s", key);
    r = run(a, uacme, folder, words, ISSUE_MS, err);
    return r < 0 ? r : put_in_place(a, folder, domain, err);
}

/* ---- the hook ---- */

static int load_wanted(const struct agent_config *c, struct wanted *ret, struct err *err)
{
    autofree char *path = agent_path(c, "wanted/names.json"), *text = NULL;
    size_t len = 0;
    int r = fs_read(path, WANTED_MAX_BYTES, &text, &len, err);
    return r < 0 ? r : wanted_parse(text, len, ret, err);
}

static int set_challenge(const struct agent_config *c, const char *identifier, const char *value, bool add,
                         struct err *err)
{
    autowanted struct wanted w = {0};
    autozone struct zone *zone = NULL;
    autosets struct zone_sets have = {0}, scratch = {0};
    struct zone_change change;
    bool needed = false;
    zone_sets_init(&have);
    zone_sets_init(&scratch);
    int r = load_wanted(c, &w, err);
    if (r == 0)
        r = zone_open(c, &clock_system, &zone, err);
    if (r == 0)
        r = zone->ops->list(zone, identifier, &have, err);
    if (r == 0)
        r = records_challenge(&have, identifier, value, add, w.infrastructure, &scratch, &change, &needed, err);
    if (r == 0 && needed)
        r = zone->ops->change(zone, &change, add, err);
    if (r == 0 && add && c->acme_settle && !strcmp(c->dns_provider, "rfc2136"))
        sleep((unsigned)c->acme_settle);
    return r;
}

int acme_hook_main(const char *config_path, int argc, char **argv)
{
    struct agent_config c = {0};
    struct err err = ERR_INIT;
    if (argc != 6 || strcmp(argv[2], "dns-01"))
        return 1; /* declined: uacme offers the next kind */
    int r = agent_config_load(config_path, &c, &err);
    if (r == 0)
        r = set_challenge(&c, argv[3], argv[5], !strcmp(argv[1], "begin"), &err);
    if (r < 0)
        fprintf(stderr, "the challenge's record for %s: %s\n", argv[3], err.message);
    agent_config_free(&c);
    return r < 0;
}
