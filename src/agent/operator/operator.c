/* The operator's loop: takes documents, runs passes when something changed or time has come, reports what it found. */
#include "agent/operator/operator.h"

#include "agent/operator/asks.h"
#include "agent/operator/backups.h"
#include "agent/operator/certs.h"
#include "agent/operator/joined.h"
#include "agent/operator/kept.h"
#include "agent/operator/named.h"
#include "agent/operator/notes.h"
#include "agent/operator/observe.h"
#include "agent/operator/orders.h"
#include "agent/operator/reconcile.h"
#include "agent/operator/rendering.h"
#include "agent/operator/replica_watch.h"
#include "agent/operator/restarts.h"
#include "agent/operator/scrape.h"
#include "agent/operator/sleepers.h"
#include "agent/operator/surges.h"
#include "agent/operator/taken_up.h"
#include "agent/operator/upgrades.h"
#include "base/fs.h"
#include "base/mem.h"
#include "blueprint/schedule.h"

#include <sys/stat.h>

#define SCRAPE_MS 20000      /* between rounds; reports carry what the last one found */
#define REPORT_MS 25000      /* the link promises one at least every 30 s */
#define POLL_MS 2000         /* without a change descriptor */
#define LOOK_ANYWAY_MS 10000 /* with one: a lost wake-up costs this much */
#define SOON_MS 20           /* several changes make one pass */
#define RETRY_MS 5000        /* after an error that is not a workload's own */
#define MAX_NAMES 32
#define VERSION_PAUSE_MS 30000 /* between questions to an engine that does not say its version */

struct operator_loop {
    struct operator_config c;
    struct arena *arena; /* texts of c */
    struct kept_rules rules;
    char *kept_path;
    struct kept kept;
    struct certs *certs;
    struct asks *asks;
    struct scrape *scrape;
    struct reconcile_memory *memory;
    struct notes *notes;
    struct restarts restarts;
    struct upgrades upgrades;
    struct orders orders;
    struct joined joined;
    struct surges surges;
    struct named *named;
    struct backups *backups;        /* NULL: none here */
    struct replica_watch *replicas; /* NULL: nobody is asked */
    bool changing;                  /* the last pass acted, or holds something back */
    struct sleepers *sleepers;

    struct blueprint_certificate certificates[2];
    struct workload_list wanted; /* slim.h */
    char (*digests)[65];
    bool rendered; /* wanted is of kept and the certificate */

    uv_timer_t timer;
    uv_poll_t change;
    bool has_change, started;
    int64_t due_ms; /* monotonic: when the timer fires */
    int handles;    /* to be closed before we are gone */
    void (*done)(void *data);
    void *done_data;

    struct taken_up taken_up;

    char *observed; /* the last message as text: a tenth of the memory of its tree */
    char plain[65]; /* digest of it without metrics, whose change alone is no news */
    int64_t reported_ms;
    bool passed;                   /* the last one, without an error */
    int64_t pass_us;               /* processor time of the last pass */
    char trouble[ERR_MESSAGE_MAX]; /* last one told, so that it is told once */
};

static void event(struct operator_loop *o, bool error, const char *message)
{
    if (o->c.on_event)
        o->c.on_event(error, message, o->c.data);
}

/* Tells a lasting trouble once, and again only after it was over. */
static void trouble(struct operator_loop *o, const char *message)
{
    if (!strcmp(o->trouble, message))
        return;
    snprintf(o->trouble, sizeof(o->trouble), "%s", message);
    if (*message)
        event(o, true, message);
}

/* ---- waking ---- */

static void pass(struct operator_loop *o);

static void on_timer(uv_timer_t *t)
{
    pass(t->data);
}

static void wake_at(struct operator_loop *o, int64_t at_ms)
{
    int64_t now = clock_mono_ms(o->c.clock);
    if (!o->started || (uv_is_active((uv_handle_t *)&o->timer) && o->due_ms <= at_ms))
        return;
    o->due_ms = at_ms;
    uv_timer_start(&o->timer, on_timer, (uint64_t)MAX(at_ms - now, 0), 0);
}

void operator_nudge(struct operator_loop *o)
{
    wake_at(o, clock_mono_ms(o->c.clock) + SOON_MS);
}

