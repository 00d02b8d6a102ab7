/* yamux sessions: the first byte picks role, chunking and what the application does, the rest is the peer's bytes. */
#include "net/yamux.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void act(struct yamux *y, const struct yamux_event *ev, unsigned mode)
{
    static const char answer[9000];
    uint32_t id;
    if (ev->gone && yamux_user(y, ev->stream))
        abort();
    if (ev->type == YAMUX_DATA) {
        if (ev->len == 0 || ev->data[0] + ev->data[ev->len - 1] < 0)
            abort();
        yamux_consumed(y, ev->stream, mode & 4 ? ev->len : ev->len / 2);
    }
    if (ev->type == YAMUX_OPENED || ev->type == YAMUX_WRITABLE || ev->type == YAMUX_DATA) {
        yamux_set_user(y, ev->stream, y);
        if (yamux_write(y, ev->stream, answer, sizeof(answer)) > (ssize_t)sizeof(answer))
            abort();
    }
    if (ev->type == YAMUX_EOF && mode & 8)
        yamux_close(y, ev->stream);
    if (ev->type == YAMUX_DATA && mode & 16 && ev->data[0] == 'r')
        yamux_reset(y, ev->stream);
    if (ev->type == YAMUX_DATA && ev->data[0] == 'o' && yamux_open(y, &id) == 0 && id == 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct yamux_budget budget = {.total = MIB(1)};
    struct yamux_event ev;
    if (size < 1)
        return 0;
    unsigned mode = *data++;
    size--;
    struct yamux *y = yamux_new(mode & 1 ? YAMUX_CLIENT : YAMUX_SERVER, &yamux_limits_default, &budget);
    uint32_t own;
    int64_t now = 1;
    int r = 0;
    if (mode & 2 && yamux_open(y, &own) == 0 && yamux_ping(y, now) < 0)
        abort();
    while (size && r >= 0) {
        size_t n = mode & 32 ? MIN(size, (size_t)7) : size, left = n, out;
        while ((r = yamux_next(y, &data, &left, now, &ev, NULL)) > 0)
            act(y, &ev, mode);
        if (r == 0 && left)
            abort();
        size -= n;
        now += 40;
        yamux_tick(y, now * 100);
        if (mode & 64 && yamux_output(y, &out))
            yamux_sent(y, out / 2 + 1);
    }
    if (yamux_memory(y) > MIB(1) || budget.used > budget.total)
        abort();
    yamux_free(y);
    if (budget.used)
        abort();
    return 0;
}
