/* References between resources: "${type.name.attribute}" inside attribute values. */
#include "plan/internal.h"

static bool attribute_name_valid(const char *s)
{
    size_t len = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
    return len > 0 && len <= PLAN_NAME_MAX && !s[len];
}

/* Parses the inside of ${...}. */
static int ref_parse(const char *inside, size_t len, struct plan_ref *ret, struct err *err)
{
    char text[PLAN_KEY_SIZE + PLAN_NAME_MAX + 1], type[PLAN_NAME_MAX + 1], name[PLAN_NAME_MAX + 1];
    char *dot = NULL;
    if (len < sizeof(text)) {
        memcpy(text, inside, len);
        text[len] = 0;
        dot = strrchr(text, '.');
    }
    if (dot) {
        *dot = 0;
        if (strlen(text) < sizeof(ret->key) && plan_key_split(text, type, name) && attribute_name_valid(dot + 1)) {
            strcpy(ret->key, text);
            strcpy(ret->attribute, dot + 1);
            return 0;
        }
    }
    return err_set(err, -EINVAL, "\"${%.*s}\" is not a reference: write ${type.name.attribute}, or $${ for a plain ${",
                   (int)MIN(len, (size_t)100), inside);
}

/* One piece of a text: literal bytes, or a reference. */
struct piece {
    const char *text;
    size_t len;
    bool is_ref;
    struct plan_ref ref;
};

/* Takes the next piece off *p. 1 = there was one, 0 = end. */
static int piece_next(const char **p, struct piece *ret, struct err *err)
{
    const char *s = *p;
    if (!*s)
        return 0;
    *ret = (struct piece){.text = s};
    if (!strncmp(s, "$${", 3)) {
        ret->text = s + 1;
        ret->len = 2;
        *p = s + 3;
        return 1;
    }
    if (!strncmp(s, "${", 2)) {
        const char *end = strchr(s, '}');
        if (!end)
            return err_set(err, -EINVAL, "a reference is not closed: \"%.60s\"", s);
        int r = ref_parse(s + 2, (size_t)(end - s - 2), &ret->ref, err);
        if (r < 0)
            return r;
        ret->is_ref = true;
        *p = end + 1;
        return 1;
    }
    while (s[ret->len] && strncmp(s + ret->len, "${", 2) && strncmp(s + ret->len, "$${", 3))
        ret->len++;
    *p = s + ret->len;
    return 1;
}

int plan_refs_each(const json_t *v, plan_ref_fn fn, void *data, struct err *err)
{
    const char *key, *p;
    struct piece piece;
    size_t i;
    json_t *item;
    int r = 0;
    if (json_is_object(v)) {
        json_object_foreach((json_t *)(uintptr_t)v, key, item)
        {
            if ((r = plan_refs_each(item, fn, data, err)) < 0)
                return r;
        }
    } else if (json_is_array(v)) {
        json_array_foreach(v, i, item)
        {
            if ((r = plan_refs_each(item, fn, data, err)) < 0)
                return r;
        }
    } else if (json_is_string(v)) {
        p = json_string_value(v);
        while ((r = piece_next(&p, &piece, err)) > 0)
            if (piece.is_ref && (r = fn(&piece.ref, data, err)) < 0)
                return r;
    }
    return r;
}

json_t *plan_unknown(void)
{
    return json_pack("{s:s}", "known", "after apply");
}

bool plan_is_unknown(const json_t *v)
{
    const json_t *known = json_object_get(v, "known");
    return json_object_size(v) == 1 && known && json_is_string(known) &&
           !strcmp(json_string_value(known), "after apply");
}

struct resolver {
    plan_ref_lookup lookup;
    void *data;
    bool unknown;
};

static int join(struct buf *out, const struct plan_ref *ref, const json_t *v, struct err *err)
{
    if (json_is_string(v))
        buf_adds(out, json_string_value(v));
    else if (json_is_integer(v))
        buf_printf(out, "%lld", (long long)json_integer_value(v));
    else
        return err_set(err, -EINVAL, "${%s.%s} stands inside a text but is neither text nor a whole number", ref->key,
                       ref->attribute);
    return 0;
}

static int resolve_text(struct resolver *rs, const char *text, json_t **ret, struct err *err)
{
    autobuf struct buf out = BUF_INIT;
    struct piece piece;
    const char *p = text;
    const json_t *v;
    int r;
    while ((r = piece_next(&p, &piece, err)) > 0) {
        if (!piece.is_ref) {
            buf_add(&out, piece.text, piece.len);
            continue;
        }
        if ((r = rs->lookup(&piece.ref, rs->data, &v, err)) < 0)
            return r;
        if (!v) {
            rs->unknown = true;
            continue;
        }
        if (!*p && !out.len && !strncmp(text, "${", 2)) {
            *ret = json_deep_copy(v);
            return 0;
        }
        if ((r = join(&out, &piece.ref, v, err)) < 0)
            return r;
    }
    if (r == 0)
        *ret = json_string(out.data ? out.data : "");
    return r;
}

static int resolve(struct resolver *rs, const json_t *v, json_t **ret, struct err *err)
{
    const char *key;
    size_t i;
    json_t *item, *made;
    int r;
    if (json_is_string(v))
        return resolve_text(rs, json_string_value(v), ret, err);
    if (!json_is_object(v) && !json_is_array(v)) {
        *ret = json_deep_copy(v);
        return 0;
    }
    autojson json_t *copy = json_is_object(v) ? json_object() : json_array();
    if (json_is_object(v)) {
        json_object_foreach((json_t *)(uintptr_t)v, key, item)
        {
            if ((r = resolve(rs, item, &made, err)) < 0)
                return r;
            json_object_set_new(copy, key, made);
        }
    } else {
        json_array_foreach(v, i, item)
        {
            if ((r = resolve(rs, item, &made, err)) < 0)
                return r;
            json_array_append_new(copy, made);
        }
    }
    *ret = TAKE_PTR(copy);
    return 0;
}

int plan_refs_resolve(const json_t *attributes, plan_ref_lookup lookup, void *data, json_t **ret, struct err *err)
{
    const char *name;
    json_t *v, *made;
    autojson json_t *out = json_object();
    json_object_foreach((json_t *)(uintptr_t)attributes, name, v)
    {
        struct resolver rs = {lookup, data, false};
        int r = resolve(&rs, v, &made, err);
        if (r < 0)
            return r;
        if (rs.unknown) {
            json_decref(made);
            made = plan_unknown();
        }
        json_object_set_new(out, name, made);
    }
    *ret = TAKE_PTR(out);
    return 0;
}
