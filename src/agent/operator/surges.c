/* Remembers the sizes of services, and gathers what surge.h judges by. */
#include "agent/operator/surges.h"

#include "agent/operator/state_file.h"
#include "base/mem.h"

/* ---- the file ---- */

static struct surge read_one(const json_t *o)
{
    struct surge s = {.settled = json_integer_value(json_object_get(o, "settled"))};
    const char *phase = js_text_at(o, "phase");
    for (size_t i = SURGE_COMING; i <= SURGE_REFUSED; i++)
        if (!strcmp(phase, surge_phase_names[i]))
            s.phase = (enum surge_phase)i;
    if (s.phase == SURGE_NONE)
        return s;
    s.target = json_integer_value(json_object_get(o, "target"));
    s.replicas = (int)json_integer_value(json_object_get(o, "replicas"));
    s.begun_ms = json_integer_value(json_object_get(o, "begunMs"));
    s.fresh = json_is_true(json_object_get(o, "fresh"));
    s.why = (enum surge_is)MIN((uint64_t)json_integer_value(json_object_get(o, "why")), (uint64_t)SURGE_SLOW);
    return s;
}

void surges_open(struct surges *g, const char *path)
{
    autojson json_t *all = state_file_read(path);
    const char *id;
    json_t *o;
    *g = (struct surges){.path = mem_strdup(path), .items = mem_alloc((json_object_size(all) + 1) * sizeof(*g->items))};
    json_object_foreach(all, id, o)
    {
        struct surges_item *item = &g->items[g->n++];
        *item = (struct surges_item){.surge = read_one(o)};
        snprintf(item->id, sizeof(item->id), "%s", id);
    }
}

void surges_free(struct surges *g)
{
    free(g->path);
    free(g->items);
    *g = (struct surges){0};
}

static json_t *write_one(const struct surge *s)
{
    if (s->phase == SURGE_NONE)
        return json_pack("{sI}", "settled", (json_int_t)s->settled);
    return json_pack("{ss sI sI si sI sb si}", "phase", surge_phase_names[s->phase], "settled", (json_int_t)s->settled,
                     "target", (json_int_t)s->target, "replicas", s->replicas, "begunMs", (json_int_t)s->begun_ms,
                     "fresh", s->fresh, "why", (int)s->why);
}

static int keep(const struct surges *g, const struct surges_item *items, size_t n, struct err *err)
{
    autojson json_t *all = json_object();
    for (size_t i = 0; i < n; i++)
        if (items[i].surge.settled)
            json_object_set_new(all, items[i].id, write_one(&items[i].surge));
    return state_file_write(g->path, all, err);
}

/* ---- what is asked for ---- */

static struct surges_item *item_of(const struct surges *g, const char *id, size_t hint)
{
    if (hint < g->n && !strcmp(g->items[hint].id, id))
        return &g->items[hint];
    for (size_t i = 0; i < g->n; i++)
        if (!strcmp(g->items[i].id, id))
            return &g->items[i];
    return NULL;
}

static bool ask(struct surge *s, const struct desired_service *d, const struct blueprint_env *env, bool can_ask,
                int64_t wall_ms)
{
    int replicas = blueprint_asked(d, env);
    if (d->state == DESIRED_DELETED) {
        bool kept = s->settled != 0;
        *s = (struct surge){.settled = 0};
        return kept;
    }
    return surge_ask(s,
                     &(struct surge_asked){.bytes = d->memory_bytes,
                                           .replicas = replicas,
                                           .runs = d->state == DESIRED_RUNNING && !d->asleep,
                                           .several = replicas > 1 && blueprint_joined(d, env),
                                           .can_ask = can_ask},
                     wall_ms);
}

int surges_mark(struct surges *g, struct desired *d, const struct blueprint_env *env, bool can_ask, int64_t wall_ms,
                struct err *err)
{
    struct surges_item *items = mem_alloc((d->n_services + 1) * sizeof(*items));
    bool changed = false;
    size_t found = 0;
    int r = 0;
    for (size_t i = 0; i < d->n_services; i++) {
        const struct surges_item *had = item_of(g, d->services[i].id, i);
        found += had != NULL;
        items[i] = had ? *had : (struct surges_item){.surge = {.settled = 0}};
        snprintf(items[i].id, sizeof(items[i].id), "%s", d->services[i].id);
        changed |= ask(&items[i].surge, &d->services[i], env, can_ask, wall_ms);
    }
    changed |= found != g->n; /* some are named no more */
    if (changed)
        r = keep(g, items, d->n_services, err);
    for (size_t i = 0; i < d->n_services; i++) {
        const struct surges_item *had = item_of(g, d->services[i].id, i), *now = r < 0 ? had : &items[i];
        surge_mark(now && now->surge.settled ? &now->surge : &(struct surge){.settled = d->services[i].memory_bytes},
                   &d->services[i]);
    }
    if (r < 0) {
        free(items);
        return r;
    }
    free(g->items);
    g->items = items;
    g->n = d->n_services;
    return 0;
}

