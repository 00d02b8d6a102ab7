/* Tells who is waited for, to whoever listens. */
#include "agent/activator/internal.h"

#include <sys/socket.h>
#include <unistd.h>

#define CLIENTS_MAX 16

struct control_client {
    struct activator *a;
    struct control_client *next;
    int fd;
    uv_poll_t poll;
};

static void free_client(uv_handle_t *h)
{
    free(h->data);
}

static void leave(struct control_client *c)
{
    struct control_client **at = &c->a->clients;
    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
    c->a->n_clients--;
    uv_close((uv_handle_t *)&c->poll, free_client);
    close(c->fd);
}

/* Nothing that is said here matters; that it left does. */
static void on_client(uv_poll_t *poll, int status, int events OH_UNUSED)
{
    struct control_client *c = poll->data;
    char drop[256];
    ssize_t n = status < 0 ? 0 : recv(c->fd, drop, sizeof(drop), 0);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        leave(c);
}

static void list(const struct activator *a, struct buf *out)
{
    buf_adds(out, "held");
    for (int i = 1; i <= DESIRED_MAX_SERVICES && a->n_held; i++)
        if (a->services[i] && a->services[i]->held)
            buf_printf(out, " %d", i);
    buf_addc(out, '\n');
}

/* Who does not read is let go and comes back: a line is never cut. */
static void tell(struct control_client *c, const struct buf *line)
{
    if (send(c->fd, line->data, line->len, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)line->len)
        leave(c);
}

void control_tell(struct activator *a)
{
    autobuf struct buf line = BUF_INIT;
    if (!a->clients)
        return;
    list(a, &line);
    for (struct control_client *c = a->clients, *next; c; c = next) {
        next = c->next;
        tell(c, &line);
    }
}

static void accept_client(struct activator *a, int fd)
{
    autobuf struct buf line = BUF_INIT;
    struct control_client *c = a->n_clients < CLIENTS_MAX ? mem_alloc(sizeof(*c)) : NULL;
    if (!c || uv_poll_init(a->c.loop, &c->poll, fd) < 0) {
        free(c);
        close(fd);
        return;
    }
    c->a = a;
    c->fd = fd;
    c->next = a->clients;
    c->poll.data = c;
    a->clients = c;
    a->n_clients++;
    uv_poll_start(&c->poll, UV_READABLE, on_client);
    list(a, &line);
    tell(c, &line);
}

static void on_accept(uv_poll_t *poll, int status, int events OH_UNUSED)
{
    struct listener *l = poll->data;
    for (int fd; status == 0 && (fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;)
        accept_client(l->a, fd);
}

int control_open(struct activator *a, struct err *err)
{
    struct listener *l = &a->control;
    int r = activator_listen(a->c.listen, a->c.control_port, &l->fd, err);
    if (r < 0)
        return r;
    l->a = a;
    l->poll.data = l;
    r = uv_poll_init(a->c.loop, &l->poll, l->fd);
    return r < 0 ? err_set(err, r, "cannot watch the control port: %s", uv_strerror(r))
                 : uv_poll_start(&l->poll, UV_READABLE, on_accept);
}
