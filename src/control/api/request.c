/* Carries a request out: transaction, repetition, refusals and the envelope. */
#include "control/api/request.h"

#include "base/log.h"
#include "control/identity/session.h"
#include "store/group.h"

#include <pthread.h>
#include <stdarg.h>

#define IDEMPOTENCY_MS (24 * 3600 * 1000LL)

int api_refuse(struct api_request *q, int status, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(q->refusal, sizeof(q->refusal), fmt, ap);
    va_end(ap);
    q->status = status;
    return -ECANCELED;
}

int api_refuse_and_keep(struct api_request *q, int status, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(q->refusal, sizeof(q->refusal), fmt, ap);
    va_end(ap);
    q->status = status;
    return 0;
}

void api_header(struct api_request *q, const char *name, const char *value)
{
    if (q->n_headers == API_HEADERS_MAX)
        abort();
    q->headers[q->n_headers].name = name;
    q->headers[q->n_headers++].value = arena_strdup(q->arena, value);
}

int api_missing(struct api_request *q, const char *kind)
{
    return api_refuse(q, 404, "there is no such %s", kind);
}

struct activity {
    const char *organization, *type, *actor_type, *actor_id, *actor_name, *service, *infrastructure, *details;
};

static int insert_activity(struct api_request *q, const struct activity *a, struct err *err)
{
    char id[UUID_SIZE];
    uuid_new(id);
    return store_exec(q->store,
                      "INSERT INTO activity (id, organization_id, type, actor_type, actor_id, actor_details, "
                      "actor_address, user_agent, service_id, infrastructure_id, details, request_id, created_at) "
                      "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
                      STORE_ARGS(store_text(id), store_text(a->organization), store_text(a->type),
                                 store_text(a->actor_type), store_text(a->actor_id), store_text(a->actor_name),
                                 store_text(q->address), store_text(q->user_agent), store_text(a->service),
                                 store_text(a->infrastructure), store_text(a->details ? a->details : ""),
                                 store_text(q->id), store_int(q->now)),
                      NULL, err);
}

int api_activity(struct api_request *q, const char *type, const char *service, const char *infrastructure,
                 const char *details, struct err *err)
{
    bool person = *q->who.user;
    return insert_activity(q,
                           &(struct activity){.organization = q->who.organization,
                                              .type = type,
                                              .actor_type = person ? "user" : "api",
                                              .actor_id = person ? q->who.user : q->who.key,
                                              .actor_name = q->who.name,
                                              .service = service,
                                              .infrastructure = infrastructure,
                                              .details = details},
                           err);
}

int api_activity_as(struct api_request *q, const char *organization, const char *type, const char *actor_id,
                    const char *actor_name, const char *details, struct err *err)
{
    return insert_activity(q,
                           &(struct activity){.organization = organization,
                                              .type = type,
                                              .actor_type = "user",
                                              .actor_id = actor_id,
                                              .actor_name = actor_name,
                                              .details = details},
                           err);
}

json_t *api_time(int64_t ms)
{
    char text[CLOCK_ISO_SIZE];
    clock_iso(ms, text);
    return json_string(text);
}

json_t *api_time_or_null(struct store_rows *rows, int column)
{
    return store_column_is_null(rows, column) ? json_null() : api_time(store_column_int(rows, column));
}

json_t *api_column_json(struct store_rows *rows, int column)
{
    const char *text = store_column_text(rows, column);
    json_t *v = NULL;
    if (!text || js_parse(text, strlen(text), MIB(16), &v, NULL) < 0)
        return json_null();
    return v;
}

int api_number(struct api_request *q, const char *sql, const struct store_value *args, size_t n_args, int64_t *ret,
               struct err *err)
{
    autorows struct store_rows *rows = NULL;
    int r = store_query(q->store, sql, args, n_args, &rows, err);
    if (r == 0)
        r = store_next(rows, err);
    if (r < 0)
        return r;
    *ret = r ? store_column_int(rows, 0) : 0;
    return 0;
}

char *api_label(struct arena *arena, const char *name, const char *fallback, size_t max)
{
    char *label = arena_alloc(arena, max + 1);
    size_t len = 0;
    for (; *name && len < max; name++) {
        char c = *name >= 'A' && *name <= 'Z' ? (char)(*name - 'A' + 'a') : *name;
        if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
            label[len++] = c;
        else if (len && label[len - 1] != '-')
            label[len++] = '-';
    }
    while (len && label[len - 1] == '-')
        len--;
    label[len] = 0;
    return len ? label : arena_strdup(arena, fallback);
}

json_t *api_error(int status, const char *request_id, const char *sentence)
{
    return json_pack("{s:i,s:o,s:s}", "status", status, "error", js_string_of(sentence), "requestId", request_id);
}

void api_list_begin(struct api_request *q)
{
    buf_printf(&q->list, "{\"status\":200,\"requestId\":\"%s\",\"result\":[", q->id);
}

struct buf *api_list_next(struct api_request *q)
{
    if (q->list.data[q->list.len - 1] != '[')
        buf_addc(&q->list, ',');
    return &q->list;
}

void api_list_add(struct api_request *q, const json_t *item)
{
    js_append(item, api_list_next(q));
}

static json_t *success(const struct api_request *q, json_t *result)
{
    json_t *v = json_pack("{s:i,s:s}", "status", 200, "requestId", q->id);
    if (result)
        json_object_set(v, "result", result);
    return v;
}

/* What the asker is told when the fault is ours; the log has the rest. */
static int explain_fault(int code, const char **ret)
{
    switch (code) {
    case -EBUSY:
        *ret = "the control plane is busy; nothing was changed, try again in a few seconds";
        return 503;
    case -ENOSPC:
        *ret = "the disk of the control plane is full; nothing was changed";
        return 503;
    case -EROFS:
        *ret = "the control plane cannot write its store; nothing was changed";
        return 503;
    default:
        *ret = "the control plane failed; nothing was changed, and its log says why under this requestId";
        return 500;
    }
}

