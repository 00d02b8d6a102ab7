/* A small XML writer: elements open and close in order, texts are escaped, names are trusted (they come from our code
 * or have passed names.h). Output is indented by four spaces and ends with a newline. XML 1.0, 5th edition. */
#pragma once

#include "base/buf.h"

#define XML_MAX_DEPTH 16

struct xml {
    struct buf *out; /* borrowed */
    const char *open[XML_MAX_DEPTH];
    int depth;
};

void xml_init(struct xml *x, struct buf *out);
void xml_open(struct xml *x, const char *name); /* name must live until it is closed */
void xml_close(struct xml *x);
void xml_text(struct xml *x, const char *name, const char *value);
void xml_int(struct xml *x, const char *name, int64_t value);
void xml_true(struct xml *x, const char *name); /* written as 1, as ClickHouse's own files do */
void xml_empty(struct xml *x, const char *name);
/* A comment of ours: no "--" in it. */
void xml_comment(struct xml *x, const char *text);
