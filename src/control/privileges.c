/* Least privilege for the control plane's roles. */
#include "control/privileges.h"

#include "base/mem.h"
#include "base/sandbox.h"

#define PATHS_MAX 6

/* Paths are below state_dir. The controller acts on clouds and, on a laptop, on the machine itself: it starts programs
 * and makes namespaces, so it keeps its rights. */
static const struct {
    bool confined;
    unsigned allow;
    const char *read[PATHS_MAX], *write[PATHS_MAX];
} table[ROLE_COUNT] = {
    [ROLE_API] = {true,
                  SANDBOX_THREADS | SANDBOX_LISTEN,
                  {"keys/link-ca.pem", "keys/link-ca-spare.pem", "keys/desired.pub", "keys/witness.pub"},
                  {"store", "run"}},
    [ROLE_LINK] = {true,
                   SANDBOX_THREADS | SANDBOX_LISTEN,
                   {"keys/link-ca.pem", "keys/link-ca-spare.pem"},
                   {"store", "run"}},
    [ROLE_SIGNER] = {true, 0, {NULL}, {"keys"}},
    [ROLE_OUTWARD] = {true, SANDBOX_THREADS | SANDBOX_INET, {NULL}, {NULL}},
    [ROLE_CONTROLLER] = {false, 0, {NULL}, {NULL}},
};

static void resolve(const struct control_config *c, const char *const *from, const char *to[PATHS_MAX + 1])
{
    size_t n = 0;
    for (; n < PATHS_MAX && from[n]; n++)
        to[n] = control_path(c, from[n]);
    to[n] = NULL;
}

/* What lies outside state_dir: the console's files, and the secrets that the outward role shows to other hosts. */
static void add_path(const char *path, const char *to[PATHS_MAX + 1])
{
    size_t n = 0;
    while (to[n])
        n++;
    if (n < PATHS_MAX && path && *path) {
        to[n] = mem_strdup(path);
        to[n + 1] = NULL;
    }
}

static void add_outside(const struct role *r, const char *to[PATHS_MAX + 1])
{
    const struct control_config *c = &r->config;
    if (r->id == ROLE_API)
        add_path(c->console_dir, to);
    if (r->id == ROLE_OUTWARD) {
        const char *const files[] = {c->smtp_password_file, c->smtp_ca_file, c->oidc_client_secret_file,
                                     c->oidc_ca_file};
        for (size_t i = 0; i < ARRAY_SIZE(files); i++)
            add_path(files[i], to);
    }
}

int privileges_drop(const struct role *r, char ret[64], struct err *err)
{
    const char *read[PATHS_MAX + 1], *write[PATHS_MAX + 1];
    struct sandbox_report report = {0};
    snprintf(ret, 64, "none");
    if (!table[r->id].confined)
        return 0;
    resolve(&r->config, table[r->id].read, read);
    resolve(&r->config, table[r->id].write, write);
    add_outside(r, read);
    struct sandbox_rules rules = {.read = read, .write = write, .allow = table[r->id].allow};
    int n = sandbox_apply(&rules, &report, err);
    for (size_t i = 0; i < PATHS_MAX && read[i]; i++)
        free((void *)(uintptr_t)read[i]);
    for (size_t i = 0; i < PATHS_MAX && write[i]; i++)
        free((void *)(uintptr_t)write[i]);
    sandbox_describe(&report, ret);
    return n;
}
