/* base/keys: known answers for SHA-256 and Ed25519, key files, UUIDs. */
#include "../test.h"

#include "base/buf.h"
#include "base/keys.h"

/* FIPS 180-2 appendix B.1. */
static void sha256_known_answer(void **state OH_UNUSED)
{
    char hex[65];
    sha256_hex("abc", 3, hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

/* RFC 8032 section 7.1, test 2. */
static void ed25519_known_answer(void **state OH_UNUSED)
{
    unsigned char pub[32], sig[64], msg = 0x72;
    assert_int_equal(hex_decode("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", pub, 32), 0);
    assert_int_equal(hex_decode("92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
                                "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
                                sig, 64),
                     0);
    assert_true(signature_valid(pub, &msg, 1, sig));
    sig[5] ^= 1;
    assert_false(signature_valid(pub, &msg, 1, sig));
}

static void key_file_round_trip(void **state)
{
    autofree char *path = mem_printf("%s/key.pem", (char *)*state);
    autokey struct signing_key *a = signing_key_new(), *b = NULL;
    unsigned char pub[32], sig[64];
    assert_int_equal(signing_key_save(a, path, NULL), 0);
    assert_int_equal(signing_key_load(path, &b, NULL), 0);
    signing_key_public(a, pub);
    signing_key_sign(b, "text", 4, sig);
    assert_true(signature_valid(pub, "text", 4, sig));
    assert_false(signature_valid(pub, "texT", 4, sig));
}

static void broken_key_file_is_named(void **state)
{
    autofree char *path = mem_printf("%s/key.pem", (char *)*state);
    struct signing_key *k = NULL;
    struct err err = ERR_INIT;
    assert_int_equal(fs_write_atomic(path, "garbage", 7, 0600, NULL), 0);
    assert_int_equal(signing_key_load(path, &k, &err), -EINVAL);
    assert_non_null(strstr(err.message, path));
}

static void kept_key_is_made_once_and_never_replaced(void **state)
{
    autofree char *path = mem_printf("%s/key.pem", (char *)*state);
    autokey struct signing_key *a = NULL, *b = NULL;
    struct signing_key *c = NULL;
    unsigned char pub_a[32], pub_b[32];
    assert_int_equal(signing_key_keep(path, &a, NULL), 0);
    assert_int_equal(signing_key_keep(path, &b, NULL), 0);
    signing_key_public(a, pub_a);
    signing_key_public(b, pub_b);
    assert_memory_equal(pub_a, pub_b, sizeof(pub_a));
    assert_int_equal(fs_write_atomic(path, "garbage", 7, 0600, NULL), 0);
    assert_int_equal(signing_key_keep(path, &c, NULL), -EINVAL);
    autofree char *text = NULL;
    size_t n;
    assert_int_equal(fs_read(path, 100, &text, &n, NULL), 0);
    assert_string_equal(text, "garbage");
}

static void uuids(void **state OH_UNUSED)
{
    char a[UUID_SIZE], b[UUID_SIZE];
    uuid_new(a);
    uuid_new(b);
    assert_true(uuid_valid(a));
    assert_true(a[14] == '4');
    assert_string_not_equal(a, b);
    assert_false(uuid_valid("not-a-uuid"));
    assert_false(uuid_valid(""));
    a[35] = 0;
    assert_false(uuid_valid(a));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha256_known_answer),
        cmocka_unit_test(ed25519_known_answer),
        cmocka_unit_test_setup_teardown(key_file_round_trip, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(broken_key_file_is_named, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(kept_key_is_made_once_and_never_replaced, scratch_setup, scratch_teardown),
        cmocka_unit_test(uuids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
