/* The offline check: a good copy passes, and every way to cheat has its name. */
#include "ledger_parts.h"

#include "ledger/tile.h"

static void publish(struct bench *b)
{
    struct err err = ERR_INIT;
    assert_int_equal(ledger_checkpoint(b->l, &err), 0);
    int r = ledger_publish(b->l, b->bucket, &err);
    if (r < 0)
        print_message("%s\n", err.message);
    assert_int_equal(r, 0);
}

static void edit(const char *path, size_t at, int mask)
{
    autofree char *text = NULL;
    size_t len = 0;
    assert_int_equal(fs_read(path, MIB(20), &text, &len, NULL), 0);
    text[at] ^= (char)mask;
    assert_int_equal(fs_write_atomic(path, text, len, 0600, NULL), 0);
}

static void test_good(void **state)
{
    static const int steps[] = {1, 10, 245, 1, 300, 512};
    struct bench b;
    struct found f;
    uint64_t n = 0;
    bench_new(&b, *state);
    for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
        bench_add(&b, steps[i]);
        n += (uint64_t)steps[i];
        publish(&b);
        struct ledger_verdict v = bench_verify(&b, b.bucket, &f, NULL), own = bench_verify(&b, b.dir, &f, NULL);
        if (v.findings)
            print_message("%s\n", f.last);
        assert_int_equal(v.findings, 0);
        assert_int_equal(v.leaves, n);
        assert_int_equal(v.signed_size, n);
        assert_int_equal(own.findings, 0);
        assert_int_equal(own.leaves, n);
        assert_int_equal(v.notices, 0);
        bench_reopen(&b);
    }
    bench_add(&b, 5);
    assert_int_equal(bench_verify(&b, b.dir, &f, NULL).findings, 0);
    assert_int_equal(f.n[LEDGER_UNSIGNED], 1);
    bench_free(&b);
}

static void test_edited_leaf(void **state)
{
    struct bench b;
    struct found f;
    bench_new(&b, *state);
    bench_add(&b, 300);
    publish(&b);
    autofree char *full = tile_path(b.bucket, TILE_ENTRIES, 0, 256), *part = tile_path(b.bucket, TILE_ENTRIES, 1, 44);
    edit(full, 3000, 2);
    bench_verify(&b, b.bucket, &f, NULL);
    assert_true(f.n[LEDGER_EDIT] > 0);
    assert_true(f.n[LEDGER_FORK] > 0);
    edit(full, 3000, 2);
    assert_int_equal(bench_verify(&b, b.bucket, &f, NULL).findings, 0);
    edit(part, 3000, 2);
    bench_verify(&b, b.bucket, &f, NULL);
    assert_true(f.n[LEDGER_FORK] > 0);
    bench_free(&b);
}

/* The keeper of the copy fits the tiles to the altered leaf: the checkpoint still does not. */
static void test_edited_with_tiles_removed(void **state)
{
    struct bench b;
    struct found f;
    bench_new(&b, *state);
    bench_add(&b, 300);
    publish(&b);
    autofree char *full = tile_path(b.bucket, TILE_ENTRIES, 0, 256), *tile = tile_path(b.bucket, 0, 0, 256);
    edit(full, 3000, 2);
    unlink(tile);
    assert_true(bench_verify(&b, b.bucket, &f, NULL).findings > 0);
    assert_true(f.n[LEDGER_FORK] > 0);
    bench_free(&b);
}

static void rewrite_part(struct bench *b, unsigned count, unsigned leave_out, bool swap)
{
    autofree char *path = tile_path(b->bucket, TILE_ENTRIES, 0, count), *text = NULL;
    const char *entries[256];
    size_t lens[256], len = 0;
    unsigned n = 0;
    struct tile_cursor c = {0};
    autobuf struct buf out = BUF_INIT;
    assert_int_equal(fs_read(path, MIB(1), &text, &len, NULL), 0);
    while (tile_entry_next(text, len, &c, &entries[n], &lens[n]) == 1)
        n++;
    assert_int_equal(n, count);
    for (unsigned i = 0; i < n; i++) {
        unsigned k = swap && i == 3 ? 4 : swap && i == 4 ? 3 : i;
        if (i != leave_out)
            tile_entry_add(&out, entries[k], lens[k]);
    }
    assert_int_equal(fs_write_atomic(path, out.data, out.len, 0600, NULL), 0);
}

