/* The gate: the only door for engineers (api/access.md). Engineers' TLS ends here, end to end through the relay.
 *
 * Runs on the caller's libuv loop, its targets on work threads. It listens on two Unix sockets: one for sessions, where
 * the agent's link joins what comes from the relay, and one for control, where the operator says which workloads there
 * are and which grants are revoked, and the customer's own commands come in. Where the customer names an address, it
 * takes sessions there too, for devices that reach it over a tailnet: the same TLS, the same checks, the same caps, of
 * which those that come this way leave half to the relay's. Every event and every statement is in the
 * ledger, on the disk, before anything follows from it; what cannot be recorded does not happen. */
#pragma once

#include "agent/gate/grants.h"

#include <uv.h>

#define GATE_SESSIONS_SOCKET "run/gate.sock" /* below the agent's home */
#define GATE_CONTROL_SOCKET "run/gate-control.sock"

struct gate_config {
    uv_loop_t *loop;
    const char *dir; /* authority and grants (0700) */
    const char *sessions_socket, *control_socket;
    const char *listen; /* ADDRESS:PORT as in base/tcp_listen.h; "" or NULL: none */
    const char *infrastructure;
    const char *boot_id; /* of the machine */
    const struct clock *clock;
    /* As in struct grants_config. */
    int (*policy)(struct policy **ret, void *user, struct err *err);
    /* Durable on return, or nothing may happen. */
    int (*record)(const char *kind, const json_t *body, uint64_t *ret_index, void *user, struct err *err);
    /* For the log; may be NULL. */
    void (*on_event)(bool error, const char *message, void *user);
    void *user;
};

struct gate;

OH_MUST_CHECK int gate_new(const struct gate_config *config, struct gate **ret, struct err *err);
/* Ends all sessions, closes; the loop must turn until its handles are closed. `done` may be NULL. */
void gate_stop(struct gate *g, void (*done)(void *data), void *data);
