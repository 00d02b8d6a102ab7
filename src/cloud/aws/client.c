/* Sends calls to AWS: builds, signs, repeats what may be repeated, and takes answers apart. */
#include "cloud/aws/client.h"

#include "base/keys.h"
#include "base/mem.h"
#include "cloud/aws/protocol.h"
#include "cloud/aws/xml.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <time.h>

#define EMPTY_SHA256 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define RENEW_BEFORE_MS (5 * 60 * 1000)
#define PAUSE_MAX_MS 5000
#define GAP_FIRST_MS 20
#define GAP_MAX_MS 2000

struct aws_client {
    char *region, *role_arn, *external_id, *session_name, *session_policy;
    json_t *endpoints;
    struct aws_source source;
    const struct clock *clock;
    const atomic_bool *cancel;
    int attempts, pause_first_ms, timeout_ms;
    struct http_pool *pool;
    atomic_uint calls;
    pthread_mutex_t keys_lock; /* guards keys */
    struct aws_keys keys;
    pthread_mutex_t pace_lock; /* guards the two below */
    int64_t gap_ms, next_ms;
    pthread_mutex_t shared_lock; /* guards the list and what is in it */
    pthread_cond_t shared_came;
    struct shared *shared;
};

/* An answer that several wait for. */
struct shared {
    unsigned look;
    char *what; /* the request as text */
    bool done;
    int result;
    struct err err;
    json_t *answer;
    int holders; /* who still reads it; a failure is off the list before they do */
    struct shared *next;
};

struct aws_client *aws_client_new(const struct aws_config *k)
{
    struct aws_client *c = mem_alloc(sizeof(*c));
    c->region = mem_strdup(k->region);
    c->role_arn = mem_strdup(k->role_arn);
    c->external_id = mem_strdup(k->external_id);
    c->session_name = mem_strdup(k->session_name ? k->session_name : "ownhouse");
    c->session_policy = mem_strdup(k->session_policy);
    c->endpoints = k->endpoints ? json_deep_copy(k->endpoints) : json_object();
    c->source = k->source;
    c->clock = k->clock;
    c->cancel = k->cancel;
    c->attempts = k->attempts ? k->attempts : 6;
    c->pause_first_ms = k->pause_first_ms ? k->pause_first_ms : 100;
    c->timeout_ms = k->timeout_ms ? k->timeout_ms : 30000;
    c->pool = http_pool_new();
    pthread_mutex_init(&c->keys_lock, NULL);
    pthread_mutex_init(&c->pace_lock, NULL);
    pthread_mutex_init(&c->shared_lock, NULL);
    pthread_cond_init(&c->shared_came, NULL);
    return c;
}

static void shared_free(struct shared *s)
{
    json_decref(s->answer);
    free(s->what);
    free(s);
}

void aws_client_free(struct aws_client *c)
{
    if (!c)
        return;
    for (struct shared *s = c->shared, *next; s; s = next) {
        next = s->next;
        shared_free(s);
    }
    pthread_cond_destroy(&c->shared_came);
    pthread_mutex_destroy(&c->shared_lock);
    http_pool_free(c->pool);
    aws_keys_free(&c->keys);
    pthread_mutex_destroy(&c->keys_lock);
    pthread_mutex_destroy(&c->pace_lock);
    json_decref(c->endpoints);
    free(c->region);
    free(c->role_arn);
    free(c->external_id);
    free(c->session_name);
    free(c->session_policy);
    free(c);
}

const char *aws_client_region(const struct aws_client *c)
{
    return c->region;
}

const char *aws_client_partition(const struct aws_client *c)
{
    return !strncmp(c->region, "cn-", 3) ? "aws-cn" : !strncmp(c->region, "us-gov-", 7) ? "aws-us-gov" : "aws";
}

unsigned aws_client_calls(const struct aws_client *c)
{
    return atomic_load(&c->calls);
}

