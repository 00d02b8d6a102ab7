/* Serves requests over HTTP with libmicrohttpd. */
#include "clickhouse/http.h"

#include "base/log.h"
#include "base/mem.h"
#include "clickhouse/http_query.h"
#include "clickhouse/request.h"

#include <arpa/inet.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define CONNECTION_MEMORY (PARAMS_MAX_BYTES + KIB(128)) /* URL, headers and a read buffer; touched as needed */
#define STREAM_BLOCK KIB(256)

struct http {
    struct service *service;
    struct MHD_Daemon *daemon;
    struct listen_address address;
    atomic_size_t active;
};

/* One request from its first line to its end. */
struct exchange {
    struct http *http;
    char *uri; /* as it came, with the query string still encoded */
    struct MHD_Connection *connection;
    struct request *request;
    struct http_query *query; /* of a query endpoint; NULL: of the engine's own interface */
    bool begun, answered;
};

/* The idle time-out is for silent clients. While the engine works the client has nothing to say, so it is off; it
 * starts anew when it is set again. */
static void set_timeout(const struct exchange *x, bool on)
{
    unsigned seconds = on ? (unsigned)x->http->service->config.idle_timeout_s : 0;
    MHD_set_connection_option(x->connection, MHD_CONNECTION_OPTION_TIMEOUT, seconds);
}

static void *uri_arrived(void *cls, const char *uri, struct MHD_Connection *connection)
{
    struct http *h = cls;
    struct exchange *x = mem_alloc(sizeof(*x));
    x->http = h;
    x->connection = connection;
    x->uri = mem_strdup(uri);
    atomic_fetch_add(&h->active, 1);
    return x;
}

static void completed(void *cls, struct MHD_Connection *connection, void **req_cls,
                      enum MHD_RequestTerminationCode code)
{
    struct exchange *x = *req_cls;
    if (!x)
        return;
    request_free(x->request);
    http_query_free(x->query);
    mem_wipe(x->uri, strlen(x->uri)); /* may hold a password */
    free(x->uri);
    atomic_fetch_sub(&x->http->active, 1);
    free(x);
    *req_cls = NULL;
}

static enum MHD_Result send_text(struct MHD_Connection *c, unsigned status, const char *text)
{
    struct MHD_Response *r =
        MHD_create_response_from_buffer(strlen(text), (void *)(uintptr_t)text, MHD_RESPMEM_MUST_COPY);
    if (!r)
        return MHD_NO;
    MHD_add_response_header(r, "Content-Type", "text/plain; charset=UTF-8");
    enum MHD_Result ret = MHD_queue_response(c, status, r);
    MHD_destroy_response(r);
    return ret;
}

static ssize_t stream_more(void *cls, uint64_t pos, char *out, size_t max)
{
    struct exchange *x = cls;
    set_timeout(x, false);
    ssize_t n = request_read(x->request, out, max);
    set_timeout(x, true);
    if (n == 0)
        return MHD_CONTENT_READER_END_OF_STREAM;
    return n > 0 ? n : MHD_CONTENT_READER_END_WITH_ERROR;
}

static struct MHD_Response *make_response(struct exchange *x)
{
    uint64_t size;
    size_t len;
    if (request_body_kind(x->request) == BODY_STREAM)
        return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK, stream_more, x, NULL);
    if (request_body_kind(x->request) == BODY_FILE) {
        int fd = request_take_file(x->request, &size);
        return MHD_create_response_from_fd64(size, fd); /* closes fd */
    }
    char *body = request_take_body(x->request, &len);
    return MHD_create_response_from_buffer(len, body, MHD_RESPMEM_MUST_FREE);
}

static enum MHD_Result answer(struct exchange *x, struct MHD_Connection *c)
{
    const char *const(*headers)[2];

