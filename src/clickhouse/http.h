/* ClickHouse's HTTP interface on a socket: libmicrohttpd, one thread a connection, since queries block. */
#pragma once

#include "clickhouse/service.h"

struct http; /* opaque */

/* Binds config.listen (a stale Unix socket is replaced, one that answers is not) and serves. */
OH_MUST_CHECK int http_start(struct service *s, struct http **ret, struct err *err);
/* Takes no new connections; those there go on. Removes the Unix socket. */
void http_quiesce(struct http *h);
/* Requests being answered now. */
size_t http_active(const struct http *h);
