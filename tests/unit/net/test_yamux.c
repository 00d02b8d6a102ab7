/* net/yamux: two ends against each other from a seed, flow control, growth, time-outs, limits, hostile frames. */
#include "../test.h"

#include "net/yamux.h"

static uint32_t seed;
static uint32_t rnd(uint32_t bound)
{
    seed ^= seed << 13, seed ^= seed >> 17, seed ^= seed << 5;
    return seed % bound;
}

/* A frame as bytes. */
static void frame(uint8_t out[12], uint8_t type, uint16_t flags, uint32_t stream, uint32_t length)
{
    const uint8_t bytes[12] = {0,
                               type,
                               (uint8_t)(flags >> 8),
                               (uint8_t)flags,
                               (uint8_t)(stream >> 24),
                               (uint8_t)(stream >> 16),
                               (uint8_t)(stream >> 8),
                               (uint8_t)stream,
                               (uint8_t)(length >> 24),
                               (uint8_t)(length >> 16),
                               (uint8_t)(length >> 8),
                               (uint8_t)length};
    memcpy(out, bytes, 12);
}
enum { DATA, WINDOW, PING, GOAWAY, SYN = 1, ACK = 2, FIN = 4, RST = 8 };

/* Feeds one frame and returns what yamux_next says, the last event in *ev. */
static int feed(struct yamux *y, int64_t now, uint8_t type, uint16_t flags, uint32_t stream, uint32_t length,
                const void *body, struct yamux_event *ev)
{
    uint8_t bytes[12 + 4096];
    const uint8_t *p = bytes;
    size_t len = 12 + (body ? length : 0);
    struct yamux_event e = {0};
    int r, n = 0;
    frame(bytes, type, flags, stream, length);
    if (body)
        memcpy(bytes + 12, body, length);
    while ((r = yamux_next(y, &p, &len, now, &e, NULL)) > 0) {
        n++;
        if (ev)
            *ev = e;
    }
    return r < 0 ? r : n;
}

/* Everything the session wants to send, parsed: counts frames of one kind. */
static int sent(struct yamux *y, uint8_t type, uint16_t flags, uint32_t *ret_length)
{
    const uint8_t *p;
    size_t len, at = 0;
    int n = 0;
    p = yamux_output(y, &len);
    while (at + 12 <= len) {
        uint32_t length =
            (uint32_t)p[at + 8] << 24 | (uint32_t)p[at + 9] << 16 | (uint32_t)p[at + 10] << 8 | p[at + 11];
        if (p[at + 1] == type && p[at + 3] == flags) {
            n++;
            if (ret_length)
                *ret_length = length;
        }
        at += 12 + (p[at + 1] == DATA ? length : 0);
    }
    yamux_sent(y, len);
    return n;
}

/* ---- two ends ---- */

#define FLOWS 12

struct flow { /* one direction of one stream, seen from its sender; content is a function of the position */
    uint32_t stream;
    size_t total, written, read;
    bool closed, eof, reset;
};

struct end {
    struct yamux *y;
    struct flow flows[2 * FLOWS];
    size_t n;
    uint8_t pipe[1 << 17]; /* on the way to this end */
    size_t pipe_len;
};

static uint8_t content(uint32_t stream, size_t at)
{
    return (uint8_t)(stream * 31 + at * 7 + (at >> 8));
}

static struct flow *flow_of(struct end *e, uint32_t stream)
{
    for (size_t i = 0; i < e->n; i++)
        if (e->flows[i].stream == stream)
            return &e->flows[i];
    struct flow *f = &e->flows[e->n++];
    assert_true(e->n <= 2 * FLOWS);
    *f = (struct flow){.stream = stream, .total = rnd(3) ? rnd(2000000) : rnd(100)};
    return f;
}

static void push(struct end *e, struct flow *f)
{
    static uint8_t piece[70000];
    while (!f->closed && !f->reset) {
        size_t most = 1 + rnd(sizeof(piece) - 1), n = MIN(f->total - f->written, most);
        for (size_t i = 0; i < n; i++)
            piece[i] = content(f->stream, f->written + i);
        ssize_t w = yamux_write(e->y, f->stream, piece, n);
        assert_true(w >= 0);
        f->written += (size_t)w;
        if (f->written == f->total) {
            f->closed = true;
            yamux_close(e->y, f->stream);
        }
        if ((size_t)w < n)
            break;
    }
}

