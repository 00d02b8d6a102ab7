/* A compiled schema; shared by schema.c (compiles) and schema_check.c (checks). */
#pragma once

#include "control/api/schema.h"

#include <regex.h>

enum {
    TYPE_STRING = 1 << 0,
    TYPE_NUMBER = 1 << 1,
    TYPE_INTEGER = 1 << 2,
    TYPE_BOOLEAN = 1 << 3,
    TYPE_OBJECT = 1 << 4,
    TYPE_ARRAY = 1 << 5,
    TYPE_NULL = 1 << 6,
};

struct schema_format {
    const char *name;
    bool (*valid)(const char *text);
    const char *rule;
};
extern const struct schema_format schema_formats[]; /* ends with a NULL name */

struct schema_property {
    const char *name;
    const struct schema *schema;
    bool required;
};

struct schema {
    const struct schema *target; /* $ref: everything else is unused */
    unsigned types;              /* 0 = any */
    const json_t *enumeration;   /* or NULL */
    const struct schema_format *format;
    bool has_minimum, has_maximum;
    double minimum, maximum, multiple_of; /* multiple_of 0 = none */
    size_t min_length, max_length;        /* characters; SIZE_MAX = none */
    size_t min_items, max_items;          /* SIZE_MAX = none */
    regex_t *pattern;                     /* or NULL */
    const char *rule;                     /* x-rule or NULL */
    struct schema_property *properties;
    size_t n_properties;
    bool has_properties, additional;
    const struct schema *items;
    const struct schema **one_of;
    size_t n_one_of;
    const char *by;                               /* x-by or NULL: the property that says which of one_of is meant */
    const json_t *exclusive, *together, *ordered; /* checked for shape when compiled */
};