static void on_change(uv_poll_t *p, int status, int events OH_UNUSED)
{
    struct operator_loop *o = p->data;
    if (status < 0) { /* the descriptor is of no use any more: by timer from now on */
        uv_poll_stop(p);
        return;
    }
    o->c.runtime->ops->change_clear(o->c.runtime);
    operator_nudge(o);
}

static void on_answer(void *data)
{
    operator_nudge(data);
}

static void on_part_event(bool error, const char *message, void *data)
{
    event(data, error, message);
}

/* ---- one pass ---- */

static void add_name(const char **list, size_t *n, const char *name)
{
    for (size_t i = 0; i < *n; i++)
        if (!strcmp(list[i], name))
            return;
    if (name && *n < MAX_NAMES - 1)
        list[(*n)++] = name;
}

/* Names that are written into a zone, and the certificate that somebody else issued for them. */
static void bring_names(struct operator_loop *o)
{
    struct err err = ERR_INIT;
    const char *targets = o->c.ingress_targets ? o->c.ingress_targets(o->c.data) : "";
    if (named_want(o->named, o->c.infrastructure, o->kept.desired, targets, &err) < 0)
        event(o, true, err.message);
    if (!named_look(o->named, o->kept.desired->domain, clock_wall_ms(o->c.clock)))
        return;
    const char *pem = named_pem(o->named);
    o->rendered = false;
    event(o, false, pem ? "the ingress shows a new certificate by ACME" : "the certificate by ACME has expired");
    if (pem && o->c.on_certificate)
        o->c.on_certificate(pem, o->c.data);
}

static int bring_certificate(struct operator_loop *o, struct err *err)
{
    const char *dns[MAX_NAMES] = {0}, *ip[MAX_NAMES] = {0};
    autoarena struct arena *a = arena_new();
    size_t n_dns = 0, n_ip = 0;
    bool changed = false;
    add_name(dns, &n_dns, arena_printf(a, "*.%s", o->kept.desired->domain));
    add_name(dns, &n_dns, o->kept.desired->domain);
    add_name(dns, &n_dns, "localhost");
    for (size_t i = 0; o->c.extra_dns && o->c.extra_dns[i]; i++)
        add_name(dns, &n_dns, o->c.extra_dns[i]);
    add_name(ip, &n_ip, "127.0.0.1");
    add_name(ip, &n_ip, "::1");
    if (o->c.env.client_address)
        add_name(ip, &n_ip, o->c.env.client_address);
    for (size_t i = 0; o->c.extra_ip && o->c.extra_ip[i]; i++)
        add_name(ip, &n_ip, o->c.extra_ip[i]);
    int r = certs_update(o->certs, dns, ip, clock_wall_ms(o->c.clock), &changed, err);
    if (changed) {
        o->rendered = false;
        event(o, false, "the services have a new certificate");
        if (o->c.on_certificate)
            o->c.on_certificate(certs_bundle(o->certs), o->c.data);
    }
    return r;
}

static void show_certificates(struct operator_loop *o)
{
    const char *pem[] = {named_pem(o->named), certs_bundle(o->certs)};
    static const char *const names[] = {"acme", "service"};
    o->c.env.certificates = o->certificates;
    o->c.env.n_certificates = 0;
    /* The first is shown where both name the host; the own one goes on for addresses and local names. */
    for (size_t i = 0; i < ARRAY_SIZE(pem); i++)
        if (pem[i])
            o->certificates[o->c.env.n_certificates++] = (struct blueprint_certificate){names[i], pem[i]};
}

static struct rendering rendering_of(struct operator_loop *o)
{
    show_certificates(o);
    return (struct rendering){.desired = o->kept.desired,
                              .env = &o->c.env,
                              .restarts = &o->restarts,
                              .upgrades = &o->upgrades,
                              .taken_up = &o->taken_up,
                              .wall_ms = clock_wall_ms(o->c.clock)};
}

static int render(struct operator_loop *o, struct err *err)
{
    struct rendering g = rendering_of(o);
    struct workload_list slim;
    char(*digests)[65] = NULL;
    int r = rendering_all(&g, &slim, &digests, err);
    if (r < 0)
        return r;
    notes_render(o->notes, &o->wanted, (const char(*)[65])o->digests, &slim, (const char(*)[65])digests);
    if (o->wanted.arena)
        workload_list_free(&o->wanted);
    free(o->digests);
    o->wanted = slim;
    o->digests = digests;
    o->rendered = true;
    return 0;
}

