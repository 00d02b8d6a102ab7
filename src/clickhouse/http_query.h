/* Query endpoints over HTTP: reads one request of the published form (query_run.h), checks its caller (query_access.h)
 * and makes the engine's request of it. http.c joins both to libmicrohttpd.
 *
 * Refusals are JSON, {"status": 400, "error": "one sentence"}; what the engine says of a statement comes as through its
 * own interface. Cross-origin: a request with an Origin header is served only for the endpoint's allowed origins. */
#pragma once

#include "clickhouse/request.h"

#include <microhttpd.h>

struct http_query; /* opaque, one thread at a time */

bool http_query_is(const char *url);

/* Reads the head; a refusal, or the answer to a preflight, is then known: http_query_answered(). `url_query` must live
 * as long as the object. */
struct http_query *http_query_new(struct service *s, struct MHD_Connection *c, const char *url, const char *url_query,
                                  const char *method);
void http_query_free(struct http_query *q); /* NULL is fine */
bool http_query_answered(const struct http_query *q);

/* A piece of the body. */
void http_query_body(struct http_query *q, const void *data, size_t len);
/* The body is complete: the request for the engine, which request_finish() runs. NULL: it was refused. */
struct request *http_query_request(struct http_query *q, int client_fd);

enum MHD_Result http_query_refuse(struct http_query *q, struct MHD_Connection *c);
/* Adds what a page of the caller's origin needs; q NULL: nothing. */
void http_query_headers(const struct http_query *q, struct MHD_Response *r);
