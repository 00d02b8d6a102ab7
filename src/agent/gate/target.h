/* What a request of an engineer becomes: an answer at once, or one question to a target in the data plane. The question
 * blocks and is for a work thread; the rest is pure. */
#pragma once

#include "agent/gate/grants.h"
#include "agent/gate/http1.h"

#define TARGET_RESULT_MAX MIB(4) /* bytes of one answer */
#define TARGET_ROWS_MAX 100000
#define TARGET_SECONDS 30

struct target_ask {
    enum gate_target target;
    char *sql;    /* the statement, as it was sent */
    char *format; /* of the result */
    char *path;   /* Prometheus: path and query */
    char query_id[UUID_SIZE];
    char address[64];
    int port;
    bool server;   /* a real server keeps the limits in the reader's profile; the embedded engine is told them */
    char user[64]; /* of the engine */
    char *password;
};
void target_ask_free(struct target_ask *a); /* wipes the password */

struct target_answer {
    int status;       /* for the engineer */
    const char *type; /* Content-Type */
    char *body;       /* never NULL */
    size_t len;
    int64_t rows; /* -1: not known */
    bool unknown; /* the engine does not know the user, or not with this password */
};
void target_answer_free(struct target_answer *a);

/* Reads a request for clickhouse.*: statement and format. -EACCES: refused, the sentence is for the engineer.
 * *ret_ping: it only asks whether somebody is there. */
OH_MUST_CHECK int target_read_clickhouse(const struct http1_request *q, enum gate_target target, struct target_ask *ret,
                                         bool *ret_ping, struct err *err);
/* The same for prometheus.read: a path of the list, GET or a form by POST. */
OH_MUST_CHECK int target_read_prometheus(const struct http1_request *q, struct target_ask *ret, struct err *err);

/* Asks; never fails, *ret says what happened. */
void target_run(const struct target_ask *a, struct target_answer *ret);
/* Stops the statement with that id, if it still runs. */
void target_kill(const struct target_ask *a);
