/* One step on a worker: look first where an earlier attempt may have acted, act, wait until it is so, check it. */
#include "plan/internal.h"

void plan_task_free(struct plan_task *t)
{
    if (!t)
        return;
    json_decref(t->have);
    json_decref(t->want);
    json_decref(t->record);
    json_decref(t->outcome);
    free(t);
}

static struct plan_call call_of(const struct plan_task *t)
{
    return (struct plan_call){.provider = t->c->provider,
                              .infrastructure = t->c->infrastructure,
                              .type = t->type_name,
                              .name = t->name,
                              .token = t->token,
                              .remembered = plan_record_attributes(t->record),
                              .delete_data = t->delete_data,
                              .cancel = t->c->cancel};
}

static void set(json_t **slot, json_t *v)
{
    json_decref(*slot);
    *slot = v;
}

static int look(struct plan_task *t, struct err *err)
{
    struct plan_call call = call_of(t);
    json_t *found = NULL;
    int r = plan_observe_one(t->c, t->type, &call, &found, err);
    if (r == 0)
        set(&t->have, found);
    return r;
}

/* What still has to be done to get from `have` to `want`. */
static int remaining(struct plan_task *t, const json_t *have, const json_t *record, enum plan_action *ret,
                     json_t **ret_why, struct err *err)
{
    autojson json_t *a = NULL, *b OH_CLEANUP(js_decrefp) = NULL;
    int r = plan_attrs_mask(t->type, t->c->infrastructure, t->key, have, &a, err);
    if (r == 0)
        r = plan_attrs_mask(t->type, t->c->infrastructure, t->key, t->want, &b, err);
    if (r == 0)
        *ret = plan_attrs_diff(t->type, a, b, record, ret_why);
    return r;
}

static int64_t ready_limit(const struct plan_task *t)
{
    return clock_mono_ms(t->c->clock) + (t->type->ready_timeout_ms ? t->type->ready_timeout_ms : 60000);
}

/* Looks often at what is ready soon and seldom at what takes long: a pause is a twentieth of the time waited so far, at
 * least a tenth of the type's own (and 10 ms) and at most five times it. */
static int ready_pause(struct plan_task *t, int64_t since, struct err *err)
{
    int64_t poll = t->type->ready_poll_ms ? t->type->ready_poll_ms : 200;
    int64_t least = MAX(poll / 10, (int64_t)10), waited = clock_mono_ms(t->c->clock) - since;
    int64_t pause = MIN(MAX(waited / 20, least), MAX(5 * poll, least));
    int r = plan_sleep(t->c, t->c->poll_max_ms ? MIN(pause, (int64_t)t->c->poll_max_ms) : pause);
    return r < 0 ? err_set(err, r, "cancelled while waiting") : 0;
}

static int wait_gone(struct plan_task *t, struct err *err)
{
    int64_t since = clock_mono_ms(t->c->clock), limit = ready_limit(t);
    for (bool told = false;; told = true) {
        int r = look(t, err);
        if (r < 0 || !t->have)
            return r;
        if (clock_mono_ms(t->c->clock) >= limit)
            return err_set(err, -ETIMEDOUT, "it was asked to go but is still there");
        if (!told)
            plan_pool_report(&t->job, PLAN_EVENT_WAITING, "");
        if ((r = ready_pause(t, since, err)) < 0)
            return r;
    }
}

static int destroy(struct plan_task *t, struct err *err)
{
    struct plan_call call = call_of(t);
    if (!t->have)
        return 0;
    if (t->type->holds_data && !t->delete_data)
        return err_set(err, -EPERM, "it holds data and the plan was not made to delete data");
    int r = t->type->destroy(&call, t->have, err);
    return r < 0 ? r : wait_gone(t, err);
}

static int wait_ready(struct plan_task *t, struct err *err)
{
    struct plan_call call = call_of(t);
    int64_t since = clock_mono_ms(t->c->clock), limit = ready_limit(t);
    for (bool told = false; t->type->ready; told = true) {
        struct err now = ERR_INIT;
        int r = t->type->ready(&call, t->outcome, &now);
        if (r > 0)
            return 0;
        if (r < 0 && r != -EAGAIN)
            return err_set(err, r, "%s", now.message);
        if (clock_mono_ms(t->c->clock) >= limit)
            return err_set(err, -ETIMEDOUT, "it did not become ready in time%s%s", now.message[0] ? ": " : "",
                           now.message);
        if (!told)
            plan_pool_report(&t->job, PLAN_EVENT_WAITING, now.message);
        if ((r = ready_pause(t, since, err)) < 0)
            return r;
    }
    return 0;
}

