/* JSON: strict parsing with limits, typed field access with errors that name the field, canonical form and digest.
 *
 * Values are jansson's json_t; `autojson json_t *v` drops the reference at scope end. Parsing refuses duplicate
 * keys, invalid UTF-8, integers beyond int64 and depth over 64. */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#include <jansson.h>

static inline void js_decrefp(json_t **v)
{
    json_decref(*v);
}
#define autojson OH_CLEANUP(js_decrefp)

/* Parses len bytes (at most `max`, else -EMSGSIZE before anything is built). New reference in *ret.
 * -EINVAL: message has line and column. */
OH_MUST_CHECK int js_parse(const char *text, size_t len, size_t max, json_t **ret, struct err *err);

/* Typed fields of an object. `path` is what the user called the object ("" at the top) and leads the message, as in
 * `services[3].name: must be a string`. The required forms fail on a missing field; the optional forms leave *ret
 * alone and succeed. Strings are borrowed from the object; lengths are bytes. */
OH_MUST_CHECK int js_string(const json_t *obj, const char *path, const char *key, size_t max, const char **ret,
                            struct err *err);
OH_MUST_CHECK int js_string_opt(const json_t *obj, const char *path, const char *key, size_t max, const char **ret,
                                struct err *err);
OH_MUST_CHECK int js_int(const json_t *obj, const char *path, const char *key, int64_t min, int64_t max, int64_t *ret,
                         struct err *err);
OH_MUST_CHECK int js_int_opt(const json_t *obj, const char *path, const char *key, int64_t min, int64_t max,
                             int64_t *ret, struct err *err);
OH_MUST_CHECK int js_bool_opt(const json_t *obj, const char *path, const char *key, bool *ret, struct err *err);
OH_MUST_CHECK int js_array(const json_t *obj, const char *path, const char *key, size_t max_items, json_t **ret,
                           struct err *err);
OH_MUST_CHECK int js_object(const json_t *obj, const char *path, const char *key, json_t **ret, struct err *err);

/* For what was checked before or is only shown: the string at `key`, borrowed from the object; "" if there is none. */
const char *js_text_at(const json_t *obj, const char *key);

/* Fails with the name of the first field that is not in the NULL-terminated list. */
OH_MUST_CHECK int js_only(const json_t *obj, const char *path, const char *const *allowed, struct err *err);

/* A string of text that may not be whole UTF-8, such as a message cut at its ceiling: each byte that is part of no
 * character becomes '?'. New reference, never NULL. */
json_t *js_string_of(const char *text);

/* Compact text in insertion order; never NULL, free(). js_append puts the same behind what is in the buffer. */
char *js_text(const json_t *v);
void js_append(const json_t *v, struct buf *out);

/* Canonical form: RFC 8785 restricted to what we sign: keys sorted by UTF-16 code units, no white space, shortest
 * escapes, integers within +-(2^53-1). Reals and larger integers are refused (-EINVAL). Appends to out. */
OH_MUST_CHECK int js_canonical(const json_t *v, struct buf *out, struct err *err);

/* SHA-256 of the canonical form, 64 lower-case hex digits and NUL. */
OH_MUST_CHECK int js_digest(const json_t *v, char out[65], struct err *err);
