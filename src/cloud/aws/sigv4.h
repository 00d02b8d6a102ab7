/* AWS Signature Version 4: the Authorization header and the exact wire form it covers.
 *
 * Source of the rules: AWS IAM User Guide, "Create a signed AWS API request". Everything is given decoded; the signer
 * encodes strictly (RFC 3986 unreserved stay), sorts the query and doubles the encoding of the path for all services
 * but S3. libcurl 7.88's own signer breaks these rules (docs/decisions/0050-aws-signatures-server-tokens.md), so it is
 * not used. What is returned must go on the wire unchanged (CURLOPT_PATH_AS_IS). */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#define SIGV4_DATE_SIZE 17  /* 20261123T030000Z and NUL */
#define SIGV4_PAIRS_MAX 512 /* of query parameters or headers */
#define SIGV4_SLASH '\x1f'
#define SIGV4_UNSIGNED "UNSIGNED-PAYLOAD"

/* Keys as text, borrowed. token may be NULL or "". */
struct sigv4_keys {
    const char *id, *secret, *token;
};

struct sigv4_pair {
    const char *name, *value;
};

struct sigv4_request {
    const char *method, *host; /* host as in the Host header, with a port that is not the scheme's own */
    const char *path;          /* decoded, begins with /; SIGV4_SLASH stands for a slash inside a segment (an ARN) */
    const struct sigv4_pair *query; /* decoded, in any order; a parameter without value has value "" */
    size_t n_query;
    const struct sigv4_pair *headers; /* names in lower case; host and x-amz-date are the signer's own */
    size_t n_headers;
    const char *payload_sha256; /* 64 hex digits, or SIGV4_UNSIGNED for S3 over TLS */
    const char *service, *region;
    int64_t wall_ms;
};

struct sigv4_signed {
    char *target;        /* path and query as on the wire */
    char *authorization; /* the header's value */
    char date[SIGV4_DATE_SIZE];
};

/* Appends the strict percent-encoding of text; `slash` keeps "/" and encodes SIGV4_SLASH as one. */
void sigv4_encode(struct buf *out, const char *text, bool slash);

/* S3 requests are signed with x-amz-content-sha256, a token with x-amz-security-token: the caller sends both beside the
 * date. -EINVAL: a header with a line break; -E2BIG: more than SIGV4_PAIRS_MAX. */
OH_MUST_CHECK int sigv4_sign(const struct sigv4_request *q, const struct sigv4_keys *keys, struct sigv4_signed *ret,
                             struct err *err);
/* The same in the query instead of a header: *ret is the path and query that anybody may send within `seconds`. The
 * request's own query must not have parameters named X-Amz-... Heap. Errors as above. */
OH_MUST_CHECK int sigv4_presign(const struct sigv4_request *q, const struct sigv4_keys *keys, int seconds, char **ret,
                                struct err *err);
void sigv4_signed_free(struct sigv4_signed *s);
