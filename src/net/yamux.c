/* The yamux state machine: frames in, events and frames out. */
#include "net/yamux.h"

#include "base/mem.h"

#define HEADER_SIZE 12
#define CONTROL_RESERVE KIB(64) /* control frames that may queue beyond out_max before the session fails */
#define SMALL_UPDATE 4096u      /* a window update below this costs a churn token */
#define SEEN_IDS 256u           /* how far behind the newest a peer's opening may arrive */
#define STARVED_MS 10           /* a window used up to the last byte in less is too small, however short the path */
#define STARVED_WINDOW MIB(1)   /* ... up to this */
#define RTT_AGAIN_MS 250        /* a peer takes five pings a second, however often windows change */
#define WINDOW_IDLE_MS 10000    /* a window that is not used up in this time goes back to what all begin with */

enum frame_type { TYPE_DATA, TYPE_WINDOW_UPDATE, TYPE_PING, TYPE_GOAWAY };
enum frame_flag { FLAG_SYN = 1, FLAG_ACK = 2, FLAG_FIN = 4, FLAG_RST = 8 };
enum goaway_code { GOAWAY_NORMAL, GOAWAY_PROTOCOL };

const struct yamux_limits yamux_limits_default = {
    .max_streams = 128,
    .window_max = 16u << 20,
    .frame_max = 16u << 10,
    .out_max = 64u << 10,
    .write_timeout_ms = 30000,
    .ping_rate = 5,
    .ping_burst = 50,
    .churn_rate = 500,
    .churn_burst = 2000,
};

/* Invariant: window == recv_credit + bytes the caller still holds + unreturned. */
struct stream {
    uint32_t id;
    uint32_t send_credit; /* bytes the peer takes */
    uint32_t recv_credit; /* bytes the peer may send */
    uint32_t window;      /* our receive window */
    uint32_t unreturned;  /* consumed bytes whose credit has not gone back yet */
    uint32_t epoch_bytes; /* consumed since epoch_ms, for growth */
    uint32_t standing;    /* the least that the caller held since then, right after it consumed some */
    uint32_t surplus;     /* of the window, that goes as bytes are consumed: their credit is not given back */
    int64_t epoch_ms;
    int64_t blocked_ms; /* since when the writer waits for credit; -1: from the next tick on */
    void *user;
    bool waiting : 1; /* the writer wants YAMUX_WRITABLE */
    bool blocked : 1; /* ... and has no credit */
    bool fin_sent : 1;
    bool fin_received : 1;
    bool timed_out : 1; /* reset by us; only its event is still due */
    bool starved : 1;   /* since epoch_ms the peer had no credit left */
};

struct bucket {
    int64_t last_ms;
    uint64_t milli; /* tokens times 1,000 */
};

struct yamux {
    const struct yamux_limits *limits;
    struct yamux_budget *budget;
    struct stream **streams; /* ascending ids */
    uint32_t n_streams, cap_streams;
    uint32_t n_peer;      /* of them opened by the peer */
    uint32_t n_waiting;   /* with .waiting */
    uint32_t n_blocked;   /* with .blocked */
    uint32_t n_timed_out; /* with .timed_out */
    uint32_t next_id;     /* of our next stream */
    uint32_t peer_parity; /* 1 or 0 */
    uint32_t peer_newest; /* id_order of the highest id opened by the peer; 0: none yet */
    uint64_t peer_seen[SEEN_IDS / 64];
    uint32_t turn; /* id that last got YAMUX_WRITABLE, for round robin */

    uint8_t head[HEADER_SIZE];
    uint8_t head_len;
    uint8_t goaway_code;
    bool due_open : 1, due_eof : 1, due_writable : 1, due_reset : 1, due_pong : 1, due_goaway : 1; /* of this frame */
    bool local_away : 1, peer_away : 1, ping_waiting : 1;
    uint32_t frame_stream;
    uint32_t body_left;
    void *due_user; /* user of a stream that a reset has already removed */