/* --- waiting --- */

static int pause_ms(struct aws_client *c, int64_t ms, struct err *err)
{
    for (; ms > 0; ms -= 50) {
        if (c->cancel && atomic_load(c->cancel))
            return err_set(err, -ECANCELED, "cancelled while waiting for AWS");
        struct timespec t = {0, MIN(ms, (int64_t)50) * 1000000};
        nanosleep(&t, NULL);
    }
    return 0;
}

/* Waits for this request's turn when AWS has asked us to slow down. */
static int pace(struct aws_client *c, struct err *err)
{
    pthread_mutex_lock(&c->pace_lock);
    int64_t now = clock_mono_ms(c->clock), wait = c->gap_ms ? MAX(c->next_ms - now, (int64_t)0) : 0;
    c->next_ms = now + wait + c->gap_ms;
    pthread_mutex_unlock(&c->pace_lock);
    return pause_ms(c, wait, err);
}

static void paced(struct aws_client *c, bool throttled)
{
    pthread_mutex_lock(&c->pace_lock);
    if (throttled)
        c->gap_ms = MIN(MAX(2 * c->gap_ms, (int64_t)GAP_FIRST_MS), (int64_t)GAP_MAX_MS);
    else
        c->gap_ms = c->gap_ms * 9 / 10;
    pthread_mutex_unlock(&c->pace_lock);
}

/* --- one request --- */

struct wire {
    const struct aws_service *service;
    char *url, *host, *prefix; /* prefix: path that the endpoint itself has */
    struct buf body;
    const char *method, *path;
    const char *content_type;
    struct sigv4_pair headers[6];
    size_t n_headers;
    struct sigv4_pair *query;
    size_t n_query;
    char md5[32];
    char target[128], *full_path;
};

static void wire_free(struct wire *w)
{
    free(w->url);
    free(w->full_path);
    free(w->query);
    if (w->body.data)
        mem_wipe(w->body.data, w->body.len);
    buf_free(&w->body);
}

static void add_header(struct wire *w, const char *name, const char *value)
{
    w->headers[w->n_headers++] = (struct sigv4_pair){name, value};
}

/* S3 wants proof that the body of a setting arrived whole. */
static void add_md5(struct wire *w)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    if (!EVP_Digest(w->body.data ? w->body.data : "", w->body.len, digest, &n, EVP_md5(), NULL))
        return; /* a FIPS provider has no MD5; AWS then answers what is missing */
    autofree char *text = base64_encode(digest, n);
    snprintf(w->md5, sizeof(w->md5), "%s", text);
    add_header(w, "content-md5", w->md5);
}

static int wire_query(const struct aws_request *q, struct wire *w, struct err *err)
{
    const char *key;
    json_t *v, *one;
    size_t i;
    w->query = mem_alloc((SIGV4_PAIRS_MAX + 1) * sizeof(*w->query));
    json_object_foreach((json_t *)(uintptr_t)q->query, key, v)
    {
        json_t *list = json_is_array(v) ? v : NULL;
        for (i = 0; i < (list ? json_array_size(list) : 1); i++) {
            one = list ? json_array_get(list, i) : v;
            if (!json_is_string(one) || w->n_query == SIGV4_PAIRS_MAX)
                return err_set(err, -EINVAL, "%s %s: the parameter %s must be a text", q->service, q->action, key);
            w->query[w->n_query++] = (struct sigv4_pair){key, json_string_value(one)};
        }
    }
    return 0;
}

