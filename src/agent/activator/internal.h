/* What the parts of the activator know of each other. */
#pragma once

#include "agent/activator/activator.h"
#include "agent/activator/table.h"
#include "base/mem.h"
#include "blueprint/desired.h"
#include "net/proxyproto.h"

#define SCRATCH_BYTES KIB(32)

enum protocol { PROTOCOL_HTTP, PROTOCOL_NATIVE, PROTOCOLS };

/* READING the PROXY header, HELD, JOINING the engine, PASSING, or REFUSED: answered, and what still comes is dropped.
 */
enum conn_state { CONN_READING, CONN_HELD, CONN_JOINING, CONN_PASSING, CONN_REFUSED };

/* Bytes that one side could not take yet. */
struct pipe_half {
    char *data;
    size_t start, len;
    bool ended, shut; /* the source said its last; so was the other side told */
};

struct conn {
    struct activator *a;
    struct conn *prev, *next;
    enum protocol protocol;
    enum conn_state state;
    struct service *service;
    int client, engine; /* -1: none */
    uv_poll_t client_poll, *engine_poll;
    bool closing;
    uint8_t head[PROXYPROTO_MAX];
    size_t have, dropped;
    int64_t deadline_ms, until_ms; /* of the state; of being held */
    struct pipe_half up, down;
};

struct service {
    int ordinal;
    struct table_service *entry; /* NULL: no more in the table */
    int held;
    struct probe *probe; /* under way */
    size_t turn;         /* which host is asked next */
    int64_t wanted_ms;   /* since when somebody has waited without an answer */
};

struct listener {
    struct activator *a;
    int fd;
    uv_poll_t poll;
    enum protocol protocol;
};

struct control_client;

struct activator {
    struct activator_config c;
    char *table_path;
    struct table table;
    struct timespec table_time;
    ino_t table_inode;
    int64_t looked_ms;
    struct service *services[DESIRED_MAX_SERVICES + 1]; /* by ordinal */
    struct listener listeners[PROTOCOLS];
    struct listener control;
    struct control_client *clients;
    int n_clients;
    uv_timer_t tick;
    int spare; /* given up for a moment to refuse whom no descriptor is left for */
    struct conn *conns;
    int n_conns, n_held;
    char scratch[SCRATCH_BYTES];
};

/* conn.c */
void conn_new(struct activator *a, int fd, enum protocol protocol);
void conn_close(struct conn *c);
void conn_refuse(struct conn *c, int retry_after_s, const char *sentence);
void conn_expire(struct conn *c, int64_t now_ms);                      /* if its time has come */
void conn_join(struct conn *c, const struct sockaddr_storage *engine); /* HELD: goes to the engine */
void conn_hold(struct conn *c);                                        /* (again) */

/* pass.c: moves what can be moved and says what to wait for. Negative: the connection is over. */
int pass_step(struct conn *c);

/* probe.c */
void probe_begin(struct activator *a, struct service *s); /* unless one is under way */
void probe_expire(struct service *s, int64_t now_ms);

/* control.c */
OH_MUST_CHECK int control_open(struct activator *a, struct err *err);
void control_tell(struct activator *a); /* the list has changed */

/* activator.c */
struct service *activator_service(struct activator *a, int ordinal); /* NULL: there is none */
void activator_ready(struct activator *a, struct service *s, const struct sockaddr_storage *engine);
void activator_hurry(struct activator *a); /* somebody waits: the tick runs */
OH_MUST_CHECK int activator_listen(const char *address, int port, int *ret_fd, struct err *err);