static const struct workload *in_list(const struct workload_list *l, const struct workload *slim, const char *wanted)
{
    char digest[65] = "";
    for (size_t i = 0; i < l->n; i++) {
        struct workload *w = &l->items[i];
        if (strcmp(w->name, slim->name))
            continue;
        w->image = slim->image; /* the one in force */
        return runtime_digest(w, digest, NULL) == 0 && !strcmp(digest, wanted) ? w : NULL;
    }
    return NULL;
}

/* What is wanted, with its files; NULL when it is not as remembered any more (its time has come): the next pass renders
 * anew. *fresh is the caller's to free. */
static const struct workload *whole_of(struct operator_loop *o, const struct workload *slim,
                                       struct workload_list *fresh)
{
    const char *digest = o->digests[slim - o->wanted.items];
    struct rendering g = rendering_of(o);
    return rendering_for(&g, slim, fresh) == 0 ? in_list(fresh, slim, digest) : NULL;
}

static const struct runtime_status *status_of(const struct runtime_status_list *l, const char *name)
{
    for (size_t i = 0; i < l->n; i++)
        if (!strcmp(l->items[i].name, name))
            return &l->items[i];
    return NULL;
}

static void act(struct operator_loop *o, const struct reconcile_action *a, const struct runtime_status *status)
{
    struct runtime *rt = o->c.runtime;
    struct err err = ERR_INIT;
    autoworkloads struct workload_list fresh = {0};
    if (a->workload && orders_holds(&o->orders, a->name))
        return;
    const struct workload *w = a->workload ? whole_of(o, a->workload, &fresh) : NULL;
    if (a->workload && !w) {
        o->rendered = false;
        operator_nudge(o);
        return;
    }
    int r = a->workload ? rt->ops->apply(rt, w, &o->wanted, &err) : rt->ops->remove(rt, a->name, a->delete_data, &err);
    reconcile_done(o->memory, a, clock_mono_ms(o->c.clock), r, err.message);
    notes_action(o->notes, rt, a, status, r, err.message);
    if (r == 0 && a->note) {
        autofree char *text = mem_printf("removal of %s: %s", a->name, a->note);
        event(o, true, text);
    }
    if (r < 0) {
        autofree char *text = mem_printf("%s of %s: %s", a->workload ? "placing" : "removal", a->name, err.message);
        event(o, true, text);
    }
}

/* Acts by the rules; *ret_acted: the runtime was asked for something. */
static void reconcile(struct operator_loop *o, const struct runtime_status_list *observed, struct reconcile_plan *ret)
{
    struct reconcile_input in = {
        .desired = o->kept.desired,
        .env = &o->c.env,
        .wanted = &o->wanted,
        .digests = (const char(*)[65])o->digests,
        .observed = observed,
        .front_behind = taken_up_behind(&o->taken_up),
        .now_ms = clock_mono_ms(o->c.clock),
        .sync_of = o->replicas ? replica_watch_sync : NULL,
        .left_of = o->replicas ? replica_watch_left : NULL,
        .data = o->replicas,
    };
    reconcile_step(&in, o->memory, ret);
    for (size_t i = 0; o->replicas && i < ret->n_services; i++)
        replica_watch_leaving(o->replicas, ret->services[i].id, ret->services[i].leaving);
    for (size_t i = 0; i < ret->n_actions; i++)
        act(o, &ret->actions[i], status_of(observed, ret->actions[i].name));
}

static void ask_version(struct operator_loop *o, const struct runtime_status *s)
{
    char start[32];
    snprintf(start, sizeof(start), "%lld.%d", (long long)s->since_ms, s->restarts);
    asks_want(o->asks, &(struct question){.name = s->name,
                                          .address = s->address,
                                          .port = BLUEPRINT_HTTP_PORT,
                                          .path = "/?query=SELECT%20version()",
                                          .user = "ownhouse_operator", /* no password: it is refused */
                                          .key = start,
                                          .parse = asks_parse_version,
                                          .pause_ms = VERSION_PAUSE_MS});
}

