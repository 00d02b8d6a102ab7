/* plan: the desired graph and its check. */
#include "../test.h"

#include "sim.h"

#define ADD(g, type, name, ...) assert_int_equal(plan_graph_add(g, type, name, json_pack(__VA_ARGS__), NULL, NULL), 0)

static void expect(const struct plan_graph *g, int code, const char *message)
{
    struct err err = ERR_INIT;
    int r = plan_graph_check(g, sim_types, &err);
    assert_string_equal(err.message, message);
    assert_int_equal(r, code);
}

static void references_become_dependencies(void **state OH_UNUSED)
{
    autograph struct plan_graph *g = plan_graph_new();
    ADD(g, "node", "b", "{s:s}", "peer", "${node.a.id}");
    ADD(g, "node", "a", "{s:i}", "size", 1);
    expect(g, 0, "");
}

static void a_cycle_is_named_in_order(void **state OH_UNUSED)
{
    autograph struct plan_graph *g = plan_graph_new();
    ADD(g, "node", "start", "{s:s}", "peer", "${node.a.id}");
    ADD(g, "node", "a", "{s:s}", "note", "x ${node.b.id} y");
    ADD(g, "node", "b", "{s:{s:[s]}}", "note", "deep", "${node.c.id}");
    assert_int_equal(plan_graph_add(g, "node", "c", json_object(), (const char *const[]){"node.a", NULL}, NULL), 0);
    expect(g, -ELOOP, "resources depend on each other in a circle: node.a -> node.b -> node.c -> node.a");
}

