/* Asks workloads over HTTP on a work thread and remembers what they said. */
#include "agent/operator/asks.h"

#include "base/mem.h"
#include "net/http_client.h"

#define ANSWER_MAX KIB(64)

struct entry {
    char *name, *url, *key;
    char *header; /* "X-ClickHouse-User: ...", or NULL */
    char *secret; /* "X-ClickHouse-Key: ...", or NULL */
    char *body;   /* to POST, or NULL */
    asks_parse parse;
    int64_t pause_ms, again_ms, not_before_ms;
    char answer[ASKS_TEXT_MAX];
};

struct asks {
    uv_loop_t *loop;
    const struct clock *clock;
    void (*changed)(void *data);
    void *data;
    struct entry *entries;
    size_t n, cap;
    /* the one question under way: a copy, since its entry may change meanwhile */
    uv_work_t work;
    bool busy, answered, otherwise; /* an answer; one that is none to this question */
    struct entry asked;
    /* asks_free() was called */
    bool ending;
    void (*done)(void *data);
    void *done_data;
};

bool asks_parse_version(const char *body, const char *key OH_UNUSED, char out[ASKS_TEXT_MAX])
{
    static const char mark[] = "(version ";
    const char *found = NULL;
    for (const char *p = body; (p = strstr(p, mark)); p += sizeof(mark) - 1)
        found = p + sizeof(mark) - 1;
    size_t len = found ? strspn(found, "0123456789.") : 0;
    if (len == 0 || len > 40 || found[0] == '.' || (found[len] != ')' && found[len] != ' '))
        return false;
    memcpy(out, found, len);
    out[len] = '\0';
    return true;
}

bool asks_parse_same(const char *body, const char *key, char out[ASKS_TEXT_MAX])
{
    size_t len = strlen(key);
    if (len >= ASKS_TEXT_MAX || strncmp(body, key, len) || (body[len] && strcmp(body + len, "\n")))
        return false;
    memcpy(out, key, len + 1);
    return true;
}

struct asks *asks_new(uv_loop_t *loop, const struct clock *clock, void (*changed)(void *data), void *data)
{
    struct asks *a = mem_alloc(sizeof(*a));
    *a = (struct asks){.loop = loop, .clock = clock, .changed = changed, .data = data};
    return a;
}

static void clear(struct entry *e)
{
    free(e->name);
    free(e->url);
    free(e->key);
    free(e->header);
    if (e->secret)
        mem_wipe(e->secret, strlen(e->secret));
    free(e->secret);
    free(e->body);
    *e = (struct entry){0};
}

/* The first whose name is not below: entries are sorted by name. */
static size_t place_of(const struct asks *a, const char *name)
{
    size_t low = 0, high = a->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(a->entries[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct entry *find(const struct asks *a, const char *name)
{
    size_t at = place_of(a, name);
    return at < a->n && !strcmp(a->entries[at].name, name) ? &a->entries[at] : NULL;
}

const char *asks_get(const struct asks *a, const char *name)
{
    const struct entry *e = find(a, name);
    return e ? e->answer : "";
}

static void ask(uv_work_t *work)
{
    struct asks *a = work->data;
    autoresponse struct http_response answer = {0};
    const char *const headers[] = {a->asked.header, a->asked.secret, NULL};
    struct http_request q = {.url = a->asked.url,
                             .method = a->asked.body ? "POST" : NULL,
                             .body = a->asked.body,
                             .body_len = a->asked.body ? strlen(a->asked.body) : 0,
                             .headers = headers,
                             .direct = true,
                             .connect_timeout_ms = 2000,
                             .timeout_ms = 3000,
                             .max_response = ANSWER_MAX};
    /* A refusal says why: one of nothing is not of whom was asked. */
    bool heard = http_do(&q, &answer, NULL) == 0 && (answer.status == 200 || *answer.body);
    a->answered = heard && a->asked.parse(answer.body, a->asked.key, a->asked.answer);
    a->otherwise = heard && !a->answered;
    if (!a->answered)
        *a->asked.answer = '\0';
}

static void release(struct asks *a)
{
    for (size_t i = 0; i < a->n; i++)
        clear(&a->entries[i]);
    free(a->entries);
    clear(&a->asked);
    if (a->done)
        a->done(a->done_data);
    free(a);
}

static void ask_next(struct asks *a);

static void answered(uv_work_t *work, int status OH_UNUSED)
{
    struct asks *a = work->data;
    a->busy = false;
    if (a->ending) {
        release(a);
        return;
    }
    struct entry *e = find(a, a->asked.name);
    bool same = e && !strcmp(e->url, a->asked.url) && !strcmp(e->key, a->asked.key);
    if (same)
        e->not_before_ms = clock_mono_ms(a->clock) + (a->answered ? e->again_ms : e->pause_ms);
    if (same && (a->answered || (a->otherwise && *e->answer))) {
        bool news = strcmp(e->answer, a->asked.answer);
        memcpy(e->answer, a->asked.answer, sizeof(e->answer));
        if (news)
            a->changed(a->data);
    }
    ask_next(a);
}

static void ask_next(struct asks *a)
{
    int64_t now = clock_mono_ms(a->clock);
    for (size_t i = 0; i < a->n && !a->busy; i++) {
        struct entry *e = &a->entries[i];
        if ((*e->answer && !e->again_ms) || now < e->not_before_ms)
            continue;
        clear(&a->asked);
        a->asked = (struct entry){.name = mem_strdup(e->name),
                                  .url = mem_strdup(e->url),
                                  .key = mem_strdup(e->key),
                                  .header = mem_strdup(e->header),
                                  .secret = mem_strdup(e->secret),
                                  .body = mem_strdup(e->body),
                                  .parse = e->parse};
        a->work.data = a;
        a->busy = uv_queue_work(a->loop, &a->work, ask, answered) == 0;
        e->not_before_ms = now + e->pause_ms;
    }
}

void asks_want(struct asks *a, const struct question *q)
{
    const char *left = strchr(q->address, ':') ? "[" : "", *right = *left ? "]" : "";
    autofree char *url = mem_printf("http://%s%s%s:%d%s", left, q->address, right, q->port, q->path);
    struct entry *e = find(a, q->name);
    if (!e) {
        size_t at = place_of(a, q->name);
        if (a->n == a->cap)
            a->entries = mem_realloc(a->entries, (a->cap = a->cap ? 2 * a->cap : 8) * sizeof(*a->entries));
        e = &a->entries[at];
        memmove(e + 1, e, (a->n++ - at) * sizeof(*e));
        *e = (struct entry){.name = mem_strdup(q->name)};
    }
    if (!e->url || strcmp(e->url, url) || strcmp(e->key, q->key)) {
        char *name = TAKE_PTR(e->name);
        clear(e);
        *e = (struct entry){.name = name,
                            .url = TAKE_PTR(url),
                            .key = mem_strdup(q->key),
                            .header = q->user ? mem_printf("X-ClickHouse-User: %s", q->user) : NULL,
                            .secret = q->password ? mem_printf("X-ClickHouse-Key: %s", q->password) : NULL,
                            .body = mem_strdup(q->body),
                            .parse = q->parse,
                            .pause_ms = q->pause_ms,
                            .again_ms = q->again_ms};
    }
    if (!*e->answer || e->again_ms)
        ask_next(a);
}

void asks_free(struct asks *a, void (*done)(void *data), void *data)
{
    a->ending = true;
    a->done = done;
    a->done_data = data;
    if (!a->busy)
        release(a);
}
