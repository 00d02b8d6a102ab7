/* Decodes the query string of ClickHouse's HTTP interface and sorts its names. */
#include "clickhouse/params.h"

#include "base/mem.h"

#include <strings.h>

struct list {
    struct param *items;
    size_t count;
};

struct params {
    struct list own, settings, bindings;
    size_t total;
};

/* Names that the interface itself reads; everything else is a setting of the engine. */
static const char *const own_names[] = {
    "query",       "database",          "user",          "password",      "default_format", "query_id",
    "session_id",  "session_timeout",   "session_check", "close_session", "compress",       "decompress",
    "buffer_size", "wait_end_of_query", "quota_key",     "stacktrace",    "role",
};

struct params *params_new(void)
{
    return mem_alloc(sizeof(struct params));
}

static void list_free(struct list *l)
{
    for (size_t i = 0; i < l->count; i++) {
        mem_wipe(l->items[i].value, l->items[i].value_len);
        free(l->items[i].name);
        free(l->items[i].value);
    }
    free(l->items);
}

void params_free(struct params *p)
{
    if (!p)
        return;
    list_free(&p->own);
    list_free(&p->settings);
    list_free(&p->bindings);
    free(p);
}

static struct param *list_find(const struct list *l, const char *name)
{
    for (size_t i = 0; i < l->count; i++)
        if (strcmp(l->items[i].name, name) == 0)
            return &l->items[i];
    return NULL;
}

static void param_set(struct param *at, const char *value, size_t len)
{
    if (at->value) {
        mem_wipe(at->value, at->value_len);
        free(at->value);
    }
    at->value = mem_alloc(len + 1);
    if (len)
        memcpy(at->value, value, len);
    at->value_len = len;
}

static void list_put(struct list *l, const char *name, const char *value, size_t len, bool keep_first)
{
    struct param *at = list_find(l, name);
    if (at) {
        if (!keep_first)
            param_set(at, value, len);
        return;
    }
    l->items = mem_realloc(l->items, (l->count + 1) * sizeof(*l->items));
    at = &l->items[l->count++];
    *at = (struct param){.name = mem_strdup(name)};
    param_set(at, value, len);
}

static bool is_own(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(own_names); i++)
        if (strcmp(own_names[i], name) == 0)
            return true;
    return false;
}

/* Letters, digits, underscore and dot: what a setting or binding may be called; so it needs no quoting in SQL. */
static bool name_plain(const char *name)
{
    if (!*name || (*name >= '0' && *name <= '9'))
        return false;
    for (; *name; name++) {
        unsigned char c = (unsigned char)*name;
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.'))
            return false;
    }
    return true;
}

int params_add(struct params *p, const char *name, size_t name_len, const char *value, size_t value_len,
               struct err *err)
{
    char key[PARAMS_MAX_NAME + 1];

    if (++p->total > PARAMS_MAX_COUNT)
        return err_set(err, -E2BIG, "the request has more than %d URL parameters", PARAMS_MAX_COUNT);
    if (name_len > PARAMS_MAX_NAME)
        return err_set(err, -E2BIG, "a URL parameter's name is longer than %d bytes", PARAMS_MAX_NAME);
    memcpy(key, name, name_len);
    key[name_len] = 0;
    if (strlen(key) != name_len)
        return err_set(err, -EINVAL, "a URL parameter's name holds a NUL byte");

    if (strncmp(key, "param_", 6) == 0 && key[6]) {
        /* Binding names are digits or words: {0:UInt8} and {name:String} both exist. */
        for (const char *c = key + 6; *c; c++)
            if (!name_plain((char[]){'a', *c, 0}))
                return err_set(err, -EINVAL, "the name of query parameter '%s' is not letters, digits, _ or .",
                               key + 6);
        list_put(&p->bindings, key + 6, value, value_len, false);
        return 0;
    }
    if (value_len && memchr(value, 0, value_len))
        return err_set(err, -EINVAL, "the value of URL parameter '%s' holds a NUL byte", key);
    if (is_own(key)) {
        list_put(&p->own, key, value, value_len, true);
        return 0;
    }
    if (!name_plain(key))
        return err_set(err, -EINVAL, "a URL parameter's name is neither known nor a possible setting");
    list_put(&p->settings, key, value, value_len, false);
    return 0;
}

