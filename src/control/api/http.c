/* From bytes on the socket to requests, and back. */
#include "control/api/http.h"

#include "base/log.h"
#include "base/unix_socket.h"
#include "control/api/admission.h"
#include "control/api/console_files.h"
#include "control/api/events.h"
#include "store/group.h"

#include <arpa/inet.h>
#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>

#define HTTP_THREADS 16
#define HTTP_CONNECTIONS 1024
#define HTTP_HEADER_MAX KIB(64)
#define HTTP_ARRIVAL_MS 30000
#define HTTP_QUERY_MAX 64
#define HTTP_DISCARD_MAX MIB(4) /* of a body that is too large; beyond it the connection is closed */

extern const char embedded_openapi[];
extern const size_t embedded_openapi_len;

struct http_server {
    const struct api *api;
    struct MHD_Daemon *daemon;
    pthread_key_t store; /* of each thread */
    struct store_group *group;
    char *path;
    atomic_int running; /* requests between their first byte and the end of their answer */
    atomic_bool stopping;
};

struct http_request {
    struct http_server *server;
    bool started, bad_uri, discard;
    size_t discarded;
    struct buf body;
    int64_t began;      /* monotonic, ms */
    int status;         /* of the answer, once it is queued */
    int refusal;        /* status decided before the body came; it is read to its end first, or the client would see */
    const char *why;    /* a broken connection instead of the answer. 204: OPTIONS */
    const char *method; /* as asked, HEAD included */
    bool console;       /* a path of the console's, not of the API's */
    char address[INET6_ADDRSTRLEN];
    struct contract_request request;
    struct MHD_Connection *connection; /* while it is suspended */
    json_t *answer;                    /* once it is carried out */
    int answer_status;
    struct api_request q;
};

static void close_store(void *store)
{
    store_close(store);
}

static struct store *thread_store(struct http_server *s, struct err *err)
{
    struct store *store = pthread_getspecific(s->store);
    if (store)
        return store;
    autofree char *path = control_database(&s->api->role->config);
    if (store_open(path, STORE_EXISTING, &store, err) < 0)
        return NULL;
    if (store_join(store, s->group, err) < 0) {
        store_close(store);
        return NULL;
    }
    pthread_setspecific(s->store, store);
    return store;
}

/* --- what the headers say --- */

static const char *header(struct MHD_Connection *c, const char *name)
{
    return MHD_lookup_connection_value(c, MHD_HEADER_KIND, name);
}

/* The last entry: the one that HAProxy wrote. "" if there is none or it is no address. */
static void take_address(struct http_request *h, struct MHD_Connection *c)
{
    const char *all = header(c, "X-Forwarded-For");
    const char *last = all ? strrchr(all, ',') : NULL;
    unsigned char raw[16];
    if (!all)
        return;
    last = last ? last + 1 : all;
    last += strspn(last, " ");
    if (inet_pton(AF_INET, last, raw) == 1 || inet_pton(AF_INET6, last, raw) == 1)
        snprintf(h->address, sizeof(h->address), "%s", last);
}

/* The one operation that needs neither store nor handler. */
static bool is_description(const struct http_request *h)
{
    return h->q.match.operation->open && !api_entry_of(h->q.match.operation->id);
}

/* Printable ASCII, so that it may go into rows and logs. */
static const char *clean_text(struct arena *a, const char *text, size_t max)
{
    char *copy = arena_strndup(a, text ? text : "", max);
    for (char *p = copy; *p; p++)
        if (*p < ' ' || *p > '~')
            *p = '?';
    return copy;
}

struct pairs {
    struct contract_pair *items;
    size_t n;
    bool bad;
};

static enum MHD_Result take_pair(void *data, enum MHD_ValueKind kind, const char *name, size_t name_len,
                                 const char *value, size_t value_len)
{
    struct pairs *p = data;
    if (p->n == HTTP_QUERY_MAX || strlen(name) != name_len || (value && strlen(value) != value_len)) {
        p->bad = true;
        return MHD_NO;
    }
    p->items[p->n++] = (struct contract_pair){name, value ? value : ""};
    return MHD_YES;
}

/* --- answers --- */

