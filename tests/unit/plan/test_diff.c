/* plan: the document of a difference. */
#include "../test.h"

#include "sim.h"

#define ADD(g, type, name, ...) assert_int_equal(plan_graph_add(g, type, name, json_pack(__VA_ARGS__), NULL, NULL), 0)

static json_t *diff(const struct plan_graph *g, enum plan_kind kind, bool delete_data, json_t *observed,
                    json_t *records)
{
    struct plan_context c = {.infrastructure = "infra", .types = sim_types, .clock = &clock_system};
    struct err err = ERR_INIT;
    json_t *doc = NULL;
    autojson json_t *o = observed, *r OH_CLEANUP(js_decrefp) = records ? records : json_array();
    if (plan_diff(&c, g, kind, delete_data, o, r, &doc, &err) < 0)
        fail_msg("%s", err.message);
    return doc;
}

static const json_t *change(const json_t *doc, const char *key)
{
    size_t i;
    json_t *v;
    json_array_foreach(json_object_get(doc, "changes"), i, v)
    {
        if (!strcmp(json_string_value(json_object_get(v, "resource")), key))
            return v;
    }
    fail_msg("no change for %s", key);
    return NULL;
}

static const char *action(const json_t *doc, const char *key)
{
    return json_string_value(json_object_get(change(doc, key), "action"));
}

static void check_why(const json_t *doc, const char *key, const char *expected)
{
    autofree char *text = json_dumps(json_object_get(change(doc, key), "why"), JSON_COMPACT | JSON_SORT_KEYS);
    assert_string_equal(text, expected);
}

static void each_action_with_its_reason(void **state OH_UNUSED)
{
    autograph struct plan_graph *g = plan_graph_new();
    ADD(g, "node", "new", "{s:i}", "size", 2);
    ADD(g, "node", "same", "{s:i}", "size", 2);
    ADD(g, "node", "grown", "{s:i}", "size", 2);
    ADD(g, "node", "moved", "{s:s, s:i}", "zone", "b", "size", 2);
    ADD(g, "stone", "carved", "{s:i}", "size", 2);
    autojson json_t *doc =
        diff(g, PLAN_APPLY, false,
             json_pack("{s:n, s:{s:i,s:s,s:i}, s:{s:i}, s:{s:s,s:i}, s:{s:i}, s:{s:i}}", "node.new", "node.same",
                       "size", 2, "id", "7", "uptime", 3, "node.grown", "size", 1, "node.moved", "zone", "a", "size", 1,
                       "stone.carved", "size", 1, "node.old", "size", 9),
             json_pack("[{s:s, s:s, s:{s:i}}]", "type", "node", "name", "old", "record", "v", 1));
    assert_string_equal(action(doc, "node.new"), "create");
    assert_string_equal(action(doc, "node.same"), "none");
    assert_string_equal(action(doc, "node.grown"), "change");
    assert_string_equal(action(doc, "node.moved"), "replace");
    assert_string_equal(action(doc, "stone.carved"), "replace");
    assert_string_equal(action(doc, "node.old"), "destroy");
    check_why(doc, "node.new", "[{\"after\":2,\"attribute\":\"size\",\"before\":null,\"replaces\":false}]");
    check_why(doc, "node.same", "[]");
    check_why(doc, "node.grown", "[{\"after\":2,\"attribute\":\"size\",\"before\":1,\"replaces\":false}]");
    check_why(doc, "node.moved",
              "[{\"after\":2,\"attribute\":\"size\",\"before\":1,\"replaces\":false},"
              "{\"after\":\"b\",\"attribute\":\"zone\",\"before\":\"a\",\"replaces\":true}]");
    autofree char *summary = json_dumps(json_object_get(doc, "summary"), JSON_COMPACT | JSON_SORT_KEYS);
    assert_string_equal(summary, "{\"change\":1,\"create\":1,\"destroy\":1,\"none\":1,\"replace\":2}");
    assert_false(plan_is_empty(doc));
}

static void what_follows_from_a_new_resource_is_known_later(void **state OH_UNUSED)
{
    autograph struct plan_graph *g = plan_graph_new();
    ADD(g, "node", "c", "{s:s}", "link", "at ${node.b.address}");
    ADD(g, "node", "b", "{s:s}", "peer", "${node.a.id}");
    ADD(g, "node", "a", "{s:s}", "zone", "new");
    autojson json_t *doc = diff(g, PLAN_APPLY, false,
                                json_pack("{s:{s:s,s:s}, s:{s:s,s:s}, s:{s:s}}", "node.a", "zone", "old", "id", "1",
                                          "node.b", "peer", "1", "address", "here", "node.c", "link", "at here"),
                                NULL);
    assert_string_equal(action(doc, "node.a"), "replace");
    assert_string_equal(action(doc, "node.b"), "replace");
    assert_string_equal(action(doc, "node.c"), "change");
    check_why(doc, "node.c",
              "[{\"after\":{\"known\":\"after apply\"},\"attribute\":\"link\",\"before\":\"at here\","
              "\"replaces\":false}]");
}

