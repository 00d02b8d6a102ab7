/* One request on its way through the API: who asks, what for, and the answer that grows. */
#pragma once

#include "base/clock.h"
#include "control/api/contract.h"
#include "control/api/lane.h"
#include "control/identity/api_key.h"
#include "control/identity/throttle.h"
#include "control/role.h"
#include "store/store.h"

#include <pthread.h>

struct events;

/* Where an operation is carried out: on the connection's own thread, or by a few threads of a lane, so that slow ones
 * can neither use up all memory nor keep others waiting. */
enum api_lane { API_INLINE, API_LANE_HASH /* argon2: 64 MiB each */, API_LANE_OUTWARD /* other hosts */, API_LANES };

/* What all requests share. */
struct api {
    struct role *role;
    const struct clock *clock;
    struct contract *contract;
    struct events *events;
    struct view_cache *views; /* of services in lists; NULL: none are kept */
    bool check_answers;       /* test builds: an answer outside the contract becomes a 500 */
    struct throttle *throttle;
    struct lane *lanes[API_LANES]; /* lanes[API_INLINE] is NULL */
    pthread_mutex_t *signer_lock;  /* one question at a time on role->signer */
};

#define API_HEADERS_MAX 4

struct api_request {
    const struct api *api;
    struct store *store; /* in a transaction while a handler runs */
    struct arena *arena;
    char id[UUID_SIZE];
    int64_t now; /* wall time at which it began, ms */
    const char *address, *user_agent, *idempotency_key;
    const char *session_token; /* our cookies as they came; NULL = none */
    const char *device_token, *oidc_token;
    struct identity who;
    struct contract_match match;

    void *prepared; /* from the entry's `before` to its handler */
    struct {
        const char *name, *value;
    } headers[API_HEADERS_MAX]; /* of the answer, beside the usual ones; api_header() */
    size_t n_headers;

    json_t *result;        /* set by the handler; NULL = none */
    json_t *result_stored; /* the same without secrets, for a repetition; NULL = result itself */
    struct buf list;       /* the whole answer as text, when the handler gives its result item by item */
    bool plain;            /* list is plain text and no envelope (Prometheus) */
    int status;            /* of a refusal; set although the handler returned 0: the transaction stands all the same */
    char refusal[ERR_MESSAGE_MAX];
};

/* A handler runs inside a transaction (read-only for GET) that is committed when it returns 0. Negative: rolled back;
 * the user gets what api_refuse() said, or, for any other error, a plain 500 or 503 while the log gets `err`. */
typedef int (*api_handler)(struct api_request *q, struct err *err);

/* Ends the request with a status and one sentence; always -ECANCELED. */
int api_refuse(struct api_request *q, int status, const char *fmt, ...) OH_PRINTF(3, 4);
/* The same, but what the handler wrote is committed; returns 0. */
int api_refuse_and_keep(struct api_request *q, int status, const char *fmt, ...) OH_PRINTF(3, 4);
/* 404 for a thing of this kind. */
int api_missing(struct api_request *q, const char *kind);

/* An activity of this request. service, infrastructure and details may be NULL; details: a JSON object or plain words.
 */
OH_MUST_CHECK int api_activity(struct api_request *q, const char *type, const char *service, const char *infrastructure,
                               const char *details, struct err *err);

/* The same with another actor than who asks. */
OH_MUST_CHECK int api_activity_as(struct api_request *q, const char *organization, const char *type,
                                  const char *actor_id, const char *actor_name, const char *details, struct err *err);

/* One more header of the answer; texts are copied into the arena. */
void api_header(struct api_request *q, const char *name, const char *value);
/* For results that are long arrays: instead of setting q->result a reading handler begins a list and adds each item to
 * it, so that no more than one item is ever held as a tree. */
void api_list_begin(struct api_request *q);
void api_list_add(struct api_request *q, const json_t *item);
/* The place behind which an item's text may be put instead. */
struct buf *api_list_next(struct api_request *q);

/* Shorthands. A body field, or NULL; a query field, or NULL; a query flag. */
static inline json_t *api_body(const struct api_request *q, const char *name)
{
    return json_object_get(q->match.body, name);
}
static inline const char *api_body_text(const struct api_request *q, const char *name)
{
    return json_string_value(json_object_get(q->match.body, name));
}
static inline const char *api_query(const struct api_request *q, const char *name)
{
    return json_string_value(json_object_get(q->match.query, name));
}
static inline bool api_query_flag(const struct api_request *q, const char *name)
{
    return json_is_true(json_object_get(q->match.query, name));
}

json_t *api_time(int64_t ms);                                  /* RFC 3339 text */
json_t *api_time_or_null(struct store_rows *rows, int column); /* NULL column: JSON null */
json_t *api_column_json(struct store_rows *rows, int column);  /* a JSON column; null if it does not parse */
/* Runs a query that gives one number; 0 for no row. */
OH_MUST_CHECK int api_number(struct api_request *q, const char *sql, const struct store_value *args, size_t n_args,
                             int64_t *ret, struct err *err);

/* "Some Name!" -> "some-name", at most `max` bytes, never empty. In the arena. */
char *api_label(struct arena *arena, const char *name, const char *fallback, size_t max);

/* before: outside of the transaction, for what takes long; may refuse. after: once it is committed; what it cannot do
 * it says in the result. Both may be NULL. */
struct api_entry {
    const char *id; /* operationId */
    api_handler handler, before, after;
    enum api_lane lane;
};
/* The table of handlers by operationId; NULL if there is none. */
const struct api_entry *api_entry_of(const char *operation_id);
extern const size_t api_handlers_count;

/* Carries out a request whose operation is found and whose sender is known: checks body and query, runs the handler in
 * a transaction, honours Idempotency-Key, rings the controller after a change. *ret is the whole answer (envelope, new
 * reference), the return value its HTTP status. *ret is NULL if q->list holds the answer as text. */
int api_carry_out(struct api_request *q, const struct contract_request *request, json_t **ret);
/* The envelope of an error. */
json_t *api_error(int status, const char *request_id, const char *sentence);