/* The ingress counts as told when the runtime says that its files are in place. */
static bool is_told(const struct operator_loop *o, const struct runtime_status *s)
{
    for (size_t i = 0; o->rendered && i < o->wanted.n; i++)
        if (!strcmp(o->wanted.items[i].name, s->name))
            return !strcmp(o->digests[i], s->digest);
    return false;
}

static void watch_ingress(struct operator_loop *o, const struct runtime_status *s, int64_t *again_ms)
{
    if (!taken_up_watch(&o->taken_up, o->asks, s, clock_mono_ms(o->c.clock), o->c.files_take_ms, again_ms))
        return;
    event(o, true, "the ingress has not taken up its new files: it is told again");
    o->c.env.ingress_nudge++;
    o->rendered = false;
}

static void ask_workloads(struct operator_loop *o, const struct runtime_status_list *observed, int64_t *again_ms)
{
    for (size_t i = 0; i < observed->n; i++) {
        const struct runtime_status *s = &observed->items[i];
        if (s->state != RUNTIME_RUNNING || !s->address || !*s->address)
            continue;
        if (!strncmp(s->name, "clickhouse-", 11))
            ask_version(o, s);
        else if (!strcmp(s->name, "ingress") && is_told(o, s))
            watch_ingress(o, s, again_ms);
    }
}

static const char *version_of(const char *workload, void *data)
{
    struct operator_loop *o = data;
    return asks_get(o->asks, workload);
}

static void scrape_engines(struct operator_loop *o, const struct runtime_status_list *observed)
{
    autofree struct scrape_target *targets = mem_alloc((observed->n + 1) * sizeof(*targets));
    size_t n = 0;
    for (size_t i = 0; i < observed->n; i++) {
        const struct runtime_status *s = &observed->items[i];
        if (s->state == RUNTIME_RUNNING && s->address && *s->address && !strncmp(s->name, "clickhouse-", 11))
            targets[n++] = (struct scrape_target){s->name, s->address, BLUEPRINT_METRICS_PORT};
    }
    scrape_want(o->scrape, targets, n);
}

static json_t *metrics_of(const char *workload, void *data)
{
    struct operator_loop *o = data;
    return scrape_get(o->scrape, workload);
}

static void on_first_metrics(void *data)
{
    struct operator_loop *o = data;
    o->reported_ms = clock_mono_ms(o->c.clock) - REPORT_MS;
    operator_nudge(o);
}

static void report(struct operator_loop *o, const struct runtime_status_list *observed,
                   const struct reconcile_plan *plan)
{
    autojson json_t *backups = o->backups ? backups_told(o->backups) : NULL, *dns = named_dns(o->named),
                    *certificate = certs_bundle(o->certs)
                                       ? named_certificate(o->named, certs_from_ms(o->certs), certs_until_ms(o->certs),
                                                           clock_wall_ms(o->c.clock))
                                       : NULL;
    struct observe_input in = {
        .desired_version = o->kept.version,
        .program_version = o->c.program_version,
        .isolation = o->c.isolation,
        .ca_pem = certs_ca_pem(o->certs),
        .plan = plan,
        .observed = observed,
        .backups = backups,
        .dns = dns,
        .certificate = certificate,
        .release = o->c.release ? o->c.release(o->c.data) : NULL,
        .version_of = version_of,
        .data = o,
    };
    int64_t now = clock_mono_ms(o->c.clock);
    char digest[65];
    free(TAKE_PTR(o->observed));
    o->observed = observe_text(&in);
    sha256_hex(o->observed, strlen(o->observed), digest);
    bool same = !strcmp(digest, o->plain) && now - o->reported_ms < REPORT_MS;
    memcpy(o->plain, digest, sizeof(digest));
    if (scrape_any(o->scrape)) {
        in.metrics_of = metrics_of;
        free(TAKE_PTR(o->observed));
        o->observed = observe_text(&in);
    }
    if (same)
        return;
    o->reported_ms = now;
    autojson json_t *message = o->c.on_observed ? operator_observed(o) : NULL;
    if (message)
        o->c.on_observed(message, o->c.data);
}

