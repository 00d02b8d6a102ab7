/* Sessions of clients that send session_id: a connection of the engine that is kept between requests, for one user,
 * used by one request at a time, closed when it was idle for its time-out. */
#pragma once

#include "base/clock.h"
#include "clickhouse/engine.h"

#define SESSION_TIMEOUT_DEFAULT_S 60
#define SESSION_TIMEOUT_MAX_S 3600

struct sessions; /* opaque; safe to use from many threads */
struct session;  /* held by one request between take and put */

struct sessions *sessions_new(struct engine *e, const struct clock *clock, size_t max);
void sessions_free(struct sessions *s); /* closes all; none may be held */

/* Takes the session, making it unless must_exist. *ret_fresh: it was made now. Fails with 372 (must exist and does
 * not), 373 (held by another request) or 700 (too many), in *ret_code. */
OH_MUST_CHECK int sessions_take(struct sessions *s, const char *user, const char *id, bool must_exist,
                                struct session **ret, bool *ret_fresh, int *ret_code, struct err *err);
struct engine_conn *session_conn(const struct session *s);
/* Gives it back; close: for good. */
void sessions_put(struct sessions *s, struct session *session, uint64_t timeout_s, bool close);
/* Closes what has been idle for too long; called from time to time. */
void sessions_expire(struct sessions *s);
