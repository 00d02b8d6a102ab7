/* A few threads and a short queue for work that takes long or much memory. */
#pragma once

#include "base/err.h"

struct lane;

/* Signals stay blocked in the threads as they are in the caller. */
struct lane *lane_new(size_t threads, size_t queue_max);
/* Runs fn(arg) on one of the threads. -EAGAIN: the queue is full. */
OH_MUST_CHECK int lane_submit(struct lane *l, void (*fn)(void *arg), void *arg);
/* Carries out what is queued, then ends. NULL is fine. */
void lane_free(struct lane *l);
