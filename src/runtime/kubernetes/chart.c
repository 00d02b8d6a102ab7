/* Fills in the chart's templates and takes the objects out of them. */
#include "runtime/kubernetes/chart.h"

#include "base/keys.h"
#include "runtime/kubernetes/access.h"

#include <ctype.h>

#define NESTING_MAX 8
#define VARIABLES_MAX 8

extern const char chart_rbac[], chart_admission[], chart_agent[], chart_values[]; /* tools/embed.py */

struct variable {
    char name[24];
    json_t *value;
};

struct scope {
    const json_t *dot; /* NULL: the top */
    struct variable variables[VARIABLES_MAX];
    size_t n;
};

struct expansion {
    const json_t *values;
    const char *namespace;
    struct err *err;
};

static int fail(struct expansion *e, const char *what, const char *text, size_t len)
{
    return err_set(e->err, -EINVAL, "the chart's template: %s: %.*s", what, (int)MIN(len, 60), text);
}

/* ---- expressions ---- */

static bool truth(const json_t *v)
{
    if (json_is_string(v))
        return *json_string_value(v);
    if (json_is_integer(v))
        return json_integer_value(v) != 0;
    if (json_is_object(v))
        return json_object_size(v) > 0;
    return json_is_array(v) ? json_array_size(v) > 0 : json_is_true(v);
}

/* A word: a quoted text, or up to the next blank. Returns what follows, NULL at the end. */
static const char *next_word(const char *p, const char *end, const char **ret, size_t *ret_len)
{
    while (p < end && isspace((unsigned char)*p))
        p++;
    if (p == end)
        return NULL;
    const char *start = p;
    if (*p == '"') {
        const char *close = memchr(p + 1, '"', (size_t)(end - p - 1));
        p = close ? close + 1 : end;
    } else {
        while (p < end && !isspace((unsigned char)*p))
            p++;
    }
    *ret = start;
    *ret_len = (size_t)(p - start);
    return p;
}

static bool is_word(const char *word, size_t len, const char *text)
{
    return len == strlen(text) && !memcmp(word, text, len);
}

/* The value of one word, as a new reference. */
static int word_value(struct expansion *e, const struct scope *s, const char *w, size_t len, json_t **ret)
{
    char name[64];
    if (len >= 2 && *w == '"' && w[len - 1] == '"') {
        *ret = json_stringn(w + 1, len - 2);
        return *ret ? 0 : fail(e, "is not UTF-8", w, len);
    }
    for (size_t i = s->n; *w == '$' && i-- > 0;)
        if (is_word(w, len, s->variables[i].name)) {
            *ret = json_incref(s->variables[i].value);
            return 0;
        }
    if (is_word(w, len, ".") && s->dot) {
        *ret = json_incref((json_t *)(uintptr_t)s->dot);
        return 0;
    }
    if (len > 1 && w[0] == '$' && w[1] == '.')
        w++, len--;
    else if (s->dot && !is_word(w, len, ".Release.Namespace") && strncmp(w, ".Values", 7))
        return fail(e, "is not understood", w, len);
    if (is_word(w, len, ".Release.Namespace")) {
        *ret = json_string(e->namespace);
        return 0;
    }
    if (is_word(w, len, ".Values")) {
        *ret = json_incref((json_t *)(uintptr_t)e->values);
        return 0;
    }
    if (len <= 8 || len >= sizeof(name) || strncmp(w, ".Values.", 8))
        return fail(e, "is not understood", w, len);
    snprintf(name, sizeof(name), "%.*s", (int)(len - 8), w + 8);
    json_t *v = json_object_get(e->values, name);
    if (!v)
        return fail(e, "there is no such value", w, len);
    *ret = json_incref(v);
    return 0;
}

/* Words without a pipe: a value, `list A B ...` or `ternary A B X`. */
static int call(struct expansion *e, const struct scope *s, const char *p, const char *end, json_t **ret)
{
    const char *w = p;
    size_t len = 0;
    autojson json_t *list = json_array();
    const char *rest = next_word(p, end, &w, &len);
    bool is_list = rest && is_word(w, len, "list"), is_ternary = rest && is_word(w, len, "ternary");
    if (!is_list && !is_ternary)
        rest = p;
    while (rest && (rest = next_word(rest, end, &w, &len))) {
        json_t *v = NULL;
        int r = word_value(e, s, w, len, &v);
        if (r < 0)
            return r;
        json_array_append_new(list, v);
    }
    if (is_list) {
        *ret = json_incref(list);
        return 0;
    }
    if (json_array_size(list) != (is_ternary ? 3 : 1))
        return fail(e, "has another number of parts", p, (size_t)(end - p));
    *ret = json_incref(json_array_get(list, is_ternary && !truth(json_array_get(list, 2))));
    return 0;
}

