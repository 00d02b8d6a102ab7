/* Strict JSON on jansson, typed access and canonical form. */
#include "base/js.h"

#include "base/keys.h"
#include "base/mem.h"

#define JS_MAX_DEPTH 64

/* jansson allows 2048 levels; refuse deep nesting before it recurses. */
static bool too_deep(const char *text, size_t len)
{
    size_t depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            if (++depth > JS_MAX_DEPTH)
                return true;
        } else if ((c == '}' || c == ']') && depth) {
            depth--;
        }
    }
    return false;
}

int js_parse(const char *text, size_t len, size_t max, json_t **ret, struct err *err)
{
    json_error_t je;
    if (len > max)
        return err_set(err, -EMSGSIZE, "JSON of %zu bytes is over the limit of %zu", len, max);
    if (too_deep(text, len))
        return err_set(err, -EINVAL, "JSON is nested deeper than %d levels", JS_MAX_DEPTH);
    json_t *v = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &je);
    if (!v)
        return err_set(err, -EINVAL, "JSON is malformed at line %d column %d: %s", je.line, je.column, je.text);
    *ret = v;
    return 0;
}

static int complain(struct err *err, const char *path, const char *key, const char *rule)
{
    const char *dot = path && *path ? "." : "";
    return err_set(err, -EINVAL, "%s%s%s: %s", path ? path : "", dot, key, rule);
}

static int get_string(const json_t *v, const char *path, const char *key, size_t max, const char **ret, struct err *err)
{
    char rule[64];
    if (!json_is_string(v))
        return complain(err, path, key, "must be a string");
    if (json_string_length(v) > max) {
        snprintf(rule, sizeof(rule), "must be at most %zu bytes", max);
        return complain(err, path, key, rule);
    }
    *ret = json_string_value(v);
    return 0;
}

int js_string(const json_t *obj, const char *path, const char *key, size_t max, const char **ret, struct err *err)
{
    const json_t *v = json_object_get(obj, key);
    return v ? get_string(v, path, key, max, ret, err) : complain(err, path, key, "is required");
}

int js_string_opt(const json_t *obj, const char *path, const char *key, size_t max, const char **ret, struct err *err)
{
    const json_t *v = json_object_get(obj, key);
    return v ? get_string(v, path, key, max, ret, err) : 0;
}

static int get_int(const json_t *v, const char *path, const char *key, int64_t min, int64_t max, int64_t *ret,
                   struct err *err)
{
    char rule[96];
    if (!json_is_integer(v))
        return complain(err, path, key, "must be an integer");
    int64_t n = json_integer_value(v);
    if (n < min || n > max) {
        snprintf(rule, sizeof(rule), "must be between %lld and %lld", (long long)min, (long long)max);
        return complain(err, path, key, rule);
    }
    *ret = n;
    return 0;
}

int js_int(const json_t *obj, const char *path, const char *key, int64_t min, int64_t max, int64_t *ret,
           struct err *err)
{
    const json_t *v = json_object_get(obj, key);
    return v ? get_int(v, path, key, min, max, ret, err) : complain(err, path, key, "is required");
}

int js_int_opt(const json_t *obj, const char *path, const char *key, int64_t min, int64_t max, int64_t *ret,
               struct err *err)
{
    const json_t *v = json_object_get(obj, key);
    return v ? get_int(v, path, key, min, max, ret, err) : 0;
}

int js_bool_opt(const json_t *obj, const char *path, const char *key, bool *ret, struct err *err)
{
    const json_t *v = json_object_get(obj, key);
    if (!v)
        return 0;
    if (!json_is_boolean(v))
        return complain(err, path, key, "must be true or false");
    *ret = json_is_true(v);
    return 0;
}

int js_array(const json_t *obj, const char *path, const char *key, size_t max_items, json_t **ret, struct err *err)
{
    char rule[64];
    json_t *v = json_object_get(obj, key);
    if (!v)
        return complain(err, path, key, "is required");
    if (!json_is_array(v))
        return complain(err, path, key, "must be an array");
    if (json_array_size(v) > max_items) {
        snprintf(rule, sizeof(rule), "must have at most %zu items", max_items);
        return complain(err, path, key, rule);
    }
    *ret = v;
    return 0;
}

int js_object(const json_t *obj, const char *path, const char *key, json_t **ret, struct err *err)
{
    json_t *v = json_object_get(obj, key);
    if (!v)
        return complain(err, path, key, "is required");
    if (!json_is_object(v))
        return complain(err, path, key, "must be an object");
    *ret = v;
    return 0;
}

const char *js_text_at(const json_t *obj, const char *key)
{
    const char *s = json_string_value(json_object_get(obj, key));
    return s ? s : "";
}

int js_only(const json_t *obj, const char *path, const char *const *allowed, struct err *err)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)obj, key, value)
    {
        size_t i = 0;
        while (allowed[i] && strcmp(allowed[i], key))
            i++;
        if (!allowed[i])
            return complain(err, path, key, "is not a known field");
    }
    return 0;
}

/* Bytes of the UTF-8 character that text begins with; 0 if it begins with none. */
static size_t character(const char *text)
{
    unsigned char lead = (unsigned char)*text;
    size_t len = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    autojson json_t *one = strnlen(text, len) == len ? json_stringn(text, len) : NULL;
    return one ? len : 0;
}

