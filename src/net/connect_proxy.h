/* HTTP CONNECT through a proxy (RFC 9110 section 9.3.6): the request's text and the answer's parser. Pure. */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#define CONNECT_PROXY_MAX KIB(8) /* longest answer head taken */

/* Appends the request for host:port; an IPv6 address gets its brackets. `credentials` is "user:password" for Basic
 * (RFC 7617) or NULL; wipe the buffer after use then. -EINVAL for a host or credentials with bytes that could break out
 * of the line. */
OH_MUST_CHECK int connect_proxy_request(const char *host, uint16_t port, const char *credentials, struct buf *out,
                                        struct err *err);

/* Looks at the first len bytes of the answer. Positive: the tunnel is open after that many bytes. 0: more needed.
 * Negative with a sentence: -EACCES (403 and other refusals), -EPERM (407, 401: credentials wanted or wrong),
 * -EHOSTUNREACH (502, 503, 504: the proxy cannot reach the host), -EMSGSIZE (head over 8 KiB), -EPROTO (not an HTTP/1
 * answer). */
OH_MUST_CHECK int connect_proxy_response(const char *data, size_t len, struct err *err);
