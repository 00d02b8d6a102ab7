/* What request.c (what a request says, and its answer) and result.c (what the engine gives) share. */
#pragma once

#include "base/keys.h"
#include "clickhouse/codec.h"
#include "clickhouse/exec.h"
#include "clickhouse/job.h"
#include "clickhouse/multipart.h"
#include "clickhouse/request.h"

#define MAX_HEADERS 16

struct request {
    struct service *service;
    struct params *params;
    char *user, *query_id, *database, *default_format;
    bool get, ping_page;
    struct user_rights rights;
    int client_fd;
    int64_t started_ms;

    char boundary[MULTIPART_BOUNDARY_MAX + 1]; /* "": the body is no multipart form */
    struct buf form;                           /* a multipart form, until it is whole */
    struct decoder *decoder;
    uint64_t body_bytes;
    struct buf text;  /* statement so far, with data that follow it */
    size_t next_scan; /* look again at this length */
    bool insert_over; /* the engine ended before the data did */

    struct sql sql;
    struct exec *exec;
    struct job *job;
    struct query_stats stats;
    uint64_t sent_bytes;
    bool logged;

    struct exception exception;
    enum codec_kind encoding;
    struct encoder *encoder;
    struct buf body;
    enum request_body_kind kind;
    int spool_fd;
    uint64_t spool_size;
    bool stream_over, stream_failed;
    char tag[CODES_TAG_SIZE];

    int status;
    const char *headers[MAX_HEADERS][2];
    size_t header_count;
    char *summary, *code_text;
};

/* request.c: remembers the exception; returns -EINVAL. */
int request_fail(struct request *r, int code, const char *message);
/* request.c: opens the engine's connection and starts r->text (its first len bytes) on it. */
OH_MUST_CHECK int request_start(struct request *r, enum job_mode mode, size_t len);
/* request.c: gives the engine's connection back; the statement is stopped if it still runs. */
void request_release(struct request *r);
/* request.c: one line for the execution log; the first call counts. */
void request_log(struct request *r, int code);

/* result.c: each runs the statement until the reply's head is known; -EINVAL: r->exception is set. */
OH_MUST_CHECK int result_select(struct request *r);
OH_MUST_CHECK int result_plain(struct request *r);
/* result.c: waits for the statement's end and takes its error or its counters. */
OH_MUST_CHECK int result_take(struct request *r);
