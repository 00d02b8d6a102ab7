/* The laptop's stand-in for a host with an init: a supervisor that keeps the load balancer, the gateway and the agent
 * alive. */
#include "cloud/local/internal.h"

#include "base/clock.h"
#include "base/fs.h"

#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define MARKER "machine.json"
#define LOG_MAX MIB(4)
#define STOP_MS 20000

static char *machine_dir(const struct plan_call *c)
{
    return local_path(local_env_of(c), "machine");
}

static int check_marker(const struct plan_call *c, const char *dir, struct err *err)
{
    autofree char *path = mem_printf("%s/" MARKER, dir);
    autofree char *text = NULL;
    if (!fs_exists(path))
        return 0;
    int r = fs_read(path, KIB(4), &text, NULL, err);
    if (r == 0 && !strstr(text, c->infrastructure))
        r = err_set(err, -EEXIST, "%s belongs to another infrastructure: move it away or remove it", dir);
    return r;
}

static int machine_observe(const struct plan_call *c, json_t **ret, struct err *err)
{
    autofree char *dir = machine_dir(c);
    autofree char *program = NULL;
    struct proc_id id;
    bool stale = false;
    *ret = NULL;
    bool running = local_supervisor_find(c->infrastructure, dir, &id, &program, &stale) == 0;
    if (!fs_exists(dir) && !running)
        return 0;
    int r = check_marker(c, dir, err);
    if (r < 0)
        return r;
    *ret = json_pack("{s:s, s:b}", "dir", dir, "running", running);
    if (running) {
        json_object_set_new(*ret, "pid", json_integer(id.pid));
        json_object_set_new(*ret, "program", json_sprintf("%s%s", program, stale ? " (replaced)" : ""));
    }
    return 0;
}

/* --- starting --- */

struct start {
    const char *dir, *program;
    char *const *argv, *const *envp;
    int log, null;
};

