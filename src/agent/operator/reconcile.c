/* Decides the next actions and the state of each service, by the rules in reconcile.h. */
#include "agent/operator/reconcile.h"

#include "agent/operator/memory.h"

const char *const service_state_names[] = {"starting", "running", "degraded", "stopping",
                                           "stopped",  "idle",    "failed",   "gone"};

/* A wanted workload beside what is observed of it. */
struct pair {
    const struct workload *w;
    const char *digest;
    const struct runtime_status *s; /* NULL: not there */
    struct record *record;
    bool chosen;
    enum desired_surge surge; /* not NONE: it is the one more of a service that becomes another size */
};

struct step {
    const struct reconcile_input *in;
    struct reconcile_memory *m;
    struct reconcile_plan *plan;
    struct pair *pairs; /* as in->wanted */
    size_t n;
    const struct runtime_status **observed; /* sorted by name */
    const struct workload **wanted;         /* sorted by name */
    const struct pair *ingress;             /* NULL: none wanted */
    int starting;                           /* engines that start or are being changed now */
    size_t cursor;                          /* pairs of services already counted */
};

void reconcile_plan_free(struct reconcile_plan *p)
{
    arena_free(p->arena);
    *p = (struct reconcile_plan){0};
}

static bool is_engine(const struct workload *w)
{
    const char *role = workload_label(w, BLUEPRINT_ROLE);
    return role && (!strcmp(role, "clickhouse") || !strcmp(role, BLUEPRINT_ROLE_KEEPER));
}

static bool is_keeper(const struct workload *w)
{
    const char *role = workload_label(w, BLUEPRINT_ROLE);
    return role && !strcmp(role, BLUEPRINT_ROLE_KEEPER);
}

static const char *status_label(const struct runtime_status *s, const char *name)
{
    for (size_t i = 0; i < s->n_labels; i++)
        if (!strcmp(s->labels[i].name, name))
            return s->labels[i].value;
    return NULL;
}

static bool in_effect(const struct pair *p)
{
    return p->s && !strcmp(p->s->digest, p->digest);
}

static bool serves(const struct pair *p)
{
    return p->s && p->s->state == RUNTIME_RUNNING;
}

/* The ingress does as it was told, as far as can be known. */
static bool leads(const struct step *st)
{
    return in_effect(st->ingress) && serves(st->ingress) && !st->in->front_behind;
}

/* ---- lookups ---- */

static int compare_status(const void *a, const void *b)
{
    return strcmp((*(const struct runtime_status *const *)a)->name, (*(const struct runtime_status *const *)b)->name);
}

static int compare_workload(const void *a, const void *b)
{
    return strcmp((*(const struct workload *const *)a)->name, (*(const struct workload *const *)b)->name);
}

static const struct runtime_status *find_status(const struct step *st, const char *name)
{
    struct runtime_status key = {.name = name};
    const struct runtime_status *k = &key;
    const struct runtime_status **found =
        bsearch(&k, st->observed, st->in->observed->n, sizeof(*st->observed), compare_status);
    return found ? *found : NULL;
}

static bool is_wanted(const struct step *st, const char *name)
{
    struct workload key = {.name = name};
    const struct workload *k = &key;
    return bsearch(&k, st->wanted, st->n, sizeof(*st->wanted), compare_workload) != NULL;
}

