/* Applying an approved plan: check that the world stands still, then step by step along the graph, journalling each. */
#include "plan/internal.h"

#include "base/keys.h"

struct apply {
    const struct plan_context *c;
    const struct plan_graph *g;
    const json_t *document;
    const char *digest;
    struct plan_journal *journal;
    bool remove, delete_data;
    json_t *records;  /* key -> record */
    json_t *observed; /* key -> attributes in clear or null, kept up to date as steps end */
    json_t *wants;    /* key -> resolved attributes in clear, once known */
    json_t *held;     /* keys of what the document leaves as it is on purpose */
    struct plan_schedule schedule;
    enum plan_phase *phase; /* per unit, as the journal had it at the start */
    int64_t *began;         /* per unit, clock_mono_ms */
    size_t total, finished;
    json_t *done, *failed;
    struct plan_pool *pool;
    int first; /* the first failure */
    struct err *err;
    bool fatal; /* journal or state failed: nothing more may begin */
};

static struct plan_step step_of(const struct apply *a, const struct plan_unit *u, char *type, char *name, char *token)
{
    char text[PLAN_KEY_SIZE + 128], hex[65];
    bool ok = plan_key_split(u->key, type, name);
    snprintf(text, sizeof(text), "%s\n%s\n%s", a->digest, u->key, plan_action_names[u->action]);
    sha256_hex(text, strlen(text), hex);
    snprintf(token, PLAN_TOKEN_SIZE, "%.32s", hex);
    return (struct plan_step){a->digest, ok ? type : "", name, u->key, u->action, token};
}

#define STEP_OF(a, u)                                                                             \
    char step_type[PLAN_NAME_MAX + 1], step_name[PLAN_NAME_MAX + 1], step_token[PLAN_TOKEN_SIZE]; \
    struct plan_step step = step_of(a, u, step_type, step_name, step_token)

/* --- before anything is done --- */

static int check_change(const struct apply *a, const json_t *change, struct err *err)
{
    char type[PLAN_NAME_MAX + 1], name[PLAN_NAME_MAX + 1];
    const char *action = js_text_at(change, "action");
    bool known = false;
    for (size_t i = PLAN_NONE; i <= PLAN_DESTROY; i++)
        known = known || !strcmp(action, plan_action_names[i]);
    if (!known || !plan_key_split(js_text_at(change, "resource"), type, name) || !plan_type_find(a->c->types, type))
        return err_set(err, -EINVAL, "the plan's document holds a change that this release does not understand");
    if (!a->delete_data && json_is_true(json_object_get(change, "destroys_data")))
        return err_set(err, -EPERM,
                       "the plan would destroy the data in %s: make a plan that deletes data, if that is meant",
                       js_text_at(change, "resource"));
    return 0;
}

static int check_document(struct apply *a, const char *approved, char digest[65], struct err *err)
{
    size_t i;
    json_t *change;
    char desired[65];
    int r = plan_digest(a->document, digest, err);
    if (r < 0)
        return r;
    if (strcmp(digest, approved))
        return err_set(err, -EINVAL, "the plan's digest is %s, but %.64s was approved", digest, approved);
    a->remove = !strcmp(js_text_at(a->document, "kind"), "destroy");
    a->delete_data = json_is_true(json_object_get(a->document, "delete_data"));
    if (strcmp(js_text_at(a->document, "type"), "ownhouse/plan") ||
        json_integer_value(json_object_get(a->document, "v")) != 1 ||
        (!a->remove && strcmp(js_text_at(a->document, "kind"), "apply")))
        return err_set(err, -EINVAL, "this is not a plan that this release can apply");
    if (strcmp(js_text_at(a->document, "infrastructure"), a->c->infrastructure))
        return err_set(err, -EINVAL, "the plan is for infrastructure %.64s, not %s",
                       js_text_at(a->document, "infrastructure"), a->c->infrastructure);
    json_array_foreach(json_object_get(a->document, "changes"), i, change)
    {
        if ((r = check_change(a, change, err)) < 0)
            return r;
        if (json_object_get(change, "kept"))
            plan_keys_add(a->held, js_text_at(change, "resource"));
    }
    if ((r = plan_graph_check(a->g, a->c->types, err)) < 0 ||
        (r = plan_graph_digest(a->g, a->c->types, a->c->infrastructure, desired, err)) < 0)
        return r;
    if (strcmp(desired, js_text_at(a->document, "desired")))
        return err_set(err, -ESTALE, "what should be has changed since the plan was made: plan again");
    return 0;
}

