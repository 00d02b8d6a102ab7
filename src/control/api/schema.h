/* JSON schemas as our OpenAPI file uses them, compiled once and then checked against without allocation.
 *
 * The subset of JSON Schema 2020-12: type (one or several), enum, format, minimum, maximum, multipleOf, minLength,
 * maxLength (characters), pattern (POSIX extended), properties, required, additionalProperties, items, minItems,
 * maxItems, $ref into components/schemas, oneOf. An object with properties admits no others unless
 * additionalProperties says so. Ours beside them: x-rule (how a broken pattern is explained), x-exclusive (groups of
 * fields of which at most one may appear), x-together (all or none), x-ordered (the first not above the second), and
 * x-by (the property whose enum tells the forms of a oneOf apart).
 * Anything else in a schema is refused at compile time: what the file says is what is checked.
 *
 * Formats: uuid, date-time, date, email, boolean ("true" or "false" as text), ip-source (base/ip_list.h),
 * cidr-block (private IPv4 network, /8 to /29, no bits beyond the prefix), dns-domain, ipv4-port. */
#pragma once

#include "base/js.h"

struct schema;
struct schema_set;

/* All schemas of a document (components.schemas). The document must outlive the set. -EINVAL names the schema and the
 * keyword. */
OH_MUST_CHECK int schema_set_new(const json_t *document, struct schema_set **ret, struct err *err);
void schema_set_free(struct schema_set *set); /* NULL is fine */

/* Compiles one more schema of the same document; it lives as long as the set. `where` is what errors call it. */
OH_MUST_CHECK int schema_compile(struct schema_set *set, const json_t *node, const char *where,
                                 const struct schema **ret, struct err *err);

/* -EINVAL: one sentence that begins with the value's place below `root` ("ipAccessList[2].source: ..."), or with
 * `root` itself for the whole value. Never quotes the value. */
OH_MUST_CHECK int schema_check(const struct schema *s, const json_t *value, const char *root, struct err *err);

/* A text (query or path parameter) against a schema of type string, or a list of such. */
OH_MUST_CHECK int schema_check_text(const struct schema *s, const char *text, const char *name, struct err *err);
/* True if the schema is an array; then *ret_items is its items' schema. */
bool schema_is_array(const struct schema *s, const struct schema **ret_items, size_t *ret_max);
/* The schema's format, or "". */
const char *schema_format(const struct schema *s);
