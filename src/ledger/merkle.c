/* The Merkle tree of RFC 6962: appending at its right edge, proving, and checking proofs. */
#include "ledger/merkle.h"

void merkle_leaf(const void *data, size_t len, struct merkle_hash *ret)
{
    unsigned char head[KIB(4)];
    if (len < sizeof(head)) {
        head[0] = 0;
        memcpy(head + 1, data, len);
        sha256(head, len + 1, ret->b);
        return;
    }
    unsigned char *copy = malloc(len + 1);
    if (!copy)
        abort();
    copy[0] = 0;
    memcpy(copy + 1, data, len);
    sha256(copy, len + 1, ret->b);
    free(copy);
}

void merkle_node(const struct merkle_hash *left, const struct merkle_hash *right, struct merkle_hash *ret)
{
    unsigned char both[1 + 2 * MERKLE_HASH_SIZE] = {1};
    memcpy(both + 1, left->b, MERKLE_HASH_SIZE);
    memcpy(both + 1 + MERKLE_HASH_SIZE, right->b, MERKLE_HASH_SIZE);
    sha256(both, sizeof(both), ret->b);
}

bool merkle_equal(const struct merkle_hash *a, const struct merkle_hash *b)
{
    return memcmp(a->b, b->b, MERKLE_HASH_SIZE) == 0;
}

/* ---- the right edge ---- */

void merkle_edge_add(struct merkle_edge *e, const struct merkle_hash *leaf)
{
    struct merkle_hash h = *leaf;
    int n = __builtin_popcountll(e->size);
    /* Each trailing one bit is a full subtree that this leaf completes to one of twice its size. */
    for (uint64_t rest = e->size; rest & 1; rest >>= 1)
        merkle_node(&e->peaks[--n], &h, &h);
    e->peaks[n] = h;
    e->size++;
}

void merkle_edge_root(const struct merkle_edge *e, struct merkle_hash *ret)
{
    int n = __builtin_popcountll(e->size);
    if (n == 0) {
        sha256("", 0, ret->b);
        return;
    }
    struct merkle_hash h = e->peaks[n - 1];
    for (int i = n - 2; i >= 0; i--)
        merkle_node(&e->peaks[i], &h, &h);
    *ret = h;
}

/* ---- proofs ---- */

static unsigned log2_floor(uint64_t n)
{
    return 63 - (unsigned)__builtin_clzll(n);
}

/* Root of leaves [begin, begin + n), n > 0, where begin is a multiple of the largest power of two <= n. */
static int range_root(const struct merkle_source *s, uint64_t begin, uint64_t n, struct merkle_hash *ret,
                      struct err *err)
{
    struct merkle_hash parts[64];
    int count = 0;
    while (n) {
        unsigned level = log2_floor(n);
        int r = s->subtree(level, begin >> level, s->data, &parts[count++], err);
        if (r < 0)
            return r;
        begin += 1ULL << level;
        n -= 1ULL << level;
    }
    struct merkle_hash h = parts[count - 1];
    for (int i = count - 2; i >= 0; i--)
        merkle_node(&parts[i], &h, &h);
    *ret = h;
    return 0;
}

int merkle_root(const struct merkle_source *s, uint64_t size, struct merkle_hash *ret, struct err *err)
{
    if (size == 0) {
        sha256("", 0, ret->b);
        return 0;
    }
    return range_root(s, 0, size, ret, err);
}

static uint64_t split(uint64_t n) /* largest power of two below n, n > 1 */
{
    return 1ULL << log2_floor(n - 1);
}

/* Siblings on the way down, turned round at the end so that the lowest comes first. */
static void turn_round(struct merkle_proof *p)
{
    for (size_t i = 0; i < p->n / 2; i++) {
        struct merkle_hash h = p->hashes[i];
        p->hashes[i] = p->hashes[p->n - 1 - i];
        p->hashes[p->n - 1 - i] = h;
    }
}