    x->answered = true;
    set_timeout(x, false);
    request_finish(x->request);
    set_timeout(x, true);
    struct MHD_Response *r = make_response(x);
    if (!r)
        return MHD_NO;
    size_t count = request_headers(x->request, &headers);
    for (size_t i = 0; i < count; i++)
        MHD_add_response_header(r, headers[i][0], headers[i][1]);
    http_query_headers(x->query, r);
    if (atomic_load(&x->http->service->draining))
        MHD_add_response_header(r, "Connection", "close");
    enum MHD_Result ret = MHD_queue_response(c, (unsigned)request_status(x->request), r);
    MHD_destroy_response(r);
    return ret;
}

static int client_of(struct MHD_Connection *c)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
    return info ? info->connect_fd : -1;
}

static struct request *begin(struct exchange *x, struct MHD_Connection *c, const char *method)
{
    const char *query = strchr(x->uri, '?');
    struct request_head head = {
        .method = method,
        .url_query = query ? query + 1 : NULL,
        .authorization = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Authorization"),
        .user = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "X-ClickHouse-User"),
        .key = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "X-ClickHouse-Key"),
        .database = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "X-ClickHouse-Database"),
        .format = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "X-ClickHouse-Format"),
        .accept_encoding = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Accept-Encoding"),
        .content_encoding = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Content-Encoding"),
        .content_type = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Content-Type"),
        .client_fd = client_of(c),
    };
    return request_new(x->http->service, &head);
}

static enum MHD_Result fixed_page(struct MHD_Connection *c, const char *url, const char *method)
{
    bool read = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
    if (read && (strcmp(url, "/ping") == 0 || strcmp(url, "/replicas_status") == 0))
        return send_text(c, 200, "Ok.\n");
    return send_text(c, 404,
                     "There is no such page. Use / for queries, /ping for health checks and "
                     "/replicas_status for the state of replicas.\n");
}

/* ---- query endpoints ---- */

static enum MHD_Result refuse_query(struct exchange *x, struct MHD_Connection *c)
{
    x->answered = true;
    return http_query_refuse(x->query, c);
}

/* Who may not ask is told so before the body is read. */
static enum MHD_Result begin_query(struct exchange *x, struct MHD_Connection *c, const char *url, const char *method)
{
    const char *query = strchr(x->uri, '?');
    x->query = http_query_new(x->http->service, c, url, query ? query + 1 : NULL, method);
    return http_query_answered(x->query) ? refuse_query(x, c) : MHD_YES;
}

static enum MHD_Result handle_query(struct exchange *x, struct MHD_Connection *c, const char *data, size_t *size)
{
    if (x->answered) {
        *size = 0;
        return MHD_YES;
    }
    if (*size) {
        http_query_body(x->query, data, *size);
        *size = 0;
        return MHD_YES;
    }
    set_timeout(x, false);
    x->request = http_query_request(x->query, client_of(c));
    set_timeout(x, true);
    return x->request ? answer(x, c) : refuse_query(x, c);
}

static enum MHD_Result handle(void *cls, struct MHD_Connection *c, const char *url, const char *method,
                              const char *version, const char *data, size_t *size, void **req_cls)
{
    struct exchange *x = *req_cls;

    if (!x->begun) {
        x->begun = true;
        if (http_query_is(url))
            return begin_query(x, c, url, method);
        if (strcmp(url, "/") != 0)
            return fixed_page(c, url, method);
        if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0 && strcmp(method, "POST") != 0)
            return send_text(c, 405, "Use GET, HEAD or POST.\n");
        x->request = begin(x, c, method);
        /* A wrong password ends the request before its body is read. */
        return request_failed(x->request) ? answer(x, c) : MHD_YES;
    }
    if (x->query)
        return handle_query(x, c, data, size);
    if (*size) {
        request_body(x->request, data, *size);
        *size = 0;
        return MHD_YES;
    }
    return x->answered ? MHD_YES : answer(x, c);
}

