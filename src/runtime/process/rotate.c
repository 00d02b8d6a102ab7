/* Rotation of log files that stay open in their writers. */
#include "runtime/process/rotate.h"

#include "base/mem.h"

#include <dirent.h>
#include <linux/falloc.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#define CHUNK KIB(64)

static int copy_chunk(int from, int to, off_t at, size_t len, size_t *ret)
{
    char chunk[CHUNK];
    ssize_t n = pread(from, chunk, MIN(len, sizeof(chunk)), at);
    if (n < 0)
        return -errno;
    for (ssize_t done = 0; done < n;) {
        ssize_t w = write(to, chunk + done, (size_t)(n - done));
        if (w < 0 && errno != EINTR)
            return -errno;
        done += MAX(w, (ssize_t)0);
    }
    *ret = (size_t)n;
    return 0;
}

/* Copies from *at up to `end` (-1: to the end of the file), leaving *at behind the last byte. Holes in front, left by a
 * writer without O_APPEND, are passed over. */
static int copy_to(int from, int to, off_t *at, off_t end)
{
    for (;;) {
        size_t left = end < 0 ? CHUNK : (size_t)(end - *at), n = 0;
        off_t data = lseek(from, *at, SEEK_DATA);
        if (left == 0 || data < 0)
            return 0;
        if (end >= 0 && data >= end) {
            *at = end;
            return 0;
        }
        if (data > *at) {
            *at = data;
            continue;
        }
        int r = copy_chunk(from, to, *at, left, &n);
        if (r < 0 || n == 0)
            return r;
        *at += (off_t)n;
    }
}

/* NAME.1 -> NAME.2 and so on; the oldest is overwritten. */
static int shift(const char *path, int keep)
{
    for (int i = keep - 1; i >= 1; i--) {
        autofree char *from = mem_printf("%s.%d", path, i), *to = mem_printf("%s.%d", path, i + 1);
        if (rename(from, to) < 0 && errno != ENOENT)
            return -errno;
    }
    return 0;
}

static int publish(const char *path, const char *tmp, int to, int keep)
{
    autofree char *first = mem_printf("%s.1", path);
    int r = fsync(to) < 0 ? -errno : shift(path, keep);
    return r < 0 ? r : rename(tmp, first) < 0 ? -errno : 0;
}

static int cut(int fd, int to, off_t aligned, off_t at)
{
    /* Collapsing must leave something behind, hence only whole blocks that end before the file does. */
    if (aligned > 0 && aligned == at && fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, aligned) == 0)
        return 0;
    /* What was written meanwhile follows; then the window that truncating leaves is as short as it can be. */
    int r = copy_to(fd, to, &at, -1);
    if (r == 0 && fsync(to) < 0)
        r = -errno;
    if (r == 0)
        r = copy_to(fd, to, &at, -1);
    return r < 0 ? r : ftruncate(fd, 0) < 0 ? -errno : 0;
}

static int rotate_fd(const char *path, int fd, off_t size, int keep)
{
    struct statvfs vfs;
    autofree char *tmp = mem_printf("%s.new", path);
    autoclose int to = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (to < 0 || fstatvfs(fd, &vfs) < 0)
        return -errno;
    off_t block = vfs.f_bsize ? (off_t)vfs.f_bsize : 4096, aligned = (size - 1) / block * block, at = 0;
    int r = copy_to(fd, to, &at, aligned);
    if (r == 0)
        r = publish(path, tmp, to, keep);
    if (r < 0) {
        unlink(tmp);
        return r;
    }
    return cut(fd, to, aligned, at);
}

int rotate_file(const char *path, int64_t max_bytes, int keep, struct err *err)
{
    struct stat st;
    autoclose int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 && errno == ENOENT)
        return 0;
    if (fd < 0 || fstat(fd, &st) < 0)
        return err_set_errno(err, -errno, "cannot open the log %s", path);
    if (!S_ISREG(st.st_mode) || st.st_size <= max_bytes || st.st_blocks * 512 <= max_bytes)
        return 0;
    int r = rotate_fd(path, fd, st.st_size, keep);
    return r < 0 ? err_set_errno(err, r, "cannot rotate the log %s", path) : 0;
}

int rotate_folder(const char *dir, int64_t max_bytes, int keep, struct err *err)
{
    DIR *d = opendir(dir);
    int first = 0;
    if (!d)
        return errno == ENOENT ? 0 : err_set_errno(err, -errno, "cannot list %s", dir);
    for (struct dirent *e; (e = readdir(d));) {
        size_t len = strlen(e->d_name);
        if (len < 5 || strcmp(e->d_name + len - 4, ".log"))
            continue;
        autofree char *path = mem_printf("%s/%s", dir, e->d_name);
        int r = rotate_file(path, max_bytes, keep, first ? NULL : err);
        first = first ? first : r;
    }
    closedir(d);
    return first;
}