static int wire_body(const struct aws_request *q, struct wire *w, struct err *err)
{
    const struct aws_service *s = w->service;
    w->method = q->method ? q->method : "POST";
    w->path = q->path ? q->path : "/";
    switch (s->protocol) {
    case AWS_EC2:
    case AWS_QUERY:
        w->content_type = "application/x-www-form-urlencoded; charset=utf-8";
        buf_printf(&w->body, "Action=%s&Version=%s", q->action, s->version);
        aws_query_form(&w->body, q->params, s->protocol == AWS_EC2 ? "" : "member.");
        break;
    case AWS_JSON:
    case AWS_REST_JSON: {
        autofree char *text = q->params ? js_text(q->params) : s->protocol == AWS_JSON ? mem_strdup("{}") : NULL;
        w->content_type = s->protocol == AWS_JSON ? "application/x-amz-json-1.1" : text ? "application/json" : NULL;
        if (text)
            buf_adds(&w->body, text);
        if (s->protocol == AWS_JSON) {
            snprintf(w->target, sizeof(w->target), "%s.%s", s->version, q->action);
            add_header(w, "x-amz-target", w->target);
        }
        break;
    }
    case AWS_REST_XML:
        if (q->body) {
            w->content_type = "application/xml";
            buf_adds(&w->body, q->body);
        }
        if (!strcmp(s->name, "s3") && q->body)
            add_md5(w);
        break;
    }
    if (w->content_type)
        add_header(w, "content-type", w->content_type);
    return wire_query(q, w, err);
}

static int wire_build(struct aws_client *c, const struct aws_request *q, struct wire *w, struct err *err)
{
    w->service = aws_service_find(q->service);
    if (!w->service)
        return err_set(err, -EINVAL, "there is no service %s in the table of AWS services", q->service);
    w->url = aws_service_url(w->service, c->endpoints, c->region);
    w->host = strstr(w->url, "://");
    if (!w->host)
        return err_set(err, -EINVAL, "the endpoint %.200s must begin with https:// or http://", w->url);
    w->host += 3;
    w->prefix = strchr(w->host, '/');
    int r = wire_body(q, w, err);
    if (r == 0)
        w->full_path = mem_printf("%s%s", w->prefix ? w->prefix : "", w->path);
    return r;
}

static int send_signed(struct aws_client *c, const struct wire *w, const struct aws_keys *keys, bool once,
                       struct http_response *ret, struct err *err)
{
    char hash[2 * SHA256_SIZE + 1] = EMPTY_SHA256;
    size_t host_len = w->prefix ? (size_t)(w->prefix - w->host) : strlen(w->host);
    autofree char *host = mem_strndup(w->host, host_len);
    if (w->body.len)
        sha256_hex(w->body.data, w->body.len, hash);
    struct sigv4_request q = {.method = w->method,
                              .host = host,
                              .path = w->full_path,
                              .query = w->query,
                              .n_query = w->n_query,
                              .headers = w->headers,
                              .n_headers = w->n_headers,
                              .payload_sha256 = hash,
                              .service = w->service->signing,
                              .region = w->service->global ? "us-east-1" : c->region,
                              .wall_ms = clock_wall_ms(c->clock)};
    struct sigv4_keys k = {keys->id, keys->secret, keys->token};
    struct sigv4_signed s = {0};
    char *lines[ARRAY_SIZE(w->headers) + 6] = {0};
    size_t n = 0;
    int r = sigv4_sign(&q, &k, &s, err);
    if (r < 0)
        return r;
    autofree char *url = mem_printf("%.*s%s", (int)(w->host - w->url + (ptrdiff_t)host_len), w->url, s.target);
    for (size_t i = 0; i < w->n_headers; i++)
        lines[n++] = mem_printf("%s: %s", w->headers[i].name, w->headers[i].value);
    lines[n++] = mem_printf("x-amz-date: %s", s.date);
    lines[n++] = mem_printf("authorization: %s", s.authorization);
    if (!strcmp(w->service->name, "s3"))
        lines[n++] = mem_printf("x-amz-content-sha256: %s", hash);
    if (keys->token)
        lines[n++] = mem_printf("x-amz-security-token: %s", keys->token);
    if (!w->content_type)
        lines[n++] = mem_strdup("Content-Type:"); /* or libcurl names one that S3 would have to believe */
    struct http_request h = {.method = w->method,
                             .url = url,
                             .headers = (const char *const *)lines,
                             .body = w->body.len ? w->body.data : NULL,
                             .body_len = w->body.len,
                             .pool = c->pool,
                             .once = once,
                             .path_as_is = true,
                             .timeout_ms = c->timeout_ms,
                             .max_response = AWS_ANSWER_MAX};
    atomic_fetch_add(&c->calls, 1);
    r = http_do(&h, ret, err);
    for (size_t i = 0; i < n; i++) {
        mem_wipe(lines[i], strlen(lines[i]));
        free(lines[i]);
    }
    sigv4_signed_free(&s);
    return r;
}

