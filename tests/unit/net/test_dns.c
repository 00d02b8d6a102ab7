/* net/dns_*: names and values round trip, hostile messages end, signatures hold for what was signed and nothing else.
 */
#include "../test.h"

#include "net/dns_client.h"

#define NOW INT64_C(1795000000000)
#define KEY "hmac-sha256:agent:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
#define OTHER "hmac-sha256:agent:QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWY="

static struct dns_key *key_of(const char *text)
{
    struct dns_key *k = NULL;
    struct err err = ERR_INIT;
    if (dns_key_parse(text, strlen(text), &k, &err) < 0)
        fail_msg("%s", err.message);
    return k;
}

static void names_are_checked(void **state OH_UNUSED)
{
    static const char *const good[] = {"a", "a.b-c.d_e", "*.x", "_acme-challenge.x.example"};
    static const char *const bad[] = {"", ".", "a.", ".a", "a..b", "A", "a b", "a\n", "x.*.y", "a*", "é"};
    char longest[300];
    for (size_t i = 0; i < ARRAY_SIZE(good); i++)
        assert_true(dns_name_valid(good[i]));
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_false(dns_name_valid(bad[i]));
    memset(longest, 'a', sizeof(longest));
    longest[63] = '\0';
    assert_true(dns_name_valid(longest));
    longest[63] = 'a', longest[64] = '\0';
    assert_false(dns_name_valid(longest));
    for (size_t i = 1; i < 254; i += 2)
        longest[i - 1] = 'a', longest[i] = '.';
    longest[253] = '\0';
    assert_true(dns_name_valid(longest));
    longest[253] = '.', longest[254] = 'a', longest[255] = '\0';
    assert_false(dns_name_valid(longest));
    assert_true(dns_name_within("a.x.example", "x.example"));
    assert_true(dns_name_within("x.example", "x.example"));
    assert_false(dns_name_within("ax.example", "x.example"));
    assert_false(dns_name_within("example", "x.example"));
}

static void values_round_trip(void **state OH_UNUSED)
{
    static const struct {
        unsigned type;
        const char *value;
    } records[] = {{DNS_A, "192.0.2.1"},
                   {DNS_AAAA, "2001:db8::1"},
                   {DNS_CNAME, "lb.example.net"},
                   {DNS_TXT, "heritage=ownhouse,ownhouse/owner=x"},
                   {DNS_TXT, ""},
                   {DNS_TXT, "a \\034 b \\092 \\255"}};
    for (size_t i = 0; i < ARRAY_SIZE(records); i++) {
        autobuf struct buf b = BUF_INIT;
        struct dns_record r;
        char value[DNS_VALUE_TEXT];
        size_t at = 0;
        struct err err = ERR_INIT;
        assert_int_equal(dns_add_record(&b, "x.example", records[i].type, DNS_IN, 60, records[i].value, &err), 0);
        const unsigned char *m = (const unsigned char *)b.data;
        assert_int_equal(dns_read_record(m, b.len, &at, &r), 0);
        assert_int_equal(at, b.len);
        assert_string_equal(r.name, "x.example");
        assert_int_equal(r.ttl, 60);
        assert_int_equal(dns_read_value(m, b.len, &r, value), 0);
        if (i != 5) /* a quotation mark needs no escape of its own */
            assert_string_equal(value, records[i].value);
        else
            assert_string_equal(value, "a \" b \\092 \\255");
        for (size_t n = 0; n < b.len; n++)
            assert_int_equal((at = 0, dns_read_record(m, n, &at, &r)), -EBADMSG);
    }
    autobuf struct buf b = BUF_INIT;
    assert_int_equal(dns_add_record(&b, "x", DNS_A, DNS_IN, 1, "192.0.2", NULL), -EINVAL);
    assert_int_equal(dns_add_record(&b, "x", DNS_CNAME, DNS_IN, 1, "-> y", NULL), -EINVAL);
    assert_int_equal(dns_add_record(&b, "x", DNS_TXT, DNS_IN, 1, "\\9", NULL), -EINVAL);
    assert_int_equal(b.len, 0);
}

static void long_texts_are_several_strings(void **state OH_UNUSED)
{
    autobuf struct buf b = BUF_INIT;
    struct dns_record r;
    char text[601], value[DNS_VALUE_TEXT];
    size_t at = 0;
    memset(text, 'x', 600);
    text[600] = '\0';
    assert_int_equal(dns_add_record(&b, "x", DNS_TXT, DNS_IN, 1, text, NULL), 0);
    assert_int_equal(dns_read_record((const unsigned char *)b.data, b.len, &at, &r), 0);
    assert_int_equal(r.len, 603);
    assert_int_equal(dns_read_value((const unsigned char *)b.data, b.len, &r, value), 0);
    assert_string_equal(value, text);
}

