/* PROXY protocol version 2: who the client is, told by our own front. Source: haproxy's proxy-protocol.txt.
 *
 * Pure and incremental. Only the binary form is understood; type-length-values after the addresses are skipped, and
 * the whole header is at most 536 bytes (16 + 520), enough for what HAProxy adds to a TCP address. */
#pragma once

#include "base/err.h"

#include <sys/socket.h>

#define PROXYPROTO_MAX 536

struct proxyproto {
    bool local;                       /* LOCAL command or unknown family: no client address, a health check */
    struct sockaddr_storage src, dst; /* AF_INET, AF_INET6 or AF_UNIX (path left out), valid unless local */
};

/* Looks at len bytes from the start of the connection. Positive: a whole header of that many bytes, *ret filled.
 * 0: more bytes are needed. -EPROTO: not such a header. -EMSGSIZE: longer than PROXYPROTO_MAX. */
OH_MUST_CHECK int proxyproto_parse(const uint8_t *data, size_t len, struct proxyproto *ret, struct err *err);
/* How many bytes must be there before proxyproto_parse can get on: 16, then the whole header's length; so a reader can
 * take exactly the header and leave what follows in the socket. */
size_t proxyproto_need(const uint8_t *data, size_t len);
/* Writes a header for a TCP connection (both addresses of one family, AF_INET or AF_INET6), or with src NULL a LOCAL
 * one; returns its length (at most 52). -EAFNOSUPPORT for other families. */
OH_MUST_CHECK int proxyproto_write(const struct sockaddr *src, const struct sockaddr *dst, uint8_t out[52]);
