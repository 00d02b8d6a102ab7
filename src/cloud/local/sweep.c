/* Processes of an infrastructure, found by the tag in their environment or by their namespace, and ended by pidfd. */
#include "cloud/local/internal.h"

#include "base/clock.h"

#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>

#define ENVIRON_MAX KIB(128)
#define SWEPT_MAX 65536

/* A file of /proc, NUL-terminated twice; NULL when it cannot be read. */
static char *proc_text(pid_t pid, const char *name, size_t *ret_len)
{
    autofree char *path = mem_printf("/proc/%d/%s", (int)pid, name);
    autofree char *data = NULL;
    size_t len = 0, cap = 0;
    autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    for (;;) {
        if (len == cap && cap < ENVIRON_MAX)
            data = mem_realloc(data, (cap = cap ? 2 * cap : 4096) + 2);
        ssize_t n = len < cap ? read(fd, data + len, cap - len) : 0;
        if (n < 0)
            return NULL;
        if (n == 0)
            break;
        len += (size_t)n;
    }
    data[len] = data[len + 1] = 0;
    *ret_len = len;
    return TAKE_PTR(data);
}

/* The value of an entry of a NUL-separated environment, or NULL. */
static const char *env_value(const char *environment, size_t len, const char *name)
{
    size_t name_len = strlen(name);
    for (const char *p = environment; p < environment + len; p += strlen(p) + 1)
        if (!strncmp(p, name, name_len) && p[name_len] == '=')
            return p + name_len + 1;
    return NULL;
}

static bool equal(const char *a, const char *b)
{
    return a && b && !strcmp(a, b);
}

/* "PROGRAM supervise --dir DIR": the folder (within `line`), or NULL. */
static const char *supervised_dir(const char *line, size_t len)
{
    const char *verb = line + strlen(line) + 1;
    if (verb >= line + len || strcmp(verb, "supervise"))
        return NULL;
    const char *option = verb + strlen(verb) + 1;
    if (option >= line + len || strcmp(option, "--dir"))
        return NULL;
    const char *dir = option + strlen(option) + 1;
    return dir < line + len ? dir : NULL;
}

static bool in_namespace(pid_t pid, uint64_t netns)
{
    struct stat st;
    autofree char *path = mem_printf("/proc/%d/ns/net", (int)pid);
    return netns && stat(path, &st) == 0 && st.st_ino == netns;
}

static bool matches(const struct local_filter *f, pid_t pid)
{
    size_t len, line_len;
    if (pid == getpid())
        return false;
    if (f->netns)
        return in_namespace(pid, f->netns);
    autofree char *environment = proc_text(pid, "environ", &len);
    if (!environment || !equal(env_value(environment, len, "OWNHOUSE_INFRASTRUCTURE"), f->infrastructure))
        return false;
    const char *place = env_value(environment, len, "OWNHOUSE_PLACE");
    if (f->place && !equal(place, f->place))
        return false;
    if (f->not_place && equal(place, f->not_place))
        return false;
    if (f->workload && !equal(env_value(environment, len, "OWNHOUSE_WORKLOAD"), f->workload))
        return false;
    autofree char *line = f->spare_supervisor && !place ? proc_text(pid, "cmdline", &line_len) : NULL;
    return !(line && supervised_dir(line, line_len));
}

/* All processes for which `f` holds. */
static size_t collect(const struct local_filter *f, struct proc_id **ret)
{
    struct dirent *entry;
    size_t n = 0, cap = 0;
    struct proc_id id;
    DIR *d = opendir("/proc");
    *ret = NULL;
    while (d && n < SWEPT_MAX && (entry = readdir(d))) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        /* Identified first: if it is another process by the time it is signalled, the start time tells. */
        if (pid <= 0 || proc_identify(pid, &id) < 0 || !matches(f, pid))
            continue;
        if (n == cap)
            *ret = mem_realloc(*ret, (cap = cap ? 2 * cap : 16) * sizeof(**ret));
        (*ret)[n++] = id;
    }
    if (d)
        closedir(d);
    return n;
}

size_t local_sweep_count(const struct local_filter *f)
{
    autofree struct proc_id *all = NULL;
    return collect(f, &all);
}

static void wait_for(const struct proc_id *id, int64_t until)
{
    autoclose int fd = proc_open(id);
    int64_t left = until - clock_mono_ms(&clock_system);
    struct pollfd p = {fd, POLLIN, 0};
    if (fd >= 0 && left > 0)
        (void)!poll(&p, 1, (int)left);
}

int local_sweep(const struct local_filter *f, int grace_ms, struct err *err)
{
    int64_t soft = clock_mono_ms(&clock_system) + grace_ms, hard = soft + 10000;
    for (int round = 0;; round++) {
        autofree struct proc_id *all = NULL;
        size_t n = collect(f, &all);
        int64_t now = clock_mono_ms(&clock_system);
        bool kill_now = now >= soft;
        if (!n)
            return 0;
        if (now >= hard)
            return err_set(err, -EBUSY, "%zu processes of the infrastructure will not end, one is %d", n,
                           (int)all[0].pid);
        for (size_t i = 0; i < n; i++)
            if (kill_now || round == 0)
                (void)!proc_kill(&all[i], kill_now ? SIGKILL : SIGTERM);
        /* New ones may be born meanwhile: look again soon. */
        for (size_t i = 0; i < n; i++)
            wait_for(&all[i], kill_now ? clock_mono_ms(&clock_system) + 200 : soft);
    }
}

int local_wait_end(const struct proc_id *id, int ms)
{
    autoclose int fd = proc_open(id);
    struct pollfd p = {fd, POLLIN, 0};
    if (fd < 0)
        return 0;
    return poll(&p, 1, ms) > 0 || !proc_alive(id) ? 0 : -ETIMEDOUT;
}

bool local_program_replaced(const struct proc_id *id)
{
    static const char suffix[] = " (deleted)";
    char target[PATH_MAX];
    autofree char *link = mem_printf("/proc/%d/exe", (int)id->pid);
    ssize_t n = readlink(link, target, sizeof(target) - 1);
    target[MAX(n, (ssize_t)0)] = 0;
    return n > (ssize_t)strlen(suffix) && !strcmp(target + n - strlen(suffix), suffix);
}

static bool is_supervisor(pid_t pid, const char *infrastructure, const char *dir, char **program)
{
    size_t len;
    autofree char *line = proc_text(pid, "cmdline", &len);
    if (!line || !equal(supervised_dir(line, len), dir))
        return false;
    size_t environment_len;
    autofree char *environment = proc_text(pid, "environ", &environment_len);
    if (!environment || !equal(env_value(environment, environment_len, "OWNHOUSE_INFRASTRUCTURE"), infrastructure))
        return false;
    if (program)
        *program = mem_strdup(line);
    return true;
}

int local_supervisor_find(const char *infrastructure, const char *dir, struct proc_id *ret, char **program, bool *stale)
{
    struct dirent *entry;
    int r = -ESRCH;
    DIR *d = opendir("/proc");
    while (d && r < 0 && (entry = readdir(d))) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        if (pid > 0 && proc_identify(pid, ret) == 0 && is_supervisor(pid, infrastructure, dir, program))
            r = 0;
    }
    if (d)
        closedir(d);
    if (r == 0 && stale)
        *stale = local_program_replaced(ret);
    return r;
}
