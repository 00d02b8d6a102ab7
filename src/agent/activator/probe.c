/* Asks a sleeping service's engine whether it is there: GET /ping at one of its hosts. */
#include "agent/activator/internal.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#define PROBE_MS 2000

static const char question[] = "GET /ping HTTP/1.0\r\n\r\n";

struct probe {
    struct activator *a;
    struct service *service; /* NULL: nobody waits for it any more */
    uv_getaddrinfo_t resolve;
    uv_poll_t poll;
    int fd; /* -1: none yet */
    struct sockaddr_storage address;
    int64_t deadline_ms;
    bool asked;
    char answer[32];
    size_t have;
};

static void free_probe(uv_handle_t *h)
{
    free(h->data);
}

static void end(struct probe *p)
{
    if (p->service)
        p->service->probe = NULL;
    p->service = NULL;
    if (p->fd < 0) {
        free(p);
        return;
    }
    uv_close((uv_handle_t *)&p->poll, free_probe);
    close(p->fd);
    p->fd = -1;
}

/* "HTTP/1.0 200 ..." */
static void judge(struct probe *p)
{
    struct service *s = p->service;
    struct sockaddr_storage address = p->address;
    bool good = p->have >= 12 && !memcmp(p->answer, "HTTP/1.", 7) && !memcmp(p->answer + 8, " 200", 4);
    struct activator *a = p->a;
    end(p);
    if (good && s)
        activator_ready(a, s, &address);
}

static void on_probe(uv_poll_t *poll, int status, int events OH_UNUSED)
{
    struct probe *p = poll->data;
    if (status < 0) {
        end(p);
        return;
    }
    if (!p->asked) {
        ssize_t n = send(p->fd, question, sizeof(question) - 1, MSG_NOSIGNAL);
        p->asked = n == (ssize_t)sizeof(question) - 1;
        if (p->asked)
            uv_poll_start(poll, UV_READABLE, on_probe);
        else
            end(p);
        return;
    }
    ssize_t n = recv(p->fd, p->answer + p->have, sizeof(p->answer) - p->have, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    p->have += n > 0 ? (size_t)n : 0;
    if (n <= 0 || p->have >= 12)
        judge(p);
}

static void dial(struct probe *p)
{
    struct sockaddr_storage *s = &p->address;
    socklen_t len = s->ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    uint16_t port = htons((uint16_t)p->a->c.engine_http_port);
    if (s->ss_family == AF_INET)
        ((struct sockaddr_in *)s)->sin_port = port;
    else
        ((struct sockaddr_in6 *)s)->sin6_port = port;
    int fd = socket(s->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    bool ok = fd >= 0 && (connect(fd, (struct sockaddr *)s, len) == 0 || errno == EINPROGRESS) &&
              uv_poll_init(p->a->c.loop, &p->poll, fd) == 0;
    if (!ok) {
        if (fd >= 0)
            close(fd);
        end(p);
        return;
    }
    p->fd = fd;
    p->poll.data = p;
    uv_poll_start(&p->poll, UV_WRITABLE, on_probe);
}

static void on_resolved(uv_getaddrinfo_t *q, int status, struct addrinfo *found)
{
    struct probe *p = q->data;
    bool use = status == 0 && found && p->service && found->ai_addrlen <= sizeof(p->address);
    if (use)
        memcpy(&p->address, found->ai_addr, found->ai_addrlen);
    if (status == 0)
        uv_freeaddrinfo(found);
    if (use)
        dial(p);
    else
        end(p);
}

static bool is_number(const char *host, struct sockaddr_storage *ret)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)ret;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;
    memset(ret, 0, sizeof(*ret));
    if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        return true;
    }
    v6->sin6_family = AF_INET6;
    return inet_pton(AF_INET6, host, &v6->sin6_addr) == 1;
}

void probe_begin(struct activator *a, struct service *s)
{
    static const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    if (s->probe || !s->entry)
        return;
    const char *host = s->entry->hosts[s->turn++ % s->entry->n_hosts];
    struct probe *p = mem_alloc(sizeof(*p));
    *p = (struct probe){.a = a, .service = s, .fd = -1, .deadline_ms = clock_mono_ms(a->c.clock) + PROBE_MS};
    s->probe = p;
    p->resolve.data = p;
    if (is_number(host, &p->address))
        dial(p);
    else if (uv_getaddrinfo(a->c.loop, &p->resolve, on_resolved, host, NULL, &hints) < 0)
        end(p);
}

/* One whose name is still looked up ends when that is done: the look-up has a time-out of its own. */
void probe_expire(struct service *s, int64_t now_ms)
{
    if (s->probe && s->probe->fd >= 0 && now_ms >= s->probe->deadline_ms)
        end(s->probe);
}
