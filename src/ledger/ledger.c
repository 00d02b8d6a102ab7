/* The ledger: opens and checks its folder, appends leaves, moves full bundles into tiles, signs checkpoints. */
#include "ledger/internal.h"

#include "base/fs.h"
#include "ledger/leaf.h"

char *ledger_path(const struct ledger *l, const char *name)
{
    return mem_printf("%s/%s", l->dir, name);
}

char *ledger_checkpoint_path(const char *dir, uint64_t size)
{
    return mem_printf("%s/checkpoints/%012llu", dir, (unsigned long long)size);
}

/* ---- hashes ---- */

/* Full tiles of level `level`, and hashes in the unfinished one behind them. */
static uint64_t hashes_at(const struct ledger *l, unsigned level)
{
    return l->tail.first >> (8 * level);
}

static int stored(struct ledger *l, unsigned level, uint64_t index, const struct merkle_hash **ret, struct err *err)
{
    uint64_t n = index / TILE_WIDTH, full = hashes_at(l, level) / TILE_WIDTH;
    if (level == 0 && index >= l->tail.first) {
        if (index - l->tail.first >= l->tail.n)
            return -ENOENT;
        *ret = &l->tail.records[index - l->tail.first].hash;
        return 0;
    }
    if (index >= hashes_at(l, level))
        return -ENOENT;
    if (n >= full) {
        *ret = &l->parts[level][index % TILE_WIDTH];
        return 0;
    }
    if (l->cached_level != (int)level || l->cached_n != n) {
        l->cached_level = -1;
        int r = tile_read(l->dir, level, n, TILE_WIDTH, l->cached, err);
        if (r == -ENOENT)
            return err_set(err, -EBADMSG, "the ledger's tile %llu of level %u is missing", (unsigned long long)n,
                           level);
        if (r < 0)
            return r;
        l->cached_level = (int)level;
        l->cached_n = n;
    }
    *ret = &l->cached[index % TILE_WIDTH];
    return 0;
}

int ledger_subtree(unsigned level, uint64_t index, void *data, struct merkle_hash *ret, struct err *err)
{
    const struct merkle_hash *found = NULL;
    if (level % 8 == 0) {
        int r = stored(data, level / 8, index, &found, err);
        if (r == 0)
            *ret = *found;
        if (r != -ENOENT || level == 0)
            return r;
    }
    struct merkle_hash left, right;
    int r = ledger_subtree(level - 1, 2 * index, data, &left, err);
    if (r == 0)
        r = ledger_subtree(level - 1, 2 * index + 1, data, &right, err);
    if (r == 0)
        merkle_node(&left, &right, ret);
    return r;
}

static struct merkle_source source(const struct ledger *l)
{
    /* The cache is the one thing that reading changes. */
    return (struct merkle_source){ledger_subtree, (void *)(uintptr_t)l};
}

/* ---- opening ---- */

static int take_lock(struct ledger *l, struct err *err)
{
    struct flock all = {.l_type = F_WRLCK};
    autofree char *path = ledger_path(l, "lock");
    l->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (l->lock < 0)
        return err_set_errno(err, -errno, "cannot open %s", path);
    if (fcntl(l->lock, F_OFD_SETLK, &all) < 0)
        return err_set(err, -EBUSY, "another process has the ledger in %s", l->dir);
    return 0;
}

static int load_parts(struct ledger *l, struct err *err)
{
    for (unsigned level = 1; level < TILE_LEVELS; level++) {
        unsigned count = (unsigned)(hashes_at(l, level) % TILE_WIDTH);
        if (count == 0)
            continue;
        int r = tile_read(l->dir, level, hashes_at(l, level) / TILE_WIDTH, count, l->parts[level], err);
        if (r == -ENOENT)
            r = err_set(err, -EBADMSG, "the ledger's last tile of level %u, with %u hashes, is missing", level, count);
        if (r < 0)
            return r;
    }
    return 0;
}

/* The right edge from the tiles: each bit of the size is a subtree. */
static int load_edge(struct ledger *l, struct err *err)
{
    uint64_t size = l->tail.first, begin = 0;
    int n = 0;
    for (int bit = 63; bit >= 0; bit--) {
        if (!(size >> bit & 1))
            continue;
        int r = ledger_subtree((unsigned)bit, begin >> bit, l, &l->edge.peaks[n++], err);
        if (r < 0)
            return r;
        begin += 1ULL << bit;
    }
    l->edge.size = size;
    for (size_t i = 0; i < l->tail.n; i++)
        merkle_edge_add(&l->edge, &l->tail.records[i].hash);
    return 0;
}

