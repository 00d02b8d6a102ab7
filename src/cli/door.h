/* An engineer's end of a session: through the relay, or straight, to the gate, and local ports that lead there
 * (api/access.md).
 *
 * One call runs until it is stopped, the session ends, or something fails. The outer connection proves the relay by its
 * pins; inside, TLS goes end to end to the gate, which is believed by nothing but the hash that the customer's
 * signatures name. The key of the session's certificate is made here and never leaves memory; certificates are renewed
 * at two thirds of their life for as long as the gate gives them. */
#pragma once

#include "base/js.h"
#include "base/keys.h"

#include <netinet/in.h>

#define DOOR_TARGETS_MAX 16
#define DOOR_PINS_MAX 4

struct door_target {
    const char *name;    /* "clickhouse.diag" */
    const char *service; /* UUID, "" for targets without one */
    int port;            /* wanted on 127.0.0.1, 0: any; filled in when it is open */
};

struct door_config {
    const char *gate_host; /* dialled straight, without any relay; NULL: through the relay, which follows */
    uint16_t gate_port;
    const char *relay_host;
    uint16_t relay_port;
    const char *relay_name;
    unsigned char relay_pins[DOOR_PINS_MAX][SHA256_SIZE];
    size_t n_relay_pins;
    unsigned char gate_pin[SHA256_SIZE];
    const char *grant;
    const struct signing_key *device;
    const json_t *papers; /* {"request", "approvals", "preapproval"?} */
    struct door_target *targets;
    size_t n_targets;
    /* The ports are open: remaining_ms of the grant. */
    void (*on_open)(int64_t remaining_ms, void *user);
    /* Run beside, on a thread of its own, once the ports are open; the door closes when it returns. NULL: none. */
    void (*beside)(void *user);
    void *user;
};

/* 0: stopped by SIGINT, SIGTERM or the end of `beside`. -EACCES: the gate or the relay refused, with its sentence;
 * -ECONNRESET: the session was ended; -ECONNREFUSED, -ETIMEDOUT and so on. */
OH_MUST_CHECK int door_run(const struct door_config *config, struct err *err);
