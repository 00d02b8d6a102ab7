/* Asks engines for their version on a work thread and remembers what they said. */
#include "agent/operator/versions.h"

#include "base/mem.h"
#include "net/http_client.h"

#define ASK_AGAIN_MS 30000
#define ANSWER_MAX KIB(64)

struct engine {
    char *workload, *address;
    int port;
    int64_t start;
    int64_t not_before_ms; /* after an answer without a version */
    char version[VERSIONS_TEXT_MAX];
};

struct versions {
    uv_loop_t *loop;
    const struct clock *clock;
    void (*changed)(void *data);
    void *data;
    struct engine *engines;
    size_t n, cap;
    /* the one question under way */
    uv_work_t work;
    bool busy;
    char *asked, *url;
    int64_t asked_start;
    char answer[VERSIONS_TEXT_MAX];
    /* versions_free() was called */
    bool ending;
    void (*done)(void *data);
    void *done_data;
};

bool versions_parse(const char *answer, char out[VERSIONS_TEXT_MAX])
{
    static const char mark[] = "(version ";
    const char *found = NULL;
    for (const char *p = answer; (p = strstr(p, mark)); p += sizeof(mark) - 1)
        found = p + sizeof(mark) - 1;
    size_t len = found ? strspn(found, "0123456789.") : 0;
    if (len == 0 || len >= VERSIONS_TEXT_MAX || found[0] == '.' || (found[len] != ')' && found[len] != ' '))
        return false;
    memcpy(out, found, len);
    out[len] = '\0';
    return true;
}

struct versions *versions_new(uv_loop_t *loop, const struct clock *clock, void (*changed)(void *data), void *data)
{
    struct versions *v = mem_alloc(sizeof(*v));
    *v = (struct versions){.loop = loop, .clock = clock, .changed = changed, .data = data};
    return v;
}

static struct engine *find(const struct versions *v, const char *workload)
{
    for (size_t i = 0; i < v->n; i++)
        if (!strcmp(v->engines[i].workload, workload))
            return &v->engines[i];
    return NULL;
}

const char *versions_get(const struct versions *v, const char *workload)
{
    const struct engine *e = find(v, workload);
    return e ? e->version : "";
}

static void ask(uv_work_t *work)
{
    struct versions *v = work->data;
    autoresponse struct http_response answer = {0};
    /* No such user exists; blueprint/names.h keeps the name from customers. */
    const char *const headers[] = {"X-ClickHouse-User: ownhouse_operator", NULL};
    struct http_request q = {.url = v->url,
                             .headers = headers,
                             .direct = true,
                             .connect_timeout_ms = 2000,
                             .timeout_ms = 3000,
                             .max_response = ANSWER_MAX};
    *v->answer = '\0';
    if (http_do(&q, &answer, NULL) == 0)
        (void)!versions_parse(answer.body, v->answer);
}

static void release(struct versions *v)
{
    for (size_t i = 0; i < v->n; i++) {
        free(v->engines[i].workload);
        free(v->engines[i].address);
    }
    free(v->engines);
    free(v->asked);
    free(v->url);
    if (v->done)
        v->done(v->done_data);
    free(v);
}

static void ask_next(struct versions *v);

static void answered(uv_work_t *work, int status OH_UNUSED)
{
    struct versions *v = work->data;
    v->busy = false;
    if (v->ending) {
        release(v);
        return;
    }
    struct engine *e = find(v, v->asked);
    if (e && e->start == v->asked_start) {
        memcpy(e->version, v->answer, sizeof(e->version));
        e->not_before_ms = clock_mono_ms(v->clock) + ASK_AGAIN_MS;
        if (*e->version)
            v->changed(v->data);
    }
    ask_next(v);
}

static void ask_next(struct versions *v)
{
    int64_t now = clock_mono_ms(v->clock);
    for (size_t i = 0; i < v->n && !v->busy; i++) {
        struct engine *e = &v->engines[i];
        if (*e->version || now < e->not_before_ms)
            continue;
        const char *left = strchr(e->address, ':') ? "[" : "", *right = *left ? "]" : "";
        free(v->asked);
        free(v->url);
        v->asked = mem_strdup(e->workload);
        v->asked_start = e->start;
        v->url = mem_printf("http://%s%s%s:%d/?query=SELECT%%20version()", left, e->address, right, e->port);
        v->work.data = v;
        v->busy = uv_queue_work(v->loop, &v->work, ask, answered) == 0;
        e->not_before_ms = now + ASK_AGAIN_MS;
    }
}

void versions_want(struct versions *v, const char *workload, const char *address, int port, int64_t start)
{
    struct engine *e = find(v, workload);
    if (!e) {
        if (v->n == v->cap)
            v->engines = mem_realloc(v->engines, (v->cap = v->cap ? 2 * v->cap : 8) * sizeof(*v->engines));
        e = &v->engines[v->n++];
        *e = (struct engine){.workload = mem_strdup(workload), .start = -1};
    }
    if (e->start != start || !e->address || strcmp(e->address, address) || e->port != port) {
        free(e->address);
        e->address = mem_strdup(address);
        e->port = port;
        e->start = start;
        e->not_before_ms = 0;
        *e->version = '\0';
    }
    ask_next(v);
}

void versions_free(struct versions *v, void (*done)(void *data), void *data)
{
    v->ending = true;
    v->done = done;
    v->done_data = data;
    if (!v->busy)
        release(v);
}
