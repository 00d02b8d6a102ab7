/* The names role: the key of the DNS zone and the ACME account, and nothing of the services, the link or the cluster.
 */
#include "agent/names/acme.h"
#include "agent/names/names.h"
#include "agent/place.h"
#include "agent/role.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/sandbox.h"

#include <poll.h>
#include <signal.h>
#include <sys/inotify.h>

/* uacme and what it calls end with us: they are of our process group. */
static void on_end(int number OH_UNUSED)
{
    signal(SIGTERM, SIG_IGN);
    kill(0, SIGTERM);
    _exit(0);
}

static void on_event(bool error, const char *message)
{
    log_write(error ? LOG_LEVEL_WARN : LOG_LEVEL_INFO, message, NULL);
}

static int confine(const struct agent_role *role, const char *self, struct err *err)
{
    const struct agent_config *c = &role->config;
    struct sandbox_report report = {0};
    char text[64];
    autofree char *own = agent_path(c, "names"), *wanted = agent_path(c, "wanted"), *uacme = acme_program(c),
                  *more = agent_config_own(role->config_path);
    const char *read[12] = {role->config_path, more, wanted, self, "/etc/gnutls"}, *write[] = {own, NULL};
    size_t n = 5;
    const char *aws = getenv("AWS_SHARED_CREDENTIALS_FILE");
    if (*c->dns_key_file)
        read[n++] = c->dns_key_file;
    if (uacme && *c->acme_directory)
        read[n++] = uacme;
    if (!strcmp(c->dns_provider, "route53"))
        read[n++] = "/var/run/secrets"; /* the identity that the cloud mounts */
    if (aws && !strcmp(c->dns_provider, "route53"))
        read[n++] = aws;
    /* Threads: libcurl's resolver. Programs and signals only where uacme runs. */
    unsigned programs = *c->acme_directory ? SANDBOX_EXEC | SANDBOX_SIGNAL : 0;
    int r =
        sandbox_apply(&(struct sandbox_rules){read, write, SANDBOX_INET | SANDBOX_THREADS | programs}, &report, err);
    sandbox_describe(&report, text);
    if (r == 0)
        log_info("names starts", "sandbox", text);
    return r;
}

/* Until then, or until the operator has written something. */
static void wait_until(int watch, int64_t at_ms)
{
    struct pollfd p = {watch, POLLIN, 0};
    char events[4096];
    int64_t left = at_ms - clock_mono_ms(&clock_system);
    if (left > 0 && poll(&p, 1, (int)MIN(left, (int64_t)INT32_MAX)) > 0)
        while (read(watch, events, sizeof(events)) > 0)
            ;
}

int role_names_main(struct agent_role *r)
{
    struct err err = ERR_INIT;
    struct sigaction end = {.sa_handler = on_end};
    autofree char *self = place_self(), *folder = agent_path(&r->config, "wanted");
    autoclose int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    setpgid(0, 0);
    sigaction(SIGTERM, &end, NULL);
    sigaction(SIGINT, &end, NULL);
    setenv(ACME_HOOK_VARIABLE, r->config_path, 1);
    int result = self ? 0 : err_set(&err, -ENOENT, "cannot find the program itself: is /proc mounted?");
    if (result == 0 && (watch < 0 || inotify_add_watch(watch, folder, IN_MOVED_TO | IN_CLOSE_WRITE) < 0))
        result = err_set_errno(&err, -errno, "cannot watch %s", folder);
    if (result == 0)
        result = confine(r, self, &err);
    if (result < 0) {
        log_error("the names role cannot run", "error", err.message);
        return 1;
    }
    struct names *n = names_new(&r->config, r->config_path, self, &clock_system, on_event);
    for (;;)
        wait_until(watch, names_pass(n));
}
