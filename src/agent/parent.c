/* Keeps the agent's role processes running. */
#include "agent/parent.h"

#include "agent/place.h"
#include "agent/role.h"
#include "agent/upgrade.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "runtime/process/restart.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <uv.h>

#define OPERATOR_GRACE_MS 5000
#define LEDGER_GRACE_MS 10000
#define SUPERVISOR_GRACE_MS 120000 /* it gives its workloads their own grace, each in its order */

struct child {
    struct parent *parent;
    enum agent_role_id id;
    pid_t pid; /* 0: not running */
    int64_t started_at;
    struct restart restart;
    uv_timer_t timer; /* the next start, or the kill */
    bool renewed;     /* ended by us, to be started from another program */
};

struct parent {
    uv_loop_t loop;
    uv_signal_t signals[4];
    const char *program, *config_path;
    struct agent_role fds[AGENT_ROLE_COUNT]; /* only their descriptors */
    struct child children[AGENT_ROLE_COUNT];
    int ending; /* the signal that ends the agent, 0 = none */
    int lock;
    struct upgrade *upgrade; /* NULL: none here */
    uv_timer_t upgrade_timer;
    int operator_ends; /* by itself, since it was last started from another program */
};

static const int signal_numbers[] = {SIGTERM, SIGINT, SIGUSR2, SIGCHLD};

/* The signal a role gets when its parent dies unasked: workloads must live on. */
static const int death_signals[AGENT_ROLE_COUNT] = {
    [AGENT_ROLE_OPERATOR] = SIGTERM, [AGENT_ROLE_SUPERVISOR] = SIGUSR2, [AGENT_ROLE_LEDGER] = SIGTERM,
    [AGENT_ROLE_GATE] = SIGTERM,     [AGENT_ROLE_NAMES] = SIGTERM,
};

/* Who records in the ledger. */
static const bool records[AGENT_ROLE_COUNT] = {[AGENT_ROLE_OPERATOR] = true, [AGENT_ROLE_GATE] = true};

