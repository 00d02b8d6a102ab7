/* ownhouse-agent: the data plane's program. */
#include "agent/config.h"
#include "agent/gate_ask.h"
#include "agent/guard.h"
#include "agent/lock.h"
#include "agent/names/acme.h"
#include "agent/parent.h"
#include "agent/place.h"
#include "agent/role.h"
#include "agent/status.h"
#include "base/keys.h"
#include "base/log.h"
#include "base/mem.h"
#include "version.h"

#include <getopt.h>
#include <signal.h>

struct arguments {
    const char *command, *config, *dir, *role, *grant, *key, *passphrase_file;
    struct guard_arguments guard;
    bool json, linked, help, version, check;
};

static const char usage_text[] =
    "usage: ownhouse-agent COMMAND [OPTIONS]\n"
    "\n"
    "Runs the data plane in your account: keeps its services as the control plane's signed document says.\n"
    "\n"
    "commands:\n"
    "  run --config FILE         run the agent; SIGTERM stops it with all workloads, SIGUSR2 leaves them running\n"
    "  supervise --dir DIR       run only the supervisor of one folder of placements, as a machine's init does\n"
    "  enrol --config FILE       enrol by the configured bundle and print its fingerprint\n"
    "  status --config FILE      say what runs (--json: as JSON; --linked: only whether the link is up)\n"
    "  revoke --config FILE --grant GRANT   end an engineer's access here, without the control plane\n"
    "  lock --config FILE        shut every way of management: sessions, link, operations; services go on\n"
    "  unlock --config FILE --key FILE [--passphrase-file FILE]\n"
    "                            open it again with an approver's key\n"
    "  guard --workload NAME --trial ID --image NEW --before OLD --patience SECONDS [--kubeconfig FILE]\n"
    "                            in a cluster: watch a release of the agent, and take it back if it does not come up;\n"
    "                            the agent starts it as a Job\n"
    "\n"
    "options:\n"
    "  --check-config            with --config FILE: check the file and exit\n"
    "  --help, --version\n"
    "\n"
    "exit status: 0 done, 1 failed, 2 wrong usage, 3 status: the agent does not run, or is not linked\n";

static int usage_error(const char *message, const char *detail)
{
    fprintf(stderr, "ownhouse-agent: %s%s; see ownhouse-agent --help\n", message, detail);
    return 2;
}

static bool take_guard_option(int c, struct guard_arguments *g)
{
    const char **into = c == 'w'   ? &g->workload
                        : c == 't' ? &g->trial
                        : c == 'i' ? &g->image
                        : c == 'b' ? &g->before
                        : c == 'n' ? &g->patience
                        : c == 'u' ? &g->kubeconfig
                                   : NULL;
    if (into)
        *into = optarg;
    return into;
}

static int parse_arguments(int argc, char **argv, struct arguments *a)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},
        {"dir", required_argument, NULL, 'd'},
        {"role", required_argument, NULL, 'r'},
        {"json", no_argument, NULL, 'j'},
        {"linked", no_argument, NULL, 'l'},
        {"key", required_argument, NULL, 'y'},
        {"passphrase-file", required_argument, NULL, 'p'},
        {"grant", required_argument, NULL, 'g'},
        {"workload", required_argument, NULL, 'w'},
        {"trial", required_argument, NULL, 't'},
        {"image", required_argument, NULL, 'i'},
        {"before", required_argument, NULL, 'b'},
        {"patience", required_argument, NULL, 'n'},
        {"kubeconfig", required_argument, NULL, 'u'},
        {"check-config", no_argument, NULL, 'k'},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'v'},
        {0},
    };
    int c;
    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (take_guard_option(c, &a->guard))
            continue;
        switch (c) {
        case 'c':
            a->config = optarg;
            break;
        case 'd':
            a->dir = optarg;
            break;
        case 'r':
            a->role = optarg;
            break;
        case 'g':
            a->grant = optarg;
            break;
        case 'y':
            a->key = optarg;
            break;
        case 'p':
            a->passphrase_file = optarg;
            break;
        case 'j':
            a->json = true;
            break;
        case 'l':
            a->linked = true;
            break;
        case 'k':
            a->check = true;
            break;
        case 'h':
            a->help = true;
            break;
        case 'v':
            a->version = true;
            break;
        default:
            return usage_error("wrong option", "");
        }
    }
    if (optind < argc)
        a->command = argv[optind++];
    return optind < argc ? usage_error("too many words: ", argv[optind]) : 0;
}

static int load(const struct arguments *a, const char *role, struct agent_config *config)
{
    struct err err = ERR_INIT;
    enum log_level level = LOG_LEVEL_INFO;
    if (!a->config)
        return usage_error("--config FILE is missing", "");
    if (agent_config_load(a->config, config, &err) < 0) {
        fprintf(stderr, "ownhouse-agent: %s\n", err.message);
        return 1;
    }
    if (log_level_parse(config->log_level, &level) == 0)
        log_init("ownhouse-agent", role, level, STDERR_FILENO);
    return 0;
}

