/* Small things every module needs: cleanup attributes, array sizes, container_of. */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OH_MUST_CHECK __attribute__((warn_unused_result))
#define OH_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define OH_NORETURN __attribute__((noreturn))
#define OH_CLEANUP(fn) __attribute__((cleanup(fn)))
#define OH_UNUSED __attribute__((unused))

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

#define KIB(n) ((size_t)(n) << 10)
#define MIB(n) ((size_t)(n) << 20)

/* Frees a heap pointer when the variable leaves scope: `autofree char *s = ...`. */
static inline void oh_freep(void *p)
{
    free(*(void **)p);
}
#define autofree OH_CLEANUP(oh_freep)

/* Closes a descriptor >= 0 when the variable leaves scope: `autoclose int fd = -1;`. */
static inline void oh_closep(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}
#define autoclose OH_CLEANUP(oh_closep)

static inline void oh_fclosep(FILE **f)
{
    if (*f)
        fclose(*f);
}
#define autofclose OH_CLEANUP(oh_fclosep)

/* Hands the value out of an auto variable, leaving NULL (or -1) behind. */
#define TAKE_PTR(p)                \
    ({                             \
        __typeof__(p) *_pp = &(p); \
        __typeof__(p) _v = *_pp;   \
        *_pp = NULL;               \
        _v;                        \
    })
static inline int oh_take_fd(int *fd)
{
    int v = *fd;
    *fd = -1;
    return v;
}
