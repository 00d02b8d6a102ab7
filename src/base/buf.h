/* A growable byte buffer with a ceiling, and text encodings (hex, base64, base64url). */
#pragma once

#include "base/util.h"

struct buf {
    char *data; /* always NUL-terminated once anything was added; NULL before */
    size_t len; /* bytes in use, without the terminator */
    size_t cap;
    size_t max; /* ceiling in bytes, 0 = none; growing past it sets `overflow` and adds nothing */
    bool overflow;
};

#define BUF_INIT ((struct buf){0})
#define BUF_INIT_MAX(limit) ((struct buf){.max = (limit)})

void buf_free(struct buf *b); /* leaves an empty buffer with the same ceiling */
void buf_add(struct buf *b, const void *data, size_t len);
void buf_adds(struct buf *b, const char *s);
void buf_addc(struct buf *b, char c);
/* The text between two of `mark`, with a backslash before each of them and each backslash in it: a ClickHouse literal
 * (mark ') or name (mark `). */
void buf_quote(struct buf *b, char mark, const char *text);
void buf_printf(struct buf *b, const char *fmt, ...) OH_PRINTF(2, 3);
void buf_consume(struct buf *b, size_t n); /* drops n bytes from the front */
char *buf_take(struct buf *b);             /* hands out the text (never NULL), leaves the buffer empty; free() */
#define autobuf OH_CLEANUP(buf_free)

/* Lower-case hex; out has 2*len+1 bytes. */
void hex_encode(const void *data, size_t len, char *out);
/* 0..15 of one hex digit (either case), -1 for any other byte. */
int hex_digit(char c);
/* Decodes exactly out_len bytes from 2*out_len hex digits (either case); -EINVAL otherwise. */
OH_MUST_CHECK int hex_decode(const char *text, void *out, size_t out_len);

/* Standard base64 with padding, RFC 4648 section 4; never NULL, free(). */
char *base64_encode(const void *data, size_t len);
/* Strict: alphabet, padding and zero trailing bits are checked; -EINVAL otherwise. *ret is free()d by the caller
 * and NUL-terminated beyond *ret_len. At most `max` bytes, else -EMSGSIZE. */
OH_MUST_CHECK int base64_decode(const char *text, size_t max, unsigned char **ret, size_t *ret_len);
