/* Attributes: secrets as marks, digests, and what differs between as it is and as it should be. */
#include "plan/internal.h"

#include "base/keys.h"

#define MARK "secret:"

const struct plan_attribute *plan_attribute_find(const struct plan_type *t, const char *name)
{
    for (const struct plan_attribute *a = t->attributes; a->name; a++)
        if (!strcmp(a->name, name))
            return a;
    return NULL;
}

bool plan_is_mark(const json_t *v)
{
    const char *s = json_string_value(v);
    return s && !strncmp(s, MARK, strlen(MARK)) && strlen(s) == strlen(MARK) + 32 &&
           strspn(s + strlen(MARK), "0123456789abcdef") == 32;
}

/* The mark of a secret: salted with its place, so that equal secrets in two places do not show as equal. */
static int mark(const char *infrastructure, const char *key, const char *name, const json_t *v, json_t **ret,
                struct err *err)
{
    char hex[65];
    autobuf struct buf text = BUF_INIT;
    buf_printf(&text, "%s\n%s\n%s\n", infrastructure, key, name);
    int r = js_canonical(v, &text, err);
    if (r == 0) {
        sha256_hex(text.data, text.len, hex);
        *ret = json_sprintf(MARK "%.32s", hex);
    }
    if (text.data)
        mem_wipe(text.data, text.len);
    return r;
}

int plan_attrs_mask(const struct plan_type *t, const char *infrastructure, const char *key, const json_t *attributes,
                    json_t **ret, struct err *err)
{
    const char *name;
    json_t *v, *copy = NULL;
    if (!attributes || json_is_null(attributes)) {
        *ret = NULL;
        return 0;
    }
    autojson json_t *out = json_object();
    json_object_foreach((json_t *)(uintptr_t)attributes, name, v)
    {
        const struct plan_attribute *a = plan_attribute_find(t, name);
        int r = 0;
        if (!a)
            return err_set(err, -EINVAL, "resource %s: the type %s has no attribute \"%s\"", key, t->name, name);
        if ((a->flags & PLAN_SECRET) && !json_is_null(v) && !plan_is_mark(v) && !plan_is_unknown(v))
            r = mark(infrastructure, key, name, v, &copy, err);
        else
            copy = json_deep_copy(v);
        if (r < 0)
            return r;
        json_object_set_new(out, name, copy);
    }
    *ret = TAKE_PTR(out);
    return 0;
}

int plan_attrs_digest(const struct plan_type *t, const json_t *masked, char ret[65], struct err *err)
{
    ret[0] = 0;
    if (!masked)
        return 0;
    autojson json_t *stable = json_copy((json_t *)(uintptr_t)masked);
    for (const struct plan_attribute *a = t->attributes; a->name; a++)
        if (a->flags & PLAN_VOLATILE)
            json_object_del(stable, a->name);
    return js_digest(stable, ret, err);
}

static bool all_in(const json_t *a, const json_t *b)
{
    size_t i, k;
    json_t *v, *w;
    json_array_foreach(a, i, v)
    {
        bool found = false;
        json_array_foreach(b, k, w) found |= json_equal(v, w);
        if (!found)
            return false;
    }
    return true;
}

static bool same(const struct plan_attribute *attribute, const json_t *a, const json_t *b)
{
    if ((attribute->flags & PLAN_SET) && json_is_array(a) && json_is_array(b))
        return all_in(a, b) && all_in(b, a);
    bool no_a = !a || json_is_null(a), no_b = !b || json_is_null(b);
    return no_a || no_b ? no_a && no_b : json_equal(a, b);
}

static json_t *or_null(const json_t *v)
{
    return v ? json_deep_copy(v) : json_null();
}

/* What the attribute should be; *ret_care is false when it is nobody's business of ours. */
static const json_t *wanted(const struct plan_attribute *a, const json_t *want, const json_t *record, bool *ret_care)
{
    const json_t *v = json_object_get(want, a->name);
    *ret_care = v || plan_keys_has(json_object_get(record, "wanted"), a->name);
    return v;
}

enum plan_action plan_attrs_diff(const struct plan_type *t, const json_t *have, const json_t *want,
                                 const json_t *record, json_t **ret_why)
{
    enum plan_action action = have ? PLAN_NONE : PLAN_CREATE;
    const json_t *last = plan_record_attributes(record);
    *ret_why = json_array();
    for (const struct plan_attribute *a = t->attributes; a->name; a++) {
        bool care;
        const json_t *after = wanted(a, want, record, &care), *before = json_object_get(have, a->name);
        if ((a->flags & PLAN_COMPUTED) || !care)
            continue;
        if ((a->flags & PLAN_SECRET) && have && !before)
            before = json_object_get(last, a->name);
        if (same(a, before, after))
            continue;
        bool replaces = have && ((a->flags & PLAN_REPLACE) || !t->change);
        json_array_append_new(*ret_why, json_pack("{s:s, s:o, s:o, s:b}", "attribute", a->name, "before",
                                                  or_null(before), "after", or_null(after), "replaces", replaces));
        if (have)
            action = replaces || action == PLAN_REPLACE_BOTH ? PLAN_REPLACE_BOTH : PLAN_CHANGE;
    }
    return action;
}

json_t *plan_record_new(const json_t *masked, const json_t *depends_on, const json_t *want)
{
    const char *name;
    json_t *v, *names = json_array();
    json_object_foreach((json_t *)(uintptr_t)want, name, v) json_array_append_new(names, json_string(name));
    return json_pack("{s:i, s:o, s:o, s:o}", "v", 1, "attributes", or_null(masked), "depends_on",
                     depends_on ? json_deep_copy(depends_on) : json_array(), "wanted", names);
}

const json_t *plan_record_attributes(const json_t *record)
{
    const json_t *v = json_object_get(record, "attributes");
    return json_is_object(v) ? v : NULL;
}

const json_t *plan_record_depends(const json_t *record)
{
    const json_t *v = json_object_get(record, "depends_on");
    return json_is_array(v) ? v : NULL;
}