static int pipe_through(struct expansion *e, const char *p, const char *end, json_t **value)
{
    const char *w = p;
    size_t len = 0;
    autobuf struct buf text = BUF_INIT;
    char digest[65];
    const char *rest = next_word(p, end, &w, &len);
    if (rest && is_word(w, len, "toJson")) {
        int r = js_canonical(*value, &text, e->err);
        if (r < 0)
            return r;
    } else if (rest && is_word(w, len, "sha256sum") && json_is_string(*value)) {
        sha256_hex(json_string_value(*value), json_string_length(*value), digest);
        buf_adds(&text, digest);
    } else {
        return fail(e, "is not understood", p, (size_t)(end - p));
    }
    json_decref(*value);
    *value = json_string(text.data);
    return 0;
}

static int evaluate(struct expansion *e, const struct scope *s, const char *p, const char *end, json_t **ret)
{
    autojson json_t *value = NULL;
    const char *bar = memchr(p, '|', (size_t)(end - p));
    int r = call(e, s, p, bar ? bar : end, &value);
    while (r == 0 && bar) {
        p = bar + 1;
        bar = memchr(p, '|', (size_t)(end - p));
        r = pipe_through(e, p, bar ? bar : end, &value);
    }
    if (r == 0)
        *ret = TAKE_PTR(value);
    return r;
}

static int print(struct expansion *e, const json_t *v, struct buf *out)
{
    if (json_is_string(v))
        buf_adds(out, json_string_value(v));
    else if (json_is_integer(v))
        buf_printf(out, "%lld", (long long)json_integer_value(v));
    else if (json_is_boolean(v))
        buf_adds(out, json_is_true(v) ? "true" : "false");
    else
        return err_set(e->err, -EINVAL, "the chart's template: a map or a list stands where a text is wanted");
    return 0;
}

/* ---- blocks ---- */

struct action {
    const char *text, *end, *next; /* inside the braces; behind them */
    bool trim_before, trim_after;
};

/* The next action from p on: 1; 0: there is none. */
static int find_action(struct expansion *e, const char *p, struct action *a)
{
    const char *open = strstr(p, "{{"), *close = open ? strstr(open, "}}") : NULL;
    if (!open)
        return 0;
    if (!close)
        return fail(e, "is not closed", open, strlen(open));
    a->trim_before = open[2] == '-' && isspace((unsigned char)open[3]);
    a->trim_after = close[-1] == '-' && isspace((unsigned char)close[-2]);
    a->text = open + 2 + a->trim_before;
    a->end = close - a->trim_after;
    a->next = close + 2;
    return 1;
}

static int block(struct expansion *e, struct scope *s, const char **at, int depth, struct buf *out);

static int bind(struct expansion *e, struct scope *s, const char *name, size_t len, json_t *value)
{
    if (s->n == VARIABLES_MAX || len >= sizeof(s->variables[0].name))
        return fail(e, "has too many or too long names", name, len);
    struct variable *v = &s->variables[s->n++];
    snprintf(v->name, sizeof(v->name), "%.*s", (int)len, name);
    v->value = value;
    return 0;
}

/* The body once: with the value as dot and up to two variables. */
static int round_of(struct expansion *e, const struct scope *s, const char **names, const size_t *lens, json_t *key,
                    json_t *value, const char **at, int depth, struct buf *out)
{
    struct scope inner = *s;
    int r = 0;
    inner.dot = value;
    if (names[1])
        r = bind(e, &inner, names[0], lens[0], key);
    if (r == 0 && names[0])
        r = bind(e, &inner, names[names[1] ? 1 : 0], lens[names[1] ? 1 : 0], value);
    return r < 0 ? r : block(e, &inner, at, depth + 1, out);
}