static const char *allow_of(const struct http_request *h)
{
    const char *allow = h->q.match.allow;
    return arena_printf(h->q.arena, "%s%s, OPTIONS", allow, strstr(allow, "GET") ? ", HEAD" : "");
}

/* Browsers ask for name and password themselves where they see Basic; the console has a page for it. */
static const char *challenge(const struct http_request *h, struct MHD_Connection *c)
{
    return header(c, "Sec-Fetch-Site") || h->q.session_token ? "Session realm=\"OwnHouse\""
                                                             : "Basic realm=\"OwnHouse\", charset=\"UTF-8\"";
}

static enum MHD_Result send_text(struct http_request *h, struct MHD_Connection *c, int status, char *text, size_t len,
                                 enum MHD_ResponseMemoryMode mode)
{
    struct MHD_Response *r = MHD_create_response_from_buffer(len, text, mode);
    if (!r)
        return MHD_NO;
    h->status = status;
    if (len)
        MHD_add_response_header(r, "Content-Type",
                                status == 200 && h->q.plain ? "text/plain; version=0.0.4; charset=utf-8"
                                                            : "application/json; charset=utf-8");
    MHD_add_response_header(r, "X-Request-Id", h->q.id);
    MHD_add_response_header(r, "Cache-Control", "no-store");
    if (status == 401)
        MHD_add_response_header(r, "WWW-Authenticate", challenge(h, c));
    for (size_t i = 0; i < h->q.n_headers; i++)
        MHD_add_response_header(r, h->q.headers[i].name, h->q.headers[i].value);
    if (*h->q.match.allow)
        MHD_add_response_header(r, "Allow", allow_of(h));
    if (atomic_load(&h->server->stopping))
        MHD_add_response_header(r, "Connection", "close");
    enum MHD_Result sent = MHD_queue_response(c, (unsigned)status, r);
    MHD_destroy_response(r);
    return sent;
}

static enum MHD_Result send_json(struct http_request *h, struct MHD_Connection *c, int status, json_t *answer)
{
    char *text = js_text(answer);
    json_decref(answer);
    return send_text(h, c, status, text, strlen(text), MHD_RESPMEM_MUST_FREE);
}

static enum MHD_Result send_error(struct http_request *h, struct MHD_Connection *c, int status, const char *sentence)
{
    return send_json(h, c, status, api_error(status, h->q.id, sentence));
}

/* --- the request --- */

static const char body_too_large[] = "the body is larger than 1048576 bytes";

/* 0, or the status of a refusal with its sentence in err. */
static int admit(struct http_request *h, struct MHD_Connection *c, struct err *err)
{
    const struct admission_headers headers = {
        .authorization = header(c, "Authorization"),
        .cookie = header(c, "Cookie"),
        .origin = header(c, "Origin"),
        .host = header(c, "Host"),
        .csrf = header(c, "X-OwnHouse-CSRF"),
    };
    if (is_description(h))
        return 0;
    h->q.store = thread_store(h->server, err);
    if (!h->q.store) {
        log_error("the store cannot be opened", "request", h->q.id, "error", err->message);
        err_set(err, -EIO, "the control plane cannot open its store; its log says why");
        return 503;
    }
    admission_cookies(&h->q, headers.cookie);
    return admission_check(&h->q, &headers, err);
}

static void refuse(struct http_request *h, int status, const char *why)
{
    h->refusal = status;
    h->why = arena_strdup(h->q.arena, why);
    h->discard = true;
}