static int observe_all(struct apply *a, struct err *err)
{
    const char *key;
    size_t i;
    json_t *v;
    autojson json_t *list = NULL, *all OH_CLEANUP(js_decrefp) = json_object(),
                    *keys OH_CLEANUP(js_decrefp) = json_array();
    int r = a->c->state->list(a->c->state, &list, err);
    if (r == 0)
        r = plan_records(a->c, list, &a->records, err);
    if (r < 0)
        return r;
    for (i = 0; i < a->g->n; i++)
        json_object_set_new(all, a->g->nodes[i].key, json_true());
    json_object_foreach(a->records, key, v) json_object_set_new(all, key, json_true());
    json_array_foreach(json_object_get(a->document, "changes"), i, v)
        json_object_set_new(all, js_text_at(v, "resource"), json_true());
    json_object_foreach(all, key, v) json_array_append_new(keys, json_string(key));
    return plan_observe(a->c, keys, a->records, &a->observed, err);
}

static int read_phases(struct apply *a, struct err *err)
{
    int r = 0;
    a->phase = mem_alloc((a->schedule.n + 1) * sizeof(*a->phase));
    a->began = mem_alloc((a->schedule.n + 1) * sizeof(*a->began));
    for (size_t i = 0; i < a->schedule.n && r == 0; i++) {
        if (a->schedule.units[i].action == PLAN_NONE)
            continue;
        STEP_OF(a, &a->schedule.units[i]);
        a->total++;
        r = a->journal->phase(a->journal, &step, &a->phase[i], err);
    }
    return r;
}

static bool has_begun(const struct apply *a, const char *key)
{
    for (size_t i = 0; i < a->schedule.n; i++)
        if (a->phase[i] != PLAN_PHASE_NONE && !strcmp(a->schedule.units[i].key, key))
            return true;
    return false;
}

static int digest_now(const struct apply *a, const char *key, char digest[65], struct err *err)
{
    char type[PLAN_NAME_MAX + 1], name[PLAN_NAME_MAX + 1];
    json_t *masked;
    if (!plan_key_split(key, type, name))
        return err_set(err, -EINVAL, "\"%s\" is not the key of a resource", key);
    const struct plan_type *t = plan_type_find(a->c->types, type);
    int r = plan_attrs_mask(t, a->c->infrastructure, key, json_object_get(a->observed, key), &masked, err);
    if (r == 0)
        r = plan_attrs_digest(t, masked, digest, err);
    json_decref(masked);
    return r;
}

/* Every resource is as the document saw it, or one of this plan's own steps has begun on it. */
static int check_world(struct apply *a, struct err *err)
{
    size_t i, differs = 0;
    json_t *change;
    const char *key;
    autobuf struct buf text = BUF_INIT_MAX(300);
    autojson json_t *planned = json_object();
    json_array_foreach(json_object_get(a->document, "changes"), i, change)
    {
        char now[65];
        const char *then = js_text_at(change, "observed");
        key = js_text_at(change, "resource");
        json_object_set_new(planned, key, json_true());
        int r = digest_now(a, key, now, err);
        if (r < 0)
            return r;
        if (!strcmp(now, then) || has_begun(a, key))
            continue;
        if (differs++ < 3)
            buf_printf(&text, "%s%s %s", differs > 1 ? ", " : "", key,
                       !*now    ? "is gone"
                       : !*then ? "has appeared"
                                : "has changed");
    }
    json_object_foreach(a->observed, key, change)
    {
        if (!json_object_get(planned, key) && differs++ < 3)
            buf_printf(&text, "%s%s is remembered but not in the plan", differs > 1 ? ", " : "", key);
    }
    if (differs > 3)
        buf_printf(&text, " and %zu more", differs - 3);
    return differs ? err_set(err, -ESTALE, "the world has moved since the plan was made (%s): plan again", text.data)
                   : 0;
}

