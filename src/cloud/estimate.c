/* Sums prices and adds up waits over a plan's changes. */
#include "cloud/estimate.h"

#include "base/mem.h"
#include "cloud/aws/policy.h"

#define MICROS_A_CENT 10000

struct sums {
    const char *region;
    const struct plan_graph *g;
    bool aws;
    int64_t before, after; /* micros */
    json_t *items, *unknown, *usage;
};

static json_t *cents(int64_t micros)
{
    return json_integer((micros + MICROS_A_CENT / 2) / MICROS_A_CENT);
}

static void type_of(const char *key, char ret[PLAN_NAME_MAX + 1])
{
    snprintf(ret, PLAN_NAME_MAX + 1, "%.*s", (int)MIN(strcspn(key, "."), (size_t)PLAN_NAME_MAX), key);
}

/* The attributes before the change: as desired, but for what the change is about. */
static json_t *attributes_before(const json_t *attributes, const json_t *change)
{
    json_t *v = json_copy((json_t *)(uintptr_t)attributes), *why;
    size_t i;
    json_array_foreach(json_object_get(change, "why"), i, why)
    {
        json_t *before = json_object_get(why, "before");
        if (before && !json_is_null(before))
            json_object_set(v, js_text_at(why, "attribute"), before);
    }
    return v;
}

static struct cloud_price price(const struct sums *s, const char *key, const json_t *attributes)
{
    char type[PLAN_NAME_MAX + 1];
    type_of(key, type);
    return s->aws ? aws_price(s->region, type, attributes) : (struct cloud_price){CLOUD_FREE, 0, NULL};
}

static void add_change(struct sums *s, const json_t *change)
{
    const char *key = js_text_at(change, "resource"), *action = js_text_at(change, "action");
    const json_t *wanted = plan_graph_attributes(s->g, key);
    autojson json_t *was = wanted ? attributes_before(wanted, change) : NULL;
    bool there = json_is_string(json_object_get(change, "observed"));
    bool stays = strcmp(action, "destroy") && (there || strcmp(action, "none"));
    if (!there && !stays)
        return;
    struct cloud_price before = price(s, key, was), after = price(s, key, wanted);
    if (before.charge == CLOUD_UNKNOWN || after.charge == CLOUD_UNKNOWN) {
        json_array_append_new(s->unknown, json_pack("{s:s, s:s}", "resource", key, "why",
                                                    after.charge == CLOUD_UNKNOWN ? after.why : before.why));
        return;
    }
    if (after.charge == CLOUD_BY_USE)
        json_array_append_new(s->usage, json_string(key));
    int64_t old = there ? before.micros : 0, new = stays ? after.micros : 0;
    s->before += old;
    s->after += new;
    if (old || new)
        json_array_append_new(s->items,
                              json_pack("{s:s, s:o, s:o}", "resource", key, "before", cents(old), "after", cents(new)));
}

static json_t *cost(const char *region, bool aws, const struct plan_graph *g, const json_t *changes)
{
    struct sums s = {region, g, aws, 0, 0, json_array(), json_array(), json_array()};
    json_t *notes = json_array(), *change;
    size_t i;
    json_array_foreach(changes, i, change) add_change(&s, change);
    if (aws) {
        json_array_append_new(notes,
                              json_string("List prices for a month of 730 hours. Traffic, requests, storage in "
                                          "buckets, logs, load balancers and the nodes of services come on top."));
        json_array_append_new(notes, json_string("Node groups count at their smallest size. A Kubernetes version past "
                                                 "its standard support costs more than the cluster's price here."));
    } else {
        json_array_append_new(notes, json_string("It runs on this machine: no cloud charges for it."));
    }
    return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "currency", "USD", "before", cents(s.before), "after",
                     cents(s.after), "items", s.items, "unknown", s.unknown, "usage", s.usage, "notes", notes, "table",
                     aws ? aws_price_table(region) : json_null());
}

/* --- time --- */

struct path {
    const json_t *changes;
    json_t *place; /* key -> index */
    struct cloud_duration *total;
    bool *known;
};

/* The longest chain that ends with change i; the graph was checked, so it has no circles, and what is remembered of
 * vanished resources is cut by marking a place before it is filled. */
static struct cloud_duration chain(struct path *p, size_t i)
{
    const json_t *change = json_array_get(p->changes, i), *below;
    const char *action = js_text_at(change, "action");
    char type[PLAN_NAME_MAX + 1];
    size_t k;
    if (p->known[i])
        return p->total[i];
    p->known[i] = true;
    type_of(js_text_at(change, "resource"), type);
    struct cloud_duration longest = {0, 0}, own = {0, 0};
    json_array_foreach(json_object_get(change, "depends_on"), k, below)
    {
        const json_t *at = json_object_get(p->place, json_string_value(below) ? json_string_value(below) : "");
        struct cloud_duration d = at ? chain(p, (size_t)json_integer_value(at)) : own;
        longest.low = MAX(longest.low, d.low);
        longest.high = MAX(longest.high, d.high);
    }
    if (strcmp(action, "none"))
        own = aws_duration(type, action);
    p->total[i] = (struct cloud_duration){longest.low + own.low, longest.high + own.high};
    return p->total[i];
}

static json_t *seconds(const json_t *changes)
{
    size_t n = json_array_size(changes);
    autojson json_t *place = json_object();
    autofree struct cloud_duration *total = mem_alloc((n + 1) * sizeof(*total));
    autofree bool *known = mem_alloc((n + 1) * sizeof(*known));
    struct path p = {changes, place, total, known};
    struct cloud_duration longest = {0, 0};
    for (size_t i = 0; i < n; i++)
        json_object_set_new(place, js_text_at(json_array_get(changes, i), "resource"), json_integer((json_int_t)i));
    for (size_t i = 0; i < n; i++) {
        struct cloud_duration d = chain(&p, i);
        longest.low = MAX(longest.low, d.low);
        longest.high = MAX(longest.high, d.high);
    }
    return json_pack("{s:i, s:i}", "low", longest.low, "high", longest.high);
}

json_t *cloud_estimate(const char *provider, const char *region, const struct plan_graph *g, const json_t *document)
{
    const json_t *changes = json_object_get(document, "changes");
    bool aws = !strcmp(provider, "aws");
    return json_pack("{s:o, s:o, s:o}", "seconds", seconds(changes), "cost", cost(region, aws, g, changes), "actions",
                     aws_plan_roles(document));
}