    uint32_t ping_value;
    int failed; /* negative code after a protocol error */
    int64_t ping_sent_ms, rtt_ms, pong_ms;
    int64_t now_ms;
    struct bucket pings, churn;

    uint8_t *out;
    uint32_t out_at, out_len, out_cap; /* unsent bytes lie in out[out_at .. out_len) */
};

struct frame {
    uint8_t type;
    uint16_t flags;
    uint32_t stream, length;
};

/* ---- sending ---- */

static uint32_t queued(const struct yamux *y)
{
    return y->out_len - y->out_at;
}

static uint8_t *out_reserve(struct yamux *y, uint32_t n)
{
    if (y->out_cap - y->out_len < n && y->out_at) {
        memmove(y->out, y->out + y->out_at, queued(y));
        y->out_len = queued(y);
        y->out_at = 0;
    }
    if (y->out_cap - y->out_len < n) {
        y->out_cap = MAX(MAX(y->out_cap * 2, y->out_len + n), 256u);
        y->out = mem_realloc(y->out, y->out_cap);
    }
    uint8_t *at = y->out + y->out_len;
    y->out_len += n;
    return at;
}

static void put32(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 24), p[1] = (uint8_t)(v >> 16), p[2] = (uint8_t)(v >> 8), p[3] = (uint8_t)v;
}

static uint32_t get32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void send_frame(struct yamux *y, struct frame f, const void *data)
{
    bool body = f.type == TYPE_DATA && f.length && data;
    uint8_t *p = out_reserve(y, HEADER_SIZE + (body ? f.length : 0));
    p[0] = 0;
    p[1] = f.type;
    p[2] = (uint8_t)(f.flags >> 8);
    p[3] = (uint8_t)f.flags;
    put32(p + 4, f.stream);
    put32(p + 8, f.length);
    if (body)
        memcpy(p + HEADER_SIZE, data, f.length);
}

static void send_control(struct yamux *y, uint8_t type, uint16_t flags, uint32_t stream, uint32_t length)
{
    send_frame(y, (struct frame){.type = type, .flags = flags, .stream = stream, .length = length}, NULL);
}

const uint8_t *yamux_output(const struct yamux *y, size_t *ret_len)
{
    *ret_len = queued(y);
    return *ret_len ? y->out + y->out_at : NULL;
}

void yamux_sent(struct yamux *y, size_t n)
{
    y->out_at += (uint32_t)MIN(n, (size_t)queued(y));
    if (y->out_at < y->out_len)
        return;
    /* An idle session keeps no buffer. */
    free(y->out);
    y->out = NULL;
    y->out_at = y->out_len = y->out_cap = 0;
}

/* ---- streams ---- */

