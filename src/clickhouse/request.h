/* One request of ClickHouse's HTTP interface, without HTTP itself: takes what the request says, runs it, and gives
 * status, headers and body. src/clickhouse/http.c joins it to libmicrohttpd. */
#pragma once

#include "clickhouse/service.h"

struct request_head {
    const char *method;                                         /* "GET", "HEAD", "POST" */
    const char *url_query;                                      /* raw query string, may be NULL */
    const char *authorization, *user, *key, *database, *format; /* headers, NULL when absent */
    const char *accept_encoding, *content_encoding, *content_type;
    int client_fd; /* watched for the client going away */
    /* A request that was read and whose caller was checked elsewhere (http_query.c): instead of url_query and of the
     * credentials above. */
    struct params *params; /* handed over; NULL: read the above */
    const char *trusted_user, *sql;
    bool trusted_readonly;
};

struct request; /* opaque, one thread at a time */

/* Reads the head; a failure (credentials, parameters) is remembered and becomes the reply. */
struct request *request_new(struct service *s, const struct request_head *head);
/* A piece of the body. INSERT data go on to the engine as they come. */
void request_body(struct request *r, const void *data, size_t len);
/* The body is complete: runs the statement until status and headers are known. */
void request_finish(struct request *r);
/* Cancels what still runs and frees all. Before request_finish it means that the client broke off. */
void request_free(struct request *r);         /* NULL is fine */
bool request_failed(const struct request *r); /* a reply is known already; the body is of no use any more */

/* After request_finish. Headers are pairs of name and value; borrowed. */
int request_status(const struct request *r);
size_t request_headers(const struct request *r, const char *const (**ret)[2]);

enum request_body_kind { BODY_MEMORY, BODY_FILE, BODY_STREAM };
enum request_body_kind request_body_kind(const struct request *r);
/* BODY_MEMORY: hands out the bytes; free(). */
char *request_take_body(struct request *r, size_t *ret_len);
/* BODY_FILE: hands out a descriptor at its start and its size; close(). */
int request_take_file(struct request *r, uint64_t *ret_size);
/* BODY_STREAM: waits for more of the result. 0: the end; -EIO: broken off after an exception was sent. */
ssize_t request_read(struct request *r, char *out, size_t max);
