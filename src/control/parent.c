/* Starts the control plane's role processes and HAProxy and keeps them running. */
#include "control/parent.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "control/front.h"
#include "store/store.h"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define CHILD_COUNT (ROLE_COUNT + 1)
#define CHILD_FRONT ROLE_COUNT
#define BACKOFF_FIRST_MS 200
#define BACKOFF_LAST_MS 10000
#define STABLE_MS 30000
#define KEYS_POLL_MS 10
#define STOP_GRACE_MS 15000
#define CERTIFICATE_CHECK_MS 3600000

/* Lower numbers start first and stop last: the signer must answer before the link asks. */
static const int start_order[CHILD_COUNT] = {ROLE_SIGNER,     ROLE_OUTWARD, ROLE_API,
                                             ROLE_CONTROLLER, ROLE_LINK,    CHILD_FRONT};

struct child {
    const char *name;
    pid_t pid; /* 0 = not running */
    int64_t started_ms, restart_at_ms;
    int backoff_ms;
};

struct parent {
    const char *self, *config_path;
    const struct control_config *config;
    struct role roles[ROLE_COUNT]; /* what each role is handed */
    struct child children[CHILD_COUNT];
    int signal_fd, lock_fd;
    bool stopping;
};

static int64_t now_ms(void)
{
    return clock_mono_ms(&clock_system);
}

static int make_folders(const struct control_config *c, struct err *err)
{
    static const char *const names[] = {"keys", "run", "log", "store"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        autofree char *path = control_path(c, names[i]);
        int r = fs_mkdirs(path, 0700, err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* The lock file holds our pid for people and for `ownhouse down`; the lock itself says whether we live. */
static int take_lock(struct parent *p, struct err *err)
{
    autofree char *path = control_path(p->config, "run/lock");
    char text[32];
    p->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (p->lock_fd < 0)
        return err_set_errno(err, -errno, "cannot open %s", path);
    if (flock(p->lock_fd, LOCK_EX | LOCK_NB) < 0)
        return err_set(err, -EBUSY, "another ownhouse-control runs on %s: stop it first", p->config->state_dir);
    int n = snprintf(text, sizeof(text), "%d\n", (int)getpid());
    if (ftruncate(p->lock_fd, 0) < 0 || write(p->lock_fd, text, (size_t)n) != n)
        return err_set_errno(err, -errno, "cannot write %s", path);
    return 0;
}

static int make_pair(int *ret_asker, int *ret_asked, struct err *err)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return err_set_errno(err, -errno, "cannot make a socket pair");
    *ret_asker = pair[0];
    *ret_asked = pair[1];
    return 0;
}

static int make_descriptors(struct parent *p, struct err *err)
{
    int bell[ROLE_COUNT];
    for (int i = 0; i < ROLE_COUNT; i++) {
        bell[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (bell[i] < 0)
            return err_set_errno(err, -errno, "cannot make an eventfd");
    }
    for (int i = 0; i < ROLE_COUNT; i++) {
        struct role *r = &p->roles[i];
        r->id = (enum role_id)i;
        r->signer = r->outward = -1;
        memcpy(r->bell, bell, sizeof(bell));
        for (int j = 0; j < ROLE_COUNT; j++)
            r->askers[j] = r->outward_askers[j] = -1;
    }
    static const enum role_id askers[] = {ROLE_LINK, ROLE_CONTROLLER, ROLE_API};
    static const enum role_id outward_askers[] = {ROLE_API, ROLE_CONTROLLER};
    int r = 0;
    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(askers); i++)
        r = make_pair(&p->roles[askers[i]].signer, &p->roles[ROLE_SIGNER].askers[askers[i]], err);
    for (size_t i = 0; r == 0 && control_has_outward(p->config) && i < ARRAY_SIZE(outward_askers); i++)
        r = make_pair(&p->roles[outward_askers[i]].outward, &p->roles[ROLE_OUTWARD].outward_askers[outward_askers[i]],
                      err);
    return r;
}

static void become_child(pid_t parent_pid)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent_pid) /* the parent died before prctl took effect */
        _exit(1);
}

/* Keys of the cloud are the controller's alone: no other role, and not HAProxy, is started with them. In the child. */
static void drop_cloud_keys(void)
{
    static const char prefix[] = "AWS_";
    char **at = environ;
    while (*at) {
        autofree char *name = mem_strndup(*at, strcspn(*at, "="));
        if (strncmp(name, prefix, strlen(prefix)) || unsetenv(name) < 0)
            at++;
    }
}

static void exec_role(const struct parent *p, int i)
{
    autofree char *fds = role_fds_export(&p->roles[i]);
    putenv(fds);
    execl(p->self, "ownhouse-control", "--role", role_names[i], "--config", p->config_path, (char *)NULL);
    log_error("cannot start a role", "role", role_names[i], "error", strerror(errno));
    _exit(127);
}

static void exec_front(const struct parent *p)
{
    autofree char *path = control_path(p->config, "run/haproxy.cfg");
    execl(p->config->haproxy_program, "haproxy", "-W", "-db", "-q", "-f", path, (char *)NULL);
    log_error("cannot start HAProxy", "program", p->config->haproxy_program, "error", strerror(errno));
    _exit(127);
}

static void start_child(struct parent *p, int i)
{
    struct child *c = &p->children[i];
    pid_t me = getpid(), pid = fork();
    if (pid < 0) {
        c->restart_at_ms = now_ms() + BACKOFF_LAST_MS;
        log_error("cannot fork", "child", c->name, "error", strerror(errno));
        return;
    }
    if (pid == 0) {
        become_child(me);
        if (i != ROLE_CONTROLLER)
            drop_cloud_keys();
        if (i == CHILD_FRONT)
            exec_front(p);
        exec_role(p, i);
    }
    c->pid = pid;
    c->started_ms = now_ms();
    log_info("started", "child", c->name);
}