static void handle(struct end *e, struct end *other, const struct yamux_event *ev)
{
    if (ev->type == YAMUX_PONG || ev->type == YAMUX_GOAWAY)
        return;
    struct flow *mine = flow_of(e, ev->stream), *theirs = flow_of(other, ev->stream);
    switch (ev->type) {
    case YAMUX_OPENED:
    case YAMUX_WRITABLE:
        push(e, mine);
        break;
    case YAMUX_DATA:
        for (size_t i = 0; i < ev->len; i++)
            if (ev->data[i] != content(ev->stream, theirs->read + i))
                fail_msg("stream %u differs at %zu", ev->stream, theirs->read + i);
        theirs->read += ev->len;
        yamux_consumed(e->y, ev->stream, ev->len);
        break;
    case YAMUX_EOF:
        theirs->eof = true;
        assert_int_equal(theirs->read, theirs->total);
        assert_int_equal(ev->gone, mine->closed);
        break;
    default:
        fail_msg("unexpected event %d", (int)ev->type);
    }
}

/* Moves a random amount of what is on the wire, handles all events, sends a random amount. */
static bool turn(struct end *e, struct end *other, int64_t now)
{
    struct yamux_event ev;
    struct err err = ERR_INIT;
    const uint8_t *p = e->pipe;
    size_t n = e->pipe_len ? 1 + rnd((uint32_t)e->pipe_len) : 0, left = n, out_len;
    bool busy = n > 0;
    int r;
    while ((r = yamux_next(e->y, &p, &left, now, &ev, &err)) > 0)
        handle(e, other, &ev);
    if (r < 0)
        fail_msg("%s", err.message);
    memmove(e->pipe, e->pipe + n, e->pipe_len -= n);
    const uint8_t *out = yamux_output(e->y, &out_len);
    n = MIN(out_len, sizeof(other->pipe) - other->pipe_len);
    n = n ? 1 + rnd((uint32_t)n) : 0;
    if (n) {
        memcpy(other->pipe + other->pipe_len, out, n);
        other->pipe_len += n;
        yamux_sent(e->y, n);
    }
    return busy || n;
}

static void two_ends_from_a_seed(void **state OH_UNUSED)
{
    static struct end a, b;
    for (uint32_t s = 1; s <= 6; s++) {
        struct yamux_budget budget = {.total = MIB(8)};
        seed = s * 2654435761u;
        memset(&a, 0, sizeof(a));
        memset(&b, 0, sizeof(b));
        a.y = yamux_new(YAMUX_CLIENT, &yamux_limits_default, &budget);
        b.y = yamux_new(YAMUX_SERVER, &yamux_limits_default, &budget);
        for (int i = 0; i < FLOWS; i++) {
            struct end *e = i % 2 ? &a : &b;
            uint32_t id;
            assert_int_equal(yamux_open(e->y, &id), 0);
            assert_int_equal(id, (uint32_t)(i / 2) * 2 + (i % 2 ? 1 : 2));
            push(e, flow_of(e, id));
        }
        int64_t now = 0;
        for (int quiet = 0; quiet < 3; now++)
            quiet = (int)turn(&a, &b, now) | (int)turn(&b, &a, now) ? 0 : quiet + 1;
        for (int i = 0; i < FLOWS; i++)
            if (!a.flows[i].eof || !b.flows[i].eof)
                fail_msg("seed %u: stream %u did not finish", s, a.flows[i].stream);
        assert_int_equal(yamux_stream_count(a.y), 0);
        assert_int_equal(yamux_stream_count(b.y), 0);
        assert_int_equal(budget.used, 0);
        yamux_free(a.y);
        yamux_free(b.y);
    }
}

/* ---- flow control ---- */

static struct {
    int64_t count;
    uint32_t value;
} pings; /* that the session sent, as granted() saw them */

/* Credit that was given since the last look. */
static size_t granted(struct yamux *y)
{
    size_t len, sum = 0;
    const uint8_t *p = yamux_output(y, &len);
    pings.value = 0;
    for (size_t at = 0; at + 12 <= len; at += 12) { /* no data go this way */
        uint32_t length =
            (uint32_t)p[at + 8] << 24 | (uint32_t)p[at + 9] << 16 | (uint32_t)p[at + 10] << 8 | p[at + 11];
        if (p[at + 1] == WINDOW)
            sum += length;
        if (p[at + 1] == PING && p[at + 3] == SYN) {
            pings.count++;
            pings.value = length;
        }
    }
    yamux_sent(y, len);
    return sum;
}

static size_t credit; /* of the peer of the stream that server_with_stream() made */

static struct yamux *server_with_stream(struct yamux_budget *budget, const struct yamux_limits *limits)
{
    struct yamux *y = yamux_new(YAMUX_SERVER, limits, budget);
    struct yamux_event ev;
    assert_int_equal(feed(y, 0, WINDOW, SYN, 1, 0, NULL, &ev), 1);
    assert_int_equal(ev.type, YAMUX_OPENED);
    assert_int_equal(sent(y, WINDOW, ACK, NULL), 1);
    credit = YAMUX_WINDOW_INITIAL;
    return y;
}