static int run(const struct arguments *a)
{
    struct agent_config config = {0};
    struct err err = ERR_INIT;
    autofree char *program = place_self();
    int status = load(a, "parent", &config);
    if (status)
        return status;
    int r = agent_config_prepare(&config, &err);
    if (r == 0 && !program)
        r = err_set(&err, -ENOENT, "cannot find the program itself: is /proc mounted?");
    if (r == 0)
        r = parent_run(program, a->config, &config, &err);
    if (r < 0)
        log_error("the agent cannot run", "error", err.message);
    agent_config_free(&config);
    return r < 0;
}

static int run_role(const struct arguments *a)
{
    static int (*const mains[])(struct agent_role *) = {role_operator_main, role_supervisor_main, role_ledger_main,
                                                        role_gate_main, role_names_main};
    struct agent_role role = {.config_path = a->config};
    for (size_t i = 0; i < AGENT_ROLE_COUNT; i++) {
        if (strcmp(a->role, agent_role_names[i]))
            continue;
        role.id = (enum agent_role_id)i;
        int status = load(a, a->role, &role.config);
        struct err err = ERR_INIT;
        if (!status && role_fds_import(&role, &err) < 0) {
            fprintf(stderr, "ownhouse-agent: %s\n", err.message);
            status = 2;
        }
        if (!status)
            status = mains[i](&role);
        agent_config_free(&role.config);
        return status;
    }
    return usage_error("no such role: ", a->role);
}

static int supervise(const struct arguments *a)
{
    if (!a->dir)
        return usage_error("--dir DIR is missing", "");
    log_init("ownhouse-agent", "supervisor", LOG_LEVEL_INFO, STDERR_FILENO);
    return role_supervise_folder(a->dir);
}

static int enrol(const struct arguments *a)
{
    struct agent_config config = {0};
    struct err err = ERR_INIT;
    struct place place;
    char fingerprint[65];
    int status = load(a, "enrol", &config);
    if (status)
        return status;
    place_init(&place, &config, "/");
    int r = agent_config_prepare(&config, &err);
    if (r == 0)
        r = place_enrol(&place, &config, 0, fingerprint, &err);
    if (r == 0)
        printf("enrolled; bundle fingerprint %s\n", fingerprint);
    else
        fprintf(stderr, "ownhouse-agent: %s\n", err.message);
    place_free(&place);
    agent_config_free(&config);
    return r < 0;
}

static int status_of(const struct arguments *a)
{
    struct agent_config config = {0};
    int status = load(a, "status", &config);
    if (status == 0)
        status = a->linked ? status_linked(&config) : status_print(&config, a->json);
    agent_config_free(&config);
    return status;
}

static int revoke_grant(const struct arguments *a)
{
    struct agent_config config = {0};
    struct err err = ERR_INIT;
    if (!a->grant || !uuid_valid(a->grant))
        return usage_error("--grant GRANT is missing, or is no grant's number", "");
    int status = load(a, "revoke", &config);
    if (status)
        return status;
    int r = gate_ask(
        &config, json_pack("{ss ss ss}", "type", "revoke", "grant", a->grant, "why", "the customer revoked it here"),
        "ended", a->grant, NULL, &err);
    if (r == 0)
        puts("revoked; nothing of it is left");
    else
        fprintf(stderr, "ownhouse-agent: %s\n", err.message);
    agent_config_free(&config);
    return r < 0;
}

static int lock_or_unlock(const struct arguments *a, bool lock)
{
    struct agent_config config = {0};
    int status = load(a, a->command, &config);
    if (status == 0 && !lock && !a->key)
        status = usage_error("--key FILE is missing", "");
    else if (status == 0)
        status = lock ? lock_command(&config, a->json) : unlock_command(&config, a->key, a->passphrase_file);
    agent_config_free(&config);
    return status;
}

static int check_config(const struct arguments *a)
{
    struct agent_config config = {0};
    int status = load(a, "parent", &config);
    if (status == 0)
        puts("the configuration is fine");
    agent_config_free(&config);
    return status;
}

int main(int argc, char **argv)
{
    struct arguments a = {0};
    const char *hook = getenv(ACME_HOOK_VARIABLE);
    if (hook)
        return acme_hook_main(hook, argc, argv);
    int status = parse_arguments(argc, argv, &a);
    if (status)
        return status;
    /* A peer that closes is an error to handle, never our end; what we start has its signals at default again. */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a limit on files is a failed write, as a full disk is */
    if (a.help) {
        fputs(usage_text, stdout);
        return 0;
    }
    if (a.version) {
        puts("ownhouse-agent " OWNHOUSE_VERSION);
        return 0;
    }
    if (a.role)
        return run_role(&a);
    if (a.check)
        return check_config(&a);
    if (!a.command)
        return usage_error("a command is missing", "");
    if (!strcmp(a.command, "run"))
        return run(&a);
    if (!strcmp(a.command, "enrol"))
        return enrol(&a);
    if (!strcmp(a.command, "status"))
        return status_of(&a);
    if (!strcmp(a.command, "revoke"))
        return revoke_grant(&a);
    if (!strcmp(a.command, "lock") || !strcmp(a.command, "unlock"))
        return lock_or_unlock(&a, !strcmp(a.command, "lock"));
    if (!strcmp(a.command, "guard"))
        return guard_main(&a.guard);
    if (!strcmp(a.command, "supervise"))
        return supervise(&a);
    return usage_error("no such command: ", a.command);
}
