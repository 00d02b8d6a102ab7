/* The difference between desired and observed, as the document that people approve. Pure. */
#include "plan/internal.h"

struct item {
    const char *key;
    const struct plan_node *node; /* NULL: remembered only */
    const struct plan_type *type;
    const json_t *record;
    json_t *have; /* masked, NULL = absent */
    char digest[65];
    json_t *want; /* resolved, in clear; NULL for what goes */
    enum plan_action action;
    json_t *why;
    const char *kept; /* a sentence, or NULL */
};

struct differ {
    const struct plan_context *c;
    const struct plan_graph *g;
    enum plan_kind kind;
    bool delete_data;
    const json_t *observed;
    json_t *records;
    struct item *items;
    size_t n;
    json_t *at; /* key -> position in items */
};

#define KEPT_DATA "it holds data, and deleting data was not asked for"
#define KEPT_BELOW "what is kept stands on it"

static struct item *item_find(const struct differ *d, const char *key)
{
    const json_t *at = json_object_get(d->at, key);
    return at ? &d->items[json_integer_value(at)] : NULL;
}

static int item_add(struct differ *d, const char *key, const struct plan_node *node, struct err *err)
{
    char type[PLAN_NAME_MAX + 1], name[PLAN_NAME_MAX + 1];
    struct item *it = &d->items[d->n];
    if (!plan_key_split(key, type, name) || !(it->type = plan_type_find(d->c->types, type)))
        return err_set(err, -EINVAL, "resource %s: there is no such resource type", key);
    it->key = key;
    it->node = node;
    it->record = json_object_get(d->records, key);
    json_object_set_new(d->at, key, json_integer((json_int_t)d->n));
    d->n++;
    int r = plan_attrs_mask(it->type, d->c->infrastructure, key, json_object_get(d->observed, key), &it->have, err);
    return r < 0 ? r : plan_attrs_digest(it->type, it->have, it->digest, err);
}

/* Everything in the graph in its order, then what is only remembered, by name. */
static int collect(struct differ *d, struct err *err)
{
    const char *key;
    size_t i;
    json_t *v;
    autojson json_t *extra = json_array();
    int r = 0;
    for (i = 0; i < d->g->n && r == 0; i++)
        r = item_add(d, d->g->nodes[i].key, &d->g->nodes[i], err);
    json_object_foreach(d->records, key, v)
    {
        if (!plan_graph_find(d->g, key))
            json_array_append_new(extra, json_string(key));
    }
    plan_keys_sort(extra);
    json_array_foreach(extra, i, v)
    {
        /* The key's text must outlive the sorted list: take it from the records. */
        void *at = json_object_iter_at(d->records, json_string_value(v));
        if (r == 0)
            r = item_add(d, json_object_iter_key(at), NULL, err);
    }
    return r;
}

static int lookup(const struct plan_ref *ref, void *data, const json_t **ret, struct err *err)
{
    const struct differ *d = data;
    const struct item *to = item_find(d, ref->key);
    const struct plan_attribute *a = plan_attribute_find(to->type, ref->attribute);
    *ret = NULL;
    if (!(a->flags & PLAN_COMPUTED))
        *ret = json_object_get(to->want, ref->attribute);
    else if (to->action == PLAN_NONE || to->action == PLAN_CHANGE)
        *ret = json_object_get(json_object_get(d->observed, ref->key), ref->attribute);
    if (*ret && (plan_is_unknown(*ret) || json_is_null(*ret)))
        *ret = NULL;
    return 0;
}

static int diff_item(struct differ *d, struct item *it, struct err *err)
{
    json_t *masked;
    int r = plan_refs_resolve(it->node->attributes, lookup, d, &it->want, err);
    if (r == 0)
        r = plan_attrs_mask(it->type, d->c->infrastructure, it->key, it->want, &masked, err);
    if (r < 0) {
        err_wrap(err, r, "resource %s", it->key);
        return r;
    }
    it->action = plan_attrs_diff(it->type, it->have, masked, it->record, &it->why);
    json_decref(masked);
    return 0;
}

static const json_t *item_depends(const struct item *it)
{
    return it->node ? it->node->depends_on : plan_record_depends(it->record);
}

static void keep(struct differ *d, struct item *it, const char *sentence)
{
    size_t i;
    json_t *v;
    if (it->action != PLAN_DESTROY || it->kept || !it->have)
        return;
    it->action = PLAN_NONE;
    it->kept = sentence;
    for (int twice = 0; twice < 2; twice++) {
        const json_t *below = twice ? plan_record_depends(it->record) : item_depends(it);
        json_array_foreach(below, i, v)
        {
            struct item *to = json_is_string(v) ? item_find(d, json_string_value(v)) : NULL;
            if (to)
                keep(d, to, KEPT_BELOW);
        }
    }
}

