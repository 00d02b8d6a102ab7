/* Configuration files: `key = value` lines described by one table a program.
 *
 * Blank lines and lines that start with # are skipped. Unknown keys, repeated keys, bad values and missing required
 * keys are errors that name file, line and key. Values have no quoting: everything after `=`, trimmed. */
#pragma once

#include "base/err.h"

enum conf_type {
    CONF_STRING, /* char *, heap */
    CONF_PATH,   /* char *, heap; must be absolute */
    CONF_INT,    /* int64_t, within min..max */
    CONF_BOOL,   /* bool: yes | no */
};

struct conf_key {
    const char *name;
    enum conf_type type;
    size_t offset;        /* into the caller's struct */
    const char *fallback; /* default as text; NULL = required */
    int64_t min, max;     /* CONF_INT bounds; CONF_STRING/PATH: max bytes (0 = 4096) */
    const char *help;     /* one line, for --help and man pages */
};

/* Fills `into` (zeroed by the caller) from text; `name` is what errors call the file. On failure nothing that was
 * allocated leaks and `into` is zero in all its string fields. `keys` ends with a NULL name. */
OH_MUST_CHECK int conf_parse(const char *name, const char *text, size_t len, const struct conf_key *keys, void *into,
                             struct err *err);
OH_MUST_CHECK int conf_load(const char *path, const struct conf_key *keys, void *into, struct err *err);
void conf_free(const struct conf_key *keys, void *into);
