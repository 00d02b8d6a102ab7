/* Texts of views that were made before: a view is a pure function of its row, so while the row's columns are the same
 * bytes, its text is too. Long lists are then copied and not made anew. Bounded; when it is full it begins anew. Safe
 * to use from many threads. */
#pragma once

#include "base/buf.h"

struct view_cache;

struct view_cache *view_cache_new(size_t max_bytes);
void view_cache_free(struct view_cache *c); /* NULL is fine */

/* Appends to `out` the text kept under `key` if it was made from these very inputs. NULL cache: never. */
bool view_cache_get(struct view_cache *c, const char *key, const char *inputs, size_t inputs_len, struct buf *out);
/* Keeps it, in place of what was under `key`. */
void view_cache_put(struct view_cache *c, const char *key, const char *inputs, size_t inputs_len, const char *text,
                    size_t len);
