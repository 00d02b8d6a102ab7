/* control/api/schema: each keyword is checked, and what is not checked is not accepted. */
#include "../test.h"

#include "control/api/schema.h"

struct bench {
    json_t *document;
    struct schema_set *set;
};

static int compile(const char *schema, const char *components, struct bench *b, const struct schema **ret,
                   struct err *err)
{
    autojson json_t *node = json_loads(schema, 0, NULL);
    b->document = json_pack("{s:{s:o},s:O}", "components", "schemas", json_loads(components, 0, NULL), "x", node);
    assert_non_null(b->document);
    int r = schema_set_new(b->document, &b->set, err);
    return r < 0 ? r : schema_compile(b->set, json_object_get(b->document, "x"), "x", ret, err);
}

static void bench_free(struct bench *b)
{
    schema_set_free(b->set);
    json_decref(b->document);
    *b = (struct bench){0};
}

/* `want` NULL: the value passes; else the whole sentence. */
static void expect(const char *schema, const char *value, const char *want)
{
    struct bench b = {0};
    const struct schema *s;
    struct err err = ERR_INIT;
    autojson json_t *v = json_loads(value, JSON_DECODE_ANY, NULL);
    assert_non_null(v);
    if (compile(schema,
                "{\"Pair\":{\"type\":\"object\",\"required\":[\"a\"],\"properties\":{\"a\":{\"type\":\"integer\"},"
                "\"next\":{\"$ref\":\"#/components/schemas/Pair\"}}}}",
                &b, &s, &err) < 0)
        fail_msg("%s", err.message);
    int r = schema_check(s, v, "value", &err);
    if (want)
        assert_string_equal(r < 0 ? err.message : "passed", want);
    else if (r < 0)
        fail_msg("%s: %s", value, err.message);
    bench_free(&b);
}

static void types(void **unused)
{
    expect("{\"type\":\"string\"}", "\"x\"", NULL);
    expect("{\"type\":\"string\"}", "1", "value: must be a string");
    expect("{\"type\":\"integer\"}", "8.0", NULL); /* JSON has one kind of number */
    expect("{\"type\":\"integer\"}", "8.5", "value: must be a whole number");
    expect("{\"type\":\"integer\"}", "1e300", "value: must be a whole number");
    expect("{\"type\":\"number\"}", "8", NULL);
    expect("{\"type\":[\"string\",\"null\"]}", "null", NULL);
    expect("{\"type\":[\"string\",\"null\"]}", "false", "value: must be a string or null");
    expect("{\"type\":\"boolean\"}", "0", "value: must be true or false");
    expect("{}", "[1]", NULL);
}

static void numbers(void **unused)
{
    static const char memory[] = "{\"type\":\"number\",\"minimum\":8,\"maximum\":356,\"multipleOf\":4}";
    expect(memory, "8", NULL);
    expect(memory, "356", NULL);
    expect(memory, "4", "value: must be at least 8");
    expect(memory, "360", "value: must be at most 356");
    expect(memory, "10", "value: must be a multiple of 4");
    expect(memory, "8.5", "value: must be a multiple of 4");
}

static void texts(void **unused)
{
    expect("{\"type\":\"string\",\"minLength\":1}", "\"\"", "value: must not be empty");
    expect("{\"type\":\"string\",\"minLength\":2}", "\"a\"", "value: must have at least 2 characters");
    expect("{\"type\":\"string\",\"maxLength\":3}", "\"\\u00e9\\u00e9\\u00e9\"", NULL); /* characters, not bytes */
    expect("{\"type\":\"string\",\"maxLength\":3}", "\"abcd\"", "value: must have at most 3 characters, not 4");
    expect("{\"type\":\"string\",\"pattern\":\"^a+$\",\"x-rule\":\"must be As\"}", "\"aab\"", "value: must be As");
    expect("{\"type\":\"string\",\"enum\":[\"start\",\"stop\"]}", "\"go\"", "value: must be one of start, stop");
    expect("{\"type\":\"integer\",\"enum\":[0,6]}", "3", "value: must be one of 0, 6");
}

static void format(const char *name, const char *text, bool good)
{
    autofree char *schema = mem_printf("{\"type\":\"string\",\"format\":\"%s\"}", name);
    struct bench b = {0};
    const struct schema *s;
    assert_int_equal(compile(schema, "{}", &b, &s, NULL), 0);
    if ((schema_check_text(s, text, "value", NULL) == 0) != good)
        fail_msg("%s %s", name, text);
    bench_free(&b);
}

static void formats(void **unused)
{
    format("uuid", "2377ed3d-a214-4ede-abff-85d84a0e0bfd", true);
    format("uuid", "2377ed3d-a214-4ede-abff-85d84a0e0bf", false);
    format("date-time", "2026-11-22T10:00:00.123Z", true);
    format("date-time", "2026-11-22T10:00:00+01:00", true);
    format("date-time", "2026-13-22T10:00:00Z", false);
    format("date-time", "2026-11-22", false);
    format("date", "2026-02-28", true);
    format("date", "2026-02-30", false);
    format("email", "a.b+c@example.com", true);
    format("email", "a@b", false);
    format("email", "@example.com", false);
    format("email", "a b@example.com", false);
    format("email", "a@example.com@example.com", false);
    format("boolean", "true", true);
    format("boolean", "yes", false);
    format("cidr-block", "10.0.0.0/16", true);
    format("cidr-block", "192.168.1.0/24", true);
    format("cidr-block", "10.0.0.1/16", false);  /* bits beyond the prefix */
    format("cidr-block", "8.8.0.0/16", false);   /* public */
    format("cidr-block", "172.16.0.0/8", false); /* reaches beyond the private block */
    format("cidr-block", "10.0.0.0/30", false);
    format("cidr-block", "10.0.0.0/016", false);
    format("cidr-block", "10.0.0.0", false);
    format("dns-domain", "laptop.ownhouse.localhost", true);
    format("dns-domain", "Laptop", false);
    format("ipv4-port", "10.0.0.1:443", true);
    format("ipv4-port", "10.0.0.1:0", false);
    format("ipv4-port", "host:443", false);
    format("ip-source", "anywhere", true);
    format("ip-source", "somewhere", false);
}