static void learn_rtt(struct yamux *y, int64_t *now, int64_t rtt)
{
    struct yamux_event ev;
    uint32_t value;
    assert_int_equal(yamux_ping(y, *now), 0);
    assert_int_equal(yamux_ping(y, *now), -EALREADY);
    assert_int_equal(sent(y, PING, SYN, &value), 1);
    *now += rtt;
    assert_int_equal(feed(y, *now, PING, ACK, 0, value, NULL, &ev), 1);
    assert_int_equal(ev.type, YAMUX_PONG);
    assert_int_equal(ev.rtt_ms, rtt);
    assert_int_equal(yamux_rtt_ms(y), rtt);
}

static void answer_ping(struct yamux *y, int64_t *now)
{
    if (pings.value && feed(y, *now += 40, PING, ACK, 0, pings.value, NULL, NULL) < 1)
        fail_msg("the answer to a ping was refused");
    pings.value = 0;
}

/* Bulk over a path where a window takes one round trip: bytes arrive until the credit is used up. */
static uint32_t bulk(struct yamux *y, int64_t *now, int64_t step_ms, size_t total)
{
    static const uint8_t zero[4096];
    size_t in_step = 0;
    while (total) {
        if (credit < 4096 || in_step >= (size_t)yamux_window(y, 1)) {
            *now += step_ms;
            in_step = 0;
        }
        if (feed(y, *now, DATA, 0, 1, 4096, zero, NULL) < 1)
            fail_msg("data refused");
        credit -= 4096;
        in_step += 4096;
        total -= 4096;
        yamux_consumed(y, 1, 4096);
        credit += granted(y);
        answer_ping(y, now);
    }
    return yamux_window(y, 1);
}

static void window_grows_to_the_path(void **state OH_UNUSED)
{
    struct yamux_budget budget = {.total = MIB(64)};
    struct yamux *y = server_with_stream(&budget, &yamux_limits_default);
    int64_t now = 1000;
    learn_rtt(y, &now, 50);
    assert_int_equal(bulk(y, &now, 50, MIB(128)), MIB(16)); /* a window each round trip: up to the limit */
    assert_int_equal(budget.used, MIB(16) - KIB(256));
    yamux_free(y);
    assert_int_equal(budget.used, 0);
}

/* A simulated path: 200 Mbit/s, 25 ms each way, no loss. */
#define PATH_RATE 25000 /* bytes a millisecond */
#define PATH_DELAY 25
struct path {
    struct {
        uint8_t *data;
        size_t len;
    } slot[PATH_DELAY];
};

static void path_step(struct yamux *from, struct yamux *to, struct path *p, int64_t now, size_t *ret_got)
{
    size_t at = (size_t)now % PATH_DELAY, len, left = p->slot[at].len;
    const uint8_t *in = p->slot[at].data;
    struct yamux_event ev;
    int r;
    while ((r = yamux_next(to, &in, &left, now, &ev, NULL)) > 0) {
        if (ev.type == YAMUX_DATA) {
            *ret_got += ev.len;
            yamux_consumed(to, ev.stream, ev.len);
        }
    }
    assert_int_equal(r, 0);
    free(p->slot[at].data);
    p->slot[at].data = NULL;
    const uint8_t *out = yamux_output(from, &len);
    p->slot[at].len = len = MIN(len, (size_t)PATH_RATE);
    if (len) {
        p->slot[at].data = mem_alloc(len);
        memcpy(p->slot[at].data, out, len);
        yamux_sent(from, len);
    }
}

/* Bytes that arrive in five seconds. */
static size_t over_the_path(uint64_t budget_bytes, uint32_t *ret_window)
{
    static uint8_t big[1 << 17];
    static struct path there, back;
    struct yamux_budget budget = {.total = budget_bytes};
    struct yamux *a = yamux_new(YAMUX_CLIENT, &yamux_limits_default, NULL);
    struct yamux *b = yamux_new(YAMUX_SERVER, &yamux_limits_default, &budget);
    uint32_t id;
    size_t got = 0, none = 0;
    int64_t now = 1000;
    assert_int_equal(yamux_ping(b, now), 0);
    assert_int_equal(yamux_open(a, &id), 0);
    for (; now < 6000; now++) {
        while (yamux_write(a, id, big, sizeof(big)) > 0)
            ;
        path_step(a, b, &there, now, &got);
        path_step(b, a, &back, now, &none);
    }
    *ret_window = yamux_window(b, id);
    yamux_free(a);
    yamux_free(b);
    for (int i = 0; i < PATH_DELAY; i++) {
        free(there.slot[i].data);
        free(back.slot[i].data);
        there.slot[i].data = back.slot[i].data = NULL;
        there.slot[i].len = back.slot[i].len = 0;
    }
    return got;
}