static int load_checkpoint(struct ledger *l, struct err *err)
{
    autofree char *path = ledger_path(l, "checkpoint"), *text = NULL;
    struct merkle_source s = source(l);
    struct merkle_hash root;
    struct note note;
    size_t len = 0;
    l->note = mem_strdup("");
    if (!fs_exists(path))
        return 0;
    int r = fs_read(path, NOTE_MAX, &text, &len, err);
    if (r == 0)
        r = note_parse(text, len, &note, err);
    if (r < 0)
        return err_wrap(err, r, "%s", path);
    if (!note_signed_by(&note, &l->verifier, NULL) || strcmp(note.checkpoint.origin, l->origin))
        return err_set(err, -EBADMSG, "%s is not signed by this ledger's key", path);
    if (note.checkpoint.size > l->edge.size)
        return err_set(err, -EBADMSG,
                       "the ledger was altered: its last checkpoint has %llu leaves, only %llu are there",
                       (unsigned long long)note.checkpoint.size, (unsigned long long)l->edge.size);
    if ((r = merkle_root(&s, note.checkpoint.size, &root, err)) < 0)
        return r;
    if (!merkle_equal(&root, &note.checkpoint.root))
        return err_set(err, -EBADMSG,
                       "the ledger was altered: its first %llu leaves do not have the root of the last checkpoint",
                       (unsigned long long)note.checkpoint.size);
    free(l->note);
    l->note = TAKE_PTR(text);
    l->signed_size = note.checkpoint.size;
    return 0;
}

static int load(struct ledger *l, struct err *err)
{
    autofree char *checkpoints = ledger_path(l, "checkpoints");
    int r = fs_mkdirs(checkpoints, 0700, err);
    if (r == 0)
        r = take_lock(l, err);
    if (r == 0)
        r = tail_open(l->dir, &l->tail, err);
    if (r == 0)
        r = load_parts(l, err);
    if (r == 0)
        r = load_edge(l, err);
    return r < 0 ? r : load_checkpoint(l, err);
}

int ledger_open(const struct ledger_config *config, struct ledger **ret, struct err *err)
{
    struct ledger *l = mem_alloc(sizeof(*l));
    *l = (struct ledger){.c = *config, .lock = -1, .tail.fd = -1, .cached_level = -1};
    l->dir = mem_strdup(config->dir);
    l->origin = mem_strdup(config->origin);
    l->totals = json_object();
    snprintf(l->verifier.name, sizeof(l->verifier.name), "%s", config->origin);
    l->verifier.type = NOTE_ED25519;
    signing_key_public(config->key, l->verifier.key);
    int r = load(l, err);
    if (r < 0)
        ledger_close(l);
    else
        *ret = l;
    return r;
}

void ledger_close(struct ledger *l)
{
    if (!l)
        return;
    tail_close(&l->tail);
    if (l->lock >= 0)
        close(l->lock);
    json_decref(l->totals);
    free(l->note);
    free(l->published_to);
    free(l->dirty);
    free(l->dir);
    free(l->origin);
    free(l);
}

/* ---- appending ---- */

static int bundle_of(const struct tail *t, struct buf *out, struct err *err)
{
    for (size_t i = 0; i < TILE_WIDTH; i++) {
        autofree char *data = NULL;
        size_t len = 0;
        int r = tail_read(t, i, &data, &len, err);
        if (r < 0)
            return r;
        tile_entry_add(out, data, len);
    }
    return 0;
}

/* One more hash on `level`: the unfinished tile is written anew with it, and a finished one gives a hash above. */
static int climb(struct ledger *l, unsigned level, const struct merkle_hash *hash, struct err *err)
{
    struct merkle_hash above = *hash;
    for (; level < TILE_LEVELS; level++) {
        uint64_t before = hashes_at(l, level), n = before / TILE_WIDTH;
        unsigned count = (unsigned)(before % TILE_WIDTH);
        l->parts[level][count] = above;
        int r = tile_write(l->dir, (int)level, n, count + 1, l->parts[level], (count + 1) * MERKLE_HASH_SIZE, err);
        if (r < 0)
            return r;
        if (count + 1 < TILE_WIDTH)
            return 0;
        tile_root(l->parts[level], TILE_WIDTH, &above);
    }
    return 0;
}

static void remove_old_parts(const struct ledger *l)
{
    for (unsigned level = 1; level < TILE_LEVELS; level++) {
        uint64_t now = hashes_at(l, level);
        unsigned old = (unsigned)((now - 1) % TILE_WIDTH);
        if (now == 0 || old == 0)
            continue;
        autofree char *path = tile_path(l->dir, (int)level, (now - 1) / TILE_WIDTH, old);
        unlink(path);
        if (now % TILE_WIDTH == 0) {
            *strrchr(path, '/') = '\0';
            rmdir(path);
        } else {
            return;
        }
    }
}