/* A replacement whose second half has begun must not begin with the first half again. */
static void skip_replaced(struct apply *a)
{
    for (size_t i = 0; i + 1 < a->schedule.n; i++) {
        struct plan_unit *u = &a->schedule.units[i], *next = u + 1;
        if (u->action != PLAN_DESTROY || next->action != PLAN_CREATE || strcmp(u->key, next->key))
            continue;
        if (a->phase[i] != PLAN_PHASE_DONE && a->phase[i + 1] == PLAN_PHASE_NONE)
            continue;
        u->state = UNIT_DONE;
        a->finished++;
        if (a->phase[i + 1] == PLAN_PHASE_NONE)
            a->phase[i + 1] = PLAN_PHASE_BEGIN; /* look before creating */
    }
}

/* --- while steps run --- */

static void progress(const struct apply *a, size_t unit, enum plan_event event, const char *message)
{
    const struct plan_unit *u = &a->schedule.units[unit];
    struct plan_progress p = {event,       u->key,  u->action, message, clock_mono_ms(a->c->clock) - a->began[unit],
                              a->finished, a->total};
    if (a->c->progress)
        a->c->progress(a->c->progress_data, &p);
}

static void note_failure(struct apply *a, size_t unit, int r, const char *message)
{
    a->schedule.units[unit].state = UNIT_FAILED;
    json_array_append_new(a->failed,
                          json_pack("{s:s, s:s}", "resource", a->schedule.units[unit].key, "error", message));
    if (!a->first)
        a->first = err_set(a->err, r, "%s: %s", a->schedule.units[unit].key, message);
    progress(a, unit, PLAN_EVENT_FAILED, message);
}

/* The keeper of journal or state failed: stop as if we had crashed. */
static void fatal(struct apply *a, int r, const struct err *why)
{
    a->fatal = true;
    if (!a->first)
        a->first = err_set(a->err, r, "%s", why->message[0] ? why->message : strerror(-r));
}

static int lookup(const struct plan_ref *ref, void *data, const json_t **ret, struct err *err)
{
    const struct apply *a = data;
    char type[PLAN_NAME_MAX + 1], name[PLAN_NAME_MAX + 1];
    const struct plan_attribute *at = NULL;
    if (plan_key_split(ref->key, type, name))
        at = plan_attribute_find(plan_type_find(a->c->types, type), ref->attribute);
    bool computed = at && (at->flags & PLAN_COMPUTED);
    *ret = json_object_get(json_object_get(computed ? a->observed : a->wants, ref->key), ref->attribute);
    if (!*ret || json_is_null(*ret))
        return err_set(err, -ENODATA, "%s has no %s to refer to", ref->key, ref->attribute);
    if (at && (at->flags & PLAN_SECRET) && plan_is_mark(*ret))
        return err_set(err, -ENOKEY, "the secret %s.%s cannot be read back", ref->key, ref->attribute);
    return 0;
}

static int resolve_want(struct apply *a, const struct plan_unit *u, json_t **ret, struct err *err)
{
    const struct plan_node *node = plan_graph_find(a->g, u->key);
    json_t *want;
    if (!node)
        return err_set(err, -EINVAL, "%s is not in the graph", u->key);
    int r = plan_refs_resolve(node->attributes, lookup, a, &want, err);
    if (r == 0) {
        json_object_set_new(a->wants, u->key, want);
        *ret = want;
    }
    return r;
}

static json_t *observed_of(const struct apply *a, const char *key)
{
    json_t *v = json_object_get(a->observed, key);
    return json_is_object(v) ? v : NULL;
}

static int save_record(struct apply *a, const struct plan_step *s, json_t *record, struct err *err)
{
    json_object_set_new(a->records, s->key, record);
    return a->c->state->save(a->c->state, s->type, s->name, record, err);
}

/* What is left to do for a unit, judged by the latest observation. */
static int remaining(const struct apply *a, const struct plan_unit *u, const json_t *want, enum plan_action *ret,
                     struct err *err)
{
    char type[PLAN_NAME_MAX + 1], name[PLAN_NAME_MAX + 1];
    autojson json_t *have = NULL, *masked OH_CLEANUP(js_decrefp) = NULL, *why OH_CLEANUP(js_decrefp) = NULL;
    if (!plan_key_split(u->key, type, name))
        return err_set(err, -EINVAL, "\"%s\" is not the key of a resource", u->key);
    const struct plan_type *t = plan_type_find(a->c->types, type);
    int r = plan_attrs_mask(t, a->c->infrastructure, u->key, observed_of(a, u->key), &have, err);
    if (r == 0)
        r = plan_attrs_mask(t, a->c->infrastructure, u->key, want, &masked, err);
    if (r == 0)
        *ret = plan_attrs_diff(t, have, masked, json_object_get(a->records, u->key), &why);
    return r;
}