/* Position of the first stream whose id is not below `id`. */
static uint32_t stream_position(const struct yamux *y, uint32_t id)
{
    uint32_t low = 0, high = y->n_streams;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (y->streams[mid]->id < id)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* NULL also for a stream that has timed out and only waits to be reported. */
static struct stream *stream_find(const struct yamux *y, uint32_t id)
{
    uint32_t at = stream_position(y, id);
    if (at == y->n_streams || y->streams[at]->id != id || y->streams[at]->timed_out)
        return NULL;
    return y->streams[at];
}

static bool from_peer(const struct yamux *y, uint32_t id)
{
    return (id & 1) == y->peer_parity;
}

static struct stream *stream_add(struct yamux *y, uint32_t id)
{
    struct stream *s = mem_alloc(sizeof(*s));
    uint32_t at = stream_position(y, id);
    s->id = id;
    s->send_credit = s->recv_credit = s->window = YAMUX_WINDOW_INITIAL;
    s->epoch_ms = s->blocked_ms = -1;
    s->standing = UINT32_MAX;
    if (y->n_streams == y->cap_streams) {
        y->cap_streams = y->cap_streams ? y->cap_streams * 2 : 2;
        y->streams = mem_realloc(y->streams, y->cap_streams * sizeof(*y->streams));
    }
    memmove(y->streams + at + 1, y->streams + at, (y->n_streams - at) * sizeof(*y->streams));
    y->streams[at] = s;
    y->n_streams++;
    y->n_peer += from_peer(y, id);
    return s;
}

static void set_waiting(struct yamux *y, struct stream *s, bool on)
{
    y->n_waiting = y->n_waiting - s->waiting + on;
    s->waiting = on;
}

static void set_blocked(struct yamux *y, struct stream *s, bool on)
{
    if (on && !s->blocked)
        s->blocked_ms = -1;
    y->n_blocked = y->n_blocked - s->blocked + on;
    s->blocked = on;
}

static void stream_remove(struct yamux *y, struct stream *s)
{
    uint32_t at = stream_position(y, s->id);
    set_waiting(y, s, false);
    set_blocked(y, s, false);
    y->n_timed_out -= s->timed_out;
    y->n_peer -= from_peer(y, s->id);
    if (y->budget)
        y->budget->used -= s->window - YAMUX_WINDOW_INITIAL;
    y->n_streams--;
    memmove(y->streams + at, y->streams + at + 1, (y->n_streams - at) * sizeof(*y->streams));
    free(s);
    if (y->n_streams == 0) {
        free(y->streams);
        y->streams = NULL;
        y->cap_streams = 0;
    }
}

struct yamux *yamux_new(enum yamux_role role, const struct yamux_limits *limits, struct yamux_budget *budget)
{
    struct yamux *y = mem_alloc(sizeof(*y));
    y->limits = limits;
    y->budget = budget;
    y->next_id = role == YAMUX_CLIENT ? 1 : 2;
    y->peer_parity = role == YAMUX_CLIENT ? 0 : 1;
    y->rtt_ms = -1;
    y->pings = (struct bucket){-1, limits->ping_burst * 1000ull};
    y->churn = (struct bucket){-1, limits->churn_burst * 1000ull};
    return y;
}

void yamux_free(struct yamux *y)
{
    if (!y)
        return;
    while (y->n_streams)
        stream_remove(y, y->streams[y->n_streams - 1]);
    free(y->out);
    free(y);
}

int yamux_open(struct yamux *y, uint32_t *ret_stream)
{
    if (y->local_away || y->peer_away || y->failed)
        return -ESHUTDOWN;
    if (y->n_streams - y->n_peer >= y->limits->max_streams || y->next_id > UINT32_MAX - 2)
        return -EMFILE;
    struct stream *s = stream_add(y, y->next_id);
    y->next_id += 2;
    send_control(y, TYPE_WINDOW_UPDATE, FLAG_SYN, s->id, 0);
    *ret_stream = s->id;
    return 0;
}

ssize_t yamux_write(struct yamux *y, uint32_t stream, const void *data, size_t len)
{
    struct stream *s = stream_find(y, stream);
    const uint8_t *p = data;
    if (!s || y->failed)
        return -ENOENT;
    if (s->fin_sent)
        return -EPIPE;
    while (len && s->send_credit && queued(y) < y->limits->out_max) {
        uint32_t n = (uint32_t)MIN(MIN(len, (size_t)s->send_credit), (size_t)y->limits->frame_max);
        send_frame(y, (struct frame){.type = TYPE_DATA, .stream = s->id, .length = n}, p);
        s->send_credit -= n;
        p += n;
        len -= n;
    }
    set_waiting(y, s, len > 0);
    set_blocked(y, s, len > 0 && !s->send_credit);
    return p - (const uint8_t *)data;
}

/* Gives credit back in steps of at least half a window, so that updates stay rare. */
static void return_credit(struct yamux *y, struct stream *s)
{
    if (s->unreturned < s->window / 2 || s->fin_received)
        return;
    send_control(y, TYPE_WINDOW_UPDATE, 0, s->id, s->unreturned);
    s->recv_credit += s->unreturned;
    s->unreturned = 0;
}

/* What was sent under a window cannot be taken back: a window shrinks by keeping credit. */
static void absorb(struct yamux *y, struct stream *s)
{
    uint32_t n = MIN(s->surplus, s->unreturned);
    s->surplus -= n;
    s->unreturned -= n;
    s->window -= n;
    if (n)
        y->budget->used -= n;
}

void yamux_consumed(struct yamux *y, uint32_t stream, size_t n)
{
    struct stream *s = stream_find(y, stream);
    if (!s || y->failed)
        return;
    uint32_t held = s->window - s->recv_credit - s->unreturned;
    uint32_t back = (uint32_t)MIN(n, (size_t)held);
    s->unreturned += back;
    s->standing = MIN(s->standing, held - back);
    s->epoch_bytes += MIN(back, UINT32_MAX - s->epoch_bytes);
    absorb(y, s);
    return_credit(y, s);
}

void yamux_close(struct yamux *y, uint32_t stream)
{
    struct stream *s = stream_find(y, stream);
    if (!s || s->fin_sent)
        return;
    s->fin_sent = true;
    set_waiting(y, s, false);
    set_blocked(y, s, false);
    send_control(y, TYPE_WINDOW_UPDATE, FLAG_FIN, s->id, 0);
    if (s->fin_received)
        stream_remove(y, s);
}

void yamux_reset(struct yamux *y, uint32_t stream)
{
    uint32_t at = stream_position(y, stream);
    if (at == y->n_streams || y->streams[at]->id != stream)
        return;
    if (!y->streams[at]->timed_out)
        send_control(y, TYPE_WINDOW_UPDATE, FLAG_RST, stream, 0);
    stream_remove(y, y->streams[at]);
}

int yamux_ping(struct yamux *y, int64_t now_ms)
{
    if (y->ping_waiting)
        return -EALREADY;
    y->ping_waiting = true;
    y->ping_sent_ms = now_ms;
    send_control(y, TYPE_PING, FLAG_SYN, 0, ++y->ping_value);
    return 0;
}

void yamux_goaway(struct yamux *y, uint32_t code)
{
    if (!y->local_away)
        send_control(y, TYPE_GOAWAY, 0, 0, code);
    y->local_away = true;
}

int64_t yamux_tick(struct yamux *y, int64_t now_ms)
{
    int64_t next = -1;
    for (uint32_t i = 0; y->n_blocked && i < y->n_streams; i++) {
        struct stream *s = y->streams[i];
        if (!s->blocked)
            continue;
        if (s->blocked_ms < 0)
            s->blocked_ms = now_ms;
        int64_t due = s->blocked_ms + y->limits->write_timeout_ms;
        if (due <= now_ms) {
            /* A peer that reads nothing must learn that the stream is gone, or its reader would wait for ever. */
            send_control(y, TYPE_WINDOW_UPDATE, FLAG_RST, s->id, 0);
            set_waiting(y, s, false);
            set_blocked(y, s, false);
            s->timed_out = true;
            y->n_timed_out++;
        } else if (next < 0 || due < next) {
            next = due;
        }
    }
    return next;
}

void yamux_set_user(struct yamux *y, uint32_t stream, void *user)
{
    struct stream *s = stream_find(y, stream);
    if (s)
        s->user = user;
}

void *yamux_user(const struct yamux *y, uint32_t stream)
{
    /* Also of a stream that has timed out: its owner still waits for the last event. */
    uint32_t at = stream_position(y, stream);
    return at < y->n_streams && y->streams[at]->id == stream ? y->streams[at]->user : NULL;
}

size_t yamux_stream_count(const struct yamux *y)
{
    return y->n_streams;
}

uint32_t yamux_stream_at(const struct yamux *y, size_t i)
{
    return y->streams[i]->id;
}

int64_t yamux_rtt_ms(const struct yamux *y)
{
    return y->rtt_ms;
}

uint32_t yamux_window(const struct yamux *y, uint32_t stream)
{
    const struct stream *s = stream_find(y, stream);
    return s ? s->window : 0;
}

size_t yamux_memory(const struct yamux *y)
{
    return sizeof(*y) + y->cap_streams * sizeof(*y->streams) + y->n_streams * sizeof(struct stream) + y->out_cap;
}

/* ---- receiving ---- */

static int fail(struct yamux *y, struct err *err, int code, const char *what)
{
    struct stream *s = y->due_open ? stream_find(y, y->frame_stream) : NULL;
    if (s)
        stream_remove(y, s); /* nobody was told of it */
    yamux_goaway(y, GOAWAY_PROTOCOL);
    y->failed = code;
    return err_set(err, code, "link peer broke the stream protocol: %s", what);
}

static bool take_token(struct yamux *y, struct bucket *b, uint32_t rate, uint32_t burst)
{
    if (b->last_ms >= 0 && y->now_ms > b->last_ms)
        b->milli = MIN(burst * 1000ull, b->milli + (uint64_t)MIN(y->now_ms - b->last_ms, 1000000) * rate);
    b->last_ms = y->now_ms;
    if (b->milli < 1000)
        return false;
    b->milli -= 1000;
    return true;
}

static int charge_churn(struct yamux *y, struct err *err)
{
    if (!take_token(y, &y->churn, y->limits->churn_rate, y->limits->churn_burst))
        return fail(y, err, -EDQUOT, "too many openings, resets or small window updates");
    return 0;
}

/* 1, 2, 3 ... for the ids of one side in their order. */
static uint32_t id_order(uint32_t id)
{
    return id / 2 + (id & 1);
}

/* A peer's openings may arrive slightly out of order (it may open from several threads), but each id only once. */
static bool id_is_new(struct yamux *y, uint32_t id)
{
    uint32_t seq = id_order(id);
    if (seq > y->peer_newest) {
        if (seq - y->peer_newest >= SEEN_IDS)
            memset(y->peer_seen, 0, sizeof(y->peer_seen));
        else
            for (uint32_t i = y->peer_newest + 1; i <= seq; i++)
                y->peer_seen[i / 64 % (SEEN_IDS / 64)] &= ~(1ull << i % 64);
        y->peer_newest = seq;
    } else if (y->peer_newest - seq >= SEEN_IDS) {
        return false;
    }
    uint64_t *word = &y->peer_seen[seq / 64 % (SEEN_IDS / 64)], bit = 1ull << seq % 64;
    if (*word & bit)
        return false;
    *word |= bit;
    return true;
}

static bool was_opened(const struct yamux *y, uint32_t id)
{
    return from_peer(y, id) ? id_order(id) <= y->peer_newest : id < y->next_id;
}

/* Answers an opening: *ret stays NULL when the stream is refused. */
static int accept_stream(struct yamux *y, const struct frame *f, struct stream **ret, struct err *err)
{
    if (f->flags & (FLAG_ACK | FLAG_RST))
        return fail(y, err, -EPROTO, "SYN together with ACK or RST");
    if (!from_peer(y, f->stream) || !id_is_new(y, f->stream))
        return fail(y, err, -EPROTO, "stream id of the wrong parity or used before");
    int r = charge_churn(y, err);
    if (r < 0)
        return r;
    if (y->local_away || y->n_peer >= y->limits->max_streams) {
        send_control(y, TYPE_WINDOW_UPDATE, FLAG_RST, f->stream, 0);
        return 0;
    }
    *ret = stream_add(y, f->stream);
    /* At once, not with the first data: openers time out when an acceptor only listens. */
    send_control(y, TYPE_WINDOW_UPDATE, FLAG_ACK, f->stream, 0);
    y->due_open = true;
    return 0;
}

static void next_epoch(const struct yamux *y, struct stream *s)
{
    s->epoch_ms = y->now_ms;
    s->epoch_bytes = 0;
    s->standing = UINT32_MAX;
    s->starved = false;
}

/* Down to what all begin with at the least. */
static void shrink(struct stream *s, uint32_t n)
{
    s->surplus = MIN(n, s->window - YAMUX_WINDOW_INITIAL);
}

static void grow(struct yamux *y, struct stream *s)
{
    uint32_t extra = MIN(s->window, y->limits->window_max - MIN(s->window, y->limits->window_max));
    if (!extra || !y->budget || y->budget->used + extra > y->budget->total)
        return;
    y->budget->used += extra;
    s->window += extra;
    s->unreturned += extra;
    s->surplus = 0;
    return_credit(y, s);
    /* What was measured at the beginning may be a busy moment's: the next step goes by a fresh one. */
    if (y->now_ms - y->ping_sent_ms >= RTT_AGAIN_MS)
        (void)!yamux_ping(y, y->now_ms);
}

/* The window should hold what is under way on the path, no more. It doubles when a whole one was consumed within about
 * two round trips (on a short path: was used up and the peer had to wait, as busy processes do) and nothing stood
 * waiting here meanwhile: then the window, not the path and not whoever takes the bytes, was the limit. What stood
 * waiting all the time is the part that the path did not need: the window shrinks by it. So it does when it is hardly
 * used any more. Decided when data arrives, because only then is the time known exactly. */
static void consider_growth(struct yamux *y, struct stream *s)
{
    if (s->epoch_ms < 0)
        s->epoch_ms = y->now_ms;
    if (s->epoch_bytes < s->window) {
        if (y->now_ms - s->epoch_ms >= WINDOW_IDLE_MS) {
            shrink(s, UINT32_MAX);
            next_epoch(y, s);
        }
        return;
    }
    if (y->rtt_ms < 0 && !y->ping_waiting && yamux_ping(y, y->now_ms) < 0)
        return;
    int64_t took = y->now_ms - s->epoch_ms;
    bool quick = y->rtt_ms >= 0 &&
                 (took <= 2 * MAX(y->rtt_ms, 1) || (s->starved && took <= STARVED_MS && s->window < STARVED_WINDOW));
    uint32_t standing = s->standing;
    next_epoch(y, s);
    if (standing)
        shrink(s, standing);
    else if (quick)
        grow(y, s);
}

static void drop_by_reset(struct yamux *y, struct stream *s)
{
    y->due_user = s->user;
    y->due_reset = true;
    y->due_open = y->due_eof = y->due_writable = false;
    stream_remove(y, s);
}

static int take_data(struct yamux *y, const struct frame *f, struct stream *s, struct err *err)
{
    y->body_left = f->length;
    if (!s)
        return 0;
    if (f->length > s->recv_credit)
        return fail(y, err, -EPROTO, "more data than the window allows");
    if (f->length && s->fin_received) {
        send_control(y, TYPE_WINDOW_UPDATE, FLAG_RST, s->id, 0);
        drop_by_reset(y, s);
        return 0;
    }
    s->recv_credit -= f->length;
    s->starved |= s->recv_credit == 0;
    if (f->length)
        consider_growth(y, s);
    return f->length || f->flags ? 0 : charge_churn(y, err);
}

static int take_window(struct yamux *y, const struct frame *f, struct stream *s, struct err *err)
{
    int r = f->length < SMALL_UPDATE && !f->flags ? charge_churn(y, err) : 0;
    if (r < 0 || !s)
        return r;
    if (f->length > UINT32_MAX - s->send_credit)
        return fail(y, err, -EPROTO, "window beyond 32 bits");
    s->send_credit += f->length;
    if (f->length)
        set_blocked(y, s, false);
    return 0;
}

static int stream_frame(struct yamux *y, const struct frame *f, struct err *err)
{
    struct stream *s = NULL;
    int r = 0;
    if (f->stream == 0 || f->flags & ~(FLAG_SYN | FLAG_ACK | FLAG_FIN | FLAG_RST))
        return fail(y, err, -EPROTO, "stream frame with unknown flags or without a stream");
    y->frame_stream = f->stream;
    if (f->flags & FLAG_SYN) {
        r = accept_stream(y, f, &s, err);
    } else {
        s = stream_find(y, f->stream);
        if (!s && !was_opened(y, f->stream))
            return fail(y, err, -EPROTO, "frame for a stream that was never opened");
        if (f->flags & FLAG_ACK && from_peer(y, f->stream))
            return fail(y, err, -EPROTO, "ACK for a stream of the sender's own");
        if (f->flags & FLAG_RST)
            r = charge_churn(y, err);
    }
    if (r < 0)
        return r;
    if (s && f->flags & FLAG_RST) {
        drop_by_reset(y, s);
        s = NULL;
    }
    r = f->type == TYPE_DATA ? take_data(y, f, s, err) : take_window(y, f, s, err);
    y->due_eof = r == 0 && f->flags & FLAG_FIN && stream_find(y, f->stream) && !s->fin_received;
    return r;
}

static int ping_frame(struct yamux *y, const struct frame *f, struct err *err)
{
    if (f->stream || (f->flags != FLAG_SYN && f->flags != FLAG_ACK))
        return fail(y, err, -EPROTO, "malformed ping");
    if (f->flags == FLAG_ACK && y->ping_waiting && f->length == y->ping_value) {
        y->ping_waiting = false;
        y->pong_ms = MAX(y->now_ms - y->ping_sent_ms, 0);
        y->rtt_ms = y->rtt_ms < 0 || y->pong_ms < y->rtt_ms ? y->pong_ms : y->rtt_ms + (y->pong_ms - y->rtt_ms) / 8;
        y->due_pong = true;
        return 0;
    }
    if (!take_token(y, &y->pings, y->limits->ping_rate, y->limits->ping_burst))
        return fail(y, err, -EDQUOT, "too many pings");
    if (f->flags == FLAG_SYN)
        send_control(y, TYPE_PING, FLAG_ACK, 0, f->length);
    return 0;
}

static int take_frame(struct yamux *y, struct err *err)
{
    struct frame f = {
        .type = y->head[1],
        .flags = (uint16_t)(y->head[2] << 8 | y->head[3]),
        .stream = get32(y->head + 4),
        .length = get32(y->head + 8),
    };
    if (y->head[0] != 0)
        return fail(y, err, -EPROTO, "unknown version");
    if (queued(y) > y->limits->out_max + y->limits->frame_max + CONTROL_RESERVE)
        return fail(y, err, -EDQUOT, "it sends requests but reads no answers");
    switch (f.type) {
    case TYPE_DATA:
    case TYPE_WINDOW_UPDATE:
        return stream_frame(y, &f, err);
    case TYPE_PING:
        return ping_frame(y, &f, err);
    case TYPE_GOAWAY:
        if (f.stream || f.flags)
            return fail(y, err, -EPROTO, "malformed go-away");
        y->peer_away = y->due_goaway = true;
        y->goaway_code = (uint8_t)MIN(f.length, 255u);
        return charge_churn(y, err);
    default:
        return fail(y, err, -EPROTO, "unknown frame type");
    }
}

/* ---- events ---- */

static int event(struct yamux_event *ret, struct yamux_event e)
{
    *ret = e;
    return 1;
}

static int stream_event(struct yamux_event *ret, enum yamux_event_type type, const struct stream *s)
{
    return event(ret, (struct yamux_event){.type = type, .stream = s->id, .user = s->user});
}

static int eof_event(struct yamux *y, struct stream *s, struct yamux_event *ret)
{
    stream_event(ret, YAMUX_EOF, s);
    s->fin_received = true;
    ret->gone = s->fin_sent;
    if (ret->gone)
        stream_remove(y, s);
    return 1;
}

/* What the current frame still has to tell, besides its body. */
static int frame_event(struct yamux *y, struct yamux_event *ret)
{
    struct stream *s = NULL;
    if (y->due_open) {
        y->due_open = false;
        s = stream_find(y, y->frame_stream);
        if (s)
            return stream_event(ret, YAMUX_OPENED, s);
    }
    if (y->due_reset) {
        y->due_reset = false;
        return event(ret, (struct yamux_event){.type = YAMUX_RESET,
                                               .stream = y->frame_stream,
                                               .user = y->due_user,
                                               .gone = true,
                                               .code = -ECONNRESET});
    }
    if (y->due_eof && y->body_left == 0) {
        y->due_eof = false;
        s = stream_find(y, y->frame_stream);
        if (s)
            return eof_event(y, s, ret);
    }
    if (y->due_pong) {
        y->due_pong = false;
        return event(ret, (struct yamux_event){.type = YAMUX_PONG, .rtt_ms = y->pong_ms});
    }
    if (y->due_goaway) {
        y->due_goaway = false;
        return event(ret, (struct yamux_event){.type = YAMUX_GOAWAY, .code = y->goaway_code});
    }
    return 0;
}

/* Lends the part of the body that is there; bytes for a stream that is gone are skipped. */
static int body_event(struct yamux *y, const uint8_t **data, size_t *len, struct yamux_event *ret)
{
    uint32_t n = (uint32_t)MIN(*len, (size_t)y->body_left);
    struct stream *s = stream_find(y, y->frame_stream);
    const uint8_t *p = *data;
    *data += n;
    *len -= n;
    y->body_left -= n;
    if (!s || n == 0)
        return 0;
    stream_event(ret, YAMUX_DATA, s);
    ret->data = p;
    ret->len = n;
    return 1;
}

static int timeout_event(struct yamux *y, struct yamux_event *ret)
{
    for (uint32_t i = 0; i < y->n_streams; i++) {
        struct stream *s = y->streams[i];
        if (!s->timed_out)
            continue;
        stream_event(ret, YAMUX_RESET, s);
        ret->code = -ETIMEDOUT;
        ret->gone = true;
        stream_remove(y, s);
        return 1;
    }
    return 0;
}

/* Writers take turns, and only when half the queue has been sent: a bulk stream cannot starve the others. */
static int writable_event(struct yamux *y, struct yamux_event *ret)
{
    if (queued(y) > y->limits->out_max / 2)
        return 0;
    uint32_t start = stream_position(y, y->turn + 1);
    for (uint32_t k = 0; k < y->n_streams; k++) {
        struct stream *s = y->streams[(start + k) % y->n_streams];
        if (!s->waiting || !s->send_credit)
            continue;
        set_waiting(y, s, false);
        y->turn = s->id;
        return stream_event(ret, YAMUX_WRITABLE, s);
    }
    return 0;
}

static int local_event(struct yamux *y, struct yamux_event *ret)
{
    if (y->n_timed_out && timeout_event(y, ret))
        return 1;
    return y->n_waiting ? writable_event(y, ret) : 0;
}

int yamux_next(struct yamux *y, const uint8_t **data, size_t *len, int64_t now_ms, struct yamux_event *ret,
               struct err *err)
{
    if (y->failed)
        return err_set(err, y->failed, "link session has failed before");
    y->now_ms = MAX(y->now_ms, now_ms);
    for (;;) {
        int r = frame_event(y, ret);
        if (r == 0 && y->body_left && *len && body_event(y, data, len, ret))
            r = 1;
        if (r)
            return r;
        if (*len == 0)
            break;
        if (y->body_left)
            continue;
        size_t n = MIN(*len, (size_t)(HEADER_SIZE - y->head_len));
        memcpy(y->head + y->head_len, *data, n);
        *data += n;
        *len -= n;
        y->head_len = (uint8_t)(y->head_len + n);
        if (y->head_len < HEADER_SIZE)
            break;
        y->head_len = 0;
        r = take_frame(y, err);
        if (r < 0)
            return r;
    }
    return local_event(y, ret);
}