/* What runs is not yet what was asked for while a service that begins with a backup lacks its data. */
static void say_restores(struct operator_loop *o, struct reconcile_plan *plan)
{
    for (size_t i = 0; o->backups && i < plan->n_services; i++) {
        struct reconcile_service *s = &plan->services[i];
        const char *sentence = "";
        int waits = backups_restoring(o->backups, &o->kept.desired->services[i], &sentence);
        if (waits == 0 || s->state != SERVICE_RUNNING)
            continue;
        s->state = waits > 0 ? SERVICE_STARTING : SERVICE_FAILED;
        if (waits > 0)
            s->notice = arena_strdup(plan->arena, sentence);
        else
            s->error = arena_strdup(plan->arena, sentence);
    }
}

/* Certificate and workloads for the kept document. A new certificate that cannot be had leaves the old one in use; but
 * without any, the ingress would be taken for unwanted, so nothing is done then. */
static int prepare(struct operator_loop *o, struct err *err)
{
    bring_names(o);
    if (schedule_apply(o->kept.desired, clock_wall_ms(o->c.clock)))
        o->rendered = false;
    int r = bring_certificate(o, err);
    if (r < 0 && !certs_bundle(o->certs)) {
        o->rendered = false;
        return r;
    }
    int64_t wall = clock_wall_ms(o->c.clock);
    if (upgrades_due(&o->upgrades, wall) || surges_due(&o->surges, wall))
        o->rendered = false;
    int marked = 0;
    if (!o->rendered) {
        orders_mark(&o->orders, o->kept.desired);
        joined_mark(&o->joined, o->kept.desired);
        marked = surges_mark(&o->surges, o->kept.desired, &o->c.env, o->replicas != NULL, wall, err);
    }
    int rendered = o->rendered ? 0 : render(o, err);
    return MIN(MIN(r, marked), rendered);
}

static void ask_replicas(struct operator_loop *o, const struct runtime_status_list *observed, int64_t *again_ms)
{
    if (o->replicas)
        *again_ms = MIN(*again_ms, replica_watch_step(o->replicas, o->kept.desired, &o->c.env, observed, o->changing));
}

static bool backs_up(const char *service, void *data)
{
    struct operator_loop *o = data;
    return o->backups && backups_busy(o->backups, service);
}

/* ---- operations under way ---- */

static const struct replica_view *view_of(const char *service, void *data)
{
    struct operator_loop *o = data;
    return o->replicas ? replica_watch_view(o->replicas, service) : NULL;
}

static void reattach(const char *service, unsigned replicas, void *data)
{
    struct operator_loop *o = data;
    if (o->replicas)
        replica_watch_reattach(o->replicas, service, replicas);
}

static int64_t queries_of(const char *workload, void *data)
{
    const json_t *n = json_object_get(metrics_of(workload, data), "ClickHouseMetrics_Query");
    return n ? json_integer_value(n) : -1;
}

static struct order_place order_place(struct operator_loop *o, const struct runtime_status_list *observed)
{
    const struct runtime_status *front = observed ? status_of(observed, "ingress") : NULL;
    return (struct order_place){
        .desired = o->kept.desired,
        .env = &o->c.env,
        .wanted = &o->wanted,
        .digests = (const char(*)[65])o->digests,
        .observed = observed,
        .ingress_told =
            front && is_told(o, front) && !strcmp(asks_get(o->asks, "ingress"), blueprint_generation(&o->wanted)),
        .locked = o->c.locked && o->c.locked(o->c.data),
        .runtime = o->c.runtime,
        .upgrades = &o->upgrades,
        .backups = o->backups,
        .now_ms = clock_mono_ms(o->c.clock),
        .view = view_of,
        .reattach = reattach,
        .queries = queries_of,
        .data = o,
    };
}

static void carry_on(struct operator_loop *o, const struct runtime_status_list *observed)
{
    struct order_place p = order_place(o, observed);
    struct err err = ERR_INIT;
    if (orders_step(&o->orders, &p))
        o->rendered = false;
    if (o->orders.dirty)
        operator_nudge(o);
    if (orders_keep(&o->orders, &err) < 0)
        event(o, true, err.message);
}

int operator_order(struct operator_loop *o, const char *request, const char *operation, const json_t *arguments,
                   struct err *err)
{
    struct order_place p = order_place(o, NULL);
    int r = orders_begin(&o->orders, &p, request, operation, arguments, err);
    o->rendered = o->rendered && r < 0;
    operator_nudge(o);
    return r;
}

