/* One thread beside the loop for what may block: the store, or the signer.
 *
 * Work is posted from the loop's thread, run in order on the worker's thread, and its `done` runs on the loop's thread
 * again; so work needs no lock, only one owner at a time. The thread takes whatever has gathered as one list, which
 * lets the store's thread commit many changes with one fsync. */
#pragma once

#include "base/err.h"

#include <uv.h>

struct work {
    int (*run)(struct work *w, void *thread_state, struct err *err); /* worker's thread */
    void (*done)(struct work *w);                                    /* loop's thread; frees w */
    int result;
    struct err err;
    struct work *next;
};

struct worker;

/* Runs one gathered list on the worker's thread: sets result and err of each item, and may reorder nothing that the
 * items' owners can see. */
typedef void worker_batch_fn(struct work *list, void *thread_state);
/* Each item by itself. */
void worker_each(struct work *list, void *thread_state);

OH_MUST_CHECK int worker_start(uv_loop_t *loop, worker_batch_fn *batch, void *thread_state, struct worker **ret,
                               struct err *err);
void worker_post(struct worker *w, struct work *work);
/* Items posted and not done yet. */
size_t worker_pending(const struct worker *w);
/* Runs what is queued, calls each done, ends the thread; blocks. The loop must turn once more afterwards. NULL is
 * fine. */
void worker_stop(struct worker *w);
