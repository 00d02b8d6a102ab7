/* The signer role: answers questions of the other roles by its rules. */
#include "control/signer/signer_keys.h"

#include "base/ask.h"
#include "base/log.h"
#include "base/mem.h"
#include "control/role.h"
#include "control/signer.h"
#include "control/signer/signer_totp.h"

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>

#define HOUR_MS (3600 * 1000LL)
#define AGENT_CERTIFICATE_MS (24 * HOUR_MS)
#define SERVER_CERTIFICATE_MS (7 * 24 * HOUR_MS)

static int chain(const struct signer_keys *k, const struct tls_cert *leaf, json_t *answer)
{
    autofree char *leaf_pem = tls_cert_pem(leaf), *ca_pem = tls_cert_pem(tls_ca_cert(k->ca));
    autofree char *both = mem_printf("%s%s", leaf_pem, ca_pem);
    return json_object_set_new(answer, "certificate", json_string(both));
}

static int agent_certificate(const struct signer_keys *k, const json_t *q, json_t *answer, struct err *err)
{
    const char *agent, *csr;
    autocert struct tls_cert *cert = NULL;
    int64_t now = clock_wall_ms(&clock_system);
    int r = js_string(q, "", "agent", 36, &agent, err);
    if (r == 0)
        r = js_string(q, "", "csr", KIB(16), &csr, err);
    if (r == 0 && !uuid_valid(agent))
        r = err_set(err, -EINVAL, "agent: must be a UUID");
    if (r < 0)
        return r;
    char uri[sizeof(SIGNER_AGENT_URI_PREFIX) + UUID_SIZE];
    snprintf(uri, sizeof(uri), SIGNER_AGENT_URI_PREFIX "%s", agent);
    r = tls_ca_sign_client(k->ca, csr, strlen(csr), uri, now - HOUR_MS, now + AGENT_CERTIFICATE_MS, &cert, err);
    return r < 0 ? r : chain(k, cert, answer);
}

static int server_certificate(const struct signer_keys *k, const json_t *q, json_t *answer, struct err *err)
{
    static const char *const names[] = {SIGNER_SERVER_NAME, NULL};
    const char *csr;
    autocert struct tls_cert *cert = NULL;
    int64_t now = clock_wall_ms(&clock_system);
    int r = js_string(q, "", "csr", KIB(16), &csr, err);
    if (r == 0)
        r = tls_ca_sign_server(k->ca, csr, strlen(csr), names, now - HOUR_MS, now + SERVER_CERTIFICATE_MS, &cert, err);
    return r < 0 ? r : chain(k, cert, answer);
}

static int desired(const struct signer_keys *k, const json_t *q, json_t *answer, struct err *err)
{
    const char *infrastructure, *digest;
    int64_t version;
    char signature[129];
    int r = js_string(q, "", "infrastructure", 36, &infrastructure, err);
    if (r == 0)
        r = js_string(q, "", "digest", 64, &digest, err);
    if (r == 0)
        r = js_int(q, "", "version", 1, INT64_MAX, &version, err);
    if (r == 0)
        r = signer_keys_desired(k, infrastructure, version, digest, signature, err);
    return r < 0 ? r : json_object_set_new(answer, "signature", json_string(signature));
}

static int totp_new(const struct signer_keys *k, const json_t *q, json_t *answer, struct err *err)
{
    const char *user;
    char secret[TOTP_BASE32_SIZE];
    autofree char *sealed = NULL;
    int r = js_string(q, "", "user", 36, &user, err);
    if (r == 0 && !uuid_valid(user))
        r = err_set(err, -EINVAL, "user: must be a UUID");
    if (r < 0)
        return r;
    sealed = signer_totp_make(k->totp, user, secret);
    json_object_set_new(answer, "secret", json_string(secret));
    mem_wipe(secret, sizeof(secret));
    return json_object_set_new(answer, "sealed", json_string(sealed));
}

static int totp_check(const struct signer_keys *k, const json_t *q, json_t *answer, struct err *err)
{
    const char *user, *sealed, *code;
    int64_t after, step = 0;
    int r = js_string(q, "", "user", 36, &user, err);
    if (r == 0)
        r = js_string(q, "", "sealed", 256, &sealed, err);
    if (r == 0)
        r = js_string(q, "", "code", 6, &code, err);
    if (r == 0)
        r = js_int(q, "", "after", 0, INT64_MAX, &after, err);
    if (r == 0)
        r = signer_totp_verify(k->totp, user, sealed, clock_wall_ms(&clock_system), after, code, &step, err);
    return r < 0 ? r : json_object_set_new(answer, "step", json_integer(step));
}

static int infrastructure_of(const json_t *q, const char **ret, struct err *err)
{
    int r = js_string(q, "", "infrastructure", 36, ret, err);
    if (r == 0 && (!uuid_valid(*ret) || strpbrk(*ret, "ABCDEF")))
        r = err_set(err, -EINVAL, "infrastructure: must be a lower-case UUID");
    return r;
}

