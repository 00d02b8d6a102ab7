/* Engineers' sessions on their way through the agent: for each, one connection to the relay, opened on demand, joined
 * with one to the gate's socket. What passes is TLS between the engineer's device and the gate. Private to
 * src/agent/link. */
#pragma once

#include "agent/link/link.h"
#include "net/link_conn.h"

#define TUNNELS_MAX 64

struct tunnel;

struct tunnels {
    uv_loop_t *loop;
    struct tunnel *first;
    size_t count;
};

/* -EMFILE: TUNNELS_MAX are open. */
OH_MUST_CHECK int tunnels_room(const struct tunnels *all, struct err *err);
/* Dials the bundle's address and sends `attach` there, which was recorded before; when the relay has joined it,
 * connects to the gate. -EMFILE as above. */
OH_MUST_CHECK int tunnel_open(struct tunnels *all, struct link_loop *links, const struct bundle *bundle,
                              const struct agent_proxy *proxy, struct tls_ctx *tls, json_t *attach,
                              const char *gate_socket, struct err *err);
/* Ends all at once; they go away within the loop's next turns. */
void tunnels_close(struct tunnels *all);
