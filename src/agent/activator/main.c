/* ownhouse-activator: wakes services that sleep, see activator.h. */
#include "agent/activator/activator.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/sandbox.h"
#include "blueprint/blueprint.h"
#include "version.h"

#include <getopt.h>
#include <libgen.h>
#include <signal.h>
#include <sys/resource.h>

#define CONNECTIONS 2048
#define OF_SERVICE 256
#define HOLD_S 60

static const char usage_text[] =
    "usage: ownhouse-activator --listen ADDRESS --table FILE [OPTIONS]\n"
    "\n"
    "Holds connections to services that sleep until their engines answer, and passes them on. Started by the agent.\n"
    "\n"
    "options:\n"
    "  --listen ADDRESS      where the ingress reaches it\n"
    "  --table FILE          the services: ORDINAL SLUG HOST[,HOST...] a line\n"
    "  --hold SECONDS        how long a connection is held (60)\n"
    "  --connections N       at most so many in all (2048)\n"
    "  --of-service N        at most so many held for one service (256)\n"
    "  --help, --version\n";

static int usage_error(const char *message)
{
    fprintf(stderr, "ownhouse-activator: %s; see ownhouse-activator --help\n", message);
    return 2;
}

static bool number(const char *text, long max, long *ret)
{
    char *end;
    long n = strtol(text, &end, 10);
    if (!*text || *end || n < 1 || n > max)
        return false;
    *ret = n;
    return true;
}

static int parse(int argc, char **argv, struct activator_config *c)
{
    static const struct option options[] = {
        {"listen", required_argument, NULL, 'l'},     {"table", required_argument, NULL, 't'},
        {"hold", required_argument, NULL, 'h'},       {"connections", required_argument, NULL, 'c'},
        {"of-service", required_argument, NULL, 's'}, {"help", no_argument, NULL, '?'},
        {"version", no_argument, NULL, 'v'},          {0},
    };
    long n = 0;
    int o;
    while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (strchr("hcs", o) && !number(optarg, o == 'h' ? 3600 : 100000, &n))
            return usage_error("a number is not one that is possible");
        switch (o) {
        case 'l':
            c->listen = optarg;
            break;
        case 't':
            c->table = optarg;
            break;
        case 'h':
            c->hold_ms = n * 1000;
            break;
        case 'c':
            c->max_connections = (int)n;
            break;
        case 's':
            c->max_of_service = (int)n;
            break;
        case 'v':
            puts("ownhouse-activator " OWNHOUSE_VERSION);
            return -1;
        default:
            if (optopt)
                return usage_error("wrong option");
            fputs(usage_text, stdout);
            return -1;
        }
    }
    if (optind < argc)
        return usage_error("too many words");
    return c->listen && c->table ? 0 : usage_error("--listen and --table are required");
}

static void on_event(bool error, const char *message, void *data OH_UNUSED)
{
    if (error)
        log_error(message);
    else
        log_info(message);
}

/* The folder over that of the table: the table's own may be another one at each change. */
static int shut_in(const char *table, struct err *err)
{
    autofree char *copy = mem_strdup(table);
    const char *const read[] = {dirname(dirname(copy)), NULL};
    struct sandbox_rules rules = {.read = read, .allow = SANDBOX_INET | SANDBOX_LISTEN | SANDBOX_THREADS};
    struct sandbox_report report;
    return sandbox_apply(&rules, &report, err);
}

/* Two descriptors a connection, and a probe each for whom is waited for. */
static void make_room(int connections)
{
    struct rlimit lim;
    if (getrlimit(RLIMIT_NOFILE, &lim) < 0)
        return;
    lim.rlim_cur = MIN(lim.rlim_max, MAX(lim.rlim_cur, (rlim_t)connections * 3 + 256));
    (void)!setrlimit(RLIMIT_NOFILE, &lim);
}

int main(int argc, char **argv)
{
    uv_loop_t loop;
    struct activator *a = NULL;
    struct err err = ERR_INIT;
    struct activator_config c = {.loop = &loop,
                                 .clock = &clock_system,
                                 .http_port = BLUEPRINT_ACTIVATOR_HTTP_PORT,
                                 .native_port = BLUEPRINT_ACTIVATOR_NATIVE_PORT,
                                 .control_port = BLUEPRINT_ACTIVATOR_CONTROL_PORT,
                                 .engine_http_port = BLUEPRINT_HTTP_PORT,
                                 .engine_native_port = BLUEPRINT_TCP_PORT,
                                 .max_connections = CONNECTIONS,
                                 .max_of_service = OF_SERVICE,
                                 .hold_ms = HOLD_S * 1000,
                                 .on_event = on_event};
    int status = parse(argc, argv, &c);
    if (status)
        return MAX(status, 0);
    log_init("ownhouse-activator", "activator", LOG_LEVEL_INFO, STDERR_FILENO);
    signal(SIGPIPE, SIG_IGN);
    make_room(c.max_connections);
    uv_loop_init(&loop);
    int r = activator_new(&c, &a, &err);
    if (r == 0)
        r = shut_in(c.table, &err);
    if (r < 0) {
        log_error("the activator cannot run", "error", err.message);
        return 1;
    }
    return uv_run(&loop, UV_RUN_DEFAULT);
}
