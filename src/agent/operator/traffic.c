/* Fetches and sums the ingress's counters. */
#include "agent/operator/traffic.h"

#include "base/mem.h"
#include "blueprint/blueprint.h"
#include "net/http_client.h"

#include <stdatomic.h>

#define ANSWER_MAX MIB(8)
#define NUMBER_MAX (INT64_C(1) << 48) /* sums of thousands of them stay numbers */
#define FIELDS 10                     /* pxname svname qcur qmax scur smax slim stot bin bout */

struct traffic {
    uv_loop_t *loop;
    const struct clock *clock;
    int64_t pause_ms, due_ms, rounds;
    void (*round)(void *data);
    void *data;
    json_t *counts; /* slug -> [bytes, sessions]; NULL: the last round failed */
    uv_work_t work;
    bool busy;
    atomic_bool ending;
    char *addresses; /* the thread's while busy, as is `fresh` */
    json_t *fresh;
    void (*done)(void *data);
    void *done_data;
};

/* ---- CSV ---- */

static bool split(char *line, char *fields[FIELDS])
{
    for (int i = 0; i < FIELDS; i++)
        if (!(fields[i] = strsep(&line, ",")))
            return false;
    return true;
}

/* "service-SLUG" or "native-SLUG"; FRONTEND and BACKEND are sums, and count what was refused too. */
static const char *slug_of(char *const fields[FIELDS], bool *ret_native)
{
    if (!strcmp(fields[1], "FRONTEND") || !strcmp(fields[1], "BACKEND"))
        return NULL;
    *ret_native = !strncmp(fields[0], "native-", 7);
    if (*ret_native)
        return fields[0] + 7;
    return strncmp(fields[0], "service-", 8) ? NULL : fields[0] + 8;
}

static int64_t number(const char *text)
{
    int64_t n = strtoll(text, NULL, 10);
    return MIN(MAX(n, 0), NUMBER_MAX);
}

static void add(json_t *into, const char *slug, int64_t bytes, int64_t sessions)
{
    json_t *v = json_object_get(into, slug);
    if (!v) {
        json_object_set_new(into, slug, json_pack("[I,I]", (json_int_t)bytes, (json_int_t)sessions));
        return;
    }
    json_t *b = json_array_get(v, 0), *s = json_array_get(v, 1);
    json_integer_set(b, json_integer_value(b) + bytes);
    json_integer_set(s, json_integer_value(s) + sessions);
}

int traffic_parse(char *csv, json_t *into)
{
    static const char head[] = "# pxname,svname,qcur,qmax,scur,smax,slim,stot,bin,bout,";
    char *fields[FIELDS], *rest = csv;
    if (strncmp(csv, head, sizeof(head) - 1))
        return -EINVAL;
    strsep(&rest, "\n");
    for (char *line; (line = strsep(&rest, "\n"));) {
        bool native = false;
        const char *slug = split(line, fields) ? slug_of(fields, &native) : NULL;
        if (!slug)
            continue;
        /* Open native connections are those of pools; only bytes say that they are used. */
        int64_t sessions = native ? 0 : number(fields[4]);
        add(into, slug, number(fields[7]) + number(fields[8]) + number(fields[9]), sessions);
    }
    return 0;
}

/* ---- rounds ---- */

static int fetch(const char *address, json_t *into)
{
    autoresponse struct http_response answer = {0};
    bool v6 = strchr(address, ':') != NULL;
    autofree char *url =
        mem_printf("http://%s%s%s:%d/counters;csv", v6 ? "[" : "", address, v6 ? "]" : "", BLUEPRINT_HEALTH_PORT);
    struct http_request q = {
        .url = url, .direct = true, .connect_timeout_ms = 1000, .timeout_ms = 5000, .max_response = ANSWER_MAX};
    int r = http_do(&q, &answer, NULL);
    return r < 0 ? r : answer.status == 200 ? traffic_parse(answer.body, into) : -EIO;
}

static void run_round(uv_work_t *work)
{
    struct traffic *t = work->data;
    char *rest = t->addresses;
    json_t *counts = json_object();
    int r = 0;
    for (char *one; r == 0 && (one = strsep(&rest, " "));)
        if (*one)
            r = atomic_load(&t->ending) ? -ECANCELED : fetch(one, counts);
    if (r == 0)
        t->fresh = counts;
    else
        json_decref(counts);
}

static void release(struct traffic *t)
{
    json_decref(t->counts);
    json_decref(t->fresh);
    free(t->addresses);
    if (t->done)
        t->done(t->done_data);
    free(t);
}

static void round_ended(uv_work_t *work, int status OH_UNUSED)
{
    struct traffic *t = work->data;
    t->busy = false;
    if (atomic_load(&t->ending)) {
        release(t);
        return;
    }
    json_decref(t->counts);
    t->counts = TAKE_PTR(t->fresh);
    t->rounds++;
    free(TAKE_PTR(t->addresses));
    t->due_ms = clock_mono_ms(t->clock) + t->pause_ms;
    t->round(t->data);
}

struct traffic *traffic_new(uv_loop_t *loop, const struct clock *clock, int64_t pause_ms, void (*round)(void *data),
                            void *data)
{
    struct traffic *t = mem_alloc(sizeof(*t));
    t->loop = loop;
    t->clock = clock;
    t->pause_ms = pause_ms;
    t->round = round;
    t->data = data;
    t->work.data = t;
    return t;
}

void traffic_want(struct traffic *t, const char *addresses)
{
    if (t->busy || !*addresses || clock_mono_ms(t->clock) < t->due_ms)
        return;
    t->addresses = mem_strdup(addresses);
    t->busy = uv_queue_work(t->loop, &t->work, run_round, round_ended) == 0;
    if (!t->busy)
        free(TAKE_PTR(t->addresses));
}

int64_t traffic_round(const struct traffic *t)
{
    return t->counts ? t->rounds : 0;
}

bool traffic_get(const struct traffic *t, const char *slug, struct traffic_count *ret)
{
    json_t *v = json_object_get(t->counts, slug);
    if (!v)
        return false;
    *ret = (struct traffic_count){json_integer_value(json_array_get(v, 0)), json_integer_value(json_array_get(v, 1))};
    return true;
}

void traffic_free(struct traffic *t, void (*done)(void *data), void *data)
{
    atomic_store(&t->ending, true);
    t->done = done;
    t->done_data = data;
    if (!t->busy)
        release(t);
}
