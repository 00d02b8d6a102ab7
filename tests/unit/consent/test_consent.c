/* Who may do what with which signatures: each rule with what breaks it. */
#include "consent_parts.h"

static void test_open_and_sealed(void **state)
{
    struct people open, sealed;
    autorequest struct consent_request q = {0};
    people_new(&open, "open", NULL);
    people_new(&sealed, "sealed", NULL);
    request_make(request_json("service.restart"), &q);
    assert_int_equal(check(&open, &q, NULL, 0).state, CONSENT_ALLOWED);
    struct consent_verdict v = check(&sealed, &q, NULL, 0);
    assert_int_equal(v.state, CONSENT_WAITING);
    assert_int_equal(v.need_customer, 1);
    struct approval a = approve(sealed.a[0], &q, false, NULL, 0);
    v = check(&sealed, &q, &a, 1);
    assert_int_equal(v.state, CONSENT_ALLOWED);
    assert_string_equal(v.signers[0], "ada");
    people_free(&open);
    people_free(&sealed);
}

static void test_strangers_and_vendors_do_not_count(void **state)
{
    struct people p;
    autorequest struct consent_request q = {0};
    people_new(&p, "sealed", NULL);
    request_make(request_json("service.restart"), &q);
    struct approval a[] = {approve(p.stranger, &q, false, NULL, 0), approve(p.v[0], &q, false, NULL, 0)};
    assert_int_equal(check(&p, &q, a, 2).state, CONSENT_WAITING);
    people_free(&p);
}

static void test_one_person_counts_once(void **state)
{
    struct people p;
    autorequest struct consent_request q = {0};
    people_new(&p, "sealed", "{\"operations\":{\"service.restart\":{\"customer\":2}}}");
    request_make(request_json("service.restart"), &q);
    struct approval a[] = {approve(p.a[0], &q, false, NULL, 0), approve(p.a[0], &q, false, NULL, 0),
                           approve(p.a[1], &q, false, NULL, 0)};
    assert_int_equal(check(&p, &q, a, 2).state, CONSENT_WAITING);
    assert_int_equal(check(&p, &q, a, 3).state, CONSENT_ALLOWED);
    people_free(&p);
}

static void test_vendor_first(void **state)
{
    struct people p;
    autorequest struct consent_request q = {0};
    people_new(&p, "sealed", "{\"operations\":{\"service.restart\":{\"customer\":1,\"vendor\":2}}}");
    request_make(request_json("service.restart"), &q);
    struct approval a[4] = {approve(p.v[0], &q, false, NULL, 0), approve(p.v[1], &q, false, NULL, 0)};
    a[2] = approve(p.a[0], &q, false, a, 1); /* signed when only one of the vendor had */
    struct consent_verdict v = check(&p, &q, a, 3);
    assert_int_equal(v.state, CONSENT_WAITING);
    assert_int_equal(v.have_customer, 0);
    a[3] = approve(p.a[1], &q, false, a, 2);
    assert_int_equal(check(&p, &q, a, 4).state, CONSENT_ALLOWED);
    assert_int_equal(check(&p, &q, a + 3, 1).state, CONSENT_WAITING);
    people_free(&p);
}

/* An approval for another plan: same request number, another argument. */
static void test_approval_for_another_plan(void **state)
{
    struct people p;
    autorequest struct consent_request q = {0}, other = {0};
    people_new(&p, "sealed", NULL);
    request_make(request_json("service.restart"), &q);
    json_t *o = request_json("service.restart");
    json_object_set_new(o, "arguments", json_pack("{ss}", "service", "prod"));
    request_make(o, &other);
    struct approval a = approve(p.a[0], &q, false, NULL, 0);
    assert_int_equal(check(&p, &q, &a, 1).state, CONSENT_ALLOWED);
    assert_int_equal(check(&p, &other, &a, 1).state, CONSENT_WAITING);
    people_free(&p);
}

static void test_replay(void **state)
{
    struct people p;
    autorequest struct consent_request q = {0};
    people_new(&p, "sealed", NULL);
    request_make(request_json("service.restart"), &q);
    struct approval a = approve(p.a[0], &q, false, NULL, 0);
    struct consent_input in = {p.policy, &q, INFRA, &a, 1, NULL, 0, true, NULL, NOW};
    struct consent_verdict v;
    consent_check(&in, &v);
    assert_int_equal(v.state, CONSENT_REFUSED);
    in.used = false;
    consent_check(&in, &v);
    assert_int_equal(v.state, CONSENT_ALLOWED);
    in.infrastructure = "22222222-2222-4333-8444-555555555555";
    consent_check(&in, &v);
    assert_int_equal(v.state, CONSENT_REFUSED);
    people_free(&p);
}