/* A socket file that nobody answers on is left from a crash. */
static int clear_stale(const struct sockaddr_un *a, struct err *err)
{
    autoclose int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct stat st;
    if (lstat(a->sun_path, &st) < 0)
        return 0;
    if (!S_ISSOCK(st.st_mode))
        return err_set(err, -EEXIST, "listen: %s exists and is no socket; remove it or name another path", a->sun_path);
    if (connect(fd, (const struct sockaddr *)a, sizeof(*a)) == 0)
        return err_set(err, -EADDRINUSE, "listen: another process serves on %s; stop it or name another path",
                       a->sun_path);
    unlink(a->sun_path);
    return 0;
}

static int bind_unix(const struct http *h, int fd, struct err *err)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    memcpy(a.sun_path, h->address.path, strlen(h->address.path) + 1);
    int r = clear_stale(&a, err);
    if (r < 0)
        return r;
    if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
        return err_set(err, -errno, "listen: cannot make the socket %s: %s", a.sun_path, strerror(errno));
    if (chmod(a.sun_path, (mode_t)strtoul(h->service->config.socket_mode, NULL, 8)) < 0)
        return err_set_errno(err, -errno, "listen: cannot set the permissions of %s", a.sun_path);
    return 0;
}

static int bind_tcp(const struct http *h, int fd, struct err *err)
{
    struct sockaddr_in a4 = {.sin_family = AF_INET, .sin_port = htons(h->address.port)};
    struct sockaddr_in6 a6 = {.sin6_family = AF_INET6, .sin6_port = htons(h->address.port)};
    bool v6 = strchr(h->address.host, ':') != NULL;
    int one = 1;

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    inet_pton(v6 ? AF_INET6 : AF_INET, h->address.host, v6 ? (void *)&a6.sin6_addr : (void *)&a4.sin_addr);
    if (bind(fd, v6 ? (struct sockaddr *)&a6 : (struct sockaddr *)&a4, v6 ? sizeof(a6) : sizeof(a4)) < 0)
        return err_set(err, -errno, "listen: cannot bind %s: %s; stop what uses it or name another port",
                       h->service->config.listen, strerror(errno));
    return 0;
}

static int open_socket(const struct http *h, struct err *err)
{
    bool v6 = strchr(h->address.host, ':') != NULL;
    int family = h->address.is_unix ? AF_UNIX : v6 ? AF_INET6 : AF_INET;
    autoclose int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return err_set_errno(err, -errno, "cannot make a socket");
    int r = h->address.is_unix ? bind_unix(h, fd, err) : bind_tcp(h, fd, err);
    if (r < 0)
        return r;
    if (listen(fd, 511) < 0)
        return err_set_errno(err, -errno, "cannot listen on %s", h->service->config.listen);
    return oh_take_fd(&fd);
}

int http_start(struct service *s, struct http **ret, struct err *err)
{
    struct http *h = mem_alloc(sizeof(*h));
    h->service = s;
    int fd = config_listen(s->config.listen, &h->address, err);
    if (fd == 0)
        fd = open_socket(h, err);
    if (fd < 0) {
        free(h);
        return fd;
    }
    h->daemon = MHD_start_daemon(
        MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_POLL | MHD_USE_ITC, 0, NULL, NULL,
        handle, h, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT, (unsigned)s->config.max_connections,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)s->config.idle_timeout_s, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)CONNECTION_MEMORY, MHD_OPTION_URI_LOG_CALLBACK, uri_arrived, h, MHD_OPTION_NOTIFY_COMPLETED, completed,
        h, MHD_OPTION_END);
    if (!h->daemon) {
        close(fd);
        free(h);
        return err_set(err, -EIO, "the HTTP server could not be started on %s", s->config.listen);
    }
    *ret = h;
    return 0;
}

void http_quiesce(struct http *h)
{
    int fd = MHD_quiesce_daemon(h->daemon);
    if (fd >= 0)
        close(fd);
    if (h->address.is_unix)
        unlink(h->address.path);
}

size_t http_active(const struct http *h)
{
    return atomic_load(&h->active);
}
