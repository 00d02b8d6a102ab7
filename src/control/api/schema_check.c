/* Checks values against compiled schemas and says in words what is wrong. */
#include "control/api/schema_internal.h"

#include <math.h>

#define PATH_MAX_BYTES 256

struct check {
    const char *root;
    char path[PATH_MAX_BYTES];
    size_t len;
    struct err *err;
};

static const char *place(const struct check *c)
{
    return c->len ? c->path : c->root;
}

static int complain(struct check *c, const char *rule)
{
    return err_set(c->err, -EINVAL, "%s: %s", place(c), rule);
}

static int check(struct check *c, const struct schema *s, const json_t *v);

/* Checks a part; the path grows for its time. A path too long to show is cut, the check is not. */
static int check_field(struct check *c, const struct schema *s, const char *name, const json_t *v)
{
    size_t before = c->len;
    int n = snprintf(c->path + before, sizeof(c->path) - before, "%s%s", before ? "." : "", name);
    c->len = MIN(before + (size_t)n, sizeof(c->path) - 1);
    int r = check(c, s, v);
    c->len = before;
    c->path[before] = 0;
    return r;
}

static int check_item(struct check *c, const struct schema *s, size_t index, const json_t *v)
{
    size_t before = c->len;
    int n = snprintf(c->path + before, sizeof(c->path) - before, "[%zu]", index);
    c->len = MIN(before + (size_t)n, sizeof(c->path) - 1);
    int r = check(c, s, v);
    c->len = before;
    c->path[before] = 0;
    return r;
}

static bool is_whole(const json_t *v)
{
    return json_is_integer(v) || (json_is_real(v) && floor(json_real_value(v)) == json_real_value(v) &&
                                  fabs(json_real_value(v)) < 9007199254740992.0);
}

static bool has_type(unsigned types, const json_t *v)
{
    switch (json_typeof(v)) {
    case JSON_STRING:
        return types & TYPE_STRING;
    case JSON_INTEGER:
    case JSON_REAL:
        return (types & TYPE_NUMBER) || ((types & TYPE_INTEGER) && is_whole(v));
    case JSON_TRUE:
    case JSON_FALSE:
        return types & TYPE_BOOLEAN;
    case JSON_OBJECT:
        return types & TYPE_OBJECT;
    case JSON_ARRAY:
        return types & TYPE_ARRAY;
    default:
        return types & TYPE_NULL;
    }
}

static int complain_type(struct check *c, unsigned types)
{
    static const char *const words[] = {"a string", "a number", "a whole number", "true or false", "an object",
                                        "a list",   "null"};
    char rule[160] = "must be ";
    size_t len = strlen(rule);
    bool first = true;
    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        if (types & (1u << i)) {
            len += (size_t)snprintf(rule + len, sizeof(rule) - len, "%s%s", first ? "" : " or ", words[i]);
            first = false;
        }
    return complain(c, rule);
}

static int check_enum(struct check *c, const struct schema *s, const json_t *v)
{
    char rule[384] = "must be one of ";
    size_t len = strlen(rule);
    const json_t *one;
    size_t i;
    json_array_foreach(s->enumeration, i, one)
    {
        if (json_equal(one, v))
            return 0;
    }
    json_array_foreach(s->enumeration, i, one)
    {
        char number[32];
        snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(one));
        const char *text = json_is_string(one) ? json_string_value(one) : number;
        if (len + strlen(text) + 8 > sizeof(rule)) {
            len += (size_t)snprintf(rule + len, sizeof(rule) - len, ", ...");
            break;
        }
        len += (size_t)snprintf(rule + len, sizeof(rule) - len, "%s%s", i ? ", " : "", text);
    }
    return complain(c, rule);
}

static int check_number(struct check *c, const struct schema *s, const json_t *v)
{
    double n = json_number_value(v);
    if (s->has_minimum && n < s->minimum)
        return err_set(c->err, -EINVAL, "%s: must be at least %.15g", place(c), s->minimum);
    if (s->has_maximum && n > s->maximum)
        return err_set(c->err, -EINVAL, "%s: must be at most %.15g", place(c), s->maximum);
    if (s->multiple_of > 0 && fmod(n, s->multiple_of) != 0)
        return err_set(c->err, -EINVAL, "%s: must be a multiple of %.15g", place(c), s->multiple_of);
    return 0;
}

