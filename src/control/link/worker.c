/* A thread with a queue in and a queue out. */
#include "control/link/worker.h"

#include "base/mem.h"

#include <pthread.h>
#include <signal.h>

struct queue {
    struct work *head, **tail;
};

struct worker {
    uv_async_t async;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct queue in, out;
    bool stopping;
    size_t pending; /* loop's thread only */
    worker_batch_fn *batch;
    void *thread_state;
};

static void queue_init(struct queue *q)
{
    q->head = NULL;
    q->tail = &q->head;
}

static struct work *queue_take(struct queue *q)
{
    struct work *list = q->head;
    queue_init(q);
    return list;
}

static void queue_add(struct queue *q, struct work *w)
{
    w->next = NULL;
    *q->tail = w;
    q->tail = &w->next;
}

void worker_each(struct work *list, void *thread_state)
{
    for (struct work *w = list; w; w = w->next)
        w->result = w->run(w, thread_state, &w->err);
}

static void *worker_main(void *arg)
{
    struct worker *w = arg;
    pthread_mutex_lock(&w->lock);
    for (;;) {
        while (!w->in.head && !w->stopping)
            pthread_cond_wait(&w->more, &w->lock);
        struct work *list = queue_take(&w->in);
        if (!list)
            break;
        pthread_mutex_unlock(&w->lock);
        w->batch(list, w->thread_state);
        pthread_mutex_lock(&w->lock);
        while (list) {
            struct work *next = list->next;
            queue_add(&w->out, list);
            list = next;
        }
        uv_async_send(&w->async);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

static void deliver(struct worker *w)
{
    pthread_mutex_lock(&w->lock);
    struct work *list = queue_take(&w->out);
    pthread_mutex_unlock(&w->lock);
    while (list) {
        struct work *next = list->next;
        w->pending--;
        list->done(list);
        list = next;
    }
}

static void on_async(uv_async_t *async)
{
    deliver(async->data);
}

int worker_start(uv_loop_t *loop, worker_batch_fn *batch, void *thread_state, struct worker **ret, struct err *err)
{
    struct worker *w = mem_alloc(sizeof(*w));
    sigset_t all, old;
    w->batch = batch;
    w->thread_state = thread_state;
    queue_init(&w->in);
    queue_init(&w->out);
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->more, NULL);
    int r = uv_async_init(loop, &w->async, on_async);
    if (r < 0) {
        free(w);
        return err_set_errno(err, r, "cannot make a wake-up descriptor");
    }
    w->async.data = w;
    /* Signals belong to the loop's thread. */
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &old);
    r = pthread_create(&w->thread, NULL, worker_main, w);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (r != 0) {
        /* The handle closes with the loop, which the caller gives up now. */
        return err_set_errno(err, -r, "cannot start a thread");
    }
    *ret = w;
    return 0;
}

void worker_post(struct worker *w, struct work *work)
{
    w->pending++;
    pthread_mutex_lock(&w->lock);
    queue_add(&w->in, work);
    pthread_cond_signal(&w->more);
    pthread_mutex_unlock(&w->lock);
}

size_t worker_pending(const struct worker *w)
{
    return w->pending;
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct worker *w = handle->data;
    pthread_mutex_destroy(&w->lock);
    pthread_cond_destroy(&w->more);
    free(w);
}

void worker_stop(struct worker *w)
{
    if (!w)
        return;
    pthread_mutex_lock(&w->lock);
    w->stopping = true;
    pthread_cond_signal(&w->more);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    /* What `done` posts on the way out is run here, so that nothing is left half done. */
    deliver(w);
    for (struct work *list; (list = queue_take(&w->in));) {
        w->batch(list, w->thread_state);
        while (list) {
            struct work *next = list->next;
            queue_add(&w->out, list);
            list = next;
        }
        deliver(w);
    }
    uv_close((uv_handle_t *)&w->async, on_handle_closed);
}