/* Headers are here, the body is not: what can be refused is decided now, so that nothing of the body is kept. */
static void begin(struct http_request *h, struct MHD_Connection *c, const char *url, const char *method)
{
    struct err err = ERR_INIT;
    const char *length = header(c, "Content-Length");
    take_address(h, c);
    h->q.address = h->address;
    h->q.user_agent = clean_text(h->q.arena, header(c, "User-Agent"), 256);
    h->q.idempotency_key = header(c, "Idempotency-Key");
    h->method = arena_strdup(h->q.arena, method);
    if (!h->bad_uri && console_files_own(url) && (!strcmp(method, "GET") || !strcmp(method, "HEAD"))) {
        h->console = true;
        h->discard = true;
        return;
    }
    int r = h->bad_uri ? err_set(&err, -ENOENT, "there is nothing at this path")
                       : contract_find(h->server->api->contract, strcmp(method, "HEAD") ? method : "GET", url,
                                       h->q.arena, &h->q.match, &err);
    if (r == -EOPNOTSUPP && !strcmp(method, "OPTIONS"))
        refuse(h, 204, "");
    else if (r < 0)
        refuse(h, r == -ENOENT ? 404 : r == -EOPNOTSUPP ? 405 : 400, err.message);
    else if ((r = admit(h, c, &err)) != 0)
        refuse(h, r, err.message);
    else if (length && strtoull(length, NULL, 10) > CONTRACT_BODY_MAX)
        refuse(h, 413, body_too_large);
}

static enum MHD_Result take_body(struct http_request *h, const char *data, size_t *len)
{
    size_t n = *len;
    *len = 0;
    if (clock_mono_ms(&clock_system) - h->began > HTTP_ARRIVAL_MS)
        return MHD_NO;
    h->q.now = clock_wall_ms(h->q.api->clock);
    if (!h->discard && h->body.len + n <= CONTRACT_BODY_MAX) {
        buf_add(&h->body, data, n);
        return MHD_YES;
    }
    if (!h->refusal)
        refuse(h, 413, body_too_large);
    h->discarded += n;
    return h->discarded > HTTP_DISCARD_MAX ? MHD_NO : MHD_YES;
}

/* In test builds an answer that breaks the contract is a failure, not a surprise for a client. */
static int check_answer(struct http_request *h, int status, json_t **answer)
{
    struct err err = ERR_INIT;
    if (!h->q.api->check_answers || (h->q.plain && status == 200))
        return status;
    if (!*answer && js_parse(h->q.list.data, h->q.list.len, h->q.list.len, answer, &err) < 0)
        *answer = json_null();
    if (contract_check_answer(h->q.api->contract, h->q.match.operation, status, *answer, &err) == 0)
        return status;
    log_error("the answer breaks the contract", "request", h->q.id, "operation", h->q.match.operation->id, "error",
              err.message);
    json_decref(*answer);
    autofree char *sentence = mem_printf("the answer breaks the contract: %s", err.message);
    *answer = api_error(500, h->q.id, sentence);
    return 500;
}

static enum MHD_Result send_console(struct http_request *h, struct MHD_Connection *c, const char *url)
{
    unsigned status;
    struct MHD_Response *r = console_files_answer(h->server->api->role->config.console_dir, url, &status);
    if (!r)
        return MHD_NO;
    h->status = (int)status;
    if (atomic_load(&h->server->stopping))
        MHD_add_response_header(r, "Connection", "close");
    enum MHD_Result sent = MHD_queue_response(c, status, r);
    MHD_destroy_response(r);
    return sent;
}

static bool wants_stream(const struct http_request *h, struct MHD_Connection *c)
{
    const char *accept = header(c, "Accept");
    return !strcmp(h->q.match.operation->id, "eventsGet") && accept && strstr(accept, "text/event-stream");
}

static enum MHD_Result send_events(struct http_request *h, struct MHD_Connection *c)
{
    struct MHD_Response *r;
    struct err err = ERR_INIT;
    int status = events_open(h->server->api->events, c, *h->q.who.key ? h->q.who.key : h->q.who.user, &r, &err);
    if (status < 0)
        return send_error(h, c, status == -EMFILE ? 429 : 503, err.message);
    h->status = 200;
    MHD_add_response_header(r, "X-Request-Id", h->q.id);
    enum MHD_Result sent = MHD_queue_response(c, 200, r);
    MHD_destroy_response(r);
    return sent;
}

/* Carries the request out; on a thread of the connections, or on one of a lane while the connection is suspended. */
static void carry_out(struct http_request *h)
{
    struct err err = ERR_INIT;
    h->q.store = thread_store(h->server, &err);
    if (h->q.store) {
        h->answer_status = api_carry_out(&h->q, &h->request, &h->answer);
        h->answer_status = check_answer(h, h->answer_status, &h->answer);
        return;
    }
    log_error("the store cannot be opened", "request", h->q.id, "error", err.message);
    h->answer_status = 503;
    h->answer = api_error(503, h->q.id, "the control plane cannot open its store; its log says why");
}

