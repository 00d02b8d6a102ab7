/* Begins typed operations where they can be carried out, and carries them on from pass to pass. */
#include "agent/operator/orders.h"

#include "agent/operator/state_file.h"
#include "base/keys.h"
#include "base/mem.h"
#include "blueprint/blueprint.h"

static const struct kind {
    const char *operation;
    bool replica; /* takes one */
    int (*check)(struct orders *o, const struct order_place *p, const struct desired_service *s, int k,
                 const char *request, struct err *err);
    void (*step)(struct orders *o, const struct order_place *p, json_t *order, bool *ret_changed);
} kinds[];

/* ---- file ---- */

static json_t *part(const struct orders *o, const char *name)
{
    return json_object_get(o->all, name);
}

void orders_open(struct orders *o, const char *path)
{
    *o = (struct orders){.path = mem_strdup(path), .all = state_file_read(path), .removal = json_object()};
    if (!json_is_object(part(o, "orders")) || !json_is_object(part(o, "drained"))) {
        json_decref(o->all);
        o->all = json_pack("{s{} s{}}", "orders", "drained");
    }
}

void orders_free(struct orders *o)
{
    free(o->path);
    json_decref(o->all);
    json_decref(o->removal);
    *o = (struct orders){0};
}

int orders_keep(struct orders *o, struct err *err)
{
    if (!o->dirty)
        return 0;
    int r = state_file_write(o->path, o->all, err);
    o->dirty = r < 0;
    return r;
}

/* ---- lookups ---- */

static int replica_of(const json_t *order)
{
    return (int)json_integer_value(json_object_get(order, "replica"));
}

static bool is_running(const json_t *order)
{
    return !strcmp(js_text_at(order, "state"), "running");
}

static const struct desired_service *service_of(const struct order_place *p, const char *id)
{
    for (size_t i = 0; p->desired && i < p->desired->n_services; i++)
        if (!strcmp(p->desired->services[i].id, id))
            return &p->desired->services[i];
    return NULL;
}

static const struct kind *kind_of(const char *operation)
{
    for (const struct kind *k = kinds; k->operation; k++)
        if (!strcmp(k->operation, operation))
            return k;
    return NULL;
}

static char *workload_of(const json_t *order)
{
    return mem_printf("clickhouse-%s-%d", js_text_at(order, "service"), replica_of(order));
}

static const struct runtime_status *seen(const struct order_place *p, const char *workload)
{
    for (size_t i = 0; i < p->observed->n; i++)
        if (!strcmp(p->observed->items[i].name, workload))
            return &p->observed->items[i];
    return NULL;
}

static unsigned drained_of(const struct orders *o, const char *service)
{
    return (unsigned)json_integer_value(json_object_get(part(o, "drained"), service));
}

static void set_drained(struct orders *o, const char *service, int k, bool drained)
{
    unsigned before = drained_of(o, service), now = drained ? before | (1u << k) : before & ~(1u << k);
    if (now)
        json_object_set_new(part(o, "drained"), service, json_integer(now));
    else
        json_object_del(part(o, "drained"), service);
    o->dirty = true;
}

/* ---- ends and phases ---- */

static void set(struct orders *o, json_t *order, const char *name, const char *value)
{
    json_object_set_new(order, name, js_string_of(value));
    o->dirty = true;
}

static void settle(struct orders *o, json_t *order, bool done, const char *why)
{
    set(o, order, "state", done ? "done" : "failed");
    set(o, order, "why", why);
}

static void phase(struct orders *o, json_t *order, const char *name, int64_t now_ms)
{
    set(o, order, "phase", name);
    json_object_set_new(order, "sinceMs", json_integer(now_ms));
}

/* A machine that has started anew counts from there. */
static int64_t lasts(json_t *order, int64_t now_ms)
{
    int64_t since = json_integer_value(json_object_get(order, "sinceMs"));
    if (since > now_ms)
        json_object_set_new(order, "sinceMs", json_integer(since = now_ms));
    return now_ms - since;
}

/* ---- drain and undrain ---- */

static int check_several(const struct order_place *p, const struct desired_service *s, struct err *err)
{
    if (blueprint_asked(s, p->env) > 1)
        return 0;
    return err_set(err, -ENOTSUP, "service %s has one replica here%s: there is no other that could serve meanwhile",
                   s->name, p->env->engine == BLUEPRINT_EMBEDDED ? " (the embedded engine serves alone)" : "");
}