/* --- keys --- */

static int assume(struct aws_client *c, const struct aws_keys *own, struct aws_keys *ret, struct err *err)
{
    autojson json_t *params = json_pack("{s:s, s:s, s:i}", "RoleArn", c->role_arn, "RoleSessionName", c->session_name,
                                        "DurationSeconds", 3600);
    if (c->external_id)
        json_object_set_new(params, "ExternalId", json_string(c->external_id));
    if (c->session_policy)
        json_object_set_new(params, "Policy", json_string(c->session_policy));
    struct aws_request q = {.service = "sts", .action = "AssumeRole", .params = params};
    char code[96], message[256];
    int r = 0;
    for (int n = 0; n < c->attempts; n++) {
        autoresponse struct http_response a = {0};
        struct wire w = {0};
        r = wire_build(c, &q, &w, err);
        if (r == 0)
            r = send_signed(c, &w, own, false, &a, err);
        wire_free(&w);
        if (r == 0 && a.status == 200)
            return aws_credentials_parse_sts(a.body, a.body_len, ret, err);
        if (r == 0) {
            aws_error_parse(a.status, a.headers, a.body, a.body_len, code, message);
            r = aws_error_code(a.status, code);
            if (r != -EAGAIN)
                return err_set(err, r, "cannot assume the role %.200s: %s: %s%s", c->role_arn, code, message,
                               r == -EACCES ? " (if its owner has detached it, services go on; attach it to go on here)"
                                            : "");
        }
        if ((r = pause_ms(c, (int64_t)c->pause_first_ms << MIN(n, 5), err)) < 0)
            return r;
        if (err)
            *err = ERR_INIT;
    }
    return err_set(err, -EAGAIN, "STS does not answer for the role %.200s", c->role_arn);
}

int aws_client_keys(struct aws_client *c, struct aws_keys *ret, struct err *err)
{
    struct aws_keys own OH_CLEANUP(aws_keys_free) = {0};
    int r = 0;
    pthread_mutex_lock(&c->keys_lock);
    if (!c->keys.id || (c->keys.expires_ms && c->keys.expires_ms - RENEW_BEFORE_MS < clock_wall_ms(c->clock))) {
        struct aws_keys fresh = {0};
        r = aws_credentials_find(&c->source, c->pool, c->clock, c->role_arn ? &own : &fresh, err);
        if (r == 0 && c->role_arn)
            r = assume(c, &own, &fresh, err);
        if (r == 0) {
            aws_keys_free(&c->keys);
            c->keys = fresh;
        }
    }
    if (r == 0)
        r = aws_keys_copy(&c->keys, ret);
    pthread_mutex_unlock(&c->keys_lock);
    return r;
}

static void forget_keys(struct aws_client *c)
{
    pthread_mutex_lock(&c->keys_lock);
    aws_keys_free(&c->keys);
    pthread_mutex_unlock(&c->keys_lock);
}

/* --- a call --- */

