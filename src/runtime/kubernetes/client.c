/* Requests to the API server over libcurl's multi interface. */
#include "runtime/kubernetes/client.h"

#include <curl/curl.h>

#define RETRIES 8          /* of 429 and 503 with Retry-After */
#define RETRY_MAX_MS 60000 /* a longer Retry-After is cut */
#define CONNECT_MS 10000
#define MESSAGE_MAX 400

struct transfer {
    struct transfer *next;
    struct kube_client *client;
    CURL *easy; /* NULL: waits for due_ms */
    struct curl_slist *headers, *connect_to;
    struct kube_request r;
    char *method, *path, *content_type, *accept, *body;
    struct buf answer;
    int64_t due_ms, retry_after_ms;
    int retries;
    bool renewed; /* the token, after a 401 */
    bool dead;    /* finished or cancelled; freed in the next sweep */
    int stream_result;
    char curl_error[CURL_ERROR_SIZE];
};

struct kube_client {
    struct kube_access access;
    const struct clock *clock;
    CURLM *multi;
    struct transfer *transfers;
    struct kube_counts counts;
};

struct kube_client *kube_client_new(struct kube_access *access, const struct clock *clock)
{
    struct kube_client *c = mem_alloc(sizeof(*c));
    c->access = *access;
    *access = (struct kube_access){0};
    c->clock = clock;
    curl_global_init(CURL_GLOBAL_DEFAULT);
    c->multi = curl_multi_init();
    if (!c->multi)
        abort();
    curl_multi_setopt(c->multi, CURLMOPT_PIPELINING, CURLPIPE_MULTIPLEX);
    curl_multi_setopt(c->multi, CURLMOPT_MAX_HOST_CONNECTIONS, 64L);
    curl_multi_setopt(c->multi, CURLMOPT_MAX_CONCURRENT_STREAMS, 200L);
    return c;
}

static void stop_easy(struct transfer *t)
{
    if (t->easy) {
        curl_multi_remove_handle(t->client->multi, t->easy);
        curl_easy_cleanup(t->easy);
        t->easy = NULL;
    }
    curl_slist_free_all(t->headers);
    curl_slist_free_all(t->connect_to);
    t->headers = t->connect_to = NULL;
}

static void free_transfer(struct transfer *t)
{
    stop_easy(t);
    free(t->method);
    free(t->path);
    free(t->content_type);
    free(t->accept);
    if (t->body)
        mem_wipe(t->body, t->r.len);
    free(t->body);
    buf_free(&t->answer);
    free(t);
}

void kube_client_free(struct kube_client *c)
{
    if (!c)
        return;
    while (c->transfers) {
        struct transfer *t = c->transfers;
        struct kube_reply reply = {.error = -ECANCELED, .message = "the client ends", .reason = ""};
        c->transfers = t->next;
        if (!t->dead)
            t->r.done(&reply, t->r.data);
        free_transfer(t);
    }
    curl_multi_cleanup(c->multi);
    kube_access_free(&c->access);
    free(c);
}

/* ---- one exchange ---- */

static size_t on_body(char *bytes, size_t size, size_t n, void *data)
{
    struct transfer *t = data;
    size_t len = size * n;
    long status = 0;
    t->client->counts.bytes += len;
    curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
    if (t->r.on_data && status == 200) {
        if (t->dead || (t->stream_result = t->r.on_data(bytes, len, t->r.data)) != 0)
            return 0;
        return len;
    }
    buf_add(&t->answer, bytes, len);
    return t->answer.overflow ? 0 : len;
}

static size_t on_header(char *bytes, size_t size, size_t n, void *data)
{
    static const char name[] = "retry-after:";
    struct transfer *t = data;
    size_t len = size * n;
    char text[16] = "";
    if (len > sizeof(name) && !strncasecmp(bytes, name, sizeof(name) - 1)) {
        snprintf(text, sizeof(text), "%.*s", (int)MIN(len - sizeof(name) + 1, sizeof(text) - 1),
                 bytes + sizeof(name) - 1);
        long seconds = strtol(text, NULL, 10);
        t->retry_after_ms = MIN(MAX(seconds, 0) * 1000, RETRY_MAX_MS);
    }
    return len;
}

static void add_header(struct transfer *t, const char *name, const char *value)
{
    autofree char *line = mem_printf("%s: %s", name, value);
    struct curl_slist *list = curl_slist_append(t->headers, line);
    if (!list)
        abort();
    t->headers = list;
    mem_wipe(line, strlen(line));
}

static void set_blob(CURL *easy, CURLoption option, const char *text)
{
    struct curl_blob blob = {(void *)(uintptr_t)text, strlen(text), CURL_BLOB_NOCOPY};
    curl_easy_setopt(easy, option, &blob);
}