static void objects_name_the_field_and_its_place(void **unused)
{
    static const char schema[] = "{\"type\":\"object\",\"required\":[\"name\"],\"properties\":{\"name\":{\"type\":"
                                 "\"string\"},\"list\":{\"type\":"
                                 "\"array\",\"maxItems\":2,\"items\":{\"$ref\":\"#/components/schemas/Pair\"}}}}";
    expect(schema, "{\"name\":\"x\",\"list\":[{\"a\":1}]}", NULL);
    expect(schema, "[]", "value: must be an object");
    expect(schema, "{}", "name: is required");
    expect(schema, "{\"name\":\"x\",\"nmae\":1}", "nmae: unknown field");
    expect(schema, "{\"name\":\"x\",\"list\":[{\"a\":1},{\"a\":\"1\"}]}", "list[1].a: must be a whole number");
    expect(schema, "{\"name\":\"x\",\"list\":[{\"b\":1}]}", "list[0].b: unknown field");
    expect(schema, "{\"name\":\"x\",\"list\":[{}]}", "list[0].a: is required");
    expect(schema, "{\"name\":\"x\",\"list\":[{\"a\":1,\"next\":{\"a\":1,\"next\":{\"a\":null}}}]}",
           "list[0].next.next.a: must be a whole number");
    expect(schema, "{\"name\":\"x\",\"list\":[{\"a\":1},{\"a\":1},{\"a\":1}]}",
           "list: must have at most 2 entries, not 3");
    expect("{\"type\":\"object\",\"additionalProperties\":true,\"properties\":{\"a\":{\"type\":\"string\"}}}",
           "{\"b\":1}", NULL);
}

static void groups(void **unused)
{
    static const char schema[] = "{\"type\":\"object\",\"properties\":{\"n\":{\"type\":\"integer\"},\"low\":{\"type\":"
                                 "\"integer\"},\"high\":{\"type\":"
                                 "\"integer\"}},\"x-exclusive\":[[\"n\"],[\"low\",\"high\"]],\"x-together\":[[\"low\","
                                 "\"high\"]],\"x-ordered\":[["
                                 "\"low\",\"high\"]]}";
    expect(schema, "{\"n\":1}", NULL);
    expect(schema, "{\"low\":1,\"high\":1}", NULL);
    expect(schema, "{\"n\":1,\"low\":1,\"high\":2}", "low: must not be given together with n");
    expect(schema, "{\"low\":1}", "high: is required together with low");
    expect(schema, "{\"low\":3,\"high\":2}", "low: must not be above high");
}

static void one_of(void **unused)
{
    static const char or_null[] = "{\"oneOf\":[{\"$ref\":\"#/components/schemas/Pair\"},{\"type\":\"null\"}]}";
    static const char two[] = "{\"oneOf\":[{\"type\":\"integer\"},{\"type\":\"number\"}]}";
    expect(or_null, "null", NULL);
    expect(or_null, "{\"a\":1}", NULL);
    expect(or_null, "{\"a\":\"1\"}", "a: must be a whole number");
    expect(two, "1.5", NULL);
    expect(two, "1", "value: fits several of the allowed forms");
    expect(two, "\"1\"", "value: fits none of the allowed forms");
}

static void refuse(const char *schema, const char *needle)
{
    struct bench b = {0};
    const struct schema *s;
    struct err err = ERR_INIT;
    assert_int_equal(compile(schema, "{}", &b, &s, &err), -EINVAL);
    if (!strstr(err.message, needle))
        fail_msg("%s", err.message);
    bench_free(&b);
}

static void what_is_not_checked_is_not_accepted(void **unused)
{
    refuse("{\"type\":\"string\",\"uniqueItems\":true}", "uniqueItems: is a keyword that the server does not check");
    refuse("{\"type\":\"text\"}", "type: is unknown");
    refuse("{\"format\":\"phone\"}", "format: is unknown");
    refuse("{\"pattern\":\"(\"}", "pattern");
    refuse("{\"$ref\":\"#/components/schemas/Nowhere\"}", "leads nowhere");
    refuse("{\"properties\":{\"a\":{\"formt\":\"uuid\"}}}", "x.a: formt");
    refuse("{\"required\":[\"a\"],\"properties\":{}}", "required");
    refuse("{\"x-ordered\":[[\"a\"]],\"properties\":{\"a\":{}}}", "x-ordered");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(types),
        cmocka_unit_test(numbers),
        cmocka_unit_test(texts),
        cmocka_unit_test(formats),
        cmocka_unit_test(objects_name_the_field_and_its_place),
        cmocka_unit_test(groups),
        cmocka_unit_test(one_of),
        cmocka_unit_test(what_is_not_checked_is_not_accepted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
