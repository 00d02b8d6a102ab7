/* Reads services' schedules and says what holds when. */
#include "blueprint/schedule.h"

#include "base/mem.h"

#define HOUR_MS INT64_C(3600000)
#define EPOCH_WEEKDAY 4 /* 1970-01-01 was a Thursday */
#define PLACE_SIZE 160

int schedule_hour_of(int64_t now_ms)
{
    return (int)((now_ms / HOUR_MS + EPOCH_WEEKDAY * 24) % WEEK_HOURS);
}

void schedule_hours(unsigned weekdays, int start_hour, int end_hour, bool ret[WEEK_HOURS])
{
    int end = end_hour > start_hour ? end_hour : end_hour + 24;
    memset(ret, 0, WEEK_HOURS * sizeof(*ret));
    for (int day = 0; day < 7; day++)
        for (int hour = start_hour; (weekdays >> day & 1) && hour < end; hour++)
            ret[(day * 24 + hour) % WEEK_HOURS] = true;
}

static int parse_weekdays(const json_t *o, const char *place, unsigned *ret, struct err *err)
{
    json_t *list = NULL;
    int r = js_array(o, place, "weekdays", 7, &list, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *day = json_array_get(list, i);
        if (!json_is_integer(day) || json_integer_value(day) < 0 || json_integer_value(day) > 6)
            return err_set(err, -EINVAL, "%s.weekdays[%zu]: must be 0 (Sunday) to 6", place, i);
        *ret |= 1U << json_integer_value(day);
    }
    return *ret ? 0 : err_set(err, -EINVAL, "%s.weekdays: must name one day at least", place);
}

/* The service's own settings, but for those that the entry has too; both are in the order of settings.h. */
static void join_settings(const struct desired_scale *own, struct desired_scale *entry, struct arena *a)
{
    struct desired_setting *all = arena_alloc(a, (own->n_settings + entry->n_settings + 1) * sizeof(*all));
    size_t n = 0, i = 0, k = 0;
    while (i < own->n_settings || k < entry->n_settings) {
        const struct setting *x = i < own->n_settings ? own->settings[i].setting : NULL,
                             *y = k < entry->n_settings ? entry->settings[k].setting : NULL;
        i += x && (!y || x <= y);
        all[n++] = y && (!x || y <= x) ? entry->settings[k++] : own->settings[i - 1];
    }
    entry->settings = all;
    entry->n_settings = n;
}

static int parse_entry(const json_t *o, const char *place, struct arena *a, const struct desired_scale *own,
                       struct desired_entry *e, struct err *err)
{
    static const char *const known[] = {"weekdays", "startHourUtc", "endHourUtc", "replicas",
                                        "memoryGb", "idleMinutes",  "settings",   NULL};
    int64_t start = 0, end = 0, replicas = 0, memory_gb = 0, idle = 0;
    int r = json_is_object(o) ? js_only(o, place, known, err) : err_set(err, -EINVAL, "%s: must be an object", place);
    if (r < 0 || (r = parse_weekdays(o, place, &e->weekdays, err)) < 0 ||
        (r = js_int(o, place, "startHourUtc", 0, 23, &start, err)) < 0 ||
        (r = js_int(o, place, "endHourUtc", 1, 24, &end, err)) < 0 ||
        (r = js_int(o, place, "replicas", 1, DESIRED_MAX_REPLICAS, &replicas, err)) < 0 ||
        (r = js_int(o, place, "memoryGb", 1, DESIRED_MAX_MEMORY_GB, &memory_gb, err)) < 0 ||
        (r = js_int(o, place, "idleMinutes", 0, DESIRED_IDLE_MINUTES_MAX, &idle, err)) < 0 ||
        (r = desired_settings_parse(o, place, a, &e->scale.settings, &e->scale.n_settings, err)) < 0)
        return r;
    e->start_hour = (int)start;
    e->end_hour = (int)end;
    e->scale.replicas = (int)replicas;
    e->scale.memory_bytes = memory_gb << 30;
    e->scale.idle_minutes = (int)idle;
    join_settings(own, &e->scale, a);
    return 0;
}

/* owner: index + 1 of the entry that has the hour. */
static int claim(const struct desired_entry *e, size_t i, const char *place, uint8_t owner[WEEK_HOURS], struct err *err)
{
    bool hours[WEEK_HOURS];
    schedule_hours(e->weekdays, e->start_hour, e->end_hour, hours);
    for (int h = 0; h < WEEK_HOURS; h++) {
        if (hours[h] && owner[h])
            return err_set(err, -EINVAL, "%s: meets schedule[%d] in hour %d of the week", place, owner[h] - 1, h);
        if (hours[h])
            owner[h] = (uint8_t)(i + 1);
    }
    return 0;
}

int schedule_parse(const json_t *service, const char *place, struct arena *a, struct desired_service *s,
                   struct err *err)
{
    json_t *list = NULL;
    uint8_t owner[WEEK_HOURS] = {0};
    s->own = (struct desired_scale){s->replicas, s->memory_bytes, s->idle_minutes, s->settings, s->n_settings};
    if (!json_object_get(service, "schedule"))
        return 0;
    int r = js_array(service, place, "schedule", DESIRED_MAX_ENTRIES, &list, err);
    if (r < 0)
        return r;
    s->schedule = arena_alloc(a, (json_array_size(list) + 1) * sizeof(*s->schedule));
    for (size_t i = 0; i < json_array_size(list); i++) {
        char at[PLACE_SIZE];
        snprintf(at, sizeof(at), "%s.schedule[%zu]", place, i);
        r = parse_entry(json_array_get(list, i), at, a, &s->own, &s->schedule[i], err);
        if (r == 0)
            r = claim(&s->schedule[i], i, at, owner, err);
        if (r < 0)
            return r;
        s->n_schedule = i + 1;
    }
    return 0;
}

static const struct desired_scale *scale_at(const struct desired_service *s, int hour)
{
    for (size_t i = 0; i < s->n_schedule; i++) {
        const struct desired_entry *e = &s->schedule[i];
        bool hours[WEEK_HOURS];
        schedule_hours(e->weekdays, e->start_hour, e->end_hour, hours);
        if (hours[hour])
            return &e->scale;
    }
    return &s->own;
}

static bool same_settings(const struct desired_scale *x, const struct desired_service *s)
{
    if (x->n_settings != s->n_settings)
        return false;
    for (size_t i = 0; i < x->n_settings; i++)
        if (x->settings[i].setting != s->settings[i].setting || strcmp(x->settings[i].value, s->settings[i].value))
            return false;
    return true;
}

static bool take(const struct desired_scale *x, struct desired_service *s)
{
    bool same = x->replicas == s->replicas && x->memory_bytes == s->memory_bytes &&
                x->idle_minutes == s->idle_minutes && same_settings(x, s);
    s->replicas = x->replicas;
    s->memory_bytes = x->memory_bytes;
    s->idle_minutes = x->idle_minutes;
    s->settings = x->settings;
    s->n_settings = x->n_settings;
    return !same;
}

bool schedule_apply(struct desired *d, int64_t now_ms)
{
    int hour = schedule_hour_of(now_ms);
    bool changed = false;
    for (size_t i = 0; i < d->n_services; i++)
        if (d->services[i].n_schedule)
            changed |= take(scale_at(&d->services[i], hour), &d->services[i]);
    return changed;
}