static size_t characters(const char *text)
{
    size_t n = 0;
    for (; *text; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

static int check_text(struct check *c, const struct schema *s, const char *text)
{
    size_t n = characters(text);
    if (n < s->min_length && s->min_length == 1)
        return complain(c, "must not be empty");
    if (n < s->min_length)
        return err_set(c->err, -EINVAL, "%s: must have at least %zu characters", place(c), s->min_length);
    if (n > s->max_length)
        return err_set(c->err, -EINVAL, "%s: must have at most %zu characters, not %zu", place(c), s->max_length, n);
    if (s->format && !s->format->valid(text))
        return complain(c, s->format->rule);
    if (s->pattern && regexec(s->pattern, text, 0, NULL, 0) != 0)
        return complain(c, s->rule ? s->rule : "does not have the right form");
    return 0;
}

static int check_array(struct check *c, const struct schema *s, const json_t *v)
{
    const json_t *one;
    size_t i, n = json_array_size(v);
    if (n < s->min_items)
        return err_set(c->err, -EINVAL, "%s: must have at least %zu entries", place(c), s->min_items);
    if (n > s->max_items)
        return err_set(c->err, -EINVAL, "%s: must have at most %zu entries, not %zu", place(c), s->max_items, n);
    if (!s->items)
        return 0;
    json_array_foreach(v, i, one)
    {
        int r = check_item(c, s->items, i, one);
        if (r < 0)
            return r;
    }
    return 0;
}

static const struct schema_property *property(const struct schema *s, const char *name)
{
    for (size_t i = 0; i < s->n_properties; i++)
        if (!strcmp(s->properties[i].name, name))
            return &s->properties[i];
    return NULL;
}

/* The first field of the group that the object has, or NULL. */
static const char *present(const json_t *object, const json_t *group)
{
    const json_t *name;
    size_t i;
    json_array_foreach(group, i, name)
    {
        if (json_object_get(object, json_string_value(name)))
            return json_string_value(name);
    }
    return NULL;
}

static int check_exclusive(struct check *c, const struct schema *s, const json_t *v)
{
    const char *first = NULL;
    const json_t *group;
    size_t i;
    json_array_foreach(s->exclusive, i, group)
    {
        const char *here = present(v, group);
        if (here && first)
            return err_set(c->err, -EINVAL, "%s%s%s: must not be given together with %s", c->path, c->len ? "." : "",
                           here, first);
        first = here ? here : first;
    }
    return 0;
}

static int check_together(struct check *c, const struct schema *s, const json_t *v)
{
    const json_t *group, *name;
    size_t i, j;
    json_array_foreach(s->together, i, group)
    {
        const char *one = present(v, group);
        json_array_foreach(group, j, name)
        {
            if (one && !json_object_get(v, json_string_value(name)))
                return err_set(c->err, -EINVAL, "%s%s%s: is required together with %s", c->path, c->len ? "." : "",
                               json_string_value(name), one);
        }
    }
    return 0;
}

static int check_ordered(struct check *c, const struct schema *s, const json_t *v)
{
    const json_t *pair;
    size_t i;
    json_array_foreach(s->ordered, i, pair)
    {
        const char *low = json_string_value(json_array_get(pair, 0)),
                   *high = json_string_value(json_array_get(pair, 1));
        const json_t *a = json_object_get(v, low), *b = json_object_get(v, high);
        if (a && b && json_number_value(a) > json_number_value(b))
            return err_set(c->err, -EINVAL, "%s%s%s: must not be above %s", c->path, c->len ? "." : "", low, high);
    }
    return 0;
}

static int check_object(struct check *c, const struct schema *s, const json_t *v)
{
    const char *name;
    json_t *field;
    int r = 0;
    json_object_foreach((json_t *)(uintptr_t)v, name, field)
    {
        const struct schema_property *p = property(s, name);
        if (!p && s->has_properties && !s->additional)
            return err_set(c->err, -EINVAL, "%s%s%.64s: unknown field", c->path, c->len ? "." : "", name);
        if (p)
            r = check_field(c, p->schema, name, field);
        if (r < 0)
            return r;
    }
    for (size_t i = 0; i < s->n_properties; i++)
        if (s->properties[i].required && !json_object_get(v, s->properties[i].name))
            return err_set(c->err, -EINVAL, "%s%s%s: is required", c->path, c->len ? "." : "", s->properties[i].name);
    r = check_exclusive(c, s, v);
    if (r == 0)
        r = check_together(c, s, v);
    return r < 0 ? r : check_ordered(c, s, v);
}

/* The form that the value says it has; what is wrong with that form is told in full. */
static int check_by(struct check *c, const struct schema *s, const json_t *v)
{
    const char *said = json_string_value(json_object_get(v, s->by)), *separator = "";
    char known[160] = "";
    if (!json_is_object(v))
        return complain(c, "must be an object");
    for (size_t i = 0; i < s->n_one_of; i++) {
        const struct schema *form = s->one_of[i];
        while (form->target)
            form = form->target;
        const struct schema_property *p = property(form, s->by);
        const char *name = p ? json_string_value(json_array_get(p->schema->enumeration, 0)) : NULL;
        if (name && said && !strcmp(name, said))
            return check(c, form, v);
        size_t len = strlen(known);
        snprintf(known + len, sizeof(known) - len, "%s%s", separator, name ? name : "");
        separator = ", ";
    }
    return err_set(c->err, -EINVAL, "%s%s%s: must be one of %s", c->path, c->len ? "." : "", s->by, known);
}

static int check_one_of(struct check *c, const struct schema *s, const json_t *v)
{
    size_t matches = 0;
    if (s->by)
        return check_by(c, s, v);
    for (size_t i = 0; i < s->n_one_of; i++) {
        struct check quiet = *c;
        quiet.err = NULL;
        matches += check(&quiet, s->one_of[i], v) == 0;
    }
    if (matches == 1)
        return 0;
    /* With one form besides null, what is wrong with that form says more. */
    if (matches == 0 && s->n_one_of == 2 && s->one_of[1]->types == TYPE_NULL)
        return check(c, s->one_of[0], v);
    return complain(c, matches ? "fits several of the allowed forms" : "fits none of the allowed forms");
}

static int check(struct check *c, const struct schema *s, const json_t *v)
{
    int r = 0;
    while (s->target)
        s = s->target;
    if (s->types && !has_type(s->types, v))
        return complain_type(c, s->types);
    if (s->enumeration && !(json_is_null(v) && (s->types & TYPE_NULL)))
        r = check_enum(c, s, v);
    if (r == 0 && json_is_number(v))
        r = check_number(c, s, v);
    if (r == 0 && json_is_string(v))
        r = check_text(c, s, json_string_value(v));
    if (r == 0 && json_is_array(v))
        r = check_array(c, s, v);
    if (r == 0 && json_is_object(v))
        r = check_object(c, s, v);
    if (r == 0 && s->n_one_of)
        r = check_one_of(c, s, v);
    return r;
}

int schema_check(const struct schema *s, const json_t *value, const char *root, struct err *err)
{
    struct check c = {.root = root, .err = err};
    return check(&c, s, value);
}

int schema_check_text(const struct schema *s, const char *text, const char *name, struct err *err)
{
    struct check c = {.root = name, .err = err};
    autojson json_t *v = json_string(text);
    if (!v)
        return complain(&c, "is not valid UTF-8");
    return check(&c, s, v);
}

bool schema_is_array(const struct schema *s, const struct schema **ret_items, size_t *ret_max)
{
    while (s->target)
        s = s->target;
    if (s->types != TYPE_ARRAY || !s->items)
        return false;
    *ret_items = s->items;
    *ret_max = s->max_items;
    return true;
}

const char *schema_format(const struct schema *s)
{
    while (s->target)
        s = s->target;
    return s->format ? s->format->name : "";
}