static void carry_out_on_lane(void *data)
{
    struct http_request *h = data;
    carry_out(h);
    MHD_resume_connection(h->connection);
}

/* The headers' texts stay where they are while the connection is suspended. */
static bool take_request(struct http_request *h, struct MHD_Connection *c, const char *url)
{
    struct pairs pairs = {.items = arena_alloc(h->q.arena, HTTP_QUERY_MAX * sizeof(*pairs.items))};
    MHD_get_connection_values_n(c, MHD_GET_ARGUMENT_KIND, take_pair, &pairs);
    h->request = (struct contract_request){
        .method = h->q.match.operation->method,
        .path = arena_strdup(h->q.arena, url),
        .query = pairs.items,
        .n_query = pairs.n,
        .content_type = header(c, "Content-Type"),
        .idempotency_key = h->q.idempotency_key,
        .body = h->body.data,
        .body_len = h->body.len,
    };
    return !pairs.bad;
}

static enum MHD_Result send_carried_out(struct http_request *h, struct MHD_Connection *c)
{
    size_t len = h->q.list.len;
    if (h->answer)
        return send_json(h, c, h->answer_status, TAKE_PTR(h->answer));
    return send_text(h, c, h->answer_status, buf_take(&h->q.list), len, MHD_RESPMEM_MUST_FREE);
}

static enum MHD_Result answer_operation(struct http_request *h, struct MHD_Connection *c)
{
    struct lane *lane = h->q.api->lanes[api_entry_of(h->q.match.operation->id)->lane];
    if (!lane) {
        carry_out(h);
        return send_carried_out(h, c);
    }
    h->connection = c;
    MHD_suspend_connection(c);
    if (lane_submit(lane, carry_out_on_lane, h) == 0)
        return MHD_YES;
    MHD_resume_connection(c);
    api_header(&h->q, "Retry-After", "2");
    h->answer_status = 503;
    h->answer = api_error(503, h->q.id, "too many are signing in at this moment; try again in a few seconds");
    return MHD_YES;
}

static enum MHD_Result finish(struct http_request *h, struct MHD_Connection *c, const char *url)
{
    if (h->answer || h->q.list.len)
        return send_carried_out(h, c);
    if (h->console)
        return send_console(h, c, url);
    if (h->refusal == 204)
        return send_text(h, c, 204, (char *)(uintptr_t) "", 0, MHD_RESPMEM_PERSISTENT);
    if (h->refusal)
        return send_error(h, c, h->refusal, h->why);
    if (!take_request(h, c, url))
        return send_error(h, c, 400, "the query has too many parameters or a zero byte");
    if (is_description(h))
        return send_text(h, c, 200, (char *)(uintptr_t)embedded_openapi, embedded_openapi_len, MHD_RESPMEM_PERSISTENT);
    if (wants_stream(h, c))
        return send_events(h, c);
    return answer_operation(h, c);
}

/* --- libmicrohttpd's callbacks --- */

/* First of all, with the URI as it came: an encoded zero byte would end the decoded one early. */
static void *on_uri(void *data, const char *uri, struct MHD_Connection *c)
{
    struct http_server *s = data;
    struct http_request *h = mem_alloc(sizeof(*h));
    h->server = s;
    h->bad_uri = strstr(uri, "%00") != NULL;
    h->began = clock_mono_ms(&clock_system);
    h->q.api = s->api;
    h->q.arena = arena_new();
    h->q.now = clock_wall_ms(s->api->clock);
    uuid_new(h->q.id);
    atomic_fetch_add(&s->running, 1);
    return h;
}

static enum MHD_Result on_request(void *data, struct MHD_Connection *c, const char *url, const char *method,
                                  const char *version, const char *upload, size_t *upload_len, void **request)
{
    struct http_request *h = *request;
    if (!h->started) {
        h->started = true;
        begin(h, c, url, method);
        return MHD_YES;
    }
    return *upload_len ? take_body(h, upload, upload_len) : finish(h, c, url);
}

