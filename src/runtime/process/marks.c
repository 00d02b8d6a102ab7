/* Finding processes by the marks in their environment. */
#include "runtime/process/marks.h"

#include "base/fs.h"
#include "base/mem.h"

#include <dirent.h>

#define ENVIRON_MAX KIB(128)

/* The value of NAME in a block of NUL-terminated NAME=value texts, or NULL. */
static const char *lookup(const char *block, size_t len, const char *name)
{
    size_t n = strlen(name);
    for (size_t at = 0; at < len; at += strlen(block + at) + 1)
        if (!strncmp(block + at, name, n) && block[at + n] == '=')
            return block + at + n + 1;
    return NULL;
}

/* Reads a process's environment, NUL-terminated beyond its end; <= 0 if there is none to read. */
static ssize_t read_environ(pid_t pid, char *into, size_t size)
{
    char path[64];
    size_t len = 0;
    snprintf(path, sizeof(path), "/proc/%d/environ", (int)pid);
    autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    while (len < size - 1) {
        ssize_t n = read(fd, into + len, size - 1 - len);
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        len += (size_t)n;
    }
    into[len] = 0;
    return (ssize_t)len;
}

static void add_mark(struct marks *m, const struct proc_id *id, const char *workload, const char *start)
{
    if (m->n == m->cap)
        m->items = mem_realloc(m->items, (m->cap = m->cap ? 2 * m->cap : 16) * sizeof(*m->items));
    struct mark *mark = &m->items[m->n++];
    *mark = (struct mark){.id = *id};
    snprintf(mark->workload, sizeof(mark->workload), "%s", workload);
    snprintf(mark->start, sizeof(mark->start), "%s", start ? start : "");
}

static void look_at(pid_t pid, const char *place, char *block, struct marks *m)
{
    struct proc_id id;
    /* Start time first: if the pid changes hands in between, a later proc_open() of the pair fails. */
    if (proc_identify(pid, &id) < 0)
        return;
    ssize_t len = read_environ(pid, block, ENVIRON_MAX);
    const char *found = len > 0 ? lookup(block, (size_t)len, MARK_PLACE) : NULL;
    const char *workload = found && !strcmp(found, place) ? lookup(block, (size_t)len, MARK_WORKLOAD) : NULL;
    if (workload)
        add_mark(m, &id, workload, lookup(block, (size_t)len, MARK_START));
}

int marks_scan(const char *place, struct marks *ret, struct err *err)
{
    autofree char *block = mem_alloc(ENVIRON_MAX);
    struct marks m = {0};
    DIR *d = opendir("/proc");
    if (!d)
        return err_set_errno(err, -errno, "cannot list /proc");
    for (struct dirent *e; (e = readdir(d));) {
        char *end;
        long pid = strtol(e->d_name, &end, 10);
        if (!*end && pid > 0 && pid != getpid())
            look_at((pid_t)pid, place, block, &m);
    }
    closedir(d);
    *ret = m;
    return 0;
}

enum mark_match marks_match(const struct proc_id *id, const char *place, const char *workload, const char *start)
{
    struct proc_id now;
    if (id->pid <= 0 || proc_identify(id->pid, &now) < 0 || now.start_ticks != id->start_ticks)
        return MARK_GONE;
    if (getsid(id->pid) != id->pid)
        return MARK_FOREIGN;
    autofree char *block = mem_alloc(ENVIRON_MAX);
    ssize_t len = read_environ(id->pid, block, ENVIRON_MAX);
    if (len <= 0)
        return MARK_HIDDEN;
    const char *p = lookup(block, (size_t)len, MARK_PLACE), *w = lookup(block, (size_t)len, MARK_WORKLOAD),
               *s = lookup(block, (size_t)len, MARK_START);
    if (p && w && s && !strcmp(p, place) && !strcmp(w, workload) && !strcmp(s, start))
        return MARK_YES;
    return MARK_FOREIGN;
}

void marks_boot(char out[37])
{
    autofclose FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");
    out[0] = 0;
    if (f && fscanf(f, "%36s", out) != 1)
        out[0] = 0;
}
