/* HTTP/1.1 on a Unix socket (libmicrohttpd, a pool of threads, blocking handlers), for HAProxy in front.
 *
 * Limits: 64 KiB of header and URL, 1 MiB of body, 30 s for a request to arrive, 1024 connections. The client's address
 * is what HAProxy put into X-Forwarded-For; nobody else can reach the socket (mode 0600). */
#pragma once

#include "control/api/request.h"

struct http_server;

/* Listens on `socket_path` (a leftover file is replaced) and answers until http_stop(). -ENAMETOOLONG: the path does
 * not fit a Unix socket address. */
OH_MUST_CHECK int http_start(const struct api *api, const char *socket_path, struct http_server **ret, struct err *err);
/* Takes no new connections, lets what runs end (at most wait_ms), ends the lanes of the api, closes the rest. */
void http_stop(struct http_server *s, int wait_ms);
