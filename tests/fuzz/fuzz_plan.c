/* The plan engine's pure half on arbitrary graphs, observations and records: references, cycles, differences, digests.
 */
#include "plan/plan.h"

#include "base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int no_observe(const struct plan_call *c, json_t **ret, struct err *err)
{
    (void)c;
    (void)err;
    *ret = NULL;
    return 0;
}

static int no_change(const struct plan_call *c, const json_t *have, const json_t *want, json_t **ret, struct err *err)
{
    (void)c;
    (void)have;
    (void)want;
    (void)ret;
    return err_set(err, -ENOSYS, "never called");
}

static const struct plan_attribute attributes[] = {
    {"a", 0}, {"b", PLAN_REPLACE}, {"s", PLAN_SECRET}, {"c", PLAN_COMPUTED}, {"v", PLAN_COMPUTED | PLAN_VOLATILE},
    {NULL, 0}};
static const struct plan_type soft = {
    .name = "t", .attributes = attributes, .observe = no_observe, .change = no_change};
static const struct plan_type data_type = {
    .name = "d", .attributes = attributes, .holds_data = true, .observe = no_observe};
static const struct plan_type *const types[] = {&soft, &data_type, NULL};

static const char *text(const json_t *v, const char *key)
{
    const char *s = json_string_value(json_object_get(v, key));
    return s ? s : "";
}

static void build(struct plan_graph *g, const json_t *resources)
{
    size_t i;
    json_t *v;
    json_array_foreach(resources, i, v)
    {
        const char *after[2] = {*text(v, "after") ? text(v, "after") : NULL, NULL};
        json_t *attrs = json_deep_copy(json_object_get(v, "attributes"));
        (void)!plan_graph_add(g, text(v, "type"), text(v, "name"), attrs ? attrs : json_object(), after, NULL);
    }
}

static void check(const struct plan_context *c, const struct plan_graph *g, const json_t *v, enum plan_kind kind)
{
    struct err err = ERR_INIT;
    char one[65], two[65];
    autojson json_t *doc = NULL, *again OH_CLEANUP(js_decrefp) = NULL;
    bool delete_data = json_is_true(json_object_get(v, "deleteData"));
    const json_t *observed = json_object_get(v, "observed"), *records = json_object_get(v, "records");
    if (plan_diff(c, g, kind, delete_data, observed, records, &doc, &err) < 0) {
        if (!err.message[0])
            abort(); /* every refusal says why */
        return;
    }
    if (plan_diff(c, g, kind, delete_data, observed, records, &again, NULL) < 0)
        abort();
    if (plan_digest(doc, one, NULL) == 0 && (plan_digest(again, two, NULL) < 0 || strcmp(one, two)))
        abort(); /* same input, same output */
    (void)plan_is_empty(doc);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    autojson json_t *v = NULL;
    autograph struct plan_graph *g = plan_graph_new();
    struct plan_context c = {.infrastructure = "fuzz", .types = types, .clock = &clock_system};
    if (js_parse((const char *)data, size, KIB(64), &v, NULL) < 0)
        return 0;
    build(g, json_object_get(v, "resources"));
    check(&c, g, v, PLAN_APPLY);
    check(&c, g, v, PLAN_REMOVE);
    return 0;
}
