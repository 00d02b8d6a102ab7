/* Waiting before the next attempt: full jitter between 0 and a ceiling that doubles from 0.5 s to 60 s.
 *
 * The ceiling falls back only after a connection has lasted 60 s, so that a peer which accepts and drops at once is
 * not hammered. Pure: times (monotonic milliseconds) and random numbers are handed in. */
#pragma once

#include "base/util.h"

#define BACKOFF_FIRST_MS 500
#define BACKOFF_MAX_MS 60000
#define BACKOFF_STABLE_MS 60000

struct backoff {
    int64_t ceiling_ms;   /* of the next wait; 0 means BACKOFF_FIRST_MS */
    int64_t connected_at; /* 0: not connected */
};

/* A zeroed struct is a fresh one. */
void backoff_connected(struct backoff *b, int64_t now_ms);
/* The attempt failed or the connection ended: how long to wait now, 0..ceiling; `random` is any uniform number. */
int64_t backoff_next(struct backoff *b, int64_t now_ms, uint32_t random);
