/* The activator: takes connections to services that sleep, holds them until the engine answers, then passes them on.
 *
 * It stands behind the ingress as the last server of each service that may sleep, so TLS, names and IP access lists are
 * settled before it sees anything. It reads one PROXY header (version 2), whose destination port is the service's
 * ordinal, and nothing of what follows: that stays in the socket until the engine is there. Bounded: so many
 * connections, so many of one service, each held for so long, a small receive buffer each. Who is over a limit or was
 * held for too long is told so over HTTP (503 with Retry-After); the native protocol has no such word and is closed.
 *
 * Whether the engine is there it asks itself: GET /ping, every ACTIVATOR_PROBE_MS while somebody waits. Who wants a
 * service is told to whoever connects to the control port, in lines `held[ ORDINAL]...`: the whole list at once, and
 * again at each change. Nothing is taken from there: addresses come from the table alone.
 *
 * Table: a file of lines `ORDINAL SLUG HOST[,HOST...]`, written by the runtime, read again when it has changed. */
#pragma once

#include "base/clock.h"
#include "base/err.h"
#include "base/util.h"

#include <uv.h>

#define ACTIVATOR_PROBE_MS 50

struct activator_config {
    uv_loop_t *loop;
    const struct clock *clock;
    const char *listen; /* IPv4 or IPv6 */
    int http_port, native_port, control_port;
    int engine_http_port, engine_native_port;
    const char *table; /* path */
    int max_connections, max_of_service;
    int64_t hold_ms;
    /* What a person should read in the log. */
    void (*on_event)(bool error, const char *message, void *data);
    void *data;
};

struct activator;

/* Listens. -EINVAL: the address, or the table is not understood (names the line); or why it cannot listen. Texts are
 * copied. It lives as long as its process. */
OH_MUST_CHECK int activator_new(const struct activator_config *config, struct activator **ret, struct err *err);
