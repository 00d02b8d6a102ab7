/* The runtime's face: its thread, and the calls that the operator makes. */
#include "runtime/kubernetes/engine.h"

#include "base/keys.h"

#include <malloc.h>
#include <signal.h>
#include <sys/eventfd.h>

#define RELEASE_MS 3000    /* for giving the lease back at the end */
#define JOBS_LOADED_MAX 64 /* workloads with rendered objects in memory that are not applied yet */

void kube_changed(struct kube *k)
{
    uint64_t one = 1;
    (void)!write(k->change, &one, sizeof(one));
}

void kube_trouble(struct kube *k, const char *message)
{
    snprintf(k->trouble, sizeof(k->trouble), "%s", message);
}

/* ---- thread ---- */

static int64_t run_due(struct kube *k)
{
    int64_t now = clock_mono_ms(k->clock), due = kube_watches_run(k, now);
    due = MIN(due, kube_leader_run(k, now));
    if (k->lease.leading) {
        due = MIN(due, kube_jobs_run(k, now));
        kube_recorder_run(k, now);
    }
    due = MIN(due, kube_own_run(k, now));
    return MAX(due - now, 0);
}

static void release(struct kube *k)
{
    int64_t until = clock_mono_ms(k->clock) + RELEASE_MS;
    bool leading = true;
    pthread_mutex_lock(&k->lock);
    kube_leader_release(k);
    pthread_mutex_unlock(&k->lock);
    while (leading && clock_mono_ms(k->clock) < until) {
        kube_client_poll(k->client, 100);
        pthread_mutex_lock(&k->lock);
        leading = k->lease.leading;
        pthread_mutex_unlock(&k->lock);
    }
}

/* Objects and answers of a burst leave holes behind that only this gives back. */
static void give_back(bool busy, bool *ret_was_busy)
{
    if (*ret_was_busy && !busy)
        malloc_trim(0);
    *ret_was_busy = busy;
}

static void *thread_main(void *data)
{
    struct kube *k = data;
    bool was_busy = true;
    for (;;) {
        pthread_mutex_lock(&k->lock);
        int64_t wait = run_due(k);
        bool ending = k->ending, busy = k->jobs || !kube_watches_synced(k);
        pthread_mutex_unlock(&k->lock);
        if (ending)
            break;
        give_back(busy, &was_busy);
        kube_client_poll(k->client, (int)MIN(wait, 60000));
    }
    release(k);
    return NULL;
}

/* ---- calls ---- */

static struct kube *of(struct runtime *rt)
{
    return CONTAINER_OF(rt, struct kube, rt);
}

/* What happened to the job of before: 1: one is under way; 0: none; else its error, told once. */
static int previous(struct kube *k, const char *name, bool removal, const char *digest, struct err *err)
{
    for (struct job **at = &k->jobs; *at; at = &(*at)->next) {
        struct job *j = *at;
        if (strcmp(j->name, name))
            continue;
        bool same = j->removal == removal && (removal || !strcmp(j->digest, digest));
        /* What only waits for its pods gives way to something new. */
        bool busy = !j->failed && !j->finished && j->phase != JOB_SETTLE;
        if (j->pending || busy || (!j->failed && same))
            return 1;
        same = same && j->failed;
        int r = same ? err_set(err, j->result, "%s", j->error) : 0;
        *at = j->next;
        kube_job_free(j);
        return r;
    }
    return 0;
}

static int check_leader(const struct kube *k, struct err *err)
{
    if (!kube_watches_synced(k))
        return err_set(err, -EAGAIN, "the cluster has not been read yet%s%s", *k->trouble ? ": " : "", k->trouble);
    if (!k->lease.leading && *k->lease.holder && strcmp(k->lease.holder, k->identity))
        return err_set(err, -EBUSY, "another agent of this infrastructure leads: %s", k->lease.holder);
    return 0;
}

static void push(struct kube *k, struct job *j)
{
    struct job **end = &k->jobs;
    while (*end)
        end = &(*end)->next;
    *end = j;
    kube_client_wake(k->client);
}

/* Enough is under way: what is not taken now is asked for again in the pass that the end of a job brings about. Those
 * that only wait for their pods do not count: they may wait for ever. */
static bool enough(const struct kube *k)
{
    size_t n = 0;
    for (const struct job *j = k->jobs; j; j = j->next)
        n += !j->removal && !j->failed && !j->finished && j->phase != JOB_SETTLE;
    return n >= JOBS_LOADED_MAX;
}

/* An unchanged workload whose objects differ only by the renderer keeps its pods. */
static bool unchanged(const struct kube *k, const struct kube_objects *o, const char *digest)
{
    const struct kube_object *last = &o->items[o->n - 1];
    const struct kube_fact *f = kube_facts_find(&k->facts, last->kind, last->namespace, last->name);
    char masked[65];
    kube_mask(&k->place, last->name, digest, masked);
    return f && !strcmp(f->workload_digest, masked);
}

