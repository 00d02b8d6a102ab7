/* One readiness probe over a non-blocking socket. */
#include "runtime/process/probe.h"

#include "base/mem.h"

#include <arpa/inet.h>
#include <sched.h>
#include <sys/socket.h>

struct probe {
    uv_poll_t poll;
    uv_timer_t timer;
    int fd, closing;
    char *request; /* NULL: connecting is enough */
    size_t sent;
    char answer[32];
    size_t answered;
    probe_done done;
    void *data;
};

static int make_address(const struct probe_target *t, struct sockaddr_storage *ret, socklen_t *ret_len)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)(void *)ret;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)(void *)ret;
    memset(ret, 0, sizeof(*ret));
    if (inet_pton(AF_INET, t->address, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)t->port);
        *ret_len = sizeof(*v4);
        return 0;
    }
    if (inet_pton(AF_INET6, t->address, &v6->sin6_addr) != 1)
        return -EINVAL;
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons((uint16_t)t->port);
    *ret_len = sizeof(*v6);
    return 0;
}

/* A socket belongs for life to the namespace that its maker was in; so step in for the one call. */
static int socket_in(const char *netns, int family)
{
    int type = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
    if (!netns) {
        int fd = socket(family, type, 0);
        return fd < 0 ? -errno : fd;
    }
    autoclose int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    autoclose int other = open(netns, O_RDONLY | O_CLOEXEC);
    if (own < 0 || other < 0 || setns(other, CLONE_NEWNET) < 0)
        return -errno;
    int fd = socket(family, type, 0), r = fd < 0 ? -errno : fd;
    if (setns(own, CLONE_NEWNET) < 0)
        abort(); /* to go on in the wrong network would be worse */
    return r;
}

static void on_closed(uv_handle_t *h)
{
    struct probe *p = h->data;
    if (--p->closing)
        return;
    close(p->fd);
    free(p->request);
    free(p);
}

void probe_cancel(struct probe *p)
{
    if (!p)
        return;
    p->done = NULL;
    p->closing = 2;
    uv_close((uv_handle_t *)&p->poll, on_closed);
    uv_close((uv_handle_t *)&p->timer, on_closed);
}

static void finish(struct probe *p, bool ok, const char *why)
{
    probe_done done = p->done;
    void *data = p->data;
    probe_cancel(p);
    done(data, ok, why);
}

static void on_timer(uv_timer_t *t)
{
    struct probe *p = t->data;
    finish(p, false, p->sent ? "it did not answer in time" : "it did not take the connection in time");
}

static void judge(struct probe *p)
{
    char why[64];
    p->answer[MIN(p->answered, sizeof(p->answer) - 1)] = 0;
    int status = 0;
    if (sscanf(p->answer, "HTTP/1.%*1[01] %3d", &status) != 1)
        return finish(p, false, "its answer is not HTTP");
    snprintf(why, sizeof(why), "it answered with status %d", status);
    finish(p, status == 200, why);
}

static void on_readable(struct probe *p)
{
    ssize_t n = recv(p->fd, p->answer + p->answered, sizeof(p->answer) - 1 - p->answered, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n < 0)
        return finish(p, false, strerror(errno));
    p->answered += (size_t)n;
    /* "HTTP/1.1 200" says it all; the rest is not read. */
    if (n == 0 || p->answered >= 13)
        judge(p);
}

static void on_event(uv_poll_t *poll, int status, int events)
{
    struct probe *p = poll->data;
    int code = 0;
    socklen_t len = sizeof(code);
    if (status == 0 && getsockopt(p->fd, SOL_SOCKET, SO_ERROR, &code, &len) < 0)
        code = errno;
    if (status < 0 || code)
        return finish(p, false, code == ECONNREFUSED ? "it refused the connection" : strerror(code ? code : EIO));
    if (!p->request)
        return finish(p, true, "");
    if (events & UV_READABLE)
        return on_readable(p);
    size_t left = strlen(p->request) - p->sent;
    ssize_t n = send(p->fd, p->request + p->sent, left, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN && errno != EINTR)
        return finish(p, false, strerror(errno));
    p->sent += (size_t)MAX(n, (ssize_t)0);
    if (p->sent == strlen(p->request))
        uv_poll_start(poll, UV_READABLE, on_event);
}

int probe_start(uv_loop_t *loop, const struct probe_target *target, probe_done done, void *data, struct probe **ret,
                struct err *err)
{
    struct sockaddr_storage to;
    socklen_t to_len = 0;
    int r = make_address(target, &to, &to_len);
    if (r < 0)
        return err_set(err, r, "%s is not a numeric address", target->address);
    int fd = socket_in(target->netns, to.ss_family);
    if (fd < 0)
        return err_set_errno(err, fd, "cannot make a socket for the probe");
    if (connect(fd, (struct sockaddr *)&to, to_len) < 0 && errno != EINPROGRESS) {
        r = -errno;
        close(fd);
        return err_set_errno(err, r, "cannot connect to %s port %d", target->address, target->port);
    }
    struct probe *p = mem_alloc(sizeof(*p));
    bool v6 = to.ss_family == AF_INET6;
    *p = (struct probe){.fd = fd, .done = done, .data = data};
    if (target->path)
        p->request =
            mem_printf("GET %s HTTP/1.1\r\nHost: %s%s%s:%d\r\nUser-Agent: ownhouse\r\nConnection: close\r\n\r\n",
                       target->path, v6 ? "[" : "", target->address, v6 ? "]" : "", target->port);
    uv_poll_init(loop, &p->poll, fd);
    uv_timer_init(loop, &p->timer);
    p->poll.data = p->timer.data = p;
    uv_poll_start(&p->poll, UV_WRITABLE, on_event);
    uv_timer_start(&p->timer, on_timer, (uint64_t)MAX(target->timeout_ms, 1), 0);
    *ret = p;
    return 0;
}
