/* Compiles JSON schemas; a keyword that is not checked is not accepted. */
#include "base/mem.h"
#include "control/api/schema_internal.h"

#define REF_PREFIX "#/components/schemas/"

struct named {
    const char *name;
    struct schema *schema;
};

struct schema_set {
    struct arena *arena;
    const json_t *components;
    struct named *named;
    size_t n_named;
    regex_t **patterns;
    size_t n_patterns;
};

struct compile {
    struct schema_set *set;
    struct schema *out;
    const char *where;
    struct err *err;
};

static int complain(struct compile *c, const char *keyword, const char *rule)
{
    return err_set(c->err, -EINVAL, "%s: %s: %s", c->where, keyword, rule);
}

static int add_type(struct compile *c, const json_t *v)
{
    static const char *const names[] = {"string", "number", "integer", "boolean", "object", "array", "null"};
    const char *name = json_string_value(v);
    for (size_t i = 0; name && i < ARRAY_SIZE(names); i++)
        if (!strcmp(names[i], name)) {
            c->out->types |= 1u << i;
            return 0;
        }
    return complain(c, "type", "is unknown");
}

static int set_type(struct compile *c, const json_t *v)
{
    const json_t *one;
    size_t i;
    if (!json_is_array(v))
        return add_type(c, v);
    json_array_foreach(v, i, one)
    {
        int r = add_type(c, one);
        if (r < 0)
            return r;
    }
    return 0;
}

static int set_enum(struct compile *c, const json_t *v)
{
    if (!json_is_array(v) || !json_array_size(v))
        return complain(c, "enum", "must be a list");
    c->out->enumeration = v;
    return 0;
}

static int set_format(struct compile *c, const json_t *v)
{
    const char *name = json_string_value(v);
    for (const struct schema_format *f = schema_formats; name && f->name; f++)
        if (!strcmp(f->name, name)) {
            c->out->format = f;
            return 0;
        }
    return complain(c, "format", "is unknown");
}

static int set_number(struct compile *c, const json_t *v, double *into, const char *keyword)
{
    if (!json_is_number(v))
        return complain(c, keyword, "must be a number");
    *into = json_number_value(v);
    return 0;
}

static int set_minimum(struct compile *c, const json_t *v)
{
    c->out->has_minimum = true;
    return set_number(c, v, &c->out->minimum, "minimum");
}

static int set_maximum(struct compile *c, const json_t *v)
{
    c->out->has_maximum = true;
    return set_number(c, v, &c->out->maximum, "maximum");
}

static int set_multiple(struct compile *c, const json_t *v)
{
    return set_number(c, v, &c->out->multiple_of, "multipleOf");
}

static int set_size(struct compile *c, const json_t *v, size_t *into, const char *keyword)
{
    if (!json_is_integer(v) || json_integer_value(v) < 0)
        return complain(c, keyword, "must be a whole number");
    *into = (size_t)json_integer_value(v);
    return 0;
}

static int set_min_length(struct compile *c, const json_t *v)
{
    return set_size(c, v, &c->out->min_length, "minLength");
}

static int set_max_length(struct compile *c, const json_t *v)
{
    return set_size(c, v, &c->out->max_length, "maxLength");
}

static int set_min_items(struct compile *c, const json_t *v)
{
    return set_size(c, v, &c->out->min_items, "minItems");
}

static int set_max_items(struct compile *c, const json_t *v)
{
    return set_size(c, v, &c->out->max_items, "maxItems");
}

static int set_pattern(struct compile *c, const json_t *v)
{
    struct schema_set *set = c->set;
    const char *text = json_string_value(v);
    regex_t *re = mem_alloc(sizeof(*re));
    if (!text || regcomp(re, text, REG_EXTENDED | REG_NOSUB) != 0) {
        free(re);
        return complain(c, "pattern", "is not a POSIX extended regular expression");
    }
    set->patterns = mem_realloc(set->patterns, (set->n_patterns + 1) * sizeof(*set->patterns));
    set->patterns[set->n_patterns++] = re;
    c->out->pattern = re;
    return 0;
}

