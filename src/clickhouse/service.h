/* What all requests share, and the exception that a request ends with. */
#pragma once

#include "clickhouse/config.h"
#include "clickhouse/qlog.h"
#include "clickhouse/query_access.h"
#include "clickhouse/running.h"
#include "clickhouse/sessions.h"
#include "clickhouse/users.h"

#include <stdatomic.h>

struct service {
    struct config config;
    struct engine *engine;
    struct users *users;
    struct query_access *query_access;
    struct sessions *sessions;
    struct running *running;
    struct qlog *qlog;
    const struct clock *clock;
    char display_name[256];
    atomic_bool draining; /* shutting down: new queries are refused */
};

struct exception {
    int code;        /* 0: none */
    struct buf text; /* whole text as the client gets it */
};
/* Both keep the first exception and return -EINVAL. */
int exception_own(struct exception *x, const struct service *s, int code, const char *fmt, ...) OH_PRINTF(4, 5);
int exception_engine(struct exception *x, const struct service *s, const char *text);