static void what_cannot_be_is_refused(void **state OH_UNUSED)
{
    static const struct {
        const char *attribute, *value, *message;
    } cases[] = {
        {"peer", "${node.nobody.id}",
         "resource node.b: attribute peer refers to node.nobody, which is not in the graph"},
        {"peer", "${node.a.colour}",
         "resource node.b: attribute peer refers to node.a.colour, but the type node has no such attribute"},
        {"peer", "${node.a.zone}", "resource node.b: attribute peer refers to node.a.zone, which is not set"},
        {"note", "${node.a.password}",
         "resource node.b: attribute note refers to the secret node.a.password but is not secret itself"},
        {"colour", "red", "resource node.b: the type node has no attribute \"colour\""},
        {"id", "x", "resource node.b: attribute id is computed and cannot be set"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        autograph struct plan_graph *g = plan_graph_new();
        ADD(g, "node", "a", "{s:s}", "password", "x");
        ADD(g, "node", "b", "{s:s}", cases[i].attribute, cases[i].value);
        expect(g, -EINVAL, cases[i].message);
    }
    struct err err = ERR_INIT;
    autograph struct plan_graph *g = plan_graph_new();
    assert_int_equal(plan_graph_add(g, "node", "a", json_pack("{s:s}", "note", "${open"), NULL, &err), -EINVAL);
    assert_string_equal(err.message, "resource node.a: a reference is not closed: \"${open\"");
    assert_int_equal(plan_graph_add(g, "node", "a", json_pack("{s:s}", "note", "${only.two}"), NULL, &err), -EINVAL);
    assert_int_equal(plan_graph_add(g, "Node", "a", json_object(), NULL, &err), -EINVAL);
    assert_int_equal(plan_graph_add(g, "node", "", json_object(), NULL, &err), -EINVAL);
    assert_int_equal(plan_graph_add(g, "node", "a", json_array(), NULL, &err), -EINVAL);
    assert_int_equal(plan_graph_add(g, "node", "a", json_object(), (const char *const[]){"a", NULL}, &err), -EINVAL);
    assert_int_equal(plan_graph_add(g, "node", "a", json_object(), NULL, &err), 0);
    assert_int_equal(plan_graph_add(g, "node", "a", json_object(), NULL, &err), -EEXIST);
    assert_string_equal(err.message, "resource node.a is in the graph twice");
    ADD(g, "cheese", "a", "{}");
    expect(g, -EINVAL, "resource cheese.a: there is no resource type \"cheese\"");
}

static void the_digest_is_of_what_is_desired(void **state OH_UNUSED)
{
    char a[65], b[65], c[65], d[65];
    for (int i = 0; i < 4; i++) {
        autograph struct plan_graph *g = plan_graph_new();
        ADD(g, "node", "a", "{s:s, s:i}", "password", i == 1 ? "other" : "secret word", "size", 1);
        if (i == 2)
            plan_graph_note(g, "There is no isolation.");
        assert_int_equal(plan_graph_check(g, sim_types, NULL), 0);
        assert_int_equal(plan_graph_digest(g, sim_types, "x", i == 0 ? a : i == 1 ? b : i == 2 ? c : d, NULL), 0);
    }
    assert_string_not_equal(a, b);
    assert_string_not_equal(a, c);
    assert_string_equal(a, d);
}

static void accepted_values_are_literal_and_what_is_needed_stays(void **state OH_UNUSED)
{
    autograph struct plan_graph *g = plan_graph_new();
    struct err err = ERR_INIT;
    autojson json_t *strange = json_pack("{s:[s, i]}", "deep", "a ${node.nobody.id} $${x}", 1);
    ADD(g, "node", "a", "{s:i, s:s}", "size", 1, "zone", "x");
    ADD(g, "node", "b", "{s:s}", "peer", "${node.a.id}");
    ADD(g, "node", "c", "{s:i}", "size", 3);
    assert_int_equal(plan_graph_set(g, "node.c", "note", strange, NULL), 0);
    assert_int_equal(plan_graph_set(g, "node.a", "zone", NULL, NULL), 0);
    assert_int_equal(plan_graph_set(g, "node.x", "zone", NULL, NULL), -ENOENT);
    expect(g, 0, "");
    assert_null(json_object_get(plan_graph_attributes(g, "node.a"), "zone"));
    assert_int_equal(plan_graph_drop(g, "node.a", &err), -EBUSY);
    assert_string_equal(err.message, "resource node.b stands on node.a");
    assert_int_equal(plan_graph_drop(g, "node.b", &err), 0);
    assert_int_equal(plan_graph_drop(g, "node.b", &err), -ENOENT);
    assert_int_equal(plan_graph_drop(g, "node.a", &err), 0);
    assert_null(plan_graph_attributes(g, "node.a"));
    assert_int_equal(json_integer_value(json_object_get(plan_graph_attributes(g, "node.c"), "size")), 3);
    ADD(g, "node", "a", "{s:i}", "size", 2);
    expect(g, 0, "");
    /* What comes out is what came in. */
    autojson json_t *documents = json_object(), *records OH_CLEANUP(js_decrefp) = json_array(),
                    *document OH_CLEANUP(js_decrefp) = NULL;
    struct plan_context c = {.infrastructure = "x", .types = sim_types};
    json_object_set_new(documents, "node.c", json_pack("{s:i, s:O}", "size", 3, "note", strange));
    assert_int_equal(plan_diff(&c, g, PLAN_APPLY, false, documents, records, &document, &err), 0);
    const json_t *summary = json_object_get(document, "summary");
    assert_int_equal(json_integer_value(json_object_get(summary, "none")), 1);
    assert_int_equal(json_integer_value(json_object_get(summary, "create")), 1);
    assert_true(plan_hold(document, "node.a", "because"));
    assert_false(plan_hold(document, "node.a", "because"));
    assert_false(plan_hold(document, "node.c", "because"));
    assert_int_equal(json_integer_value(json_object_get(summary, "none")), 2);
    assert_true(plan_is_empty(document));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(references_become_dependencies),
        cmocka_unit_test(a_cycle_is_named_in_order),
        cmocka_unit_test(what_cannot_be_is_refused),
        cmocka_unit_test(the_digest_is_of_what_is_desired),
        cmocka_unit_test(accepted_values_are_literal_and_what_is_needed_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
