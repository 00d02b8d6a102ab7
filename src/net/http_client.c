/* Blocking HTTP requests over libcurl. */
#include "net/http_client.h"

#include "base/mem.h"

#include <ctype.h>
#include <curl/curl.h>
#include <pthread.h>

#define BODY_DEFAULT MIB(16)
#define HEADERS_MAX KIB(64)

struct exchange {
    const struct http_request *request;
    struct buf body, headers;
    bool stopped; /* on_body said so */
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static void init_curl(void)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        abort(); /* no TLS or no memory */
}

#define POOL_MAX 32

struct http_pool {
    pthread_mutex_t lock;
    CURL *idle[POOL_MAX];
    int n;
};

struct http_pool *http_pool_new(void)
{
    struct http_pool *p = mem_alloc(sizeof(*p));
    pthread_once(&once, init_curl);
    pthread_mutex_init(&p->lock, NULL);
    return p;
}

void http_pool_free(struct http_pool *p)
{
    if (!p)
        return;
    while (p->n > 0)
        curl_easy_cleanup(p->idle[--p->n]);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

static CURL *handle_take(struct http_pool *p)
{
    CURL *c = NULL;
    if (p) {
        pthread_mutex_lock(&p->lock);
        c = p->n > 0 ? p->idle[--p->n] : NULL;
        pthread_mutex_unlock(&p->lock);
    }
    if (!c && !(c = curl_easy_init()))
        abort(); /* out of memory */
    return c;
}

static void handle_give(struct http_pool *p, CURL *c)
{
    if (p) {
        curl_easy_reset(c); /* connections stay */
        pthread_mutex_lock(&p->lock);
        if (p->n < POOL_MAX) {
            p->idle[p->n++] = c;
            c = NULL;
        }
        pthread_mutex_unlock(&p->lock);
    }
    curl_easy_cleanup(c);
}

static size_t on_body(char *data, size_t size, size_t n, void *user)
{
    struct exchange *x = user;
    size *= n;
    if (x->request->on_body) {
        x->stopped = x->request->on_body(data, size, x->request->user) != 0;
        return x->stopped ? 0 : size;
    }
    buf_add(&x->body, data, size);
    return x->body.overflow ? 0 : size;
}

/* Keeps the headers of the last answer: a status line begins anew (100 Continue, proxies). */
static size_t on_header(char *data, size_t size, size_t n, void *user)
{
    struct exchange *x = user;
    size *= n;
    size_t len = size;
    while (len && (data[len - 1] == '\n' || data[len - 1] == '\r'))
        len--;
    if (len >= 5 && memcmp(data, "HTTP/", 5) == 0) {
        x->headers.len = 0;
        return size;
    }
    const char *colon = memchr(data, ':', len);
    if (!colon)
        return size;
    for (const char *p = data; p < colon; p++)
        buf_addc(&x->headers, (char)tolower((unsigned char)*p));
    buf_add(&x->headers, colon, (size_t)(data + len - colon));
    buf_addc(&x->headers, '\n');
    return x->headers.overflow ? 0 : size;
}

static int add_header(struct curl_slist **list, const char *line, struct err *err)
{
    if (strpbrk(line, "\r\n"))
        return err_set(err, -EINVAL, "an HTTP header must be one line");
    struct curl_slist *next = curl_slist_append(*list, line);
    if (!next)
        abort(); /* out of memory */
    *list = next;
    return 0;
}

static int build_headers(const struct http_request *q, struct curl_slist **list, struct err *err)
{
    int r = 0;
    for (const char *const *h = q->headers; h && *h && r == 0; h++)
        r = add_header(list, *h, err);
    if (r == 0 && q->bearer) {
        char *line = mem_printf("Authorization: Bearer %s", q->bearer);
        r = add_header(list, line, err);
        mem_wipe(line, strlen(line));
        free(line);
    }
    /* Without a body in sight libcurl would wait a second for a "100 Continue" that few servers send. */
    return r == 0 ? add_header(list, "Expect:", err) : r;
}

/* A proxy in the environment is for other machines. */
static bool is_local(const struct http_request *q)
{
    const char *host = strstr(q->url, "://");
    host = host ? host + 3 : q->url;
    size_t n = strcspn(host, ":/?");
    return q->unix_socket || strncmp(host, "127.", 4) == 0 || strncmp(host, "[::1]", 5) == 0 ||
           (n >= 9 && strncasecmp(host + n - 9, "localhost", 9) == 0 && (n == 9 || host[n - 10] == '.'));
}

static void set_target(CURL *c, const struct http_request *q, struct curl_slist **resolve)
{
    curl_easy_setopt(c, CURLOPT_URL, q->url);
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (q->unix_socket)
        curl_easy_setopt(c, CURLOPT_UNIX_SOCKET_PATH, q->unix_socket);
    if (is_local(q))
        curl_easy_setopt(c, CURLOPT_NOPROXY, "*");
    if (q->direct)
        curl_easy_setopt(c, CURLOPT_NOPROXY, "*");
    if (q->path_as_is)
        curl_easy_setopt(c, CURLOPT_PATH_AS_IS, 1L);
    if (q->ca_file) {
        curl_easy_setopt(c, CURLOPT_CAINFO, q->ca_file);
        curl_easy_setopt(c, CURLOPT_CAPATH, NULL);
    }
    if (q->resolve) {
        *resolve = curl_slist_append(NULL, q->resolve);
        curl_easy_setopt(c, CURLOPT_RESOLVE, *resolve);
    }
}

static void set_request(CURL *c, const struct http_request *q)
{
    const char *method = q->method ? q->method : "GET";
    bool head = strcmp(method, "HEAD") == 0;
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_FRESH_CONNECT, (long)q->once);
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, (long)(q->connect_timeout_ms ? q->connect_timeout_ms : 10000));
    curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, q->timeout_ms < 0 ? 0L : (long)(q->timeout_ms ? q->timeout_ms : 60000));
    if (q->basic) {
        curl_easy_setopt(c, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
        curl_easy_setopt(c, CURLOPT_USERPWD, q->basic);
    }
    if (head) {
        curl_easy_setopt(c, CURLOPT_NOBODY, 1L);
    } else if (q->body || strcmp(method, "GET") != 0) {
        curl_easy_setopt(c, CURLOPT_POST, 1L);
        curl_easy_setopt(c, CURLOPT_POSTFIELDS, q->body ? q->body : "");
        curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)(q->body ? q->body_len : 0));
    }
    if (!head)
        curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, method);
}

