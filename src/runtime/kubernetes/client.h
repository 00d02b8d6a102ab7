/* A client of one Kubernetes API server over libcurl's multi interface: many requests and watches on few connections
 * (HTTP/2 where the server has it), driven by one thread.
 *
 * Answers 429 and 503 with Retry-After are tried again after that time, 401 once after the token was renewed; anything
 * else goes to the caller, who knows whether to ask again. Redirects are not followed. Certificates are verified. */
#pragma once

#include "runtime/kubernetes/access.h"

#define KUBE_ANSWER_MAX MIB(16)
#define KUBE_REQUEST_MS 30000
#define KUBE_SILENCE_S 180 /* of a stream; bookmarks come each minute */

struct kube_reply {
    int error;  /* 0, or a negative errno: no answer was had (message says why) */
    int status; /* HTTP */
    const char *body;
    size_t len;
    const char *message; /* one sentence when error or status >= 400: the Status object's message */
    const char *reason;  /* of the Status object: "Conflict", "Expired" ...; "" */
};

struct kube_request {
    const char *method;                /* NULL: GET */
    const char *path;                  /* from '/', with its query */
    const char *content_type, *accept; /* NULL: application/json */
    const char *body;
    size_t len;
    /* A stream: called with bytes of an answer 200; non-zero ends it with that error. NULL: the answer is kept whole.
     */
    int (*on_data)(const char *bytes, size_t len, void *data);
    /* Once, always. The reply is borrowed for the call. New requests may be made in it. */
    void (*done)(const struct kube_reply *reply, void *data);
    void *data;
};

struct kube_client;

/* `access` is taken over. */
struct kube_client *kube_client_new(struct kube_access *access, const struct clock *clock);
void kube_client_free(struct kube_client *c); /* requests under way are told -ECANCELED; none may be made then */

/* Texts are copied. */
void kube_client_send(struct kube_client *c, const struct kube_request *r);
/* Ends every request with this data pointer, without a call of done. */
void kube_client_cancel(struct kube_client *c, const void *data);
/* Waits until something happens, at most timeout_ms, and acts on it. */
void kube_client_poll(struct kube_client *c, int timeout_ms);
/* One request, waited for. The HTTP status with its JSON in *ret (NULL without one, new reference), or a negative
 * errno: no answer. `message` of at least KUBE_MESSAGE bytes says what went wrong: the server's word of 400 and beyond,
 * or why there is no answer. Both may be NULL: not wanted. No trace of `body`, borrowed, stays in memory that we had
 * for it. */
#define KUBE_MESSAGE 500
OH_MUST_CHECK int kube_client_ask(struct kube_client *c, const char *method, const char *path, const char *content_type,
                                  const json_t *body, json_t **ret, char *message, struct err *err);
/* From another thread: ends a wait in kube_client_poll(). */
void kube_client_wake(struct kube_client *c);

struct kube_counts {
    uint64_t requests, watches, retried, bytes; /* sent since the start; received bytes of bodies */
};
struct kube_counts kube_client_counts(const struct kube_client *c);
