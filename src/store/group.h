/* Commits of many connections of one process that share an fsync.
 *
 * A connection that has joined a group commits without waiting for the disk (SQLite's synchronous = NORMAL: the write
 * reaches the log file and is seen by readers); store_settle() then waits until an fsync of the log that began after
 * the commit has ended. Who comes while one runs waits for the next, so that as many commits as came meanwhile share
 * it. What is answered before it is settled is not durable: answer afterwards. Order holds: the log is one file, so
 * whatever a later settled commit of this or any process saw is durable with it. */
#pragma once

#include "store/store.h"

struct store_group; /* opaque, thread-safe */

struct store_group *store_group_new(const char *path); /* of the database */
void store_group_free(struct store_group *g);          /* NULL is fine; no connection may be in it any more */

/* The group must outlive the connection. */
OH_MUST_CHECK int store_join(struct store *s, struct store_group *g, struct err *err);

/* After store_commit() on a connection that has joined; at once where it has not. -EIO: the disk did not take it; the
 * change is there for readers, and may be lost if the machine stops now. A store_exec() outside a transaction settles
 * by itself. */
OH_MUST_CHECK int store_settle(struct store *s, struct err *err);

/* How often the disk was waited for. */
uint64_t store_group_syncs(struct store_group *g);

/* For store.c: waits for an fsync that begins after this call. */
OH_MUST_CHECK int store_group_wait(struct store_group *g, struct err *err);
