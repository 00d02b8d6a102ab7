/* HTTP/1.1 requests as the gate takes them: whole, small and strictly written (RFC 9112). Pure.
 *
 * CRLF line ends only, a path that begins with `/`, no folded lines, no Transfer-Encoding, one Content-Length at most.
 * Headers are checked for form and otherwise not looked at: nothing that a client writes there reaches a target. */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#define HTTP1_HEAD_MAX KIB(8)
#define HTTP1_BODY_MAX KIB(32)

struct http1_reader {
    struct buf data;
    size_t want; /* bytes of head and body, once the head is read */
    size_t head; /* its length, 0: not whole yet */
};

struct http1_request {
    char method[8];
    char *target; /* as written; points into the reader, as body does, until http1_next() */
    const char *body;
    size_t body_len;
    bool keep_alive;
};

void http1_reader_free(struct http1_reader *r);
/* Takes bytes, moving *data and *len on. 1: a whole request; http1_next() before the next. 0: more is needed. Negative:
 * the connection must be closed after an answer of *ret_status (400, 411, 413, 431, 501). */
OH_MUST_CHECK int http1_read(struct http1_reader *r, const char **data, size_t *len, struct http1_request *ret,
                             int *ret_status, struct err *err);
void http1_next(struct http1_reader *r);

/* Appends an answer's head and body. `type` is the Content-Type; `headers` are lines with CRLF, "" for none. */
void http1_answer(struct buf *out, int status, const char *type, const char *headers, const char *body, size_t len,
                  bool keep_alive);

/* One decoded parameter of the target's query string, free(); NULL: it is not there. -EINVAL: it is there twice or
 * badly encoded. */
OH_MUST_CHECK int http1_param(const char *target, const char *name, char **ret, struct err *err);
/* Fails with the name of the first parameter that is not in the NULL-terminated list. */
OH_MUST_CHECK int http1_params_only(const char *target, const char *const *allowed, struct err *err);
