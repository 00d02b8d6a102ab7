/* Weighs a service's base scaling and its schedule. */
#include "control/scaling.h"

static int64_t number(const json_t *o, const char *name, int64_t fallback)
{
    const json_t *v = json_object_get(o, name);
    return json_is_number(v) ? (int64_t)json_number_value(v) : fallback;
}

static bool flag(const json_t *o, const char *name, bool fallback)
{
    const json_t *v = json_object_get(o, name);
    return v ? json_is_true(v) : fallback;
}

int scaling_hour_of(int64_t now_ms)
{
    return schedule_hour_of(now_ms);
}

void scaling_hours(const json_t *entry, bool ret[SCALING_WEEK_HOURS])
{
    int64_t start = number(entry, "startHourUtc", 0), end = number(entry, "endHourUtc", 0);
    const json_t *day;
    unsigned weekdays = 0;
    size_t i;
    json_array_foreach(json_object_get(entry, "weekdays"), i, day)
    {
        weekdays |= 1U << (json_integer_value(day) & 7);
    }
    schedule_hours(weekdays, (int)start, (int)end, ret);
}

static const json_t *entry_at(const json_t *spec, int64_t now_ms)
{
    int now = scaling_hour_of(now_ms);
    const json_t *entry;
    size_t i;
    json_array_foreach(json_object_get(spec, "scalingSchedule"), i, entry)
    {
        bool hours[SCALING_WEEK_HOURS];
        scaling_hours(entry, hours);
        if (hours[now])
            return entry;
    }
    return NULL;
}

/* Fields that `from` does not have keep their values. */
static void take(const json_t *from, struct scaling *s)
{
    const char *mode = json_string_value(json_object_get(from, "autoscalingMode"));
    int64_t count = number(from, "numReplicas", 0);
    if (mode)
        s->horizontal = !strcmp(mode, "horizontal");
    s->min_memory_gb = number(from, "minReplicaMemoryGb", s->min_memory_gb);
    s->max_memory_gb = number(from, "maxReplicaMemoryGb", s->max_memory_gb);
    s->min_replicas = number(from, "minReplicas", count ? count : s->min_replicas);
    s->max_replicas = number(from, "maxReplicas", count ? count : s->max_replicas);
    s->idle = flag(from, "idleScaling", s->idle);
    s->idle_minutes = number(from, "idleTimeoutMinutes", s->idle_minutes);
}

void scaling_base(const json_t *spec, struct scaling *ret)
{
    *ret = (struct scaling){
        .min_memory_gb = 8, .max_memory_gb = 8, .min_replicas = 1, .max_replicas = 1, .idle = true, .idle_minutes = 15};
    take(spec, ret);
}

void scaling_of(const json_t *spec, const json_t *entry, struct scaling *ret)
{
    scaling_base(spec, ret);
    take(entry, ret);
    /* A vertical entry without a count, over a horizontal base, has no count of its own: the smallest one holds. */
    if (!ret->horizontal)
        ret->max_replicas = ret->min_replicas;
    ret->entry = json_string_value(json_object_get(entry, "id"));
}

void scaling_at(const json_t *spec, int64_t now_ms, struct scaling *ret)
{
    const json_t *entry = entry_at(spec, now_ms);
    if (entry)
        scaling_of(spec, entry, ret);
    else
        scaling_base(spec, ret);
}