static void test_removed_leaf(void **state)
{
    struct bench b;
    struct found f;
    bench_new(&b, *state);
    bench_add(&b, 20);
    publish(&b);
    rewrite_part(&b, 20, 7, false);
    assert_true(bench_verify(&b, b.bucket, &f, NULL).findings > 0);
    assert_true(f.n[LEDGER_GAP] > 0);
    bench_free(&b);
}

static void test_reordered_leaves(void **state)
{
    struct bench b;
    struct found f;
    bench_new(&b, *state);
    bench_add(&b, 20);
    publish(&b);
    rewrite_part(&b, 20, 999, true);
    assert_true(bench_verify(&b, b.bucket, &f, NULL).findings > 0);
    assert_true(f.n[LEDGER_GAP] >= 2);
    assert_true(f.n[LEDGER_FORK] > 0);
    bench_free(&b);
}

static void test_missing_bundle(void **state)
{
    struct bench b;
    struct found f;
    bench_new(&b, *state);
    bench_add(&b, 900);
    publish(&b);
    autofree char *path = tile_path(b.bucket, TILE_ENTRIES, 1, 256);
    unlink(path);
    bench_verify(&b, b.bucket, &f, NULL);
    assert_true(f.n[LEDGER_GAP] > 0);
    bench_free(&b);
}

/* The end is cut off, with a checkpoint of before in its place: only one kept elsewhere shows it. */
static void test_rolled_back(void **state)
{
    struct bench b;
    struct found f;
    bench_new(&b, *state);
    bench_add(&b, 20);
    publish(&b);
    autofree char *old = mem_printf("%s.old", b.bucket), *copy = mem_printf("cp -r %s %s", b.bucket, old);
    assert_int_equal(system(copy), 0);
    bench_add(&b, 10);
    publish(&b);
    autofree char *newest = mem_strdup(ledger_note(b.l));
    assert_int_equal(bench_verify(&b, old, &f, NULL).findings, 0);
    const char *const others[] = {newest};
    struct ledger_verdict verdict;
    struct ledger_verify v = {.dir = old, .others = others, .n_others = 1, .on_finding = on_finding, .data = &f};
    ledger_verifier(b.l, &v.log);
    f = (struct found){0};
    assert_int_equal(ledger_verify(&v, &verdict, NULL), 0);
    assert_int_equal(f.n[LEDGER_GAP], 1);
    assert_non_null(strstr(f.last, "20 to 29"));
    bench_free(&b);
}

/* The ledger's key signs two histories: whoever has a checkpoint of the other sees it. */
static void test_forked(void **state)
{
    struct bench b, other;
    struct found f;
    bench_new(&b, *state);
    bench_add(&b, 20);
    publish(&b);
    autofree char *elsewhere = mem_printf("%s/elsewhere", (char *)*state);
    other = (struct bench){elsewhere, NULL, b.key, b.clock, NULL};
    bench_open(&other);
    bench_add(&other, 15);
    assert_int_equal(ledger_checkpoint(other.l, NULL), 0);
    autofree char *fork = mem_strdup(ledger_note(other.l));
    autofree char *path = mem_printf("%s/checkpoints/000000000015", b.bucket);
    assert_int_equal(fs_write_atomic(path, fork, strlen(fork), 0600, NULL), 0);
    bench_verify(&b, b.bucket, &f, NULL);
    assert_int_equal(f.n[LEDGER_FORK], 1);
    ledger_close(other.l);
    bench_free(&b);
}

