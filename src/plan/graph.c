/* The desired graph: resources, what they depend on, and the check that it can be made at all. */
#include "plan/internal.h"

const char *const plan_action_names[] = {"none", "create", "change", "replace", "destroy"};
const char *const plan_phase_names[] = {"", "begin", "done", "failed"};

bool plan_name_valid(const char *name)
{
    size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-");
    return len > 0 && len <= PLAN_NAME_MAX && !name[len] && *name >= 'a' && *name <= 'z';
}

bool plan_key_split(const char *key, char *type, char *name)
{
    const char *dot = strchr(key, '.');
    if (!dot || dot - key > PLAN_NAME_MAX || strlen(dot + 1) > PLAN_NAME_MAX)
        return false;
    memcpy(type, key, (size_t)(dot - key));
    type[dot - key] = 0;
    strcpy(name, dot + 1);
    return plan_name_valid(type) && plan_name_valid(name);
}

struct plan_graph *plan_graph_new(void)
{
    struct plan_graph *g = mem_alloc(sizeof(*g));
    g->index = json_object();
    g->notes = json_array();
    return g;
}

void plan_graph_free(struct plan_graph *g)
{
    if (!g)
        return;
    for (size_t i = 0; i < g->n; i++) {
        free(g->nodes[i].type);
        free(g->nodes[i].name);
        json_decref(g->nodes[i].attributes);
        json_decref(g->nodes[i].depends_on);
    }
    free(g->nodes);
    json_decref(g->index);
    json_decref(g->notes);
    free(g);
}

const struct plan_node *plan_graph_find(const struct plan_graph *g, const char *key)
{
    const json_t *at = json_object_get(g->index, key);
    return at ? &g->nodes[json_integer_value(at)] : NULL;
}

/* So that a "${" that came from the world is no reference. */
static json_t *literal(const json_t *v)
{
    const char *key;
    size_t i;
    json_t *item;
    if (json_is_string(v)) {
        autobuf struct buf out = BUF_INIT;
        for (const char *p = json_string_value(v); *p; p++)
            buf_printf(&out, "%s%c", !strncmp(p, "${", 2) ? "$" : "", *p);
        return json_string(out.data ? out.data : "");
    }
    if (!json_is_object(v) && !json_is_array(v))
        return json_deep_copy(v);
    json_t *copy = json_is_object(v) ? json_object() : json_array();
    if (json_is_object(v)) {
        json_object_foreach((json_t *)(uintptr_t)v, key, item) json_object_set_new(copy, key, literal(item));
    } else {
        json_array_foreach(v, i, item) json_array_append_new(copy, literal(item));
    }
    return copy;
}

int plan_graph_set(struct plan_graph *g, const char *key, const char *attribute, const json_t *value, struct err *err)
{
    const struct plan_node *node = plan_graph_find(g, key);
    if (!node)
        return err_set(err, -ENOENT, "resource %s is not in the graph", key);
    if (value)
        json_object_set_new(node->attributes, attribute, literal(value));
    else
        json_object_del(node->attributes, attribute);
    return 0;
}

int plan_graph_drop(struct plan_graph *g, const char *key, struct err *err)
{
    const struct plan_node *node = plan_graph_find(g, key);
    if (!node)
        return err_set(err, -ENOENT, "resource %s is not in the graph", key);
    for (size_t i = 0; i < g->n; i++)
        if (plan_keys_has(g->nodes[i].depends_on, key))
            return err_set(err, -EBUSY, "resource %s stands on %s", g->nodes[i].key, key);
    size_t at = (size_t)(node - g->nodes);
    free(g->nodes[at].type);
    free(g->nodes[at].name);
    json_decref(g->nodes[at].attributes);
    json_decref(g->nodes[at].depends_on);
    g->n--;
    memmove(&g->nodes[at], &g->nodes[at + 1], (g->n - at) * sizeof(*g->nodes));
    json_object_clear(g->index);
    for (size_t i = 0; i < g->n; i++)
        json_object_set_new(g->index, g->nodes[i].key, json_integer((json_int_t)i));
    return 0;
}

const json_t *plan_graph_attributes(const struct plan_graph *g, const char *key)
{
    const struct plan_node *node = plan_graph_find(g, key);
    return node ? node->attributes : NULL;
}

const json_t *plan_graph_at(const struct plan_graph *g, size_t place, const char **ret_key)
{
    if (place >= g->n)
        return NULL;
    *ret_key = g->nodes[place].key;
    return g->nodes[place].attributes;
}

const struct plan_type *plan_type_find(const struct plan_type *const *types, const char *name)
{
    for (; *types; types++)
        if (!strcmp((*types)->name, name))
            return *types;
    return NULL;
}

