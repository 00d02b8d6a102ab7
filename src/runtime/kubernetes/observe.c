/* Says what stands in the cluster, in the terms of the runtime. */
#include "runtime/kubernetes/engine.h"

/* What counts of the pods of one StatefulSet or Deployment. */
struct pods {
    int n, ready, failed, deleting, restarts, was_ready, old;
    const struct kube_fact *shown; /* whose address and error are told */
};

/* "Kind/name@digest" of the list: does it stand? */
static bool stands(const struct kube *k, const char *namespace, const char *entry, size_t len)
{
    const char *slash = memchr(entry, '/', len), *at = memchr(entry, '@', len);
    char name[KUBE_NAME_MAX + 1], digest[65];
    if (!slash || !at || at < slash)
        return false;
    size_t kind_len = (size_t)(slash - entry), name_len = (size_t)(at - slash - 1),
           digest_len = len - (size_t)(at + 1 - entry);
    if (name_len >= sizeof(name) || digest_len >= sizeof(digest))
        return false;
    memcpy(name, slash + 1, name_len);
    memcpy(digest, at + 1, digest_len);
    name[name_len] = digest[digest_len] = '\0';
    for (int i = 0; i < KUBE_KIND_COUNT; i++)
        if (!strncmp(kube_kinds[i].kind, entry, kind_len) && !kube_kinds[i].kind[kind_len])
            return kube_fact_stands(
                kube_facts_find(&k->facts, (enum kube_kind)i, kube_kinds[i].namespaced ? namespace : "", name), digest);
    return false;
}

static bool all_stand(const struct kube *k, const struct kube_fact *set)
{
    for (const char *p = set->objects; *p;) {
        size_t len = strcspn(p, " ");
        if (!stands(k, set->namespace, p, len))
            return false;
        p += len + (p[len] == ' ');
    }
    return true;
}

void kube_effective_digest(const struct kube *k, const struct kube_fact *set, char ret[65])
{
    *ret = '\0';
    if (set->deleting || kube_fact_drifted(set) || strcmp(set->renderer, k->mark) || !all_stand(k, set))
        return;
    kube_mask(&k->place, set->name, set->workload_digest, ret);
}

static void count_pod(struct pods *p, const struct kube_fact *set, const struct kube_fact *pod)
{
    p->n++;
    p->ready += pod->pod_ready && !pod->deleting;
    p->failed += pod->failed;
    p->deleting += pod->deleting;
    p->restarts += pod->restarts;
    p->was_ready += pod->was_ready;
    p->old += set->kind == KUBE_STATEFUL_SET && *set->detail && strcmp(pod->revision, set->detail) != 0;
    if (!p->shown || (pod->failed && !p->shown->failed) || (pod->pod_ready && !p->shown->pod_ready && !p->failed))
        p->shown = pod;
}

static struct pods pods_of(const struct kube *k, const struct kube_fact *set)
{
    struct pods p = {0};
    for (size_t i = kube_facts_first(&k->facts, KUBE_POD, set->namespace); i < k->facts.n; i++) {
        const struct kube_fact *pod = k->facts.items[i];
        if (pod->kind != KUBE_POD || strcmp(pod->namespace, set->namespace))
            break;
        if (!strcmp(pod->workload, set->name))
            count_pod(&p, set, pod);
    }
    return p;
}

static enum runtime_state state_of(const struct kube_fact *set, const struct pods *p)
{
    bool settled = set->observed_generation >= set->generation;
    if (set->deleting)
        return RUNTIME_STOPPING;
    if (set->wanted == 0)
        return p->n || !settled ? RUNTIME_STOPPING : RUNTIME_STOPPED;
    if (p->failed)
        return RUNTIME_FAILED;
    if (!settled || p->old || set->updated < set->wanted)
        return RUNTIME_STARTING;
    if (p->ready >= set->wanted)
        return RUNTIME_RUNNING;
    return p->was_ready ? RUNTIME_UNREADY : RUNTIME_STARTING;
}

/* A claim that lost its volume holds the pod for ever. */
static const char *claim_error(const struct kube *k, const struct kube_fact *set)
{
    for (size_t i = kube_facts_first(&k->facts, KUBE_CLAIM, set->namespace); i < k->facts.n; i++) {
        const struct kube_fact *f = k->facts.items[i];
        if (f->kind != KUBE_CLAIM || strcmp(f->namespace, set->namespace))
            break;
        if (!strcmp(f->workload, set->name) && !strcmp(f->detail, "Lost"))
            return "its disk is lost: the volume of the claim does not exist any more";
    }
    return NULL;
}