static void prepare(struct step *st)
{
    struct arena *a = st->plan->arena;
    const struct runtime_status_list *o = st->in->observed;
    st->n = st->in->wanted->n;
    st->observed = arena_alloc(a, (o->n + 1) * sizeof(*st->observed));
    st->wanted = arena_alloc(a, (st->n + 1) * sizeof(*st->wanted));
    st->pairs = arena_alloc(a, (st->n + 1) * sizeof(*st->pairs));
    for (size_t i = 0; i < o->n; i++)
        st->observed[i] = &o->items[i];
    for (size_t i = 0; i < st->n; i++)
        st->wanted[i] = &st->in->wanted->items[i];
    qsort(st->observed, o->n, sizeof(*st->observed), compare_status);
    qsort(st->wanted, st->n, sizeof(*st->wanted), compare_workload);
    for (size_t i = 0; i < st->n; i++) {
        struct pair *p = &st->pairs[i];
        p->w = &st->in->wanted->items[i];
        p->digest = st->in->digests[i];
        p->s = find_status(st, p->w->name);
        p->record = memory_record(st->m, p->w->name);
        p->record->asked_ms = -1;
        p->record->purge_asked = false;
        p->record->leaving_since_ms = p->record->mute_since_ms = -1;
        if (is_engine(p->w) && p->s && p->s->state == RUNTIME_STARTING)
            st->starting++;
        if (!strcmp(p->w->name, "ingress"))
            st->ingress = p;
    }
}

/* Rare: so that it costs nothing where there is none. */
static void find_surges(struct step *st)
{
    const struct desired *d = st->in->desired;
    for (size_t i = 0; i < d->n_services; i++) {
        const struct desired_service *s = &d->services[i];
        char name[WORKLOAD_NAME_MAX + 1];
        if (s->surge == DESIRED_SURGE_NONE)
            continue;
        snprintf(name, sizeof(name), "clickhouse-%s-%d", s->id, blueprint_asked(s, st->in->env));
        for (size_t k = 0; k < st->n; k++)
            if (!strcmp(st->pairs[k].w->name, name))
                st->pairs[k].surge = s->surge;
    }
}

/* ---- actions ---- */

static void look_again(struct step *st, int64_t at_ms)
{
    st->plan->again_ms = MIN(st->plan->again_ms, at_ms);
}

/* After a failure one waits; then the runtime is asked again. */
static bool may_ask(struct step *st, const struct record *r)
{
    if (r->failures == 0 || r->not_before_ms <= st->in->now_ms)
        return true;
    look_again(st, r->not_before_ms);
    return false;
}

static void act(struct step *st, const char *name, const struct workload *w, bool delete_data)
{
    st->plan->actions[st->plan->n_actions++] =
        (struct reconcile_action){arena_strdup(st->plan->arena, name), w, delete_data, NULL};
}

/* True when nothing is sent any more to what shall go, or when that was waited for long enough. */
static bool released(struct step *st, struct record *r)
{
    int64_t now = st->in->now_ms;
    if (!st->ingress || leads(st))
        return true;
    if (r->held_since_ms < 0)
        r->held_since_ms = now;
    if (now - r->held_since_ms >= RECONCILE_DRAIN_BOUND_MS)
        return true;
    look_again(st, r->held_since_ms + RECONCILE_DRAIN_BOUND_MS);
    return false;
}

static bool same_service(const struct pair *a, const struct pair *b)
{
    const char *x = workload_label(a->w, BLUEPRINT_SERVICE), *y = workload_label(b->w, BLUEPRINT_SERVICE);
    return x && y && !strcmp(x, y);
}

/* In step with the other replicas of its service, or waited for long enough. */
static bool caught_up(struct step *st, const struct pair *p)
{
    struct record *r = p->record;
    enum replica_sync sync =
        !st->in->sync_of || is_keeper(p->w) || !serves(p) ? REPLICA_SYNCED : st->in->sync_of(p->w->name, st->in->data);
    int64_t bound = sync == REPLICA_UNKNOWN ? RECONCILE_UNKNOWN_BOUND_MS : RECONCILE_SYNC_BOUND_MS;
    if (sync == REPLICA_SYNCED) {
        r->behind_since_ms = -1;
        return true;
    }
    if (r->behind_since_ms < 0)
        r->behind_since_ms = st->in->now_ms;
    if (st->in->now_ms - r->behind_since_ms >= bound)
        return true;
    look_again(st, r->behind_since_ms + bound);
    return false;
}

/* Of one service and one role: replicas among replicas, Keeper's members among themselves. A member of Keeper answers
 * its probe only while it has a leader, so that the others serve means that there is a quorum. */
