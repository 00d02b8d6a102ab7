/* multipart/form-data bodies (RFC 7578) of ClickHouse clients: the statement in the part `query`, bindings in parts
 * `param_NAME`, which would be too long for a URL. Files and other parts (external tables) are refused. */
#pragma once

#include "clickhouse/params.h"

#define MULTIPART_BOUNDARY_MAX 70 /* bytes, RFC 2046 section 5.1.1 */

/* The boundary of a Content-Type `multipart/form-data; boundary=...`, with quotes or without. -EINVAL. */
OH_MUST_CHECK int multipart_boundary(const char *content_type, char ret[MULTIPART_BOUNDARY_MAX + 1], struct err *err);

/* Reads a whole body: appends the part `query` to text and adds bindings and settings to params. -EINVAL says what
 * is wrong, and never repeats a value. */
OH_MUST_CHECK int multipart_parse(const char *body, size_t len, const char *boundary, struct params *params,
                                  struct buf *text, struct err *err);