static void pointers_lead_only_back(void **state OH_UNUSED)
{
    static const unsigned char itself[] = {0xc0, 0x00}, forward[] = {0xc0, 0x02, 0x00}, two[] = {0x01, 'a', 0xc0, 0x00},
                               good[] = {0x01, 'B', 0x00, 0x01, 'a', 0xc0, 0x00}, ring[] = {0xc0, 0x02, 0xc0, 0x00};
    char name[DNS_NAME_TEXT];
    size_t at = 0;
    assert_int_equal(dns_read_name(itself, sizeof(itself), &at, name), -EBADMSG);
    assert_int_equal((at = 0, dns_read_name(forward, sizeof(forward), &at, name)), -EBADMSG);
    assert_int_equal((at = 0, dns_read_name(two, sizeof(two), &at, name)), -EBADMSG);
    assert_int_equal((at = 2, dns_read_name(ring, sizeof(ring), &at, name)), -EBADMSG);
    at = 3;
    assert_int_equal(dns_read_name(good, sizeof(good), &at, name), 0);
    assert_string_equal(name, "a.b");
    assert_int_equal(at, 7);
}

static void keys_are_checked(void **state)
{
    static const char *const bad[] = {"",
                                      "agent:MDEy",
                                      "hmac-md5:agent:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
                                      "hmac-sha256:a b:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
                                      "hmac-sha256:agent:c2hvcnQ=",
                                      "hmac-sha256:agent:not base64"};
    struct err err = ERR_INIT;
    struct dns_key *k = key_of("\n  hmac-sha512:Agent.Example.:MDEyMzQ1Njc4OWFiY2RlZg==  \n");
    assert_string_equal(dns_key_name(k), "agent.example");
    dns_key_free(k);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(dns_key_parse(bad[i], strlen(bad[i]), &k, &err), -EINVAL);
    autofree char *path = mem_printf("%s/key", (char *)*state);
    assert_int_equal(fs_write_atomic(path, KEY, strlen(KEY), 0640, NULL), 0);
    err = ERR_INIT;
    assert_int_equal(dns_key_load(path, &k, &err), -EPERM);
    assert_null(strstr(err.message, "MDEy"));
    assert_int_equal(fs_write_atomic(path, KEY, strlen(KEY), 0600, NULL), 0);
    assert_int_equal(dns_key_load(path, &k, &err), 0);
    dns_key_free(k);
}

/* An answer as a server would sign it: over the question's MAC, in full or (later ones) in short form. */
static void question(struct buf *b, uint16_t id)
{
    static const uint16_t counts[4] = {1, 0, 0, 0};
    dns_add_head(b, id, DNS_UPDATE, counts);
    assert_int_equal(dns_add_question(b, "x.example", DNS_SOA, NULL), 0);
}

static void signatures_hold_for_what_was_signed(void **state OH_UNUSED)
{
    struct dns_key *k = key_of(KEY), *other = key_of(OTHER);
    autobuf struct buf m = BUF_INIT;
    struct dns_tsig signer = {0}, checker = {0};
    struct err err = ERR_INIT;
    question(&m, 7);
    dns_tsig_sign(&signer, k, NOW, &m);
    /* What was signed without an earlier MAC is not an answer to a question that had one. */
    checker.mac_len = 32;
    assert_int_equal(dns_tsig_check(&checker, k, NOW, (unsigned char *)m.data, m.len, NULL), -EACCES);
    dns_tsig_clear(&signer);
    dns_tsig_clear(&checker);
    buf_free(&m);
    question(&m, 7);
    assert_int_equal(dns_tsig_check(&checker, k, NOW, (unsigned char *)m.data, m.len, &err), -EACCES);
    assert_non_null(strstr(err.message, "not signed"));
    dns_tsig_sign(&signer, k, NOW, &m);
    assert_int_equal(dns_tsig_check(&checker, other, NOW, (unsigned char *)m.data, m.len, NULL), -EACCES);
    for (size_t i = 0; i < m.len; i++) { /* no bit of it can be another */
        m.data[i] ^= 0x10;
        assert_true(dns_tsig_check(&checker, k, NOW, (unsigned char *)m.data, m.len, NULL) < 0);
        m.data[i] ^= 0x10;
    }
    dns_tsig_clear(&signer);
    dns_tsig_clear(&checker);
    dns_key_free(k);
    dns_key_free(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_checked),
        cmocka_unit_test(values_round_trip),
        cmocka_unit_test(long_texts_are_several_strings),
        cmocka_unit_test(pointers_lead_only_back),
        cmocka_unit_test_setup_teardown(keys_are_checked, scratch_setup, scratch_teardown),
        cmocka_unit_test(signatures_hold_for_what_was_signed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