static void test_times(void **state)
{
    struct people p;
    autorequest struct consent_request q = {0};
    people_new(&p, "sealed", "{\"maxHours\":2}");
    request_make(request_json("service.restart"), &q);
    struct approval a = approve(p.a[0], &q, false, NULL, 0);
    struct consent_input in = {p.policy, &q, INFRA, &a, 1, NULL, 0, false, NULL, NOW};
    static const struct {
        int64_t now;
        enum consent_state state;
    } cases[] = {{NOW, CONSENT_ALLOWED},
                 {NOW + HOUR - 1, CONSENT_ALLOWED},
                 {NOW + HOUR, CONSENT_REFUSED},
                 {NOW - 100000, CONSENT_ALLOWED},
                 {NOW - 200000, CONSENT_REFUSED}};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct consent_verdict v;
        in.now_ms = cases[i].now;
        consent_check(&in, &v);
        assert_int_equal(v.state, cases[i].state);
    }
    /* An approval that ends before its request does. */
    struct approval brief = a;
    brief.not_after_ms = NOW;
    assert_int_equal(check(&p, &q, &brief, 1).state, CONSENT_WAITING);
    brief.not_after_ms = NOW + 1;
    assert_int_equal(check(&p, &q, &brief, 1).state, CONSENT_ALLOWED);
    json_t *o = request_json("service.restart");
    json_object_set_new(o, "notAfter", json_string("2026-12-01T00:00:00Z"));
    autorequest struct consent_request lasting = {0};
    request_make(o, &lasting);
    assert_int_equal(check(&p, &lasting, NULL, 0).state, CONSENT_REFUSED);
    people_free(&p);
}

static void test_denied(void **state)
{
    struct people p, q_p;
    autorequest struct consent_request q = {0};
    people_new(&p, "open", NULL);
    request_make(request_json("service.restart"), &q);
    struct approval a = approve(p.a[0], &q, true, NULL, 0), s = approve(p.stranger, &q, true, NULL, 0);
    assert_int_equal(check(&p, &q, &a, 1).state, CONSENT_REFUSED);
    assert_int_equal(check(&p, &q, &s, 1).state, CONSENT_ALLOWED);
    people_free(&p);
    people_new(&q_p, "open", "{\"operations\":{\"service.restart\":{\"denied\":true}}}");
    a = approve(q_p.a[0], &q, false, NULL, 0);
    assert_int_equal(check(&q_p, &q, &a, 1).state, CONSENT_REFUSED);
    people_free(&q_p);
}

static void test_state_moved(void **state)
{
    struct people p;
    autorequest struct consent_request q = {0};
    json_t *o = request_json("service.restart");
    char was[65], is[65];
    sha256_hex("a", 1, was);
    sha256_hex("b", 1, is);
    json_object_set_new(o, "state", json_string(was));
    people_new(&p, "open", NULL);
    request_make(o, &q);
    struct consent_input in = {p.policy, &q, INFRA, NULL, 0, NULL, 0, false, was, NOW};
    struct consent_verdict v;
    consent_check(&in, &v);
    assert_int_equal(v.state, CONSENT_ALLOWED);
    in.state = is;
    consent_check(&in, &v);
    assert_int_equal(v.state, CONSENT_REFUSED);
    people_free(&p);
}

static json_t *template(struct people *p)
{
    unsigned char public[32];
    char vendor[65], device[65], from[CLOCK_ISO_SIZE], to[CLOCK_ISO_SIZE];
    signing_key_public(p->v[0], public);
    hex_encode(public, 32, vendor);
    signing_key_public(p->stranger, public);
    hex_encode(public, 32, device);
    clock_iso(NOW - HOUR, from);
    clock_iso(NOW + HOUR, to);
    return json_pack("{ss si ss ss s[s] si si si ss ss s[s] si s[s] ss}", "type", "ownhouse/preapproval", "v", 1, "id",
                     REQUEST, "infrastructure", INFRA, "operations", "access.prometheus.read", "severity", 2, "minutes",
                     60, "count", 2, "notBefore", from, "notAfter", to, "vendors", vendor, "vendorSignatures", 1,
                     "devices", device, "reason", "on call");
}

