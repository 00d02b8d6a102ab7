/* blueprint/telemetry: nothing leaves that is not in the table, every field that may be narrowed is, one by one. */
#include "../test.h"

#include "blueprint/metrics.h"
#include "blueprint/telemetry.h"

/* A message of each type with all that agents put into them; {} of metrics is filled in. */
static const char *const samples[] = {
    "{\"type\":\"enrol\",\"token\":\"t\",\"csr\":\"PEM\",\"name\":\"n\"}",
    "{\"type\":\"attach\",\"session\":\"s\"}",
    "{\"type\":\"hello\",\"version\":\"1\",\"desiredVersion\":3,\"bootId\":\"b\"}",
    "{\"type\":\"renew\",\"csr\":\"PEM\"}",
    "{\"type\":\"refused\",\"version\":3,\"message\":\"why\"}",
    "{\"type\":\"cut\",\"grant\":\"g\"}",
    "{\"type\":\"error\",\"message\":\"m\",\"retry\":true}",
    "{\"type\":\"checkpoint\",\"verifier\":\"v\",\"note\":\"n\",\"from\":1,\"proof\":[\"p\"]}",
    "{\"type\":\"activities-cosigned\",\"verifier\":\"v\",\"note\":\"n\",\"size\":1,\"error\":\"e\"}",
    "{\"type\":\"consent-state\",\"policy\":{\"mode\":\"open\"},\"policyDigest\":\"d\",\"requests\":[{\"id\":\"i\","
    "\"state\":\"waiting\",\"why\":\"w\",\"needCustomer\":1,\"haveCustomer\":0,\"needVendor\":0,\"haveVendor\":0,"
    "\"request\":{\"a\":[1]}}]}",
    "{\"type\":\"observed\",\"desiredVersion\":1,\"version\":\"v\",\"isolation\":\"none\",\"caCertificate\":\"c\","
    "\"services\":[{\"id\":\"i\",\"state\":\"running\",\"engine\":\"e\",\"engineVersion\":\"v\",\"readyReplicas\":1,"
    "\"replicas\":1,\"notice\":\"n\",\"error\":\"e\",\"restarts\":2,\"metrics\":{}}],"
    "\"workloads\":[{\"name\":\"n\",\"state\":\"s\",\"restarts\":1,\"error\":\"e\"}],"
    "\"dns\":{\"state\":\"ok\",\"records\":3,\"conflicts\":1,\"error\":\"e\"},"
    "\"certificate\":{\"source\":\"own\",\"state\":\"ok\",\"notAfterMs\":4,\"error\":\"e\"},"
    "\"release\":{\"result\":\"taken\",\"what\":\"w\",\"why\":\"\",\"at\":\"a\"},"
    "\"backups\":[{\"id\":\"i\",\"service\":\"s\",\"base\":\"\",\"state\":\"done\",\"startedMs\":1,\"finishedMs\":2,"
    "\"bytes\":3,\"retentionHours\":24,\"drill\":\"passed\",\"drillTables\":1,\"error\":\"e\"}]}",
};

static json_t *parse(const char *text)
{
    json_t *v = NULL;
    assert_int_equal(js_parse(text, strlen(text), MIB(1), &v, NULL), 0);
    return v;
}

static json_t *sample(size_t i)
{
    json_t *v = parse(samples[i]);
    json_t *metrics = json_object_get(json_array_get(json_object_get(v, "services"), 0), "metrics");
    for (size_t k = 0; metrics && k < metrics_count; k++)
        json_object_set_new(metrics, metrics_all[k].name, json_integer((json_int_t)k));
    return v;
}

/* The value at a field's name in a message of its type, through the first item of lists; NULL: it is not there. */
static const json_t *at(const json_t *message, const char *name)
{
    autofree char *copy = mem_strdup(name);
    char *rest = copy;
    const char *type = strsep(&rest, ".");
    if (strcmp(type, json_string_value(json_object_get(message, "type"))))
        return NULL;
    for (const char *key; message && rest;) {
        key = strsep(&rest, ".");
        if (json_is_array(message))
            message = json_array_get(message, 0);
        message = json_object_get(message, key);
    }
    return message;
}

