/* Sockets with a path. */
#include "base/unix_socket.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static int address(const char *path, struct sockaddr_un *a, struct err *err)
{
    *a = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(a->sun_path))
        return err_set(err, -ENAMETOOLONG, "%s is too long for a socket (at most %zu bytes): use a shorter state_dir",
                       path, sizeof(a->sun_path) - 1);
    memcpy(a->sun_path, path, strlen(path) + 1);
    return 0;
}

int unix_listen(const char *path, int type, int backlog, struct err *err)
{
    struct sockaddr_un a;
    int r = address(path, &a, err);
    if (r < 0)
        return r;
    autoclose int fd = socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_set_errno(err, -errno, "cannot make a socket");
    if (unlink(path) < 0 && errno != ENOENT)
        return err_set_errno(err, -errno, "cannot remove the old %s", path);
    mode_t before = umask(0177);
    r = bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 ? -errno : 0;
    umask(before);
    if (r == 0 && listen(fd, backlog) < 0)
        r = -errno;
    if (r < 0)
        return err_set_errno(err, r, "cannot listen on %s", path);
    return oh_take_fd(&fd);
}

int unix_connect(const char *path, int type, struct err *err)
{
    struct sockaddr_un a;
    int r = address(path, &a, err);
    if (r < 0)
        return r;
    autoclose int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
        return err_set_errno(err, -errno, "cannot reach %s", path);
    return oh_take_fd(&fd);
}
