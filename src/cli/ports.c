/* Who listens where, from /proc. */
#include "cli/ports.h"

#include "base/fs.h"
#include "base/mem.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <dirent.h>
#include <limits.h>
#include <sys/socket.h>

#define TCP_LISTEN 0x0a

int port_free(int port, struct err *err)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    autoclose int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_set_errno(err, -errno, "cannot make a socket");
    /* Ports whose last connections are still in TIME_WAIT may be listened on. */
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int)) < 0)
        return err_set_errno(err, -errno, "cannot set up a socket");
    if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 || listen(fd, 1) < 0)
        return err_set_errno(err, -errno, "cannot listen on 127.0.0.1:%d", port);
    return 0;
}

/* The inode of the socket that listens on the port, 0 if there is none. */
static unsigned long listening_inode(const char *table, int port)
{
    char line[512];
    autofclose FILE *f = fopen(table, "re");
    if (!f)
        return 0;
    while (fgets(line, sizeof(line), f)) {
        unsigned local, state;
        unsigned long inode;
        if (sscanf(line, " %*d: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*s %*s %*s %*d %*d %lu", &local, &state,
                   &inode) == 3 &&
            (int)local == port && state == TCP_LISTEN)
            return inode;
    }
    return 0;
}

static bool holds(const char *pid, const char *want)
{
    char folder[64], target[64];
    snprintf(folder, sizeof(folder), "/proc/%.20s/fd", pid);
    DIR *d = opendir(folder);
    if (!d)
        return false;
    bool found = false;
    for (struct dirent *e; !found && (e = readdir(d));) {
        ssize_t n = readlinkat(dirfd(d), e->d_name, target, sizeof(target) - 1);
        found = n > 0 && (size_t)n == strlen(want) && !memcmp(target, want, (size_t)n);
    }
    closedir(d);
    return found;
}

void port_find_holder(int port, struct port_holder *ret)
{
    char want[64], path[64];
    *ret = (struct port_holder){0};
    unsigned long inode = listening_inode("/proc/net/tcp", port);
    if (!inode)
        inode = listening_inode("/proc/net/tcp6", port);
    DIR *d = inode ? opendir("/proc") : NULL;
    if (!d)
        return;
    snprintf(want, sizeof(want), "socket:[%lu]", inode);
    for (struct dirent *e; (e = readdir(d));) {
        if (!isdigit((unsigned char)e->d_name[0]) || !holds(e->d_name, want))
            continue;
        ret->pid = atoi(e->d_name);
        snprintf(path, sizeof(path), "/proc/%.20s/comm", e->d_name);
        autofclose FILE *f = fopen(path, "re");
        if (f && fgets(ret->name, sizeof(ret->name), f))
            ret->name[strcspn(ret->name, "\n")] = 0;
        break;
    }
    closedir(d);
}

bool process_has_env(pid_t pid, const char *name, const char *value)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/environ", (int)pid);
    autofree char *want = mem_printf("%s=%s", name, value);
    autofclose FILE *f = fopen(path, "re");
    autofree char *item = NULL;
    size_t cap = 0;
    while (f && getdelim(&item, &cap, 0, f) > 0)
        if (!strcmp(item, want))
            return true;
    return false;
}
