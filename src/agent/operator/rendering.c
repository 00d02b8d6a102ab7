/* Renders what a document wants, a service at a time. */
#include "agent/operator/rendering.h"

#include "agent/operator/slim.h"
#include "base/mem.h"
#include "runtime/runtime.h"

struct taking {
    struct slim *slim;
    char (*digests)[65];
    size_t n, cap;
};

/* A service's workloads, or (NULL) the place's. */
static int build(const struct rendering *g, const struct desired_service *s, struct workload_list *ret, struct err *err)
{
    workload_list_init(ret);
    int r = s ? blueprint_render_service(g->desired, s, g->env, ret, err)
              : blueprint_render_place(g->desired, g->env, ret, err);
    if (r == 0)
        restarts_apply(g->restarts, ret);
    else
        workload_list_free(ret);
    return r;
}

int rendering_for(const struct rendering *g, const struct workload *slim, struct workload_list *ret)
{
    const struct desired *d = g->desired;
    const char *id = workload_label(slim, BLUEPRINT_SERVICE);
    for (size_t i = 0; id && i < d->n_services; i++)
        if (!strcmp(d->services[i].id, id))
            return build(g, &d->services[i], ret, NULL);
    return build(g, NULL, ret, NULL);
}

static int take(const struct rendering *g, struct taking *t, struct workload_list *part, struct err *err)
{
    int r = 0;
    upgrades_add(g->upgrades, g->desired, g->wall_ms, part);
    if (t->n + part->n + 1 > t->cap) {
        t->cap = 2 * t->cap + part->n + 1;
        t->digests = mem_realloc(t->digests, t->cap * sizeof(*t->digests));
    }
    for (size_t i = 0; r == 0 && i < part->n; i++)
        r = runtime_digest(&part->items[i], t->digests[t->n++], err);
    if (r == 0)
        slim_add(t->slim, part);
    return r;
}

static int take_place(const struct rendering *g, struct taking *t, struct err *err)
{
    autoworkloads struct workload_list part = {0};
    int r = build(g, NULL, &part, err);
    while (r == 0 && taken_up_comes_back(g->taken_up, blueprint_generation(&part))) {
        workload_list_free(&part);
        g->env->ingress_nudge++;
        r = build(g, NULL, &part, err);
    }
    return r < 0 ? r : take(g, t, &part, err);
}

static int take_all(const struct rendering *g, struct taking *t, struct err *err)
{
    const struct desired *d = g->desired;
    for (size_t i = 0; i < d->n_services; i++) {
        autoworkloads struct workload_list part = {0};
        int r = build(g, &d->services[i], &part, err);
        if (r == 0)
            r = take(g, t, &part, err);
        if (r < 0)
            return r;
    }
    return take_place(g, t, err);
}

int rendering_all(const struct rendering *g, struct workload_list *ret, char (**ret_digests)[65], struct err *err)
{
    struct taking t = {.slim = slim_new(), .digests = mem_alloc(sizeof(*t.digests)), .cap = 1};
    upgrades_begin(g->upgrades, g->desired);
    int r = take_all(g, &t, err), kept = upgrades_end(g->upgrades, r == 0, err);
    r = r < 0 ? r : kept;
    slim_end(t.slim, r < 0 ? NULL : ret);
    if (r < 0)
        free(t.digests);
    else
        *ret_digests = t.digests;
    return r;
}