json_t *js_string_of(const char *text)
{
    json_t *whole = json_string(text);
    if (whole)
        return whole;
    autobuf struct buf mended = BUF_INIT;
    for (size_t len; *text; text += len ? len : 1) {
        len = character(text);
        buf_add(&mended, len ? text : "?", len ? len : 1);
    }
    return json_stringn(mended.data, mended.len);
}

char *js_text(const json_t *v)
{
    char *text = json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY);
    return text ? text : mem_strdup("null");
}

static int append_piece(const char *text, size_t len, void *out)
{
    buf_add(out, text, len);
    return 0;
}

void js_append(const json_t *v, struct buf *out)
{
    if (json_dump_callback(v, append_piece, out, JSON_COMPACT | JSON_ENCODE_ANY) < 0)
        buf_adds(out, "null");
}

/* The next Unicode code point; the text is valid UTF-8 because jansson made it. */
static uint32_t code_point(const unsigned char **p)
{
    const unsigned char *s = *p;
    if (s[0] < 0x80) {
        *p = s + 1;
        return s[0];
    }
    if (s[0] < 0xe0) {
        *p = s + 2;
        return (uint32_t)(s[0] & 0x1f) << 6 | (s[1] & 0x3f);
    }
    if (s[0] < 0xf0) {
        *p = s + 3;
        return (uint32_t)(s[0] & 0x0f) << 12 | (uint32_t)(s[1] & 0x3f) << 6 | (s[2] & 0x3f);
    }
    *p = s + 4;
    return (uint32_t)(s[0] & 0x07) << 18 | (uint32_t)(s[1] & 0x3f) << 12 | (uint32_t)(s[2] & 0x3f) << 6 | (s[3] & 0x3f);
}

/* UTF-16 order differs from UTF-8 order only in that U+E000..U+FFFF sort after the supplementary planes. */
static uint32_t utf16_rank(uint32_t cp)
{
    if (cp >= 0x10000)
        return cp; /* surrogates D800..DFFF: after everything below, before E000 */
    return cp >= 0xe000 ? 0x200000 + cp : cp;
}

static int compare_keys(const void *a, const void *b)
{
    const unsigned char *x = *(const unsigned char *const *)a, *y = *(const unsigned char *const *)b;
    while (*x && *y) {
        uint32_t cx = code_point(&x), cy = code_point(&y);
        if (cx != cy)
            return utf16_rank(cx) < utf16_rank(cy) ? -1 : 1;
    }
    return (*x != 0) - (*y != 0);
}

static void canonical_string(const char *s, size_t len, struct buf *out)
{
    buf_addc(out, '"');
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s[i];
        static const char shorts[] = "btn\0fr"; /* 0x08..0x0d; 0x0b has no short form */
        if (c == '"' || c == '\\')
            buf_printf(out, "\\%c", c);
        else if (c >= 0x08 && c <= 0x0d && shorts[c - 8])
            buf_printf(out, "\\%c", shorts[c - 8]);
        else if (c < 0x20)
            buf_printf(out, "\\u%04x", c);
        else
            buf_addc(out, (char)c);
    }
    buf_addc(out, '"');
}

static int canonical_object(const json_t *v, struct buf *out, struct err *err)
{
    size_t n = json_object_size(v), i = 0;
    autofree const char **keys = mem_alloc((n + 1) * sizeof(*keys));
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)v, key, value) keys[i++] = key;
    qsort(keys, n, sizeof(*keys), compare_keys);
    buf_addc(out, '{');
    for (i = 0; i < n; i++) {
        if (i)
            buf_addc(out, ',');
        canonical_string(keys[i], strlen(keys[i]), out);
        buf_addc(out, ':');
        int r = js_canonical(json_object_get(v, keys[i]), out, err);
        if (r < 0)
            return r;
    }
    buf_addc(out, '}');
    return 0;
}

int js_canonical(const json_t *v, struct buf *out, struct err *err)
{
    switch (json_typeof(v)) {
    case JSON_OBJECT:
        return canonical_object(v, out, err);
    case JSON_ARRAY:
        buf_addc(out, '[');
        for (size_t i = 0; i < json_array_size(v); i++) {
            if (i)
                buf_addc(out, ',');
            int r = js_canonical(json_array_get(v, i), out, err);
            if (r < 0)
                return r;
        }
        buf_addc(out, ']');
        return 0;
    case JSON_STRING:
        canonical_string(json_string_value(v), json_string_length(v), out);
        return 0;
    case JSON_INTEGER: {
        long long n = json_integer_value(v);
        if (n > 9007199254740991LL || n < -9007199254740991LL)
            return err_set(err, -EINVAL, "integer %lld has no canonical form: it is beyond 2^53-1", n);
        buf_printf(out, "%lld", n);
        return 0;
    }
    case JSON_REAL:
        return err_set(err, -EINVAL, "number %g has no canonical form: only integers are signed", json_real_value(v));
    case JSON_TRUE:
        buf_adds(out, "true");
        return 0;
    case JSON_FALSE:
        buf_adds(out, "false");
        return 0;
    default:
        buf_adds(out, "null");
        return 0;
    }
}

int js_digest(const json_t *v, char out[65], struct err *err)
{
    struct buf text OH_CLEANUP(buf_free) = BUF_INIT;
    unsigned char hash[SHA256_SIZE];
    int r = js_canonical(v, &text, err);
    if (r < 0)
        return r;
    sha256(text.data, text.len, hash);
    hex_encode(hash, sizeof(hash), out);
    return 0;
}
