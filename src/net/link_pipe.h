/* Carries bytes both ways between a stream of a link connection and a connected local socket, with back-pressure: what
 * one side does not take is not taken from the other.
 *
 * Runs on the connection's loop. The owner makes the pipe the stream's user and hands on the stream's events. Memory:
 * at most the stream's receive window (net/yamux.h) and 64 KiB. */
#pragma once

#include "net/link_conn.h"

struct link_pipe;

/* Takes fd over, also on failure; it is made non-blocking. `done` is called once, when the pipe has ended and the fd is
 * closed; the pipe is freed after it. */
OH_MUST_CHECK int link_pipe_new(uv_loop_t *loop, struct link_conn *conn, uint32_t stream, int fd,
                                void (*done)(struct link_pipe *p, void *user), void *user, struct link_pipe **ret,
                                struct err *err);

/* The stream's events, as in struct link_ops. */
void link_pipe_data(struct link_pipe *p, const void *data, size_t len);
void link_pipe_writable(struct link_pipe *p);
void link_pipe_eof(struct link_pipe *p);
void link_pipe_gone(struct link_pipe *p); /* the stream has closed, or its connection */

/* Ends both sides at once: the stream is reset if it is still there. `done` follows. */
void link_pipe_end(struct link_pipe *p);
/* Bytes carried so far: from the stream to the socket, and back. */
void link_pipe_bytes(const struct link_pipe *p, uint64_t *ret_in, uint64_t *ret_out);