static bool waits_for(struct step *st, const struct pair *a, const struct pair *b)
{
    return is_keeper(a->w) == is_keeper(b->w) && b->surge != DESIRED_SURGE_COMING &&
           (!serves(b) || b->chosen || !caught_up(st, b));
}

/* What belongs to a service stands side by side in the list. */
static bool others_serve(struct step *st, size_t i)
{
    for (size_t k = i; k-- > 0 && same_service(&st->pairs[i], &st->pairs[k]);)
        if (waits_for(st, &st->pairs[i], &st->pairs[k]))
            return false;
    for (size_t k = i + 1; k < st->n && same_service(&st->pairs[i], &st->pairs[k]); k++)
        if (waits_for(st, &st->pairs[i], &st->pairs[k]))
            return false;
    return true;
}

/* Keeper stops after those who need it. */
static bool engines_stopped(const struct step *st, size_t i)
{
    for (size_t k = i; k-- > 0 && same_service(&st->pairs[i], &st->pairs[k]);)
        if (!is_keeper(st->pairs[k].w) && st->pairs[k].s && st->pairs[k].s->state != RUNTIME_STOPPED)
            return false;
    return true;
}

static bool may_apply(struct step *st, size_t i)
{
    struct pair *p = &st->pairs[i];
    bool idle = !p->s || p->s->state == RUNTIME_STOPPED;
    if (!may_ask(st, p->record))
        return false;
    if (!is_engine(p->w))
        return true;
    if (p->w->stopped && is_keeper(p->w))
        return idle || engines_stopped(st, i);
    if (p->w->stopped)
        return idle || released(st, p->record);
    if (st->starting >= RECONCILE_MAX_STARTING || (serves(p) && !others_serve(st, i)))
        return false;
    st->starting++;
    return true;
}

static void choose_applies(struct step *st)
{
    for (size_t i = 0; i < st->n; i++) {
        struct pair *p = &st->pairs[i];
        if (in_effect(p)) {
            p->record->held_since_ms = -1;
            p->record->failures = 0;
            *p->record->error = '\0';
        } else if (may_apply(st, i)) {
            p->chosen = true;
        }
    }
}

/* Lower order first; within one order as the blueprint gave them. */
static void emit_applies(struct step *st)
{
    int order = INT32_MIN;
    for (;;) {
        int next = INT32_MAX;
        for (size_t i = 0; i < st->n; i++)
            if (st->pairs[i].chosen && st->pairs[i].w->order > order)
                next = MIN(next, st->pairs[i].w->order);
        if (next == INT32_MAX)
            return;
        order = next;
        for (size_t i = 0; i < st->n; i++)
            if (st->pairs[i].chosen && st->pairs[i].w->order == order)
                act(st, st->pairs[i].w->name, st->pairs[i].w, false);
    }
}

static const struct desired_service *service_by_id(const struct desired *d, const char *id)
{
    for (size_t i = 0; id && i < d->n_services; i++)
        if (!strcmp(d->services[i].id, id))
            return &d->services[i];
    return NULL;
}

static void ask_removal(struct step *st, const char *name, bool delete_data, bool there)
{
    struct record *r = memory_record(st->m, name);
    bool asked = r->asked_ms >= 0 && (r->purge_asked || !delete_data);
    if (asked && !there)
        return;
    if (asked && st->in->now_ms - r->asked_ms < RECONCILE_ASK_AGAIN_MS) {
        look_again(st, r->asked_ms + RECONCILE_ASK_AGAIN_MS);
        return;
    }
    if (may_ask(st, r) && (!there || released(st, r)))
        act(st, name, NULL, delete_data);
}

/* How those that stay are, now: waited for or not. */
static void see_others(struct step *st, const char *service, struct handover_seen *seen)
{
    seen->others_in_step = true;
    for (size_t i = 0; i < st->n; i++) {
        const struct pair *p = &st->pairs[i];
        const char *other = workload_label(p->w, BLUEPRINT_SERVICE);
        if (!other || strcmp(other, service) || is_keeper(p->w) || !serves(p) || p->surge == DESIRED_SURGE_COMING)
            continue;
        seen->others_serve = true;
        if (st->in->sync_of && st->in->sync_of(p->w->name, st->in->data) != REPLICA_SYNCED)
            seen->others_in_step = false;
    }
}

