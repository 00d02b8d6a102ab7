/* Names, writes and reads the ledger's tiles and entry bundles. */
#include "ledger/tile.h"

#include "base/fs.h"
#include "base/mem.h"

#include <libgen.h>

static void add_number(struct buf *b, uint64_t n)
{
    char groups[8][4];
    int count = 0;
    do {
        snprintf(groups[count++], 4, "%03u", (unsigned)(n % 1000));
        n /= 1000;
    } while (n && count < 8);
    while (count-- > 0)
        buf_printf(b, "/%s%s", count ? "x" : "", groups[count]);
}

char *tile_path(const char *dir, int level, uint64_t n, unsigned count)
{
    struct buf b = BUF_INIT;
    buf_printf(&b, "%s/tile/", dir);
    if (level == TILE_ENTRIES)
        buf_adds(&b, "entries");
    else
        buf_printf(&b, "%d", level);
    add_number(&b, n);
    if (count < TILE_WIDTH)
        buf_printf(&b, ".p/%u", count);
    return buf_take(&b);
}

int tile_write(const char *dir, int level, uint64_t n, unsigned count, const void *data, size_t len, struct err *err)
{
    autofree char *path = tile_path(dir, level, n, count), *folder = mem_strdup(path);
    int r = fs_mkdirs(dirname(folder), 0700, err);
    return r < 0 ? r : fs_write_atomic(path, data, len, 0600, err);
}

int tile_read(const char *dir, unsigned level, uint64_t n, unsigned count, struct merkle_hash *ret, struct err *err)
{
    autofree char *path = tile_path(dir, (int)level, n, count), *data = NULL;
    size_t len = 0;
    if (!fs_exists(path))
        return -ENOENT;
    int r = fs_read(path, TILE_WIDTH * MERKLE_HASH_SIZE, &data, &len, err);
    if (r < 0)
        return r;
    if (len != count * MERKLE_HASH_SIZE)
        return err_set(err, -EBADMSG, "%s has %zu bytes, not the %u of %u hashes", path, len, count * MERKLE_HASH_SIZE,
                       count);
    memcpy(ret, data, len);
    return 0;
}

void tile_entry_add(struct buf *bundle, const void *data, size_t len)
{
    buf_addc(bundle, (char)(len >> 8));
    buf_addc(bundle, (char)len);
    buf_add(bundle, data, len);
}

int tile_entry_next(const char *bundle, size_t len, struct tile_cursor *c, const char **ret, size_t *ret_len)
{
    const unsigned char *p = (const unsigned char *)bundle + c->at;
    size_t left = len - c->at, n;
    if (left == 0)
        return 0;
    if (left < 2 || (n = (size_t)p[0] << 8 | p[1]) > left - 2)
        return -EBADMSG;
    *ret = bundle + c->at + 2;
    *ret_len = n;
    c->at += 2 + n;
    return 1;
}

void tile_root(const struct merkle_hash *hashes, size_t n, struct merkle_hash *ret)
{
    struct merkle_hash h[TILE_WIDTH];
    memcpy(h, hashes, n * sizeof(*h));
    for (; n > 1; n /= 2)
        for (size_t i = 0; i < n / 2; i++)
            merkle_node(&h[2 * i], &h[2 * i + 1], &h[i]);
    *ret = h[0];
}
