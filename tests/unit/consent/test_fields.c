/* Which changes of the desired document need a signature. */
#include "../test.h"

#include "consent/fields.h"

static const char before_text[] =
    "{\"type\":\"ownhouse/"
    "desired\",\"v\":1,\"version\":1,\"domain\":\"a\",\"services\":[{\"id\":\"one\",\"name\":\"n\","
    "\"state\":\"running\",\"deleteData\":false,\"replicas\":1,\"users\":[{\"name\":\"u\",\"sha256\":\"00\"}],"
    "\"ipAccessList\":[\"10.0.0.0/8\"]}]}";

static enum operation_class worst(const char *path, json_t *value, size_t *ret_n)
{
    autojson json_t *before = json_loads(before_text, 0, NULL), *after = json_deep_copy(before), *changes = NULL;
    enum operation_class class;
    if (!strncmp(path, "services.", 9)) {
        json_t *service = json_array_get(json_object_get(after, "services"), 0);
        if (value)
            json_object_set_new(service, path + 9, value);
        else
            json_object_del(service, path + 9);
    } else if (value) {
        json_object_set_new(after, path, value);
    }
    fields_diff(before, after, &changes, &class);
    *ret_n = json_array_size(changes);
    return class;
}

static void test_classes(void **state)
{
    size_t n;
    assert_int_equal(worst("version", json_integer(2), &n), OPERATION_HARMLESS);
    assert_int_equal(n, 0);
    assert_int_equal(worst("services.name", json_string("other"), &n), OPERATION_HARMLESS);
    assert_int_equal(worst("services.replicas", json_integer(3), &n), OPERATION_HARMLESS);
    assert_int_equal(worst("services.settings", json_pack("{ss}", "max_threads", "4"), &n), OPERATION_HARMLESS);
    assert_int_equal(worst("services.state", json_string("stopped"), &n), OPERATION_HARMLESS);
    assert_int_equal(worst("services.state", json_string("deleted"), &n), OPERATION_DESTRUCTIVE);
    assert_int_equal(worst("services.deleteData", json_true(), &n), OPERATION_DESTRUCTIVE);
    assert_int_equal(worst("services.users", json_array(), &n), OPERATION_EXPOSING);
    assert_int_equal(worst("services.users", NULL, &n), OPERATION_EXPOSING);
    assert_int_equal(worst("services.ipAccessList", json_pack("[s]", "0.0.0.0/0"), &n), OPERATION_EXPOSING);
    assert_int_equal(n, 1);
    assert_int_equal(worst("domain", json_string("b"), &n), OPERATION_EXPOSING);
    /* What nobody has thought of needs a signature. */
    assert_int_equal(worst("services.backdoor", json_true(), &n), OPERATION_EXPOSING);
    assert_int_equal(worst("backdoor", json_true(), &n), OPERATION_EXPOSING);
}

static void test_services_come_and_go(void **state)
{
    autojson json_t *before = json_loads(before_text, 0, NULL),
                    *none = json_pack("{ss s[]}", "domain", "a", "services");
    enum operation_class class;
    json_t *changes = NULL;
    fields_diff(none, before, &changes, &class);
    assert_int_equal(class, OPERATION_EXPOSING);
    json_decref(changes);
    fields_diff(before, none, &changes, &class);
    assert_int_equal(class, OPERATION_DESTRUCTIVE);
    json_decref(changes);
    fields_diff(NULL, none, &changes, &class);
    assert_int_equal(class, OPERATION_EXPOSING);
    json_decref(changes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_classes), cmocka_unit_test(test_services_come_and_go)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
