/* The rules of sleeping, and their file. */
#include "agent/operator/sleep.h"

#include "agent/operator/state_file.h"

#define MINUTE_MS INT64_C(60000)
#define LAST "lastMs" /* monotonic: of this start of the machine, never kept */

void sleep_open(struct sleep_rules *r, const char *path)
{
    *r = (struct sleep_rules){.path = mem_strdup(path), .services = state_file_read(path)};
}

void sleep_close(struct sleep_rules *r)
{
    free(r->path);
    json_decref(r->services);
    *r = (struct sleep_rules){0};
}

static json_t *record_of(struct sleep_rules *r, const char *id, int64_t now_ms)
{
    json_t *o = json_object_get(r->services, id);
    if (!json_is_object(o)) {
        o = json_object();
        json_object_set_new(r->services, id, o);
    }
    if (!json_object_get(o, LAST))
        json_object_set_new(o, LAST, json_integer(now_ms));
    return o;
}

static void set(struct sleep_rules *r, json_t *o, const char *name, json_t *value)
{
    if (json_equal(json_object_get(o, name), value)) {
        json_decref(value);
        return;
    }
    json_object_set_new(o, name, value);
    r->dirty = true;
}

/* True once for each request. */
static bool asked_to_wake(struct sleep_rules *r, json_t *o, const struct desired_service *s)
{
    if (s->awake_asked_ms <= json_integer_value(json_object_get(o, "awakeMs")))
        return false;
    set(r, o, "awakeMs", json_integer(s->awake_asked_ms));
    return true;
}

static enum sleep_verdict sleep_no_more(struct sleep_rules *r, const struct desired_service *s,
                                        const struct sleep_facts *f)
{
    json_t *o = json_object_get(r->services, s->id);
    if (s->state == DESIRED_RUNNING && o && !f->serves) {
        set(r, o, "asleep", json_false());
        return SLEEP_RISING;
    }
    r->dirty |= json_object_del(r->services, s->id) == 0;
    return SLEEP_AWAKE;
}

enum sleep_verdict sleep_judge(struct sleep_rules *r, const struct desired_service *s, const struct sleep_facts *f,
                               int64_t now_ms, int64_t *again_ms)
{
    if (s->state != DESIRED_RUNNING || !s->idle_minutes)
        return sleep_no_more(r, s, f);
    json_t *o = record_of(r, s->id, now_ms);
    bool asleep = json_is_true(json_object_get(o, "asleep")), woken = asked_to_wake(r, o, s) || f->waited;
    if (woken || (!asleep && (!f->serves || f->queried)))
        json_object_set_new(o, LAST, json_integer(now_ms));
    int64_t due = json_integer_value(json_object_get(o, LAST)) + s->idle_minutes * MINUTE_MS;
    if (woken)
        asleep = false;
    else if (!asleep && now_ms >= due)
        asleep = f->known && f->fresh && !f->busy;
    if (!asleep && now_ms < due)
        *again_ms = MIN(*again_ms, due);
    set(r, o, "asleep", json_boolean(asleep));
    return asleep ? SLEEP_ASLEEP : SLEEP_AWAKE;
}

static bool in_document(const struct desired *d, const char *id)
{
    for (size_t i = 0; i < d->n_services; i++)
        if (!strcmp(d->services[i].id, id))
            return true;
    return false;
}

int sleep_keep(struct sleep_rules *r, const struct desired *d, struct err *err)
{
    const char *id;
    json_t *o;
    void *next;
    json_object_foreach_safe(r->services, next, id, o)
    {
        if (!in_document(d, id) && json_object_del(r->services, id) == 0)
            r->dirty = true;
    }
    if (!r->dirty)
        return 0;
    autojson json_t *kept = json_deep_copy(r->services);
    json_object_foreach(kept, id, o)
    {
        json_object_del(o, LAST);
    }
    int n = state_file_write(r->path, kept, err);
    r->dirty = n < 0;
    return n;
}
