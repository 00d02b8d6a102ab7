/* Keeps the list of running queries. */
#include "clickhouse/running.h"

#include "base/keys.h"
#include "base/mem.h"

#include <pthread.h>

_Static_assert(UUID_TEXT_SIZE == UUID_SIZE, "a tag is a UUID");

struct running_query {
    struct running_query *next, **link;
    char *id;
    char tag[QUERY_TAG_SIZE];
};

struct running {
    pthread_mutex_t lock;
    size_t max, count;
    struct running_query *first;
};

struct running *running_new(size_t max)
{
    struct running *r = mem_alloc(sizeof(*r));
    pthread_mutex_init(&r->lock, NULL);
    r->max = max;
    return r;
}

void running_free(struct running *r)
{
    pthread_mutex_destroy(&r->lock);
    free(r);
}

static struct running_query *find(const struct running *r, const char *id)
{
    for (struct running_query *q = r->first; q; q = q->next)
        if (strcmp(q->id, id) == 0)
            return q;
    return NULL;
}

int running_enter(struct running *r, const char *query_id, struct running_query **ret, int *ret_code, struct err *err)
{
    int result = 0;
    pthread_mutex_lock(&r->lock);
    if (r->count >= r->max) {
        *ret_code = CH_TOO_MANY_SIMULTANEOUS_QUERIES;
        result = err_set(err, -EBUSY, "Too many simultaneous queries. Maximum: %zu", r->max);
    } else if (find(r, query_id)) {
        *ret_code = CH_QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING;
        result = err_set(err, -EEXIST, "Query with id = %.64s is already running", query_id);
    } else {
        struct running_query *q = mem_alloc(sizeof(*q));
        q->id = mem_strdup(query_id);
        uuid_new(q->tag);
        q->next = r->first;
        q->link = &r->first;
        if (q->next)
            q->next->link = &q->next;
        r->first = q;
        r->count++;
        *ret = q;
    }
    pthread_mutex_unlock(&r->lock);
    return result;
}

void running_leave(struct running *r, struct running_query *q)
{
    if (!q)
        return;
    pthread_mutex_lock(&r->lock);
    *q->link = q->next;
    if (q->next)
        q->next->link = q->link;
    r->count--;
    pthread_mutex_unlock(&r->lock);
    free(q->id);
    free(q);
}

const char *running_query_tag(const struct running_query *q)
{
    return q->tag;
}

bool running_find(struct running *r, const char *query_id, char ret_tag[QUERY_TAG_SIZE])
{
    pthread_mutex_lock(&r->lock);
    const struct running_query *q = find(r, query_id);
    if (q)
        memcpy(ret_tag, q->tag, QUERY_TAG_SIZE);
    pthread_mutex_unlock(&r->lock);
    return q != NULL;
}

size_t running_count(struct running *r)
{
    pthread_mutex_lock(&r->lock);
    size_t n = r->count;
    pthread_mutex_unlock(&r->lock);
    return n;
}

void running_stop_all(struct running *r, struct engine *e)
{
    pthread_mutex_lock(&r->lock);
    for (struct running_query *q = r->first; q; q = q->next)
        engine_kill(e, q->tag);
    pthread_mutex_unlock(&r->lock);
}