/* A resource that the plan leaves alone: what it depends on may have changed, so it is judged again. */
static void settle_none(struct apply *a, size_t i)
{
    struct plan_unit *u = &a->schedule.units[i];
    struct err err = ERR_INIT;
    enum plan_action left = PLAN_NONE;
    json_t *want = NULL;
    int r = 0;
    u->state = UNIT_DONE;
    if (a->remove || !plan_graph_find(a->g, u->key))
        return;
    r = resolve_want(a, u, &want, &err);
    if (plan_keys_has(a->held, u->key))
        return;
    if (r == 0)
        r = remaining(a, u, want, &left, &err);
    if (r == 0 && left != PLAN_NONE)
        r = err_set(&err, -ESTALE, "needs a %s that the plan did not foresee: plan again", plan_action_names[left]);
    if (r < 0) {
        note_failure(a, i, r, err.message);
        return;
    }
    if (!json_object_get(a->records, u->key)) {
        /* Found by its tags, but forgotten: remember it, so that it can be removed some day. */
        json_t *masked = NULL;
        STEP_OF(a, u);
        r = plan_attrs_mask(plan_type_find(a->c->types, step.type), a->c->infrastructure, u->key,
                            observed_of(a, u->key), &masked, &err);
        if (r == 0)
            r = save_record(a, &step, plan_record_new(masked, plan_graph_find(a->g, u->key)->depends_on, want), &err);
        json_decref(masked);
        if (r < 0)
            fatal(a, r, &err);
    }
}

/* When this incarnation of the resource was begun: as its record says while the step that began it goes on, else now.
 */
static int64_t incarnation(const struct apply *a, size_t unit, const json_t *old)
{
    const json_t *begun = json_object_get(old, "begun");
    bool goes_on = a->phase[unit] == PLAN_PHASE_BEGIN || a->phase[unit] == PLAN_PHASE_FAILED;
    return goes_on && json_is_integer(begun) ? json_integer_value(begun) : clock_wall_ms(a->c->clock);
}

/* Remember what is about to be made before it can exist: a crash then leaves a record, never an unknown resource. */
static int save_intent(struct apply *a, size_t unit, const struct plan_step *step, const json_t *want, struct err *err)
{
    size_t i;
    json_t *v;
    const json_t *old = json_object_get(a->records, step->key);
    int64_t begun = incarnation(a, unit, old);
    autojson json_t *depends = json_deep_copy(plan_graph_find(a->g, step->key)->depends_on);
    json_array_foreach(plan_record_depends(old), i, v)
    {
        if (json_is_string(v))
            plan_keys_add(depends, json_string_value(v));
    }
    json_t *record = plan_record_new(plan_record_attributes(old), depends, want);
    json_array_foreach(json_object_get(old, "wanted"), i, v)
    {
        if (json_is_string(v))
            plan_keys_add(json_object_get(record, "wanted"), json_string_value(v));
    }
    json_object_set_new(record, "begun", json_integer(begun));
    return save_record(a, step, record, err);
}

/* A cloud remembers client tokens longer than what was made with them. The same plan comes up again after a removal,
 * and again after each change that somebody undoes: what is begun then must not be taken for what was done before. */
static void call_token(const struct apply *a, const struct plan_step *step, char ret[PLAN_TOKEN_SIZE])
{
    const json_t *begun = json_object_get(json_object_get(a->records, step->key), "begun");
    char text[PLAN_TOKEN_SIZE + 32], hex[65];
    snprintf(text, sizeof(text), "%s\n%lld", step->token, (long long)json_integer_value(begun));
    sha256_hex(text, strlen(text), hex);
    snprintf(ret, PLAN_TOKEN_SIZE, "%.32s", hex);
}