/* Fixed windows of 256 KiB are a tenth of what this path carries. */
static void growth_fills_a_long_path(void **state OH_UNUSED)
{
    uint32_t window;
    size_t all = 5000 * PATH_RATE, fixed = over_the_path(0, &window), grown;
    assert_int_equal(window, KIB(256));
    assert_true(fixed < all * 3 / 10);
    grown = over_the_path(MIB(64), &window);
    print_message("50 ms, 200 Mbit/s: %zu %% with growth, %zu %% without, window %u KiB\n", grown * 100 / all,
                  fixed * 100 / all, window >> 10);
    assert_true(grown > all * 85 / 100);
    assert_in_range(window, MIB(1), MIB(8)); /* towards the path's 1.25 MB, not to the limit */
}

static void slow_consumer_keeps_its_window(void **state OH_UNUSED)
{
    struct yamux_budget budget = {.total = MIB(64)};
    struct yamux *y = server_with_stream(&budget, &yamux_limits_default);
    int64_t now = 1000;
    learn_rtt(y, &now, 50);
    assert_int_equal(bulk(y, &now, 500, MIB(16)), KIB(256));
    assert_int_equal(budget.used, 0);
    yamux_free(y);
}

/* The peer sends all that it may, the caller takes `rate` bytes a millisecond: what it holds in the end. */
static size_t slow_taker(struct yamux *y, int64_t *now, int ms, size_t rate)
{
    static const uint8_t zero[4096];
    size_t held = 0;
    for (int i = 0; i < ms; i++, (*now)++) {
        for (; credit >= sizeof(zero); credit -= sizeof(zero), held += sizeof(zero))
            assert_int_equal(feed(y, *now, DATA, 0, 1, sizeof(zero), zero, NULL), 1);
        yamux_consumed(y, 1, MIN(rate, held));
        held -= MIN(rate, held);
        credit += granted(y);
        answer_ping(y, now);
    }
    yamux_consumed(y, 1, held); /* all that is left, at the end */
    credit += granted(y);
    return held;
}

/* On a quick path too: who takes the bytes is the limit, and a larger window would only hold more of them. */
static void window_does_not_grow_for_what_stands_waiting(void **state OH_UNUSED)
{
    struct yamux_budget budget = {.total = MIB(64)};
    struct yamux *y = server_with_stream(&budget, &yamux_limits_default);
    int64_t now = 1000;
    learn_rtt(y, &now, 50);
    assert_true(slow_taker(y, &now, 2000, KIB(32)) <= KIB(256)); /* 8 ms for a window */
    assert_int_equal(yamux_window(y, 1), KIB(256));
    assert_int_equal(budget.used, 0);
    yamux_free(y);
}

static void window_shrinks_by_what_stands_waiting(void **state OH_UNUSED)
{
    struct yamux_budget budget = {.total = MIB(64)};
    struct yamux *y = server_with_stream(&budget, &yamux_limits_default);
    int64_t now = 1000;
    learn_rtt(y, &now, 50);
    assert_int_equal(bulk(y, &now, 50, MIB(128)), MIB(16));
    assert_true(slow_taker(y, &now, 4000, KIB(32)) <= KIB(256));
    assert_int_equal(yamux_window(y, 1), KIB(256));
    assert_int_equal(budget.used, 0);
    yamux_free(y);
}

/* Credit that was given cannot be taken back, but as soon as some is used up the window is what all begin with. */
static void window_that_is_hardly_used_goes_back(void **state OH_UNUSED)
{
    struct yamux_budget budget = {.total = MIB(64)};
    struct yamux *y = server_with_stream(&budget, &yamux_limits_default);
    int64_t now = 1000;
    learn_rtt(y, &now, 50);
    assert_int_equal(bulk(y, &now, 50, MIB(128)), MIB(16));
    for (int i = 0; i < 1000; i++) {
        now += 200; /* 64 KiB each time: the window in 50 s */
        bulk(y, &now, 0, KIB(64));
    }
    assert_int_equal(yamux_window(y, 1), KIB(256));
    assert_int_equal(budget.used, 0);
    yamux_free(y);
}

/* On a machine whose processes wait for a processor the time between two turns is the path. */
static void peer_without_credit_gets_more_on_a_short_path(void **state OH_UNUSED)
{
    static const uint8_t zero[4096];
    struct yamux_budget budget = {.total = MIB(64)};
    struct yamux *y = server_with_stream(&budget, &yamux_limits_default);
    int64_t now = 1000;
    learn_rtt(y, &now, 0);
    assert_int_equal(bulk(y, &now, 9, MIB(4)), KIB(256)); /* credit came back before it was used up */
    for (int turn = 0; turn < 6; turn++) {
        uint32_t window = yamux_window(y, 1);
        now += 9;
        for (uint32_t i = 0; i < window; i += sizeof(zero))
            assert_int_equal(feed(y, now, DATA, 0, 1, sizeof(zero), zero, NULL), 1);
        yamux_consumed(y, 1, window);
        while (sent(y, WINDOW, 0, NULL))
            ;
    }
    assert_int_equal(yamux_window(y, 1), MIB(1)); /* but not far more: no time of a path says what is needed */
    yamux_free(y);
}