static void test_preapproval(void **state)
{
    struct people p;
    struct preapproval t = {0};
    autorequest struct consent_request q = {0};
    people_new(&p, "sealed", NULL);
    autojson json_t *signed_template = template(&p);
    assert_int_equal(preapproval_sign(p.a[0], signed_template, NULL), 0);
    assert_int_equal(preapproval_from_json(signed_template, &t, NULL), 0);
    json_t *o = request_json("access.prometheus.read");
    unsigned char public[32];
    char device[65];
    signing_key_public(p.stranger, public);
    hex_encode(public, 32, device);
    json_object_set_new(o, "deviceKey", json_string(device));
    json_object_set_new(o, "minutes", json_integer(30));
    json_object_set_new(o, "severity", json_integer(1));
    json_object_set_new(o, "preapproval", json_string(REQUEST));
    request_make(o, &q);
    struct approval a = approve(p.v[0], &q, false, NULL, 0), other = approve(p.v[1], &q, false, NULL, 0);
    struct consent_input in = {p.policy, &q, INFRA, &a, 1, &t, 0, false, NULL, NOW};
    struct consent_verdict v;
    consent_check(&in, &v);
    assert_int_equal(v.state, CONSENT_ALLOWED);
    assert_true(v.by_preapproval);
#define WAITS(change, back)                         \
    do {                                            \
        change;                                     \
        consent_check(&in, &v);                     \
        assert_int_equal(v.state, CONSENT_WAITING); \
        back;                                       \
    } while (0)
    WAITS(in.preapproval = NULL, in.preapproval = &t);
    WAITS(in.preapproval_used = 2, in.preapproval_used = 1);
    WAITS(in.approvals = &other, in.approvals = &a);
    WAITS(in.n_approvals = 0, in.n_approvals = 1);
    WAITS(q.minutes = 61, q.minutes = 60);
    WAITS(q.severity = 3, q.severity = 2);
    WAITS(q.severity = 0, q.severity = 2);
    WAITS(q.device_key[0] ^= 1, q.device_key[0] ^= 1);
    WAITS(t.n_signers = 0, t.n_signers = 1);
    WAITS(t.infrastructure[0] ^= 1, t.infrastructure[0] ^= 1);
    WAITS(t.id[0] ^= 1, t.id[0] ^= 1);
    WAITS(t.not_after_ms = NOW, t.not_after_ms = NOW + HOUR);
    WAITS(t.not_before_ms = NOW + 1, t.not_before_ms = NOW);
    WAITS(q.operations[0] = operation_find("access.clickhouse.diag"),
          q.operations[0] = operation_find("access.prometheus.read"));
    consent_check(&in, &v);
    assert_int_equal(v.state, CONSENT_ALLOWED);
    people_free(&p);
}

static void test_policy_change(void **state)
{
    struct people p;
    struct err err = ERR_INIT;
    people_new(&p, "sealed", "{\"quorum\":2,\"version\":5}");
    static const int versions[] = {6, 5, 4};
    for (size_t i = 0; i < ARRAY_SIZE(versions); i++) {
        autorequest struct consent_request q = {0};
        autopolicy struct policy *next = NULL;
        json_t *o = request_json("policy.change"), *policy = policy_json(&p, "open", NULL);
        json_object_set_new(policy, "version", json_integer(versions[i]));
        json_object_set_new(o, "arguments", json_pack("{so}", "policy", policy));
        request_make(o, &q);
        struct approval a[] = {approve(p.a[0], &q, false, NULL, 0), approve(p.a[1], &q, false, NULL, 0)};
        assert_int_equal(check(&p, &q, a, 1).state, CONSENT_WAITING); /* the quorum, whatever the operation says */
        assert_int_equal(check(&p, &q, a, 2).state, CONSENT_ALLOWED);
        assert_int_equal(consent_new_policy(p.policy, &q, &next, &err), versions[i] > 5 ? 0 : -ESTALE);
    }
    people_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_open_and_sealed),
        cmocka_unit_test(test_strangers_and_vendors_do_not_count),
        cmocka_unit_test(test_one_person_counts_once),
        cmocka_unit_test(test_vendor_first),
        cmocka_unit_test(test_approval_for_another_plan),
        cmocka_unit_test(test_replay),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_denied),
        cmocka_unit_test(test_state_moved),
        cmocka_unit_test(test_preapproval),
        cmocka_unit_test(test_policy_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