bool plan_keys_has(const json_t *array, const char *key)
{
    size_t i;
    json_t *v;
    json_array_foreach(array, i, v)
    {
        if (json_is_string(v) && !strcmp(json_string_value(v), key))
            return true;
    }
    return false;
}

void plan_keys_add(json_t *array, const char *key)
{
    if (!plan_keys_has(array, key))
        json_array_append_new(array, json_string(key));
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

void plan_keys_sort(json_t *array)
{
    size_t n = json_array_size(array);
    if (n < 2)
        return;
    autofree char **texts = mem_alloc(n * sizeof(*texts));
    for (size_t i = 0; i < n; i++)
        texts[i] = mem_strdup(json_string_value(json_array_get(array, i)));
    qsort(texts, n, sizeof(*texts), by_text);
    json_array_clear(array);
    for (size_t i = 0; i < n; i++) {
        json_array_append_new(array, json_string(texts[i]));
        free(texts[i]);
    }
}

static int add_dependency(const struct plan_ref *r, void *data, struct err *err OH_UNUSED)
{
    plan_keys_add(data, r->key);
    return 0;
}

/* All dependencies of a resource: named ones and those by reference. */
static int dependencies(const char *key, const json_t *attributes, const char *const *depends_on, json_t **ret,
                        struct err *err)
{
    char type[PLAN_NAME_MAX + 1], name[PLAN_NAME_MAX + 1];
    autojson json_t *keys = json_array();
    for (; depends_on && *depends_on; depends_on++) {
        if (!plan_key_split(*depends_on, type, name))
            return err_set(err, -EINVAL, "resource %s depends on \"%s\", which is not a key \"type.name\"", key,
                           *depends_on);
        plan_keys_add(keys, *depends_on);
    }
    int r = plan_refs_each(attributes, add_dependency, keys, err);
    if (r < 0) {
        err_wrap(err, r, "resource %s", key);
        return r;
    }
    plan_keys_sort(keys);
    *ret = TAKE_PTR(keys);
    return 0;
}

int plan_graph_add(struct plan_graph *g, const char *type, const char *name, json_t *attributes,
                   const char *const *depends_on, struct err *err)
{
    autojson json_t *attrs = attributes;
    json_t *depends = NULL;
    char key[PLAN_KEY_SIZE];
    if (!plan_name_valid(type) || !plan_name_valid(name))
        return err_set(err, -EINVAL,
                       "resource \"%.80s.%.80s\": type and name must be [a-z][a-z0-9_-]*, at most %d bytes", type, name,
                       PLAN_NAME_MAX);
    snprintf(key, sizeof(key), "%s.%s", type, name);
    if (!json_is_object(attrs))
        return err_set(err, -EINVAL, "resource %s: attributes must be an object", key);
    if (plan_graph_find(g, key))
        return err_set(err, -EEXIST, "resource %s is in the graph twice", key);
    if (g->n >= PLAN_RESOURCES_MAX)
        return err_set(err, -E2BIG, "a graph holds at most %d resources", PLAN_RESOURCES_MAX);
    int r = dependencies(key, attrs, depends_on, &depends, err);
    if (r < 0)
        return r;
    if (g->n == g->cap) {
        g->cap = g->cap ? 2 * g->cap : 16;
        g->nodes = mem_realloc(g->nodes, g->cap * sizeof(*g->nodes));
    }
    struct plan_node *n = &g->nodes[g->n];
    strcpy(n->key, key);
    n->type = mem_strdup(type);
    n->name = mem_strdup(name);
    n->attributes = TAKE_PTR(attrs);
    n->depends_on = depends;
    json_object_set_new(g->index, key, json_integer((json_int_t)g->n));
    g->n++;
    return 0;
}

void plan_graph_note(struct plan_graph *g, const char *sentence)
{
    json_array_append_new(g->notes, json_string(sentence));
}

/* --- order and cycles --- */

struct walk {
    const struct plan_graph *g;
    char *colour; /* 0 new, 1 on the path, 2 finished */
    size_t *path, depth;
    size_t *order, n_order;
};

static int cycle_error(const struct walk *w, size_t at, struct err *err)
{
    size_t from = 0;
    autobuf struct buf text = BUF_INIT_MAX(400);
    while (w->path[from] != at)
        from++;
    for (size_t i = from; i < w->depth; i++)
        buf_printf(&text, "%s -> ", w->g->nodes[w->path[i]].key);
    return err_set(err, -ELOOP, "resources depend on each other in a circle: %s%s", text.data ? text.data : "",
                   w->g->nodes[at].key);
}

static int visit(struct walk *w, size_t at, struct err *err)
{
    size_t i;
    json_t *key;
    int r = 0;
    if (w->colour[at] == 2)
        return 0;
    if (w->colour[at] == 1)
        return cycle_error(w, at, err);
    w->colour[at] = 1;
    w->path[w->depth++] = at;
    json_array_foreach(w->g->nodes[at].depends_on, i, key)
    {
        const json_t *to = json_object_get(w->g->index, json_string_value(key));
        if (to && (r = visit(w, (size_t)json_integer_value(to), err)) < 0)
            return r;
    }
    w->depth--;
    w->colour[at] = 2;
    w->order[w->n_order++] = at;
    return 0;
}

int plan_graph_order(const struct plan_graph *g, size_t *ret, struct err *err)
{
    autofree char *colour = mem_alloc(g->n + 1);
    autofree size_t *path = mem_alloc((g->n + 1) * sizeof(*path));
    struct walk w = {.g = g, .colour = colour, .path = path, .order = ret};
    for (size_t i = 0; i < g->n; i++) {
        int r = visit(&w, i, err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* --- check --- */

struct ref_check {
    const struct plan_graph *g;
    const struct plan_type *const *types;
    const struct plan_node *node;
    const char *attribute;
    bool secret;
};

static int check_ref(const struct plan_ref *r, void *data, struct err *err)
{
    const struct ref_check *c = data;
    const struct plan_node *to = plan_graph_find(c->g, r->key);
    if (!to)
        return err_set(err, -EINVAL, "resource %s: attribute %s refers to %s, which is not in the graph", c->node->key,
                       c->attribute, r->key);
    const struct plan_type *t = plan_type_find(c->types, to->type);
    const struct plan_attribute *a = t ? plan_attribute_find(t, r->attribute) : NULL;
    if (!a)
        return err_set(err, -EINVAL, "resource %s: attribute %s refers to %s.%s, but the type %s has no such attribute",
                       c->node->key, c->attribute, r->key, r->attribute, to->type);
    if ((a->flags & PLAN_SECRET) && !c->secret)
        return err_set(err, -EINVAL, "resource %s: attribute %s refers to the secret %s.%s but is not secret itself",
                       c->node->key, c->attribute, r->key, r->attribute);
    if (!(a->flags & PLAN_COMPUTED) && !json_object_get(to->attributes, r->attribute))
        return err_set(err, -EINVAL, "resource %s: attribute %s refers to %s.%s, which is not set", c->node->key,
                       c->attribute, r->key, r->attribute);
    return 0;
}

static int check_node(const struct plan_graph *g, const struct plan_type *const *types, const struct plan_node *n,
                      struct err *err)
{
    const struct plan_type *t = plan_type_find(types, n->type);
    const char *name;
    size_t i;
    json_t *v;
    if (!t)
        return err_set(err, -EINVAL, "resource %s: there is no resource type \"%s\"", n->key, n->type);
    json_object_foreach(n->attributes, name, v)
    {
        const struct plan_attribute *a = plan_attribute_find(t, name);
        if (!a)
            return err_set(err, -EINVAL, "resource %s: the type %s has no attribute \"%s\"", n->key, n->type, name);
        if (a->flags & PLAN_COMPUTED)
            return err_set(err, -EINVAL, "resource %s: attribute %s is computed and cannot be set", n->key, name);
        struct ref_check c = {g, types, n, name, a->flags & PLAN_SECRET};
        int r = plan_refs_each(v, check_ref, &c, err);
        if (r < 0)
            return r;
    }
    json_array_foreach(n->depends_on, i, v)
    {
        if (!plan_graph_find(g, json_string_value(v)))
            return err_set(err, -EINVAL, "resource %s depends on %s, which is not in the graph", n->key,
                           json_string_value(v));
    }
    return 0;
}

int plan_graph_check(const struct plan_graph *g, const struct plan_type *const *types, struct err *err)
{
    autofree size_t *order = mem_alloc((g->n + 1) * sizeof(*order));
    for (size_t i = 0; i < g->n; i++) {
        int r = check_node(g, types, &g->nodes[i], err);
        if (r < 0)
            return r;
    }
    return plan_graph_order(g, order, err);
}

int plan_graph_digest(const struct plan_graph *g, const struct plan_type *const *types, const char *infrastructure,
                      char ret[65], struct err *err)
{
    autojson json_t *all = json_array();
    for (size_t i = 0; i < g->n; i++) {
        const struct plan_node *n = &g->nodes[i];
        json_t *masked;
        int r = plan_attrs_mask(plan_type_find(types, n->type), infrastructure, n->key, n->attributes, &masked, err);
        if (r < 0)
            return r;
        json_array_append_new(
            all, json_pack("{s:s, s:o, s:O}", "resource", n->key, "attributes", masked, "depends_on", n->depends_on));
    }
    autojson json_t *whole =
        json_pack("{s:s, s:O, s:O}", "infrastructure", infrastructure, "resources", all, "notes", g->notes);
    return js_digest(whole, ret, err);
}