struct orders *operator_orders(struct operator_loop *o)
{
    return &o->orders;
}

/* Sizes that are being changed: what is next is rendered in the next pass. */
static int look_at_sizes(struct operator_loop *o, const struct runtime_status_list *observed,
                         struct reconcile_plan *plan, struct err *err)
{
    bool changed = false;
    int r = surges_look(&o->surges,
                        &(struct surges_place){.desired = o->kept.desired,
                                               .env = &o->c.env,
                                               .wanted = &o->wanted,
                                               .digests = (const char(*)[65])o->digests,
                                               .observed = observed,
                                               .plan = plan,
                                               .view = view_of,
                                               .on_event = on_part_event,
                                               .data = o,
                                               .wall_ms = clock_wall_ms(o->c.clock),
                                               .now_ms = clock_mono_ms(o->c.clock)},
                        &changed, err);
    if (changed) {
        o->rendered = false;
        operator_nudge(o);
    }
    return r;
}

static int look(struct operator_loop *o, int64_t *again_ms, struct err *err)
{
    struct runtime_status_list observed = {0};
    struct reconcile_plan plan = {0};
    int first = o->kept.desired ? prepare(o, err) : 0;
    int r = o->c.runtime->ops->observe(o->c.runtime, &observed, err);
    if (r < 0)
        return r;
    if (o->kept.desired) {
        bool joins = false;
        int noted = joined_look(&o->joined, o->kept.desired, &observed, &joins, err);
        if (sleepers_step(o->sleepers, o->kept.desired, &observed, again_ms) || joins) {
            o->rendered = false;
            first = prepare(o, err);
        }
        first = MIN(first, noted);
    }
    bool known = o->kept.desired && o->rendered;
    ask_workloads(o, &observed, again_ms); /* first: what is decided next goes by what the ingress said */
    if (known) {
        notes_observed(o->notes, o->c.runtime, &observed);
        ask_replicas(o, &observed, again_ms);
        reconcile(o, &observed, &plan);
        o->changing = plan.n_actions > 0 || plan.again_ms != INT64_MAX;
        *again_ms = MIN(*again_ms, plan.again_ms);
        if (o->backups)
            backups_step(o->backups, o->kept.desired, &observed, again_ms);
        say_restores(o, &plan);
        first = MIN(first, look_at_sizes(o, &observed, &plan, err));
        carry_on(o, &observed);
    }
    scrape_engines(o, &observed);
    report(o, &observed, known ? &plan : NULL);
    reconcile_plan_free(&plan);
    runtime_status_list_free(&observed);
    return first;
}

static int64_t own_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void pass(struct operator_loop *o)
{
    struct err err = ERR_INIT;
    int64_t began_us = own_us();
    int64_t now = clock_mono_ms(o->c.clock);
    int64_t again = now + (o->has_change ? LOOK_ANYWAY_MS : POLL_MS);
    int r = look(o, &again, &err);
    trouble(o, r < 0 ? err.message : "");
    o->passed = r >= 0;
    if (r < 0)
        again = MIN(again, now + RETRY_MS);
    again = MIN(again, o->reported_ms + REPORT_MS);
    wake_at(o, MAX(again, now + SOON_MS));
    o->pass_us = own_us() - began_us;
}

/* ---- documents ---- */

int operator_offer_desired(struct operator_loop *o, int64_t version, const char *document, size_t len,
                           const char *signature_hex, struct err *err)
{
    struct kept fresh = {0};
    int r = kept_check(&o->rules, &o->kept, version, document, len, signature_hex, &fresh, err);
    if (r != 0)
        return MIN(r, 0);
    r = o->c.may_accept ? o->c.may_accept(version, document, len, o->c.data, err) : 0;
    if (r == 0)
        r = kept_save(o->kept_path, version, document, len, signature_hex, err);
    if (r < 0) {
        kept_clear(&fresh);
        return r;
    }
    kept_clear(&o->kept);
    o->kept = fresh;
    o->rendered = false;
    operator_nudge(o);
    return 0;
}