static int check_drain(struct orders *o, const struct order_place *p, const struct desired_service *s, int k,
                       const char *request OH_UNUSED, struct err *err)
{
    const struct replica_view *v = p->view(s->id, p->data);
    unsigned drained = drained_of(o, s->id);
    int r = check_several(p, s, err);
    if (r < 0)
        return r;
    if (drained & (1u << k))
        return err_set(err, -EALREADY, "replica %d of service %s is drained already", k, s->name);
    bool other = false;
    for (int i = 0; i < blueprint_asked(s, p->env); i++)
        other |= i != k && !(drained & (1u << i)) && (!v || v->serving & (1u << i));
    if (!other)
        return err_set(err, -EPERM, "no other replica of service %s serves: it would be left without any", s->name);
    set_drained(o, s->id, k, true);
    return 0;
}

static int check_undrain(struct orders *o, const struct order_place *p, const struct desired_service *s, int k,
                         const char *request OH_UNUSED, struct err *err)
{
    int r = check_several(p, s, err);
    if (r < 0)
        return r;
    if (!(drained_of(o, s->id) & (1u << k)))
        return err_set(err, -EALREADY, "replica %d of service %s is not drained", k, s->name);
    set_drained(o, s->id, k, false);
    return 0;
}

static void step_drain(struct orders *o, const struct order_place *p, json_t *order, bool *ret_changed)
{
    if (p->ingress_told) {
        settle(o, order, true, "");
    } else if (lasts(order, p->now_ms) >= ORDERS_TOLD_MS) {
        set_drained(o, js_text_at(order, "service"), replica_of(order), false);
        settle(o, order, false, "the ingress did not take up its new files in time; the replica is in use again");
        *ret_changed = true;
    }
}

static void step_undrain(struct orders *o, const struct order_place *p, json_t *order, bool *ret_changed OH_UNUSED)
{
    if (p->ingress_told)
        settle(o, order, true, "");
    else if (lasts(order, p->now_ms) >= ORDERS_TOLD_MS)
        settle(o, order, false, "the ingress did not take up its new files in time; it is told further");
}

/* ---- rebuild ---- */

/* Nothing but what the others have too is taken away. */
static int check_others(const struct order_place *p, const struct desired_service *s, int k, struct err *err)
{
    const struct replica_view *v = p->view(s->id, p->data);
    if (!v)
        return err_set(err, -ENOTSUP,
                       "nobody can say whether the other replicas of service %s have everything: the "
                       "operator has no user at its engines",
                       s->name);
    for (int i = 0; i < v->wanted; i++) {
        if (i == k)
            continue;
        if (!(v->serving & (1u << i)))
            return err_set(err, -EPERM, "replica %d of service %s does not serve: nothing is rebuilt from it", i,
                           s->name);
        if (replica_judge(v->said, BLUEPRINT_MAX_REPLICAS, (size_t)i) != REPLICA_SYNCED)
            return err_set(err, -EPERM, "replica %d of service %s is not in step: what it lacks would be lost", i,
                           s->name);
    }
    return 0;
}

static int check_rebuild(struct orders *o, const struct order_place *p, const struct desired_service *s, int k,
                         const char *request OH_UNUSED, struct err *err)
{
    int r = check_several(p, s, err);
    if (r == 0)
        r = check_others(p, s, k, err);
    if (r < 0)
        return r;
    unsigned all = (1u << blueprint_asked(s, p->env)) - 1;
    if (((drained_of(o, s->id) | (1u << k)) & all) == all)
        return err_set(err, -EPERM, "every other replica of service %s is drained: undrain one first", s->name);
    set_drained(o, s->id, k, true);
    return 0;
}

static void end_rebuild(struct orders *o, json_t *order, bool done, const char *why, bool *ret_changed)
{
    set_drained(o, js_text_at(order, "service"), replica_of(order), false);
    settle(o, order, done, why);
    *ret_changed = true;
}