static void log_request(const struct http_request *h)
{
    char status[16], ms[24];
    const struct contract_operation *op = h->q.match.operation;
    snprintf(status, sizeof(status), "%d", h->status);
    snprintf(ms, sizeof(ms), "%lld", (long long)(clock_mono_ms(&clock_system) - h->began));
    log_info("request", "method", h->method, "route", op ? op->template : "none", "status", status, "ms", ms, "request",
             h->q.id, "key", *h->q.who.key ? h->q.who.key : NULL, "user", *h->q.who.user ? h->q.who.user : NULL,
             "address", *h->address ? h->address : NULL);
}

static void on_completed(void *data, struct MHD_Connection *c, void **request, enum MHD_RequestTerminationCode code)
{
    struct http_request *h = *request;
    if (!h)
        return;
    if (h->method)
        log_request(h);
    atomic_fetch_sub(&h->server->running, 1);
    if (h->body.data)
        mem_wipe(h->body.data, h->body.len);
    free(h->body.data);
    json_decref(h->answer);
    buf_free(&h->q.list);
    json_decref(h->q.result);
    json_decref(h->q.result_stored);
    contract_match_free(&h->q.match);
    identity_free(&h->q.who);
    arena_free(h->q.arena);
    free(h);
    *request = NULL;
}

static void OH_PRINTF(2, 0) on_complaint(void *data, const char *fmt, va_list ap)
{
    char text[256];
    vsnprintf(text, sizeof(text), fmt, ap);
    text[strcspn(text, "\r\n")] = 0;
    log_debug("libmicrohttpd", "message", text);
}

/* --- start and stop --- */

int http_start(const struct api *api, const char *socket_path, struct http_server **ret, struct err *err)
{
    int fd = unix_listen(socket_path, SOCK_STREAM, 1024, err);
    if (fd < 0)
        return fd;
    struct http_server *s = mem_alloc(sizeof(*s));
    s->api = api;
    s->path = mem_strdup(socket_path);
    autofree char *database = control_database(&api->role->config);
    s->group = store_group_new(database);
    if (pthread_key_create(&s->store, close_store) != 0)
        abort();
    /* poll, not epoll: 0.9.75 with epoll now and then misses the end of a connection that came with its last bytes,
     * and keeps it until the time-out. A thread has few connections, HAProxy's. */
    s->daemon = MHD_start_daemon(
        MHD_USE_POLL_INTERNAL_THREAD | MHD_USE_ERROR_LOG | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_request, s,
        MHD_OPTION_EXTERNAL_LOGGER, on_complaint, NULL, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_THREAD_POOL_SIZE,
        (unsigned)HTTP_THREADS, MHD_OPTION_CONNECTION_LIMIT, (unsigned)HTTP_CONNECTIONS,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HTTP_HEADER_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)(HTTP_ARRIVAL_MS / 1000), MHD_OPTION_URI_LOG_CALLBACK, on_uri, s, MHD_OPTION_NOTIFY_COMPLETED,
        on_completed, s, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END);
    if (!s->daemon) {
        close(fd);
        store_group_free(s->group);
        free(s->path);
        free(s);
        return err_set(err, -EIO, "the HTTP server cannot start");
    }
    *ret = s;
    return 0;
}

void http_stop(struct http_server *s, int wait_ms)
{
    atomic_store(&s->stopping, true);
    MHD_socket fd = MHD_quiesce_daemon(s->daemon);
    events_stop(s->api->events);
    for (int waited = 0; atomic_load(&s->running) && waited < wait_ms; waited += 10)
        usleep(10000);
    /* No connection may be suspended when the daemon stops: the lanes carry out what they have first. */
    for (int i = 0; i < API_LANES; i++)
        lane_free(s->api->lanes[i]);
    MHD_stop_daemon(s->daemon);
    if (fd != MHD_INVALID_SOCKET)
        close(fd);
    (void)unlink(s->path);
    pthread_key_delete(s->store);
    store_group_free(s->group); /* the threads have ended, and closed theirs */
    free(s->path);
    free(s);
}