static int apply(struct runtime *rt, const struct workload *w, const struct workload_list *all, struct err *err)
{
    struct kube *k = of(rt);
    char digest[65];
    int r = runtime_digest(w, digest, err);
    if (r < 0)
        return r;
    pthread_mutex_lock(&k->lock);
    if ((r = check_leader(k, err)) == 0 && (r = previous(k, w->name, false, digest, err)) == 0 && !enough(k)) {
        struct job *j = mem_alloc(sizeof(*j));
        if ((r = kube_render(w, all, &k->place, &j->objects, err)) < 0) {
            free(j);
        } else {
            const char *service = workload_label(w, "service");
            j->k = k;
            j->name = mem_strdup(w->name);
            j->service = mem_strdup(service);
            j->namespace = mem_strdup(kube_namespace(w, &k->place, j->objects.arena));
            j->phase = JOB_APPLY;
            memcpy(j->digest, digest, sizeof(j->digest));
            j->keep_pods = unchanged(k, &j->objects, digest);
            push(k, j);
        }
    }
    pthread_mutex_unlock(&k->lock);
    return MIN(r, 0);
}

/* Names are the blueprint's: clickhouse-SERVICE-REPLICA, keeper-SERVICE-MEMBER, or of the place. */
static char *service_of(const struct kube *k, const char *name)
{
    const char *prefix = strncmp(name, "keeper-", 7) ? "clickhouse-" : "keeper-";
    static const enum kube_kind kinds[] = {KUBE_STATEFUL_SET, KUBE_DEPLOYMENT};
    for (size_t s = 0; s < ARRAY_SIZE(kinds); s++)
        for (size_t i = kube_facts_first(&k->facts, kinds[s], NULL);
             i < k->facts.n && k->facts.items[i]->kind == kinds[s]; i++)
            for (size_t n = 0; !strcmp(k->facts.items[i]->workload, name) && n < k->facts.items[i]->n_labels; n++)
                if (!strcmp(k->facts.items[i]->labels[n].name, "service"))
                    return mem_strdup(k->facts.items[i]->labels[n].value);
    const char *dash = strrchr(name, '-');
    size_t lead = strlen(prefix);
    return !strncmp(name, prefix, lead) && dash > name + lead ? mem_strndup(name + lead, (size_t)(dash - name) - lead)
                                                              : NULL;
}

/* A removal that asks for more than the one under way. */
static void widen(struct kube *k, const char *name, bool delete_data)
{
    struct job *j = kube_job_find(k, name);
    if (j && j->removal && delete_data && !j->delete_data) {
        j->delete_data = true;
        if (j->phase > JOB_DELETE_DATA)
            j->phase = JOB_DELETE_DATA;
    }
}

static int remove_workload(struct runtime *rt, const char *name, bool delete_data, struct err *err)
{
    struct kube *k = of(rt);
    pthread_mutex_lock(&k->lock);
    int r = check_leader(k, err);
    if (r == 0 && (r = previous(k, name, true, NULL, err)) == 1)
        widen(k, name, delete_data);
    if (r == 0) {
        struct job *j = mem_alloc(sizeof(*j));
        j->k = k;
        j->name = mem_strdup(name);
        j->removal = true;
        j->delete_data = delete_data;
        j->phase = JOB_DELETE_RUN;
        j->service = service_of(k, name);
        j->namespace = j->service ? mem_printf("ownhouse-%s", j->service) : mem_strdup(k->place.namespace);
        push(k, j);
    }
    pthread_mutex_unlock(&k->lock);
    return MIN(r, 0);
}

static int observe(struct runtime *rt, struct runtime_status_list *ret, struct err *err)
{
    struct kube *k = of(rt);
    pthread_mutex_lock(&k->lock);
    int r = kube_observe(k, ret, err);
    pthread_mutex_unlock(&k->lock);
    return r;
}

static void note(struct runtime *rt, const char *name, bool warning, const char *reason, const char *sentence)
{
    struct kube *k = of(rt);
    pthread_mutex_lock(&k->lock);
    kube_say(k, name, warning, reason, sentence);
    pthread_mutex_unlock(&k->lock);
    kube_client_wake(k->client);
}

static int change_fd(struct runtime *rt)
{
    return of(rt)->change;
}

static void change_clear(struct runtime *rt)
{
    uint64_t count;
    (void)!read(of(rt)->change, &count, sizeof(count));
}

