/* Checks a copy of a ledger offline and names what does not fit. */
#include "ledger/verify.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "ledger/internal.h"
#include "ledger/tile.h"

#include <dirent.h>

#define LATE_MS 600000
#define JUMP_MS 60000 /* wall clock against the machine's own count */

const char *const ledger_finding_names[] = {"gap", "edit", "fork", "forged", "late", "unseen", "clock", "unsigned"};

struct kept {
    char *name, *text;
    size_t len;
    struct note note;
    bool compared;
};

struct check {
    const struct ledger_verify *v;
    struct ledger_verdict out;
    struct merkle_edge edge;
    struct kept *kept; /* checkpoints, sorted by size */
    size_t n, next;
    int64_t time_ms, mono_ms; /* of the leaf before */
    uint64_t seen;            /* leaves covered by a cosignature */
};

static void finding(struct check *c, enum ledger_finding kind, uint64_t index, const char *fmt, ...) OH_PRINTF(4, 5);

static void finding(struct check *c, enum ledger_finding kind, uint64_t index, const char *fmt, ...)
{
    char text[ERR_MESSAGE_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (kind >= LEDGER_LATE)
        c->out.notices++;
    else
        c->out.findings++;
    if (c->v->on_finding)
        c->v->on_finding(kind, index, text, c->v->data);
}

/* ---- checkpoints ---- */

static void take_note(struct check *c, const char *name, char *text, size_t len)
{
    struct err err = ERR_INIT;
    struct kept k = {.name = mem_strdup(name), .text = text, .len = len};
    int r = note_parse(k.text, len, &k.note, &err);
    if (r < 0)
        finding(c, LEDGER_FORGED, 0, "%s is no checkpoint: %s", name, err.message);
    else if (strcmp(k.note.checkpoint.origin, c->v->log.name))
        finding(c, LEDGER_FORGED, 0, "%s is of another ledger, %.100s", name, k.note.checkpoint.origin);
    else if (!note_signed_by(&k.note, &c->v->log, NULL))
        finding(c, LEDGER_FORGED, k.note.checkpoint.size, "%s is not signed by the ledger's key", name);
    else {
        c->kept = mem_realloc(c->kept, (c->n + 1) * sizeof(*c->kept));
        c->kept[c->n++] = k;
        c->out.checkpoints++;
        return;
    }
    free(k.name);
    free(k.text);
}

static int compare_kept(const void *a, const void *b)
{
    uint64_t x = ((const struct kept *)a)->note.checkpoint.size, y = ((const struct kept *)b)->note.checkpoint.size;
    return x < y ? -1 : x > y;
}

static int load_notes(struct check *c, struct err *err)
{
    autofree char *folder = mem_printf("%s/checkpoints", c->v->dir);
    DIR *d = opendir(folder);
    for (struct dirent *e; d && (e = readdir(d));) {
        autofree char *path = mem_printf("%s/%s", folder, e->d_name);
        char *text = NULL;
        size_t len = 0;
        if (e->d_name[0] == '.' || strstr(e->d_name, ".tmp"))
            continue;
        struct err why = ERR_INIT;
        if (fs_read(path, NOTE_MAX, &text, &len, &why) < 0)
            finding(c, LEDGER_GAP, 0, "%s", why.message);
        else
            take_note(c, path, text, len);
    }
    if (d)
        closedir(d);
    autofree char *newest = mem_printf("%s/checkpoint", c->v->dir);
    char *text = NULL;
    size_t len = 0;
    if (!fs_exists(newest))
        finding(c, LEDGER_GAP, 0, "%s is missing: nothing says how many leaves there are", newest);
    else if (fs_read(newest, NOTE_MAX, &text, &len, err) < 0)
        return err->code;
    else
        take_note(c, newest, text, len);
    for (size_t i = 0; i < c->v->n_others; i++)
        take_note(c, "a checkpoint kept elsewhere", mem_strdup(c->v->others[i]), strlen(c->v->others[i]));
    if (c->n)
        qsort(c->kept, c->n, sizeof(*c->kept), compare_kept);
    return 0;
}

/* A checkpoint whose leaves have all been read, the newest of them just now. */
static void compare_note(struct check *c, struct kept *k)
{
    struct merkle_hash root;
    int64_t seconds = 0;
    uint64_t size = k->note.checkpoint.size;
    merkle_edge_root(&c->edge, &root);
    k->compared = true;
    if (!merkle_equal(&root, &k->note.checkpoint.root)) {
        finding(c, LEDGER_FORK, size, "%s signs another history: its root of %llu leaves is not that of these leaves",
                k->name, (unsigned long long)size);
        return;
    }
    if (size >= c->out.signed_size) {
        c->out.signed_size = size;
        c->out.root = root;
    }
    if (!c->v->witness)
        return;
    for (size_t i = 0; i < k->note.n_lines; i++) {
        if (strcmp(k->note.lines[i].name, c->v->witness->name))
            continue;
        if (!note_signed_by(&k->note, c->v->witness, &seconds)) {
            finding(c, LEDGER_FORGED, size, "%s has a cosignature that is not by the witness's key", k->name);
            return;
        }
        c->out.cosigned++;
        int64_t late = seconds * 1000 - c->time_ms, bound = c->v->late_ms ? c->v->late_ms : LATE_MS;
        /* Leaves that an earlier cosignature covers are witnessed already. */
        if (late > bound && size > c->seen)
            finding(c, LEDGER_LATE, size, "the witness saw %s only %lld s after its newest leaf", k->name,
                    (long long)(late / 1000));
        c->seen = MAX(c->seen, size);
        return;
    }
}

static void compare_notes(struct check *c)
{
    while (c->next < c->n && c->kept[c->next].note.checkpoint.size <= c->edge.size) {
        if (c->kept[c->next].note.checkpoint.size == c->edge.size)
            compare_note(c, &c->kept[c->next]);
        c->next++;
    }
}

/* ---- leaves ---- */

static void check_times(struct check *c, const struct leaf *l)
{
    int64_t wall = l->time_ms - c->time_ms, mono = l->mono_ms - c->mono_ms;
    if (c->edge.size && wall < 0)
        finding(c, LEDGER_CLOCK, l->index, "the clock went back by %lld s before leaf %llu", (long long)(-wall / 1000),
                (unsigned long long)l->index);
    else if (c->edge.size && mono >= 0 && wall - mono > JUMP_MS)
        finding(c, LEDGER_CLOCK, l->index, "the clock jumped by %lld s before leaf %llu",
                (long long)((wall - mono) / 1000), (unsigned long long)l->index);
    c->time_ms = l->time_ms;
    c->mono_ms = l->mono_ms;
    if (!c->out.first_ms)
        c->out.first_ms = l->time_ms;
    c->out.last_ms = l->time_ms;
}

static void check_leaf(struct check *c, const char *text, size_t len, struct merkle_hash *ret)
{
    autoleaf struct leaf leaf = {0};
    struct err err = ERR_INIT;
    uint64_t index = c->edge.size;
    merkle_leaf(text, len, ret);
    if (leaf_parse(text, len, &leaf, &err) < 0)
        finding(c, LEDGER_EDIT, index, "leaf %llu: %s", (unsigned long long)index, err.message);
    else if (leaf.index != index)
        finding(c, LEDGER_GAP, index, "at place %llu stands leaf %llu: leaves were removed or reordered",
                (unsigned long long)index, (unsigned long long)leaf.index);
    else {
        check_times(c, &leaf);
        if (c->v->on_leaf)
            c->v->on_leaf(&leaf, ret, c->v->data);
    }
    merkle_edge_add(&c->edge, ret);
    c->out.leaves++;
    compare_notes(c);
}

static void check_tile(struct check *c, uint64_t n, unsigned count, const struct merkle_hash *hashes)
{
    struct merkle_hash stored[TILE_WIDTH];
    struct err err = ERR_INIT;
    int r = tile_read(c->v->dir, 0, n, count, stored, &err);
    if (r == -ENOENT) /* a tile is only a shortcut for readers */
        return;
    if (r < 0) {
        finding(c, LEDGER_EDIT, n * TILE_WIDTH, "%s", err.message);
        return;
    }
    for (unsigned i = 0; i < count; i++)
        if (!merkle_equal(&stored[i], &hashes[i])) {
            finding(c, LEDGER_EDIT, n * TILE_WIDTH + i, "leaf %llu is not what was hashed: it was altered",
                    (unsigned long long)(n * TILE_WIDTH + i));
            return;
        }
}

/* 1: read. 0: there is no such bundle. */
static int check_bundle(struct check *c, uint64_t n, unsigned count)
{
    autofree char *path = tile_path(c->v->dir, TILE_ENTRIES, n, count), *bundle = NULL;
    struct merkle_hash hashes[TILE_WIDTH];
    struct tile_cursor cursor = {0};
    struct err err = ERR_INIT;
    const char *entry = NULL;
    size_t len = 0, entry_len = 0;
    unsigned i = 0;
    int r;
    if (!fs_exists(path))
        return 0;
    if (fs_read(path, TILE_BUNDLE_MAX, &bundle, &len, &err) < 0) {
        finding(c, LEDGER_GAP, n * TILE_WIDTH, "%s", err.message);
        return 0;
    }
    while ((r = tile_entry_next(bundle, len, &cursor, &entry, &entry_len)) == 1 && i < count)
        check_leaf(c, entry, entry_len, &hashes[i++]);
    if (r < 0 || r == 1 || i != count)
        finding(c, LEDGER_EDIT, n * TILE_WIDTH + i, "%s does not hold exactly %u leaves", path, count);
    check_tile(c, n, i, hashes);
    return 1;
}

/* The ledger's own folder has its newest leaves in the tail instead. */
static bool check_tail(struct check *c)
{
    autofree char *path = mem_printf("%s/tail-%012llu", c->v->dir, (unsigned long long)c->edge.size), *text = NULL;
    struct merkle_hash hash;
    size_t len = 0, at = 0;
    if (!fs_exists(path) || fs_read(path, MIB(512), &text, &len, NULL) < 0)
        return false;
    while (len - at > 36) {
        const unsigned char *p = (const unsigned char *)text + at;
        size_t n = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
        if (n > len - at - 36)
            break; /* torn: never answered for */
        uint64_t index = c->edge.size;
        check_leaf(c, text + at + 36, n, &hash);
        if (memcmp(hash.b, p + 4, sizeof(hash.b)))
            finding(c, LEDGER_EDIT, index, "leaf %llu is not what was hashed: it was altered",
                    (unsigned long long)index);
        at += 36 + n;
    }
    return true;
}

static void check_leaves(struct check *c)
{
    uint64_t signed_size = c->n ? c->kept[c->n - 1].note.checkpoint.size : 0, n = 0;
    compare_notes(c);
    while (check_bundle(c, n, TILE_WIDTH))
        n++;
    if (!check_tail(c) && signed_size > n * TILE_WIDTH && signed_size < (n + 1) * TILE_WIDTH)
        check_bundle(c, n, (unsigned)(signed_size % TILE_WIDTH));
    /* An older unfinished bundle is better than none: it shows from where on leaves are missing. */
    for (unsigned w = TILE_WIDTH - 1; c->edge.size == n * TILE_WIDTH && signed_size > c->edge.size && w > 0; w--)
        check_bundle(c, n, w);
}

static void conclude(struct check *c)
{
    for (size_t i = 0; i < c->n; i++)
        if (!c->kept[i].compared) {
            finding(c, LEDGER_GAP, c->edge.size, "leaves %llu to %llu are missing: %s signs %llu, %llu are there",
                    (unsigned long long)c->edge.size, (unsigned long long)c->kept[i].note.checkpoint.size - 1,
                    c->kept[i].name, (unsigned long long)c->kept[i].note.checkpoint.size,
                    (unsigned long long)c->edge.size);
            break;
        }
    if (c->v->witness && c->out.signed_size > c->seen)
        finding(c, LEDGER_UNSEEN, c->seen, "no witness has cosigned leaves %llu to %llu yet",
                (unsigned long long)c->seen, (unsigned long long)c->out.signed_size - 1);
    if (c->edge.size > c->out.signed_size)
        finding(c, LEDGER_UNSIGNED, c->out.signed_size, "leaves %llu to %llu are under no good checkpoint",
                (unsigned long long)c->out.signed_size, (unsigned long long)c->edge.size - 1);
}

int ledger_verify(const struct ledger_verify *v, struct ledger_verdict *ret, struct err *err)
{
    struct check c = {.v = v};
    struct err own = ERR_INIT;
    if (!fs_exists(v->dir))
        return err_set(err, -ENOENT, "%s: there is no such folder", v->dir);
    int r = load_notes(&c, &own);
    if (r < 0)
        r = err_set(err, r, "%s", own.message);
    if (r == 0) {
        check_leaves(&c);
        conclude(&c);
        *ret = c.out;
    }
    for (size_t i = 0; i < c.n; i++) {
        free(c.kept[i].name);
        free(c.kept[i].text);
    }
    free(c.kept);
    return r;
}
