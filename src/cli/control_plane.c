/* Running ownhouse-control for a home folder. */
#include "cli/control_plane.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "cli/api.h"
#include "cli/background.h"

#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#define START_TIMEOUT_MS 30000
#define STOP_GRACE_MS 20000
#define SET_UP_TIMEOUT_MS 60000

int control_plane_find(const struct cli *c, struct proc_id *ret)
{
    autofree char *lock = cli_path(c, "control/run/lock");
    return background_find(lock, ret);
}

static bool is_ours(const char *name, size_t len)
{
    static const char *const names[] = {"state_dir",      "listen_port",    "accounts_dir",       "agent_program",
                                        "engine_program", "engine_library", "clickhouse_program", "haproxy_program",
                                        "knot_program",   "console_dir",    "aws_config"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (strlen(names[i]) == len && !strncmp(name, names[i], len))
            return true;
    return false;
}

/* Settings that the operator added (mail, identity provider, addresses) stay. */
static void keep_others(const char *old, struct buf *out)
{
    while (*old) {
        size_t len = strcspn(old, "\n"), name = strcspn(old, " \t=\n");
        if (*old != '#' && name && name < len && !is_ours(old, name))
            buf_printf(out, "%.*s\n", (int)len, old);
        old += len + (old[len] == '\n');
    }
}

int control_plane_configure(const struct cli *c, const struct install *i, struct err *err)
{
    autofree char *path = cli_path(c, "control/control.conf"), *state = cli_path(c, "control"),
                  *log = cli_path(c, "control/log"), *accounts = cli_path(c, "accounts"), *old = NULL, *text = NULL;
    struct buf out = BUF_INIT;
    int r = fs_mkdirs(log, 0700, err);
    if (r == 0)
        r = fs_mkdirs(accounts, 0700, err);
    if (r < 0)
        return r;
    buf_printf(&out,
               "# Written by `ownhouse up`: see control.conf(5). Changes to these keys are lost at the next `up`.\n"
               "state_dir = %s\n"
               "listen_port = %lld\n"
               "accounts_dir = %s\n"
               "agent_program = %s\n"
               "haproxy_program = %s\n"
               "knot_program = %s\n",
               state, (long long)i->port, accounts, i->agent, i->haproxy, i->knotd);
    if (i->clickhouse && *i->clickhouse)
        buf_printf(&out, "clickhouse_program = %s\n", i->clickhouse);
    else
        buf_printf(&out, "engine_program = %s\nengine_library = %s\n", i->engine, i->engine_library);
    if (i->console && *i->console)
        buf_printf(&out, "console_dir = %s\n", i->console);
    autofree char *aws = cli_path(c, "aws.json");
    if (fs_exists(aws))
        buf_printf(&out, "aws_config = %s\n", aws);
    int known = fs_read(path, KIB(256), &old, NULL, NULL);
    if (known == 0)
        keep_others(old, &out);
    text = buf_take(&out);
    if (known == 0 && !strcmp(old, text))
        return 0;
    r = fs_write_atomic(path, text, strlen(text), 0600, err);
    return r < 0 ? r : 1;
}

static int run_set_up(const struct cli *c, const struct install *i, const char *command, struct err *err)
{
    autofree char *conf = cli_path(c, "control/control.conf"), *credentials = cli_path(c, "credentials.json");
    const char *argv[] = {i->control, command, "--config", conf, "--credentials", credentials, NULL};
    return proc_run(argv, NULL, SET_UP_TIMEOUT_MS, NULL, err);
}

int control_plane_set_up(const struct cli *c, const struct install *i, struct err *err)
{
    autofree char *credentials = cli_path(c, "credentials.json"), *database = cli_path(c, "control/store/control.db");
    bool have = fs_exists(credentials);
    struct err why = ERR_INIT;
    if (have && fs_exists(database)) {
        /* `init` repeats safely, but hashing a password anew takes a while; a file that parses is left alone. */
        autoapi struct api *a = NULL;
        if (api_open("", "", credentials, &a, NULL) == 0)
            return 0;
    }
    int r = run_set_up(c, i, "init", &why);
    if (r < 0 && !have && fs_exists(database)) {
        struct err also = ERR_INIT;
        r = run_set_up(c, i, "new-key", &also);
    }
    return r < 0 ? err_set(err, r, "%s", why.message) : 0;
}

int control_plane_set_up_link(const struct cli *c, const struct install *i, const char *email, bool first_only,
                              char **ret, struct err *err)
{
    autofree char *conf = cli_path(c, "control/control.conf");
    struct buf out = BUF_INIT_MAX(KIB(4));
    const char *argv[8] = {i->control, "set-up-link", "--config", conf};
    size_t n = 4;
    if (first_only)
        argv[n++] = "--first";
    if (email) {
        argv[n++] = "--email";
        argv[n++] = email;
    }
    int r = proc_run(argv, NULL, SET_UP_TIMEOUT_MS, &out, err);
    if (r < 0) {
        buf_free(&out);
        return r;
    }
    *ret = buf_take(&out);
    (*ret)[strcspn(*ret, "\n")] = 0;
    return 0;
}

/* The first answer of the API, with the key: TLS, HAProxy, the api role and the store are all there then. */
static int wait_for_api(struct cli *c, const struct api *a, pid_t pid, struct err *err)
{
    autofree char *credentials = cli_path(c, "credentials.json"), *log = cli_path(c, "control/log/control.log"),
                  *said = NULL;
    int64_t deadline = clock_mono_ms(&clock_system) + START_TIMEOUT_MS;
    for (int status;;) {
        struct err why = ERR_INIT;
        if (fs_exists(a->ca_file) && api_call_root(a, "GET", "/v1/organizations", NULL, NULL, &why) == 0)
            return 0;
        if (pid > 0 && waitpid(pid, &status, WNOHANG) == pid) {
            said = background_last_words(log);
            return err_set(err, -EIO, "the control plane ended while starting: %s (log: %s)",
                           *said ? said : "it wrote no reason", log);
        }
        if (why.code == -EACCES)
            return err_set(err, why.code, "%s (if %s belongs to another installation, remove it)", why.message,
                           credentials);
        if (clock_mono_ms(&clock_system) > deadline)
            return err_set(err, -ETIMEDOUT, "the control plane did not answer within %d s: %s (log: %s)",
                           START_TIMEOUT_MS / 1000, why.message, log);
        ui_step_update(&c->ui, "%s", "starting");
        nanosleep(&(struct timespec){0, 50 * 1000000L}, NULL);
    }
}

/* After a rebuild or an upgrade the running program is no longer the file of its name. */
static bool is_current(const struct proc_id *id, const char *program)
{
    char path[64];
    struct stat running, there;
    snprintf(path, sizeof(path), "/proc/%d/exe", (int)id->pid);
    return stat(path, &running) == 0 && stat(program, &there) == 0 && running.st_dev == there.st_dev &&
           running.st_ino == there.st_ino;
}

int control_plane_start(struct cli *c, const struct install *i, struct err *err)
{
    autofree char *conf = cli_path(c, "control/control.conf"), *log = cli_path(c, "control/log/control.log");
    const char *argv[] = {i->control, "--config", conf, NULL};
    struct proc_id running;
    autofree char *base = install_base_url(i), *ca = cli_path(c, "control/keys/edge-ca.pem"),
                  *credentials = cli_path(c, "credentials.json");
    autoapi struct api *a = NULL;
    pid_t pid = 0;
    int r = api_open(base, ca, credentials, &a, err);
    bool runs = control_plane_find(c, &running) == 0;
    if (r == 0 && runs && !is_current(&running, i->control)) {
        r = control_plane_stop(c, err);
        runs = false;
    }
    if (r == 0 && !runs)
        r = background_start(argv, log, &pid, err);
    if (r == 0)
        r = wait_for_api(c, a, pid, err);
    /* What does not answer is not left running, where nobody would look for it. */
    if (r < 0 && pid > 0 && proc_identify(pid, &running) == 0)
        (void)!background_stop(&running, STOP_GRACE_MS, NULL, NULL, NULL, NULL);
    return r;
}

int control_plane_stop(const struct cli *c, struct err *err)
{
    struct proc_id id;
    if (control_plane_find(c, &id) < 0)
        return 0;
    return background_stop(&id, STOP_GRACE_MS, NULL, NULL, NULL, err);
}