/* Secrets that the cloud does not give back are what we just set. */
static void fill_secrets(struct plan_task *t)
{
    for (const struct plan_attribute *a = t->type->attributes; a->name; a++) {
        json_t *v = json_object_get(t->want, a->name);
        if ((a->flags & PLAN_SECRET) && v && !json_object_get(t->outcome, a->name))
            json_object_set(t->outcome, a->name, v);
    }
}

static int verify(struct plan_task *t, struct err *err)
{
    enum plan_action left = PLAN_NONE;
    json_t *why = NULL;
    /* Only the names that we ever set count here: what a secret was before says nothing about what it is now. */
    autojson json_t *names = json_object();
    json_object_set(names, "wanted", json_object_get(t->record, "wanted"));
    fill_secrets(t);
    int r = remaining(t, t->outcome, names, &left, &why, err);
    if (r == 0 && left != PLAN_NONE)
        r = err_set(err, -EIO, "the attribute %s did not become what was asked for",
                    json_string_value(json_object_get(json_array_get(why, 0), "attribute")));
    json_decref(why);
    return r;
}

/* Something is there already: take it, change it, or, if an earlier attempt of ours left half of it, make it anew. */
static int adopt(struct plan_task *t, struct err *err)
{
    struct plan_call call = call_of(t);
    enum plan_action left;
    json_t *why = NULL;
    int r = remaining(t, t->have, t->record, &left, &why, err);
    json_decref(why);
    if (r < 0)
        return r;
    if (left == PLAN_NONE) {
        set(&t->outcome, json_incref(t->have));
        return 0;
    }
    if (left == PLAN_CHANGE) {
        set(&t->outcome, NULL);
        return t->type->change(&call, t->have, t->want, &t->outcome, err);
    }
    if (t->action == PLAN_CHANGE || t->type->holds_data)
        return err_set(err, -ESTALE, "it would now have to be replaced, which was not in the plan: plan again");
    return destroy(t, err);
}

static int make(struct plan_task *t, struct err *err)
{
    struct plan_call call = call_of(t);
    int r = 0;
    if (t->have) {
        r = adopt(t, err);
        if (r < 0 || t->outcome)
            return r;
    }
    if (t->action == PLAN_CHANGE)
        return err_set(err, -ESTALE, "it is gone, so it cannot be changed: plan again");
    set(&t->outcome, NULL);
    return t->type->create(&call, t->want, &t->outcome, err);
}

/* What became of the last creation is not known: nothing may be made until it would have been seen. */
static void doubt(struct plan_task *t)
{
    int64_t settle = t->type->settle_ms;
    if (t->c->settle_max_ms)
        settle = MIN(settle, (int64_t)t->c->settle_max_ms);
    if (t->action != PLAN_DESTROY)
        t->doubt_ms = clock_mono_ms(t->c->clock) + settle;
}

static int look_first(struct plan_task *t, struct err *err)
{
    for (int64_t since = clock_mono_ms(t->c->clock);;) {
        int r = look(t, err);
        if (r < 0 || t->have || clock_mono_ms(t->c->clock) >= t->doubt_ms)
            return r;
        if ((r = ready_pause(t, since, err)) < 0)
            return r;
    }
}

static int attempt(struct plan_task *t, bool again, struct err *err)
{
    int r = again ? look_first(t, err) : 0;
    if (r < 0)
        return r;
    if (t->action == PLAN_DESTROY)
        return destroy(t, err);
    set(&t->outcome, NULL);
    r = make(t, err);
    if (r == 0)
        r = wait_ready(t, err);
    return r == 0 ? verify(t, err) : r;
}

void plan_task_run(struct plan_job *j)
{
    struct plan_task *t = CONTAINER_OF(j, struct plan_task, job);
    int64_t limit = clock_mono_ms(t->c->clock) + (t->c->retry_total_ms ? t->c->retry_total_ms : 600000);
    if (t->unsure)
        doubt(t);
    for (int n = 0;; n++) {
        struct err err = ERR_INIT;
        int r = attempt(t, t->again || n > 0, &err);
        if (r < 0 && !err.message[0])
            err_set(&err, r, "%s", strerror(-r));
        if (r == -EAGAIN && clock_mono_ms(t->c->clock) >= limit)
            r = err_set(&t->err, -ETIMEDOUT, "gave up after %d attempts: %.400s", n + 1, err.message);
        else if (r != -EAGAIN)
            t->err = err;
        t->result = r;
        if (r != -EAGAIN)
            return;
        plan_pool_report(j, PLAN_EVENT_RETRY, err.message);
        doubt(t);
        if (plan_sleep(t->c, plan_backoff(t->c, t->token, n)) < 0) {
            t->result = err_set(&t->err, -ECANCELED, "cancelled while waiting to try again");
            return;
        }
    }
}