static void set_identity(struct transfer *t, CURL *easy)
{
    const struct kube_access *a = &t->client->access;
    if (a->ca)
        set_blob(easy, CURLOPT_CAINFO_BLOB, a->ca);
    if (a->certificate) {
        set_blob(easy, CURLOPT_SSLCERT_BLOB, a->certificate);
        set_blob(easy, CURLOPT_SSLKEY_BLOB, a->key);
    }
    curl_easy_setopt(easy, CURLOPT_PROXY, a->proxy ? a->proxy : "");
    autofree char *bearer = a->token ? mem_printf("Bearer %s", a->token) : NULL;
    if (bearer)
        add_header(t, "Authorization", bearer);
    else if (a->basic)
        curl_easy_setopt(easy, CURLOPT_USERPWD, a->basic);
}

/* Connects to the server's host under the name that its certificate has. */
static void set_server_name(CURL *easy, const struct kube_access *a, struct curl_slist **connect_to, char **url,
                            const char *path)
{
    const char *host = a->server + 8, *port = strrchr(host, ':'), *slash = strchr(host, '/');
    if (!a->server_name) {
        *url = mem_printf("%s%s", a->server, path);
        return;
    }
    int number = port && (!slash || port < slash) && !strchr(port, ']') ? atoi(port + 1) : 443;
    size_t host_len = port && (!slash || port < slash) && !strchr(port, ']') ? (size_t)(port - host)
                      : slash                                                ? (size_t)(slash - host)
                                                                             : strlen(host);
    autofree char *to = mem_printf("%s:%d:%.*s:%d", a->server_name, number, (int)host_len, host, number);
    *connect_to = curl_slist_append(NULL, to);
    *url = mem_printf("https://%s:%d%s%s", a->server_name, number, slash ? slash : "", path);
    curl_easy_setopt(easy, CURLOPT_CONNECT_TO, *connect_to);
}

static void set_common(struct transfer *t, CURL *easy)
{
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "https");
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_2TLS);
    curl_easy_setopt(easy, CURLOPT_PIPEWAIT, 1L);
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, t->curl_error);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "ownhouse-agent");
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, t->method);
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, 16384L);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, t);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, t);
    if (t->r.on_data) {
        curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
        curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, (long)KUBE_SILENCE_S);
    } else {
        curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)KUBE_REQUEST_MS);
    }
}

static void start(struct transfer *t)
{
    struct kube_client *c = t->client;
    CURL *easy = curl_easy_init();
    autofree char *url = NULL;
    if (!easy)
        abort();
    t->easy = easy;
    t->retry_after_ms = 0;
    *t->curl_error = '\0';
    buf_free(&t->answer);
    set_common(t, easy);
    set_server_name(easy, &c->access, &t->connect_to, &url, t->path);
    curl_easy_setopt(easy, CURLOPT_URL, url);
    add_header(t, "Accept", t->accept ? t->accept : "application/json");
    if (t->body) {
        add_header(t, "Content-Type", t->content_type ? t->content_type : "application/json");
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, t->body);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)t->r.len);
    }
    set_identity(t, easy);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, t->headers);
    c->counts.requests += !t->r.on_data;
    c->counts.watches += t->r.on_data != NULL;
    curl_multi_add_handle(c->multi, easy);
}

static void begin(struct transfer *t, bool refused)
{
    struct err err = ERR_INIT;
    int r = kube_access_token(&t->client->access, t->client->clock, refused, &err);
    if (r < 0) {
        struct kube_reply reply = {.error = r, .message = err.message, .reason = ""};
        t->dead = true;
        t->r.done(&reply, t->r.data);
        return;
    }
    start(t);
}

void kube_client_send(struct kube_client *c, const struct kube_request *r)
{
    struct transfer *t = mem_alloc(sizeof(*t));
    t->client = c;
    t->r = *r;
    t->method = mem_strdup(r->method ? r->method : "GET");
    t->path = mem_strdup(r->path);
    t->content_type = mem_strdup(r->content_type);
    t->accept = mem_strdup(r->accept);
    t->body = r->body ? mem_strndup(r->body, r->len) : NULL;
    t->answer = BUF_INIT_MAX(KUBE_ANSWER_MAX);
    t->due_ms = clock_mono_ms(c->clock);
    t->next = c->transfers;
    c->transfers = t;
}

void kube_client_cancel(struct kube_client *c, const void *data)
{
    for (struct transfer *t = c->transfers; t; t = t->next)
        if (t->r.data == data)
            t->dead = true;
}

/* ---- ends ---- */

static int errno_of(CURLcode code)
{
    switch (code) {
    case CURLE_COULDNT_CONNECT:
        return -ECONNREFUSED;
    case CURLE_OPERATION_TIMEDOUT:
        return -ETIMEDOUT;
    case CURLE_COULDNT_RESOLVE_HOST:
        return -EHOSTUNREACH;
    case CURLE_PEER_FAILED_VERIFICATION:
        return -EACCES;
    default:
        return -EIO;
    }
}