/* A peer takes only so many pings: windows that swing must not ask for the round trip time at each growth. */
static void swinging_windows_send_few_pings(void **state OH_UNUSED)
{
    struct yamux_budget budget = {.total = MIB(64)};
    struct yamux *y = server_with_stream(&budget, &yamux_limits_default);
    int64_t now = 1000;
    learn_rtt(y, &now, 50);
    int growths = 0;
    pings.count = 0;
    for (int i = 0; i < 50; i++) {
        uint32_t before = yamux_window(y, 1);
        growths += bulk(y, &now, 0, MIB(4)) > before;
        slow_taker(y, &now, 400, KIB(32));
    }
    assert_true(growths > 25);
    assert_in_range(pings.count, 2, now / 250);
    yamux_free(y);
}

static void budget_bounds_growth(void **state OH_UNUSED)
{
    struct yamux_budget budget = {.total = MIB(1)};
    struct yamux *y = server_with_stream(&budget, &yamux_limits_default);
    int64_t now = 1000;
    learn_rtt(y, &now, 50);
    assert_int_equal(bulk(y, &now, 50, MIB(64)), MIB(1)); /* 256 KiB + 256 + 512; the next MiB does not fit */
    assert_int_equal(budget.used, KIB(768));
    yamux_free(y);
}

static void credit_only_for_consumed_bytes(void **state OH_UNUSED)
{
    static const uint8_t zero[4096];
    struct yamux *y = server_with_stream(NULL, &yamux_limits_default);
    for (int i = 0; i < 64; i++)
        assert_int_equal(feed(y, 1, DATA, 0, 1, 4096, zero, NULL), 1);
    assert_int_equal(sent(y, WINDOW, 0, NULL), 0);
    yamux_consumed(y, 1, KIB(64));
    assert_int_equal(sent(y, WINDOW, 0, NULL), 0); /* less than half a window */
    uint32_t length = 0;
    yamux_consumed(y, 1, MIB(1)); /* more than was received: clamped */
    assert_int_equal(sent(y, WINDOW, 0, &length), 1);
    assert_int_equal(length, KIB(256));
    for (int i = 0; i < 64; i++)
        assert_int_equal(feed(y, 1, DATA, 0, 1, 4096, zero, NULL), 1);
    assert_int_equal(feed(y, 1, DATA, 0, 1, 1, zero, NULL), -EPROTO); /* one byte over */
    yamux_free(y);
}

static void writer_waits_for_credit(void **state OH_UNUSED)
{
    static uint8_t big[1 << 20];
    struct yamux *y = server_with_stream(NULL, &yamux_limits_default);
    struct yamux_event ev;
    size_t taken = 0;
    ssize_t n;
    while ((n = yamux_write(y, 1, big, sizeof(big))) > 0) {
        taken += (size_t)n;
        assert_true(taken <= KIB(256));
        size_t len;
        assert_non_null(yamux_output(y, &len));
        assert_true(len <= KIB(64) + KIB(17)); /* the queue is bounded */
        yamux_sent(y, len);
    }
    assert_int_equal(n, 0);
    assert_int_equal(taken, KIB(256));
    assert_int_equal(feed(y, 1, WINDOW, 0, 1, 5000, NULL, &ev), 1);
    assert_int_equal(ev.type, YAMUX_WRITABLE);
    assert_int_equal(yamux_write(y, 1, big, sizeof(big)), 5000);
    assert_int_equal(feed(y, 1, WINDOW, 0, 1, UINT32_MAX, NULL, NULL), 1);
    assert_int_equal(feed(y, 1, WINDOW, 0, 1, UINT32_MAX, NULL, NULL), -EPROTO); /* beyond 32 bits */
    yamux_free(y);
}

static void writers_take_turns(void **state OH_UNUSED)
{
    static uint8_t big[1 << 18];
    struct yamux *y = yamux_new(YAMUX_CLIENT, &yamux_limits_default, NULL);
    uint32_t id[3];
    size_t got[6] = {0}, len;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(yamux_open(y, &id[i]), 0);
        assert_true(yamux_write(y, id[i], big, sizeof(big)) >= 0);
    }
    for (int round = 0; round < 6; round++) {
        const uint8_t *none = NULL;
        size_t zero = 0;
        struct yamux_event ev;
        while (yamux_output(y, &len))
            yamux_sent(y, len);
        assert_int_equal(yamux_next(y, &none, &zero, 1, &ev, NULL), 1);
        assert_int_equal(ev.type, YAMUX_WRITABLE);
        got[ev.stream] += (size_t)yamux_write(y, ev.stream, big, sizeof(big));
    }
    assert_true(got[id[0]] > 0 && got[id[1]] > 0 && got[id[2]] > 0);
    yamux_free(y);
}