static int compare_keys(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int each(struct expansion *e, struct scope *s, const char **names, const size_t *lens, json_t *list,
                const char **at, int depth, struct buf *out)
{
    const char *start = *at, *keys[64], *key;
    size_t n = 0, i;
    json_t *v;
    int r = 0;
    if (json_object_size(list) > ARRAY_SIZE(keys))
        return err_set(e->err, -EINVAL, "the values: a map holds more than %zu entries", ARRAY_SIZE(keys));
    json_object_foreach(list, key, v) keys[n++] = key;
    qsort(keys, n, sizeof(*keys), compare_keys);
    for (i = 0; r == 0 && i < n; i++) {
        autojson json_t *name = json_string(keys[i]);
        *at = start;
        r = round_of(e, s, names, lens, name, json_object_get(list, keys[i]), at, depth, out);
    }
    for (i = 0; r == 0 && i < json_array_size(list); i++) {
        autojson json_t *number = json_integer((json_int_t)i);
        *at = start;
        r = round_of(e, s, names, lens, number, json_array_get(list, i), at, depth, out);
    }
    return r;
}

/* `range [$a[, $b] :=] X`, from behind the word. */
static int range_action(struct expansion *e, struct scope *s, const char *p, const char *end, const char **at,
                        int depth, struct buf *out)
{
    const char *names[2] = {0}, *w = p, *rest = p;
    size_t lens[2] = {0}, len = 0, n = 0;
    autojson json_t *list = NULL;
    while ((rest = next_word(rest, end, &w, &len)) && *w == '$' && n < 2 && len > 1 && w[1] != '.') {
        names[n] = w;
        lens[n++] = len - (w[len - 1] == ',');
    }
    if (n && (!rest || !is_word(w, len, ":=")))
        return fail(e, "is not understood", p, (size_t)(end - p));
    int r = out ? evaluate(e, s, n ? rest : p, end, &list) : 0;
    if (r < 0)
        return r;
    if (!truth(list)) {
        autojson json_t *nothing = json_null();
        return round_of(e, s, names, lens, nothing, nothing, at, depth, NULL);
    }
    return each(e, s, names, lens, list, at, depth, out);
}

/* 1: it was `end`. */
static int act(struct expansion *e, struct scope *s, const struct action *a, const char **at, int depth,
               struct buf *out)
{
    const char *w = a->text;
    size_t len = 0;
    autojson json_t *v = NULL;
    const char *rest = next_word(a->text, a->end, &w, &len);
    if (!rest || depth > NESTING_MAX)
        return fail(e, "is empty or nested too deeply", a->text, (size_t)(a->end - a->text));
    if (is_word(w, len, "end"))
        return depth ? 1 : fail(e, "ends nothing", w, len);
    if (is_word(w, len, "range"))
        return range_action(e, s, rest, a->end, at, depth, out);
    bool with = is_word(w, len, "with"), condition = with || is_word(w, len, "if");
    /* What is left out anyway is only looked through for its end; its dot is nothing. */
    if (!out && !condition)
        return 0;
    int r = out ? evaluate(e, s, condition ? rest : a->text, a->end, &v) : 0;
    if (r < 0)
        return r;
    if (!condition)
        return print(e, v, out);
    struct scope inner = *s;
    if (with && out)
        inner.dot = v;
    return block(e, &inner, at, depth + 1, out && truth(v) ? out : NULL);
}

/* From *at to the `end` that belongs to it (depth 0: to the end of the text); out NULL: nothing is written. */
static int block(struct expansion *e, struct scope *s, const char **at, int depth, struct buf *out)
{
    bool trim = false;
    for (;;) {
        struct action a = {0};
        const char *p = *at;
        int r = find_action(e, p, &a);
        if (r < 0)
            return r;
        const char *stop = r ? strstr(p, "{{") : p + strlen(p);
        while (trim && p < stop && isspace((unsigned char)*p))
            p++;
        while (r && a.trim_before && stop > p && isspace((unsigned char)stop[-1]))
            stop--;
        if (out)
            buf_add(out, p, (size_t)(stop - p));
        if (r == 0) {
            *at = stop;
            return depth ? fail(e, "a block is not ended", "", 0) : 0;
        }
        *at = a.next;
        trim = a.trim_after;
        if ((r = act(e, s, &a, at, depth, out)) != 0)
            return MIN(r, 0);
    }
}

int kube_chart_expand(const char *text, const json_t *values, const char *namespace, struct buf *out, struct err *err)
{
    struct expansion e = {values, namespace, err};
    struct scope top = {0};
    const char *at = text;
    return block(&e, &top, &at, 0, out);
}

/* ---- objects ---- */

static int take_documents(char *text, json_t *list, struct err *err)
{
    char *rest = text;
    while (rest) {
        char *start = rest, *bar = strncmp(rest, "---\n", 4) ? strstr(rest, "\n---\n") : rest;
        json_t *object = NULL;
        rest = bar ? bar + (bar == start ? 4 : 5) : NULL;
        if (bar) /* the newline before the bar belongs to what it ends */
            bar[bar != start] = '\0';
        if (!*(start + strspn(start, " \n")))
            continue;
        int r = kube_yaml(start, strlen(start), &object, err);
        if (r < 0)
            return err_wrap(err, r, "the chart's template, filled in");
        json_array_append_new(list, object);
    }
    return 0;
}

int kube_chart_objects(const json_t *values, const char *namespace, json_t **ret, struct err *err)
{
    const char *const templates[] = {chart_rbac, chart_admission, chart_agent};
    autojson json_t *list = json_array();
    int r = 0;
    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(templates); i++) {
        autobuf struct buf text = BUF_INIT;
        r = kube_chart_expand(templates[i], values, namespace, &text, err);
        if (r == 0 && text.len)
            r = take_documents(text.data, list, err);
    }
    if (r == 0)
        *ret = TAKE_PTR(list);
    return r;
}

