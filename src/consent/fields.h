/* The classes of the desired document's fields, in one table (DESIGN: harmless, exposing, destructive), and what
 * changes between two documents.
 *
 * Works on the documents' JSON, so that a field which this version does not know counts as exposing. Pure. */
#pragma once

#include "base/js.h"
#include "consent/operations.h"

struct field_class {
    const char *path; /* "domain", "services[].name", ... */
    enum operation_class class;
    const char *why;
};
extern const struct field_class field_classes[]; /* ends with a NULL path */

/* Changes above harmless, as a JSON array of {"after","before","class","path"} in the document's order; new reference
 * in *ret. `before` may be NULL: nothing is there yet. Services are matched by id. */
void fields_diff(const json_t *before, const json_t *after, json_t **ret, enum operation_class *ret_worst);
