/* blueprint/tailnet: what is written is taken by its own judge, shut or open; whatever else reaches the gate is named.
 */
#include "../test.h"

#include "blueprint/tailnet.h"

static struct tailnet_tags tags;

static int set_up(void **state OH_UNUSED)
{
    return tailnet_tags("laptop", &tags, NULL);
}

static int judge(const char *text, bool *open, struct err *err)
{
    *err = ERR_INIT;
    return tailnet_check(text, strlen(text), &tags, 8443, open, err);
}

static void what_is_written_holds(void **state OH_UNUSED)
{
    struct err err;
    for (int open = 0; open < 2; open++) {
        autofree char *text = tailnet_policy_text(&tags, 8443, open);
        autojson json_t *policy = tailnet_policy(&tags, 8443, open);
        autofree char *plain = js_text(policy);
        bool found = !open;
        if (judge(text, &found, &err) < 0)
            fail_msg("%s", err.message);
        assert_int_equal(found, open);
        assert_int_equal(judge(plain, &found, &err), 0);
        assert_null(strstr(text, "autogroup"));
        assert_null(strstr(plain, "*"));
        /* A gate at another port is not opened by this rule, and the tests of the file say so. */
        if (open)
            assert_int_equal(tailnet_check(text, strlen(text), &tags, 9999, &found, &err), -EINVAL);
    }
}