int operator_restart(struct operator_loop *o, const char *service, struct err *err)
{
    const struct desired *d = o->kept.desired;
    for (size_t i = 0; d && i < d->n_services; i++) {
        if (strcmp(d->services[i].id, service) || d->services[i].state != DESIRED_RUNNING)
            continue;
        int r = restarts_add(&o->restarts, service, err);
        o->rendered = false;
        operator_nudge(o);
        return r;
    }
    return err_set(err, -ENOENT, "there is no running service %s", service);
}

int64_t operator_desired_version(const struct operator_loop *o)
{
    return o->kept.version;
}

json_t *operator_observed(const struct operator_loop *o)
{
    json_t *v = NULL;
    size_t len = o->observed ? strlen(o->observed) : 0;
    return len && js_parse(o->observed, len, len, &v, NULL) == 0 ? v : NULL;
}

bool operator_passed(const struct operator_loop *o)
{
    return o->passed;
}

int64_t operator_pass_us(const struct operator_loop *o)
{
    return o->pass_us;
}

/* ---- life ---- */

static const char *const *copy_list(struct arena *a, const char *const *list)
{
    size_t n = 0;
    while (list && list[n])
        n++;
    const char **copy = arena_alloc(a, (n + 1) * sizeof(*copy));
    for (size_t i = 0; i < n; i++)
        copy[i] = arena_strdup(a, list[i]);
    return copy;
}

static void copy_config(struct operator_loop *o, const struct operator_config *c)
{
    struct arena *a = o->arena;
    o->c = *c;
    o->c.state_dir = arena_strdup(a, c->state_dir);
    o->c.infrastructure = arena_strdup(a, c->infrastructure);
    o->c.isolation = arena_strdup(a, c->isolation);
    o->c.program_version = arena_strdup(a, c->program_version);
    o->c.wanted_dir = o->c.names_dir = NULL;
    o->c.extra_dns = copy_list(a, c->extra_dns);
    o->c.extra_ip = copy_list(a, c->extra_ip);
    struct blueprint_env *e = &o->c.env;
    e->public_address = arena_strdup(a, e->public_address);
    e->client_address = arena_strdup(a, e->client_address);
    e->bucket = arena_strdup(a, e->bucket);
    e->log_level = arena_strdup(a, e->log_level);
    e->clickhouse_image = arena_strdup(a, e->clickhouse_image);
    e->haproxy_image = arena_strdup(a, e->haproxy_image);
    e->knot_image = arena_strdup(a, e->knot_image);
    const char **from = arena_alloc(a, (e->n_proxy_from + 1) * sizeof(*from));
    for (size_t i = 0; i < e->n_proxy_from; i++)
        from[i] = arena_strdup(a, e->proxy_from[i]);
    e->proxy_from = from;
    o->rules.infrastructure = o->c.infrastructure;
    memcpy(o->rules.desired_key, c->desired_key, sizeof(o->rules.desired_key));
}

static void release(struct operator_loop *o)
{
    if (o->wanted.arena)
        workload_list_free(&o->wanted);
    free(o->digests);
    kept_clear(&o->kept);
    certs_free(o->certs);
    named_free(o->named);
    reconcile_memory_free(o->memory);
    notes_free(o->notes);
    restarts_free(&o->restarts);
    upgrades_free(&o->upgrades);
    orders_free(&o->orders);
    joined_free(&o->joined);
    surges_free(&o->surges);
    free(o->observed);
    free(o->kept_path);
    arena_free(o->arena);
    free(o);
}

/* What is kept is believed only if it still verifies; services then go on without a control plane. */
static void take_kept(struct operator_loop *o)
{
    struct err err = ERR_INIT;
    if (kept_load(o->kept_path, &o->rules, &o->kept, &err) == 0 || !*err.message)
        return;
    autofree char *text = mem_printf("the kept desired document is not used, what runs is left alone: %s", err.message);
    event(o, true, text);
}

/* Without its records no backup is made or taken away; services go on. */
static int open_backups(struct operator_loop *o, const struct operator_config *c, struct err *err)
{
    struct backups_config config = {.loop = c->loop,
                                    .clock = c->clock,
                                    .place = c->backup_place,
                                    .password = c->backup_password,
                                    .state_dir = c->state_dir,
                                    .changed = on_answer,
                                    .on_event = on_part_event,
                                    .data = o};
    o->c.backup_place = (struct backup_place){0};
    o->c.backup_password = NULL;
    return backups_new(&config, &o->backups, err);
}