static int code_of(CURLcode e, const struct exchange *x)
{
    switch (e) {
    case CURLE_COULDNT_CONNECT:
        return -ECONNREFUSED;
    case CURLE_OPERATION_TIMEDOUT:
        return -ETIMEDOUT;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
        return -EHOSTUNREACH;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CONNECT_ERROR:
        return -EACCES;
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
        return -EINVAL;
    case CURLE_WRITE_ERROR:
        return x->stopped ? -ECANCELED : -EMSGSIZE;
    default:
        return -EIO;
    }
}

static int explain(CURLcode e, const struct exchange *x, const char *detail, struct err *err)
{
    const struct http_request *q = x->request;
    const char *where = q->unix_socket ? q->unix_socket : q->url, *why = *detail ? detail : curl_easy_strerror(e);
    int code = code_of(e, x), n = (int)strcspn(where, "?"); /* a query may hold what does not belong in a log */
    if (code == -EMSGSIZE)
        return err_set(err, code, "%.*s: the answer is longer than %zu bytes", n, where, x->body.max);
    if (code == -ECANCELED)
        return err_set(err, code, "%.*s: stopped by the caller", n, where);
    return err_set(err, code, "%.*s: %s", n, where, why);
}

static void keep(CURL *c, struct exchange *x, struct http_response *ret)
{
    long status = 0;
    curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(c, CURLINFO_TOTAL_TIME, &ret->seconds);
    ret->status = (int)status;
    ret->body_len = x->body.len;
    ret->body = buf_take(&x->body);
    ret->headers = buf_take(&x->headers);
}

int http_do(const struct http_request *request, struct http_response *ret, struct err *err)
{
    struct exchange x = {.request = request,
                         .body = BUF_INIT_MAX(request->max_response ? request->max_response : BODY_DEFAULT),
                         .headers = BUF_INIT_MAX(HEADERS_MAX)};
    struct curl_slist *headers = NULL, *resolve = NULL;
    char detail[CURL_ERROR_SIZE] = "";
    pthread_once(&once, init_curl);
    CURL *c = handle_take(request->pool);
    int r = build_headers(request, &headers, err);
    if (r == 0) {
        set_target(c, request, &resolve);
        set_request(c, request);
        curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
        curl_easy_setopt(c, CURLOPT_ERRORBUFFER, detail);
        curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
        curl_easy_setopt(c, CURLOPT_WRITEDATA, &x);
        curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
        curl_easy_setopt(c, CURLOPT_HEADERDATA, &x);
        CURLcode e = curl_easy_perform(c);
        r = e == CURLE_OK ? 0 : explain(e, &x, detail, err);
    }
    if (r == 0)
        keep(c, &x, ret);
    handle_give(request->pool, c);
    curl_slist_free_all(headers);
    curl_slist_free_all(resolve);
    buf_free(&x.body);
    buf_free(&x.headers);
    return r;
}

void http_response_free(struct http_response *r)
{
    free(r->body);
    free(r->headers);
    *r = (struct http_response){0};
}

bool http_response_header(const struct http_response *r, const char *name, char *out, size_t size)
{
    size_t n = strlen(name);
    for (const char *line = r->headers ? r->headers : ""; *line; line += strcspn(line, "\n") + 1) {
        if (strncmp(line, name, n) != 0 || line[n] != ':')
            continue;
        const char *value = line + n + 1 + strspn(line + n + 1, " \t");
        size_t len = strcspn(value, "\n");
        if (len >= size)
            return false;
        memcpy(out, value, len);
        out[len] = 0;
        return true;
    }
    return false;
}
