/* The ledger's tail: appending durably, and finding one's way back after a crash. */
#include "ledger/internal.h"

#include "base/fs.h"

#include <dirent.h>
#include <sys/stat.h>

#define HEAD (4 + MERKLE_HASH_SIZE)
#define MAX_LEAF 65535u
#define MAX_RECORDS (1u << 20) /* a tail that cannot be dropped (disk full) grows; this is where it ends */

static char *tail_path(const char *dir, uint64_t first)
{
    return mem_printf("%s/tail-%012llu", dir, (unsigned long long)first);
}

static int write_at(int fd, const void *data, size_t len, uint64_t at)
{
    const char *p = data;
    while (len) {
        ssize_t n = pwrite(fd, p, len, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        p += n;
        at += (uint64_t)n;
        len -= (size_t)n;
    }
    return 0;
}

static int read_at(int fd, void *data, size_t len, uint64_t at)
{
    char *p = data;
    while (len) {
        ssize_t n = pread(fd, p, len, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -ENODATA;
        p += n;
        at += (uint64_t)n;
        len -= (size_t)n;
    }
    return 0;
}

static void add_record(struct tail *t, uint64_t at, uint32_t len, const struct merkle_hash *hash)
{
    if (t->n == t->cap)
        t->records = mem_realloc(t->records, (t->cap = t->cap ? 2 * t->cap : TILE_WIDTH) * sizeof(*t->records));
    t->records[t->n++] = (struct tail_record){at, len, *hash};
    t->end = at + len;
}

/* Reads the records. What is cut short at the file's end was never answered for; a whole record whose hash is wrong
 * was, unless it is the last (a crash may leave a block of it unwritten). */
static int scan(struct tail *t, struct err *err)
{
    struct stat st;
    unsigned char head[HEAD] = {0};
    autofree char *data = mem_alloc(MAX_LEAF);
    if (fstat(t->fd, &st) < 0)
        return err_set_errno(err, -errno, "cannot stat the ledger's tail");
    uint64_t size = (uint64_t)st.st_size;
    while (t->end < size) {
        struct merkle_hash hash, claimed;
        uint64_t left = size - t->end;
        int r = left < HEAD ? -ENODATA : read_at(t->fd, head, HEAD, t->end);
        uint32_t len = (uint32_t)head[0] << 24 | (uint32_t)head[1] << 16 | (uint32_t)head[2] << 8 | head[3];
        if (r == 0 && (len > MAX_LEAF || len > left - HEAD))
            r = -ENODATA;
        if (r == 0)
            r = read_at(t->fd, data, len, t->end + HEAD);
        if (r < 0 && r != -ENODATA)
            return err_set_errno(err, r, "cannot read the ledger's tail");
        if (r == 0) {
            merkle_leaf(data, len, &hash);
            memcpy(claimed.b, head + 4, MERKLE_HASH_SIZE);
        }
        bool whole = r == 0 && merkle_equal(&hash, &claimed);
        if (!whole && r == 0 && t->end + HEAD + len < size)
            return err_set(err, -EBADMSG,
                           "the ledger was altered: leaf %llu does not have the hash that was recorded with it",
                           (unsigned long long)(t->first + t->n));
        if (!whole) {
            t->repaired = true;
            return 0;
        }
        add_record(t, t->end + HEAD, len, &hash);
    }
    return 0;
}

/* Writes the records from `from` on into a new file; on success it is the tail. */
static int rewrite(struct tail *t, size_t from, struct err *err)
{
    autofree char *path = tail_path(t->dir, t->first + from);
    struct buf all = BUF_INIT;
    int r = 0;
    for (size_t i = from; i < t->n && r == 0; i++) {
        const struct tail_record *c = &t->records[i];
        size_t at = all.len;
        autofree char *piece = mem_alloc(HEAD + (size_t)c->len);
        buf_add(&all, piece, HEAD + (size_t)c->len);
        r = read_at(t->fd, all.data + at, HEAD + (size_t)c->len, c->at - HEAD);
    }
    if (r < 0)
        err_set_errno(err, r, "cannot read the ledger's tail");
    else
        r = fs_write_atomic(path, all.len ? all.data : "", all.len, 0600, err);
    buf_free(&all);
    if (r < 0)
        return r;
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return err_set_errno(err, -errno, "cannot open %s", path);
    close(t->fd);
    t->fd = fd;
    uint64_t skipped = from < t->n ? t->records[from].at - HEAD : t->end;
    for (size_t i = from; i < t->n; i++)
        t->records[i].at -= skipped;
    if (from < t->n)
        memmove(t->records, t->records + from, (t->n - from) * sizeof(*t->records));
    t->n -= from;
    t->first += from;
    t->end -= skipped;
    return 0;
}

/* The newest tail; older ones were about to be removed when we were stopped. */
static int find(const char *dir, bool *ret_there, uint64_t *ret_first, struct err *err)
{
    DIR *d = opendir(dir);
    if (!d)
        return err_set_errno(err, -errno, "cannot list %s", dir);
    *ret_there = false;
    *ret_first = 0;
    for (struct dirent *e; (e = readdir(d));) {
        const char *digits = e->d_name + 5;
        if (strncmp(e->d_name, "tail-", 5) || strlen(digits) != 12 || strspn(digits, "0123456789") != 12)
            continue;
        uint64_t first = strtoull(digits, NULL, 10);
        *ret_first = MAX(*ret_first, first);
        *ret_there = true;
    }
    closedir(d);
    return 0;
}

static void remove_older(const char *dir, uint64_t first)
{
    if (first < TILE_WIDTH)
        return;
    autofree char *path = tail_path(dir, first - TILE_WIDTH);
    unlink(path);
}

int tail_open(const char *dir, struct tail *ret, struct err *err)
{
    struct tail t = {.dir = mem_strdup(dir), .fd = -1};
    bool there = false;
    int r = find(dir, &there, &t.first, err);
    autofree char *path = tail_path(dir, t.first);
    if (r == 0 && !there)
        r = fs_write_atomic(path, "", 0, 0600, err);
    if (r == 0 && (t.fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW)) < 0)
        r = err_set_errno(err, -errno, "cannot open %s", path);
    if (r == 0 && t.first % TILE_WIDTH)
        r = err_set(err, -EBADMSG, "%s: begins at a leaf that no bundle ends before", path);
    if (r == 0)
        r = scan(&t, err);
    if (r == 0)
        r = rewrite(&t, 0, err);
    if (r < 0) {
        tail_close(&t);
        return r;
    }
    remove_older(dir, t.first);
    *ret = t;
    return 0;
}

void tail_close(struct tail *t)
{
    if (t->fd >= 0)
        close(t->fd);
    free(t->records);
    free(t->dir);
    *t = (struct tail){.fd = -1};
}

int tail_append(struct tail *t, const void *data, size_t len, const struct merkle_hash *hash, struct err *err)
{
    autofree unsigned char *record = mem_alloc(HEAD + len);
    if (t->broken)
        return err_set(err, -EIO, "the ledger could not be written before: it takes nothing until it is opened anew");
    if (t->n >= MAX_RECORDS)
        return err_set(err, -ENOSPC, "the ledger's tail has %zu leaves that cannot be moved into tiles", t->n);
    for (int i = 0; i < 4; i++)
        record[i] = (unsigned char)(len >> (24 - 8 * i));
    memcpy(record + 4, hash->b, MERKLE_HASH_SIZE);
    memcpy(record + HEAD, data, len);
    int r = write_at(t->fd, record, HEAD + len, t->end);
    bool synced = r == 0 && fdatasync(t->fd) == 0;
    if (synced) {
        add_record(t, t->end + HEAD, (uint32_t)len, hash);
        return 0;
    }
    if (r == 0)
        r = -errno;
    /* Nothing of it may come back. After a failed sync the kernel no longer knows what is on the disk: open anew. */
    if (ftruncate(t->fd, (off_t)t->end) < 0 || fdatasync(t->fd) < 0 || r == -EIO)
        t->broken = true;
    return err_set_errno(err, r, "cannot write to the ledger");
}

int tail_read(const struct tail *t, size_t i, char **ret, size_t *ret_len, struct err *err)
{
    const struct tail_record *c = &t->records[i];
    autofree char *data = mem_alloc((size_t)c->len + 1);
    int r = read_at(t->fd, data, c->len, c->at);
    if (r < 0)
        return err_set_errno(err, r, "cannot read leaf %llu", (unsigned long long)(t->first + i));
    *ret = TAKE_PTR(data);
    *ret_len = c->len;
    return 0;
}

int tail_drop(struct tail *t, struct err *err)
{
    int r = rewrite(t, TILE_WIDTH, err);
    if (r == 0)
        remove_older(t->dir, t->first);
    return r;
}