static int decide(struct differ *d, struct err *err)
{
    autofree size_t *order = mem_alloc((d->g->n + 1) * sizeof(*order));
    int r = plan_graph_order(d->g, order, err);
    for (size_t i = 0; i < d->g->n && r == 0 && d->kind == PLAN_APPLY; i++)
        r = diff_item(d, &d->items[order[i]], err);
    for (size_t i = 0; i < d->n; i++) {
        struct item *it = &d->items[i];
        if ((d->kind == PLAN_REMOVE || !it->node) && (it->have || it->record))
            it->action = PLAN_DESTROY;
    }
    for (size_t i = 0; i < d->n; i++)
        if (d->items[i].type->holds_data && !d->delete_data)
            keep(d, &d->items[i], KEPT_DATA);
    return r;
}

static bool destroys_data(const struct item *it)
{
    return it->type->holds_data && it->have && (it->action == PLAN_DESTROY || it->action == PLAN_REPLACE_BOTH);
}

static json_t *item_json(const struct item *it)
{
    json_t *v =
        json_pack("{s:s, s:s, s:b, s:o, s:o, s:o}", "resource", it->key, "action", plan_action_names[it->action],
                  "destroys_data", destroys_data(it), "observed", it->digest[0] ? json_string(it->digest) : json_null(),
                  "depends_on", item_depends(it) ? json_deep_copy(item_depends(it)) : json_array(), "why",
                  it->why ? json_incref(it->why) : json_array());
    if (it->kept)
        json_object_set_new(v, "kept", json_string(it->kept));
    return v;
}

static int document(const struct differ *d, json_t **ret, struct err *err)
{
    char desired[65], fingerprint[65];
    int64_t count[PLAN_DESTROY + 1] = {0};
    autojson json_t *changes = json_array(), *seen OH_CLEANUP(js_decrefp) = json_object();
    for (size_t i = 0; i < d->n; i++) {
        const struct item *it = &d->items[i];
        count[it->action]++;
        json_array_append_new(changes, item_json(it));
        json_object_set_new(seen, it->key, it->digest[0] ? json_string(it->digest) : json_null());
    }
    int r = js_digest(seen, fingerprint, err);
    if (r == 0)
        r = plan_graph_digest(d->g, d->c->types, d->c->infrastructure, desired, err);
    if (r < 0)
        return r;
    *ret = json_pack("{s:s, s:i, s:s, s:s, s:b, s:s, s:s, s:O, s:{s:I, s:I, s:I, s:I, s:I}, s:O}", "type",
                     "ownhouse/plan", "v", 1, "infrastructure", d->c->infrastructure, "kind",
                     d->kind == PLAN_APPLY ? "apply" : "destroy", "delete_data", d->delete_data, "desired", desired,
                     "state", fingerprint, "notes", d->g->notes, "summary", "create", count[PLAN_CREATE], "change",
                     count[PLAN_CHANGE], "replace", count[PLAN_REPLACE_BOTH], "destroy", count[PLAN_DESTROY], "none",
                     count[PLAN_NONE], "changes", changes);
    return 0;
}

int plan_diff(const struct plan_context *c, const struct plan_graph *g, enum plan_kind kind, bool delete_data,
              const json_t *observed, const json_t *records, json_t **ret, struct err *err)
{
    struct differ d = {.c = c, .g = g, .kind = kind, .delete_data = delete_data, .observed = observed};
    int r = plan_graph_check(g, c->types, err);
    if (r == 0)
        r = plan_records(c, records, &d.records, err);
    if (r < 0)
        return r;
    d.at = json_object();
    d.items = mem_alloc((g->n + json_object_size(d.records) + 1) * sizeof(*d.items));
    r = collect(&d, err);
    if (r == 0)
        r = decide(&d, err);
    if (r == 0)
        r = document(&d, ret, err);
    for (size_t i = 0; i <= d.n; i++) {
        json_decref(d.items[i].have);
        json_decref(d.items[i].want);
        json_decref(d.items[i].why);
    }
    free(d.items);
    json_decref(d.at);
    json_decref(d.records);
    return r;
}

static void count(json_t *summary, const char *name, int64_t by)
{
    json_object_set_new(summary, name, json_integer(json_integer_value(json_object_get(summary, name)) + by));
}

bool plan_hold(json_t *doc, const char *key, const char *sentence)
{
    size_t i;
    json_t *v, *summary = json_object_get(doc, "summary");
    json_array_foreach(json_object_get(doc, "changes"), i, v)
    {
        const char *resource = json_string_value(json_object_get(v, "resource"));
        const char *action = json_string_value(json_object_get(v, "action"));
        if (!resource || !action || strcmp(resource, key) || !strcmp(action, "none"))
            continue;
        count(summary, action, -1);
        count(summary, "none", 1);
        json_object_set_new(v, "action", json_string("none"));
        json_object_set_new(v, "destroys_data", json_false());
        json_object_set_new(v, "kept", json_string(sentence));
        return true;
    }
    return false;
}

int plan_digest(const json_t *doc, char ret[65], struct err *err)
{
    return js_digest(doc, ret, err);
}

bool plan_is_empty(const json_t *doc)
{
    size_t i;
    json_t *v;
    json_array_foreach(json_object_get(doc, "changes"), i, v)
    {
        const char *action = json_string_value(json_object_get(v, "action"));
        if (!action || strcmp(action, "none"))
            return false;
    }
    return true;
}