/* yamux issue 142: a peer that never gives credit must learn by RST that the writer is gone. */
static void write_timeout_resets_the_stream(void **state OH_UNUSED)
{
    static uint8_t big[1 << 20];
    struct yamux *y = server_with_stream(NULL, &yamux_limits_default);
    struct yamux_event ev;
    const uint8_t *none = NULL;
    size_t zero = 0, len;
    yamux_set_user(y, 1, big);
    while (yamux_write(y, 1, big, sizeof(big)) > 0 && yamux_output(y, &len))
        yamux_sent(y, len);
    assert_int_equal(yamux_tick(y, 100000), 130000);
    assert_int_equal(yamux_tick(y, 129999), 130000);
    assert_int_equal(yamux_next(y, &none, &zero, 129999, &ev, NULL), 0);
    assert_int_equal(yamux_tick(y, 130000), -1);
    assert_int_equal(sent(y, WINDOW, RST, NULL), 1);
    assert_int_equal(yamux_write(y, 1, big, 1), -ENOENT);
    assert_ptr_equal(yamux_user(y, 1), big); /* until the event */
    assert_int_equal(yamux_next(y, &none, &zero, 130000, &ev, NULL), 1);
    assert_int_equal(ev.type, YAMUX_RESET);
    assert_int_equal(ev.code, -ETIMEDOUT);
    assert_ptr_equal(ev.user, big);
    assert_true(ev.gone);
    assert_int_equal(yamux_stream_count(y), 0);
    assert_int_equal(feed(y, 130001, WINDOW, 0, 1, 4096, NULL, NULL), 0); /* late credit is ignored */
    yamux_free(y);
}

/* ---- lives of streams ---- */

static void half_close_both_orders(void **state OH_UNUSED)
{
    struct yamux *y = server_with_stream(NULL, &yamux_limits_default);
    struct yamux_event ev;
    assert_int_equal(feed(y, 1, DATA, FIN, 1, 3, "abc", &ev), 2); /* data, then its end */
    assert_int_equal(ev.type, YAMUX_EOF);
    assert_false(ev.gone);
    assert_int_equal(yamux_write(y, 1, "answer", 6), 6);
    yamux_close(y, 1);
    assert_int_equal(yamux_stream_count(y), 0);
    assert_int_equal(yamux_write(y, 1, "x", 1), -ENOENT);
    assert_int_equal(feed(y, 1, WINDOW, SYN, 3, 0, NULL, NULL), 1);
    yamux_close(y, 3);
    assert_int_equal(yamux_write(y, 3, "x", 1), -EPIPE);
    assert_int_equal(feed(y, 1, DATA, 0, 3, 3, "abc", &ev), 1); /* the other direction still works */
    assert_int_equal(feed(y, 1, WINDOW, FIN, 3, 0, NULL, &ev), 1);
    assert_true(ev.type == YAMUX_EOF && ev.gone);
    yamux_free(y);
}

static void resets(void **state OH_UNUSED)
{
    struct yamux *y = server_with_stream(NULL, &yamux_limits_default);
    struct yamux_event ev;
    yamux_set_user(y, 1, &ev);
    assert_int_equal(feed(y, 1, WINDOW, RST, 1, 0, NULL, &ev), 1);
    assert_true(ev.type == YAMUX_RESET && ev.gone && ev.code == -ECONNRESET && ev.user == &ev);
    assert_int_equal(feed(y, 1, WINDOW, SYN, 3, 0, NULL, NULL), 1);
    sent(y, 0, 0, NULL);
    yamux_reset(y, 3);
    yamux_reset(y, 3);
    assert_int_equal(sent(y, WINDOW, RST, NULL), 1);
    assert_int_equal(feed(y, 1, DATA, FIN, 3, 5, "later", &ev), 0); /* was on the way: skipped */
    assert_int_equal(feed(y, 1, WINDOW, SYN, 5, 0, NULL, NULL), 1);
    assert_int_equal(feed(y, 1, WINDOW, FIN, 5, 0, NULL, NULL), 1);
    assert_int_equal(feed(y, 1, DATA, 0, 5, 1, "x", &ev), 1); /* data after the end: the stream is reset */
    assert_true(ev.type == YAMUX_RESET && ev.gone);
    yamux_free(y);
}

