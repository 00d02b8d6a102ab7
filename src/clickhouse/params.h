/* The URL's query string of ClickHouse's HTTP interface: decoding, and the split into the interface's own names
 * (query, database, session_id ...), bindings (`param_NAME`) and engine settings (every other name).
 *
 * Rules: application/x-www-form-urlencoded (`+` is a space, %XX a byte). A name of the interface's own that comes
 * twice keeps its first value; a setting or binding that comes twice keeps its last. Names are UTF-8 text without
 * NUL; values of bindings may hold any byte, all others no NUL. */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#define PARAMS_MAX_COUNT 1024              /* pairs in one request */
#define PARAMS_MAX_BYTES ((size_t)1 << 20) /* of an encoded query string */
#define PARAMS_MAX_NAME 256                /* bytes of a decoded name */

struct param {
    char *name; /* settings and own names as written; bindings without the `param_` prefix */
    char *value;
    size_t value_len; /* bytes; value is NUL-terminated beyond them */
};

struct params; /* opaque; owns all it hands out */

struct params *params_new(void);
void params_free(struct params *p); /* NULL is fine; values are wiped, since one may be a password */

/* Adds all pairs of one encoded query string (without the `?`). -EINVAL (message says what is wrong), -E2BIG for
 * too many or too long ones. Never puts a value into the message. */
OH_MUST_CHECK int params_parse(struct params *p, const char *query, size_t len, struct err *err);

/* Adds one pair that is already decoded, with the same rules and errors. */
OH_MUST_CHECK int params_add(struct params *p, const char *name, size_t name_len, const char *value, size_t value_len,
                             struct err *err);

/* The value of one of the interface's own names, NULL when it was not given. */
const char *params_get(const struct params *p, const char *name);
/* The last value of a setting, NULL when it was not given. */
const char *params_setting(const struct params *p, const char *name);
/* True for "1", "true", "yes", "on" (any case) of an own name or, when that is missing, of a setting. */
bool params_flag(const struct params *p, const char *name, bool fallback);
/* A whole number of an own name or setting: 0 and *ret, or -EINVAL for text that is no number in 0..max; *ret keeps
 * its value when the name was not given. */
OH_MUST_CHECK int params_number(const struct params *p, const char *name, uint64_t max, uint64_t *ret, struct err *err);

size_t params_settings(const struct params *p, const struct param **ret);
size_t params_bindings(const struct params *p, const struct param **ret);

/* Appends `name = 'value'` for every setting, comma-separated, as a SET statement takes it; adds nothing if there
 * is none. */
void params_settings_sql(const struct params *p, struct buf *out);

/* Appends text as a ClickHouse string literal, quotes included. */
void params_quote(const char *text, size_t len, struct buf *out);

static inline void params_freep(struct params **p)
{
    params_free(*p);
}
#define autoparams OH_CLEANUP(params_freep)
