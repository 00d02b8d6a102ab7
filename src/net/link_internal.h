/* What net/link_conn.c, link_dial.c and link_listen.c share: the connection's inside. Not for other modules. */
#pragma once

#include "base/buf.h"
#include "net/link_conn.h"

#define LINK_READ_SIZE KIB(16) /* one TLS record */
#define LINK_HANDSHAKE_MS 5000 /* of the accepting side, which pays for strangers */
/* The dialling side waits longer: after a restart thousands stand in the other's queue, and who gives up there loses
 * the place and costs a handshake that nobody wants any more. */
#define LINK_DIALLED_HANDSHAKE_MS 20000

enum link_state {
    LINK_CONNECT,   /* dialling: name, TCP */
    LINK_TUNNEL,    /* dialling: CONNECT request and answer */
    LINK_HEADER,    /* accepting: PROXY header */
    LINK_HANDSHAKE, /* TLS */
    LINK_READY,
    LINK_CLOSED, /* waits for the end of the loop turn */
};

struct link_dialling; /* only while dialling */
struct link_header;   /* only while a PROXY header is awaited */

struct link_conn {
    struct link_loop *l;
    struct link_conn *prev, *next; /* all connections of the loop */
    struct link_conn *dirty_next;  /* those with something to flush */
    bool dirty : 1, dialled : 1, want_write : 1, read_blocked : 1, pinging : 1;
    enum link_state state;
    int fd;          /* -1: none yet */
    int poll_events; /* as given to uv_poll_start, 0: stopped */
    int handles;     /* uv handles not closed yet */
    uv_poll_t poll;
    uv_timer_t timer;
    int64_t timer_at;    /* when the timer fires, -1: stopped */
    int64_t deadline_ms; /* before READY: when to give up */
    int64_t ping_ms;     /* when the next ping is due; while pinging: when it was sent */
    struct ssl_st *ssl;
    struct tls_ctx *tls;
    struct yamux *y;
    const struct link_ops *ops;
    void *user;
    struct link_dialling *dialling;
    struct link_header *header;
    struct err *reason; /* why it closed */
    struct link_peer peer;
};

struct link_loop {
    uv_loop_t *loop;
    const struct clock *clock;
    const struct yamux_limits *limits;
    struct yamux_budget *budget;
    struct link_conn *conns, *dirty;
    struct link_listener *listeners;
    size_t n_conns, n_young; /* all, and those before READY */
    uv_prepare_t prepare;
    bool closing, prepare_closed;
    uint8_t read_buf[LINK_READ_SIZE];
};

static inline int64_t link_now(const struct link_conn *c)
{
    return clock_mono_ms(c->l->clock);
}

/* A connection without a socket; link_conn_attach gives it one. Never NULL. */
struct link_conn *link_conn_new(struct link_loop *l, enum link_state state, int64_t deadline_ms, struct tls_ctx *tls,
                                const struct link_ops *ops, void *user);
/* Takes the connected, non-blocking fd and polls it; on failure the fd is still the caller's. */
OH_MUST_CHECK int link_conn_attach(struct link_conn *c, int fd, int events, struct err *err);
void link_conn_poll(struct link_conn *c, int events);
void link_conn_deadline(struct link_conn *c, int64_t deadline_ms);
/* Makes the SSL object and begins the handshake; server_name NULL: we are the server. */
void link_conn_handshake(struct link_conn *c, const char *server_name);
/* Ends the connection without a word to the peer; `reason` is copied. */
void link_conn_fail(struct link_conn *c, const struct err *reason);
/* Options of a TCP socket: small messages at once, death noticed in 30 s, bbr where the kernel has it. */
void link_tune(int fd);
void link_conn_address(struct link_conn *c, const struct sockaddr *a);

/* link_dial.c: the tunnel's socket is ready; the deadline passed; the connection goes away. */
void link_dial_ready(struct link_conn *c);
void link_dial_timeout(struct link_conn *c, int64_t now_ms);
void link_dial_free(struct link_conn *c);

/* link_accept.c: the same for a PROXY header. */
void link_header_ready(struct link_conn *c);
void link_header_free(struct link_conn *c);
/* A connection got ready or went away: there may be room again. */
void link_listen_resume(struct link_loop *l);
void link_listen_orphan(struct link_loop *l); /* the loop goes away before its listeners */
