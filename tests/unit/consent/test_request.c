/* Requests, approvals and pre-approvals: what is signed holds, what was altered does not. */
#include "consent_parts.h"

static void test_altered_approval(void **state)
{
    struct people p;
    autorequest struct consent_request q = {0};
    autojson json_t *o = NULL;
    struct approval a;
    people_new(&p, "sealed", NULL);
    request_make(request_json("service.restart"), &q);
    assert_int_equal(approval_sign(p.a[0], &q, true, NOW, NOW + HOUR, NULL, 0, &o, NULL), 0);
    assert_int_equal(approval_from_json(o, &a, NULL), 0);
    assert_true(a.deny);
    static const struct {
        const char *field, *value;
    } changes[] = {{"verdict", "approve"},
                   {"notAfter", "2030-01-01T00:00:00.000Z"},
                   {"request", "bbbbbbbb-2222-4333-8444-555555555555"},
                   {"infrastructure", "bbbbbbbb-2222-4333-8444-555555555555"},
                   {"digest", "0000000000000000000000000000000000000000000000000000000000000000"},
                   {"by", "0000000000000000000000000000000000000000000000000000000000000000"}};
    for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
        autojson json_t *bent = json_deep_copy(o);
        json_object_set_new(bent, changes[i].field, json_string(changes[i].value));
        assert_int_equal(approval_from_json(bent, &a, NULL), -EBADMSG);
    }
    json_object_set_new(o, "more", json_true());
    assert_int_equal(approval_from_json(o, &a, NULL), -EINVAL);
    people_free(&p);
}

static void test_altered_preapproval(void **state)
{
    autokey struct signing_key *k = signing_key_new();
    struct preapproval t;
    autojson json_t *o = json_pack("{ss si ss ss s[s] si si ss ss s[] si s[] ss}", "type", "ownhouse/preapproval", "v",
                                   1, "id", REQUEST, "infrastructure", INFRA, "operations", "service.restart",
                                   "minutes", 5, "count", 1, "notBefore", "2026-01-01T00:00:00Z", "notAfter",
                                   "2027-01-01T00:00:00Z", "vendors", "vendorSignatures", 1, "devices", "reason", "x");
    assert_int_equal(preapproval_from_json(o, &t, NULL), -EINVAL); /* asks for a vendor and names none */
    unsigned char public[32];
    char hex[65];
    signing_key_public(k, public);
    hex_encode(public, 32, hex);
    json_object_set_new(o, "vendors", json_pack("[s]", hex));
    assert_int_equal(preapproval_sign(k, o, NULL), 0);
    assert_int_equal(preapproval_from_json(o, &t, NULL), 0);
    assert_int_equal(t.n_signers, 1);
    json_object_set_new(o, "count", json_integer(100));
    assert_int_equal(preapproval_from_json(o, &t, NULL), -EBADMSG);
    json_object_set_new(o, "count", json_integer(1));
    json_array_append(json_object_get(o, "signatures"), json_array_get(json_object_get(o, "signatures"), 0));
    assert_int_equal(preapproval_from_json(o, &t, NULL), -EINVAL);
}

static void test_described(void **state)
{
    autorequest struct consent_request q = {0};
    autobuf struct buf b = BUF_INIT;
    json_t *o = request_json("desired.exposing");
    json_object_set_new(o, "reason", json_string("line\nrequest of somebody else\x1b[2J"));
    json_object_set_new(o, "arguments",
                        json_pack("{s[{ss ss s[s] s[s]}]}", "changes", "path", "services[x].ipAccessList", "class",
                                  "exposing", "before", "10.0.0.0/8", "after", "0.0.0.0/0"));
    request_make(o, &q);
    request_describe(&q, &b);
    assert_non_null(strstr(b.data, "- [\"10.0.0.0/8\"]"));
    assert_non_null(strstr(b.data, "+ [\"0.0.0.0/0\"]"));
    assert_non_null(strstr(b.data, q.digest));
    assert_null(strchr(b.data, 0x1b));
    assert_null(strstr(b.data, "\nrequest of somebody"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_altered_approval),
        cmocka_unit_test(test_altered_preapproval),
        cmocka_unit_test(test_described),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