static json_t *narrowed(const struct telemetry *t, const json_t *message)
{
    struct err err = ERR_INIT;
    json_t *v = NULL;
    if (telemetry_narrow(t, message, &v, &err) < 0)
        fail_msg("%s", err.message);
    return v;
}

static void all_of_the_table_passes_whole(void **state OH_UNUSED)
{
    autotelemetry struct telemetry *t = telemetry_all();
    for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
        autojson json_t *message = sample(i), *out = narrowed(t, message);
        assert_true(json_equal(message, out));
    }
}

static void what_is_not_in_the_table_stays(void **state OH_UNUSED)
{
    autotelemetry struct telemetry *t = telemetry_all();
    struct err err = ERR_INIT;
    json_t *none = NULL;
    autojson json_t *message = sample(ARRAY_SIZE(samples) - 1), *unknown = parse("{\"type\":\"dump\",\"rows\":[1]}"),
                    *nothing = parse("{\"v\":1}"), *part = parse("{\"type\":\"observed.services\",\"id\":\"x\"}");
    json_object_set_new(message, "queryText", json_string("SELECT secret"));
    json_t *service = json_array_get(json_object_get(message, "services"), 0);
    json_object_set_new(service, "lastQuery", json_string("SELECT secret"));
    json_object_set_new(json_object_get(service, "metrics"), "ClickHouseMetrics_secret", json_integer(1));
    autojson json_t *out = narrowed(t, message);
    autofree char *text = js_text(out);
    assert_null(strstr(text, "secret"));
    assert_int_equal(telemetry_narrow(t, unknown, &none, &err), -EPERM);
    assert_non_null(strstr(err.message, "dump"));
    err = ERR_INIT;
    assert_int_equal(telemetry_narrow(t, nothing, &none, &err), -EPERM);
    (void)!telemetry_narrow(t, part, &none, NULL);
    assert_true(!none || !json_object_get(none, "id") || json_object_size(none) <= 2);
    json_decref(none);
}

struct each {
    size_t fields, withheld;
};

/* Withholds this one field alone: it is gone from its message, all else is as it was. */
static void one_field(const char *name, enum telemetry_class class, const char *what, void *data)
{
    struct each *e = data;
    struct err err = ERR_INIT;
    autofree char *text = NULL;
    autotelemetry struct telemetry *t = NULL;
    int r = telemetry_file(&name, 1, &text, &err);
    assert_true(*what);
    e->fields++;
    if (class == TELEMETRY_NEEDED) {
        assert_int_equal(r, -EINVAL);
        assert_non_null(strstr(err.message, name));
        return;
    }
    assert_int_equal(r, 0);
    assert_int_equal(telemetry_parse(text, strlen(text), &t, &err), 0);
    e->withheld++;
    for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
        autojson json_t *message = sample(i), *out = narrowed(t, message);
        const json_t *before = at(message, name), *after = at(out, name);
        if (!before) {
            assert_true(json_equal(message, out));
            continue;
        }
        e->withheld += 1000; /* it was in a sample */
        assert_true(!after || (json_is_string(after) && !strcmp(json_string_value(after), "withheld")));
        assert_false(json_equal(message, out));
        /* Put back, nothing else is missing. */
        autofree char *parent = mem_strdup(name);
        char *key = strrchr(parent, '.');
        *key++ = '\0';
        json_t *into = strchr(parent, '.') ? (json_t *)(uintptr_t)at(out, parent) : out;
        json_object_set(json_is_array(into) ? json_array_get(into, 0) : into, key, (json_t *)(uintptr_t)before);
        assert_true(json_equal(message, out));
    }
}

