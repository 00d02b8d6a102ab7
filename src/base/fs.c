/* Bounded reads, atomic writes, trees. */
#include "base/fs.h"

#include "base/mem.h"

#include <ftw.h>
#include <libgen.h>
#include <sys/stat.h>

static int read_checked(const char *path, size_t max, bool secret, char **ret, size_t *ret_len, struct err *err)
{
    struct stat st;
    autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return err_set_errno(err, -errno, "cannot open %s", path);
    if (fstat(fd, &st) < 0)
        return err_set_errno(err, -errno, "cannot stat %s", path);
    if (!S_ISREG(st.st_mode))
        return err_set(err, -EINVAL, "%s is not a regular file", path);
    if (secret && (st.st_mode & 077))
        return err_set(err, -EPERM, "%s holds a secret but its mode is %03o: run `chmod 600 %s`", path,
                       (unsigned)(st.st_mode & 0777), path);
    if ((uint64_t)st.st_size > max)
        return err_set(err, -EFBIG, "%s is %lld bytes, over the limit of %zu", path, (long long)st.st_size, max);
    size_t cap = (size_t)st.st_size + 1, len = 0;
    autofree char *data = mem_alloc(cap + 1);
    for (;;) {
        ssize_t n = read(fd, data + len, cap - len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_set_errno(err, -errno, "cannot read %s", path);
        if (n == 0)
            break;
        len += (size_t)n;
        if (len == cap)
            return err_set(err, -EFBIG, "%s grew while it was read", path);
    }
    data[len] = 0;
    *ret = TAKE_PTR(data);
    if (ret_len)
        *ret_len = len;
    return 0;
}

int fs_read(const char *path, size_t max, char **ret, size_t *ret_len, struct err *err)
{
    return read_checked(path, max, false, ret, ret_len, err);
}

int fs_read_secret(const char *path, size_t max, char **ret, size_t *ret_len, struct err *err)
{
    return read_checked(path, max, true, ret, ret_len, err);
}

static int write_all(int fd, const char *data, size_t len)
{
    while (len) {
        ssize_t n = write(fd, data, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        data += n;
        len -= (size_t)n;
    }
    return 0;
}

static int sync_parent(const char *path)
{
    autofree char *copy = mem_strdup(path);
    autoclose int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

int fs_write_atomic(const char *path, const void *data, size_t len, mode_t mode, struct err *err)
{
    autofree char *tmp = mem_printf("%s.tmpXXXXXX", path);
    autoclose int fd = mkostemp(tmp, O_CLOEXEC);
    if (fd < 0)
        return err_set_errno(err, -errno, "cannot create a file beside %s", path);
    int r = fchmod(fd, mode) < 0 ? -errno : write_all(fd, data, len);
    if (r == 0 && fsync(fd) < 0)
        r = -errno;
    if (r == 0 && rename(tmp, path) < 0)
        r = -errno;
    if (r < 0) {
        unlink(tmp);
        return err_set_errno(err, r, "cannot write %s", path);
    }
    r = sync_parent(path);
    return r < 0 ? err_set_errno(err, r, "cannot sync the directory of %s", path) : 0;
}

int fs_mkdirs(const char *path, mode_t mode, struct err *err)
{
    autofree char *copy = mem_strdup(path);
    struct stat st;
    for (char *p = copy + (*copy == '/');; p++) {
        if (*p != '/' && *p)
            continue;
        char saved = *p;
        *p = 0;
        if (*copy && mkdir(copy, mode) < 0 && errno != EEXIST)
            return err_set_errno(err, -errno, "cannot make directory %s", copy);
        *p = saved;
        if (!saved)
            break;
    }
    if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode))
        return err_set(err, -ENOTDIR, "%s exists and is not a directory", path);
    return 0;
}

static int remove_one(const char *path, const struct stat *st OH_UNUSED, int type OH_UNUSED, struct FTW *ftw OH_UNUSED)
{
    return remove(path) < 0 && errno != ENOENT ? -1 : 0;
}

int fs_remove_tree(const char *path, struct err *err)
{
    if (nftw(path, remove_one, 32, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) < 0 && errno != ENOENT)
        return err_set_errno(err, -errno, "cannot remove %s", path);
    return 0;
}

bool fs_exists(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}