static int faulted(struct api_request *q, int code, const struct err *err, json_t **ret)
{
    const char *sentence;
    int status = explain_fault(code, &sentence);
    q->n_headers = 0; /* no cookie for what did not come about */
    log_error("request failed", "request", q->id, "operation", q->match.operation->id, "error",
              err->code ? err->message : strerror(-code));
    *ret = api_error(status, q->id, sentence);
    return status;
}

/* A repeated create with the same Idempotency-Key: 1 and its answer, 0 if this is the first. The request's digest tells
 * a repetition from another request under the same key. */
static int find_repetition(struct api_request *q, const char *scope, const char *digest, json_t **ret, struct err *err)
{
    autorows struct store_rows *rows = NULL;
    int r = store_exec(q->store, "DELETE FROM idempotency WHERE created_at < $1",
                       STORE_ARGS(store_int(q->now - IDEMPOTENCY_MS)), NULL, err);
    if (r == 0)
        r = store_query(q->store, "SELECT request_digest, answer FROM idempotency WHERE scope = $1 AND key = $2",
                        STORE_ARGS(store_text(scope), store_text(q->idempotency_key)), &rows, err);
    if (r == 0)
        r = store_next(rows, err);
    if (r <= 0)
        return r;
    if (strcmp(store_column_text(rows, 0), digest))
        return api_refuse(q, 400, "Idempotency-Key: was used for another request in the last 24 hours");
    *ret = api_column_json(rows, 1);
    return 1;
}

static int remember(struct api_request *q, const char *scope, const char *digest, struct err *err)
{
    autofree char *answer = js_text(q->result_stored ? q->result_stored : q->result);
    return store_exec(q->store,
                      "INSERT INTO idempotency (scope, key, request_digest, answer, created_at) "
                      "VALUES ($1, $2, $3, $4, $5)",
                      STORE_ARGS(store_text(scope), store_text(q->idempotency_key), store_text(digest),
                                 store_text(answer), store_int(q->now)),
                      NULL, err);
}

static int run_once(struct api_request *q, api_handler handler, struct err *err)
{
    const struct contract_operation *op = q->match.operation;
    const char *scope = arena_printf(q->arena, "%s %s", *q->who.key ? q->who.key : q->who.user, op->id);
    autofree char *body = js_text(q->match.body);
    char digest[65];
    if (!op->idempotent || !q->idempotency_key)
        return handler(q, err);
    sha256_hex(body, strlen(body), digest);
    int r = find_repetition(q, scope, digest, &q->result, err);
    if (r != 0)
        return MIN(r, 0);
    r = handler(q, err);
    return r < 0 ? r : remember(q, scope, digest, err);
}

/* When the key or the session was last used, to the minute. */
static int note_use(struct api_request *q, struct err *err)
{
    return *q->who.key ? api_key_used(q->store, q->api->clock, q->who.key, err)
                       : session_seen(q->store, q->now, q->who.session, err);
}

/* Writers of this process take turns: left to find the store free by trying again, the unlucky ones wait for seconds.
 */
static pthread_mutex_t writers = PTHREAD_MUTEX_INITIALIZER;

static int write_once(struct api_request *q, api_handler handler, struct err *err)
{
    pthread_mutex_lock(&writers);
    int r = store_begin(q->store, err);
    if (r == 0) {
        r = run_once(q, handler, err);
        if (r == 0 && q->who.stale_use)
            r = note_use(q, err);
        if (r == 0)
            r = store_commit(q->store, err);
        else
            store_rollback(q->store);
    }
    pthread_mutex_unlock(&writers);
    /* The next writer's turn begins while this one waits for the disk, and both may share its answer. */
    if (r == 0)
        r = store_settle(q->store, err);
    if (r < 0)
        return r;
    role_ring(q->api->role, ROLE_CONTROLLER);
    role_ring(q->api->role, ROLE_API); /* events */
    return 0;
}

static int read_once(struct api_request *q, api_handler handler, struct err *err)
{
    int r = store_begin_read(q->store, err);
    if (r < 0)
        return r;
    r = run_once(q, handler, err);
    store_rollback(q->store);
    if (r == 0 && q->who.stale_use)
        (void)!note_use(q, NULL); /* a full disk must not stop reading */
    return r;
}

static int run(struct api_request *q, struct err *err)
{
    const struct api_entry *entry = api_entry_of(q->match.operation->id);
    bool reads = !strcmp(q->match.operation->method, "GET");
    int r = entry->before ? entry->before(q, err) : 0;
    if (r == 0)
        r = reads ? read_once(q, entry->handler, err) : write_once(q, entry->handler, err);
    if (r < 0)
        return r;
    return entry->after && !q->status ? entry->after(q, err) : 0;
}

static int refusal_of(int code)
{
    return code == -EMSGSIZE ? 413 : code == -EMEDIUMTYPE ? 415 : 400;
}

int api_carry_out(struct api_request *q, const struct contract_request *request, json_t **ret)
{
    struct err err = ERR_INIT;
    int r = contract_check(q->api->contract, request, &q->match, &err);
    if (r < 0) {
        *ret = api_error(refusal_of(r), q->id, err.message);
        return refusal_of(r);
    }
    r = run(q, &err);
    if (q->status) {
        *ret = api_error(q->status, q->id, q->refusal);
        return q->status;
    }
    if (r < 0)
        return faulted(q, r, &err, ret);
    if (q->list.len && !q->plain)
        buf_adds(&q->list, "]}");
    *ret = q->list.len ? NULL : success(q, q->result);
    return 200;
}
