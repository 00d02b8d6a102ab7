/* Observing: what is there now of everything desired and everything remembered, many at a time. */
#include "plan/internal.h"

struct look {
    struct plan_job job; /* first */
    const struct plan_context *c;
    const struct plan_type *type;
    struct plan_call call;
    char type_name[PLAN_NAME_MAX + 1], name[PLAN_NAME_MAX + 1];
    json_t *found;
    int result;
    struct err err;
};

int plan_observe_one(const struct plan_context *c, const struct plan_type *t, const struct plan_call *call,
                     json_t **ret, struct err *err)
{
    int64_t limit = clock_mono_ms(c->clock) + (c->retry_total_ms ? c->retry_total_ms : 600000);
    for (int attempt = 0;; attempt++) {
        struct err now = ERR_INIT;
        json_t *found = NULL;
        int r = t->observe(call, &found, &now);
        if (r == 0) {
            *ret = found;
            return 0;
        }
        if (r != -EAGAIN || clock_mono_ms(c->clock) >= limit)
            return err_set(err, r == -EAGAIN ? -ETIMEDOUT : r, "cannot see the state of %s.%s: %.400s", call->type,
                           call->name, now.message[0] ? now.message : strerror(-r));
        if (plan_sleep(c, plan_backoff(c, call->name, attempt)) < 0)
            return err_set(err, -ECANCELED, "cancelled while looking at %s.%s", call->type, call->name);
    }
}

static void look_run(struct plan_job *j)
{
    struct look *l = CONTAINER_OF(j, struct look, job);
    l->result = plan_cancelled(l->c) ? err_set(&l->err, -ECANCELED, "cancelled")
                                     : plan_observe_one(l->c, l->type, &l->call, &l->found, &l->err);
}

static int look_init(struct look *l, const struct plan_context *c, const char *key, const json_t *records,
                     struct err *err)
{
    l->job.run = look_run;
    l->c = c;
    if (!plan_key_split(key, l->type_name, l->name))
        return err_set(err, -EINVAL, "\"%.100s\" is not the key of a resource", key);
    l->type = plan_type_find(c->types, l->type_name);
    if (!l->type)
        return err_set(err, -ENOTSUP, "resource %s: there is no resource type \"%s\"", key, l->type_name);
    l->call = (struct plan_call){.provider = c->provider,
                                 .infrastructure = c->infrastructure,
                                 .type = l->type_name,
                                 .name = l->name,
                                 .token = "",
                                 .remembered = plan_record_attributes(json_object_get(records, key)),
                                 .cancel = c->cancel};
    return 0;
}

int plan_observe(const struct plan_context *c, const json_t *keys, const json_t *records, json_t **ret, struct err *err)
{
    static atomic_uint count;
    unsigned number = atomic_fetch_add(&count, 1) + 1;
    size_t n = json_array_size(keys);
    autofree struct look *looks = mem_alloc((n + 1) * sizeof(*looks));
    autojson json_t *all = json_object();
    int r = 0;
    for (size_t i = 0; i < n && r == 0; i++)
        r = look_init(&looks[i], c, json_string_value(json_array_get(keys, i)), records, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < n; i++)
        looks[i].call.look = number ? number : 1;
    struct plan_pool *pool = plan_pool_new(c->threads > 0 ? c->threads : PLAN_THREADS);
    for (size_t i = 0; i < n; i++)
        plan_pool_submit(pool, &looks[i].job);
    for (struct plan_report *report; (report = plan_pool_next(pool));)
        free(report);
    plan_pool_free(pool);
    for (size_t i = 0; i < n; i++) {
        json_object_set_new(all, json_string_value(json_array_get(keys, i)),
                            looks[i].found ? looks[i].found : json_null());
        if (looks[i].result < 0 && r == 0)
            r = err_set(err, looks[i].result, "%s", looks[i].err.message);
    }
    if (r == 0)
        *ret = TAKE_PTR(all);
    return r;
}

int plan_records(const struct plan_context *c, const json_t *list, json_t **ret, struct err *err)
{
    size_t i;
    json_t *item;
    autojson json_t *all = json_object();
    json_array_foreach(list, i, item)
    {
        const char *type = json_string_value(json_object_get(item, "type"));
        const char *name = json_string_value(json_object_get(item, "name"));
        json_t *record = json_object_get(item, "record");
        if (!type || !name || !plan_name_valid(type) || !plan_name_valid(name) || !json_is_object(record))
            return err_set(err, -EBADMSG, "the remembered state holds something that is not a resource's record");
        if (!plan_type_find(c->types, type))
            return err_set(err, -ENOTSUP,
                           "the remembered state holds %s.%s, but there is no resource type \"%s\" in this release",
                           type, name, type);
        char key[PLAN_KEY_SIZE];
        snprintf(key, sizeof(key), "%s.%s", type, name);
        json_object_set(all, key, record);
    }
    *ret = TAKE_PTR(all);
    return 0;
}

int plan_look(const struct plan_context *c, const json_t *keys, json_t **ret, struct err *err)
{
    autojson json_t *list = NULL, *records OH_CLEANUP(js_decrefp) = NULL;
    int r = c->state->list(c->state, &list, err);
    if (r == 0)
        r = plan_records(c, list, &records, err);
    return r < 0 ? r : plan_observe(c, keys, records, ret, err);
}

int plan_make(const struct plan_context *c, const struct plan_graph *g, enum plan_kind kind, bool delete_data,
              json_t **ret, struct err *err)
{
    const char *key;
    json_t *v;
    autojson json_t *list = NULL, *records OH_CLEANUP(js_decrefp) = NULL, *observed OH_CLEANUP(js_decrefp) = NULL;
    autojson json_t *keys = json_array();
    int r = plan_graph_check(g, c->types, err);
    if (r == 0)
        r = c->state->list(c->state, &list, err);
    if (r == 0)
        r = plan_records(c, list, &records, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < g->n; i++)
        json_array_append_new(keys, json_string(g->nodes[i].key));
    json_object_foreach(records, key, v)
    {
        if (!plan_graph_find(g, key))
            json_array_append_new(keys, json_string(key));
    }
    r = plan_observe(c, keys, records, &observed, err);
    return r < 0 ? r : plan_diff(c, g, kind, delete_data, observed, list, ret, err);
}
