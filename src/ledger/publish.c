/* Copies the ledger into a bucket's folder, in an order in which a reader never misses a file. */
#include "ledger/internal.h"

#include "base/fs.h"

#include <dirent.h>
#include <sys/stat.h>

static int copy_file(const char *from, const char *to, size_t max, struct err *err)
{
    autofree char *data = NULL, *folder = mem_strdup(to);
    size_t len = 0;
    int r = fs_read(from, max, &data, &len, err);
    *strrchr(folder, '/') = '\0';
    if (r == 0)
        r = fs_mkdirs(folder, 0750, err);
    return r < 0 ? r : fs_write_atomic(to, data, len, 0640, err);
}

static int copy_tile(const struct ledger *l, const char *to, int level, uint64_t n, struct err *err)
{
    autofree char *source = tile_path(l->dir, level, n, TILE_WIDTH), *target = tile_path(to, level, n, TILE_WIDTH);
    return copy_file(source, target, TILE_BUNDLE_MAX, err);
}

static int copy_full(const struct ledger *l, const char *to, uint64_t from, uint64_t size, struct err *err)
{
    int r = 0;
    for (uint64_t n = from / TILE_WIDTH; n < size / TILE_WIDTH && r == 0; n++) {
        r = copy_tile(l, to, TILE_ENTRIES, n, err);
        if (r == 0)
            r = copy_tile(l, to, 0, n, err);
    }
    for (int level = 1; level < TILE_LEVELS && r == 0; level++)
        for (uint64_t n = (from >> (8 * level)) / TILE_WIDTH; n < (size >> (8 * level)) / TILE_WIDTH && r == 0; n++)
            r = copy_tile(l, to, level, n, err);
    return r;
}

/* The unfinished tiles of a tree of `size` leaves. */
static int write_parts(struct ledger *l, const char *to, uint64_t size, struct err *err)
{
    autobuf struct buf bundle = BUF_INIT;
    struct merkle_hash hashes[TILE_WIDTH];
    int r = 0;
    for (int level = 0; level < TILE_LEVELS && r == 0; level++) {
        uint64_t all = size >> (8 * level), n = all / TILE_WIDTH;
        unsigned count = (unsigned)(all % TILE_WIDTH);
        for (unsigned i = 0; i < count && r == 0; i++)
            r = ledger_subtree((unsigned)(8 * level), n * TILE_WIDTH + i, l, &hashes[i], err);
        if (count && r == 0)
            r = tile_write(to, level, n, count, hashes, count * MERKLE_HASH_SIZE, err);
    }
    for (uint64_t i = size - size % TILE_WIDTH; i < size && r == 0; i++) {
        autofree char *data = NULL;
        size_t len = 0;
        r = ledger_leaf(l, i, &data, &len, err);
        if (r == 0)
            tile_entry_add(&bundle, data, len);
    }
    if (r == 0 && size % TILE_WIDTH)
        r = tile_write(to, TILE_ENTRIES, size / TILE_WIDTH, (unsigned)(size % TILE_WIDTH), bundle.data, bundle.len,
                       err);
    return r;
}

static void remove_parts(const char *to, uint64_t size)
{
    for (int level = TILE_ENTRIES; level < TILE_LEVELS; level++) {
        uint64_t all = level < 0 ? size : size >> (8 * level);
        autofree char *path = tile_path(to, level, all / TILE_WIDTH, (unsigned)(all % TILE_WIDTH));
        if (all % TILE_WIDTH == 0)
            continue;
        unlink(path);
        *strrchr(path, '/') = '\0';
        rmdir(path); /* only if nothing else is in it */
    }
}

