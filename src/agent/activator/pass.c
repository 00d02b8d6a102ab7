/* Moves bytes between a client and its engine, both ways, keeping only what the other side cannot take yet. */
#include "agent/activator/internal.h"

#include <sys/socket.h>

#define ROUNDS 8 /* one connection does not keep the others waiting */

static bool would_block(void)
{
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

/* Sends what is kept. 1: nothing is left, 0: some is. */
static int drain(struct pipe_half *p, int to)
{
    while (p->len) {
        ssize_t n = send(to, p->data + p->start, p->len, MSG_NOSIGNAL);
        if (n < 0)
            return would_block() ? 0 : -errno;
        p->start += (size_t)n;
        p->len -= (size_t)n;
    }
    free(TAKE_PTR(p->data));
    p->start = 0;
    return 1;
}

static int forward(struct pipe_half *p, int to, const char *data, size_t n)
{
    ssize_t sent = send(to, data, n, MSG_NOSIGNAL);
    if (sent < 0 && !would_block())
        return -errno;
    size_t done = sent < 0 ? 0 : (size_t)sent;
    if (done == n)
        return 1;
    p->len = n - done;
    p->start = 0;
    p->data = mem_alloc(p->len);
    memcpy(p->data, data + done, p->len);
    return 0;
}

static int move(struct activator *a, struct pipe_half *p, int from, int to)
{
    int r = drain(p, to);
    for (int i = 0; r > 0 && !p->ended && i < ROUNDS; i++) {
        ssize_t n = recv(from, a->scratch, sizeof(a->scratch), 0);
        if (n < 0)
            return would_block() ? 0 : -errno;
        if (n == 0)
            p->ended = true;
        else
            r = forward(p, to, a->scratch, (size_t)n);
    }
    if (r >= 0 && p->ended && !p->len && !p->shut) {
        p->shut = true;
        shutdown(to, SHUT_WR);
    }
    return MIN(r, 0);
}

static int wanted(const struct pipe_half *in, const struct pipe_half *out)
{
    return (!in->ended && !in->len ? UV_READABLE : 0) | (out->len ? UV_WRITABLE : 0);
}

static void on_step(uv_poll_t *poll, int status, int events OH_UNUSED)
{
    struct conn *c = poll->data;
    if (status < 0 || pass_step(c) < 0)
        conn_close(c);
}

int pass_step(struct conn *c)
{
    int r = move(c->a, &c->up, c->client, c->engine);
    if (r == 0)
        r = move(c->a, &c->down, c->engine, c->client);
    if (r < 0 || (c->up.shut && c->down.shut))
        return r < 0 ? r : -EPIPE;
    uv_poll_start(&c->client_poll, wanted(&c->up, &c->down), on_step);
    uv_poll_start(c->engine_poll, wanted(&c->down, &c->up), on_step);
    return 0;
}