static int64_t since(int64_t *mark, bool holds, int64_t now)
{
    *mark = !holds ? -1 : *mark < 0 ? now : *mark;
    return holds ? now - *mark : 0;
}

static void mark_leaving(struct step *st, const struct desired_service *service, const struct runtime_status *s)
{
    const char *dash = strrchr(s->name, '-');
    int k = dash ? atoi(dash + 1) : -1;
    if (k >= 0 && k < BLUEPRINT_MAX_REPLICAS)
        st->plan->services[service - st->in->desired->services].leaving |= 1u << k;
}

/* Whether a replica of a service that runs may go, and what is to be said of it then. Once it was asked to go nothing
 * holds it. */
static bool may_leave(struct step *st, const struct desired_service *service, const struct runtime_status *s,
                      const char **note)
{
    struct record *r = memory_record(st->m, s->name);
    int64_t now = st->in->now_ms;
    struct handover_seen seen = {.asleep = service->asleep,
                                 .can_ask = st->in->left_of != NULL,
                                 .runs = s->state == RUNTIME_RUNNING,
                                 .said = {.taken = REPLICA_UNKNOWN, .alone = -1, .table = ""}};
    if (r->asked_ms >= 0)
        return true;
    if (r->leaving_since_ms < 0 && !released(st, r))
        return false;
    mark_leaving(st, service, s);
    see_others(st, service->id, &seen);
    if (seen.can_ask)
        seen.said = st->in->left_of(s->name, st->in->data);
    seen.waited_ms = since(&r->leaving_since_ms, true, now);
    seen.mute_ms = since(&r->mute_since_ms, !seen.runs || (seen.can_ask && seen.said.taken == REPLICA_UNKNOWN), now);
    enum handover judged = handover_judge(&seen);
    *note = handover_sentence(&seen, judged, st->plan->arena);
    if (judged == HANDOVER_WAIT)
        look_again(st, MIN(r->leaving_since_ms + HANDOVER_BOUND_MS,
                           r->mute_since_ms < 0 ? INT64_MAX : r->mute_since_ms + HANDOVER_MUTE_MS));
    return judged != HANDOVER_WAIT;
}

/* What runs and is wanted by nobody; the front first, so that nothing is sent to what is gone. */
static void emit_removals(struct step *st)
{
    static const char *const roles[] = {"ingress", "activator", "dns", "clickhouse", BLUEPRINT_ROLE_KEEPER};
    for (size_t k = 0; k < ARRAY_SIZE(roles); k++)
        for (size_t i = 0; i < st->in->observed->n; i++) {
            const struct runtime_status *s = st->observed[i];
            const char *role = status_label(s, BLUEPRINT_ROLE);
            if (!role || strcmp(role, roles[k]) || is_wanted(st, s->name))
                continue;
            const struct desired_service *service = service_by_id(st->in->desired, status_label(s, BLUEPRINT_SERVICE));
            const char *note = "";
            size_t before = st->plan->n_actions;
            if (service && service->state == DESIRED_RUNNING && !strcmp(role, "clickhouse") &&
                !may_leave(st, service, s, &note))
                continue;
            ask_removal(st, s->name, service && service->state == DESIRED_DELETED && service->delete_data, true);
            if (st->plan->n_actions > before && *note)
                st->plan->actions[before].note = note;
        }
}

/* Replicas that a service may have had: where there can be several, it may have been larger once. */
static int replicas_ever(const struct step *st, const struct desired_service *s)
{
    return st->in->env->replication_key ? BLUEPRINT_MAX_REPLICAS : s->replicas;
}

/* Everything that a service may have: its replicas, then Keeper's members. */
static int parts_of(const struct step *st, const struct desired_service *s)
{
    return replicas_ever(st, s) + (st->in->env->replication_key ? BLUEPRINT_KEEPERS : 0);
}

