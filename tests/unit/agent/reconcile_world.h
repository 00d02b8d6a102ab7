/* A simulated runtime for the tests of agent/operator/reconcile: it fails, is slow and forgets, from seeds. */
#pragma once

#include "../test.h"

#include "agent/operator/reconcile.h"

/* ---- a simulated runtime ---- */

#define MAX_PLACED 128

struct placed {
    char name[64], digest[65], core[65], role[32], service[40];
    enum runtime_state state;
    bool labelled, stopped, leaving;
    int slow; /* ticks until the next state */
};

struct world {
    struct placed items[MAX_PLACED];
    size_t n;
    int64_t now;
    bool purged[8]; /* data of service i were deleted */
    struct reconcile_memory *memory;
    const char *failing; /* applying this name fails */
    uint32_t seed;       /* 0: everything takes one tick and succeeds */
    int actions;
    bool front_behind; /* the ingress says that it has not taken up its files yet */
    bool judged;       /* replicas are asked how far they are: in step, but for these */
    const char *behind, *mute;
    const struct handover_said *left; /* of who goes; NULL: nobody can say */
    bool takes_up;                    /* who runs goes on when only files change that it takes up by itself */
    bool shrinks;                     /* replicas may be asked to go */
};

static inline uint32_t chance(struct world *w, uint32_t bound)
{
    w->seed ^= w->seed << 13, w->seed ^= w->seed >> 17, w->seed ^= w->seed << 5;
    return w->seed % bound;
}

static inline struct placed *find(struct world *w, const char *name)
{
    for (size_t i = 0; i < w->n; i++)
        if (!strcmp(w->items[i].name, name))
            return &w->items[i];
    return NULL;
}

static inline void tick_one(struct world *w, struct placed *p)
{
    if (p->slow-- > 0)
        return;
    p->slow = w->seed ? (int)chance(w, 3) : 0;
    if (p->state == RUNTIME_STARTING)
        p->state = w->seed && chance(w, 6) == 0 ? RUNTIME_FAILED : RUNTIME_RUNNING;
    else if (p->state == RUNTIME_STOPPING)
        p->state = RUNTIME_STOPPED;
    else if (p->state == RUNTIME_FAILED)
        p->state = RUNTIME_STARTING;
    else if (w->seed && p->state == RUNTIME_RUNNING && chance(w, 20) == 0)
        p->state = RUNTIME_UNREADY;
    else if (p->state == RUNTIME_UNREADY)
        p->state = RUNTIME_RUNNING;
}

static inline void tick(struct world *w, int64_t ms)
{
    w->now += ms;
    for (size_t i = 0; i < w->n; i++) {
        tick_one(w, &w->items[i]);
        if (w->items[i].leaving && w->items[i].state == RUNTIME_STOPPED)
            w->items[i--] = w->items[--w->n];
    }
}

static inline void observe(const struct world *w, struct runtime_status_list *ret)
{
    *ret = (struct runtime_status_list){.arena = arena_new()};
    ret->items = arena_alloc(ret->arena, (w->n + 1) * sizeof(*ret->items));
    for (size_t i = 0; i < w->n; i++) {
        const struct placed *p = &w->items[i];
        struct runtime_status *s = &ret->items[ret->n++];
        *s = (struct runtime_status){.name = p->name, .state = p->state, .error = ""};
        memcpy(s->digest, p->digest, 65);
        if (p->state == RUNTIME_FAILED)
            s->error = "it ended with status 1";
        if (!p->labelled)
            continue;
        s->labels = arena_alloc(ret->arena, 2 * sizeof(*s->labels));
        s->labels[s->n_labels++] = (struct workload_env){"role", p->role};
        if (*p->service)
            s->labels[s->n_labels++] = (struct workload_env){"service", p->service};
    }
}

/* Of what it is started with. */
static inline void core_of(const struct workload *w, char ret[65])
{
    struct workload core = *w;
    core.files = mem_alloc((w->n_files + 1) * sizeof(*core.files));
    core.n_files = 0;
    for (size_t i = 0; i < w->n_files; i++)
        if (w->files[i].on_change == WORKLOAD_RESTART)
            core.files[core.n_files++] = w->files[i];
    assert_int_equal(runtime_digest(&core, ret, NULL), 0);
    free(core.files);
}

