/* The program that watches a release of the agent in a cluster. */
#include "agent/guard.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/sandbox.h"
#include "runtime/kubernetes/guard.h"

static void say(bool error, const char *message, void *data OH_UNUSED)
{
    log_write(error ? LOG_LEVEL_WARN : LOG_LEVEL_INFO, message, NULL);
}

static int usage_error(const char *message)
{
    fprintf(stderr, "ownhouse-agent: guard: %s; see ownhouse-agent --help\n", message);
    return 2;
}

/* It reads its token, talks to one server and writes nothing. */
static int confine(const struct guard_arguments *a, struct err *err)
{
    struct sandbox_report report = {0};
    autofree char *folder = mem_strdup(a->kubeconfig ? a->kubeconfig : KUBE_ACCOUNT_DIR "/");
    char *slash = strrchr(folder, '/');
    if (slash)
        slash[slash == folder] = '\0';
    const char *read[] = {slash ? folder : ".", "/var/run/secrets", NULL};
    return sandbox_apply(&(struct sandbox_rules){read, NULL, SANDBOX_INET | SANDBOX_THREADS}, &report, err);
}

int guard_main(const struct guard_arguments *a)
{
    struct kube_access access = {0};
    struct err err = ERR_INIT;
    char *end = NULL;
    log_init("ownhouse-agent", "guard", LOG_LEVEL_INFO, STDERR_FILENO);
    if (!a->workload || !a->trial || !a->image || !a->before || !a->patience)
        return usage_error("--workload, --trial, --image, --before and --patience are needed");
    long patience = strtol(a->patience, &end, 10);
    if (*end || patience < 5 || patience > 3600)
        return usage_error("--patience: must be a number of seconds from 5 to 3600");
    int r = confine(a, &err);
    if (r == 0)
        r = a->kubeconfig ? kube_access_file(a->kubeconfig, NULL, &access, &err)
                          : kube_access_pod(NULL, NULL, NULL, &access, &err);
    if (r == 0)
        r = kube_guard_run(&(struct kube_guard){.workload = a->workload,
                                                .trial = a->trial,
                                                .image = a->image,
                                                .before = a->before,
                                                .patience_s = (int)patience,
                                                .clock = &clock_system,
                                                .say = say},
                           &access, &err);
    if (r < 0)
        log_error("the guard cannot go on", "error", err.message);
    return r < 0;
}