bool surges_due(const struct surges *g, int64_t wall_ms)
{
    for (size_t i = 0; i < g->n; i++) {
        const struct surge *s = &g->items[i].surge;
        if (s->phase == SURGE_REFUSED && (wall_ms < s->begun_ms || wall_ms - s->begun_ms >= SURGE_RETRY_MS))
            return true;
    }
    return false;
}

/* ---- what is seen ---- */

static bool is_as_rendered(const struct surges_place *p, const struct runtime_status *s)
{
    for (size_t i = 0; i < p->wanted->n; i++)
        if (!strcmp(p->wanted->items[i].name, s->name))
            return !strcmp(p->digests[i], s->digest);
    return false;
}

static struct surge_seen see(const struct surges_place *p, size_t i, const char **error)
{
    const struct desired_service *d = &p->desired->services[i];
    struct surge_seen e = {.is = SURGE_DOWN, .leads = p->plan->leads, .whole = p->plan->services[i].whole};
    int k = blueprint_asked(d, p->env);
    char name[WORKLOAD_NAME_MAX + 1];
    snprintf(name, sizeof(name), "clickhouse-%s-%d", d->id, k);
    *error = "";
    for (size_t o = 0; d->surge != DESIRED_SURGE_NONE && o < p->observed->n; o++) {
        const struct runtime_status *s = &p->observed->items[o];
        if (strcmp(s->name, name))
            continue;
        const struct replica_view *v = p->view(d->id, p->data);
        *error = s->error;
        if (s->state != RUNTIME_RUNNING)
            continue;
        enum surge_is is = v ? surge_judge(v, k, &e.empty) : SURGE_MUTE;
        if (is_as_rendered(p, s))
            e.is = is;
    }
    return e;
}

static void say(const struct surges_place *p, size_t i, const struct surge *s, const char *error)
{
    autobuf struct buf text = BUF_INIT;
    if (s->phase == SURGE_NONE || *p->plan->services[i].notice)
        return;
    surge_sentence(s, error, &text);
    p->plan->services[i].notice = arena_strdup(p->plan->arena, text.data);
}

static void tell(const struct surges_place *p, const struct desired_service *d, const struct surge *s)
{
    autobuf struct buf text = BUF_INIT;
    buf_printf(&text, "service %s: ", d->slug);
    if (s->phase == SURGE_NONE)
        buf_adds(&text, "every replica has the size asked for");
    else
        surge_sentence(s, NULL, &text);
    p->on_event(s->phase == SURGE_REFUSED, text.data, p->data);
}

static int look_at(struct surges *g, const struct surges_place *p, size_t i, bool *ret_changed, struct err *err)
{
    struct surge *s = &g->items[i].surge, before = *s;
    const char *error = "";
    struct surge_seen e = see(p, i, &error);
    bool changed = surge_see(s, &e, p->wall_ms, p->now_ms);
    int r = changed ? keep(g, g->items, g->n, err) : 0;
    if (r < 0)
        *s = before;
    else if (s->phase != before.phase)
        tell(p, &p->desired->services[i], s);
    *ret_changed |= r == 0 && changed;
    say(p, i, s, error);
    return r;
}

int surges_look(struct surges *g, const struct surges_place *p, bool *ret_changed, struct err *err)
{
    int r = 0;
    *ret_changed = false;
    for (size_t i = 0; r == 0 && i < p->desired->n_services && i < g->n; i++) {
        const struct desired_service *d = &p->desired->services[i];
        if (g->items[i].surge.phase != SURGE_NONE && d->state == DESIRED_RUNNING && !d->asleep &&
            !strcmp(g->items[i].id, d->id))
            r = look_at(g, p, i, ret_changed, err);
    }
    return r;
}