static int witness(const struct signer_keys *k, const json_t *q, json_t *answer, struct err *err)
{
    const char *infrastructure = NULL;
    autofree char *note = NULL;
    uint64_t size = 0;
    int r = infrastructure_of(q, &infrastructure, err);
    if (r == 0)
        r = witness_cosign(&k->witness, infrastructure, q, &note, &size, err);
    /* Where to prove from is no secret, and the agent cannot go on without it. */
    if (r == -ERANGE) {
        json_object_set_new(answer, "from", json_integer((json_int_t)size));
        return 0;
    }
    if (r < 0)
        return r;
    json_object_set_new(answer, "size", json_integer((json_int_t)size));
    return json_object_set_new(answer, "note", json_string(note));
}

static int seal(const struct signer_keys *k, const json_t *q, json_t *answer, struct err *err)
{
    int64_t last = 0;
    int r = signer_seal_rows(k->seal, q, &last, err);
    if (r < 0)
        return r;
    json_object_set_new(answer, "last", json_integer(last));
    return json_object_set_new(answer, "signed", json_boolean(signer_seal_signed(k->seal)));
}

static int activities(const struct signer_keys *k, const json_t *q, json_t *answer, struct err *err)
{
    int64_t from = 0;
    int r = js_int(q, "", "from", 0, INT64_MAX, &from, err);
    return r < 0 ? r : signer_seal_checkpoint(k->seal, (uint64_t)from, answer, err);
}

static int activities_cosigned(const struct signer_keys *k, const json_t *q, json_t *answer OH_UNUSED, struct err *err)
{
    const char *infrastructure = NULL;
    int r = infrastructure_of(q, &infrastructure, err);
    return r < 0 ? r : signer_seal_cosigned(k->seal, infrastructure, q, err);
}

/* Who may ask what. */
static const struct {
    const char *op;
    enum role_id asker;
    int (*answer)(const struct signer_keys *k, const json_t *q, json_t *answer, struct err *err);
} rules[] = {
    {"agent-certificate", ROLE_LINK, agent_certificate},
    {"server-certificate", ROLE_LINK, server_certificate},
    {"desired", ROLE_CONTROLLER, desired},
    {"witness", ROLE_LINK, witness},
    {"seal", ROLE_CONTROLLER, seal},
    {"activities", ROLE_LINK, activities},
    {"activities-cosigned", ROLE_LINK, activities_cosigned},
    {"totp-new", ROLE_API, totp_new},
    {"totp-check", ROLE_API, totp_check},
};

struct asked {
    const struct signer_keys *keys;
    enum role_id asker;
};

static int decide(void *user, const json_t *q, json_t *answer, struct err *err)
{
    const struct asked *a = user;
    const char *op;
    int r = js_string(q, "", "op", 64, &op, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < ARRAY_SIZE(rules); i++)
        if (!strcmp(op, rules[i].op) && a->asker == rules[i].asker)
            return rules[i].answer(a->keys, q, answer, err);
    return err_set(err, -EPERM, "the %s role may not ask for this", role_names[a->asker]);
}

static void serve(const struct signer_keys *k, int fd, enum role_id asker)
{
    struct asked a = {k, asker};
    struct err err = ERR_INIT;
    if (ask_serve(SIGNER_MESSAGE_MAX, fd, decide, &a, &err) < 0)
        log_warn("refused", "asker", role_names[asker], "error", err.message);
}

static int stop_fd(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC);
}

int role_signer_main(struct role *r)
{
    struct signer_keys keys;
    struct err err = ERR_INIT;
    struct pollfd fds[ROLE_COUNT + 1];
    if (signer_keys_open(&r->config, &clock_system, &keys, &err) < 0) {
        log_error("cannot start", "error", err.message);
        return 1;
    }
    for (int i = 0; i < ROLE_COUNT; i++)
        fds[i] = (struct pollfd){r->askers[i], POLLIN, 0};
    fds[ROLE_COUNT] = (struct pollfd){stop_fd(), POLLIN, 0};
    while (!fds[ROLE_COUNT].revents) {
        if (poll(fds, ROLE_COUNT + 1, -1) < 0 && errno != EINTR)
            break;
        for (int i = 0; i < ROLE_COUNT; i++)
            if (fds[i].revents & POLLIN)
                serve(&keys, fds[i].fd, (enum role_id)i);
        /* An asker whose every end is closed stays readable for ever. What it still asked is answered to nobody. */
        for (int i = 0; i < ROLE_COUNT; i++)
            if (fds[i].revents & POLLHUP)
                fds[i].fd = -1;
    }
    signer_keys_close(&keys);
    return 0;
}
