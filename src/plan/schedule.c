/* The order of steps: what each has to wait for, going up (make) and coming down (destroy). */
#include "plan/internal.h"

static void edge(struct plan_schedule *s, size_t first, size_t then)
{
    struct plan_unit *u = &s->units[then];
    for (size_t i = 0; i < u->n_before; i++)
        if (u->before[i] == first)
            return;
    if (u->n_before == u->cap_before) {
        u->cap_before = u->cap_before ? 2 * u->cap_before : 4;
        u->before = mem_realloc(u->before, u->cap_before * sizeof(*u->before));
    }
    u->before[u->n_before++] = first;
}

/* Whether `from` waits, directly or not, for `to`. */
static bool waits_for(const struct plan_schedule *s, size_t from, size_t to, char *seen)
{
    if (from == to)
        return true;
    if (seen[from])
        return false;
    seen[from] = 1;
    for (size_t i = 0; i < s->units[from].n_before; i++)
        if (waits_for(s, s->units[from].before[i], to, seen))
            return true;
    return false;
}

static void soft_edge(struct plan_schedule *s, size_t first, size_t then)
{
    autofree char *seen = mem_alloc(s->n + 1);
    if (!waits_for(s, first, then, seen))
        edge(s, first, then);
}

static size_t unit_add(struct plan_schedule *s, const char *key, enum plan_action action)
{
    s->units[s->n] = (struct plan_unit){.action = action};
    snprintf(s->units[s->n].key, sizeof(s->units[s->n].key), "%s", key);
    return s->n++;
}

/* For each key where its making (or nothing to do) and its destruction are in `units`; -1 = there is none. */
struct places {
    json_t *make, *destroy;
};

static ssize_t place(const json_t *map, const char *key)
{
    const json_t *v = json_object_get(map, key);
    return v ? (ssize_t)json_integer_value(v) : -1;
}

static void add_units(struct plan_schedule *s, const struct places *p, const char *key, const char *action)
{
    bool replace = !strcmp(action, "replace");
    if (replace || !strcmp(action, "destroy"))
        json_object_set_new(p->destroy, key, json_integer((json_int_t)unit_add(s, key, PLAN_DESTROY)));
    if (!strcmp(action, "destroy"))
        return;
    enum plan_action make = replace || !strcmp(action, "create") ? PLAN_CREATE
                            : !strcmp(action, "change")          ? PLAN_CHANGE
                                                                 : PLAN_NONE;
    json_object_set_new(p->make, key, json_integer((json_int_t)unit_add(s, key, make)));
    if (replace)
        edge(s, s->n - 2, s->n - 1);
}

/* B depends on A: A is made before B, and B is destroyed before A. */
static void order_pair(struct plan_schedule *s, const struct places *p, const char *b, const char *a, bool soft)
{
    ssize_t make_a = place(p->make, a), make_b = place(p->make, b);
    ssize_t destroy_a = place(p->destroy, a), destroy_b = place(p->destroy, b);
    if (make_a >= 0 && make_b >= 0 && !soft)
        edge(s, (size_t)make_a, (size_t)make_b);
    if (destroy_a < 0)
        return;
    if (destroy_b >= 0)
        (soft ? soft_edge : edge)(s, (size_t)destroy_b, (size_t)destroy_a);
    else if (soft && make_b >= 0 && s->units[make_b].action == PLAN_CHANGE)
        soft_edge(s, (size_t)make_b, (size_t)destroy_a); /* B lets go of A by its change */
}

/* From the ends of all chains back to their beginnings. */
static void rank(struct plan_schedule *s)
{
    autofree size_t *waiting = mem_alloc((s->n + 1) * sizeof(*waiting)),
                    *ends OH_CLEANUP(oh_freep) = mem_alloc((s->n + 1) * sizeof(*ends));
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++)
        for (size_t k = 0; k < s->units[i].n_before; k++)
            waiting[s->units[i].before[k]]++;
    for (size_t i = 0; i < s->n; i++)
        if (!waiting[i])
            ends[n++] = i;
    while (n) {
        const struct plan_unit *u = &s->units[ends[--n]];
        for (size_t k = 0; k < u->n_before; k++) {
            struct plan_unit *first = &s->units[u->before[k]];
            first->rank = MAX(first->rank, u->rank + (u->action != PLAN_NONE));
            if (!--waiting[u->before[k]])
                ends[n++] = u->before[k];
        }
    }
}

void plan_schedule_build(const struct plan_graph *g, const json_t *document, const json_t *records,
                         struct plan_schedule *ret)
{
    size_t i, k;
    json_t *change, *dep, *record;
    const char *key;
    const json_t *changes = json_object_get(document, "changes");
    struct places p = {json_object(), json_object()};
    *ret = (struct plan_schedule){.units = mem_alloc((2 * json_array_size(changes) + 1) * sizeof(*ret->units))};
    json_array_foreach(changes, i, change) add_units(ret, &p, json_string_value(json_object_get(change, "resource")),
                                                     json_string_value(json_object_get(change, "action")));
    json_array_foreach(changes, i, change)
    {
        key = json_string_value(json_object_get(change, "resource"));
        /* What is no longer in the graph has its dependencies from records, which no check made free of circles. */
        const struct plan_node *node = plan_graph_find(g, key);
        json_array_foreach(node ? node->depends_on : NULL, k, dep)
        {
            order_pair(ret, &p, key, json_string_value(dep), false);
        }
    }
    json_object_foreach((json_t *)(uintptr_t)records, key, record)
    {
        json_array_foreach(plan_record_depends(record), k, dep)
        {
            if (json_is_string(dep))
                order_pair(ret, &p, key, json_string_value(dep), true);
        }
    }
    json_decref(p.make);
    json_decref(p.destroy);
    rank(ret);
}

void plan_schedule_free(struct plan_schedule *s)
{
    for (size_t i = 0; i < s->n; i++)
        free(s->units[i].before);
    free(s->units);
    *s = (struct plan_schedule){0};
}

/* 1 may begin, 0 must wait, -1 can never. */
static int unit_may(const struct plan_schedule *s, const struct plan_unit *u)
{
    int may = 1;
    for (size_t i = 0; i < u->n_before; i++) {
        int state = s->units[u->before[i]].state;
        if (state == UNIT_FAILED || state == UNIT_BLOCKED)
            return -1;
        if (state != UNIT_DONE)
            may = 0;
    }
    return may;
}

ssize_t plan_schedule_next(struct plan_schedule *s)
{
    ssize_t best;
    bool again = true;
    do {
        again = false;
        best = -1;
        for (size_t i = 0; i < s->n; i++) {
            if (s->units[i].state != UNIT_WAITING)
                continue;
            int may = unit_may(s, &s->units[i]);
            if (may > 0 && (best < 0 || s->units[i].rank > s->units[best].rank))
                best = (ssize_t)i;
            if (may < 0) {
                s->units[i].state = UNIT_BLOCKED;
                again = true;
            }
        }
    } while (again);
    return best;
}