static inline void place(struct world *w, const struct workload *v, const char *digest)
{
    char core[65];
    struct placed *p = find(w, v->name);
    const char *service = workload_label(v, "service");
    if (!p) {
        assert_true(w->n < MAX_PLACED);
        p = &w->items[w->n++];
        *p = (struct placed){.labelled = true, .state = RUNTIME_STOPPED};
    }
    snprintf(p->name, sizeof(p->name), "%s", v->name);
    snprintf(p->role, sizeof(p->role), "%s", workload_label(v, "role"));
    snprintf(p->service, sizeof(p->service), "%s", service ? service : "");
    memcpy(p->digest, digest, 65);
    p->leaving = false;
    p->stopped = v->stopped;
    core_of(v, core);
    bool goes_on = w->takes_up && p->state == RUNTIME_RUNNING && !strcmp(core, p->core);
    memcpy(p->core, core, 65);
    if (goes_on)
        return;
    if (v->stopped)
        p->state = p->state == RUNTIME_STOPPED ? RUNTIME_STOPPED : RUNTIME_STOPPING;
    else if (strcmp(v->name, "ingress") || p->state != RUNTIME_RUNNING) /* the ingress reloads and goes on */
        p->state = RUNTIME_STARTING;
}

/* ---- one pass ---- */

struct wish {
    struct desired d;
    struct desired_service services[8];
    struct blueprint_env env;
    struct blueprint_certificate certificate;
    struct workload_list list;
    char (*digests)[65];
};

static const char ids[8][37] = {"00000000-0000-4000-8000-000000000000", "11111111-1111-4111-8111-111111111111",
                                "22222222-2222-4222-8222-222222222222", "33333333-3333-4333-8333-333333333333",
                                "44444444-4444-4444-8444-444444444444", "55555555-5555-4555-8555-555555555555",
                                "66666666-6666-4666-8666-666666666666", "77777777-7777-4777-8777-777777777777"};
static const char slugs[8][4] = {"a", "b", "c", "d", "e", "f", "g", "h"};

static inline void wish_init(struct wish *v, size_t services)
{
    static struct desired_user user = {"default", "00", NULL};
    *v = (struct wish){.d = {.infrastructure = ids[7], .domain = "x.test", .version = 1, .issued_at = ""}};
    v->certificate = (struct blueprint_certificate){"service", "pem"};
    v->env = (struct blueprint_env){.public_address = "127.0.0.1",
                                    .client_address = "127.0.0.1",
                                    .certificates = &v->certificate,
                                    .n_certificates = 1};
    v->d.services = v->services;
    v->d.n_services = services;
    for (size_t i = 0; i < services; i++)
        v->services[i] = (struct desired_service){.id = ids[i],
                                                  .slug = slugs[i],
                                                  .name = slugs[i],
                                                  .replicas = 1,
                                                  .ordinal = (int)i + 1,
                                                  .memory_bytes = 1 << 30,
                                                  .users = &user,
                                                  .n_users = 1};
}

static inline void wish_render(struct wish *v)
{
    struct err err = ERR_INIT;
    workload_list_init(&v->list);
    if (blueprint_render(&v->d, &v->env, &v->list, &err) < 0)
        fail_msg("%s", err.message);
    v->digests = mem_alloc((v->list.n + 1) * sizeof(*v->digests));
    for (size_t i = 0; i < v->list.n; i++)
        assert_int_equal(runtime_digest(&v->list.items[i], v->digests[i], NULL), 0);
}

static inline void wish_clear(struct wish *v)
{
    workload_list_free(&v->list);
    free(v->digests);
    v->digests = NULL;
}

static inline enum replica_sync sync_of(const char *workload, void *data)
{
    const struct world *w = data;
    if (w->behind && !strcmp(w->behind, workload))
        return REPLICA_BEHIND;
    return w->mute && !strcmp(w->mute, workload) ? REPLICA_UNKNOWN : REPLICA_SYNCED;
}

static inline struct handover_said left_of(const char *workload OH_UNUSED, void *data)
{
    return *((const struct world *)data)->left;
}

static inline void plan(struct world *w, struct wish *v, struct runtime_status_list *observed,
                        struct reconcile_plan *ret)
{
    observe(w, observed);
    struct reconcile_input in = {.desired = &v->d,
                                 .env = &v->env,
                                 .wanted = &v->list,
                                 .digests = (const char(*)[65])v->digests,
                                 .observed = observed,
                                 .front_behind = w->front_behind,
                                 .now_ms = w->now,
                                 .sync_of = w->judged ? sync_of : NULL,
                                 .left_of = w->left ? left_of : NULL,
                                 .data = w};
    reconcile_step(&in, w->memory, ret);
}