/* Moves the tail's first TILE_WIDTH leaves into tiles. Each step can be done again after a stop anywhere. */
int ledger_settle(struct ledger *l, struct err *err)
{
    struct merkle_hash hashes[TILE_WIDTH], root;
    autobuf struct buf bundle = BUF_INIT;
    uint64_t n = l->tail.first / TILE_WIDTH;
    int r = bundle_of(&l->tail, &bundle, err);
    for (size_t i = 0; i < TILE_WIDTH; i++)
        hashes[i] = l->tail.records[i].hash;
    tile_root(hashes, TILE_WIDTH, &root);
    if (r == 0)
        r = tile_write(l->dir, TILE_ENTRIES, n, TILE_WIDTH, bundle.data, bundle.len, err);
    if (r == 0)
        r = tile_write(l->dir, 0, n, TILE_WIDTH, hashes, sizeof(hashes), err);
    if (r == 0)
        r = climb(l, 1, &root, err);
    if (r == 0)
        r = tail_drop(&l->tail, err);
    if (r == 0)
        remove_old_parts(l);
    return r;
}

int ledger_append(struct ledger *l, const char *kind, const json_t *body, uint64_t *ret_index, struct err *err)
{
    autobuf struct buf text = BUF_INIT;
    struct merkle_hash hash;
    uint64_t index = l->edge.size;
    /* Room is made before, not after: a leaf that is on the disk is never answered with an error. What cannot be
     * settled now may be later; the tail is as good a place. */
    if (l->tail.n >= TILE_WIDTH && ledger_settle(l, NULL) < 0 && l->tail.broken)
        return err_set(err, -EIO, "the ledger cannot be written: it takes nothing until it is opened anew");
    int r = leaf_write(index, clock_wall_ms(l->c.clock), clock_mono_ms(l->c.clock), kind, body, l->totals, &text, err);
    if (r < 0)
        return r;
    merkle_leaf(text.data, text.len, &hash);
    if ((r = tail_append(&l->tail, text.data, text.len, &hash, err)) < 0)
        return r;
    merkle_edge_add(&l->edge, &hash);
    json_object_clear(l->totals);
    if (ret_index)
        *ret_index = index;
    return 0;
}

void ledger_count(struct ledger *l, const char *what, int64_t n)
{
    if (!leaf_kind_valid(what) || (json_object_size(l->totals) >= 64 && !json_object_get(l->totals, what)))
        return;
    json_object_set_new(l->totals, what, json_integer(json_integer_value(json_object_get(l->totals, what)) + n));
}

/* ---- reading ---- */

uint64_t ledger_size(const struct ledger *l)
{
    return l->edge.size;
}

uint64_t ledger_signed_size(const struct ledger *l)
{
    return l->signed_size;
}

void ledger_root(const struct ledger *l, struct merkle_hash *ret)
{
    merkle_edge_root(&l->edge, ret);
}

void ledger_verifier(const struct ledger *l, struct note_verifier *ret)
{
    *ret = l->verifier;
}

const char *ledger_note(const struct ledger *l)
{
    return l->note;
}

int ledger_leaf(const struct ledger *l, uint64_t index, char **ret, size_t *ret_len, struct err *err)
{
    if (index >= l->edge.size)
        return -ENOENT;
    if (index >= l->tail.first)
        return tail_read(&l->tail, index - l->tail.first, ret, ret_len, err);
    autofree char *path = tile_path(l->dir, TILE_ENTRIES, index / TILE_WIDTH, TILE_WIDTH), *bundle = NULL;
    struct tile_cursor cursor = {0};
    const char *entry = NULL;
    size_t len = 0, entry_len = 0;
    int r = fs_read(path, TILE_BUNDLE_MAX, &bundle, &len, err);
    for (uint64_t i = 0; r == 0 && i <= index % TILE_WIDTH; i++)
        if (tile_entry_next(bundle, len, &cursor, &entry, &entry_len) != 1)
            r = err_set(err, -EBADMSG, "%s ends before leaf %llu", path, (unsigned long long)index);
    if (r < 0)
        return r;
    *ret = mem_strndup(entry, entry_len);
    *ret_len = entry_len;
    return 0;
}

int ledger_inclusion(const struct ledger *l, uint64_t index, uint64_t size, struct merkle_proof *ret, struct err *err)
{
    struct merkle_source s = source(l);
    if (size > l->edge.size)
        return err_set(err, -EINVAL, "the ledger has only %llu leaves", (unsigned long long)l->edge.size);
    return merkle_prove_inclusion(&s, index, size, ret, err);
}

int ledger_consistency(const struct ledger *l, uint64_t from, uint64_t to, struct merkle_proof *ret, struct err *err)
{
    struct merkle_source s = source(l);
    if (to > l->edge.size)
        return err_set(err, -EINVAL, "the ledger has only %llu leaves", (unsigned long long)l->edge.size);
    return merkle_prove_consistency(&s, from, to, ret, err);
}

