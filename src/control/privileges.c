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
                  {"keys/link-ca.pem", "keys/link-ca-spare.pem", "keys/desired.pub"},
                  {"store", "run"}},
    [ROLE_LINK] = {true,
                   SANDBOX_THREADS | SANDBOX_LISTEN,
                   {"keys/link-ca.pem", "keys/link-ca-spare.pem"},
                   {"store", "run"}},
    [ROLE_SIGNER] = {true, 0, {NULL}, {"keys"}},
    [ROLE_CONTROLLER] = {false, 0, {NULL}, {NULL}},
};

static void resolve(const struct control_config *c, const char *const *from, const char *to[PATHS_MAX + 1])
{
    size_t n = 0;
    for (; n < PATHS_MAX && from[n]; n++)
        to[n] = control_path(c, from[n]);
    to[n] = NULL;
}

/* The console's files are the one folder outside state_dir. */
static void add_console(const struct control_config *c, const char *to[PATHS_MAX + 1])
{
    size_t n = 0;
    while (to[n])
        n++;
    if (n < PATHS_MAX && c->console_dir && *c->console_dir) {
        to[n] = mem_strdup(c->console_dir);
        to[n + 1] = NULL;
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
    if (r->id == ROLE_API)
        add_console(&r->config, read);
    struct sandbox_rules rules = {.read = read, .write = write, .allow = table[r->id].allow};
    int n = sandbox_apply(&rules, &report, err);
    for (size_t i = 0; i < PATHS_MAX && read[i]; i++)
        free((void *)(uintptr_t)read[i]);
    for (size_t i = 0; i < PATHS_MAX && write[i]; i++)
        free((void *)(uintptr_t)write[i]);
    sandbox_describe(&report, ret);
    return n;
}