static int take_apart(const struct wire *w, const struct aws_request *q, const struct http_response *a, json_t **ret,
                      struct err *err)
{
    bool json = w->service->protocol == AWS_JSON || w->service->protocol == AWS_REST_JSON;
    json_t *v = NULL;
    if (!ret)
        return 0;
    if (!a->body_len)
        v = json_object();
    else if (!json && *a->body != '<')
        v = json_pack("{s:s%}", "text", a->body, a->body_len); /* S3's bucket policy is JSON */
    else {
        int r = json ? js_parse(a->body, a->body_len, AWS_ANSWER_MAX, &v, err)
                     : aws_xml_parse(a->body, a->body_len, AWS_ANSWER_MAX, &v, NULL, err);
        if (r < 0)
            return err_set(err, -EPROTO, "%s %s: the answer cannot be read", q->service, q->action);
    }
    *ret = v ? v : json_object();
    return 0;
}

static bool throttled(int status, const char *code)
{
    return status == 429 || strstr(code, "Throttl") || strstr(code, "RequestLimitExceeded") ||
           strstr(code, "TooManyRequests") || strstr(code, "SlowDown");
}

/* One attempt. *ret_again: it may be repeated at once by us. */
static int attempt(struct aws_client *c, const struct aws_request *q, json_t **ret, struct aws_failure *why,
                   bool *ret_again, struct err *err)
{
    struct aws_keys keys OH_CLEANUP(aws_keys_free) = {0};
    autoresponse struct http_response a = {0};
    bool harmless = q->repeatable || aws_action_reads(q->action);
    struct wire w = {0};
    char message[256];
    *ret_again = false;
    *why = (struct aws_failure){0};
    int r = pace(c, err);
    if (r == 0)
        r = aws_client_keys(c, &keys, err);
    if (r == 0)
        r = wire_build(c, q, &w, err);
    if (r < 0) {
        wire_free(&w);
        return r;
    }
    r = send_signed(c, &w, &keys, !harmless, &a, err);
    if (r < 0) {
        why->sent = r != -ECONNREFUSED && r != -EHOSTUNREACH;
        *ret_again = (r != -EACCES && r != -EINVAL && r != -EMSGSIZE) && (harmless || !why->sent);
        r = r == -EACCES || r == -EINVAL || r == -EMSGSIZE ? r : -EAGAIN;
    } else if (a.status / 100 == 2) {
        paced(c, false);
        r = take_apart(&w, q, &a, ret, err);
    } else {
        aws_error_parse(a.status, a.headers, a.body, a.body_len, why->code, message);
        why->status = a.status;
        bool slow = throttled(a.status, why->code);
        paced(c, slow);
        why->sent = a.status >= 500 && !slow;
        r = aws_error_code(a.status, why->code);
        if (!strncmp(why->code, "ExpiredToken", 12)) {
            forget_keys(c);
            *ret_again = true;
        }
        *ret_again |= slow || (a.status >= 500 && harmless);
        r = err_set(err, r, "%s %s: %s: %s", q->service, q->action, why->code, message);
    }
    wire_free(&w);
    return r;
}

int aws_call(struct aws_client *c, const struct aws_request *q, json_t **ret, struct aws_failure *ret_why,
             struct err *err)
{
    struct aws_failure own, *why = ret_why ? ret_why : &own;
    for (int n = 0;; n++) {
        struct err now = ERR_INIT;
        bool again;
        int r = attempt(c, q, ret, why, &again, &now);
        if (r == 0)
            return 0;
        if (!again || n + 1 >= c->attempts)
            return err_set(err, r, "%s", now.message[0] ? now.message : strerror(-r));
        int64_t wait = MIN((int64_t)c->pause_first_ms << MIN(n, 10), (int64_t)PAUSE_MAX_MS);
        if ((r = pause_ms(c, wait / 2 + random_below((uint32_t)wait / 2 + 1), err)) < 0)
            return r;
    }
}

