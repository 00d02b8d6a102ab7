/* What a plan costs, how long it takes and what it asks for, of whole graphs. Pure. */
#include "../test.h"

#include "cloud/aws/aws.h"
#include "cloud/estimate.h"

#define IDENT "5c000001-0000-4000-8000-0000005c0ffe"
#define ROLE "arn:aws:iam::123456789012:role/ownhouse/ownhouse-prod-"

/* The document of a plan whose resources are all absent (`there` false) or all as they should be. */
static json_t *estimate_of(const char *region, const char *nat, enum plan_kind kind, bool there, json_t **ret_document)
{
    autojson json_t *account =
        json_pack("{s:s, s:s, s:{s:s, s:s, s:s}}", "accountId", "123456789012", "nat", nat, "artefact", "dataRole",
                  ROLE "data", "bootstrapRole", ROLE "bootstrap", "launchTemplate", "ownhouse-prod-bootstrap");
    autojson json_t *infra =
        json_pack("{s:s, s:s, s:s, s:s}", "id", IDENT, "name", "prod", "region", region, "cidr", "10.41.0.0/16");
    autojson json_t *observed = json_object(), *records OH_CLEANUP(js_decrefp) = json_array(),
                    *first OH_CLEANUP(js_decrefp) = NULL;
    struct aws_settings s;
    struct err err = ERR_INIT;
    autograph struct plan_graph *g = NULL;
    struct plan_context c = {.infrastructure = IDENT, .types = cloud_aws_types};
    json_t *document = NULL, *change;
    size_t i;
    if (aws_settings_read(account, infra, &s, &err) < 0 || cloud_aws_graph(&s, &g, &err) < 0 ||
        plan_diff(&c, g, kind, true, observed, records, &first, &err) < 0)
        fail_msg("%s", err.message);
    if (there)
        json_array_foreach(json_object_get(first, "changes"), i, change)
            json_object_set_new(observed, json_string_value(json_object_get(change, "resource")), json_object());
    assert_int_equal(plan_diff(&c, g, kind, true, observed, records, &document, &err), 0);
    json_t *estimate = cloud_estimate("aws", region, g, document);
    if (ret_document)
        *ret_document = document;
    else
        json_decref(document);
    return estimate;
}

static int64_t number(const json_t *v, const char *group, const char *key)
{
    return json_integer_value(json_object_get(json_object_get(v, group), key));
}

static size_t count(const json_t *v, const char *group, const char *key)
{
    return json_array_size(json_object_get(json_object_get(v, group), key));
}

/* By hand, 730 hours: cluster 73.00; gateways 3 x 32.85; addresses 3 x 3.65; key 1.00; nodes 3 x (294.336 + 8) +
 * 3 x (119.136 + 8) + (312.732 + 16) = 1,617.148. */
static void a_whole_infrastructure_has_its_price(void **state OH_UNUSED)
{
    autojson json_t *e = estimate_of("us-east-1", "per-zone", PLAN_APPLY, false, NULL);
    assert_int_equal(number(e, "cost", "before"), 0);
    assert_int_equal(number(e, "cost", "after"), 180065);
    assert_int_equal(count(e, "cost", "unknown"), 0);
    assert_int_equal(count(e, "cost", "usage"), 5); /* four buckets and the cluster's logs */
    autojson json_t *same = estimate_of("us-west-2", "per-zone", PLAN_APPLY, false, NULL);
    assert_int_equal(number(same, "cost", "after"), 180065);
    autojson json_t *frugal = estimate_of("us-east-1", "single", PLAN_APPLY, false, NULL);
    assert_int_equal(number(frugal, "cost", "after"), 180065 - 2 * (3285 + 365));
}

static void a_removal_ends_the_costs(void **state OH_UNUSED)
{
    autojson json_t *e = estimate_of("us-east-1", "per-zone", PLAN_REMOVE, true, NULL);
    assert_int_equal(number(e, "cost", "before"), 180065);
    assert_int_equal(number(e, "cost", "after"), 0);
    const json_t *roles = json_object_get(e, "actions");
    assert_int_equal(json_array_size(roles), 1);
    assert_string_equal(json_string_value(json_object_get(json_array_get(roles, 0), "role")), "remove");
}

static void what_the_table_lacks_is_said_and_not_guessed(void **state OH_UNUSED)
{
    autojson json_t *e = estimate_of("eu-south-2", "per-zone", PLAN_APPLY, false, NULL);
    /* Three gateways and four node groups; cluster, addresses and key have one price everywhere. */
    assert_int_equal(count(e, "cost", "unknown"), 7);
    assert_int_equal(number(e, "cost", "after"), 7300 + 3 * 365 + 100);
}

static const char *const words[] = {"ec2:CreateVpc", "eks:CreateCluster", "iam:PassRole", "kms:CreateKey"};

static void actions_are_those_of_the_roles(void **state OH_UNUSED)
{
    autojson json_t *e = estimate_of("us-east-1", "per-zone", PLAN_APPLY, false, NULL);
    const json_t *roles = json_object_get(e, "actions"), *list = NULL;
    assert_int_equal(json_array_size(roles), 2);
    list = json_object_get(json_array_get(roles, 0), "actions");
    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        bool found = false;
        for (size_t k = 0; k < json_array_size(list); k++)
            found |= !strcmp(json_string_value(json_array_get(list, k)), words[i]);
        if (!found)
            fail_msg("%s is missing", words[i]);
    }
}

/* Cluster, a node group, two add-ons and the bootstrap stand in one line; everything else is beside it. */
static void time_is_that_of_the_longest_chain(void **state OH_UNUSED)
{
    autojson json_t *e = estimate_of("us-east-1", "per-zone", PLAN_APPLY, false, NULL);
    int64_t low = number(e, "seconds", "low"), high = number(e, "seconds", "high");
    if (low < 480 + 90 + 120 || low > 1200 || high < 900 + 300 + 300 || high > 3600)
        fail_msg("%lld to %lld seconds", (long long)low, (long long)high);
}

/* It becomes part of what is approved, so it must be the same bytes each time, and without reals. */
static void it_can_be_part_of_a_digest(void **state OH_UNUSED)
{
    char one[65], two[65];
    autojson json_t *a = NULL, *b OH_CLEANUP(js_decrefp) = NULL;
    json_t *of_a = estimate_of("us-east-1", "per-zone", PLAN_APPLY, false, &a);
    json_t *of_b = estimate_of("us-east-1", "per-zone", PLAN_APPLY, false, &b);
    json_object_set_new(a, "estimate", of_a);
    json_object_set_new(b, "estimate", of_b);
    assert_int_equal(plan_digest(a, one, NULL), 0);
    assert_int_equal(plan_digest(b, two, NULL), 0);
    assert_string_equal(one, two);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_infrastructure_has_its_price),
        cmocka_unit_test(a_removal_ends_the_costs),
        cmocka_unit_test(what_the_table_lacks_is_said_and_not_guessed),
        cmocka_unit_test(actions_are_those_of_the_roles),
        cmocka_unit_test(time_is_that_of_the_longest_chain),
        cmocka_unit_test(it_can_be_part_of_a_digest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