/* ---- checkpoints ---- */

static int keep_note(struct ledger *l, uint64_t size, const char *text, struct err *err)
{
    autofree char *one = ledger_checkpoint_path(l->dir, size), *newest = ledger_path(l, "checkpoint");
    int r = fs_write_atomic(one, text, strlen(text), 0600, err);
    if (r == 0 && size >= l->signed_size)
        r = fs_write_atomic(newest, text, strlen(text), 0600, err);
    if (r == 0)
        ledger_dirty(l, size);
    return r;
}

int ledger_checkpoint(struct ledger *l, struct err *err)
{
    struct checkpoint c = {.size = l->edge.size};
    if (l->edge.size == l->signed_size || l->tail.broken)
        return 0;
    snprintf(c.origin, sizeof(c.origin), "%s", l->origin);
    merkle_edge_root(&l->edge, &c.root);
    autofree char *text = checkpoint_sign(&l->verifier, l->c.key, &c);
    int r = keep_note(l, c.size, text, err);
    if (r < 0)
        return r;
    free(l->note);
    l->note = TAKE_PTR(text);
    l->signed_size = c.size;
    return 0;
}

int ledger_cosigned(struct ledger *l, const char *text, size_t len, struct err *err)
{
    struct note theirs, ours;
    autofree char *path = NULL, *kept = NULL;
    size_t kept_len = 0;
    int r = note_parse(text, len, &theirs, err);
    if (r < 0)
        return r;
    path = ledger_checkpoint_path(l->dir, theirs.checkpoint.size);
    if (theirs.checkpoint.size > l->signed_size || !fs_exists(path))
        return err_set(err, -ENOENT, "no checkpoint of this ledger has %llu leaves",
                       (unsigned long long)theirs.checkpoint.size);
    if ((r = fs_read(path, NOTE_MAX, &kept, &kept_len, err)) < 0 || (r = note_parse(kept, kept_len, &ours, err)) < 0)
        return r;
    if (len < kept_len || memcmp(text, kept, kept_len))
        return err_set(err, -ENOENT, "the cosigned checkpoint of %llu leaves is not the one that this ledger signed",
                       (unsigned long long)theirs.checkpoint.size);
    autofree char *copy = mem_strndup(text, len);
    if ((r = keep_note(l, theirs.checkpoint.size, copy, err)) < 0)
        return r;
    if (theirs.checkpoint.size == l->signed_size) {
        free(l->note);
        l->note = TAKE_PTR(copy);
    }
    return 0;
}

/* The line of a witness behind the signed part, its newline included; NULL: there is none. */
static const char *line_of(const char *text, size_t signed_len, const char *name, size_t *ret_len)
{
    autofree char *begins = mem_printf("\n\u2014 %s ", name);
    const char *line = strstr(text + signed_len, begins), *end = line ? strchr(line + 1, '\n') : NULL;
    if (!end)
        return NULL;
    *ret_len = (size_t)(end - line);
    return line + 1;
}

int ledger_witnessed(struct ledger *l, const struct note_verifier *v, const char *text, size_t len, size_t max,
                     struct err *err)
{
    struct note theirs, ours;
    autofree char *whole = mem_strndup(text, len), *path = NULL, *kept = NULL;
    size_t kept_len = 0, line_len = 0;
    int r = note_parse(whole, len, &theirs, err);
    if (r < 0)
        return r;
    const char *line = line_of(whole, theirs.text_len, v->name, &line_len);
    path = ledger_checkpoint_path(l->dir, theirs.checkpoint.size);
    if (!line || theirs.checkpoint.size > l->signed_size || !fs_exists(path))
        return err_set(err, -ENOENT, "no checkpoint of this ledger has %llu leaves and a line of %s",
                       (unsigned long long)theirs.checkpoint.size, v->name);
    if ((r = fs_read(path, NOTE_MAX, &kept, &kept_len, err)) < 0 || (r = note_parse(kept, kept_len, &ours, err)) < 0)
        return r;
    if (theirs.text_len != ours.text_len || memcmp(whole, kept, ours.text_len))
        return err_set(err, -ENOENT, "the cosigned checkpoint of %llu leaves is not the one that this ledger signed",
                       (unsigned long long)theirs.checkpoint.size);
    size_t there = 0;
    if (line_of(kept, ours.text_len, v->name, &there) || ours.n_lines > max || kept_len + line_len > NOTE_MAX)
        return 0;
    autofree char *joined = mem_printf("%s%.*s", kept, (int)line_len, line);
    return ledger_cosigned(l, joined, strlen(joined), err);
}