static int set_rule(struct compile *c, const json_t *v)
{
    c->out->rule = json_string_value(v);
    return c->out->rule ? 0 : complain(c, "x-rule", "must be a string");
}

static int set_properties(struct compile *c, const json_t *v)
{
    struct schema *out = c->out;
    const char *name;
    json_t *node;
    if (!json_is_object(v))
        return complain(c, "properties", "must be an object");
    out->has_properties = true;
    out->properties = arena_alloc(c->set->arena, (json_object_size(v) + 1) * sizeof(*out->properties));
    json_object_foreach((json_t *)(uintptr_t)v, name, node)
    {
        struct schema_property *p = &out->properties[out->n_properties++];
        const char *where = arena_printf(c->set->arena, "%s.%s", c->where, name);
        p->name = name;
        int r = schema_compile(c->set, node, where, &p->schema, c->err);
        if (r < 0)
            return r;
    }
    return 0;
}

static struct schema_property *property(struct schema *s, const char *name)
{
    for (size_t i = 0; name && i < s->n_properties; i++)
        if (!strcmp(s->properties[i].name, name))
            return &s->properties[i];
    return NULL;
}

static int set_required(struct compile *c, const json_t *v)
{
    const json_t *one;
    size_t i;
    json_array_foreach(v, i, one)
    {
        struct schema_property *p = property(c->out, json_string_value(one));
        if (!p)
            return complain(c, "required", "names a property that is not there");
        p->required = true;
    }
    return 0;
}

static int set_additional(struct compile *c, const json_t *v)
{
    if (!json_is_boolean(v))
        return complain(c, "additionalProperties", "must be true or false");
    c->out->additional = json_is_true(v);
    return 0;
}

static int set_items(struct compile *c, const json_t *v)
{
    return schema_compile(c->set, v, arena_printf(c->set->arena, "%s[]", c->where), &c->out->items, c->err);
}

static int set_one_of(struct compile *c, const json_t *v)
{
    const json_t *one;
    size_t i;
    c->out->one_of = arena_alloc(c->set->arena, (json_array_size(v) + 1) * sizeof(*c->out->one_of));
    json_array_foreach(v, i, one)
    {
        int r = schema_compile(c->set, one, c->where, &c->out->one_of[c->out->n_one_of++], c->err);
        if (r < 0)
            return r;
    }
    return c->out->n_one_of ? 0 : complain(c, "oneOf", "must be a list");
}

static int set_by(struct compile *c, const json_t *v)
{
    c->out->by = json_string_value(v);
    return c->out->by && c->out->n_one_of ? 0 : complain(c, "x-by", "must name a property of the forms of a oneOf");
}

/* A list of lists of names of properties. */
static int set_groups(struct compile *c, const json_t *v, const json_t **into, const char *keyword)
{
    const json_t *group, *name;
    size_t i, j;
    if (!json_is_array(v))
        return complain(c, keyword, "must be a list of lists");
    json_array_foreach(v, i, group)
    {
        if (!json_is_array(group))
            return complain(c, keyword, "must be a list of lists");
        json_array_foreach(group, j, name)
        {
            if (!property(c->out, json_string_value(name)))
                return complain(c, keyword, "names a property that is not there");
        }
    }
    *into = v;
    return 0;
}

static int set_exclusive(struct compile *c, const json_t *v)
{
    return set_groups(c, v, &c->out->exclusive, "x-exclusive");
}

static int set_together(struct compile *c, const json_t *v)
{
    return set_groups(c, v, &c->out->together, "x-together");
}

static int set_ordered(struct compile *c, const json_t *v)
{
    const json_t *pair;
    size_t i;
    json_array_foreach(v, i, pair)
    {
        if (json_array_size(pair) != 2)
            return complain(c, "x-ordered", "must be a list of pairs");
    }
    return set_groups(c, v, &c->out->ordered, "x-ordered");
}