/* ---- values ---- */

static bool is_image(const char *text)
{
    const char *at = strstr(text, "@sha256:");
    return at && at > text && strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789._/:-") == (size_t)(at - text) &&
           strspn(at + 8, "0123456789abcdef") == 64 && !at[72];
}

/* Stands by itself in YAML. */
static bool is_plain(const char *text)
{
    return strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-") == strlen(text);
}

/* Stands behind `key = ` in agent.conf. */
static bool is_line(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            return false;
    return true;
}

static bool is_map(const json_t *v)
{
    const char *key;
    json_t *text;
    json_object_foreach((json_t *)(uintptr_t)v, key, text)
    {
        const char *t = json_string_value(text);
        if (!t || !is_line(t) || strpbrk(t, " ,") || !is_line(key) || strpbrk(key, " ,="))
            return false;
    }
    return true;
}

static int check_value(const char *name, const json_t *fallback, const json_t *v, struct err *err)
{
    const char *text = json_string_value(v);
    bool image = !strcmp(name, "image") || (strlen(name) > 5 && !strcmp(name + strlen(name) - 5, "Image"));
    bool plain = !strcmp(name, "bundleSecret") || !strcmp(name, "stateStorageClass") || !strcmp(name, "stateSize") ||
                 !strcmp(name, "dnsKeySecret");
    bool same = json_typeof(v) == json_typeof(fallback) || (json_is_boolean(v) && json_is_boolean(fallback));
    if (!same)
        return err_set(err, -EINVAL, "%s: is of another type than in the chart's values.yaml", name);
    if (text && image && !is_image(text))
        return err_set(err, -EINVAL, "%s: must name an image by digest: REPOSITORY@sha256:64 hex digits", name);
    if (text && plain && !is_plain(text))
        return err_set(err, -EINVAL, "%s: must be of letters, digits, '.' and '-'", name);
    if (text && (!is_line(text) || strlen(text) > 400))
        return err_set(err, -EINVAL, "%s: must be one line of at most 400 characters", name);
    if (json_is_object(v) && strcmp(name, "resources") && !is_map(v))
        return err_set(err, -EINVAL, "%s: must map names to texts without blanks and commas", name);
    return 0;
}

/* As Helm does: maps are joined, anything else takes the default's place. Depth is bounded by the parser. */
static void merge(json_t *into, const char *key, json_t *v)
{
    json_t *have = json_object_get(into, key), *inner;
    const char *name;
    if (!json_is_object(have) || !json_is_object(v)) {
        json_object_set(into, key, v);
        return;
    }
    json_object_foreach(v, name, inner) merge(have, name, inner);
}

int kube_chart_values(const json_t *own, json_t **ret, struct err *err)
{
    autojson json_t *values = NULL;
    const char *key;
    json_t *v;
    int r = kube_yaml(chart_values, strlen(chart_values), &values, err);
    if (r < 0)
        return err_wrap(err, r, "values.yaml");
    json_object_foreach((json_t *)(uintptr_t)own, key, v)
    {
        json_t *fallback = json_object_get(values, key);
        if (!fallback)
            return err_set(err, -EINVAL, "%s: the chart has no such value", key);
        if ((r = check_value(key, fallback, v, err)) < 0)
            return r;
        merge(values, key, v);
    }
    *ret = TAKE_PTR(values);
    return 0;
}