static void note_exit(struct parent *p, pid_t pid, int status)
{
    for (int i = 0; i < CHILD_COUNT; i++) {
        struct child *c = &p->children[i];
        char how[48];
        if (c->pid != pid)
            continue;
        c->pid = 0;
        if (p->stopping)
            return;
        if (now_ms() - c->started_ms > STABLE_MS)
            c->backoff_ms = 0;
        c->backoff_ms = c->backoff_ms ? MIN(c->backoff_ms * 2, BACKOFF_LAST_MS) : BACKOFF_FIRST_MS;
        c->restart_at_ms = now_ms() + c->backoff_ms;
        snprintf(how, sizeof(how), WIFSIGNALED(status) ? "signal %d" : "status %d",
                 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
        log_warn("ended, will be restarted", "child", c->name, "how", how);
        return;
    }
}

static void reap(struct parent *p)
{
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
        note_exit(p, pid, status);
}

static bool any_running(const struct parent *p)
{
    for (int i = 0; i < CHILD_COUNT; i++)
        if (p->children[i].pid)
            return true;
    return false;
}

static void signal_children(const struct parent *p, int sig)
{
    for (int i = CHILD_COUNT - 1; i >= 0; i--)
        if (p->children[start_order[i]].pid)
            kill(p->children[start_order[i]].pid, sig);
}

/* At the very first start the signer makes its keys. A role that gave up its rights before their public halves were
 * there could not read them any more, so the others wait for that. */
static bool may_start(const struct parent *p, int child)
{
    autofree char *complete = control_path(p->config, "keys/complete");
    return child == ROLE_SIGNER || child == CHILD_FRONT || fs_exists(complete);
}

static void start_due(struct parent *p)
{
    for (int i = 0; i < CHILD_COUNT; i++) {
        struct child *c = &p->children[start_order[i]];
        if (c->pid || c->restart_at_ms > now_ms())
            continue;
        if (may_start(p, start_order[i]))
            start_child(p, start_order[i]);
        else
            c->restart_at_ms = now_ms() + KEYS_POLL_MS;
    }
}

static int next_wait_ms(const struct parent *p, int64_t limit_at)
{
    int64_t at = limit_at;
    for (int i = 0; i < CHILD_COUNT; i++)
        if (!p->children[i].pid && !p->stopping)
            at = MIN(at, p->children[i].restart_at_ms);
    return (int)MAX(at - now_ms(), (int64_t)1);
}

/* True when the edge certificate was replaced, so HAProxy must take up the new one. */
static void renew_front(struct parent *p)
{
    struct err err = ERR_INIT;
    int r = front_prepare(p->config, &clock_system, &err);
    if (r < 0)
        log_error("cannot renew the edge certificate", "error", err.message);
    else if (r > 0 && p->children[CHILD_FRONT].pid)
        kill(p->children[CHILD_FRONT].pid, SIGUSR2);
}

static void run(struct parent *p)
{
    int64_t check_at = now_ms() + CERTIFICATE_CHECK_MS, kill_at = INT64_MAX;
    while (!p->stopping || any_running(p)) {
        struct pollfd fd = {p->signal_fd, POLLIN, 0};
        struct signalfd_siginfo info;
        if (!p->stopping)
            start_due(p);
        int n = poll(&fd, 1, next_wait_ms(p, p->stopping ? kill_at : check_at));
        if (n > 0 && read(p->signal_fd, &info, sizeof(info)) == sizeof(info) && info.ssi_signo != SIGCHLD &&
            !p->stopping) {
            log_info("stopping");
            p->stopping = true;
            kill_at = now_ms() + STOP_GRACE_MS;
            signal_children(p, SIGTERM);
        }
        reap(p);
        if (now_ms() >= check_at) {
            check_at = now_ms() + CERTIFICATE_CHECK_MS;
            renew_front(p);
        }
        if (p->stopping && now_ms() >= kill_at) {
            log_warn("children did not stop in time, killing them");
            signal_children(p, SIGKILL);
            kill_at = INT64_MAX;
        }
    }
}

static int prepare(struct parent *p, struct err *err)
{
    autofree char *db = control_database(p->config);
    autostore struct store *store = NULL;
    int r = make_folders(p->config, err);
    if (r == 0)
        r = take_lock(p, err);
    if (r == 0)
        r = store_open(db, STORE_CREATE, &store, err);
    if (r == 0)
        r = front_prepare(p->config, &clock_system, err);
    return r < 0 ? r : make_descriptors(p, err);
}

int parent_main(const char *self, const char *config_path, const struct control_config *config)
{
    struct parent p = {.self = self, .config_path = config_path, .config = config, .lock_fd = -1};
    struct err err = ERR_INIT;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, NULL);
    p.signal_fd = signalfd(-1, &set, SFD_CLOEXEC);
    for (int i = 0; i < CHILD_COUNT; i++)
        p.children[i].name = i == CHILD_FRONT ? "haproxy" : role_names[i];
    if (p.signal_fd < 0 || prepare(&p, &err) < 0) {
        log_error("cannot start", "error", err.message);
        fprintf(stderr, "ownhouse-control: %s\n", err.message);
        return 1;
    }
    if (!control_has_outward(config))
        p.children[ROLE_OUTWARD].restart_at_ms = INT64_MAX; /* nothing to do: never started */
    log_info("running", "state_dir", config->state_dir);
    run(&p);
    log_info("stopped");
    return 0;
}
