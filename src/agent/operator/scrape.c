/* Fetches GET /metrics of each engine, one after the other. */
#include "agent/operator/scrape.h"

#include "base/mem.h"
#include "blueprint/metrics.h"
#include "net/http_client.h"

#include <stdatomic.h>

#define ANSWER_MAX MIB(4)

struct target {
    char *name, *url;
    json_t *values; /* NULL: no answer */
};

struct round {
    struct target *items;
    size_t n;
};

struct scrape {
    uv_loop_t *loop;
    const struct clock *clock;
    int64_t pause_ms, due_ms;
    void (*fresh)(void *data);
    void *data;
    json_t *kept; /* workload -> values */
    uv_work_t work;
    bool busy;
    atomic_bool ending;
    struct round round; /* the thread's while busy */
    void (*done)(void *data);
    void *done_data;
};

struct scrape *scrape_new(uv_loop_t *loop, const struct clock *clock, int64_t pause_ms, void (*fresh)(void *data),
                          void *data)
{
    struct scrape *s = mem_alloc(sizeof(*s));
    s->loop = loop;
    s->clock = clock;
    s->pause_ms = pause_ms;
    s->fresh = fresh;
    s->data = data;
    s->kept = json_object();
    s->work.data = s;
    return s;
}

static void take(const struct metric *m, int64_t value, void *data)
{
    json_object_set_new(data, m->name, json_integer(value));
}

static void fetch(struct target *t)
{
    autoresponse struct http_response answer = {0};
    struct http_request q = {
        .url = t->url, .direct = true, .connect_timeout_ms = 1000, .timeout_ms = 5000, .max_response = ANSWER_MAX};
    if (http_do(&q, &answer, NULL) < 0 || answer.status != 200)
        return;
    t->values = json_object();
    metrics_read(answer.body, answer.body_len, take, t->values);
}

static void run_round(uv_work_t *work)
{
    struct scrape *s = work->data;
    for (size_t i = 0; i < s->round.n && !atomic_load(&s->ending); i++)
        fetch(&s->round.items[i]);
}

static void clear_round(struct round *r)
{
    for (size_t i = 0; i < r->n; i++) {
        free(r->items[i].name);
        free(r->items[i].url);
        json_decref(r->items[i].values);
    }
    free(r->items);
    *r = (struct round){0};
}

static void release(struct scrape *s)
{
    clear_round(&s->round);
    json_decref(s->kept);
    if (s->done)
        s->done(s->done_data);
    free(s);
}

static void round_ended(uv_work_t *work, int status OH_UNUSED)
{
    struct scrape *s = work->data;
    s->busy = false;
    if (atomic_load(&s->ending)) {
        release(s);
        return;
    }
    bool fresh = false;
    for (size_t i = 0; i < s->round.n; i++) {
        struct target *t = &s->round.items[i];
        fresh |= t->values && !json_object_get(s->kept, t->name);
        if (t->values)
            json_object_set(s->kept, t->name, t->values);
        else
            json_object_del(s->kept, t->name);
    }
    clear_round(&s->round);
    s->due_ms = clock_mono_ms(s->clock) + s->pause_ms;
    if (fresh)
        s->fresh(s->data);
}

static void forget_others(struct scrape *s, const struct scrape_target *targets, size_t n)
{
    autojson json_t *wanted = json_object();
    const char *name;
    json_t *values;
    void *next;
    for (size_t i = 0; i < n && json_object_size(s->kept); i++)
        json_object_set_new(wanted, targets[i].name, json_true());
    json_object_foreach_safe(s->kept, next, name, values)
    {
        if (!json_object_get(wanted, name))
            json_object_del(s->kept, name);
    }
}

void scrape_want(struct scrape *s, const struct scrape_target *targets, size_t n)
{
    if (s->busy || clock_mono_ms(s->clock) < s->due_ms)
        return;
    forget_others(s, targets, n);
    if (!n)
        return;
    s->round.items = mem_alloc(n * sizeof(*s->round.items));
    for (size_t i = 0; i < n; i++) {
        const char *left = strchr(targets[i].address, ':') ? "[" : "", *right = *left ? "]" : "";
        s->round.items[s->round.n++] = (struct target){
            .name = mem_strdup(targets[i].name),
            .url = mem_printf("http://%s%s%s:%d/metrics", left, targets[i].address, right, targets[i].port)};
    }
    s->busy = uv_queue_work(s->loop, &s->work, run_round, round_ended) == 0;
    if (!s->busy)
        clear_round(&s->round);
}

bool scrape_any(const struct scrape *s)
{
    return json_object_size(s->kept) > 0;
}

json_t *scrape_get(const struct scrape *s, const char *name)
{
    return json_object_get(s->kept, name);
}

void scrape_free(struct scrape *s, void (*done)(void *data), void *data)
{
    atomic_store(&s->ending, true);
    s->done = done;
    s->done_data = data;
    if (!s->busy)
        release(s);
}