static void step_leave(struct orders *o, const struct order_place *p, json_t *order, bool *ret_changed)
{
    autofree char *workload = workload_of(order);
    struct err err = ERR_INIT;
    int64_t passed = lasts(order, p->now_ms);
    if (!p->ingress_told && passed >= ORDERS_TOLD_MS)
        end_rebuild(o, order, false, "the ingress did not take up its new files in time; nothing was removed",
                    ret_changed);
    if (!p->ingress_told || p->locked || (p->queries(workload, p->data) != 0 && passed < ORDERS_QUIET_MS))
        return;
    if (check_others(p, service_of(p, js_text_at(order, "service")), replica_of(order), &err) < 0)
        end_rebuild(o, order, false, err.message, ret_changed);
    else
        phase(o, order, "remove", p->now_ms);
}

static void step_remove(struct orders *o, const struct order_place *p, json_t *order, bool *ret_changed)
{
    autofree char *workload = workload_of(order);
    struct err err = ERR_INIT;
    const json_t *asked = json_object_get(o->removal, workload);
    if (asked && !seen(p, workload)) {
        json_object_del(o->removal, workload);
        phase(o, order, "fill", p->now_ms);
        return;
    }
    if (lasts(order, p->now_ms) >= ORDERS_REMOVE_MS) {
        json_object_del(o->removal, workload);
        end_rebuild(o, order, false, "the runtime did not remove it in time; it is placed again with what is left",
                    ret_changed);
        return;
    }
    if (o->dirty || p->locked || (asked && p->now_ms - json_integer_value(asked) < ORDERS_REMOVE_AGAIN_MS))
        return; /* what is not on the disk is not acted on */
    json_object_set_new(o->removal, workload, json_integer(p->now_ms));
    if (p->runtime->ops->remove(p->runtime, workload, true, &err) < 0)
        set(o, order, "why", err.message);
}

static void step_fill(struct orders *o, const struct order_place *p, json_t *order, bool *ret_changed)
{
    const struct replica_view *v = p->view(js_text_at(order, "service"), p->data);
    int k = replica_of(order);
    if (v && (v->serving & (1u << k)) && replica_judge(v->said, BLUEPRINT_MAX_REPLICAS, (size_t)k) == REPLICA_SYNCED)
        end_rebuild(o, order, true, "", ret_changed);
}

static void step_rebuild(struct orders *o, const struct order_place *p, json_t *order, bool *ret_changed)
{
    const char *now = js_text_at(order, "phase");
    if (!strcmp(now, "remove"))
        step_remove(o, p, order, ret_changed);
    else if (!strcmp(now, "fill"))
        step_fill(o, p, order, ret_changed);
    else
        step_leave(o, p, order, ret_changed);
}

/* ---- reattach ---- */

static int check_reattach(struct orders *o OH_UNUSED, const struct order_place *p, const struct desired_service *s,
                          int k, const char *request OH_UNUSED, struct err *err)
{
    const struct replica_view *v = p->view(s->id, p->data);
    if (!blueprint_joined(s, p->env))
        return err_set(err, -ENOTSUP, "service %s has one replica here: its tables are not registered in any Keeper",
                       s->name);
    if (!v || !(v->serving & (1u << k)) || !v->said[k].known)
        return err_set(err, -ENOENT, "replica %d of service %s does not say which tables it cannot write", k, s->name);
    if (v->said[k].readonly == 0)
        return err_set(err, -EALREADY, "replica %d of service %s can write every table", k, s->name);
    return 0;
}

static void step_reattach(struct orders *o, const struct order_place *p, json_t *order, bool *ret_changed OH_UNUSED)
{
    const char *service = js_text_at(order, "service");
    const struct replica_view *v = p->view(service, p->data);
    int k = replica_of(order);
    if (v && v->said[k].known && v->said[k].readonly == 0)
        settle(o, order, true, "");
    else if (lasts(order, p->now_ms) >= ORDERS_REATTACH_MS)
        settle(o, order, false, "tables can still not be written: Keeper holds their registration, or does not answer");
    p->reattach(service, is_running(order) ? 1u << k : 0, p->data);
}

/* ---- upgrade and backup ---- */

