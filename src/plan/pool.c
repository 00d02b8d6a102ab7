/* Worker threads for provider calls, and the queue by which they report to the one thread that decides. */
#include "plan/internal.h"

#include "base/keys.h"

#include <pthread.h>
#include <signal.h>
#include <time.h>

struct plan_pool {
    pthread_mutex_t lock;
    pthread_cond_t work, news;
    struct plan_job *first, **last;         /* waiting jobs */
    struct plan_report *oldest, **youngest; /* reports not yet taken */
    size_t open;                            /* jobs whose end was not yet taken */
    bool stop;
    int threads;
    pthread_t *thread;
};

static void report(struct plan_pool *p, struct plan_job *j, bool finished, enum plan_event event, const char *message)
{
    struct plan_report *r = mem_alloc(sizeof(*r));
    *r = (struct plan_report){.job = j, .finished = finished, .event = event};
    snprintf(r->message, sizeof(r->message), "%s", message);
    pthread_mutex_lock(&p->lock);
    *p->youngest = r;
    p->youngest = &r->next;
    pthread_cond_signal(&p->news);
    pthread_mutex_unlock(&p->lock);
}

static struct plan_job *take(struct plan_pool *p)
{
    struct plan_job *j;
    pthread_mutex_lock(&p->lock);
    while (!p->first && !p->stop)
        pthread_cond_wait(&p->work, &p->lock);
    j = p->first;
    if (j) {
        p->first = j->next;
        if (!p->first)
            p->last = &p->first;
    }
    pthread_mutex_unlock(&p->lock);
    return j;
}

static void *worker(void *data)
{
    struct plan_pool *p = data;
    struct plan_job *j;
    while ((j = take(p))) {
        j->run(j);
        report(p, j, true, PLAN_EVENT_DONE, "");
    }
    return NULL;
}

struct plan_pool *plan_pool_new(int threads)
{
    struct plan_pool *p = mem_alloc(sizeof(*p));
    sigset_t all, old;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->work, NULL);
    pthread_cond_init(&p->news, NULL);
    p->last = &p->first;
    p->youngest = &p->oldest;
    p->thread = mem_alloc((size_t)threads * sizeof(*p->thread));
    /* Signals are for the thread that called us. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    while (p->threads < threads && !pthread_create(&p->thread[p->threads], NULL, worker, p))
        p->threads++;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (!p->threads)
        abort(); /* no memory for a single thread */
    return p;
}

void plan_pool_free(struct plan_pool *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->stop = true;
    pthread_cond_broadcast(&p->work);
    pthread_mutex_unlock(&p->lock);
    for (int i = 0; i < p->threads; i++)
        pthread_join(p->thread[i], NULL);
    while (p->oldest) {
        struct plan_report *r = p->oldest;
        p->oldest = r->next;
        free(r);
    }
    pthread_cond_destroy(&p->work);
    pthread_cond_destroy(&p->news);
    pthread_mutex_destroy(&p->lock);
    free(p->thread);
    free(p);
}

void plan_pool_submit(struct plan_pool *p, struct plan_job *j)
{
    j->pool = p;
    j->next = NULL;
    pthread_mutex_lock(&p->lock);
    *p->last = j;
    p->last = &j->next;
    p->open++;
    pthread_cond_signal(&p->work);
    pthread_mutex_unlock(&p->lock);
}

void plan_pool_report(struct plan_job *j, enum plan_event event, const char *message)
{
    report(j->pool, j, false, event, message);
}

struct plan_report *plan_pool_next(struct plan_pool *p)
{
    struct plan_report *r;
    pthread_mutex_lock(&p->lock);
    while (!p->oldest && p->open)
        pthread_cond_wait(&p->news, &p->lock);
    r = p->oldest;
    if (r) {
        p->oldest = r->next;
        if (!p->oldest)
            p->youngest = &p->oldest;
        p->open -= r->finished;
    }
    pthread_mutex_unlock(&p->lock);
    return r;
}

static bool raised(const atomic_bool *cancel)
{
    return cancel && atomic_load(cancel);
}

static int nap(const atomic_bool *cancel, int64_t ms)
{
    while (ms > 0 && !raised(cancel)) {
        int64_t slice = MIN(ms, (int64_t)100);
        struct timespec ts = {slice / 1000, slice % 1000 * 1000000};
        nanosleep(&ts, NULL);
        ms -= slice;
    }
    return raised(cancel) ? -ECANCELED : 0;
}

bool plan_cancelled(const struct plan_context *c)
{
    return raised(c->cancel);
}

int plan_sleep(const struct plan_context *c, int64_t ms)
{
    return nap(c->cancel, ms);
}

int plan_pause(const struct plan_call *c, int64_t ms, struct err *err)
{
    int r = nap(c->cancel, ms);
    return r < 0 ? err_set(err, r, "cancelled") : 0;
}

int64_t plan_backoff(const struct plan_context *c, const char *token, int attempt)
{
    int64_t wait = c->retry_first_ms ? c->retry_first_ms : 500, max = c->retry_max_ms ? c->retry_max_ms : 20000;
    unsigned char hash[SHA256_SIZE];
    char text[PLAN_KEY_SIZE + 32];
    for (int i = 0; i < attempt && wait < max; i++)
        wait *= 2;
    wait = MIN(wait, max);
    snprintf(text, sizeof(text), "%s %d", token, attempt);
    sha256(text, strlen(text), hash);
    return wait / 2 + wait * hash[0] / 512;
}
