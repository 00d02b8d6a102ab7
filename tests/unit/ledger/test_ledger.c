/* The ledger on a disk: appending, coming back, proofs, crashes at the tail, full disks, alterations noticed at
 * opening. */
#include "ledger_parts.h"

#include "ledger/leaf.h"

#include <signal.h>
#include <sys/resource.h>

static void check_all(struct bench *b)
{
    struct merkle_edge e = {0};
    struct merkle_hash root, ours;
    for (uint64_t i = 0; i < ledger_size(b->l); i++) {
        autofree char *text = NULL;
        autoleaf struct leaf leaf = {0};
        struct merkle_hash h;
        size_t len = 0;
        assert_int_equal(ledger_leaf(b->l, i, &text, &len, NULL), 0);
        assert_int_equal(leaf_parse(text, len, &leaf, NULL), 0);
        assert_int_equal(leaf.index, i);
        merkle_leaf(text, len, &h);
        merkle_edge_add(&e, &h);
    }
    merkle_edge_root(&e, &root);
    ledger_root(b->l, &ours);
    assert_true(merkle_equal(&root, &ours));
}

static void test_append_and_reopen(void **state)
{
    static const int steps[] = {0, 1, 3, 251, 1, 1, 255, 1, 600, 2};
    struct bench b;
    uint64_t n = 0;
    bench_new(&b, *state);
    for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
        struct merkle_hash before, after;
        bench_add(&b, steps[i]);
        n += (uint64_t)steps[i];
        ledger_root(b.l, &before);
        bench_reopen(&b);
        assert_int_equal(ledger_size(b.l), n);
        ledger_root(b.l, &after);
        assert_true(merkle_equal(&before, &after));
    }
    check_all(&b);
    bench_free(&b);
}

static void test_many_tiles(void **state)
{
    /* Enough for a whole tile of level 1. */
    struct bench b;
    bench_new(&b, *state);
    bench_add(&b, 256 * 256 + 300);
    bench_reopen(&b);
    check_all(&b);
    struct merkle_proof p;
    assert_int_equal(ledger_consistency(b.l, 65535, 65836, &p, NULL), 0);
    bench_free(&b);
}

static void test_proofs(void **state)
{
    struct bench b;
    struct merkle_hash root, old;
    struct merkle_proof p;
    bench_new(&b, *state);
    bench_add(&b, 300);
    ledger_root(b.l, &old);
    bench_add(&b, 400);
    ledger_root(b.l, &root);
    assert_int_equal(ledger_consistency(b.l, 300, 700, &p, NULL), 0);
    assert_true(merkle_check_consistency(&p, 300, 700, &old, &root));
    for (uint64_t i = 0; i < 700; i += 13) {
        autofree char *text = NULL;
        struct merkle_hash h;
        size_t len = 0;
        assert_int_equal(ledger_leaf(b.l, i, &text, &len, NULL), 0);
        merkle_leaf(text, len, &h);
        assert_int_equal(ledger_inclusion(b.l, i, 700, &p, NULL), 0);
        assert_true(merkle_check_inclusion(&p, i, 700, &h, &root));
    }
    assert_int_equal(ledger_inclusion(b.l, 0, 701, &p, NULL), -EINVAL);
    bench_free(&b);
}

static void test_torn_tail(void **state)
{
    struct bench b;
    bench_new(&b, *state);
    bench_add(&b, 3);
    autofree char *path = bench_tail(&b), *whole = NULL, *four = NULL;
    size_t three_len = 0, len = 0;
    assert_int_equal(fs_read(path, MIB(1), &whole, &three_len, NULL), 0);
    bench_add(&b, 1);
    assert_int_equal(fs_read(path, MIB(1), &four, &len, NULL), 0);
    for (size_t cut = three_len; cut < len; cut += 7) {
        ledger_close(b.l);
        assert_int_equal(fs_write_atomic(path, four, cut, 0600, NULL), 0);
        bench_open(&b);
        assert_int_equal(ledger_size(b.l), 3);
    }
    bench_add(&b, 2);
    bench_reopen(&b);
    check_all(&b);
    bench_free(&b);
}

static void expect_refusal(struct bench *b, const char *word)
{
    struct ledger_config c = {b->dir, "ownhouse/test", b->key, &b->clock.clock};
    struct err err = ERR_INIT;
    assert_int_equal(ledger_open(&c, &b->l, &err), -EBADMSG);
    assert_non_null(strstr(err.message, word));
    b->l = NULL;
}

static void test_altered_tail(void **state)
{
    struct bench b;
    bench_new(&b, *state);
    bench_add(&b, 5);
    assert_int_equal(ledger_checkpoint(b.l, NULL), 0);
    autofree char *path = bench_tail(&b), *text = NULL;
    size_t len = 0;
    ledger_close(b.l);
    assert_int_equal(fs_read(path, MIB(1), &text, &len, NULL), 0);
    text[50] ^= 1;
    assert_int_equal(fs_write_atomic(path, text, len, 0600, NULL), 0);
    expect_refusal(&b, "leaf 0");
    text[50] ^= 1;
    /* A whole leaf less than the last checkpoint says is no torn tail. */
    assert_int_equal(fs_write_atomic(path, text, len - 40, 0600, NULL), 0);
    expect_refusal(&b, "5 leaves, only 4");
    bench_free(&b);
}

