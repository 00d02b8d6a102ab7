/* yamux: many two-way byte streams over one connection, as a pure state machine.
 *
 * Protocol: the published yamux specification, version 0 (12-byte header; Data, WindowUpdate, Ping, GoAway; flags SYN,
 * ACK, FIN, RST; 256 KiB initial window). Either side may open streams: the client's ids are odd, the server's even.
 * Nothing here reads, writes or looks at a clock: bytes and times (milliseconds of one monotonic clock, from 0 up) come
 * in, events and bytes go out. The caller's turn is always:
 *
 *     while ((r = yamux_next(y, &data, &len, now, &ev, err)) > 0)
 *         handle(&ev);                          // may call any function below except yamux_free
 *     while ((out = yamux_output(y, &n)))       // send, then yamux_sent(y, bytes_sent)
 *
 * Memory: a session with one idle stream holds under 512 bytes. Received data is never copied: an event lends a piece
 * of the caller's own input, and credit goes back to the peer only for bytes that yamux_consumed() was told about. The
 * output queue is bounded: yamux_write() takes nothing while `out_max` bytes wait. Not thread-safe. */
#pragma once

#include "base/err.h"

#define YAMUX_WINDOW_INITIAL ((uint32_t)256 << 10) /* fixed by the specification */

/* Growth of receive windows beyond the initial 256 KiB, over all sessions of the process. When `used` would pass
 * `total`, windows stop growing; nothing fails. A window grows while it is what limits the peer, and shrinks again,
 * down to the initial one, by what the caller leaves unconsumed all the time and when it is not used up in 10 s: only
 * as bytes are consumed, since credit that was given cannot be taken back. */
struct yamux_budget {
    uint64_t total; /* bytes */
    uint64_t used;  /* kept by the sessions */
};

/* What a peer may do and how far windows grow. Shared by many sessions and not copied: must outlive them. */
struct yamux_limits {
    uint32_t max_streams;      /* opened by the peer, at once; more are answered with RST */
    uint32_t window_max;       /* bytes a receive window grows to, >= 256 KiB */
    uint32_t frame_max;        /* longest Data frame that we send, bytes of payload */
    uint32_t out_max;          /* bytes queued for sending before yamux_write() takes no more */
    uint32_t write_timeout_ms; /* no credit from the peer for a waiting writer this long: the stream is reset */
    uint32_t ping_rate;        /* pings a second that the peer may send on average ... */
    uint32_t ping_burst;       /* ... and at once; beyond: protocol error */
    uint32_t churn_rate;       /* the same for stream openings, resets and window updates under 4 KiB */
    uint32_t churn_burst;
};
/* 128 streams, 16 MiB, 16 KiB frames, 64 KiB queue, 30 s, 5 and 50 pings, 500 and 2,000 churn. */
extern const struct yamux_limits yamux_limits_default;

enum yamux_role { YAMUX_CLIENT, YAMUX_SERVER };

enum yamux_event_type {
    YAMUX_OPENED,   /* the peer opened the stream; it is accepted unless yamux_reset() is called */
    YAMUX_DATA,     /* `data`, `len`: valid until the next call of yamux_next */
    YAMUX_WRITABLE, /* a yamux_write() that took less than offered may be repeated now */
    YAMUX_EOF,      /* the peer sends no more on this stream */
    YAMUX_RESET,    /* the stream is gone: `code` is -ECONNRESET (by the peer) or -ETIMEDOUT (write time-out) */
    YAMUX_PONG,     /* answer to yamux_ping: `rtt_ms` */
    YAMUX_GOAWAY,   /* the peer takes no new streams: `code` 0 normal, 1 protocol error, 2 internal error */
};

struct yamux_event {
    enum yamux_event_type type;
    uint32_t stream; /* 0 for PONG and GOAWAY */
    void *user;      /* as set by yamux_set_user */
    bool gone;       /* this is the last event of the stream; its id is not valid any more */
    const uint8_t *data;
    size_t len;
    int code;
    int64_t rtt_ms;
};

struct yamux;

/* budget may be NULL (windows do not grow). Both pointers are borrowed and must outlive the session. */
struct yamux *yamux_new(enum yamux_role role, const struct yamux_limits *limits, struct yamux_budget *budget);
void yamux_free(struct yamux *y); /* NULL is fine; returns what the session took from the budget */

/* Takes input from *data (moving it and *len on) until there is one event: 1 and *ret filled. 0: all input is used and
 * no event waits. With *len 0 it still hands out waiting events (writable, time-outs), so call it after yamux_sent and
 * yamux_tick too. Negative: the peer broke the protocol (-EPROTO) or a rate limit (-EDQUOT); a GoAway is queued for a
 * last flush, the session must be freed, further calls return the same code. */
OH_MUST_CHECK int yamux_next(struct yamux *y, const uint8_t **data, size_t *len, int64_t now_ms,
                             struct yamux_event *ret, struct err *err);

/* Bytes to send, NULL when there are none; valid until the next call on the session. */
const uint8_t *yamux_output(const struct yamux *y, size_t *ret_len);
void yamux_sent(struct yamux *y, size_t n);

/* Opens a stream. -ESHUTDOWN after a GoAway in either direction, -EMFILE at limits.max_streams own streams or when ids
 * have run out. */
OH_MUST_CHECK int yamux_open(struct yamux *y, uint32_t *ret_stream);
/* Takes up to len bytes and returns how many (0 when the peer's window or the queue is full; the caller keeps the rest
 * and waits for YAMUX_WRITABLE). -ENOENT: no such stream. -EPIPE: closed by yamux_close. */
OH_MUST_CHECK ssize_t yamux_write(struct yamux *y, uint32_t stream, const void *data, size_t len);
/* n received bytes are dealt with: their credit may return to the peer. Unknown streams are ignored. */
void yamux_consumed(struct yamux *y, uint32_t stream, size_t n);
/* Ends our direction; the other goes on until YAMUX_EOF. After YAMUX_EOF the stream is gone when this returns. */
void yamux_close(struct yamux *y, uint32_t stream);
/* Ends both directions at once; the stream is gone when this returns and no event follows. */
void yamux_reset(struct yamux *y, uint32_t stream);

/* -EALREADY while a ping is unanswered. */
OH_MUST_CHECK int yamux_ping(struct yamux *y, int64_t now_ms);
/* Tells the peer to open no more streams (code as in YAMUX_GOAWAY); later openings by it are answered with RST. */
void yamux_goaway(struct yamux *y, uint32_t code);
/* Looks for write time-outs; returns the time of the next one, or -1. */
int64_t yamux_tick(struct yamux *y, int64_t now_ms);

/* A pointer of the caller's, handed back in each event of the stream. */
void yamux_set_user(struct yamux *y, uint32_t stream, void *user);
void *yamux_user(const struct yamux *y, uint32_t stream); /* NULL for an unknown stream */

size_t yamux_stream_count(const struct yamux *y);
/* The id of the i-th open stream in ascending order, i < yamux_stream_count. */
uint32_t yamux_stream_at(const struct yamux *y, size_t i);
int64_t yamux_rtt_ms(const struct yamux *y); /* smoothed towards the minimum; -1 before the first pong */
uint32_t yamux_window(const struct yamux *y, uint32_t stream); /* our receive window in bytes; 0: no such stream */
size_t yamux_memory(const struct yamux *y);                    /* heap bytes held now, without malloc's overhead */
