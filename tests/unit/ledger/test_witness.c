/* ledger/witness: one history of a ledger is cosigned, whoever asks for another. */
#include "ledger_parts.h"

#include "ledger/witness.h"

#define INFRA "11111111-2222-4333-8444-555555555555"

/* Asks for a cosignature of the ledger's newest checkpoint as following the one of `from` leaves. */
static int ask(const struct witness *w, struct ledger *l, uint64_t from, uint64_t *ret_size, struct err *err)
{
    struct merkle_proof proof = {0};
    struct note_verifier v;
    struct note n;
    autofree char *note = NULL;
    *err = ERR_INIT;
    assert_int_equal(ledger_checkpoint(l, NULL), 0);
    uint64_t size = ledger_size(l);
    if (from && from < size)
        assert_int_equal(ledger_consistency(l, from, size, &proof, NULL), 0);
    json_t *hashes = json_array();
    for (size_t i = 0; i < proof.n; i++) {
        autofree char *text = base64_encode(proof.hashes[i].b, MERKLE_HASH_SIZE);
        json_array_append_new(hashes, json_string(text));
    }
    ledger_verifier(l, &v);
    autofree char *verifier = note_verifier_text(&v);
    autojson json_t *question = json_pack("{ss ss sI so}", "verifier", verifier, "note", ledger_note(l), "from",
                                          (json_int_t)from, "proof", hashes);
    int r = witness_cosign(w, INFRA, question, &note, ret_size, err);
    if (r == 0) {
        assert_int_equal(note_parse(note, strlen(note), &n, NULL), 0);
        assert_int_equal(n.n_lines, 2);
    }
    return r;
}

static void open_witness(struct witness *w, const char *dir, const struct bench *b)
{
    autofree char *keys = mem_printf("%s/keys", dir);
    struct err err = ERR_INIT;
    if (witness_open(keys, NULL, &b->clock.clock, w, &err) < 0)
        fail_msg("%s", err.message);
}

/* Another ledger with the same key, or with `key`. */
static void other_ledger(struct bench *other, const struct bench *b, const char *dir, struct signing_key *key)
{
    *other = (struct bench){mem_printf("%s/other", dir), NULL, key, b->clock, NULL};
    bench_open(other);
}

static void growth_is_cosigned(void **state)
{
    struct witness w = {0};
    struct bench b;
    struct err err;
    uint64_t size = 0;
    bench_new(&b, *state);
    open_witness(&w, *state, &b);
    bench_add(&b, 5);
    assert_int_equal(ask(&w, b.l, 0, &size, &err), 0);
    assert_int_equal(size, 5);
    bench_add(&b, 300);
    assert_int_equal(ask(&w, b.l, 3, &size, &err), -ERANGE); /* it says where to prove from */
    assert_int_equal(size, 5);
    assert_int_equal(ask(&w, b.l, 5, &size, &err), 0);
    assert_int_equal(size, 305);
    assert_int_equal(ask(&w, b.l, 305, &size, &err), 0); /* the same again */
    witness_close(&w);
    bench_free(&b);
}

static void a_fork_is_not(void **state)
{
    struct witness w = {0};
    struct bench b, other;
    struct err err;
    uint64_t size = 0;
    bench_new(&b, *state);
    open_witness(&w, *state, &b);
    bench_add(&b, 5);
    assert_int_equal(ask(&w, b.l, 0, &size, &err), 0);
    /* Another history under the same key: longer, of the same length, shorter. */
    other_ledger(&other, &b, *state, b.key);
    clock_manual_advance(&other.clock, 7);
    bench_add(&other, 3);
    assert_int_equal(ask(&w, other.l, 5, &size, &err), -EBADMSG);
    assert_non_null(strstr(err.message, "a fork"));
    bench_add(&other, 2);
    assert_int_equal(ask(&w, other.l, 5, &size, &err), -EBADMSG);
    bench_add(&other, 4);
    assert_int_equal(ask(&w, other.l, 5, &size, &err), -EBADMSG);
    /* A witness that starts again remembers. */
    witness_close(&w);
    open_witness(&w, *state, &b);
    assert_int_equal(ask(&w, other.l, 5, &size, &err), -EBADMSG);
    assert_int_equal(ask(&w, other.l, 0, &size, &err), -ERANGE);
    bench_add(&b, 1);
    assert_int_equal(ask(&w, b.l, 5, &size, &err), 0);
    ledger_close(other.l);
    free(other.dir);
    witness_close(&w);
    bench_free(&b);
}

