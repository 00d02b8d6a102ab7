/* Forks a child that waits at a gate, then becomes the program. */
#include "runtime/process/launch.h"

#include "base/mem.h"

#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

enum step { STEP_NETNS, STEP_FOLDER, STEP_OUTPUT, STEP_EXEC };
static const char *const step_texts[] = {"cannot enter the network namespace", "cannot enter its working folder",
                                         "cannot open its output", "cannot run"};

struct report {
    int step, code;
};

/* The child's side: only calls that are safe after fork. */
static OH_NORETURN void fail(int gate, enum step step, int code)
{
    struct report r = {step, code};
    ssize_t n = send(gate, &r, sizeof(r), MSG_NOSIGNAL);
    _exit(n == sizeof(r) ? 126 : 125);
}

static void reset_signals(void)
{
    struct sigaction dfl = {.sa_handler = SIG_DFL};
    sigset_t none;
    for (int sig = 1; sig < NSIG; sig++)
        sigaction(sig, &dfl, NULL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static void close_others(unsigned gate)
{
    if (gate > 3)
        syscall(SYS_close_range, 3U, gate - 1, 0U);
    syscall(SYS_close_range, gate + 1, ~0U, 0U);
}

static bool write_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : write(fd, text, strlen(text));
    if (fd >= 0)
        close(fd);
    return n >= 0;
}

static void set_limits(const struct launch_spec *s)
{
    struct rlimit core = {0, 0}, files;
    setrlimit(RLIMIT_CORE, &core); /* a dump would put customers' rows outside their volumes */
    /* Raising one's own score is always allowed; the supervisor should outlive what it watches. */
    (void)write_text("/proc/self/oom_score_adj", "200");
    if (!s->open_files || getrlimit(RLIMIT_NOFILE, &files) < 0)
        return;
    files.rlim_cur = (rlim_t)s->open_files;
    if (files.rlim_max < files.rlim_cur)
        files.rlim_max = files.rlim_cur;
    if (setrlimit(RLIMIT_NOFILE, &files) == 0 || getrlimit(RLIMIT_NOFILE, &files) < 0)
        return;
    files.rlim_cur = files.rlim_max; /* more than we may give: then all that we may */
    setrlimit(RLIMIT_NOFILE, &files);
}

static OH_NORETURN void child(const struct launch_spec *s, int gate)
{
    char go;
    reset_signals();
    setsid();
    if (s->netns >= 0 && setns(s->netns, CLONE_NEWNET) < 0)
        fail(gate, STEP_NETNS, errno);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0 || dup2(null, 0) < 0 || dup2(s->output, 1) < 0 || dup2(s->output, 2) < 0)
        fail(gate, STEP_OUTPUT, errno);
    close_others((unsigned)gate);
    if (chdir(s->folder) < 0)
        fail(gate, STEP_FOLDER, errno);
    set_limits(s);
    umask(027);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (recv(gate, &go, 1, 0) != 1)
        _exit(125);
    execve(s->executable, s->argv, s->envp);
    fail(gate, STEP_EXEC, errno);
}

int launch_fork(const struct launch_spec *spec, struct launch *ret, struct err *err)
{
    int pair[2];
    struct launch l;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return err_set_errno(err, -errno, "cannot make a socket pair");
    fflush(NULL);
    pid_t pid = fork();
    if (pid < 0) {
        int code = -errno;
        close(pair[0]);
        close(pair[1]);
        return err_set_errno(err, code, "cannot start a process");
    }
    if (pid == 0) {
        close(pair[0]);
        child(spec, pair[1]);
    }
    close(pair[1]);
    l.gate = pair[0];
    /* It cannot be gone: it is ours to reap. A failed child is a zombie, which counts as gone. */
    if (proc_identify(pid, &l.id) < 0)
        l.id = (struct proc_id){pid, 0};
    *ret = l;
    return 0;
}

int launch_release(struct launch *l, struct err *err)
{
    /* A child that already failed has closed its end; launch_result() says why. */
    if (send(l->gate, "g", 1, MSG_NOSIGNAL) == 1 || errno == EPIPE || errno == ECONNRESET)
        return 0;
    return err_set_errno(err, -errno, "cannot release the process");
}

int launch_result(struct launch *l, struct err *err)
{
    struct report r;
    if (l->gate < 0)
        return 0;
    ssize_t n = recv(l->gate, &r, sizeof(r), MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return -EAGAIN;
    launch_abandon(l);
    if (n != (ssize_t)sizeof(r) || r.step < 0 || r.step > STEP_EXEC)
        return 0;
    return err_set_errno(err, -r.code, "%s", step_texts[r.step]);
}

void launch_abandon(struct launch *l)
{
    if (l->gate >= 0)
        close(l->gate);
    l->gate = -1;
}