int aws_call_all(struct aws_client *c, const struct aws_request *q, const struct aws_pages *pages, json_t **ret,
                 struct err *err)
{
    autojson json_t *all = json_array(), *inputs OH_CLEANUP(js_decrefp) = NULL;
    bool in_query = q->query || (q->method && !strcmp(q->method, "GET"));
    struct aws_request page = *q;
    inputs = in_query ? (q->query ? json_deep_copy(q->query) : json_object())
                      : (q->params ? json_deep_copy(q->params) : json_object());
    for (int n = 0; n < AWS_PAGES_MAX; n++) {
        autojson json_t *answer = NULL;
        if (in_query)
            page.query = inputs;
        else
            page.params = inputs;
        int r = aws_call(c, &page, &answer, NULL, err);
        if (r < 0)
            return r;
        const json_t *at = answer;
        autofree char *result = mem_printf("%sResult", q->action);
        if (json_is_object(json_object_get(answer, result)))
            at = json_object_get(answer, result);
        autojson json_t *list = aws_xml_list(at, pages->list, pages->inner);
        json_array_extend(all, list);
        const char *next = json_string_value(json_object_get(at, pages->out));
        if (!next || !*next) {
            *ret = TAKE_PTR(all);
            return 0;
        }
        json_object_set_new(inputs, pages->in, json_string(next));
    }
    return err_set(err, -EMSGSIZE, "%s %s: more than %d pages", q->service, q->action, AWS_PAGES_MAX);
}

/* --- one answer for many --- */

/* Off the list when its look is over and nobody reads it. */
static void shared_sweep(struct aws_client *c, unsigned look)
{
    for (struct shared **at = &c->shared, *s; (s = *at);) {
        if (s->look != look && s->done && !s->holders) {
            *at = s->next;
            shared_free(s);
        } else {
            at = &s->next;
        }
    }
}

static struct shared *shared_find(struct aws_client *c, unsigned look, const char *what)
{
    struct shared *s = c->shared;
    while (s && (s->look != look || strcmp(s->what, what)))
        s = s->next;
    return s;
}

/* What came, under the lock; the last one of a failure frees it. */
static int shared_take(struct shared *s, json_t **ret, struct err *err)
{
    int r = s->result;
    s->holders--;
    if (r == 0)
        *ret = json_deep_copy(s->answer);
    else
        r = err_set(err, r, "%s", s->err.message);
    if (r < 0 && !s->holders)
        shared_free(s);
    return r;
}

/* Under the lock: what this thread has found is told to the others. */
static void shared_tell(struct aws_client *c, struct shared *s)
{
    struct shared **at = &c->shared;
    s->done = true;
    while (s->result < 0 && *at != s)
        at = &(*at)->next;
    if (s->result < 0)
        *at = s->next;
    pthread_cond_broadcast(&c->shared_came);
}

int aws_call_all_once(struct aws_client *c, unsigned look, const struct aws_request *q, const struct aws_pages *pages,
                      json_t **ret, struct err *err)
{
    autojson json_t *asked = json_pack("{s:s, s:s, s:O?}", "service", q->service, "action", q->action, "params",
                                       (json_t *)(uintptr_t)q->params);
    if (!look)
        return aws_call_all(c, q, pages, ret, err);
    autofree char *what = js_text(asked);
    pthread_mutex_lock(&c->shared_lock);
    struct shared *s = shared_find(c, look, what);
    if (s) {
        s->holders++;
        while (!s->done)
            pthread_cond_wait(&c->shared_came, &c->shared_lock);
    } else {
        shared_sweep(c, look);
        s = mem_alloc(sizeof(*s));
        *s = (struct shared){.look = look, .what = TAKE_PTR(what), .holders = 1, .next = c->shared};
        c->shared = s;
        pthread_mutex_unlock(&c->shared_lock);
        s->result = aws_call_all(c, q, pages, &s->answer, &s->err);
        pthread_mutex_lock(&c->shared_lock);
        shared_tell(c, s);
    }
    int r = shared_take(s, ret, err);
    pthread_mutex_unlock(&c->shared_lock);
    return r;
}