static int check_upgrade(struct orders *o OH_UNUSED, const struct order_place *p, const struct desired_service *s,
                         int k OH_UNUSED, const char *request OH_UNUSED, struct err *err)
{
    for (size_t i = 0; i < p->wanted->n; i++) {
        const char *service = workload_label(&p->wanted->items[i], BLUEPRINT_SERVICE);
        if (service && !strcmp(service, s->id) && p->wanted->items[i].image)
            return upgrades_now(p->upgrades, s->id, err);
    }
    return err_set(err, -ENOTSUP,
                   "service %s runs this machine's own program, not an image: it is upgraded with the "
                   "agent's release",
                   s->name);
}

static void step_upgrade(struct orders *o, const struct order_place *p, json_t *order, bool *ret_changed OH_UNUSED)
{
    bool all = true;
    for (size_t i = 0; i < p->wanted->n; i++) {
        const char *service = workload_label(&p->wanted->items[i], BLUEPRINT_SERVICE);
        if (!service || strcmp(service, js_text_at(order, "service")))
            continue;
        const struct runtime_status *s = seen(p, p->wanted->items[i].name);
        all &= s && s->state == RUNTIME_RUNNING && !strcmp(s->digest, p->digests[i]);
    }
    if (all)
        settle(o, order, true, "");
    else if (lasts(order, p->now_ms) >= ORDERS_UPGRADE_MS)
        settle(o, order, false, "not every part of the service runs the new image yet; it goes on");
}

static int check_backup(struct orders *o OH_UNUSED, const struct order_place *p, const struct desired_service *s,
                        int k OH_UNUSED, const char *request, struct err *err)
{
    if (!p->backups)
        return err_set(err, -ENOTSUP, "no backups are made in this data plane: it has no place for them");
    return backups_order(p->backups, s, request, err);
}

static void step_backup(struct orders *o, const struct order_place *p, json_t *order, bool *ret_changed OH_UNUSED)
{
    const char *why = "", *request = js_text_at(order, "request");
    int r = p->backups ? backups_outcome(p->backups, js_text_at(order, "service"), request, &why) : 1;
    if (r <= 0)
        settle(o, order, r == 0, why);
}

static const struct kind kinds[] = {
    {"service.drain", true, check_drain, step_drain},
    {"service.undrain", true, check_undrain, step_undrain},
    {"service.rebuild-replica", true, check_rebuild, step_rebuild},
    {"service.reattach", true, check_reattach, step_reattach},
    {"service.upgrade", false, check_upgrade, step_upgrade},
    {"service.backup", false, check_backup, step_backup},
    {0},
};

/* ---- beginning ---- */

static int read_arguments(const struct kind *kind, const struct order_place *p, const json_t *arguments,
                          const struct desired_service **ret, int *ret_replica, struct err *err)
{
    const char *id = json_string_value(json_object_get(arguments, "service"));
    const json_t *replica = json_object_get(arguments, "replica");
    if (!id)
        return err_set(err, -EINVAL, "arguments.service: must be the service's id");
    if (kind->replica != (replica != NULL))
        return err_set(err, -EINVAL, "arguments.replica: %s",
                       kind->replica ? "must be the replica's number, from 0" : "this operation takes none");
    if (json_object_size(arguments) != 1u + kind->replica)
        return err_set(err, -EINVAL, "arguments: only service%s may be given", kind->replica ? " and replica" : "");
    const struct desired_service *s = service_of(p, id);
    if (!s || s->state != DESIRED_RUNNING)
        return err_set(err, -ENOENT, "there is no running service %.60s", id);
    if (s->asleep)
        return err_set(err, -EPERM, "service %s is asleep: wake it first", s->name);
    int n = blueprint_asked(s, p->env);
    json_int_t k = kind->replica ? json_integer_value(replica) : 0;
    if (kind->replica && (!json_is_integer(replica) || k < 0 || k >= n))
        return err_set(err, -EINVAL, "arguments.replica: service %s has replicas 0 to %d here", s->name, n - 1);
    *ret = s;
    *ret_replica = (int)k;
    return 0;
}

static int check_free(const struct orders *o, const struct kind *kind, const char *service, struct err *err)
{
    const char *id;
    json_t *order;
    if (json_object_size(part(o, "orders")) >= ORDERS_MAX)
        return err_set(err, -EBUSY, "%d operations are under way: try again when some have ended", ORDERS_MAX);
    json_object_foreach(part(o, "orders"), id, order)
    {
        if (kind->step != step_backup && is_running(order) && !strcmp(js_text_at(order, "service"), service) &&
            strcmp(js_text_at(order, "operation"), "service.backup") != 0)
            return err_set(err, -EBUSY, "%s of request %s is under way at this service", js_text_at(order, "operation"),
                           id);
    }
    return 0;
}