static void goaway_both_ways(void **state OH_UNUSED)
{
    struct yamux *y = server_with_stream(NULL, &yamux_limits_default);
    struct yamux_event ev;
    uint32_t id;
    yamux_goaway(y, 0);
    assert_int_equal(sent(y, GOAWAY, 0, NULL), 1);
    assert_int_equal(feed(y, 1, WINDOW, SYN, 3, 0, NULL, &ev), 0);
    assert_int_equal(sent(y, WINDOW, RST, NULL), 1);
    assert_int_equal(feed(y, 1, DATA, 0, 1, 2, "go", &ev), 1); /* what is open goes on */
    yamux_free(y);
    y = yamux_new(YAMUX_CLIENT, &yamux_limits_default, NULL);
    assert_int_equal(feed(y, 1, GOAWAY, 0, 0, 2, NULL, &ev), 1);
    assert_true(ev.type == YAMUX_GOAWAY && ev.code == 2);
    assert_int_equal(yamux_open(y, &id), -ESHUTDOWN);
    yamux_free(y);
}

static void openings_out_of_order(void **state OH_UNUSED)
{
    struct yamux *y = yamux_new(YAMUX_SERVER, &yamux_limits_default, NULL);
    assert_int_equal(feed(y, 1, WINDOW, SYN, 5, 0, NULL, NULL), 1);
    assert_int_equal(feed(y, 1, WINDOW, SYN, 1, 0, NULL, NULL), 1);
    assert_int_equal(feed(y, 1, WINDOW, SYN, 3, 0, NULL, NULL), 1);
    assert_int_equal(yamux_stream_at(y, 0), 1);
    assert_int_equal(yamux_stream_at(y, 2), 5);
    yamux_reset(y, 3);
    assert_int_equal(feed(y, 1, WINDOW, SYN, 3, 0, NULL, NULL), -EPROTO); /* each id once */
    yamux_free(y);
    y = yamux_new(YAMUX_SERVER, &yamux_limits_default, NULL);
    assert_int_equal(feed(y, 1, WINDOW, SYN, UINT32_MAX, 0, NULL, NULL), 1);
    assert_int_equal(feed(y, 1, WINDOW, SYN, UINT32_MAX - 510, 0, NULL, NULL), 1);
    assert_int_equal(feed(y, 1, WINDOW, SYN, UINT32_MAX - 512, 0, NULL, NULL), -EPROTO); /* too far behind */
    yamux_free(y);
}

static void too_many_streams_are_refused(void **state OH_UNUSED)
{
    struct yamux *y = yamux_new(YAMUX_SERVER, &yamux_limits_default, NULL);
    uint32_t id;
    for (uint32_t i = 0; i < 128; i++)
        assert_int_equal(feed(y, 1, WINDOW, SYN, 1 + 2 * i, 0, NULL, NULL), 1);
    sent(y, 0, 0, NULL);
    assert_int_equal(feed(y, 1, DATA, SYN, 257, 4, "body", NULL), 0);
    assert_int_equal(sent(y, WINDOW, RST, NULL), 1);
    yamux_reset(y, 1);
    assert_int_equal(feed(y, 1, WINDOW, SYN, 259, 0, NULL, NULL), 1);
    for (int i = 0; i < 128; i++)
        assert_int_equal(yamux_open(y, &id), 0);
    assert_int_equal(yamux_open(y, &id), -EMFILE);
    yamux_free(y);
}

/* ---- hostile peers ---- */

static void hostile_frames_end_the_session(void **state OH_UNUSED)
{
    static const struct {
        uint8_t type;
        uint16_t flags;
        uint32_t stream, length;
    } bad[] = {
        {4, 0, 0, 0},               /* unknown type */
        {DATA, 0, 0, 0},            /* no stream */
        {DATA, 16, 1, 0},           /* unknown flag */
        {DATA, 0, 3, 1},            /* never opened */
        {WINDOW, 0, 2, 1},          /* never opened by us */
        {WINDOW, SYN, 2, 0},        /* our parity */
        {WINDOW, SYN, 1, 0},        /* twice */
        {WINDOW, SYN | ACK, 3, 0},  /* nonsense */
        {WINDOW, SYN | RST, 3, 0},  /* nonsense */
        {WINDOW, ACK, 1, 0},        /* ACK of its own */
        {DATA, 0, 1, KIB(256) + 1}, /* over the window, by announcement alone */
        {DATA, SYN, 3, UINT32_MAX}, /* over the window at once */
        {PING, 0, 0, 0},            /* neither question nor answer */
        {PING, SYN | ACK, 0, 0},    /* both */
        {PING, SYN, 1, 0},          /* on a stream */
        {GOAWAY, 0, 1, 0},          /* on a stream */
        {GOAWAY, SYN, 0, 0},        /* with flags */
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct yamux *y = server_with_stream(NULL, &yamux_limits_default);
        uint32_t code = 9, id;
        int r = feed(y, 1, bad[i].type, bad[i].flags, bad[i].stream, bad[i].length, NULL, NULL);
        if (r != -EPROTO)
            fail_msg("case %zu: %d", i, r);
        assert_int_equal(sent(y, GOAWAY, 0, &code), 1);
        assert_int_equal(code, 1);
        assert_int_equal(feed(y, 1, PING, SYN, 0, 0, NULL, NULL), -EPROTO); /* stays failed */
        assert_int_equal(yamux_open(y, &id), -ESHUTDOWN);
        assert_int_equal(yamux_stream_count(y), 1); /* no stream that nobody was told of */
        yamux_free(y);
    }
    struct yamux *y = yamux_new(YAMUX_SERVER, &yamux_limits_default, NULL);
    const uint8_t version[12] = {1}, *p = version;
    size_t len = 12;
    struct yamux_event ev;
    struct err err = ERR_INIT;
    assert_int_equal(yamux_next(y, &p, &len, 1, &ev, &err), -EPROTO);
    assert_non_null(strstr(err.message, "version"));
    yamux_free(y);
}