static void names_are_narrow(void **state OH_UNUSED)
{
    static const char *const bad[] = {"",   "A",  "1a",    "a_b",      "a b",
                                      "a-", "-a", "tag:a", "\xc3\xa4", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
    struct tailnet_tags t;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(tailnet_tags(bad[i], &t, NULL), -EINVAL);
    assert_int_equal(tailnet_tags("eu-1", &t, NULL), 0);
    assert_string_equal(t.gate, "tag:ownhouse-gate-eu-1");
}

static void a_key_works_once_for_one_tag_and_minutes(void **state OH_UNUSED)
{
    autojson json_t *key = tailnet_key(tags.gate);
    const json_t *create = json_object_get(json_object_get(json_object_get(key, "capabilities"), "devices"), "create");
    assert_true(json_is_false(json_object_get(create, "reusable")));
    assert_true(json_is_true(json_object_get(create, "ephemeral")));
    assert_true(json_is_true(json_object_get(create, "preauthorized")));
    assert_int_equal(json_array_size(json_object_get(create, "tags")), 1);
    assert_int_equal(json_integer_value(json_object_get(key, "expirySeconds")), 300);
}

/* The written policy, open, with one thing of other people's put in. */
static char *with(const char *section, const char *json)
{
    autojson json_t *policy = tailnet_policy(&tags, 8443, true), *more = NULL;
    assert_int_equal(js_parse(json, strlen(json), MIB(1), &more, NULL), 0);
    json_t *there = json_object_get(policy, section);
    if (json_is_array(there) && !json_is_array(more))
        json_array_append(there, more);
    else if (json_is_object(there) && json_is_object(more))
        json_object_update(there, more);
    else
        json_object_set(policy, section, more);
    return js_text(policy);
}

struct given {
    const char *section, *json, *why; /* a part of the sentence */
};

static void others_rules_that_reach_the_gate_are_named(void **state OH_UNUSED)
{
    static const struct given bad[] = {
        {"grants", "{\"src\":[\"*\"],\"dst\":[\"*\"],\"ip\":[\"*\"]}", "grants[1]"},
        {"grants", "{\"src\":[\"autogroup:member\"],\"dst\":[\"autogroup:tagged\"],\"ip\":[\"443\"]}",
         "autogroup:tagged"},
        {"grants", "{\"src\":[\"autogroup:member\"],\"dst\":[\"autogroup:danger-all\"],\"ip\":[\"443\"]}",
         "danger-all"},
        {"grants", "{\"src\":[\"group:eng\"],\"dst\":[\"100.64.0.0/10\"],\"ip\":[\"*\"]}", "100.64.0.0/10"},
        {"grants", "{\"src\":[\"group:eng\"],\"dst\":[\"gatehost\"],\"ip\":[\"*\"]}", "gatehost"},
        {"grants", "{\"src\":[\"group:eng\"],\"dst\":[\"ipset:all\"],\"ip\":[\"*\"]}", "ipset:all"},
        {"grants", "{\"src\":[\"group:eng\"],\"dst\":[\"tag:ownhouse-gate-laptop\"],\"ip\":[\"tcp:8443\"]}",
         "lets others"},
        {"grants",
         "{\"src\":[\"tag:ownhouse-engineer-laptop\",\"a@b.c\"],\"dst\":[\"tag:ownhouse-gate-laptop\"],\"ip\":[\"tcp:"
         "8443\"]}",
         "lets others"},
        {"grants",
         "{\"src\":[\"tag:ownhouse-engineer-laptop\"],\"dst\":[\"tag:ownhouse-gate-laptop\"],\"ip\":[\"8443\"]}",
         "opens more"},
        {"grants",
         "{\"src\":[\"tag:ownhouse-engineer-laptop\"],\"dst\":[\"tag:ownhouse-gate-laptop\"],\"ip\":[\"tcp:22\"]}",
         "opens more"},
        {"grants",
         "{\"src\":[\"tag:ownhouse-engineer-laptop\"],\"dst\":[\"tag:ownhouse-gate-laptop\"],\"ip\":[\"tcp:8443\"],"
         "\"app\":{\"x\":[]}}",
         "application"},
        {"grants", "{\"src\":[\"a@b.c\"],\"dst\":[\"tag:other\"],\"ip\":[\"tcp:99999\"]}", "PROTOCOL:PORT"},
        {"grants", "{\"src\":[\"a@b.c\"],\"dst\":[\"tag:other\"],\"ip\":[\"tcp:9-1\"]}", "PROTOCOL:PORT"},
        {"grants", "{\"src\":[\"a@b.c\"],\"dst\":[\"tag:1other\"],\"ip\":[\"*\"]}", "no tag"},
        {"grants", "{\"src\":[\"a@b.c\"],\"dst\":[\"tag:other\"]}", "ip"},
        {"grants", "{\"src\":[],\"dst\":[\"tag:other\"],\"ip\":[\"*\"]}", "src"},
        {"grants", "{\"src\":[\"a@b.c\"],\"dst\":[7],\"ip\":[\"*\"]}", "dst"},
        {"grants", "[7]", "grants[0]"},
        {"acls", "[{\"action\":\"accept\",\"src\":[\"*\"],\"dst\":[\"*:*\"]}]", "acls[0]"},
        {"acls", "[{\"action\":\"accept\",\"src\":[\"a@b.c\"],\"dst\":[\"tag:ownhouse-gate-laptop:8443\"]}]",
         "acls[0]"},
        {"acls", "[{\"action\":\"accept\",\"src\":[\"a@b.c\"],\"dst\":[\"tag\"]}]", "SELECTOR:PORTS"},
        {"ssh", "[{\"action\":\"accept\",\"src\":[\"a@b.c\"],\"dst\":[\"autogroup:tagged\"],\"users\":[\"root\"]}]",
         "shell"},
        {"nodeAttrs", "{\"target\":[\"*\"],\"attr\":[\"funnel\"]}", "attributes"},
        {"autoApprovers", "{\"routes\":{\"10.0.0.0/8\":[\"tag:ownhouse-gate-laptop\"]}}", "routes"},
        {"autoApprovers", "{\"exitNode\":[\"tag:ownhouse-engineer-laptop\"]}", "routes"},
        {"tagOwners", "{\"tag:ownhouse-gate-laptop\":[\"autogroup:admin\"]}", "owned by"},
        {"tagOwners", "{\"tag:ownhouse-engineer-laptop\":[\"tag:ownhouse-provisioner\",\"a@b.c\"]}", "owned by"},
        {"tagOwners", "{\"tag:ownhouse-engineer-laptop\":[7]}", "owned by"},
        {"tagOwners", "{\"tag:ownhouse-provisioner\":[\"a@b.c\"]}", "empty list"},
        {"tagOwners", "{\"tag:x y\":[]}", "no tag"},
        {"tagOwners", "{\"tag:x\":\"a@b.c\"}", "must be a list"},
        {"tests", "{\"src\":\"tag:ownhouse-engineer-laptop\",\"accept\":[\"tag:ownhouse-gate-laptop:22\"]}",
         "do not allow"},
        {"tests", "{\"src\":\"tag:ownhouse-engineer-laptop\",\"deny\":[\"tag:ownhouse-gate-laptop:8443\"]}",
         "must be denied"},
        {"tests", "{\"src\":\"tag:ownhouse-engineer-laptop\",\"deny\":[\"tag:ownhouse-gate-laptop:*\"]}", "one port"},
        {"tests", "{\"src\":[\"a\"],\"deny\":[]}", "src"},
        {"colour", "[]", "colour"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        autofree char *text = with(bad[i].section, bad[i].json);
        struct err err;
        bool open;
        if (judge(text, &open, &err) != -EINVAL || !strstr(err.message, bad[i].why))
            fail_msg("%s %s: \"%s\"", bad[i].section, bad[i].json, err.message);
    }
}

static void others_rules_that_do_not_are_left_alone(void **state OH_UNUSED)
{
    static const struct given good[] = {
        {"grants",
         "{\"src\":[\"group:eng\"],\"dst\":[\"tag:web\",\"autogroup:self\",\"a@b.c\"],\"ip\":[\"*\",\"80-90\",\"udp:"
         "53\"]}",
         ""},
        {"grants",
         "{\"src\":[\"autogroup:member\"],\"dst\":[\"autogroup:internet\"],\"ip\":[\"*\"],\"via\":[\"tag:exit\"]}", ""},
        {"grants", "{\"src\":[\"a@b.c\"],\"dst\":[\"tag:db\"],\"app\":{\"example.com/cap\":[{}]}}", ""},
        {"acls", "[{\"action\":\"accept\",\"src\":[\"a@b.c\"],\"dst\":[\"tag:web:80,443\"]}]", ""},
        {"ssh", "[{\"action\":\"check\",\"src\":[\"a@b.c\"],\"dst\":[\"autogroup:self\"],\"users\":[\"root\"]}]", ""},
        {"tagOwners", "{\"tag:web\":[\"autogroup:admin\"]}", ""},
        {"tests", "{\"src\":\"a@b.c\",\"accept\":[\"tag:web:80\"]}", ""},
    };
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        autofree char *text = with(good[i].section, good[i].json);
        struct err err;
        bool open = false;
        if (judge(text, &open, &err) < 0)
            fail_msg("%s: %s", good[i].json, err.message);
        assert_true(open);
    }
}

static void human_json_is_understood(void **state OH_UNUSED)
{
    static const struct given texts[] = {
        {"", "{\"a\": [1, 2,], // x\n /* , ] */ }", "{\"a\":[1,2]}"},
        {"", "{\"a//b\": \"/* \\\" , ]\",}", "{\"a//b\":\"/* \\\" , ]\"}"},
        {"", "[1, /* */ ]", "[1]"},
        {"", "[{},{},]// no line end", "[{},{}]"},
    };
    static const char *const bad[] = {"[1] /* ", "[\"x", "[\"x\\", "[,,]", "[1,,]", "{,}x", "[1] /", "/", "[1]/*/"};
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        autobuf struct buf out = BUF_INIT;
        autojson json_t *v = NULL;
        struct err err = ERR_INIT;
        assert_int_equal(tailnet_hujson(texts[i].json, strlen(texts[i].json), &out, &err), 0);
        assert_int_equal(out.len, strlen(texts[i].json));
        if (js_parse(out.data, out.len, MIB(1), &v, &err) < 0)
            fail_msg("%s: %s", out.data, err.message);
        autofree char *text = js_text(v);
        assert_string_equal(text, texts[i].why);
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct err err;
        bool open;
        if (judge(bad[i], &open, &err) != -EINVAL)
            fail_msg("%s was taken", bad[i]);
    }
    autofree char *long_text = mem_alloc(TAILNET_POLICY_MAX + 2);
    memset(long_text, ' ', TAILNET_POLICY_MAX + 1);
    struct err err;
    bool open;
    assert_int_equal(judge(long_text, &open, &err), -EMSGSIZE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_holds),
        cmocka_unit_test(names_are_narrow),
        cmocka_unit_test(a_key_works_once_for_one_tag_and_minutes),
        cmocka_unit_test(others_rules_that_reach_the_gate_are_named),
        cmocka_unit_test(others_rules_that_do_not_are_left_alone),
        cmocka_unit_test(human_json_is_understood),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