static void test_cut_tile(void **state)
{
    struct bench b;
    bench_new(&b, *state);
    bench_add(&b, 600);
    assert_int_equal(ledger_checkpoint(b.l, NULL), 0);
    ledger_close(b.l);
    autofree char *path = mem_printf("%s/tile/1/000.p/2", b.dir), *text = NULL;
    size_t len = 0;
    assert_int_equal(fs_read(path, MIB(1), &text, &len, NULL), 0);
    text[40] ^= 1;
    assert_int_equal(fs_write_atomic(path, text, len, 0600, NULL), 0);
    expect_refusal(&b, "root");
    unlink(path);
    expect_refusal(&b, "missing");
    bench_free(&b);
}

static void test_full_disk(void **state)
{
    struct bench b;
    struct rlimit small, before;
    struct err err = ERR_INIT;
    autojson json_t *body = json_pack("{ss}", "what", "does not fit");
    bench_new(&b, *state);
    bench_add(&b, 4);
    struct merkle_hash root, after;
    ledger_root(b.l, &root);
    autofree char *path = bench_tail(&b), *text = NULL, *again = NULL;
    size_t len = 0, again_len = 0;
    assert_int_equal(fs_read(path, MIB(1), &text, &len, NULL), 0);
    /* A write that ends in the middle of the record, as on a full disk. */
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before);
    small = before;
    small.rlim_cur = len + 60;
    setrlimit(RLIMIT_FSIZE, &small);
    assert_int_equal(ledger_append(b.l, "test", body, NULL, &err), -EFBIG);
    setrlimit(RLIMIT_FSIZE, &before);
    assert_int_equal(ledger_size(b.l), 4);
    ledger_root(b.l, &after);
    assert_true(merkle_equal(&root, &after));
    assert_int_equal(fs_read(path, MIB(1), &again, &again_len, NULL), 0);
    assert_int_equal(again_len, len);
    assert_memory_equal(text, again, len);
    bench_add(&b, 1);
    bench_reopen(&b);
    assert_int_equal(ledger_size(b.l), 5);
    check_all(&b);
    bench_free(&b);
}

static void test_totals(void **state)
{
    struct bench b;
    bench_new(&b, *state);
    ledger_count(b.l, "ping", 2);
    ledger_count(b.l, "ping", 3);
    bench_add(&b, 2);
    for (uint64_t i = 0; i < 2; i++) {
        autofree char *text = NULL;
        autoleaf struct leaf leaf = {0};
        size_t len = 0;
        assert_int_equal(ledger_leaf(b.l, i, &text, &len, NULL), 0);
        assert_int_equal(leaf_parse(text, len, &leaf, NULL), 0);
        assert_int_equal(json_integer_value(json_object_get(leaf.totals, "ping")), i == 0 ? 5 : 0);
    }
    bench_free(&b);
}

static void test_one_writer(void **state)
{
    struct bench b;
    struct ledger *second = NULL;
    bench_new(&b, *state);
    struct ledger_config c = {b.dir, "ownhouse/test", b.key, &b.clock.clock};
    assert_int_equal(ledger_open(&c, &second, NULL), -EBUSY);
    bench_free(&b);
}

static void test_checkpoint_only_with_leaves(void **state)
{
    struct bench b;
    bench_new(&b, *state);
    assert_int_equal(ledger_checkpoint(b.l, NULL), 0);
    assert_string_equal(ledger_note(b.l), "");
    bench_add(&b, 2);
    assert_int_equal(ledger_checkpoint(b.l, NULL), 0);
    autofree char *first = mem_strdup(ledger_note(b.l));
    assert_int_equal(ledger_checkpoint(b.l, NULL), 0);
    assert_string_equal(ledger_note(b.l), first);
    bench_reopen(&b);
    assert_string_equal(ledger_note(b.l), first);
    assert_int_equal(ledger_signed_size(b.l), 2);
    bench_free(&b);
}

static void test_key_names_its_ledger(void **state)
{
    autofree char *dir = mem_printf("%s/activities", (char *)*state), *verifier = mem_printf("%s/verifier", dir);
    char origin[LEDGER_ORIGIN_SIZE], again[LEDGER_ORIGIN_SIZE];
    autokey struct signing_key *a = NULL, *b = NULL;
    struct note_verifier v;
    unsigned char pub[32];
    autofree char *text = NULL;
    size_t n;
    assert_int_equal(ledger_key(dir, "activities", origin, &a, NULL), 0);
    assert_int_equal(ledger_key(dir, "activities", again, &b, NULL), 0);
    assert_string_equal(origin, again);
    assert_int_equal(strncmp(origin, "ownhouse/activities/", 20), 0);
    assert_int_equal(fs_read(verifier, 1000, &text, &n, NULL), 0);
    text[n - 1] = 0;
    assert_int_equal(note_verifier_parse(text, &v, NULL), 0);
    assert_string_equal(v.name, origin);
    signing_key_public(a, pub);
    assert_memory_equal(v.key, pub, sizeof(pub));
}

#define T(f) cmocka_unit_test_setup_teardown(f, scratch_setup, scratch_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_append_and_reopen),
        T(test_proofs),
        T(test_torn_tail),
        T(test_altered_tail),
        T(test_cut_tile),
        T(test_full_disk),
        T(test_totals),
        T(test_one_writer),
        T(test_checkpoint_only_with_leaves),
        T(test_key_names_its_ledger),
    };
    const struct CMUnitTest long_tests[] = {T(test_many_tiles)};
    int r = cmocka_run_group_tests(tests, NULL, NULL);
    return getenv("OWNHOUSE_TEST_LONG") ? r + cmocka_run_group_tests(long_tests, NULL, NULL) : r;
}