int operator_new(const struct operator_config *config, struct operator_loop **ret, struct err *err)
{
    int r = fs_mkdirs(config->state_dir, 0700, err);
    if (r < 0)
        return r;
    struct operator_loop *o = mem_alloc(sizeof(*o));
    o->arena = arena_new();
    copy_config(o, config);
    o->kept_path = mem_printf("%s/desired.json", config->state_dir);
    o->memory = reconcile_memory_new();
    o->notes = notes_new();
    autofree char *restarts_path = mem_printf("%s/restarts.json", config->state_dir);
    restarts_open(&o->restarts, restarts_path);
    autofree char *images_path = mem_printf("%s/images.json", config->state_dir);
    upgrades_open(&o->upgrades, images_path);
    autofree char *orders_path = mem_printf("%s/orders.json", config->state_dir);
    orders_open(&o->orders, orders_path);
    autofree char *joined_path = mem_printf("%s/joined.json", config->state_dir);
    joined_open(&o->joined, joined_path);
    autofree char *sizes_path = mem_printf("%s/sizes.json", config->state_dir);
    surges_open(&o->surges, sizes_path);
    taken_up_init(&o->taken_up);
    o->named = named_new(config->wanted_dir, config->names_dir, config->acme);
    r = certs_open(config->state_dir, clock_wall_ms(config->clock), &o->certs, err);
    if (r < 0) {
        release(o);
        return r;
    }
    o->asks = asks_new(config->loop, config->clock, on_answer, o);
    o->scrape = scrape_new(config->loop, config->clock, SCRAPE_MS, on_first_metrics, o);
    if (config->look_password)
        o->replicas = replica_watch_new(config->loop, config->clock, config->look_password, on_answer, o);
    o->c.look_password = NULL;
    o->sleepers = sleepers_new(&(struct sleepers_config){.loop = config->loop,
                                                         .clock = config->clock,
                                                         .state_dir = config->state_dir,
                                                         .engine = config->env.engine,
                                                         .changed = on_answer,
                                                         .on_event = on_part_event,
                                                         .metrics_of = metrics_of,
                                                         .backs_up = backs_up,
                                                         .data = o});
    take_kept(o);
    if (backup_place_is(&config->backup_place) && (r = open_backups(o, config, err)) < 0)
        event(o, true, err->message);
    *ret = o;
    return 0;
}

void operator_start(struct operator_loop *o)
{
    int fd = o->c.runtime->ops->change_fd(o->c.runtime);
    uv_timer_init(o->c.loop, &o->timer);
    o->timer.data = o;
    o->handles = 1;
    o->started = true;
    if (fd >= 0 && uv_poll_init(o->c.loop, &o->change, fd) == 0) {
        o->change.data = o;
        o->handles++;
        o->has_change = uv_poll_start(&o->change, UV_READABLE, on_change) == 0;
    }
    wake_at(o, clock_mono_ms(o->c.clock));
}

static void one_less(void *data)
{
    struct operator_loop *o = data;
    void (*done)(void *) = o->done;
    void *done_data = o->done_data;
    if (--o->handles > 0)
        return;
    release(o);
    if (done)
        done(done_data);
}

static void on_closed(uv_handle_t *h)
{
    one_less(h->data);
}

void operator_stop(struct operator_loop *o, void (*done)(void *data), void *data)
{
    bool polled = o->handles == 2;
    o->done = done;
    o->done_data = data;
    /* the work threads of asks, scrape, sleepers, backups and replicas */
    o->handles += 3 + (o->backups != NULL) + (o->replicas != NULL);
    if (o->started) {
        uv_close((uv_handle_t *)&o->timer, on_closed);
        if (polled)
            uv_close((uv_handle_t *)&o->change, on_closed);
    }
    o->started = false;
    struct scrape *scrape = o->scrape;
    struct backups *backups = o->backups;
    struct replica_watch *replicas = o->replicas;
    struct sleepers *sleepers = o->sleepers;
    asks_free(o->asks, one_less, o);
    scrape_free(scrape, one_less, o);
    sleepers_free(sleepers, one_less, o);
    if (backups)
        backups_free(backups, one_less, o);
    if (replicas)
        replica_watch_free(replicas, one_less, o);
}