int merkle_prove_inclusion(const struct merkle_source *s, uint64_t index, uint64_t size, struct merkle_proof *ret,
                           struct err *err)
{
    struct merkle_proof p = {0};
    uint64_t begin = 0, n = size;
    if (index >= size)
        return err_set(err, -EINVAL, "leaf %llu is not in a tree of %llu leaves", (unsigned long long)index,
                       (unsigned long long)size);
    while (n > 1) {
        uint64_t k = split(n);
        bool left = index - begin < k;
        int r = range_root(s, left ? begin + k : begin, left ? n - k : k, &p.hashes[p.n++], err);
        if (r < 0)
            return r;
        begin += left ? 0 : k;
        n = left ? k : n - k;
    }
    turn_round(&p);
    *ret = p;
    return 0;
}

int merkle_prove_consistency(const struct merkle_source *s, uint64_t from, uint64_t to, struct merkle_proof *ret,
                             struct err *err)
{
    struct merkle_proof p = {0};
    uint64_t begin = 0, n = to, m = from;
    bool whole = true; /* the old tree is still a prefix of this range that began at 0 */
    int r = 0;
    if (from == 0 || from > to)
        return err_set(err, -EINVAL, "no proof leads from %llu to %llu leaves", (unsigned long long)from,
                       (unsigned long long)to);
    while (m != n && r == 0) {
        uint64_t k = split(n);
        if (m <= k) {
            r = range_root(s, begin + k, n - k, &p.hashes[p.n++], err);
            n = k;
        } else {
            r = range_root(s, begin, k, &p.hashes[p.n++], err);
            begin += k;
            n -= k;
            m -= k;
            whole = false;
        }
    }
    if (r == 0 && !whole)
        r = range_root(s, begin, n, &p.hashes[p.n++], err);
    if (r < 0)
        return r;
    turn_round(&p);
    *ret = p;
    return 0;
}

bool merkle_check_inclusion(const struct merkle_proof *p, uint64_t index, uint64_t size, const struct merkle_hash *leaf,
                            const struct merkle_hash *root)
{
    uint64_t fn = index, sn = size - 1;
    struct merkle_hash h = *leaf;
    if (index >= size)
        return false;
    for (size_t i = 0; i < p->n; i++) {
        if (sn == 0)
            return false;
        if ((fn & 1) || fn == sn) {
            merkle_node(&p->hashes[i], &h, &h);
            while (!(fn & 1) && fn) {
                fn >>= 1;
                sn >>= 1;
            }
        } else {
            merkle_node(&h, &p->hashes[i], &h);
        }
        fn >>= 1;
        sn >>= 1;
    }
    return sn == 0 && merkle_equal(&h, root);
}

static bool check_path(const struct merkle_proof *p, size_t next, uint64_t fn, uint64_t sn, struct merkle_hash fr,
                       const struct merkle_hash *from_root, const struct merkle_hash *to_root)
{
    struct merkle_hash sr = fr;
    for (; next < p->n; next++) {
        const struct merkle_hash *c = &p->hashes[next];
        if (sn == 0)
            return false;
        if ((fn & 1) || fn == sn) {
            merkle_node(c, &fr, &fr);
            merkle_node(c, &sr, &sr);
            while (!(fn & 1) && fn) {
                fn >>= 1;
                sn >>= 1;
            }
        } else {
            merkle_node(&sr, c, &sr);
        }
        fn >>= 1;
        sn >>= 1;
    }
    return sn == 0 && merkle_equal(&fr, from_root) && merkle_equal(&sr, to_root);
}

bool merkle_check_consistency(const struct merkle_proof *p, uint64_t from, uint64_t to,
                              const struct merkle_hash *from_root, const struct merkle_hash *to_root)
{
    if (from > to)
        return false;
    if (from == 0 || from == to)
        return p->n == 0 && (from == 0 || merkle_equal(from_root, to_root));
    if (p->n == 0)
        return false;
    uint64_t fn = from - 1, sn = to - 1;
    while (fn & 1) {
        fn >>= 1;
        sn >>= 1;
    }
    /* An old tree that is one full subtree is not repeated in the proof. */
    bool full = (from & (from - 1)) == 0;
    return check_path(p, full ? 0 : 1, fn, sn, full ? *from_root : p->hashes[0], from_root, to_root);
}
