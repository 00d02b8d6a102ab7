/* Finding and ending leftover processes by their mark. */
#include "cli/sweep.h"

#include "base/clock.h"
#include "base/mem.h"

#include <ctype.h>
#include <dirent.h>
#include <limits.h>
#include <signal.h>
#include <time.h>

#define MARK "OWNHOUSE_INFRASTRUCTURE="
#define ROUNDS 5 /* a supervisor killed late may have started one more child */

static bool starts_with(const char *text, const char *prefix)
{
    return !strncmp(text, prefix, strlen(prefix));
}

enum how { EQUAL, BEGINS, HOLDS };

static bool fits(const char *item, const char *want, enum how how)
{
    return how == EQUAL ? !strcmp(item, want) : how == BEGINS ? starts_with(item, want) : strstr(item, want) != NULL;
}

/* Whether one of the file's NUL-separated texts is what is looked for; that text in *ret (heap) if wanted. */
static bool find_item(pid_t pid, const char *file, const char *want, enum how how, char **ret)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
    autofclose FILE *f = fopen(path, "re");
    autofree char *item = NULL;
    size_t cap = 0;
    while (f && getdelim(&item, &cap, 0, f) > 0) {
        if (!fits(item, want, how))
            continue;
        if (ret)
            *ret = TAKE_PTR(item);
        return true;
    }
    return false;
}

static bool works_below(pid_t pid, const char *folder)
{
    char path[64], target[PATH_MAX];
    snprintf(path, sizeof(path), "/proc/%d/cwd", (int)pid);
    ssize_t n = readlink(path, target, sizeof(target) - 1);
    if (n <= 0)
        return false;
    target[n] = 0;
    return starts_with(target, folder);
}

static bool is_ours(pid_t pid, const char *accounts, const char *infrastructure)
{
    autofree char *mark = NULL;
    if (!find_item(pid, "environ", MARK, BEGINS, &mark))
        return false;
    if (*infrastructure && !strcmp(mark + strlen(MARK), infrastructure))
        return true;
    return works_below(pid, accounts) || find_item(pid, "cmdline", accounts, HOLDS, NULL);
}

int sweep_find(const char *home, const char *infrastructure, const char *argument, struct proc_id **ret, size_t *ret_n,
               struct err *err)
{
    autofree char *accounts = mem_printf("%s/accounts/", home);
    struct proc_id *found = mem_alloc(SWEEP_MAX * sizeof(*found));
    size_t n = 0;
    DIR *d = opendir("/proc");
    if (!d) {
        free(found);
        return err_set_errno(err, -errno, "cannot list processes in /proc");
    }
    for (struct dirent *e; n < SWEEP_MAX && (e = readdir(d));) {
        pid_t pid = isdigit((unsigned char)e->d_name[0]) ? atoi(e->d_name) : 0;
        /* Identified before it is looked at: a reused pid is then another process and is not signalled. */
        if (pid > 0 && pid != getpid() && proc_identify(pid, &found[n]) == 0 &&
            is_ours(pid, accounts, infrastructure) && (!argument || find_item(pid, "cmdline", argument, EQUAL, NULL)))
            n++;
    }
    closedir(d);
    *ret = found;
    *ret_n = n;
    return 0;
}

static size_t alive(const struct proc_id *ids, size_t n)
{
    size_t left = 0;
    for (size_t i = 0; i < n; i++)
        left += proc_alive(&ids[i]);
    return left;
}

static void signal_all(const struct proc_id *ids, size_t n, int sig)
{
    for (size_t i = 0; i < n; i++)
        (void)!proc_kill(&ids[i], sig);
}

static void wait_gone(const struct proc_id *ids, size_t n, int ms)
{
    int64_t deadline = clock_mono_ms(&clock_system) + ms;
    while (alive(ids, n) && clock_mono_ms(&clock_system) < deadline)
        nanosleep(&(struct timespec){0, 50 * 1000000L}, NULL);
}

int sweep_stop(const char *home, const char *infrastructure, int grace_ms, struct err *err)
{
    int total = 0;
    for (int round = 0; round < ROUNDS; round++) {
        autofree struct proc_id *ids = NULL;
        size_t n = 0;
        int r = sweep_find(home, infrastructure, NULL, &ids, &n, err);
        if (r < 0)
            return r;
        if (!n)
            break;
        total += (int)n;
        if (round == 0) {
            signal_all(ids, n, SIGTERM);
            wait_gone(ids, n, grace_ms);
        }
        signal_all(ids, n, SIGKILL);
        wait_gone(ids, n, 2000);
    }
    return total;
}