void runtime_kubernetes_state(struct runtime *rt, struct kube_state *ret)
{
    struct kube *k = of(rt);
    pthread_mutex_lock(&k->lock);
    *ret = (struct kube_state){
        .leading = k->lease.leading,
        .synced = kube_watches_synced(k),
        .facts = k->facts.n,
        .counts = kube_client_counts(k->client),
    };
    const struct kube_fact *front = kube_facts_find(&k->facts, KUBE_SERVICE, k->place.namespace, "ingress"),
                           *inside = kube_facts_find(&k->facts, KUBE_SERVICE, k->place.namespace, KUBE_PRIVATE_FRONT);
    snprintf(ret->leader, sizeof(ret->leader), "%s", k->lease.holder);
    snprintf(ret->balancer, sizeof(ret->balancer), "%s", front ? front->detail : "");
    snprintf(ret->private_balancer, sizeof(ret->private_balancer), "%s", inside ? inside->detail : "");
    snprintf(ret->trouble, sizeof(ret->trouble), "%s", k->trouble);
    pthread_mutex_unlock(&k->lock);
}

/* ---- life ---- */

static void release_all(struct kube *k)
{
    kube_client_free(k->client);
    while (k->jobs) {
        struct job *j = k->jobs;
        k->jobs = j->next;
        kube_job_free(j);
    }
    kube_watches_free(k);
    kube_facts_free(&k->facts);
    kube_events_free(k->events);
    mem_wipe(k->place.key, sizeof(k->place.key));
    arena_free(k->arena);
    close(k->change);
    pthread_mutex_destroy(&k->lock);
    free(k);
}

static void free_runtime(struct runtime *rt)
{
    struct kube *k = of(rt);
    pthread_mutex_lock(&k->lock);
    k->ending = true;
    pthread_mutex_unlock(&k->lock);
    kube_client_wake(k->client);
    pthread_join(k->thread, NULL);
    release_all(k);
}

static const struct workload_env *copy_pairs(struct arena *a, const struct workload_env *from, size_t n)
{
    struct workload_env *to = arena_alloc(a, (n + 1) * sizeof(*to));
    for (size_t i = 0; i < n; i++)
        to[i] = (struct workload_env){arena_strdup(a, from[i].name), arena_strdup(a, from[i].value)};
    return to;
}

static void copy_place(struct kube *k, const struct kube_place *p)
{
    struct arena *a = k->arena;
    k->place = *p;
    k->place.infrastructure = arena_strdup(a, p->infrastructure);
    k->place.namespace = arena_strdup(a, p->namespace);
    k->place.account = arena_strdup(a, p->account);
    k->place.cluster_domain = arena_strdup(a, p->cluster_domain);
    k->place.listen_address = arena_strdup(a, p->listen_address);
    k->place.storage_class = arena_strdup(a, p->storage_class);
    k->place.priority_class = arena_strdup(a, p->priority_class);
    k->place.account_annotations = copy_pairs(a, p->account_annotations, p->n_account_annotations);
    k->place.balancer_annotations = copy_pairs(a, p->balancer_annotations, p->n_balancer_annotations);
    k->place.private_annotations = copy_pairs(a, p->private_annotations, p->n_private_annotations);
    k->place.params = copy_pairs(a, p->params, p->n_params);
}

static char *own_identity(struct arena *a)
{
    unsigned char random[4];
    char host[100] = "agent", hex[9];
    gethostname(host, sizeof(host) - 1);
    random_bytes(random, sizeof(random));
    hex_encode(random, sizeof(random), hex);
    return arena_printf(a, "%s_%s", host, hex);
}

/* Signals belong to the program's own threads. */
static int start_thread(struct kube *k)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int r = pthread_create(&k->thread, NULL, thread_main, k);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -r;
}

static const struct runtime_ops ops = {
    .apply = apply,
    .remove = remove_workload,
    .observe = observe,
    .note = note,
    .change_fd = change_fd,
    .change_clear = change_clear,
    .free = free_runtime,
};

int runtime_kubernetes_new(struct runtime_kubernetes_config *config, struct runtime **ret, struct err *err)
{
    struct kube *k = mem_alloc(sizeof(*k));
    k->rt.ops = &ops;
    k->arena = arena_new();
    k->clock = config->clock;
    copy_place(k, &config->place);
    kube_place_mark(&k->place, k->mark);
    k->identity = config->identity ? arena_strdup(k->arena, config->identity) : own_identity(k->arena);
    k->lease.self = k->identity;
    k->change = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pthread_mutex_init(&k->lock, NULL);
    k->events = kube_events_new();
    k->client = kube_client_new(&config->access, k->clock);
    int r = k->change < 0 ? -errno : start_thread(k);
    if (r < 0) {
        release_all(k);
        return err_set_errno(err, r, "the Kubernetes runtime cannot start");
    }
    *ret = &k->rt;
    return 0;
}