/* How far the bucket has come, by its own checkpoint, which must be ours and not ahead of us. */
static int find_published(struct ledger *l, const char *to, struct err *err)
{
    autofree char *path = mem_printf("%s/checkpoint", to), *text = NULL;
    struct merkle_source s = {ledger_subtree, l};
    struct merkle_hash root;
    struct note note;
    size_t len = 0;
    if (l->published_to && !strcmp(l->published_to, to) && (l->published == 0 || fs_exists(path)))
        return 0;
    free(l->published_to);
    l->published_to = NULL;
    l->published = 0;
    if (fs_exists(path)) {
        int r = fs_read(path, NOTE_MAX, &text, &len, err);
        if (r == 0)
            r = note_parse(text, len, &note, err);
        if (r < 0)
            return err_wrap(err, r, "%s", path);
        if (!note_signed_by(&note, &l->verifier, NULL))
            return err_set(err, -EBADMSG, "%s is not signed by this ledger's key: it is another ledger's", path);
        if (note.checkpoint.size > l->edge.size)
            return err_set(
                err, -EBADMSG,
                "the ledger was rolled back: the bucket has a checkpoint of %llu leaves, the ledger has %llu",
                (unsigned long long)note.checkpoint.size, (unsigned long long)l->edge.size);
        if ((r = merkle_root(&s, note.checkpoint.size, &root, err)) < 0)
            return r;
        if (!merkle_equal(&root, &note.checkpoint.root))
            return err_set(err, -EBADMSG,
                           "the ledger was altered: the bucket's checkpoint of %llu leaves has another root",
                           (unsigned long long)note.checkpoint.size);
        l->published = note.checkpoint.size;
    }
    l->published_to = mem_strdup(to);
    return 0;
}

void ledger_dirty(struct ledger *l, uint64_t size)
{
    for (size_t i = 0; i < l->n_dirty; i++)
        if (l->dirty[i] == size)
            return;
    if (l->n_dirty == l->cap_dirty)
        l->dirty = mem_realloc(l->dirty, (l->cap_dirty = l->cap_dirty ? 2 * l->cap_dirty : 16) * sizeof(*l->dirty));
    l->dirty[l->n_dirty++] = size;
}

/* After a start: which checkpoints the bucket lacks, or has without the cosignature. */
static int find_dirty(struct ledger *l, const char *to, struct err *err)
{
    autofree char *folder = ledger_path(l, "checkpoints");
    DIR *d = opendir(folder);
    if (!d)
        return err_set_errno(err, -errno, "cannot list %s", folder);
    for (struct dirent *e; (e = readdir(d));) {
        struct stat ours, theirs;
        if (strlen(e->d_name) != 12 || strspn(e->d_name, "0123456789") != 12)
            continue;
        uint64_t size = strtoull(e->d_name, NULL, 10);
        autofree char *source = ledger_checkpoint_path(l->dir, size), *target = ledger_checkpoint_path(to, size);
        if (size <= l->signed_size && stat(source, &ours) == 0 &&
            (stat(target, &theirs) < 0 || theirs.st_size != ours.st_size))
            ledger_dirty(l, size);
    }
    closedir(d);
    return 0;
}

static int copy_checkpoints(struct ledger *l, const char *to, struct err *err)
{
    while (l->n_dirty) {
        uint64_t size = l->dirty[l->n_dirty - 1];
        autofree char *source = ledger_checkpoint_path(l->dir, size), *target = ledger_checkpoint_path(to, size);
        int r = copy_file(source, target, NOTE_MAX, err);
        if (r < 0)
            return r;
        l->n_dirty--;
    }
    return 0;
}

int ledger_publish(struct ledger *l, const char *to, struct err *err)
{
    autofree char *newest = mem_printf("%s/checkpoint", to);
    uint64_t size = l->signed_size;
    bool known = l->published_to && !strcmp(l->published_to, to);
    int r = find_published(l, to, err);
    if (r == 0 && !known)
        r = find_dirty(l, to, err);
    while (r == 0 && l->tail.n >= TILE_WIDTH)
        r = ledger_settle(l, err);
    if (r < 0 || size == 0 || (size == l->published && l->n_dirty == 0))
        return r;
    uint64_t before = l->published;
    autofree char *source = ledger_checkpoint_path(l->dir, size);
    if (size > before) {
        r = copy_full(l, to, before, size, err);
        if (r == 0)
            r = write_parts(l, to, size, err);
    }
    if (r == 0)
        r = copy_checkpoints(l, to, err);
    if (r == 0)
        r = copy_file(source, newest, NOTE_MAX, err);
    if (r < 0)
        return r;
    if (size > before)
        remove_parts(to, before);
    l->published = size;
    return 0;
}
