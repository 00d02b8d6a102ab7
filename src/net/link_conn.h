/* One link connection on a libuv loop: TLS identity, then yamux streams, with keep-alive and deadlines.
 *
 * Either side of the TCP connection may open streams. All calls and callbacks happen on the loop's thread. Callbacks
 * may call any function here, also link_conn_close; a closed connection is freed at the end of the loop turn, after
 * on_closed, so pointers stay good until their callback returns. Idle connections hold no buffers: reads go through one
 * 16 KiB buffer of the loop. Pings go out every 20 s +- 20 %; a peer that leaves one unanswered for 20 s (two missed
 * answers of 10 s) is dead. What callbacks write goes out before the loop next waits. Programs must ignore SIGPIPE. */
#pragma once

#include "net/tls.h"
#include "net/yamux.h"

#include <uv.h>

/* What the connections of one loop share. */
struct link_loop;
/* clock, limits and budget (may be NULL) are borrowed and outlive it. */
struct link_loop *link_loop_new(uv_loop_t *loop, const struct clock *clock, const struct yamux_limits *limits,
                                struct yamux_budget *budget);
/* Closes what is left without callbacks and waits for no one: the loop must run once more afterwards. NULL is fine. */
void link_loop_free(struct link_loop *l);
/* Looks at all deadlines now instead of when timers fire: after the clock has jumped, and in tests. */
void link_loop_check(struct link_loop *l);
size_t link_loop_handshakes(const struct link_loop *l);  /* connections not ready yet */
size_t link_loop_connections(const struct link_loop *l); /* all, including those */

struct link_conn;

struct link_peer {
    struct tls_peer tls;
    char address[64]; /* "192.0.2.7:41234", "[2001:db8::1]:41234", or "unix"; behind PROXY v2 the original client's */
};

struct link_ops {
    /* The handshake is done and the peer's identity verified. */
    void (*on_ready)(struct link_conn *c, const struct link_peer *peer, void *user);
    /* The peer opened a stream. NULL: every stream is reset. */
    void (*on_stream_open)(struct link_conn *c, uint32_t stream, void *user);
    /* Bytes arrived; call link_stream_consumed when they are dealt with, now or later. */
    void (*on_stream_data)(struct link_conn *c, uint32_t stream, void *stream_user, const void *data, size_t len,
                           void *user);
    /* After link_stream_write took less than offered: try again. */
    void (*on_stream_writable)(struct link_conn *c, uint32_t stream, void *stream_user, void *user);
    /* The peer sends no more; our direction stays open until link_stream_close. */
    void (*on_stream_eof)(struct link_conn *c, uint32_t stream, void *stream_user, void *user);
    /* The stream is gone: 0 both sides closed, -ECONNRESET, -ETIMEDOUT (peer gave no credit), -ECONNABORTED (the
     * connection ended). Not called for a stream that the caller's own close or reset finished. */
    void (*on_stream_closed)(struct link_conn *c, uint32_t stream, void *stream_user, int reason, void *user);
    /* The peer asks for no new streams (it is going away). */
    void (*on_goaway)(struct link_conn *c, uint32_t code, void *user);
    /* Called exactly once, last, after on_stream_closed of each open stream; reason->code 0: closed by us. The
     * connection is freed after it returns. */
    void (*on_closed)(struct link_conn *c, const struct err *reason, void *user);
};

/* Takes over an accepted, connected socket (TCP or Unix). With proxy_header, the first bytes must be a PROXY protocol
 * v2 header (only for sockets that just our own front can reach). Handshake, header included, has 5 s (20 s when
 * dialling). ops and user are borrowed; fd is closed also on failure. */
OH_MUST_CHECK int link_conn_accept(struct link_loop *l, int fd, bool proxy_header, struct tls_ctx *tls,
                                   const struct link_ops *ops, void *user, struct link_conn **ret, struct err *err);

struct link_dial {
    const char *host; /* where to connect, or what to ask the proxy for */
    uint16_t port;
    const char *server_name; /* whom the certificate must name; NULL: host */
    const char *proxy_host;  /* NULL: no proxy */
    uint16_t proxy_port;
    const char *proxy_credentials; /* "user:password" for Basic, or NULL; copied and wiped */
    int connect_timeout_ms;        /* name, TCP and proxy answer; 0: 15,000 */
};
/* Starts dialling; the outcome comes as on_ready or on_closed. Strings are copied. */
OH_MUST_CHECK int link_conn_dial(struct link_loop *l, const struct link_dial *dial, struct tls_ctx *tls,
                                 const struct link_ops *ops, void *user, struct link_conn **ret, struct err *err);

/* The dialling side on a socket that is connected already (TCP or Unix); server_name as above, not NULL. ops and user
 * are borrowed; fd is closed also on failure. */
OH_MUST_CHECK int link_conn_adopt(struct link_loop *l, int fd, const char *server_name, struct tls_ctx *tls,
                                  const struct link_ops *ops, void *user, struct link_conn **ret, struct err *err);

/* Sends GoAway, flushes what the socket takes at once and closes; on_closed follows at the end of the loop turn. */
void link_conn_close(struct link_conn *c);
/* Tells the peer to open no new streams; what is open goes on. */
void link_conn_goaway(struct link_conn *c);
const struct link_peer *link_conn_peer(const struct link_conn *c); /* after on_ready */
int64_t link_conn_rtt_ms(const struct link_conn *c);               /* -1: not known yet */
void *link_conn_user(const struct link_conn *c);
void link_conn_set_user(struct link_conn *c, void *user);

/* Streams; errors as in yamux.h, and -ENOTCONN before on_ready or after close. */
OH_MUST_CHECK int link_stream_open(struct link_conn *c, void *stream_user, uint32_t *ret_stream);
OH_MUST_CHECK ssize_t link_stream_write(struct link_conn *c, uint32_t stream, const void *data, size_t len);
void link_stream_consumed(struct link_conn *c, uint32_t stream, size_t n);
void link_stream_close(struct link_conn *c, uint32_t stream);
void link_stream_reset(struct link_conn *c, uint32_t stream);
void link_stream_set_user(struct link_conn *c, uint32_t stream, void *stream_user);

/* A listening socket with an admission gate: while `max_handshakes` of the loop's connections are not ready, nothing
 * more is accepted and the kernel's backlog holds the rest. */
struct link_listener;
/* fd: a bound, listening, non-blocking socket; closed by link_listener_free. on_accept may set the connection's user;
 * NULL: `user` is it. */
OH_MUST_CHECK int link_listener_new(struct link_loop *l, int fd, bool proxy_header, size_t max_handshakes,
                                    size_t max_connections, struct tls_ctx *tls, const struct link_ops *ops,
                                    void (*on_accept)(struct link_conn *c, void *user), void *user,
                                    struct link_listener **ret, struct err *err);
/* New connections use this context from now on; the old one is dropped. */
void link_listener_set_tls(struct link_listener *ln, struct tls_ctx *tls);
void link_listener_free(struct link_listener *ln); /* NULL is fine; connections stay */