static void finish(struct transfer *t, int error, int status, const char *message)
{
    char text[MESSAGE_MAX], reason[64] = "";
    struct kube_reply reply = {.error = error, .status = status, .message = "", .reason = reason};
    reply.body = t->answer.data ? t->answer.data : "";
    reply.len = t->answer.len;
    if (error < 0) {
        snprintf(text, sizeof(text), "%s %s: %s", t->method, t->client->access.server, message);
        reply.message = text;
    } else if (status >= 400) {
        autojson json_t *v = NULL;
        const char *said = NULL;
        if (js_parse(reply.body, reply.len, KUBE_ANSWER_MAX, &v, NULL) == 0) {
            said = json_string_value(json_object_get(v, "message"));
            const char *why = json_string_value(json_object_get(v, "reason"));
            snprintf(reason, sizeof(reason), "%s", why ? why : "");
        }
        snprintf(text, sizeof(text), "the Kubernetes API answered %d: %s", status, said ? said : "(no message)");
        reply.message = text;
    }
    t->dead = true;
    t->r.done(&reply, t->r.data);
}

static void on_end(struct transfer *t, CURLcode code)
{
    long status = 0;
    curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
    stop_easy(t);
    if (t->dead)
        return;
    if (t->stream_result != 0) {
        finish(t, t->stream_result, (int)status, "the stream was ended");
    } else if (code != CURLE_OK && !(t->r.on_data && status == 200)) {
        finish(t, t->answer.overflow ? -EMSGSIZE : errno_of(code), (int)status,
               *t->curl_error ? t->curl_error : curl_easy_strerror(code));
    } else if (status == 401 && !t->renewed) {
        t->renewed = true;
        t->client->counts.retried++;
        begin(t, true);
    } else if ((status == 429 || (status == 503 && t->retry_after_ms)) && t->retries++ < RETRIES) {
        t->due_ms = clock_mono_ms(t->client->clock) + MAX(t->retry_after_ms, 1000);
        t->client->counts.retried++;
    } else {
        finish(t, 0, (int)status, "");
    }
}

static void sweep(struct kube_client *c)
{
    for (struct transfer **at = &c->transfers; *at;) {
        struct transfer *t = *at;
        if (t->dead) {
            *at = t->next;
            free_transfer(t);
        } else {
            at = &t->next;
        }
    }
}

/* Starts what is due; returns the time until the next. */
static int start_due(struct kube_client *c, int timeout_ms)
{
    int64_t now = clock_mono_ms(c->clock);
    for (struct transfer *t = c->transfers; t; t = t->next) {
        if (t->dead || t->easy)
            continue;
        if (t->due_ms <= now)
            begin(t, false);
        else
            timeout_ms = (int)MIN((int64_t)timeout_ms, t->due_ms - now);
    }
    return timeout_ms;
}

void kube_client_poll(struct kube_client *c, int timeout_ms)
{
    int running = 0, left = 0;
    CURLMsg *message;
    timeout_ms = start_due(c, timeout_ms);
    curl_multi_perform(c->multi, &running);
    curl_multi_poll(c->multi, NULL, 0, timeout_ms, NULL);
    curl_multi_perform(c->multi, &running);
    while ((message = curl_multi_info_read(c->multi, &left))) {
        struct transfer *t = NULL;
        if (message->msg != CURLMSG_DONE)
            continue;
        CURLcode code = message->data.result;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&t);
        on_end(t, code);
    }
    sweep(c);
}

/* ---- one after the other ---- */

struct answer {
    bool done;
    int error, status;
    json_t *body;
    char message[KUBE_MESSAGE];
};

static void on_answer(const struct kube_reply *reply, void *data)
{
    struct answer *a = data;
    a->done = true;
    a->error = reply->error;
    a->status = reply->status;
    snprintf(a->message, sizeof(a->message), "%s", reply->message);
    if (reply->error == 0 && reply->len && js_parse(reply->body, reply->len, KUBE_ANSWER_MAX, &a->body, NULL) < 0)
        a->body = NULL;
}

int kube_client_ask(struct kube_client *c, const char *method, const char *path, const char *content_type,
                    const json_t *body, json_t **ret, char *message, struct err *err)
{
    struct answer a = {0};
    autofree char *text = body ? js_text(body) : NULL;
    kube_client_send(c, &(struct kube_request){.method = method,
                                               .path = path,
                                               .content_type = content_type,
                                               .body = text,
                                               .len = text ? strlen(text) : 0,
                                               .done = on_answer,
                                               .data = &a});
    while (!a.done)
        kube_client_poll(c, 1000);
    if (text)
        mem_wipe(text, strlen(text));
    if (message)
        snprintf(message, KUBE_MESSAGE, "%s", a.message);
    if (ret)
        *ret = a.body;
    else
        json_decref(a.body);
    return a.error < 0 ? err_set(err, a.error, "%s", a.message) : a.status;
}

void kube_client_wake(struct kube_client *c)
{
    curl_multi_wakeup(c->multi);
}

struct kube_counts kube_client_counts(const struct kube_client *c)
{
    return c->counts;
}
