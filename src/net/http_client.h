/* A thin blocking HTTP client over libcurl, for the command line and for work threads.
 *
 * HTTP/1.1 and 2 over TCP with TLS 1.2 or later, or plain over a Unix socket. Certificates are always verified; there
 * is no way to turn that off. Redirects are not followed (an answer 3xx is handed to the caller), so credentials never
 * travel to another host. A proxy named in the environment (https_proxy) is used, but not for a Unix socket, 127.*,
 * [::1] or *.localhost. Thread-safe between requests. */
#pragma once

#include "base/buf.h"
#include "base/err.h"

/* Keeps connections between requests: each request with this pool takes a handle that is free, or a new one, so many
 * threads may share it. */
struct http_pool;
struct http_pool *http_pool_new(void);
void http_pool_free(struct http_pool *p); /* no request may be under way; NULL is fine */

struct http_request {
    const char *method;         /* NULL: GET */
    const char *url;            /* http:// or https:// */
    const char *unix_socket;    /* connect here instead of to the URL's host; NULL: TCP */
    const char *const *headers; /* "Name: value", ends with NULL; may be NULL */
    const char *bearer;         /* Authorization: Bearer; or NULL */
    const char *basic;          /* "user:password"; or NULL */
    const void *body;
    size_t body_len;
    const char *ca_file;    /* PEM; the only authorities trusted. NULL: the system's */
    const char *resolve;    /* "host:port:address" instead of DNS for one name; or NULL */
    struct http_pool *pool; /* to keep the connection for the next request; NULL: one of its own */
    /* Sent once at the most. On a connection that was used before, libcurl takes a close without an answer for a
     * connection that had died, and silently sends again what the server may have carried out; so it gets a new one. */
    bool once;
    bool path_as_is;        /* signed paths: dots and doubled slashes stay */
    bool direct;            /* not through a proxy named in the environment */
    int connect_timeout_ms; /* 0: 10,000 */
    int timeout_ms;         /* whole exchange; 0: 60,000; -1: none, only for streams */
    size_t max_response;    /* body bytes kept; 0: 16 MiB. More: -EMSGSIZE */
    /* Called with each piece of the body instead of keeping it; non-zero stops with -ECANCELED. */
    int (*on_body)(const char *data, size_t len, void *user);
    void *user;
};

struct http_response {
    int status;
    char *body; /* NUL-terminated; "" when there is none or on_body took it */
    size_t body_len;
    char *headers; /* of the last answer, "Name: value\n" lines, names in lower case */
    double seconds;
};

/* 0 for any complete HTTP answer, whatever its status. Otherwise a sentence naming URL and cause, and -ECONNREFUSED,
 * -ETIMEDOUT, -EHOSTUNREACH, -EACCES (certificate), -EMSGSIZE, -ECANCELED, -EINVAL or -EIO. */
OH_MUST_CHECK int http_do(const struct http_request *request, struct http_response *ret, struct err *err);
void http_response_free(struct http_response *r);
/* A header's value by lower-case name into out; false if it is missing or longer. */
bool http_response_header(const struct http_response *r, const char *name, char *out, size_t size);
#define autoresponse OH_CLEANUP(http_response_free)