static const char *digest_of(const struct wish *v, const struct workload *w)
{
    return v->digests[w - v->list.items];
}

static inline bool ingress_is_current(struct world *w, const struct wish *v)
{
    for (size_t i = 0; i < v->list.n; i++)
        if (!strcmp(v->list.items[i].name, "ingress")) {
            const struct placed *p = find(w, "ingress");
            return p && p->state == RUNTIME_RUNNING && !strcmp(p->digest, v->digests[i]);
        }
    return true;
}

static const struct desired_service *owner(const struct wish *v, const char *name)
{
    for (size_t i = 0; i < v->d.n_services; i++)
        if (strstr(name, v->services[i].id))
            return &v->services[i];
    return NULL;
}

/* What may never be asked, whatever the state. */
static inline void check_action(struct world *w, const struct wish *v, const struct reconcile_action *a)
{
    const struct placed *p = find(w, a->name);
    const struct desired_service *s = owner(v, a->name);
    if (p && !p->labelled)
        assert_true(s && s->state == DESIRED_DELETED);
    if (a->delete_data)
        assert_true(s && s->state == DESIRED_DELETED && s->delete_data);
    if (!a->workload && p && s && !w->shrinks)
        assert_int_equal(s->state, DESIRED_DELETED);
    if (p && strstr(a->name, "clickhouse") && p->state == RUNTIME_RUNNING && (!a->workload || a->workload->stopped) &&
        w->now < RECONCILE_DRAIN_BOUND_MS)
        assert_true(ingress_is_current(w, v));
}

static inline void perform(struct world *w, const struct wish *v, const struct reconcile_action *a)
{
    int r = 0;
    w->actions++;
    check_action(w, v, a);
    if ((w->failing && !strcmp(w->failing, a->name)) || (w->seed && chance(w, 8) == 0)) {
        r = -EIO;
    } else if (a->workload) {
        place(w, a->workload, digest_of(v, a->workload));
    } else {
        struct placed *p = find(w, a->name);
        if (p) {
            p->leaving = true;
            p->state = p->state == RUNTIME_STOPPED ? RUNTIME_STOPPED : RUNTIME_STOPPING;
        }
        const struct desired_service *s = owner(v, a->name);
        if (s && a->delete_data)
            w->purged[s - v->services] = true;
    }
    reconcile_done(w->memory, a, w->now, r, r < 0 ? "the runtime said no" : NULL);
}

/* One pass of the operator; returns the number of actions. */
static inline size_t pass(struct world *w, struct wish *v)
{
    struct runtime_status_list observed;
    autoplan struct reconcile_plan p;
    plan(w, v, &observed, &p);
    for (size_t i = 0; i < p.n_actions; i++)
        perform(w, v, &p.actions[i]);
    runtime_status_list_free(&observed);
    return p.n_actions;
}

static inline struct reconcile_service state_of(struct world *w, struct wish *v, size_t i)
{
    struct runtime_status_list observed;
    autoplan struct reconcile_plan p;
    static char notice[256], error[256];
    plan(w, v, &observed, &p);
    runtime_status_list_free(&observed);
    struct reconcile_service s = p.services[i];
    snprintf(notice, sizeof(notice), "%s", s.notice);
    snprintf(error, sizeof(error), "%s", s.error);
    s.notice = notice, s.error = error;
    return s;
}

static inline void settle(struct world *w, struct wish *v)
{
    for (int i = 0; i < 50; i++) {
        pass(w, v);
        tick(w, 1000);
    }
    assert_int_equal(pass(w, v), 0);
}

static inline void world_init(struct world *w)
{
    *w = (struct world){.memory = reconcile_memory_new()};
}

/* `n` replicas of the first service, of one digest, and nothing else. */
static inline void replicas(struct wish *v, size_t n, char version)
{
    workload_list_init(&v->list);
    v->digests = mem_alloc((n + 1) * sizeof(*v->digests));
    for (size_t i = 0; i < n; i++) {
        struct workload *w = workload_list_add(&v->list);
        struct arena *a = v->list.arena;
        w->name = arena_printf(a, "clickhouse-%s-%zu", ids[0], i);
        w->labels = arena_alloc(a, 2 * sizeof(*w->labels));
        w->labels[0] = (struct workload_env){"role", "clickhouse"};
        w->labels[1] = (struct workload_env){"service", ids[0]};
        w->n_labels = 2;
        memset(v->digests[i], version, 64);
    }
}