static void floods_hit_rate_limits(void **state OH_UNUSED)
{
    struct yamux *y = server_with_stream(NULL, &yamux_limits_default);
    int n = 0, r;
    while ((r = feed(y, 5, PING, SYN, 0, 7, NULL, NULL)) == 0)
        n++;
    assert_int_equal(r, -EDQUOT);
    assert_int_equal(n, 50);
    assert_int_equal(sent(y, PING, ACK, NULL), 50);
    yamux_free(y);
    y = server_with_stream(NULL, &yamux_limits_default);
    for (n = 0; n < 600; n++) /* 5 a second are fine for ever */
        assert_int_equal(feed(y, 200 * n, PING, SYN, 0, 7, NULL, NULL), 0);
    yamux_free(y);
    y = server_with_stream(NULL, &yamux_limits_default);
    for (n = 0; (r = feed(y, 5, WINDOW, 0, 1, 1, NULL, NULL)) == 0; n++)
        ;
    assert_int_equal(r, -EDQUOT);
    assert_in_range(n, 1990, 2000);
    yamux_free(y);
    y = yamux_new(YAMUX_SERVER, &yamux_limits_default, NULL);
    for (n = 0, r = 1; r > 0; n++) { /* rapid reset */
        r = feed(y, 5, WINDOW, SYN, 1 + 2 * (uint32_t)n, 0, NULL, NULL);
        if (r > 0)
            r = feed(y, 5, WINDOW, RST, 1 + 2 * (uint32_t)n, 0, NULL, NULL);
    }
    assert_int_equal(r, -EDQUOT);
    assert_in_range(n, 1000, 1001);
    yamux_free(y);
}

/* A peer that asks and never reads cannot make us queue without end. */
static void unread_answers_are_bounded(void **state OH_UNUSED)
{
    struct yamux_limits limits = yamux_limits_default;
    limits.ping_burst = limits.churn_burst = 1000000;
    struct yamux *y = server_with_stream(NULL, &limits);
    int r;
    while ((r = feed(y, 5, PING, SYN, 0, 7, NULL, NULL)) == 0)
        ;
    assert_int_equal(r, -EDQUOT);
    assert_true(yamux_memory(y) < KIB(300));
    yamux_free(y);
}

static void idle_session_is_small(void **state OH_UNUSED)
{
    struct yamux *y = server_with_stream(NULL, &yamux_limits_default);
    assert_true(yamux_memory(y) <= 512);
    print_message("idle session with one stream: %zu bytes\n", yamux_memory(y));
    yamux_free(y);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_ends_from_a_seed),
        cmocka_unit_test(window_grows_to_the_path),
        cmocka_unit_test(growth_fills_a_long_path),
        cmocka_unit_test(slow_consumer_keeps_its_window),
        cmocka_unit_test(window_does_not_grow_for_what_stands_waiting),
        cmocka_unit_test(window_shrinks_by_what_stands_waiting),
        cmocka_unit_test(window_that_is_hardly_used_goes_back),
        cmocka_unit_test(peer_without_credit_gets_more_on_a_short_path),
        cmocka_unit_test(swinging_windows_send_few_pings),
        cmocka_unit_test(budget_bounds_growth),
        cmocka_unit_test(credit_only_for_consumed_bytes),
        cmocka_unit_test(writer_waits_for_credit),
        cmocka_unit_test(writers_take_turns),
        cmocka_unit_test(write_timeout_resets_the_stream),
        cmocka_unit_test(half_close_both_orders),
        cmocka_unit_test(resets),
        cmocka_unit_test(goaway_both_ways),
        cmocka_unit_test(openings_out_of_order),
        cmocka_unit_test(too_many_streams_are_refused),
        cmocka_unit_test(hostile_frames_end_the_session),
        cmocka_unit_test(floods_hit_rate_limits),
        cmocka_unit_test(unread_answers_are_bounded),
        cmocka_unit_test(idle_session_is_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
