/* Keeping the agent's key and certificate on disk, in an order that survives a crash anywhere. */
#include "agent/link/identity.h"

#include "base/fs.h"
#include "base/js.h"
#include "base/mem.h"

#define AGENT_URI "ownhouse:agent/"

static char *path_in(const char *dir, const char *name)
{
    return mem_printf("%s/%s", dir, name);
}

int identity_key(const char *dir, struct tls_key **ret, struct err *err)
{
    autofree char *path = path_in(dir, "key.pem");
    autotlskey struct tls_key *key = NULL;
    int r = fs_mkdirs(dir, 0700, err);
    if (r < 0)
        return r;
    if (fs_exists(path))
        return tls_key_load(path, ret, err);
    key = tls_key_new();
    r = tls_key_save(key, path, err);
    if (r == 0)
        *ret = TAKE_PTR(key);
    return r;
}

static int check_certificate(const char *pem, const struct tls_key *key, const char *agent, struct tls_cert **ret,
                             struct tls_cert_info *ret_info, struct err *err)
{
    autocert struct tls_cert *cert = NULL;
    char uri[sizeof(AGENT_URI) + UUID_SIZE];
    int r = tls_cert_parse(pem, strlen(pem), &cert, err);
    if (r < 0)
        return r;
    snprintf(uri, sizeof(uri), AGENT_URI "%s", agent);
    tls_cert_info(cert, ret_info);
    if (!tls_cert_matches(cert, key))
        return err_set(err, -EINVAL, "the certificate is not for this agent's key");
    if (strcmp(ret_info->uri, uri))
        return err_set(err, -EINVAL, "the certificate names \"%.100s\", not \"%s\"", ret_info->uri, uri);
    *ret = TAKE_PTR(cert);
    return 0;
}

static int load_names(const char *dir, struct identity *id, struct err *err)
{
    autofree char *path = path_in(dir, "agent.json"), *text = NULL;
    autojson json_t *v = NULL;
    const char *agent = NULL, *infrastructure = NULL;
    size_t len = 0;
    int r = fs_read(path, KIB(4), &text, &len, err);
    if (r < 0)
        return r;
    r = js_parse(text, len, KIB(4), &v, err);
    if (r == 0)
        r = js_string(v, "", "agent", UUID_SIZE - 1, &agent, err);
    if (r == 0)
        r = js_string(v, "", "infrastructure", UUID_SIZE - 1, &infrastructure, err);
    if (r == 0 && (!uuid_valid(agent) || !uuid_valid(infrastructure)))
        r = err_set(err, -EINVAL, "agent and infrastructure must be UUIDs");
    if (r < 0)
        return err_wrap(err, -EINVAL, "%s", path);
    snprintf(id->agent, sizeof(id->agent), "%s", agent);
    snprintf(id->infrastructure, sizeof(id->infrastructure), "%s", infrastructure);
    return 0;
}

static int load(const char *dir, const char *certificate_path, struct identity *id, struct err *err)
{
    autofree char *key_path = path_in(dir, "key.pem"), *pem = NULL;
    struct tls_cert_info info;
    int r = fs_read(certificate_path, TLS_PEM_MAX, &pem, NULL, err);
    if (r == 0)
        r = load_names(dir, id, err);
    if (r == 0)
        r = tls_key_load(key_path, &id->key, err);
    if (r == 0 && (r = check_certificate(pem, id->key, id->agent, &id->cert, &info, err)) < 0)
        return err_wrap(err, -EINVAL, "%s", certificate_path);
    if (r == 0) {
        id->not_before_ms = info.not_before_ms;
        id->not_after_ms = info.not_after_ms;
    }
    return r;
}

int identity_load(const char *dir, struct identity *ret, struct err *err)
{
    autofree char *path = path_in(dir, "certificate.pem");
    struct identity id = {0};
    if (!fs_exists(path))
        return err_set(err, -ENOENT, "this agent is not enrolled: run `ownhouse-agent enrol`");
    int r = load(dir, path, &id, err);
    if (r < 0) {
        identity_free(&id);
        return r == -ENOENT ? err_wrap(err, -EINVAL, "%s: a file is missing", dir) : r;
    }
    *ret = id;
    return 0;
}

void identity_free(struct identity *id)
{
    tls_key_free(id->key);
    tls_cert_free(id->cert);
    *id = (struct identity){0};
}

int identity_enrolled(const char *dir, const struct tls_key *key, const struct bundle *bundle, const char *agent,
                      const char *infrastructure, const char *certificate_pem, struct err *err)
{
    autofree char *bundle_path = path_in(dir, "bundle.json"), *agent_path = path_in(dir, "agent.json");
    autofree char *certificate_path = path_in(dir, "certificate.pem");
    autocert struct tls_cert *cert = NULL;
    struct tls_cert_info info;
    int r = check_certificate(certificate_pem, key, agent, &cert, &info, err);
    if (r < 0)
        return err_wrap(err, r, "the control plane's answer to the enrolment");
    autojson json_t *names = json_pack("{si ss ss ss}", "v", 1, "agent", agent, "infrastructure", infrastructure,
                                       "fingerprint", bundle->fingerprint);
    autofree char *text = js_text(names);
    r = fs_write_atomic(bundle_path, bundle->canonical, strlen(bundle->canonical), 0600, err);
    if (r == 0)
        r = fs_write_atomic(agent_path, text, strlen(text), 0600, err);
    if (r == 0)
        r = fs_write_atomic(certificate_path, certificate_pem, strlen(certificate_pem), 0600, err);
    return r;
}

int identity_renewed(const char *dir, struct identity *id, const char *certificate_pem, struct err *err)
{
    autofree char *path = path_in(dir, "certificate.pem");
    autocert struct tls_cert *cert = NULL;
    struct tls_cert_info info;
    int r = check_certificate(certificate_pem, id->key, id->agent, &cert, &info, err);
    if (r == 0 && info.not_after_ms < id->not_after_ms)
        r = err_set(err, -EINVAL, "the renewed certificate ends before the one in use");
    if (r == 0)
        r = fs_write_atomic(path, certificate_pem, strlen(certificate_pem), 0600, err);
    if (r < 0)
        return r;
    tls_cert_free(id->cert);
    id->cert = TAKE_PTR(cert);
    id->not_before_ms = info.not_before_ms;
    id->not_after_ms = info.not_after_ms;
    return 0;
}

int identity_bundle(const char *dir, struct bundle **ret, struct err *err)
{
    autofree char *path = path_in(dir, "bundle.json");
    return bundle_load(path, ret, err);
}