/* The ready pods beside the one whose address is told. */
static const char *others_of(const struct kube *k, const struct kube_fact *set, const struct kube_fact *shown,
                             struct arena *a)
{
    autobuf struct buf all = BUF_INIT;
    for (size_t i = kube_facts_first(&k->facts, KUBE_POD, set->namespace); i < k->facts.n; i++) {
        const struct kube_fact *pod = k->facts.items[i];
        if (pod->kind != KUBE_POD || strcmp(pod->namespace, set->namespace))
            break;
        if (pod != shown && pod->pod_ready && !pod->deleting && !strcmp(pod->workload, set->name))
            buf_printf(&all, "%s%s", all.len ? " " : "", pod->address);
    }
    return all.len ? arena_strdup(a, all.data) : NULL;
}

static void copy_labels(struct arena *a, const struct kube_fact *f, struct runtime_status *s)
{
    s->labels = arena_alloc(a, (f->n_labels + 1) * sizeof(*s->labels));
    for (size_t i = 0; i < f->n_labels; i++)
        if (strcmp(f->labels[i].name, "workload") && strcmp(f->labels[i].name, "infrastructure"))
            s->labels[s->n_labels++] =
                (struct workload_env){arena_strdup(a, f->labels[i].name), arena_strdup(a, f->labels[i].value)};
}

static struct runtime_status *add(struct runtime_status_list *l, size_t *cap, const char *name)
{
    if (l->n == *cap) {
        size_t wider = *cap ? *cap * 2 : 64;
        struct runtime_status *items = arena_alloc(l->arena, wider * sizeof(*items));
        if (l->n)
            memcpy(items, l->items, l->n * sizeof(*items));
        l->items = items;
        *cap = wider;
    }
    struct runtime_status *s = &l->items[l->n++];
    *s = (struct runtime_status){.name = arena_strdup(l->arena, name), .error = "", .address = ""};
    return s;
}

static void say_set(const struct kube *k, const struct kube_fact *set, struct runtime_status_list *l, size_t *cap)
{
    struct runtime_status *s = add(l, cap, set->name);
    struct pods p = pods_of(k, set);
    const char *lost = claim_error(k, set);
    kube_effective_digest(k, set, s->digest);
    s->state = lost ? RUNTIME_FAILED : state_of(set, &p);
    s->restarts = p.restarts;
    if (p.shown) {
        s->since_ms = p.shown->since_ms;
        s->address = arena_strdup(l->arena, p.shown->address);
        s->others = others_of(k, set, p.shown, l->arena);
        if (s->state != RUNTIME_RUNNING)
            s->error = arena_strdup(l->arena, p.shown->error);
    }
    if (lost)
        s->error = lost;
    copy_labels(l->arena, set, s);
}

static bool said(const struct runtime_status_list *l, const char *name)
{
    for (size_t i = 0; i < l->n; i++)
        if (!strcmp(l->items[i].name, name))
            return true;
    return false;
}

/* Removals under way, and failed ones: not gone before it is seen. */
static void say_removal(const struct job *j, struct runtime_status_list *l, size_t *cap)
{
    if (!j->removal || said(l, j->name))
        return;
    struct runtime_status *s = add(l, cap, j->name);
    s->state = j->failed ? RUNTIME_FAILED : RUNTIME_STOPPING;
    s->error = arena_strdup(l->arena, j->error);
    s->labels = arena_alloc(l->arena, 2 * sizeof(*s->labels));
    s->labels[s->n_labels++] = (struct workload_env){"role", j->service ? "clickhouse" : "ingress"};
    if (j->service)
        s->labels[s->n_labels++] = (struct workload_env){"service", arena_strdup(l->arena, j->service)};
}

int kube_observe(struct kube *k, struct runtime_status_list *ret, struct err *err)
{
    static const enum kube_kind kinds[] = {KUBE_STATEFUL_SET, KUBE_DEPLOYMENT};
    size_t cap = 0;
    if (!kube_watches_synced(k))
        return err_set(err, -EAGAIN, "the cluster has not been read yet%s%s", *k->trouble ? ": " : "", k->trouble);
    *ret = (struct runtime_status_list){.arena = arena_new()};
    for (size_t n = 0; n < ARRAY_SIZE(kinds); n++)
        for (size_t i = kube_facts_first(&k->facts, kinds[n], NULL);
             i < k->facts.n && k->facts.items[i]->kind == kinds[n]; i++)
            if (*k->facts.items[i]->workload)
                say_set(k, k->facts.items[i], ret, &cap);
    for (const struct job *j = k->jobs; j; j = j->next)
        say_removal(j, ret, &cap);
    return 0;
}