static void submit(struct apply *a, const struct plan_unit *u, const struct plan_step *step, json_t *want,
                   enum plan_phase before)
{
    struct plan_task *t = mem_alloc(sizeof(*t));
    t->job.run = plan_task_run;
    t->c = a->c;
    t->type = plan_type_find(a->c->types, step->type);
    strcpy(t->key, u->key);
    strcpy(t->type_name, step->type);
    strcpy(t->name, step->name);
    call_token(a, step, t->token);
    t->action = u->action;
    t->again = before != PLAN_PHASE_NONE;
    t->unsure = before == PLAN_PHASE_BEGIN || before == PLAN_PHASE_FAILED;
    t->delete_data = a->delete_data;
    t->have = json_deep_copy(observed_of(a, u->key));
    t->want = json_deep_copy(want);
    t->record = json_deep_copy(json_object_get(a->records, u->key));
    plan_pool_submit(a->pool, &t->job);
}

/* True when an earlier run of this plan finished this unit and it still is so. */
static bool still_done(struct apply *a, size_t i, const json_t *want)
{
    enum plan_action left;
    if (a->phase[i] != PLAN_PHASE_DONE)
        return false;
    if (a->schedule.units[i].action == PLAN_DESTROY)
        return !observed_of(a, a->schedule.units[i].key) && !json_object_get(a->records, a->schedule.units[i].key);
    return remaining(a, &a->schedule.units[i], want, &left, NULL) == 0 && left == PLAN_NONE;
}

static void begin(struct apply *a, size_t i)
{
    struct plan_unit *u = &a->schedule.units[i];
    struct err err = ERR_INIT;
    json_t *want = NULL;
    STEP_OF(a, u);
    a->began[i] = clock_mono_ms(a->c->clock);
    int r = u->action == PLAN_DESTROY ? 0 : resolve_want(a, u, &want, &err);
    if (r < 0) {
        note_failure(a, i, r, err.message);
        return;
    }
    if (still_done(a, i, want)) {
        u->state = UNIT_DONE;
        a->finished++;
        return;
    }
    if (want)
        r = save_intent(a, i, &step, want, &err);
    if (r == 0)
        r = a->journal->begin(a->journal, &step, &err);
    if (r < 0) {
        fatal(a, r, &err);
        return;
    }
    u->state = UNIT_RUNNING;
    progress(a, i, PLAN_EVENT_BEGIN, "");
    submit(a, u, &step, want, a->phase[i]);
}

static int record_outcome(struct apply *a, const struct plan_unit *u, const struct plan_step *step,
                          const struct plan_task *t, struct err *err)
{
    json_t *masked = NULL;
    bool replaced = u->action == PLAN_DESTROY && u + 1 < a->schedule.units + a->schedule.n && !strcmp(u[1].key, u->key);
    int r = plan_attrs_mask(t->type, a->c->infrastructure, u->key, t->outcome, &masked, err);
    if (r == 0 && u->action == PLAN_DESTROY && !replaced) {
        json_object_del(a->records, u->key);
        r = a->c->state->forget(a->c->state, step->type, step->name, err);
    } else if (r == 0) {
        const json_t *depends = replaced ? plan_record_depends(json_object_get(a->records, u->key))
                                         : plan_graph_find(a->g, u->key)->depends_on;
        r = save_record(a, step, plan_record_new(masked, depends, t->want), err);
    }
    if (r == 0)
        r = a->journal->done(a->journal, step, masked, err);
    json_decref(masked);
    return r;
}

static void finish(struct apply *a, size_t i, struct plan_task *t)
{
    struct plan_unit *u = &a->schedule.units[i];
    struct err err = ERR_INIT;
    int r;
    STEP_OF(a, u);
    if (a->fatal)
        return;
    if (t->result < 0) {
        r = a->journal->failed(a->journal, &step, &t->err, &err);
        note_failure(a, i, t->result, t->err.message);
    } else {
        json_object_set_new(a->observed, u->key, t->outcome ? json_incref(t->outcome) : json_null());
        r = record_outcome(a, u, &step, t, &err);
    }
    if (r < 0) {
        fatal(a, r, &err);
    } else if (t->result == 0) {
        u->state = UNIT_DONE;
        a->finished++;
        json_array_append_new(a->done, json_string(u->key));
        progress(a, i, PLAN_EVENT_DONE, "");
    }
}

