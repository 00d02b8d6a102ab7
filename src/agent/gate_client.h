/* The operator's end of the gate's control socket: tells which workloads there are, passes revocations on and word of
 * ended grants back, and reads logs when an engineer's grant lets him see them.
 *
 * Runs on the operator's loop; comes back by itself when the gate has started again. */
#pragma once

#include "agent/config.h"
#include "base/js.h"

#include <uv.h>

#define GATE_CLIENT_PART KIB(48)   /* of `places`, about: a socket's buffer takes several */
#define GATE_CLIENT_WORKLOADS 4096 /* more are not told: the gate shows so many */

struct gate_client;

/* Splits {"type":"places","workloads":[...]} into messages of about `size` bytes, for as many workloads as there may
 * be: each says `from` (how many came before it) and `more` (another follows). New references in an array. */
json_t *gate_client_parts(const json_t *places, size_t size);

struct gate_client_config {
    uv_loop_t *loop;
    const char *socket;
    /* {"type":"places", ...} as it is now; new reference. */
    json_t *(*places)(void *data);
    /* Nothing of this grant is left. */
    void (*ended)(const char *grant, void *data);
    /* The last lines of a workload's log, free(); NULL: there is none. */
    char *(*log)(const char *workload, int64_t lines, void *data);
    /* Whether the customer has locked the data plane: the gate is told at each connection. Not: nothing is said. */
    bool (*locked)(void *data);
    /* The gate's answer to that (api/access.md, `status`); borrowed. */
    void (*status)(const json_t *status, void *data);
    void *data;
};

struct gate_client *gate_client_new(const struct gate_client_config *config);
void gate_client_free(struct gate_client *c); /* the loop must turn once more; NULL is fine */
/* What runs has changed. */
void gate_client_changed(struct gate_client *c);
/* Tells the gate that the data plane is locked, or not any more; its status comes back. */
void gate_client_lock(struct gate_client *c, bool locked);
void gate_client_revoke(struct gate_client *c, const char *grant, const char *why);