static const char *part_name(const struct step *st, const struct desired_service *s, int part)
{
    if (part >= replicas_ever(st, s))
        return blueprint_keeper_name(s, part - replicas_ever(st, s), st->plan->arena);
    return arena_printf(st->plan->arena, "clickhouse-%s-%d", s->id, part);
}

/* By name: a deleted service may have left data behind though nothing of it runs, and what could never be started may
 * be without labels. */
static void emit_purges(struct step *st)
{
    const struct desired *d = st->in->desired;
    for (size_t i = 0; i < d->n_services; i++) {
        const struct desired_service *s = &d->services[i];
        for (int k = 0; s->state == DESIRED_DELETED && k < parts_of(st, s); k++) {
            const char *name = part_name(st, s, k);
            const struct runtime_status *there = find_status(st, name);
            if (there ? !status_label(there, BLUEPRINT_ROLE) : s->delete_data)
                ask_removal(st, name, s->delete_data, there != NULL);
        }
    }
}

/* ---- states ---- */

struct count {
    int all, parts, running, stopped, failed, unready;
    bool whole;    /* see reconcile_service; only one that becomes another size is waited for to be in step */
    bool stand_in; /* one more serves, so that one of those asked for may be away */
    const char *error;
};

/* The blueprint gives replicas in the order of the document's services, so one walk over them serves all. */
static struct count count_replicas(struct step *st, const struct desired_service *s, struct reconcile_service *r)
{
    struct count c = {.whole = true, .error = ""};
    for (; st->cursor < st->n; st->cursor++) {
        const struct pair *p = &st->pairs[st->cursor];
        const char *service = workload_label(p->w, BLUEPRINT_SERVICE);
        if (!service || strcmp(service, s->id))
            break;
        if (p->surge == DESIRED_SURGE_NONE && p->record->failures && !*c.error)
            c.error = p->record->error;
        c.all += !is_keeper(p->w) && p->surge == DESIRED_SURGE_NONE;
        c.parts++;
        c.stopped += p->s && p->s->state == RUNTIME_STOPPED;
        c.whole = c.whole && (is_keeper(p->w) || (in_effect(p) && serves(p)));
        c.whole = c.whole && (s->surge != DESIRED_SURGE_SERVES || caught_up(st, p));
        c.stand_in |= p->surge == DESIRED_SURGE_SERVES && serves(p);
        if (p->surge != DESIRED_SURGE_NONE)
            continue;
        if (p->s && !*c.error && p->s->error)
            c.error = p->s->error;
        if (!p->s || is_keeper(p->w))
            continue;
        r->restarts += p->s->restarts;
        c.running += p->s->state == RUNTIME_RUNNING;
        c.failed += p->s->state == RUNTIME_FAILED;
        c.unready += p->s->state == RUNTIME_UNREADY;
    }
    c.running += c.stand_in && c.running < c.all;
    return c;
}

static enum service_state running_state(struct step *st, const struct count *c, struct record *r, const char **error)
{
    const struct pair *front = st->ingress;
    if (c->running < c->all) {
        if (c->running || c->unready)
            return SERVICE_DEGRADED;
        return c->failed ? SERVICE_FAILED : SERVICE_STARTING;
    }
    if (!front) {
        *error = "there is no ingress yet: nothing leads to the service";
        return SERVICE_STARTING;
    }
    if (leads(st) || (serves(front) && r->was_running)) {
        r->was_running = true;
        return SERVICE_RUNNING;
    }
    if (front->s && front->s->error && *front->s->error)
        *error = arena_printf(st->plan->arena, "the ingress: %s", front->s->error);
    else if (front->record->failures)
        *error = arena_printf(st->plan->arena, "the ingress: %s", front->record->error);
    return r->was_running ? SERVICE_DEGRADED : SERVICE_STARTING;
}