static size_t unit_of(const struct apply *a, const struct plan_task *t)
{
    size_t i = 0;
    while (strcmp(a->schedule.units[i].key, t->key) || a->schedule.units[i].action != t->action)
        i++;
    return i;
}

static void run(struct apply *a)
{
    struct plan_report *report;
    a->pool = plan_pool_new(a->c->threads > 0 ? a->c->threads : PLAN_THREADS);
    do {
        ssize_t i;
        while (!a->fatal && !plan_cancelled(a->c) && (i = plan_schedule_next(&a->schedule)) >= 0) {
            if (a->schedule.units[i].action == PLAN_NONE)
                settle_none(a, (size_t)i);
            else
                begin(a, (size_t)i);
        }
        report = plan_pool_next(a->pool);
        if (report) {
            struct plan_task *t = CONTAINER_OF(report->job, struct plan_task, job);
            if (report->finished) {
                finish(a, unit_of(a, t), t);
                plan_task_free(t);
            } else {
                progress(a, unit_of(a, t), report->event, report->message);
            }
            free(report);
        }
    } while (report);
    plan_pool_free(a->pool);
}

/* --- afterwards --- */

static const char *failure_of(const struct apply *a, const char *key)
{
    size_t i;
    json_t *v;
    json_array_foreach(a->failed, i, v)
    {
        if (!strcmp(js_text_at(v, "resource"), key))
            return js_text_at(v, "error");
    }
    return NULL;
}

/* What should have gone and stands, and what was kept on purpose. */
static json_t *leftovers(const struct apply *a)
{
    size_t i;
    json_t *change, *all = json_array();
    json_array_foreach(json_object_get(a->document, "changes"), i, change)
    {
        const char *key = js_text_at(change, "resource"), *why = js_text_at(change, "kept");
        if (!*why && !strcmp(js_text_at(change, "action"), "destroy") && observed_of(a, key)) {
            why = failure_of(a, key);
            why = why ? why : "something that stands on it could not be removed, or removal was cancelled";
        }
        if (*why && observed_of(a, key))
            json_array_append_new(all, json_pack("{s:s, s:s}", "resource", key, "why", why));
    }
    return all;
}

static json_t *outcome(const struct apply *a)
{
    json_t *blocked = json_array();
    for (size_t i = 0; i < a->schedule.n; i++)
        if (a->schedule.units[i].state == UNIT_BLOCKED && a->schedule.units[i].action != PLAN_NONE)
            plan_keys_add(blocked, a->schedule.units[i].key);
    return json_pack("{s:O, s:O, s:o, s:o}", "done", a->done, "failed", a->failed, "blocked", blocked, "leftovers",
                     leftovers(a));
}

static void apply_clear(struct apply *a)
{
    plan_schedule_free(&a->schedule);
    json_decref(a->records);
    json_decref(a->observed);
    json_decref(a->wants);
    json_decref(a->done);
    json_decref(a->failed);
    json_decref(a->held);
    free(a->phase);
    free(a->began);
}

int plan_apply(const struct plan_context *c, const struct plan_graph *g, const json_t *document, const char *approved,
               struct plan_journal *journal, json_t **ret, struct err *err)
{
    char digest[65];
    struct err own = ERR_INIT;
    struct apply a = {.c = c, .g = g, .document = document, .digest = digest, .journal = journal};
    a.err = err ? err : &own;
    a.held = json_array();
    if (ret)
        *ret = NULL;
    int r = check_document(&a, approved, digest, a.err);
    if (r == 0)
        r = observe_all(&a, a.err);
    if (r == 0) {
        plan_schedule_build(g, document, a.records, &a.schedule);
        r = read_phases(&a, a.err);
    }
    if (r == 0)
        r = check_world(&a, a.err);
    if (r == 0) {
        a.done = json_array();
        a.failed = json_array();
        a.wants = json_object();
        skip_replaced(&a);
        run(&a);
        r = a.first;
        if (r == 0 && plan_cancelled(c) && a.finished < a.total)
            r = err_set(a.err, -ECANCELED, "cancelled: %zu of %zu steps are done, apply the same plan to go on",
                        a.finished, a.total);
        if (ret)
            *ret = outcome(&a);
    }
    apply_clear(&a);
    return r;
}
