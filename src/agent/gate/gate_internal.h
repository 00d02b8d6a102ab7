/* What the gate's files share. Private to src/agent/gate. */
#pragma once

#include "agent/gate/authority.h"
#include "agent/gate/gate.h"
#include "agent/gate/target.h"
#include "base/mem.h"
#include "net/link_conn.h"
#include "net/link_msg.h"

#define GATE_CONNECTIONS_MAX 64
#define GATE_CONNECTIONS_A_GRANT 8
#define GATE_STREAMS_MAX 16 /* on one connection */
#define GATE_JOBS_MAX 8     /* questions to targets at once */
#define GATE_JOBS_A_GRANT 2
#define GATE_MESSAGE_MAX KIB(400) /* request, approvals and pre-approval */
#define GATE_CONTROL_MAX KIB(160)
#define GATE_TICK_MS 200
#define GATE_AGAIN_MS 5000 /* how often open grants are judged again by the policy of now */
#define GATE_OPEN_MS 10000 /* life of a connection that opens a grant */
#define GATE_LOG_LINES_MAX 1000
#define GATE_BIG_ANSWER KIB(64) /* what is more is given back to the machine when nothing is asked any more */

struct gate_workload {
    char name[64], state[16], address[46], role[24], service[UUID_SIZE], slug[64], error[256];
    int restarts;
    int64_t since_ms;
};

struct gate {
    struct gate_config config;
    uv_loop_t *loop;
    struct authority *authority;
    struct grants *grants;
    struct link_loop *links;
    struct link_listener *listener, *direct; /* the latter NULL where no address is given */
    struct yamux_limits limits;
    struct yamux_budget budget;
    struct gate_conn *conns;
    size_t n_conns;
    struct gate_job *jobs;
    size_t n_jobs;
    struct gate_ending *endings;  /* ended, not recorded yet */
    struct gate_client *clients;  /* of the control socket */
    struct gate_client *operator; /* the one that told us of workloads last */
    struct gate_workload *workloads;
    size_t n_workloads;
    json_t *coming;          /* what came of the next ones: told in parts */
    struct gate_user *users; /* made at engines */
    size_t n_drops;          /* of them, under way */
    char *reader;            /* password of DIAG_READER, who makes them */
    bool server;             /* the engines are real servers */
    bool locked, stopping;
    bool big_answer;  /* one was held since memory was given back last */
    int64_t again_ms; /* monotonic: when grants are judged again */
    uv_timer_t tick;
    uv_poll_t control;
    int control_fd;
    uint64_t log_asks; /* numbers questions for logs */
    int open_handles;
    void (*done)(void *data);
    void *done_data;
};

/* One connection from a device. */
struct gate_conn {
    struct gate *gate;
    struct gate_conn *next;
    struct link_conn *conn;
    char grant[UUID_SIZE]; /* "" while it only opens one */
    char session[UUID_SIZE];
    struct gate_stream *streams;
    size_t n_streams;
    int64_t deadline_ms; /* monotonic: of one that only opens */
    uint64_t bytes_in, bytes_out, requests;
    bool closing;
};

/* One local connection of the engineer's, to one target. */
struct gate_stream {
    struct gate_conn *conn; /* NULL: gone, a job still holds it */
    struct gate_stream *next;
    uint32_t id;
    struct link_msg_reader reader; /* until the target is known */
    struct http1_reader http;
    bool has_target, ended, closed; /* ended: the device sends no more; closed: we do not */
    enum gate_target target;
    char service[UUID_SIZE];
    struct buf out; /* not yet taken, from out_at on */
    size_t out_at;
    struct buf held; /* came while a question is out */
    struct gate_job *job;
    bool close_after;
};

/* A question to a target. */
struct gate_job {
    uv_work_t work;
    struct gate *gate;
    struct gate_job *next;
    struct gate_stream *stream; /* NULL: it is gone, and the answer with it */
    char grant[UUID_SIZE];
    struct target_ask ask;
    struct target_answer answer;
    struct engine_user *as; /* ClickHouse: who asks */
    char make_id[UUID_SIZE];
    bool keep_alive, logs, killed;
    uint64_t log_ask;
    int64_t begun_ms;
};

/* ---- gate.c ---- */
void gate_event(struct gate *g, bool error, const char *fmt, ...) OH_PRINTF(3, 4);
/* Records, taking over the body's reference. */
OH_MUST_CHECK int gate_record(struct gate *g, const char *kind, json_t *body, uint64_t *ret_index, struct err *err);
/* Ends a grant for good: what runs of it, then the record, then the word to whoever asked. Fine for one that is not
 * open. */
void gate_end_grant(struct gate *g, const char *id, const char *why);
void gate_end_all(struct gate *g, const char *why);
/* A job of this grant is over: an ending may go on. */
void gate_endings_go_on(struct gate *g);

/* ---- gate_conn.c ---- */
extern const struct link_ops gate_conn_ops;
void gate_conn_accept(struct link_conn *c, void *gate);
void gate_conn_close(struct gate_conn *c);
size_t gate_conn_count(const struct gate *g, const char *grant);

/* ---- gate_stream.c ---- */
struct gate_stream *gate_stream_new(struct gate_conn *c, uint32_t id);
void gate_stream_data(struct gate_stream *s, const void *data, size_t len);
void gate_stream_writable(struct gate_stream *s);
void gate_stream_eof(struct gate_stream *s);
/* It is gone: freed now, or by its job. */
void gate_stream_gone(struct gate_stream *s);
/* The operator's answer to a question for logs; text NULL: there are none. */
void gate_stream_logs(struct gate *g, uint64_t ask, const char *text);
/* Stops what runs of a grant. */
void gate_kill_jobs(struct gate *g, const char *grant);
size_t gate_job_count(const struct gate *g, const char *grant);

/* ---- engine_users.c ---- */
struct engine_user;
/* The grant's user at a service, recorded when it is new; *ret and the query id of its making stay ours. */
OH_MUST_CHECK int gate_user_for(struct gate *g, const struct grant *grant, const char *service,
                                struct engine_user **ret, const char **ret_make_id, struct err *err);
size_t gate_users_end(struct gate *g, const char *grant); /* nothing is asked as them any more; how many there are */
void gate_users_drop(struct gate *g, const char *grant);  /* begins to drop them */
size_t gate_users_left(const struct gate *g, const char *grant, bool *ret_busy); /* busy: some are being dropped */
void gate_users_are_late(struct gate *g, const char *grant); /* the end is recorded: those left go on being tried */
void gate_users_go_on(struct gate *g, int64_t now);
void gate_users_free(struct gate *g);

/* ---- gate_control.c ---- */
OH_MUST_CHECK int gate_control_open(struct gate *g, struct err *err);
void gate_control_close(struct gate *g);
/* Nothing of this grant is left. */
void gate_control_ended(struct gate *g, const char *grant);
/* Takes a part of `places` (gate_client.h); what is whole stands for what was known before. A part that does not follow
 * the one before is left out, and the whole with it. */
void gate_control_places(struct gate *g, const json_t *message);
/* Asks for the last lines of a workload's log; false: nobody is there to ask. */
bool gate_control_ask_logs(struct gate *g, uint64_t ask, const char *workload, int64_t lines);
