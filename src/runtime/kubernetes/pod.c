/* ownhouse-pod: the first process of a pod's container. It starts one program, hands signals on, tells it to read its
 * files again when the kubelet has swapped them, and reaps what is left behind.
 *
 * usage: ownhouse-pod [--reload SIGNAL FOLDER] [--stop SIGNAL] -- PROGRAM [ARGUMENT...]
 *
 * The kubelet changes a mounted folder by swapping the symbolic link `..data` in it (atomic writer): another target is
 * another content. The link is looked at each second; inotify would miss swaps of nested mounts. */
#include "base/util.h"

#include <signal.h>
#include <sys/wait.h>
#include <time.h>

struct pod {
    int reload, stop;
    const char *folder;
    char **argv;
    pid_t child;
    char seen[512]; /* target of the link */
};

static OH_NORETURN void usage(const char *what)
{
    fprintf(stderr,
            "ownhouse-pod: %s\nusage: ownhouse-pod [--reload SIGNAL FOLDER] [--stop SIGNAL] -- PROGRAM [ARGUMENT...]\n",
            what);
    exit(2);
}

static int signal_number(const char *text)
{
    char *end = NULL;
    long n = text ? strtol(text, &end, 10) : 0;
    if (!text || !*text || *end || n < 1 || n >= NSIG)
        usage("a signal must be a number");
    return (int)n;
}

static void parse(struct pod *p, int argc, char **argv)
{
    int i = 1;
    while (i < argc && strcmp(argv[i], "--")) {
        if (!strcmp(argv[i], "--reload") && i + 2 < argc) {
            p->reload = signal_number(argv[i + 1]);
            p->folder = argv[i + 2];
            i += 3;
        } else if (!strcmp(argv[i], "--stop") && i + 1 < argc) {
            p->stop = signal_number(argv[i + 1]);
            i += 2;
        } else {
            usage("an option is not understood");
        }
    }
    if (i + 1 >= argc)
        usage("no program is named");
    p->argv = argv + i + 1;
}

static void look(const struct pod *p, char out[512])
{
    char link[4096];
    snprintf(link, sizeof(link), "%s/..data", p->folder);
    ssize_t n = readlink(link, out, 511);
    out[n > 0 ? n : 0] = '\0';
}

static void reload_if_swapped(struct pod *p)
{
    char now[512];
    if (!p->folder)
        return;
    look(p, now);
    if (!*now || !strcmp(now, p->seen))
        return;
    strcpy(p->seen, now);
    fprintf(stderr, "ownhouse-pod: the files have changed: signal %d\n", p->reload);
    kill(p->child, p->reload);
}

static void start(struct pod *p, const sigset_t *before)
{
    if (p->folder)
        look(p, p->seen);
    p->child = fork();
    if (p->child == 0) {
        for (int sig = 1; sig < NSIG; sig++) /* what whoever started us ignores is not the program's choice */
            signal(sig, SIG_DFL);
        sigprocmask(SIG_SETMASK, before, NULL);
        execvp(p->argv[0], p->argv);
        fprintf(stderr, "ownhouse-pod: %s: %s\n", p->argv[0], strerror(errno));
        _exit(errno == ENOENT ? 127 : 126);
    }
    if (p->child < 0) {
        perror("ownhouse-pod: fork");
        exit(1);
    }
}

/* The exit status when our own child has ended, else -1. */
static int reap(const struct pod *p)
{
    int status, result = -1;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        if (pid == p->child)
            result = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    return result;
}

int main(int argc, char **argv)
{
    struct pod p = {.stop = SIGTERM};
    const struct timespec second = {.tv_sec = 1};
    sigset_t all, before;
    parse(&p, argc, argv);
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    start(&p, &before);
    for (;;) {
        int sig = sigtimedwait(&all, NULL, &second), result = -1;
        if (sig == SIGCHLD)
            result = reap(&p);
        else if (sig > 0)
            kill(p.child, sig == SIGTERM || sig == SIGINT ? p.stop : sig);
        if (result >= 0)
            return result;
        reload_if_swapped(&p);
    }
}
