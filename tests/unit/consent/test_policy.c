/* The policy's file: strict, and its times. */
#include "consent_parts.h"

static void refuse(struct people *p, const char *more, const char *word)
{
    struct err err = ERR_INIT;
    struct policy *out = NULL;
    autojson json_t *o = policy_json(p, "sealed", more);
    assert_int_equal(policy_from_json(o, &out, &err), -EINVAL);
    if (!strstr(err.message, word))
        print_message("%s\n", err.message);
    assert_non_null(strstr(err.message, word));
}

static void test_strict(void **state)
{
    struct people p;
    people_new(&p, "sealed", NULL);
    refuse(&p, "{\"x\":1}", "x");
    refuse(&p, "{\"quorum\":3}", "quorum");
    refuse(&p, "{\"operations\":{\"service.explode\":{}}}", "service.explode");
    refuse(&p, "{\"operations\":{\"service.restart\":{\"vendor\":3}}}", "more signatures");
    refuse(&p, "{\"operations\":{\"service.restart\":{\"customers\":1}}}", "customers");
    refuse(&p, "{\"quiet\":[{\"days\":[\"sun\"],\"from\":\"25:00\",\"to\":\"02:00\",\"operations\":[]}]}", "from");
    refuse(&p, "{\"quiet\":[{\"days\":[\"day\"],\"from\":\"02:00\",\"to\":\"03:00\",\"operations\":[]}]}", "days[0]");
    people_free(&p);
}

static void test_times(void **state)
{
    struct people p;
    char why[200];
    const struct operation *op = operation_find("service.upgrade"), *other = operation_find("service.restart");
    people_new(
        &p, "open",
        "{\"windows\":[{\"days\":[\"sat\"],\"from\":\"22:00\",\"to\":\"02:00\",\"operations\":[\"service.upgrade\"]}],"
        "\"quiet\":[{\"days\":[\"sun\"],\"from\":\"01:00\",\"to\":\"03:00\",\"operations\":[\"service.upgrade\"]}]}");
    static const struct {
        const char *time;
        bool may;
    } cases[] = {{"2026-11-28T21:59:59Z", false}, {"2026-11-28T22:00:00Z", true},  {"2026-11-28T23:59:59Z", true},
                 {"2026-11-29T00:59:59Z", true},  {"2026-11-29T01:00:00Z", false}, {"2026-11-29T02:30:00Z", false},
                 {"2026-11-29T22:30:00Z", false}};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        int64_t at = 0;
        assert_int_equal(clock_iso_parse(cases[i].time, &at), 0);
        assert_int_equal(policy_may_now(p.policy, op, at, why), cases[i].may);
        assert_true(policy_may_now(p.policy, other, at, why));
    }
    people_free(&p);
}

static void test_bundle_form(void **state)
{
    unsigned char keys[2][32] = {{1}, {2}};
    autojson json_t *short_form = json_pack("{si ss}", "v", 1, "mode", "sealed"),
                    *bad = json_pack("{si ss}", "v", 1, "mode", "shut");
    autopolicy struct policy *p = NULL, *none = NULL;
    assert_int_equal(policy_from_bundle(short_form, (const unsigned char(*)[32])keys, 2, &p, NULL), 0);
    assert_int_equal(p->version, 1);
    assert_int_equal(p->n_approvers, 2);
    assert_int_equal(p->mode, POLICY_SEALED);
    assert_int_equal(policy_from_bundle(bad, (const unsigned char(*)[32])keys, 2, &none, NULL), -EINVAL);
    assert_int_equal(policy_from_bundle(short_form, NULL, 0, &none, NULL), -EINVAL);
    json_object_set_new(short_form, "version", json_integer(9));
    assert_int_equal(policy_from_bundle(short_form, (const unsigned char(*)[32])keys, 2, &none, NULL), -EINVAL);
}

static void test_every_operation_fits_the_bits(void **state)
{
    size_t n = 0;
    while (operations[n].name)
        n++;
    assert_true(n > 0 && n < 64);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_strict),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_bundle_form),
        cmocka_unit_test(test_every_operation_fits_the_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
