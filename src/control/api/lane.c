/* Carries out slow requests with a bounded number of threads. */
#include "control/api/lane.h"

#include "base/mem.h"

#include <pthread.h>

struct job {
    void (*fn)(void *arg);
    void *arg;
};

struct lane {
    pthread_mutex_t lock;
    pthread_cond_t work;
    struct job *queue; /* a ring */
    size_t first, n, max;
    bool ending;
    pthread_t *threads;
    size_t n_threads;
};

static void *serve(void *data)
{
    struct lane *l = data;
    pthread_mutex_lock(&l->lock);
    for (;;) {
        while (!l->n && !l->ending)
            pthread_cond_wait(&l->work, &l->lock);
        if (!l->n)
            break;
        struct job job = l->queue[l->first];
        l->first = (l->first + 1) % l->max;
        l->n--;
        pthread_mutex_unlock(&l->lock);
        job.fn(job.arg);
        pthread_mutex_lock(&l->lock);
    }
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

struct lane *lane_new(size_t threads, size_t queue_max)
{
    struct lane *l = mem_alloc(sizeof(*l));
    if (pthread_mutex_init(&l->lock, NULL) != 0 || pthread_cond_init(&l->work, NULL) != 0)
        abort();
    l->max = queue_max;
    l->queue = mem_alloc(queue_max * sizeof(*l->queue));
    l->threads = mem_alloc(threads * sizeof(*l->threads));
    for (; l->n_threads < threads; l->n_threads++)
        if (pthread_create(&l->threads[l->n_threads], NULL, serve, l) != 0)
            abort();
    return l;
}

int lane_submit(struct lane *l, void (*fn)(void *arg), void *arg)
{
    pthread_mutex_lock(&l->lock);
    bool room = l->n < l->max && !l->ending;
    if (room) {
        l->queue[(l->first + l->n++) % l->max] = (struct job){fn, arg};
        pthread_cond_signal(&l->work);
    }
    pthread_mutex_unlock(&l->lock);
    return room ? 0 : -EAGAIN;
}

void lane_free(struct lane *l)
{
    if (!l)
        return;
    pthread_mutex_lock(&l->lock);
    l->ending = true;
    pthread_cond_broadcast(&l->work);
    pthread_mutex_unlock(&l->lock);
    for (size_t i = 0; i < l->n_threads; i++)
        pthread_join(l->threads[i], NULL);
    pthread_cond_destroy(&l->work);
    pthread_mutex_destroy(&l->lock);
    free(l->queue);
    free(l->threads);
    free(l);
}
