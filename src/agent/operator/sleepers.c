/* Gathers what says whether services are used. */
#include "agent/operator/sleepers.h"

#include "agent/operator/sleep.h"
#include "agent/operator/traffic.h"
#include "agent/operator/waiting.h"
#include "base/mem.h"

#define LOOK_MS 10000 /* at the ingress's counters */

struct sleepers {
    struct sleepers_config c;
    struct sleep_rules rules;
    struct traffic *traffic;
    struct waiting *waiting;
    int64_t round; /* last one judged by */
    json_t *seen;  /* slug -> bytes at that round */
    bool told;     /* that the file cannot be written */
};

static void on_change(void *data)
{
    struct sleepers *s = data;
    s->c.changed(s->c.data);
}

struct sleepers *sleepers_new(const struct sleepers_config *c)
{
    struct sleepers *s = mem_alloc(sizeof(*s));
    autofree char *path = mem_printf("%s/idle.json", c->state_dir);
    s->c = *c;
    s->c.state_dir = NULL;
    sleep_open(&s->rules, path);
    s->traffic = traffic_new(c->loop, c->clock, LOOK_MS, on_change, s);
    s->waiting = waiting_new(c->loop, c->clock, on_change, s);
    s->seen = json_object();
    return s;
}

/* ---- facts ---- */

static const struct runtime_status *find(const struct runtime_status_list *l, const char *name)
{
    for (size_t i = 0; i < l->n; i++)
        if (!strcmp(l->items[i].name, name))
            return &l->items[i];
    return NULL;
}

static const char *service_of(const struct runtime_status *s)
{
    for (size_t i = 0; i < s->n_labels; i++)
        if (!strcmp(s->labels[i].name, BLUEPRINT_SERVICE))
            return s->labels[i].value;
    return "";
}

static int64_t gauge(const json_t *metrics, const char *name)
{
    return json_integer_value(json_object_get(metrics, name));
}

/* What the engines of the service say. The embedded one counts the question itself as a query. */
static void ask_engines(const struct sleepers *s, const struct desired_service *d,
                        const struct runtime_status_list *observed, struct sleep_facts *f)
{
    int64_t own = s->c.engine == BLUEPRINT_EMBEDDED;
    size_t n = 0;
    f->serves = true;
    for (size_t i = 0; i < observed->n; i++) {
        const struct runtime_status *w = &observed->items[i];
        if (strncmp(w->name, "clickhouse-", 11) || strcmp(service_of(w), d->id))
            continue;
        const json_t *metrics = s->c.metrics_of(w->name, s->c.data);
        n++;
        f->serves &= w->state == RUNTIME_RUNNING;
        f->known &= metrics != NULL;
        f->queried |= gauge(metrics, "ClickHouseMetrics_Query") > own;
        f->busy |=
            gauge(metrics, "ClickHouseMetrics_Merge") > 0 || gauge(metrics, "ClickHouseMetrics_PartMutation") > 0;
    }
    f->serves &= n > 0;
}

/* A count that has fallen is of an ingress that was loaded again: what it has counted since is a query. */
static void ask_ingress(struct sleepers *s, const struct desired_service *d, bool fresh, struct sleep_facts *f)
{
    struct traffic_count now;
    f->known = traffic_round(s->traffic) > 0 && traffic_get(s->traffic, d->slug, &now);
    if (!f->known || !fresh)
        return;
    int64_t bytes = json_integer_value(json_object_get(s->seen, d->slug));
    f->queried = now.sessions > 0 || (now.bytes != bytes && now.bytes > 0);
    json_object_set_new(s->seen, d->slug, json_integer(now.bytes));
}

static bool judge(struct sleepers *s, struct desired_service *d, const struct runtime_status_list *observed, bool fresh,
                  int64_t *again_ms)
{
    struct sleep_facts f = {.fresh = fresh, .waited = waiting_for(s->waiting, d->ordinal)};
    ask_ingress(s, d, fresh, &f);
    ask_engines(s, d, observed, &f);
    f.busy |= s->c.backs_up(d->id, s->c.data);
    enum sleep_verdict now = sleep_judge(&s->rules, d, &f, clock_mono_ms(s->c.clock), again_ms);
    bool was_asleep = d->asleep, was_rising = d->rising;
    d->asleep = now == SLEEP_ASLEEP;
    d->rising = now == SLEEP_RISING;
    return was_asleep != d->asleep || was_rising != d->rising;
}

static const char *place_of(const struct runtime_status_list *observed, const char *name)
{
    const struct runtime_status *w = find(observed, name);
    return w && w->state == RUNTIME_RUNNING && w->address ? w->address : "";
}

bool sleepers_step(struct sleepers *s, struct desired *d, const struct runtime_status_list *observed, int64_t *again_ms)
{
    struct err err = ERR_INIT;
    bool fresh = traffic_round(s->traffic) != s->round, changed = false, any = false;
    s->round = traffic_round(s->traffic);
    *again_ms = MIN(*again_ms, waiting_at(s->waiting, place_of(observed, "activator")));
    for (size_t i = 0; i < d->n_services; i++) {
        any |= blueprint_may_sleep(&d->services[i]);
        changed |= judge(s, &d->services[i], observed, fresh, again_ms);
    }
    const struct runtime_status *ingress = find(observed, "ingress");
    if (any && ingress) {
        autofree char *all =
            mem_printf("%s %s", ingress->address ? ingress->address : "", ingress->others ? ingress->others : "");
        traffic_want(s->traffic, ingress->address && *ingress->address ? all : "");
    }
    int r = sleep_keep(&s->rules, d, &err);
    if (r < 0 && !s->told)
        s->c.on_event(true, err.message, s->c.data);
    s->told = r < 0;
    return changed;
}

void sleepers_free(struct sleepers *s, void (*done)(void *data), void *data)
{
    struct traffic *traffic = s->traffic;
    sleep_close(&s->rules);
    json_decref(s->seen);
    waiting_free(s->waiting, (void (*)(void *))free, s); /* at once */
    traffic_free(traffic, done, data);
}
