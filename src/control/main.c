/* ownhouse-control: the control plane's program, its options and subcommands. */
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "control/identity/init.h"
#include "control/parent.h"
#include "control/privileges.h"
#include "version.h"

#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>

static const char usage[] =
    "Usage: ownhouse-control --config FILE                             run the control plane\n"
    "       ownhouse-control init --config FILE --credentials FILE     first organization, administrator and API key\n"
    "       ownhouse-control new-key --config FILE --credentials FILE  one more API key for the administrator\n"
    "       ownhouse-control set-up-link --config FILE [--email ADDRESS] [--first]\n"
    "                                                                  a link to sign in as the administrator\n"
    "       ownhouse-control --config FILE --check-config              check the configuration and exit\n"
    "       ownhouse-control --version | --help\n"
    "\n"
    "The control plane of OwnHouse: API, link to the data planes, controller and signer behind one TLS port.\n"
    "Secrets are written to the credentials file (mode 0600) and stored only as hashes.\n"
    "Exit status: 0 stopped as asked or done, 1 failed, 2 wrong usage.\n";

struct options {
    const char *command, *config, *credentials, *role, *email;
    bool check, first;
};

static int (*const role_mains[ROLE_COUNT])(struct role *) = {
    [ROLE_API] = role_api_main,       [ROLE_LINK] = role_link_main,       [ROLE_CONTROLLER] = role_controller_main,
    [ROLE_SIGNER] = role_signer_main, [ROLE_OUTWARD] = role_outward_main,
};

static int wrong_usage(const char *what)
{
    fprintf(stderr, "ownhouse-control: %s\n%s", what, usage);
    return 2;
}

static int run_role(const char *name, const char *self, const char *config_path, const struct control_config *config)
{
    struct role role = {.config = *config};
    struct err err = ERR_INIT;
    enum log_level level = LOG_LEVEL_INFO;
    int id = 0;
    while (id < ROLE_COUNT && strcmp(role_names[id], name))
        id++;
    if (id == ROLE_COUNT)
        return wrong_usage("--role: unknown role");
    role.id = (enum role_id)id;
    (void)!log_level_parse(config->log_level, &level);
    log_init("ownhouse-control", name, level, STDERR_FILENO);
    if (role_fds_import(&role, &err) < 0) {
        fprintf(stderr, "ownhouse-control: %s\n", err.message);
        return 2;
    }
    prctl(PR_SET_NAME, name);
    prctl(PR_SET_DUMPABLE, 0); /* no core file of a role may carry a key or a hash to disk */
    char in_force[64];
    if (privileges_drop(&role, in_force, &err) < 0) {
        log_error("cannot give up privileges", "error", err.message);
        return 1;
    }
    log_info("role starts", "confined_by", in_force);
    return role_mains[id](&role);
}

/* The one secret that goes to standard output: whoever reads it is on the machine already, and it works once. */
static int print_link(const struct options *o, const struct control_config *config)
{
    struct err err = ERR_INIT;
    autofree char *link = NULL;
    if (control_set_up_link(config, o->email ? o->email : "", o->first, &link, &err) < 0) {
        fprintf(stderr, "ownhouse-control: %s\n", err.message);
        return 1;
    }
    if (link)
        puts(link);
    return 0;
}

static int run_command(const struct options *o, const struct control_config *config)
{
    struct err err = ERR_INIT;
    int r;
    if (!strcmp(o->command, "set-up-link"))
        return print_link(o, config);
    if (!o->credentials)
        return wrong_usage("--credentials FILE is required");
    r = !strcmp(o->command, "init") ? control_init(config, o->credentials, &err)
                                    : control_new_key(config, o->credentials, &err);
    if (r < 0) {
        fprintf(stderr, "ownhouse-control: %s\n", err.message);
        return 1;
    }
    return 0;
}

static int parse(int argc, char **argv, struct options *o)
{
    static const struct option longs[] = {
        {"config", required_argument, NULL, 'c'},
        {"credentials", required_argument, NULL, 'k'},
        {"role", required_argument, NULL, 'r'},
        {"email", required_argument, NULL, 'e'},
        {"first", no_argument, NULL, 'f'},
        {"check-config", no_argument, NULL, 'n'},
        {"version", no_argument, NULL, 'V'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    for (int opt; (opt = getopt_long(argc, argv, "c:hV", longs, NULL)) != -1;) {
        switch (opt) {
        case 'c':
            o->config = optarg;
            break;
        case 'k':
            o->credentials = optarg;
            break;
        case 'r':
            o->role = optarg;
            break;
        case 'e':
            o->email = optarg;
            break;
        case 'f':
            o->first = true;
            break;
        case 'n':
            o->check = true;
            break;
        case 'V':
            puts("ownhouse-control " OWNHOUSE_VERSION);
            return 0;
        case 'h':
            fputs(usage, stdout);
            return 0;
        default:
            return wrong_usage("unknown option");
        }
    }
    if (optind < argc)
        o->command = argv[optind++];
    if (optind < argc)
        return wrong_usage("too many arguments");
    if (o->command && strcmp(o->command, "init") && strcmp(o->command, "new-key") && strcmp(o->command, "set-up-link"))
        return wrong_usage("unknown command");
    return o->config ? -1 : wrong_usage("--config FILE is required");
}

int main(int argc, char **argv)
{
    struct options o = {0};
    struct control_config config = {0};
    struct err err = ERR_INIT;
    enum log_level level = LOG_LEVEL_INFO;
    char self[PATH_MAX], config_path[PATH_MAX];
    signal(SIGPIPE, SIG_IGN);
    umask(077);
    int done = parse(argc, argv, &o);
    if (done >= 0)
        return done;
    if (!realpath("/proc/self/exe", self) || !realpath(o.config, config_path)) {
        fprintf(stderr, "ownhouse-control: cannot open %s: %s\n", o.config, strerror(errno));
        return 1;
    }
    if (control_config_load(config_path, &config, &err) < 0) {
        fprintf(stderr, "ownhouse-control: %s\n", err.message);
        return 1;
    }
    if (o.check) {
        printf("%s is valid\n", config_path);
        return 0;
    }
    (void)!log_level_parse(config.log_level, &level);
    log_init("ownhouse-control", "parent", level, STDERR_FILENO);
    int status;
    if (o.role)
        status = run_role(o.role, self, config_path, &config);
    else
        status = o.command ? run_command(&o, &config) : parent_main(self, config_path, &config);
    control_config_free(&config);
    return status;
}