static void test_forged_signature(void **state)
{
    struct bench b;
    struct found f;
    bench_new(&b, *state);
    bench_add(&b, 20);
    publish(&b);
    autokey struct signing_key *thief = signing_key_new();
    struct note_verifier v = {.name = "ownhouse/test", .type = NOTE_ED25519};
    struct checkpoint c = {.origin = "ownhouse/test", .size = 19};
    signing_key_public(thief, v.key);
    autofree char *note = checkpoint_sign(&v, thief, &c), *path = mem_printf("%s/checkpoint", b.bucket);
    assert_int_equal(fs_write_atomic(path, note, strlen(note), 0600, NULL), 0);
    assert_true(bench_verify(&b, b.bucket, &f, NULL).findings > 0);
    assert_true(f.n[LEDGER_FORGED] > 0);
    bench_free(&b);
}

static void cosign(struct bench *b, const struct signing_key *k, const struct note_verifier *v, int64_t seconds)
{
    struct note n;
    autobuf struct buf out = BUF_INIT;
    buf_adds(&out, ledger_note(b->l));
    assert_int_equal(note_parse(out.data, out.len, &n, NULL), 0);
    autofree char *text = mem_strndup(n.text, n.text_len);
    note_sign(v, k, text, strlen(text), seconds, &out);
    assert_int_equal(ledger_cosigned(b->l, out.data, out.len, NULL), 0);
}

static void test_witness(void **state)
{
    struct bench b;
    struct found f;
    autokey struct signing_key *k = signing_key_new();
    struct note_verifier w = {.name = "ownhouse/witness", .type = NOTE_COSIGNATURE};
    bench_new(&b, *state);
    signing_key_public(k, w.key);
    bench_add(&b, 3);
    publish(&b);
    cosign(&b, k, &w, b.clock.wall / 1000 + 5);
    publish(&b);
    struct ledger_verdict v = bench_verify(&b, b.bucket, &f, &w);
    assert_int_equal(v.findings + v.notices, 0);
    assert_true(v.cosigned >= 1);
    bench_add(&b, 3);
    publish(&b);
    bench_verify(&b, b.bucket, &f, &w);
    assert_int_equal(f.n[LEDGER_UNSEEN], 1);
    cosign(&b, k, &w, b.clock.wall / 1000 + 3600);
    publish(&b);
    bench_verify(&b, b.bucket, &f, &w);
    assert_int_equal(f.n[LEDGER_LATE], 1);
    assert_int_equal(f.n[LEDGER_UNSEEN], 0);
    autokey struct signing_key *thief = signing_key_new();
    struct note_verifier other = w;
    signing_key_public(thief, other.key);
    assert_int_equal(bench_verify(&b, b.bucket, &f, &other).cosigned, 0);
    bench_free(&b);
}

static void test_clock_jump(void **state)
{
    struct bench b;
    struct found f;
    bench_new(&b, *state);
    bench_add(&b, 2);
    b.clock.wall += 3600000;
    bench_add(&b, 1);
    b.clock.wall -= 7200000;
    bench_add(&b, 1);
    publish(&b);
    assert_int_equal(bench_verify(&b, b.bucket, &f, NULL).findings, 0);
    assert_int_equal(f.n[LEDGER_CLOCK], 2);
    bench_free(&b);
}

static void test_publish_refuses_roll_back(void **state)
{
    struct bench b;
    struct err err = ERR_INIT;
    bench_new(&b, *state);
    bench_add(&b, 5);
    publish(&b);
    autofree char *fresh = mem_printf("%s/fresh", (char *)*state);
    struct bench other = {fresh, b.bucket, b.key, b.clock, NULL};
    bench_open(&other);
    bench_add(&other, 3);
    assert_int_equal(ledger_checkpoint(other.l, NULL), 0);
    assert_int_equal(ledger_publish(other.l, b.bucket, &err), -EBADMSG);
    assert_non_null(strstr(err.message, "rolled back"));
    ledger_close(other.l);
    bench_free(&b);
}

#define T(f) cmocka_unit_test_setup_teardown(f, scratch_setup, scratch_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_good),         T(test_edited_leaf),      T(test_edited_with_tiles_removed),
        T(test_removed_leaf), T(test_missing_bundle),   T(test_rolled_back),
        T(test_forked),       T(test_forged_signature), T(test_witness),
        T(test_clock_jump),   T(test_reordered_leaves), T(test_publish_refuses_roll_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