static int set_ref(struct compile *c, const json_t *v)
{
    const char *name = json_string_value(v);
    if (name && !strncmp(name, REF_PREFIX, strlen(REF_PREFIX)))
        for (size_t i = 0; i < c->set->n_named; i++)
            if (!strcmp(c->set->named[i].name, name + strlen(REF_PREFIX))) {
                c->out->target = c->set->named[i].schema;
                return 0;
            }
    return complain(c, "$ref", "leads nowhere");
}

static int set_nothing(struct compile *c, const json_t *v)
{
    return 0;
}

/* In this order: what names properties comes after them. */
static const struct {
    const char *name;
    int (*set)(struct compile *c, const json_t *v);
} keywords[] = {
    {"$ref", set_ref},
    {"type", set_type},
    {"enum", set_enum},
    {"format", set_format},
    {"minimum", set_minimum},
    {"maximum", set_maximum},
    {"multipleOf", set_multiple},
    {"minLength", set_min_length},
    {"maxLength", set_max_length},
    {"minItems", set_min_items},
    {"maxItems", set_max_items},
    {"pattern", set_pattern},
    {"x-rule", set_rule},
    {"properties", set_properties},
    {"additionalProperties", set_additional},
    {"items", set_items},
    {"oneOf", set_one_of},
    {"x-by", set_by},
    {"required", set_required},
    {"x-exclusive", set_exclusive},
    {"x-together", set_together},
    {"x-ordered", set_ordered},
    {"title", set_nothing},
    {"description", set_nothing},
    {"deprecated", set_nothing},
    {"example", set_nothing},
};

static int refuse_unknown_keywords(struct compile *c, const json_t *node)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)node, key, value)
    {
        size_t i = 0;
        while (i < ARRAY_SIZE(keywords) && strcmp(keywords[i].name, key))
            i++;
        if (i == ARRAY_SIZE(keywords))
            return complain(c, key, "is a keyword that the server does not check");
    }
    return 0;
}

static int fill(struct schema_set *set, struct schema *out, const json_t *node, const char *where, struct err *err)
{
    struct compile c = {set, out, where, err};
    *out = (struct schema){.max_length = SIZE_MAX, .max_items = SIZE_MAX};
    if (!json_is_object(node))
        return complain(&c, "schema", "must be an object");
    int r = refuse_unknown_keywords(&c, node);
    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(keywords); i++) {
        const json_t *v = json_object_get(node, keywords[i].name);
        if (v)
            r = keywords[i].set(&c, v);
    }
    return r;
}

int schema_compile(struct schema_set *set, const json_t *node, const char *where, const struct schema **ret,
                   struct err *err)
{
    struct schema *out = arena_alloc(set->arena, sizeof(*out));
    int r = fill(set, out, node, where, err);
    if (r == 0)
        *ret = out;
    return r;
}

int schema_set_new(const json_t *document, struct schema_set **ret, struct err *err)
{
    json_t *all = json_object_get(json_object_get(document, "components"), "schemas"), *node;
    struct schema_set *set = mem_alloc(sizeof(*set));
    const char *name;
    int r = 0;
    set->arena = arena_new();
    set->named = arena_alloc(set->arena, (json_object_size(all) + 1) * sizeof(*set->named));
    /* Places first: schemas refer to one another in any order. */
    json_object_foreach(all, name, node) set->named[set->n_named++] =
        (struct named){name, arena_alloc(set->arena, sizeof(struct schema))};
    for (size_t i = 0; r == 0 && i < set->n_named; i++)
        r = fill(set, set->named[i].schema, json_object_get(all, set->named[i].name), set->named[i].name, err);
    if (r < 0)
        schema_set_free(set);
    else
        *ret = set;
    return r;
}

void schema_set_free(struct schema_set *set)
{
    if (!set)
        return;
    for (size_t i = 0; i < set->n_patterns; i++) {
        regfree(set->patterns[i]);
        free(set->patterns[i]);
    }
    free(set->patterns);
    arena_free(set->arena);
    free(set);
}