static void secrets_never_show(void **state OH_UNUSED)
{
    autograph struct plan_graph *g = plan_graph_new();
    ADD(g, "node", "a", "{s:s}", "password", "correct horse");
    autojson json_t *doc =
        diff(g, PLAN_APPLY, false, json_pack("{s:{s:s}}", "node.a", "password", "battery staple"), NULL);
    autofree char *text = js_text(doc);
    assert_null(strstr(text, "correct horse"));
    assert_null(strstr(text, "battery staple"));
    assert_non_null(strstr(text, "secret:"));
    assert_string_equal(action(doc, "node.a"), "change");
    /* A secret that cannot be read back is compared with what was set last. */
    const json_t *why = json_array_get(json_object_get(change(doc, "node.a"), "why"), 0);
    const char *mark = json_string_value(json_object_get(why, "after"));
    autojson json_t *again = diff(
        g, PLAN_APPLY, false, json_pack("{s:{s:s}}", "node.a", "id", "1"),
        json_pack("[{s:s, s:s, s:{s:{s:s}}}]", "type", "node", "name", "a", "record", "attributes", "password", mark));
    assert_string_equal(action(again, "node.a"), "none");
    assert_true(plan_is_empty(again));
}

static void what_we_set_and_no_longer_want_is_taken_back(void **state OH_UNUSED)
{
    autograph struct plan_graph *g = plan_graph_new();
    ADD(g, "node", "a", "{s:i}", "size", 1);
    for (int ours = 0; ours < 2; ours++) {
        autojson json_t *doc =
            diff(g, PLAN_APPLY, false, json_pack("{s:{s:i, s:s}}", "node.a", "size", 1, "note", "hello"),
                 json_pack("[{s:s, s:s, s:{s:[s]}}]", "type", "node", "name", "a", "record", "wanted",
                           ours ? "note" : "size"));
        assert_string_equal(action(doc, "node.a"), ours ? "change" : "none");
    }
}

static void same_input_same_bytes(void **state OH_UNUSED)
{
    autograph struct plan_graph *g = plan_graph_new();
    char a[65], b[65], c[65];
    ADD(g, "disk", "data", "{s:i}", "size", 1);
    ADD(g, "node", "a", "{s:s, s:s}", "peer", "${disk.data.id}", "password", "x");
    autojson json_t *one =
        diff(g, PLAN_APPLY, false, json_pack("{s:{s:i, s:i}}", "disk.data", "size", 2, "uptime", 1), NULL);
    autojson json_t *two =
        diff(g, PLAN_APPLY, false, json_pack("{s:{s:i, s:i}}", "disk.data", "uptime", 99, "size", 2), NULL);
    autojson json_t *other =
        diff(g, PLAN_APPLY, false, json_pack("{s:{s:i, s:i}}", "disk.data", "size", 3, "uptime", 1), NULL);
    assert_int_equal(plan_digest(one, a, NULL), 0);
    assert_int_equal(plan_digest(two, b, NULL), 0);
    assert_int_equal(plan_digest(other, c, NULL), 0);
    assert_string_equal(a, b);
    assert_string_not_equal(a, c);
    /* Golden: a digest that people have approved must not change its meaning with a release. */
    assert_string_equal(a, "2057f807310a28dffa6a4a2d62a048fb617a8b0698fa4255ed5b95e1d8b2803e");
}

static void removal_keeps_data_and_what_it_stands_on(void **state OH_UNUSED)
{
    autograph struct plan_graph *g = plan_graph_new();
    ADD(g, "node", "ground", "{}");
    ADD(g, "node", "key", "{s:s}", "peer", "${node.ground.id}");
    ADD(g, "disk", "data", "{s:s}", "peer", "${node.key.id}");
    ADD(g, "node", "reader", "{s:s}", "peer", "${disk.data.id}");
    ADD(g, "node", "never", "{}");
    for (int delete_data = 0; delete_data < 2; delete_data++) {
        autojson json_t *doc =
            diff(g, PLAN_REMOVE, delete_data,
                 json_pack("{s:{}, s:{}, s:{}, s:{}}", "node.ground", "node.key", "disk.data", "node.reader"), NULL);
        const char *kept = delete_data ? "destroy" : "none";
        assert_string_equal(action(doc, "node.reader"), "destroy");
        assert_string_equal(action(doc, "disk.data"), kept);
        assert_string_equal(action(doc, "node.key"), kept);
        assert_string_equal(action(doc, "node.ground"), kept);
        assert_string_equal(action(doc, "node.never"), "none");
        assert_int_equal(json_is_true(json_object_get(change(doc, "disk.data"), "destroys_data")), delete_data);
        if (!delete_data)
            assert_string_equal(json_string_value(json_object_get(change(doc, "disk.data"), "kept")),
                                "it holds data, and deleting data was not asked for");
    }
}

static void broken_records_are_named(void **state OH_UNUSED)
{
    struct plan_context c = {.infrastructure = "infra", .types = sim_types, .clock = &clock_system};
    struct err err = ERR_INIT;
    json_t *doc = NULL;
    autograph struct plan_graph *g = plan_graph_new();
    autojson json_t *observed = json_object();
    autojson json_t *unknown = json_pack("[{s:s, s:s, s:{}}]", "type", "cheese", "name", "a", "record");
    autojson json_t *junk = json_pack("[{s:s, s:i, s:{}}]", "type", "node", "name", 1, "record");
    assert_int_equal(plan_diff(&c, g, PLAN_APPLY, false, observed, unknown, &doc, &err), -ENOTSUP);
    assert_non_null(strstr(err.message, "cheese.a"));
    assert_int_equal(plan_diff(&c, g, PLAN_APPLY, false, observed, junk, &doc, &err), -EBADMSG);
    assert_null(doc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_action_with_its_reason),
        cmocka_unit_test(what_follows_from_a_new_resource_is_known_later),
        cmocka_unit_test(secrets_never_show),
        cmocka_unit_test(what_we_set_and_no_longer_want_is_taken_back),
        cmocka_unit_test(same_input_same_bytes),
        cmocka_unit_test(removal_keeps_data_and_what_it_stands_on),
        cmocka_unit_test(broken_records_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