/* In the second child: nothing here may allocate or lock, other threads of the parent may have held anything. */
static void become_supervisor(const struct start *s)
{
    sigset_t none;
    for (int sig = 1; sig < NSIG; sig++)
        signal(sig, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (dup2(s->null, 0) < 0 || dup2(s->log, 1) < 0 || dup2(s->log, 2) < 0 || chdir(s->dir) < 0)
        _exit(127);
    close_range(3, ~0u, 0);
    execve(s->program, s->argv, s->envp);
    _exit(127);
}

/* Forks twice, so that the supervisor is nobody's child of ours and its end leaves no zombie. */
static int detach(const struct start *s, struct err *err)
{
    int status;
    pid_t first = fork();
    if (first == 0) {
        setsid();
        pid_t second = _Fork();
        if (second == 0)
            become_supervisor(s);
        _exit(second < 0 ? 1 : 0);
    }
    if (first < 0)
        return err_set_errno(err, -errno, "cannot start %s", s->program);
    while (waitpid(first, &status, 0) < 0 && errno == EINTR)
        ;
    if (!WIFEXITED(status) || WEXITSTATUS(status))
        return err_set(err, -EAGAIN, "cannot start %s: no process could be made", s->program);
    return 0;
}

static int open_log(const char *dir, struct err *err)
{
    struct stat st;
    autofree char *path = mem_printf("%s/supervisor.log", dir);
    autofree char *old = mem_printf("%s.1", path);
    if (stat(path, &st) == 0 && (uint64_t)st.st_size > LOG_MAX)
        (void)!rename(path, old);
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    return fd < 0 ? err_set_errno(err, -errno, "cannot open %s", path) : fd;
}

static int start(const struct plan_call *c, const char *dir, const char *program, struct err *err)
{
    autofree char *tag = mem_printf("OWNHOUSE_INFRASTRUCTURE=%s", c->infrastructure);
    char *argv[] = {mem_strdup(program), mem_strdup("supervise"), mem_strdup("--dir"), mem_strdup(dir), NULL};
    char path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", lang[] = "LANG=C.UTF-8";
    char *envp[] = {tag, path, lang, NULL};
    autoclose int log = open_log(dir, err);
    autoclose int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    struct start s = {.dir = dir, .program = program, .argv = argv, .envp = envp, .log = log, .null = null};
    int r = log < 0 ? log : null < 0 ? err_set_errno(err, -errno, "cannot open /dev/null") : 0;
    if (r == 0 && access(program, X_OK) < 0)
        r = err_set_errno(err, -errno, "agent_program: cannot run %s", program);
    if (r == 0)
        r = detach(&s, err);
    for (size_t i = 0; argv[i]; i++)
        free(argv[i]);
    return r;
}

static int write_marker(const struct plan_call *c, const char *dir, struct err *err)
{
    autofree char *path = mem_printf("%s/" MARKER, dir);
    autojson json_t *v =
        json_pack("{s:s, s:s, s:s}", "infrastructure", c->infrastructure, "type", c->type, "name", c->name);
    autofree char *text = js_text(v);
    return fs_exists(path) ? 0 : fs_write_atomic(path, text, strlen(text), 0600, err);
}

/* Ends the supervisor by `sig`; it is killed when it does not listen. */
static void stop_supervisor(const struct proc_id *id, int sig)
{
    if (proc_kill(id, sig) < 0 || local_wait_end(id, STOP_MS) == 0)
        return;
    (void)!proc_kill(id, SIGKILL);
    (void)!local_wait_end(id, 2000);
}

static int machine_settle(const struct plan_call *c, const json_t *want, json_t **ret, struct err *err)
{
    const char *dir = json_string_value(json_object_get(want, "dir"));
    const char *program = json_string_value(json_object_get(want, "program"));
    autofree char *now = NULL;
    struct proc_id id;
    bool stale = false;
    int r = fs_mkdirs(dir, 0700, err);
    if (r == 0)
        r = write_marker(c, dir, err);
    if (r == 0)
        r = placement_prepare(dir, err);
    if (r < 0)
        return r;
    bool running = local_supervisor_find(c->infrastructure, dir, &id, &now, &stale) == 0;
    if (running && (stale || strcmp(now, program))) {
        /* A new release: the supervisor goes, what it keeps alive stays and is taken over by the next one. */
        stop_supervisor(&id, SIGUSR2);
        running = false;
    }
    if (!running)
        r = start(c, dir, program, err);
    for (int i = 0; i < 50 && r == 0 && local_supervisor_find(c->infrastructure, dir, &id, NULL, NULL) < 0; i++)
        poll(NULL, 0, 20);
    return r < 0 ? r : machine_observe(c, ret, err);
}

static int machine_change(const struct plan_call *c, const json_t *have OH_UNUSED, const json_t *want, json_t **ret,
                          struct err *err)
{
    return machine_settle(c, want, ret, err);
}

static int machine_ready(const struct plan_call *c, json_t *attributes, struct err *err)
{
    struct proc_id id, again;
    autofree char *dir = machine_dir(c);
    if (local_supervisor_find(c->infrastructure, dir, &id, NULL, NULL) == 0) {
        poll(NULL, 0, 150);
        if (local_supervisor_find(c->infrastructure, dir, &again, NULL, NULL) == 0 && again.pid == id.pid) {
            json_object_set_new(attributes, "running", json_true());
            return 1;
        }
    }
    return err_set(err, -EIO, "the supervisor ended right after its start: see %s/supervisor.log", dir);
}

/* --- stopping --- */

static int remove_all(const char *dir, struct err *err)
{
    autoarena struct arena *arena = arena_new();
    const char **names;
    size_t n;
    bool idle = false;
    int64_t limit = clock_mono_ms(&clock_system) + STOP_MS;
    int r = placement_names(dir, "want", arena, &names, &n, err);
    for (size_t i = 0; r == 0 && i < n; i++)
        r = placement_remove(dir, names[i], true, err);
    while (r == 0 && !idle && clock_mono_ms(&clock_system) < limit) {
        r = placement_idle(dir, &idle, err);
        if (r == 0 && !idle)
            poll(NULL, 0, 50);
    }
    return r;
}

static int machine_destroy(const struct plan_call *c, const json_t *have OH_UNUSED, struct err *err)
{
    struct local_filter all = {.infrastructure = c->infrastructure};
    struct proc_id id;
    autofree char *dir = machine_dir(c);
    int r = check_marker(c, dir, err);
    if (r < 0)
        return r;
    if (local_supervisor_find(c->infrastructure, dir, &id, NULL, NULL) == 0) {
        (void)!remove_all(dir, NULL); /* what cannot be ended in order is ended below */
        stop_supervisor(&id, SIGTERM);
    }
    r = local_sweep(&all, 5000, err);
    return r < 0 ? r : fs_remove_tree(dir, err);
}

static const struct plan_attribute machine_attributes[] = {
    {"dir", PLAN_REPLACE}, {"program", 0}, {"running", 0}, {"pid", PLAN_COMPUTED | PLAN_VOLATILE}, {NULL, 0}};

const struct plan_type local_machine_type = {.name = "local_machine",
                                             .attributes = machine_attributes,
                                             .ready_timeout_ms = 10000,
                                             .observe = machine_observe,
                                             .create = machine_settle,
                                             .change = machine_change,
                                             .destroy = machine_destroy,
                                             .ready = machine_ready};
