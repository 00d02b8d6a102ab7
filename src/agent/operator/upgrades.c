/* Keeps an engine's image until its service's upgrade window. */
#include "agent/operator/upgrades.h"

#include "agent/operator/state_file.h"
#include "base/mem.h"
#include "blueprint/blueprint.h"

#define HOUR_MS 3600000LL
#define WEEK_MS (168 * HOUR_MS)
#define FIRST_SUNDAY_MS (72 * HOUR_MS) /* 1970-01-01 was a Thursday */

void upgrades_open(struct upgrades *u, const char *path)
{
    *u = (struct upgrades){.path = mem_strdup(path), .images = state_file_read(path)};
}

void upgrades_free(struct upgrades *u)
{
    free(u->path);
    json_decref(u->images);
    json_decref(u->held);
    *u = (struct upgrades){0};
}

int64_t upgrades_opening(const struct desired_window *w, int64_t now_ms)
{
    int64_t start = (w->weekday * 24 + w->start_hour) * HOUR_MS, in_week = (now_ms - FIRST_SUNDAY_MS) % WEEK_MS;
    int64_t since = (in_week - start + 2 * WEEK_MS) % WEEK_MS; /* the last start was so long ago */
    return since < w->hours * HOUR_MS ? now_ms : now_ms + WEEK_MS - since;
}

static const struct desired_service *service_of(const struct desired *d, const struct workload *w)
{
    const char *id = workload_label(w, BLUEPRINT_SERVICE);
    for (size_t i = 0; id && i < d->n_services; i++)
        if (!strcmp(d->services[i].id, id))
            return &d->services[i];
    return NULL;
}

/* 0: the wished image may be taken up now; else when its window opens. */
static int64_t held_until(const struct desired_service *s, int64_t now_ms)
{
    if (!s->window || s->state != DESIRED_RUNNING)
        return 0;
    int64_t at = upgrades_opening(s->window, now_ms);
    return at > now_ms ? at : 0;
}

static void forget_gone(struct upgrades *u, const struct desired *d)
{
    const char *id;
    json_t *image;
    void *next;
    json_object_foreach_safe(u->images, next, id, image)
    {
        bool there = false;
        for (size_t i = 0; i < d->n_services; i++)
            there |= !strcmp(d->services[i].id, id);
        if (!there)
            json_object_del(u->images, id);
    }
}

/* `before` comes back where it cannot be written; taken over. */
static int keep(struct upgrades *u, json_t *before, struct err *err)
{
    autojson json_t *owned = before;
    int r = state_file_write(u->path, u->images, err);
    if (r < 0) {
        json_decref(u->images);
        u->images = json_incref(owned);
    }
    return r;
}

void upgrades_begin(struct upgrades *u, const struct desired *d)
{
    u->before = json_deep_copy(u->images);
    u->due_ms = 0;
    json_decref(u->held);
    u->held = json_object();
    forget_gone(u, d);
}

void upgrades_add(struct upgrades *u, const struct desired *d, int64_t now_ms, struct workload_list *part)
{
    for (size_t i = 0; i < part->n; i++) {
        struct workload *w = &part->items[i];
        const struct desired_service *s = w->image ? service_of(d, w) : NULL;
        if (!s)
            continue;
        const char *in_force = json_string_value(json_object_get(u->images, s->id));
        int64_t until = in_force && strcmp(in_force, w->image) ? held_until(s, now_ms) : 0;
        if (until) {
            json_object_set_new(u->held, s->id, json_string(w->image));
            w->image = arena_strdup(part->arena, in_force);
            u->due_ms = u->due_ms ? MIN(u->due_ms, until) : until;
        } else {
            json_object_set_new(u->images, s->id, json_string(w->image));
        }
    }
}

int upgrades_end(struct upgrades *u, bool done, struct err *err)
{
    autojson json_t *before = TAKE_PTR(u->before);
    if (done)
        return json_equal(before, u->images) ? 0 : keep(u, TAKE_PTR(before), err);
    json_decref(u->images);
    u->images = TAKE_PTR(before);
    return 0;
}

int upgrades_apply(struct upgrades *u, const struct desired *d, int64_t now_ms, struct workload_list *list,
                   struct err *err)
{
    upgrades_begin(u, d);
    upgrades_add(u, d, now_ms, list);
    return upgrades_end(u, true, err);
}

int upgrades_now(struct upgrades *u, const char *service, struct err *err)
{
    json_t *image = json_object_get(u->held, service);
    if (!image)
        return err_set(err, -ENOENT, "no other image waits for this service's upgrade window");
    json_t *before = json_deep_copy(u->images);
    json_object_set(u->images, service, image);
    return keep(u, before, err);
}

bool upgrades_due(const struct upgrades *u, int64_t now_ms)
{
    return u->due_ms && u->due_ms <= now_ms;
}
