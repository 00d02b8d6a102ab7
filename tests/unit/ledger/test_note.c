/* Signed notes: what is signed is read back and checked, whatever is bent is refused. */
#include "../test.h"

#include "ledger/note.h"

static struct note_verifier verifier(const struct signing_key *k, enum note_key_type type)
{
    struct note_verifier v = {.name = "ownhouse/ledger/test", .type = type};
    signing_key_public(k, v.key);
    return v;
}

static void test_round_trip(void **state)
{
    autokey struct signing_key *k = signing_key_new(), *w = signing_key_new(), *other = signing_key_new();
    struct note_verifier v = verifier(k, NOTE_ED25519), wv = verifier(w, NOTE_COSIGNATURE),
                         o = verifier(other, NOTE_ED25519);
    struct checkpoint c = {.size = 17};
    struct note n;
    struct buf with = BUF_INIT;
    int64_t seconds = 0;
    strcpy(c.origin, v.name);
    c.root.b[3] = 9;
    autofree char *text = checkpoint_sign(&v, k, &c);
    assert_int_equal(note_parse(text, strlen(text), &n, NULL), 0);
    assert_int_equal(n.checkpoint.size, 17);
    assert_string_equal(n.checkpoint.origin, v.name);
    assert_true(merkle_equal(&n.checkpoint.root, &c.root));
    assert_true(note_signed_by(&n, &v, NULL));
    assert_false(note_signed_by(&n, &o, NULL));
    assert_false(note_signed_by(&n, &wv, NULL));
    buf_adds(&with, text);
    note_sign(&wv, w, n.text, n.text_len, 1795000000, &with);
    assert_int_equal(note_parse(with.data, with.len, &n, NULL), 0);
    assert_true(note_signed_by(&n, &v, NULL));
    assert_true(note_signed_by(&n, &wv, &seconds));
    assert_int_equal(seconds, 1795000000);
    buf_free(&with);
}

static void test_altered(void **state)
{
    autokey struct signing_key *k = signing_key_new();
    struct note_verifier v = verifier(k, NOTE_ED25519);
    struct checkpoint c = {.size = 8};
    struct note n;
    strcpy(c.origin, v.name);
    autofree char *text = checkpoint_sign(&v, k, &c);
    size_t len = strlen(text);
    for (size_t i = 0; i < len; i++) {
        autofree char *bent = mem_strdup(text);
        bent[i] ^= 1;
        bool good = note_parse(bent, len, &n, NULL) == 0 && note_signed_by(&n, &v, NULL);
        assert_false(good);
    }
    for (size_t i = 0; i < len; i++)
        if (note_parse(text, i, &n, NULL) == 0)
            assert_false(note_signed_by(&n, &v, NULL));
}

static void test_verifier_text(void **state)
{
    autokey struct signing_key *k = signing_key_new();
    struct note_verifier v = verifier(k, NOTE_COSIGNATURE), again;
    autofree char *text = note_verifier_text(&v);
    assert_int_equal(note_verifier_parse(text, &again, NULL), 0);
    assert_string_equal(again.name, v.name);
    assert_int_equal(again.type, NOTE_COSIGNATURE);
    assert_memory_equal(again.key, v.key, sizeof(v.key));
    char *id = strchr(text, '+') + 1;
    *id = *id == '0' ? '1' : '0';
    assert_int_equal(note_verifier_parse(text, &again, NULL), -EINVAL);
    assert_int_equal(note_verifier_parse("nothing", &again, NULL), -EINVAL);
}

static void test_verifier_known(void **state)
{
    /* From the description of signed notes in Go's sumdb package. */
    struct note_verifier v;
    assert_int_equal(
        note_verifier_parse("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", &v, NULL), 0);
    static const char text[] = "If you think cryptography is the answer to your problem,\n"
                               "then you don't know what your problem is.\n";
    unsigned char *raw = NULL;
    size_t len = 0;
    assert_int_equal(
        base64_decode("x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=",
                      100, &raw, &len),
        0);
    assert_int_equal(len, 68);
    assert_true(signature_valid(v.key, text, strlen(text), raw + 4));
    assert_memory_equal(raw, "\xc7\x4f\x20\xa3", 4);
    free(raw);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_altered),
        cmocka_unit_test(test_verifier_text),
        cmocka_unit_test(test_verifier_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
