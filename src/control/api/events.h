/* Server-sent events: a browser is told that something has changed, and asks what.
 *
 * A stream (text/event-stream) is a suspended connection of libmicrohttpd: no thread waits for it. One watcher thread
 * wakes streams when the store was written by anybody, at most once in EVENTS_PACE_MS; the doorbell makes it look at
 * once, and while streams are open it also looks each second, so that a missing ring costs a second and not the truth.
 * An event carries nothing but a number that grows: what a reader may see is decided where it asks, by the API.
 *
 * Limits: EVENTS_PER_READER streams a person or key, EVENTS_STREAMS in all; a stream ends after EVENTS_AGE_MS and the
 * browser opens the next, which is checked anew, so that an ended session or a lost right ends what it saw. */
#pragma once

#include "base/err.h"

#include <microhttpd.h>

#define EVENTS_PER_READER 8
#define EVENTS_STREAMS 512
#define EVENTS_AGE_MS 300000
#define EVENTS_PING_MS 20000
#define EVENTS_PACE_MS 250

struct events;

/* Starts the watcher. `database` is the store's file, opened by the watcher itself. */
OH_MUST_CHECK int events_start(const char *database, struct events **ret, struct err *err);
/* Something may have changed; from any thread. */
void events_ring(struct events *e);
/* The number that the last event had, for readers that ask again and again instead: it is at most a second late for who
 * asks at least once a minute, and has grown for who comes back after longer. */
uint64_t events_sequence(struct events *e);
/* A stream for `reader` (who asks: a key's or a person's id). -EMFILE: too many. The caller queues the response on `c`
 * and destroys it; the stream ends with the connection. */
OH_MUST_CHECK int events_open(struct events *e, struct MHD_Connection *c, const char *reader, struct MHD_Response **ret,
                              struct err *err);
/* Ends all streams and the watcher; no new ones come. libmicrohttpd must still run, so that the ends are sent. */
void events_stop(struct events *e);
/* After the daemon has stopped. NULL is fine. */
void events_free(struct events *e);
