/* Measures the ledger: durable appends a second, and the check of a large copy.
 *
 *     build/bench/bench-ledger FOLDER [LEAVES] */
#include "ledger/ledger.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "ledger/tile.h"
#include "ledger/verify.h"

static double seconds_since(int64_t start)
{
    return (double)(clock_mono_ms(&clock_system) - start) / 1000;
}

static void must(int r, const struct err *err)
{
    if (r >= 0)
        return;
    fprintf(stderr, "%s\n", err->message);
    exit(1);
}

static json_t *body_of(uint64_t i)
{
    return json_pack("{ss sI ss ss ss}", "message", "observed", "bytes", (json_int_t)(1000 + i % 1000), "schema",
                     "ownhouse-link/1", "sha256", "0000000000000000000000000000000000000000000000000000000000000000",
                     "destination", "control.example:443");
}

static void appends(const char *dir, const struct signing_key *key)
{
    struct ledger_config c = {dir, "ownhouse/bench", key, &clock_system};
    struct ledger *l = NULL;
    struct err err = ERR_INIT;
    must(ledger_open(&c, &l, &err), &err);
    int64_t start = clock_mono_ms(&clock_system);
    uint64_t n = 0;
    for (; seconds_since(start) < 5; n++) {
        autojson json_t *body = body_of(n);
        must(ledger_append(l, "egress", body, NULL, &err), &err);
    }
    printf("durable appends: %.0f a second (%llu in 5 s)\n", (double)n / seconds_since(start), (unsigned long long)n);
    must(ledger_checkpoint(l, &err), &err);
    ledger_close(l);
}

/* A copy as a bucket holds it, without paying for a sync a leaf. */
static void make_copy(const char *dir, const struct signing_key *key, uint64_t leaves)
{
    struct note_verifier v = {.name = "ownhouse/bench", .type = NOTE_ED25519};
    struct checkpoint c = {.origin = "ownhouse/bench", .size = leaves};
    struct merkle_edge edge = {0};
    struct err err = ERR_INIT;
    signing_key_public(key, v.key);
    for (uint64_t i = 0; i < leaves;) {
        autobuf struct buf bundle = BUF_INIT, leaf = BUF_INIT;
        unsigned count = 0;
        for (; count < TILE_WIDTH && i < leaves; count++, i++) {
            struct merkle_hash h;
            autojson json_t *body = body_of(i);
            must(leaf_write(i, 1795000000000 + (int64_t)i, (int64_t)i, "egress", body, NULL, &leaf, &err), &err);
            merkle_leaf(leaf.data, leaf.len, &h);
            merkle_edge_add(&edge, &h);
            tile_entry_add(&bundle, leaf.data, leaf.len);
        }
        must(tile_write(dir, TILE_ENTRIES, (i - 1) / TILE_WIDTH, count, bundle.data, bundle.len, &err), &err);
    }
    merkle_edge_root(&edge, &c.root);
    autofree char *note = checkpoint_sign(&v, key, &c), *path = mem_printf("%s/checkpoint", dir);
    must(fs_write_atomic(path, note, strlen(note), 0600, &err), &err);
}

static void check(const char *dir, const struct signing_key *key)
{
    struct ledger_verify v = {.dir = dir};
    struct ledger_verdict verdict;
    struct err err = ERR_INIT;
    strcpy(v.log.name, "ownhouse/bench");
    v.log.type = NOTE_ED25519;
    signing_key_public(key, v.log.key);
    int64_t start = clock_mono_ms(&clock_system);
    must(ledger_verify(&v, &verdict, &err), &err);
    printf("verify: %llu leaves in %.1f s (%llu findings)\n", (unsigned long long)verdict.leaves, seconds_since(start),
           (unsigned long long)verdict.findings);
    if (verdict.findings || !verdict.signed_size)
        exit(1);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: bench-ledger FOLDER [LEAVES]\n");
        return 2;
    }
    autokey struct signing_key *key = signing_key_new();
    autofree char *live = mem_printf("%s/live", argv[1]), *copy = mem_printf("%s/copy", argv[1]);
    appends(live, key);
    make_copy(copy, key, argc > 2 ? strtoull(argv[2], NULL, 10) : 1000000);
    check(copy, key);
    return 0;
}