static void every_narrowed_field_stays(void **state OH_UNUSED)
{
    autotelemetry struct telemetry *t = telemetry_all();
    struct each e = {0};
    telemetry_each(t, one_field, &e);
    assert_int_equal(e.withheld / 1000, e.withheld % 1000); /* each was in a sample */
    assert_true(e.withheld % 1000 >= metrics_count + 15);
}

static void without_a_usable_list_only_what_is_needed_leaves(void **state OH_UNUSED)
{
    autotelemetry struct telemetry *t = telemetry_none();
    autojson json_t *message = sample(ARRAY_SIZE(samples) - 1), *out = narrowed(t, message);
    autofree char *text = js_text(out);
    assert_string_equal(text, "{\"desiredVersion\":1,\"version\":\"withheld\",\"isolation\":\"withheld\",\"services\":"
                              "[{\"id\":\"i\",\"state\":\"running\",\"readyReplicas\":1,\"replicas\":1}],\"workloads\":"
                              "[{\"name\":\"withheld\",\"state\":\"withheld\"}],\"dns\":{\"state\":\"withheld\"},"
                              "\"certificate\":{\"source\":\"withheld\",\"state\":\"withheld\"},"
                              "\"release\":{},\"backups\":[{\"id\":\"i\",\"service\":"
                              "\"s\",\"base\":\"\",\"state\":\"done\",\"startedMs\":1,\"finishedMs\":2,\"drill\":"
                              "\"withheld\",\"error\":\"withheld\"}],\"type\":\"observed\"}");
}

static void lists_only_narrow(void **state OH_UNUSED)
{
    static const struct {
        const char *text, *part; /* NULL: good */
    } cases[] = {
        {"{\"type\":\"ownhouse/telemetry\",\"v\":1,\"allow\":[]}", NULL},
        {"{\"type\":\"ownhouse/telemetry\",\"v\":1,\"allow\":[\"*\"]}", NULL},
        {"{\"type\":\"ownhouse/telemetry\",\"v\":1,\"allow\":[\"observed.services.metrics.*\"]}", NULL},
        {"{\"type\":\"ownhouse/telemetry\",\"v\":1,\"allow\":[\"observed.services.id\"]}", NULL},
        {"{\"type\":\"ownhouse/telemetry\",\"v\":1,\"allow\":[\"observed.services.queries\"]}", "can only narrow"},
        {"{\"type\":\"ownhouse/telemetry\",\"v\":1,\"allow\":[\"obser*\"]}", "can only narrow"},
        {"{\"type\":\"ownhouse/telemetry\",\"v\":1,\"allow\":[\"\"]}", "can only narrow"},
        {"{\"type\":\"ownhouse/telemetry\",\"v\":1,\"allow\":[1]}", "allow[0]"},
        {"{\"type\":\"ownhouse/telemetry\",\"v\":2,\"allow\":[]}", "v"},
        {"{\"type\":\"ownhouse/policy\",\"v\":1,\"allow\":[]}", "type"},
        {"{\"type\":\"ownhouse/telemetry\",\"v\":1,\"allow\":[],\"deny\":[]}", "deny"},
        {"{\"type\":\"ownhouse/telemetry\",\"v\":1}", "allow"},
        {"[]", ""},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct err err = ERR_INIT;
        struct telemetry *t = NULL;
        int r = telemetry_parse(cases[i].text, strlen(cases[i].text), &t, &err);
        assert_int_equal(r == 0, cases[i].part == NULL);
        if (cases[i].part)
            assert_non_null(strstr(err.message, cases[i].part));
        telemetry_free(t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_of_the_table_passes_whole),
        cmocka_unit_test(what_is_not_in_the_table_stays),
        cmocka_unit_test(every_narrowed_field_stays),
        cmocka_unit_test(without_a_usable_list_only_what_is_needed_leaves),
        cmocka_unit_test(lists_only_narrow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