static void another_key_is_not(void **state)
{
    struct witness w = {0};
    struct bench b, other;
    struct err err;
    uint64_t size = 0;
    autokey struct signing_key *thief = signing_key_new();
    bench_new(&b, *state);
    open_witness(&w, *state, &b);
    bench_add(&b, 5);
    assert_int_equal(ask(&w, b.l, 0, &size, &err), 0);
    other_ledger(&other, &b, *state, thief);
    other.clock = b.clock;
    bench_add(&other, 5);
    assert_int_equal(ask(&w, other.l, 5, &size, &err), -EBADMSG);
    assert_non_null(strstr(err.message, "another than before"));
    /* The pinned key is named, the thief's has signed. */
    struct note_verifier v;
    ledger_verifier(b.l, &v);
    autofree char *verifier = note_verifier_text(&v), *note = NULL;
    autojson json_t *question =
        json_pack("{ss ss sI s[]}", "verifier", verifier, "note", ledger_note(other.l), "from", (json_int_t)5, "proof");
    err = ERR_INIT;
    assert_int_equal(witness_cosign(&w, INFRA, question, &note, &size, &err), -EBADMSG);
    assert_non_null(strstr(err.message, "not signed by the ledger's key"));
    ledger_close(other.l);
    free(other.dir);
    witness_close(&w);
    bench_free(&b);
}

static char *cosign(const struct witness *w, struct ledger *l)
{
    struct note_verifier v;
    char *note = NULL;
    uint64_t size = 0;
    struct err err = ERR_INIT;
    ledger_verifier(l, &v);
    autofree char *verifier = note_verifier_text(&v);
    autojson json_t *question =
        json_pack("{ss ss si s[]}", "verifier", verifier, "note", ledger_note(l), "from", 0, "proof");
    if (witness_cosign(w, "activities", question, &note, &size, &err) < 0)
        fail_msg("%s", err.message);
    return note;
}

static void several_witnesses_sign_one_checkpoint(void **state)
{
    struct witness w[3] = {0};
    struct bench b;
    struct note n;
    struct err err = ERR_INIT;
    char *notes[3];
    bench_new(&b, *state);
    bench_add(&b, 5);
    assert_int_equal(ledger_checkpoint(b.l, NULL), 0);
    for (size_t i = 0; i < ARRAY_SIZE(w); i++) {
        autofree char *dir = mem_printf("%s/w%zu", (char *)*state, i);
        assert_int_equal(witness_open(dir, NULL, &b.clock.clock, &w[i], NULL), 0);
        notes[i] = cosign(&w[i], b.l); /* each of them knows nothing of the others */
    }
    assert_string_not_equal(w[0].own.name, w[1].own.name);
    for (int again = 0; again < 2; again++)
        for (size_t i = 0; i < ARRAY_SIZE(w); i++)
            assert_int_equal(ledger_witnessed(b.l, &w[i].own, notes[i], strlen(notes[i]), 2, &err), 0);
    /* The third found no room; what is there is whole, and each line its own. */
    assert_int_equal(note_parse(ledger_note(b.l), strlen(ledger_note(b.l)), &n, NULL), 0);
    assert_int_equal(n.n_lines, 3);
    assert_true(note_signed_by(&n, &w[0].own, NULL));
    assert_true(note_signed_by(&n, &w[1].own, NULL));
    assert_false(note_signed_by(&n, &w[2].own, NULL));
    /* Not ours: another text under the same size, a name that did not sign, a size that was never signed. */
    struct bench other;
    other_ledger(&other, &b, *state, b.key);
    clock_manual_advance(&other.clock, 7);
    bench_add(&other, 5);
    assert_int_equal(ledger_checkpoint(other.l, NULL), 0);
    autofree char *dir = mem_printf("%s/w9", (char *)*state);
    struct witness stranger = {0};
    assert_int_equal(witness_open(dir, NULL, &b.clock.clock, &stranger, NULL), 0);
    autofree char *theirs = cosign(&stranger, other.l);
    assert_int_equal(ledger_witnessed(b.l, &stranger.own, theirs, strlen(theirs), 9, &err), -ENOENT);
    assert_int_equal(ledger_witnessed(b.l, &stranger.own, notes[0], strlen(notes[0]), 9, &err), -ENOENT);
    assert_int_equal(ledger_witnessed(b.l, &w[0].own, "x", 1, 9, &err), -EINVAL);
    for (size_t i = 0; i < ARRAY_SIZE(w); i++) {
        witness_close(&w[i]);
        free(notes[i]);
    }
    witness_close(&stranger);
    ledger_close(other.l);
    free(other.dir);
    bench_free(&b);
}

#define T(f) cmocka_unit_test_setup_teardown(f, scratch_setup, scratch_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {T(growth_is_cosigned), T(a_fork_is_not), T(another_key_is_not),
                                       T(several_witnesses_sign_one_checkpoint)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