int orders_begin(struct orders *o, const struct order_place *p, const char *request, const char *operation,
                 const json_t *arguments, struct err *err)
{
    const struct kind *kind = kind_of(operation);
    const struct desired_service *s = NULL;
    int k = 0;
    if (!kind)
        return err_set(err, -ENOTSUP, "this data plane's operator does not carry out %s", operation);
    int r = read_arguments(kind, p, arguments, &s, &k, err);
    if (r == 0)
        r = check_free(o, kind, s->id, err);
    if (r < 0)
        return r;
    autojson json_t *before = json_deep_copy(o->all);
    /* Before the act of the check, so that what was begun has its record. */
    json_object_set_new(part(o, "orders"), request,
                        json_pack("{ss ss ss si ss sI ss ss}", "request", request, "operation", operation, "service",
                                  s->id, "replica", k, "phase", "", "sinceMs", (json_int_t)p->now_ms, "state",
                                  "running", "why", ""));
    o->dirty = true;
    r = kind->check(o, p, s, k, request, err);
    if (r == 0)
        r = orders_keep(o, err);
    if (r < 0) {
        json_decref(o->all);
        o->all = TAKE_PTR(before);
    }
    return r;
}

/* ---- going on ---- */

bool orders_step(struct orders *o, const struct order_place *p)
{
    bool changed = false;
    const char *id;
    json_t *order;
    json_object_foreach(part(o, "orders"), id, order)
    {
        const struct kind *kind = kind_of(js_text_at(order, "operation"));
        const struct desired_service *s = service_of(p, js_text_at(order, "service"));
        if (!is_running(order) || !kind)
            continue;
        bool runs = s && s->state == DESIRED_RUNNING && replica_of(order) < blueprint_asked(s, p->env);
        if (runs || kind->step == step_backup) {
            kind->step(o, p, order, &changed);
            continue;
        }
        if (kind->replica)
            set_drained(o, js_text_at(order, "service"), replica_of(order), false);
        settle(o, order, false, "the service was stopped, deleted or made smaller meanwhile");
        changed = true;
    }
    return changed;
}

void orders_mark(struct orders *o, struct desired *d)
{
    const char *id;
    json_t *mask;
    void *next;
    struct order_place p = {.desired = d};
    for (size_t i = 0; i < d->n_services; i++)
        d->services[i].drained = drained_of(o, d->services[i].id);
    json_object_foreach_safe(part(o, "drained"), next, id, mask)
    {
        if (!service_of(&p, id) && json_object_del(part(o, "drained"), id) == 0)
            o->dirty = true;
    }
}

bool orders_holds(const struct orders *o, const char *workload)
{
    const char *id;
    json_t *order;
    json_object_foreach(part(o, "orders"), id, order)
    {
        autofree char *name = workload_of(order);
        if (is_running(order) && !strcmp(js_text_at(order, "phase"), "remove") && !strcmp(name, workload))
            return true;
    }
    return false;
}

/* ---- telling ---- */

const char *orders_settled(const struct orders *o, const char **ret_operation, bool *ret_done, const char **ret_why)
{
    const char *id;
    json_t *order;
    json_object_foreach(part(o, "orders"), id, order)
    {
        if (is_running(order))
            continue;
        *ret_operation = js_text_at(order, "operation");
        *ret_done = !strcmp(js_text_at(order, "state"), "done");
        *ret_why = js_text_at(order, "why");
        return id;
    }
    return NULL;
}

void orders_told(struct orders *o, const char *request)
{
    o->dirty |= json_object_del(part(o, "orders"), request) == 0;
}

json_t *orders_describe(const struct orders *o)
{
    json_t *list = json_array(), *order;
    const char *id;
    json_object_foreach(part(o, "orders"), id, order) json_array_append_new(list, json_deep_copy(order));
    return json_pack("{so sO}", "orders", list, "drained", part(o, "drained"));
}