/* Whether anything of a deleted service is left, seen after its data were asked to go. */
static bool is_gone(const struct step *st, const struct desired_service *s)
{
    for (size_t i = 0; i < st->in->observed->n; i++) {
        const char *service = status_label(st->observed[i], BLUEPRINT_SERVICE);
        if (service && !strcmp(service, s->id))
            return false;
    }
    for (int k = 0; k < parts_of(st, s); k++) {
        const char *name = part_name(st, s, k);
        if (find_status(st, name) || (s->delete_data && !memory_record(st->m, name)->purge_asked))
            return false;
    }
    return true;
}

static void removal_error(const struct step *st, const struct desired_service *s, const char **error)
{
    for (int k = 0; k < parts_of(st, s); k++) {
        const struct record *r = memory_record(st->m, part_name(st, s, k));
        if (r->failures)
            *error = arena_strdup(st->plan->arena, r->error);
    }
}

static void say_service(struct step *st, const struct desired_service *s, struct reconcile_service *r)
{
    struct arena *a = st->plan->arena;
    struct record *memory = memory_record(st->m, s->id);
    struct count c = count_replicas(st, s, r);
    r->id = arena_strdup(a, s->id);
    r->replicas = c.all;
    r->ready = c.running;
    r->whole = c.whole;
    r->engine = st->in->env->engine == BLUEPRINT_EMBEDDED ? "embedded" : "server";
    r->notice = s->state == DESIRED_DELETED ? "" : blueprint_notice(s, st->in->env, a);
    r->error = c.error;
    if (s->state == DESIRED_RUNNING && s->asleep)
        r->state = SERVICE_IDLE;
    else if (s->state == DESIRED_RUNNING)
        r->state = running_state(st, &c, memory, &r->error);
    else if (s->state == DESIRED_STOPPED)
        r->state = c.stopped == c.parts ? SERVICE_STOPPED : SERVICE_STOPPING;
    else
        r->state = is_gone(st, s) ? SERVICE_GONE : SERVICE_STOPPING;
    if (s->state == DESIRED_DELETED)
        removal_error(st, s, &r->error);
    if (s->state != DESIRED_RUNNING || s->asleep)
        memory->was_running = false;
    r->error = arena_strdup(a, r->error);
}

void reconcile_step(const struct reconcile_input *in, struct reconcile_memory *m, struct reconcile_plan *ret)
{
    *ret = (struct reconcile_plan){.arena = arena_new(), .again_ms = INT64_MAX};
    struct step st = {.in = in, .m = m, .plan = ret};
    size_t purges = 0;
    for (size_t i = 0; i < in->desired->n_services; i++)
        purges += (size_t)parts_of(&st, &in->desired->services[i]);
    ret->actions = arena_alloc(ret->arena, (in->wanted->n + in->observed->n + purges + 1) * sizeof(*ret->actions));
    ret->services = arena_alloc(ret->arena, (in->desired->n_services + 1) * sizeof(*ret->services));
    memory_begin(m);
    prepare(&st);
    find_surges(&st);
    ret->leads = !st.ingress || leads(&st);
    for (size_t i = 0; i < in->desired->n_services; i++)
        say_service(&st, &in->desired->services[i], &ret->services[ret->n_services++]);
    choose_applies(&st);
    emit_applies(&st);
    emit_removals(&st);
    emit_purges(&st);
    memory_end(m);
}

void reconcile_done(struct reconcile_memory *m, const struct reconcile_action *action, int64_t now_ms, int result,
                    const char *message)
{
    struct record *r = memory_record(m, action->name);
    if (result < 0) {
        int64_t wait = RECONCILE_RETRY_FIRST_MS;
        for (int i = 0; i < r->failures && wait < RECONCILE_RETRY_MAX_MS; i++)
            wait *= 2;
        r->failures++;
        r->not_before_ms = now_ms + MIN(wait, RECONCILE_RETRY_MAX_MS);
        snprintf(r->error, sizeof(r->error), "%s", message && *message ? message : strerror(-result));
        return;
    }
    r->failures = 0;
    *r->error = '\0';
    if (!action->workload) {
        r->asked_ms = now_ms;
        r->purge_asked = action->delete_data;
    }
}
