/* Memory: allocation that aborts when the machine has none, and arenas freed in one go.
 *
 * Out of memory is fatal in our programs; sizes that a peer controls are checked against limits before they reach
 * these functions. */
#pragma once

#include "base/util.h"

void *mem_alloc(size_t size) __attribute__((malloc, alloc_size(1)));    /* zeroed; never NULL; free() */
void *mem_realloc(void *p, size_t size) __attribute__((alloc_size(2))); /* never NULL; free() */
char *mem_strdup(const char *s);                                        /* NULL stays NULL; free() */
char *mem_strndup(const char *s, size_t n);                             /* never NULL; free() */
char *mem_printf(const char *fmt, ...) OH_PRINTF(1, 2);                 /* never NULL; free() */

/* Overwrites secrets in a way the compiler may not remove. */
void mem_wipe(void *p, size_t size);

/* An arena: many small allocations with one lifetime (a request, a reconcile pass). Not thread-safe. */
struct arena;
struct arena *arena_new(void);
void arena_free(struct arena *a);                   /* NULL is fine */
void *arena_alloc(struct arena *a, size_t size);    /* zeroed, 16-byte aligned */
char *arena_strdup(struct arena *a, const char *s); /* NULL stays NULL */
char *arena_strndup(struct arena *a, const char *s, size_t n);
char *arena_printf(struct arena *a, const char *fmt, ...) OH_PRINTF(2, 3);

static inline void arena_freep(struct arena **a)
{
    arena_free(*a);
}
#define autoarena OH_CLEANUP(arena_freep)
