/* The queries that run now: counts them against the limit, keeps ids unique, and finds or stops them. */
#pragma once

#include "clickhouse/engine.h"

#define QUERY_TAG_SIZE UUID_TEXT_SIZE
#define UUID_TEXT_SIZE 37

struct running; /* opaque; safe to use from many threads */

struct running *running_new(size_t max);
void running_free(struct running *r);

struct running_query; /* an entry; owned by the registry until running_leave */

/* Enters a query and gives it a fresh tag. Fails with 202 (too many) or 216 (the id runs already), in *ret_code. */
OH_MUST_CHECK int running_enter(struct running *r, const char *query_id, struct running_query **ret, int *ret_code,
                                struct err *err);
void running_leave(struct running *r, struct running_query *q); /* NULL is fine */
const char *running_query_tag(const struct running_query *q);

/* The tag of the query with this id; false if none runs. */
bool running_find(struct running *r, const char *query_id, char ret_tag[QUERY_TAG_SIZE]);
size_t running_count(struct running *r);
/* Asks the engine to stop every one of them. */
void running_stop_all(struct running *r, struct engine *e);
