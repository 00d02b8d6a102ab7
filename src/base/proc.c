/* Running commands and naming processes. */
#include "base/proc.h"

#include "base/clock.h"
#include "base/mem.h"

#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>

extern char **environ;

static int pidfd_open(pid_t pid)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    return fd < 0 ? -errno : fd;
}

static int pidfd_signal(int fd, int sig)
{
    return syscall(SYS_pidfd_send_signal, fd, sig, NULL, 0) < 0 ? -errno : 0;
}

int proc_identify(pid_t pid, struct proc_id *ret)
{
    char path[64], text[1024];
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -ESRCH;
    ssize_t n = read(fd, text, sizeof(text) - 1);
    if (n <= 0)
        return -ESRCH;
    text[n] = 0;
    /* The name in parentheses may hold anything, even ") "; what follows the last parenthesis is numbers. */
    char state, *p = strrchr(text, ')');
    unsigned long long start;
    if (!p || sscanf(p + 1, " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu", &state,
                     &start) != 2)
        return -ESRCH;
    if (state == 'Z' || state == 'X')
        return -ESRCH;
    ret->pid = pid;
    ret->start_ticks = start;
    return 0;
}

int proc_open(const struct proc_id *id)
{
    struct proc_id now;
    autoclose int fd = id->pid > 0 ? pidfd_open(id->pid) : -ESRCH;
    if (fd < 0)
        return -ESRCH;
    /* The descriptor is taken first: if the start time still matches, it is this process's for good. */
    if (proc_identify(id->pid, &now) < 0 || now.start_ticks != id->start_ticks)
        return -ESRCH;
    return oh_take_fd(&fd);
}

bool proc_alive(const struct proc_id *id)
{
    autoclose int fd = proc_open(id);
    return fd >= 0;
}

int proc_kill(const struct proc_id *id, int sig)
{
    autoclose int fd = proc_open(id);
    return fd < 0 ? fd : pidfd_signal(fd, sig);
}

struct pump {
    int in, out, errout; /* our ends of the child's three pipes, -1 when closed */
    const char *input;
    struct buf *stdout_buf;
    struct buf stderr_buf;
};

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void read_some(int *fd, struct buf *into)
{
    char chunk[4096];
    ssize_t n = read(*fd, chunk, sizeof(chunk));
    if (n > 0 && into)
        buf_add(into, chunk, (size_t)n);
    else if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN))
        close_fd(fd);
}

static void write_some(struct pump *p)
{
    ssize_t n = *p->input ? write(p->in, p->input, strlen(p->input)) : 0;
    if (n > 0)
        p->input += n;
    if (!*p->input || (n < 0 && errno != EINTR && errno != EAGAIN))
        close_fd(&p->in);
}

/* Moves bytes until the child closed both outputs or time is up. */
static int pump_run(struct pump *p, int64_t deadline)
{
    while (p->out >= 0 || p->errout >= 0) {
        int64_t left = deadline - clock_mono_ms(&clock_system);
        struct pollfd fds[] = {{p->in, POLLOUT, 0}, {p->out, POLLIN, 0}, {p->errout, POLLIN, 0}};
        if (left <= 0)
            return -ETIMEDOUT;
        if (poll(fds, 3, (int)MIN(left, (int64_t)1000)) < 0 && errno != EINTR)
            return -errno;
        if (fds[0].revents && p->in >= 0)
            write_some(p);
        if (fds[1].revents)
            read_some(&p->out, p->stdout_buf);
        if (fds[2].revents)
            read_some(&p->errout, &p->stderr_buf);
    }
    return 0;
}

static int reap(pid_t pid, int64_t deadline, int *ret_status)
{
    autoclose int fd = pidfd_open(pid);
    int64_t left = deadline - clock_mono_ms(&clock_system);
    struct pollfd pfd = {fd, POLLIN, 0};
    bool late = fd >= 0 && poll(&pfd, 1, (int)MAX(left, (int64_t)0)) == 0;
    if (late)
        kill(pid, SIGKILL);
    while (waitpid(pid, ret_status, 0) < 0 && errno == EINTR)
        ;
    return late ? -ETIMEDOUT : 0;
}

static int start(const char *const *argv, struct pump *p, pid_t *ret_pid)
{
    int in[2] = {-1, -1}, out[2] = {-1, -1}, errout[2] = {-1, -1}, r = 0;
    posix_spawn_file_actions_t fa;
    posix_spawnattr_t attr;
    sigset_t none, all;
    if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0 || pipe2(errout, O_CLOEXEC) < 0)
        r = -errno;
    if (r == 0) {
        posix_spawn_file_actions_init(&fa);
        posix_spawn_file_actions_adddup2(&fa, in[0], 0);
        posix_spawn_file_actions_adddup2(&fa, out[1], 1);
        posix_spawn_file_actions_adddup2(&fa, errout[1], 2);
        posix_spawnattr_init(&attr);
        sigemptyset(&none);
        sigfillset(&all);
        posix_spawnattr_setsigmask(&attr, &none);
        posix_spawnattr_setsigdefault(&attr, &all);
        posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
        r = -posix_spawnp(ret_pid, argv[0], &fa, &attr, (char *const *)(uintptr_t)argv, environ);
        posix_spawn_file_actions_destroy(&fa);
        posix_spawnattr_destroy(&attr);
    }
    close_fd(&in[0]);
    close_fd(&out[1]);
    close_fd(&errout[1]);
    p->in = in[1];
    p->out = out[0];
    p->errout = errout[0];
    return r;
}

static int judge(const char *name, int r, int status, struct buf *said, struct err *err)
{
    const char *text = said->data ? said->data : "";
    int line = (int)MIN(strcspn(text, "\n"), (size_t)300);
    if (r == -ETIMEDOUT)
        return err_set(err, r, "%s took too long and was stopped", name);
    if (r < 0)
        return err_set_errno(err, r, "%s", name);
    if (WIFSIGNALED(status))
        return err_set(err, -EIO, "%s was ended by signal %d", name, WTERMSIG(status));
    if (WEXITSTATUS(status))
        return err_set(err, -EIO, "%s failed with status %d: %.*s", name, WEXITSTATUS(status), line, text);
    return 0;
}

int proc_run(const char *const *argv, const char *input, int timeout_ms, struct buf *out, struct err *err)
{
    struct pump p = {.input = input ? input : "", .stdout_buf = out, .stderr_buf = BUF_INIT_MAX(KIB(64))};
    int64_t deadline = clock_mono_ms(&clock_system) + timeout_ms;
    pid_t pid;
    int status = 0, r = start(argv, &p, &pid);
    if (r == -ENOENT)
        err_set(err, r, "the program %s is not installed", argv[0]);
    else if (r < 0)
        err_set_errno(err, r, "cannot start %s", argv[0]);
    if (r == 0) {
        r = pump_run(&p, deadline);
        if (r < 0)
            kill(pid, SIGKILL);
        int late = reap(pid, deadline, &status);
        r = judge(argv[0], r < 0 ? r : late, status, &p.stderr_buf, err);
    }
    close_fd(&p.in);
    close_fd(&p.out);
    close_fd(&p.errout);
    buf_free(&p.stderr_buf);
    return r;
}