/* A pair for each; they outlive the processes, so that a role that starts again finds its peer. */
static int make_fds(struct parent *p, struct err *err)
{
    for (int i = 0; i < AGENT_ROLE_COUNT; i++) {
        p->fds[i].ledger = -1;
        for (int k = 0; k < AGENT_ROLE_COUNT; k++)
            p->fds[i].askers[k] = -1;
    }
    for (int i = 0; i < AGENT_ROLE_COUNT; i++) {
        int pair[2], room = 512 * 1024;
        if (!records[i])
            continue;
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
            return err_set_errno(err, -errno, "cannot make a socket pair");
        for (int k = 0; k < 2; k++)
            setsockopt(pair[k], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
        p->fds[i].ledger = pair[0];
        p->fds[AGENT_ROLE_LEDGER].askers[i] = pair[1];
    }
    return 0;
}

static void start_role(struct child *c);

static void on_start_timer(uv_timer_t *t)
{
    start_role(t->data);
}

static void start_later(struct child *c, int64_t ran_ms)
{
    uv_timer_start(&c->timer, on_start_timer, (uint64_t)restart_next(&c->restart, ran_ms), 0);
}

static OH_NORETURN void become(const struct child *c, pid_t parent)
{
    const struct parent *p = c->parent;
    const char *release = upgrade_program(p->upgrade, c->id == AGENT_ROLE_OPERATOR);
    const char *program = release ? release : p->program;
    struct sigaction dfl = {.sa_handler = SIG_DFL};
    sigset_t none;
    /* The death signal may come before the role has its handlers: workloads are not its children yet then. */
    prctl(PR_SET_PDEATHSIG, death_signals[c->id]);
    if (getppid() != parent)
        _exit(0);
    sigemptyset(&none);
    for (int sig = 1; sig < NSIG; sig++)
        sigaction(sig, &dfl, NULL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    putenv(role_fds_export(&p->fds[c->id]));
    /* What belongs beside the agent is looked for where it is installed. */
    setenv(PLACE_INSTALLED_VARIABLE, p->program, 1);
    execl(program, program, "--role", agent_role_names[c->id], "--config", p->config_path, (char *)NULL);
    _exit(127);
}

static void start_role(struct child *c)
{
    pid_t self = getpid();
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0)
        become(c, self);
    if (pid < 0) {
        log_error("cannot start a role", "name", agent_role_names[c->id], "error", strerror(errno));
        start_later(c, 0);
        return;
    }
    c->pid = pid;
    c->started_at = clock_mono_ms(&clock_system);
    char text[16];
    snprintf(text, sizeof(text), "%d", (int)pid);
    log_debug("role started", "name", agent_role_names[c->id], "pid", text);
}

static void on_kill_timer(uv_timer_t *t)
{
    struct child *c = t->data;
    if (!c->pid)
        return;
    log_warn("role did not end in time: killed", "name", agent_role_names[c->id]);
    kill(c->pid, SIGKILL);
}

static void end_role(struct child *c, int sig, int grace_ms)
{
    uv_timer_stop(&c->timer);
    if (!c->pid)
        return;
    kill(c->pid, sig);
    uv_timer_start(&c->timer, on_kill_timer, (uint64_t)grace_ms, 0);
}

/* The gate first, so that nobody is left inside, and the operator, so that nobody asks for anything while workloads
 * stop; the ledger last, since all record. */
static void go_on_ending(struct parent *p)
{
    struct child *operator= & p->children[AGENT_ROLE_OPERATOR], *supervisor = &p->children[AGENT_ROLE_SUPERVISOR],
                 *ledger = &p->children[AGENT_ROLE_LEDGER];
    if (operator->pid || p->children[AGENT_ROLE_GATE].pid || p->children[AGENT_ROLE_NAMES].pid)
        return;
    if (supervisor->pid) {
        if (!uv_is_active((uv_handle_t *)&supervisor->timer))
            end_role(supervisor, p->ending == SIGUSR2 ? SIGUSR2 : SIGTERM, SUPERVISOR_GRACE_MS);
        return;
    }
    if (ledger->pid) {
        if (!uv_is_active((uv_handle_t *)&ledger->timer))
            end_role(ledger, SIGTERM, LEDGER_GRACE_MS);
        return;
    }
    uv_stop(&p->loop);
}

static void begin_ending(struct parent *p, int sig)
{
    if (p->ending)
        return;
    p->ending = sig;
    log_info(sig == SIGUSR2 ? "ending; workloads go on" : "ending, with all workloads");
    uv_timer_stop(&p->children[AGENT_ROLE_SUPERVISOR].timer);
    uv_timer_stop(&p->children[AGENT_ROLE_LEDGER].timer);
    end_role(&p->children[AGENT_ROLE_GATE], SIGTERM, OPERATOR_GRACE_MS);
    end_role(&p->children[AGENT_ROLE_NAMES], SIGTERM, OPERATOR_GRACE_MS);
    end_role(&p->children[AGENT_ROLE_OPERATOR], SIGTERM, OPERATOR_GRACE_MS);
    go_on_ending(p);
}

static void ended(struct child *c, int status)
{
    char text[64];
    int64_t ran = clock_mono_ms(&clock_system) - c->started_at;
    c->pid = 0;
    uv_timer_stop(&c->timer);
    if (c->parent->ending)
        return;
    if (c->renewed) {
        c->renewed = false;
        start_role(c);
        return;
    }
    if (c->id == AGENT_ROLE_OPERATOR)
        c->parent->operator_ends++;
    snprintf(text, sizeof(text), WIFSIGNALED(status) ? "signal %d" : "status %d",
             WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    log_warn("role ended; starting it again", "name", agent_role_names[c->id], "end", text);
    start_later(c, ran);
}

static void reap(struct parent *p)
{
    for (size_t i = 0; i < AGENT_ROLE_COUNT; i++) {
        struct child *c = &p->children[i];
        int status = 0;
        if (c->pid && waitpid(c->pid, &status, WNOHANG) == c->pid)
            ended(c, status);
    }
    if (p->ending)
        go_on_ending(p);
}

static void on_signal(uv_signal_t *handle, int number)
{
    if (number == SIGCHLD)
        reap(handle->data);
    else
        begin_ending(handle->data, number);
}

/* ---- another program ---- */

static void renew(struct child *c)
{
    if (c->pid) {
        c->renewed = true;
        end_role(c, c->id == AGENT_ROLE_SUPERVISOR ? SIGUSR2 : SIGTERM,
                 c->id == AGENT_ROLE_LEDGER ? LEDGER_GRACE_MS : OPERATOR_GRACE_MS);
    } else if (uv_is_active((uv_handle_t *)&c->timer)) {
        uv_timer_stop(&c->timer);
        start_role(c);
    }
}

static void on_upgrade_timer(uv_timer_t *t)
{
    struct parent *p = t->data;
    struct child *operator= & p->children[AGENT_ROLE_OPERATOR];
    if (p->ending)
        return;
    enum upgrade_step step = upgrade_look(p->upgrade, operator->pid, p->operator_ends, clock_mono_ms(&clock_system));
    if (step == UPGRADE_OPERATOR) {
        p->operator_ends = 0;
        renew(operator);
    }
    for (size_t i = 0; step == UPGRADE_OTHERS && i < AGENT_ROLE_COUNT; i++)
        if (i != AGENT_ROLE_OPERATOR)
            renew(&p->children[i]);
}

static int open_lock(const struct agent_config *config, int mode)
{
    autofree char *path = agent_path(config, "run/lock");
    return open(path, mode | O_CLOEXEC | O_NOFOLLOW, 0600);
}

bool parent_alive(const struct agent_config *config)
{
    struct flock all = {.l_type = F_WRLCK};
    autoclose int fd = open_lock(config, O_RDONLY);
    return fd >= 0 && fcntl(fd, F_OFD_GETLK, &all) == 0 && all.l_type != F_UNLCK;
}

static int take_lock(const struct agent_config *config, struct err *err)
{
    struct flock all = {.l_type = F_WRLCK};
    autoclose int fd = open_lock(config, O_RDWR | O_CREAT);
    if (fd < 0)
        return err_set_errno(err, -errno, "cannot open the lock below %s", config->home);
    if (fcntl(fd, F_OFD_SETLK, &all) < 0)
        return err_set(err, -EBUSY, "another agent runs on %s: stop it first", config->home);
    return oh_take_fd(&fd);
}

static void close_handle(uv_handle_t *h, void *data OH_UNUSED)
{
    if (!uv_is_closing(h))
        uv_close(h, NULL);
}

int parent_run(const char *program, const char *config_path, const struct agent_config *config, struct err *err)
{
    struct parent p = {.program = program, .config_path = config_path};
    p.lock = take_lock(config, err);
    if (p.lock < 0)
        return p.lock;
    int made = make_fds(&p, err);
    if (made < 0)
        return made;
    uv_loop_init(&p.loop);
    for (size_t i = 0; i < ARRAY_SIZE(signal_numbers); i++) {
        uv_signal_init(&p.loop, &p.signals[i]);
        p.signals[i].data = &p;
        uv_signal_start(&p.signals[i], on_signal, signal_numbers[i]);
    }
    p.upgrade = upgrade_new(config);
    uv_timer_init(&p.loop, &p.upgrade_timer);
    p.upgrade_timer.data = &p;
    if (p.upgrade)
        uv_timer_start(&p.upgrade_timer, on_upgrade_timer, UPGRADE_LOOK_MS, UPGRADE_LOOK_MS);
    for (size_t i = 0; i < AGENT_ROLE_COUNT; i++) {
        struct child *c = &p.children[i];
        c->parent = &p;
        c->id = (enum agent_role_id)i;
        uv_timer_init(&p.loop, &c->timer);
        c->timer.data = c;
        /* Where the cluster runs the workloads there is nothing to supervise. */
        if (c->id == AGENT_ROLE_SUPERVISOR && !strcmp(config->runtime, "kubernetes"))
            continue;
        if (c->id != AGENT_ROLE_NAMES || agent_config_names(config))
            start_role(c);
    }
    uv_run(&p.loop, UV_RUN_DEFAULT);
    uv_walk(&p.loop, close_handle, NULL);
    uv_run(&p.loop, UV_RUN_DEFAULT);
    uv_loop_close(&p.loop);
    upgrade_free(p.upgrade);
    close(p.lock);
    return 0;
}