static int decode(const char *in, size_t len, char *out, size_t *ret_len, struct err *err)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        if (in[i] == '+') {
            out[n++] = ' ';
        } else if (in[i] == '%') {
            int high = i + 2 < len ? hex_digit(in[i + 1]) : -1, low = i + 2 < len ? hex_digit(in[i + 2]) : -1;
            if (high < 0 || low < 0)
                return err_set(err, -EINVAL, "the URL has a %% that two hexadecimal digits do not follow");
            out[n++] = (char)(high * 16 + low);
            i += 2;
        } else {
            out[n++] = in[i];
        }
    }
    *ret_len = n;
    return 0;
}

static int pair_parse(struct params *p, const char *text, size_t len, char *scratch, struct err *err)
{
    const char *eq = memchr(text, '=', len);
    size_t raw_name = eq ? (size_t)(eq - text) : len, name_len, value_len = 0;
    char *value = scratch + raw_name + 1;

    int r = decode(text, raw_name, scratch, &name_len, err);
    if (r == 0 && eq)
        r = decode(eq + 1, len - raw_name - 1, value, &value_len, err);
    if (r == 0 && (name_len || value_len))
        r = params_add(p, scratch, name_len, value, value_len, err);
    return r;
}

int params_parse(struct params *p, const char *query, size_t len, struct err *err)
{
    if (len > PARAMS_MAX_BYTES)
        return err_set(err, -E2BIG, "the URL's query string is longer than %zu bytes", PARAMS_MAX_BYTES);
    char *scratch = mem_alloc(len + 2);
    int r = 0;

    for (size_t at = 0; r == 0 && at < len;) {
        const char *end = memchr(query + at, '&', len - at);
        size_t n = end ? (size_t)(end - query) - at : len - at;
        if (n)
            r = pair_parse(p, query + at, n, scratch, err);
        at += n + 1;
    }
    mem_wipe(scratch, len + 2);
    free(scratch);
    return r;
}

const char *params_get(const struct params *p, const char *name)
{
    const struct param *at = list_find(&p->own, name);
    return at ? at->value : NULL;
}

const char *params_setting(const struct params *p, const char *name)
{
    const struct param *at = list_find(&p->settings, name);
    return at ? at->value : NULL;
}

static const char *either(const struct params *p, const char *name)
{
    const char *v = params_get(p, name);
    return v ? v : params_setting(p, name);
}

bool params_flag(const struct params *p, const char *name, bool fallback)
{
    const char *v = either(p, name);
    if (!v || !*v)
        return fallback;
    return strcmp(v, "1") == 0 || strcasecmp(v, "true") == 0 || strcasecmp(v, "yes") == 0 || strcasecmp(v, "on") == 0;
}

int params_number(const struct params *p, const char *name, uint64_t max, uint64_t *ret, struct err *err)
{
    const char *v = either(p, name);
    uint64_t n = 0;

    if (!v)
        return 0;
    for (const char *c = v; *c || c == v; c++) {
        if (*c < '0' || *c > '9' || __builtin_mul_overflow(n, 10, &n) ||
            __builtin_add_overflow(n, (uint64_t)(*c - '0'), &n) || n > max)
            return err_set(err, -EINVAL, "URL parameter '%s' must be a whole number from 0 to %llu", name,
                           (unsigned long long)max);
    }
    *ret = n;
    return 0;
}

size_t params_settings(const struct params *p, const struct param **ret)
{
    *ret = p->settings.items;
    return p->settings.count;
}

size_t params_bindings(const struct params *p, const struct param **ret)
{
    *ret = p->bindings.items;
    return p->bindings.count;
}

void params_quote(const char *text, size_t len, struct buf *out)
{
    buf_addc(out, '\'');
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '\'' || text[i] == '\\')
            buf_addc(out, '\\');
        buf_addc(out, text[i]);
    }
    buf_addc(out, '\'');
}

void params_settings_sql(const struct params *p, struct buf *out)
{
    for (size_t i = 0; i < p->settings.count; i++) {
        const struct param *s = &p->settings.items[i];
        buf_printf(out, "%s%s = ", i ? ", " : "", s->name);
        params_quote(s->value, s->value_len, out);
    }
}
