/* What a service does by the clock: its scaling schedule and its upgrade window. */
#include "control/api/handlers.h"
#include "control/api/scaling_rules.h"
#include "control/api/service_change.h"
#include "control/api/service_view.h"
#include "control/identity/access.h"
#include "control/scaling.h"

#define SCHEDULE "scalingSchedule"
#define SETTINGS "clickhouseSettings"
#define SETTINGS_PERMISSION "control-plane:service:manage" /* what setting them for good takes */
#define WINDOW "upgradeWindow"
#define WINDOW_HOURS 6

/* --- the scaling schedule --- */

static json_t *entry_view(const json_t *entry, int64_t now)
{
    bool hours[SCALING_WEEK_HOURS];
    json_t *v = json_copy((json_t *)(uintptr_t)entry);
    scaling_hours(entry, hours);
    json_object_set_new(v, "isActiveNow", json_boolean(hours[scaling_hour_of(now)]));
    return v;
}

static json_t *base_view(const json_t *spec)
{
    struct scaling s;
    scaling_base(spec, &s);
    return json_pack("{s:s,s:I,s:I,s:I,s:I,s:b,s:I}", "autoscalingMode", s.horizontal ? "horizontal" : "vertical",
                     "minReplicaMemoryGb", s.min_memory_gb, "maxReplicaMemoryGb", s.max_memory_gb, "minReplicas",
                     s.min_replicas, "maxReplicas", s.max_replicas, "idleScaling", s.idle, "idleTimeoutMinutes",
                     s.idle_minutes);
}

json_t *service_schedule_view(const json_t *spec, int64_t now)
{
    json_t *entries = json_array(), *v;
    const json_t *entry;
    struct scaling s;
    size_t i;
    json_array_foreach(json_object_get(spec, SCHEDULE), i, entry)
    {
        json_array_append_new(entries, entry_view(entry, now));
    }
    scaling_at(spec, now, &s);
    /* Of a schedule that was cleared there is no base either: so the published API answers. */
    v = json_pack("{s:O,s:o}", "entries", entries, "baseConfig",
                  json_array_size(entries) ? base_view(spec) : json_object());
    if (s.entry)
        json_object_set_new(v, "activeEntryId", json_string(s.entry));
    json_decref(entries);
    return v;
}

int scaling_schedule_get(struct api_request *q, struct err *err)
{
    autochange struct service_change c = {0};
    int r = service_change_read(q, &c, err);
    if (r < 0)
        return r;
    if (!json_object_get(c.spec, SCHEDULE))
        return api_missing(q, "scaling schedule");
    q->result = service_schedule_view(c.spec, q->now);
    return 0;
}

/* An entry must do over the base configuration as it is now. The API's numReplicas is told as an equal band. */
static int check_scaling(struct api_request *q, const char *place, const json_t *wanted, const json_t *spec)
{
    autojson json_t *base = json_deep_copy(spec), *asked = json_copy((json_t *)(uintptr_t)wanted);
    bool horizontal = !strcmp(json_string_value(json_object_get(wanted, "autoscalingMode")), "horizontal");
    if (!json_object_get(wanted, "minReplicaMemoryGb") != !json_object_get(wanted, "maxReplicaMemoryGb"))
        return api_refuse(q, 400, "%sminReplicaMemoryGb: comes together with maxReplicaMemoryGb, or neither", place);
    if (horizontal && !json_object_get(wanted, "minReplicaMemoryGb"))
        return api_refuse(q, 400, "%sminReplicaMemoryGb: is required with horizontal autoscaling", place);
    if (horizontal) {
        json_object_del(base, "minReplicas");
        json_object_del(base, "maxReplicas");
    } else if (!json_object_get(base, "numReplicas")) {
        json_object_set(base, "numReplicas", json_object_get(base, "minReplicas"));
    }
    return scaling_rules_take(q, place, asked, base);
}

/* Who may scale may not set more than that by way of the schedule. */
static int take_settings(struct api_request *q, const char *place, json_t *entry)
{
    json_t *wanted = json_object_get(entry, SETTINGS), *stored = NULL;
    const char *resource = arena_printf(q->arena, "instance/%s", q->match.path[1]);
    if (!wanted)
        return 0;
    if (!access_allows(q->who.roles, q->who.policies, SETTINGS_PERMISSION, resource))
        return api_refuse(q, 403, "%s" SETTINGS ": takes the permission " SETTINGS_PERMISSION, place);
    int r = clickhouse_settings_take(q, arena_printf(q->arena, "%s" SETTINGS, place), wanted, &stored);
    if (r == 0)
        json_object_set_new(entry, SETTINGS, stored);
    return r;
}

static int new_entry(struct api_request *q, size_t i, const json_t *wanted, const json_t *spec, json_t **ret)
{
    autojson json_t *entry = json_copy((json_t *)(uintptr_t)wanted);
    const char *place = arena_printf(q->arena, "entries[%zu].", i);
    json_t *count = json_object_get(wanted, "numReplicas");
    char id[UUID_SIZE];
    uuid_new(id);
    if (json_equal(json_object_get(entry, "startHourUtc"), json_object_get(entry, "endHourUtc")))
        return api_refuse(q, 400, "%sendHourUtc: must differ from startHourUtc", place);
    if (!json_object_get(entry, "autoscalingMode"))
        json_object_set_new(entry, "autoscalingMode", json_string("vertical"));
    int r = check_scaling(q, place, entry, spec);
    if (r == 0)
        r = take_settings(q, place, entry);
    if (r < 0)
        return r;
    if (count) {
        json_object_set(entry, "minReplicas", count);
        json_object_set(entry, "maxReplicas", count);
        json_object_del(entry, "numReplicas");
    }
    json_object_set_new(entry, "id", json_string(id));
    *ret = TAKE_PTR(entry);
    return 0;
}

/* owner: which entry has each hour, -1 = none so far. */
static int claim_hours(struct api_request *q, size_t i, const json_t *entry, int owner[SCALING_WEEK_HOURS])
{
    static const char *const days[] = {"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"};
    bool hours[SCALING_WEEK_HOURS];
    scaling_hours(entry, hours);
    for (int hour = 0; hour < SCALING_WEEK_HOURS; hour++) {
        if (hours[hour] && owner[hour] >= 0)
            return api_refuse(q, 400, "entries[%zu]: overlaps with entries[%d] on %s at %02d:00 UTC", i, owner[hour],
                              days[hour / 24], hour % 24);
        if (hours[hour])
            owner[hour] = (int)i;
    }
    return 0;
}

static int new_entries(struct api_request *q, const json_t *spec, json_t **ret)
{
    autojson json_t *list = json_array();
    int owner[SCALING_WEEK_HOURS];
    const json_t *wanted;
    size_t i;
    memset(owner, -1, sizeof(owner));
    json_array_foreach(api_body(q, "entries"), i, wanted)
    {
        json_t *entry = NULL;
        int r = new_entry(q, i, wanted, spec, &entry);
        if (r < 0)
            return r;
        json_array_append_new(list, entry);
        r = claim_hours(q, i, entry, owner);
        if (r < 0)
            return r;
    }
    *ret = TAKE_PTR(list);
    return 0;
}

int scaling_schedule_upsert(struct api_request *q, struct err *err)
{
    autochange struct service_change c = {0};
    autojson json_t *entries = NULL;
    int r = service_change_begin(q, &c, err);
    if (r == 0)
        r = new_entries(q, c.spec, &entries);
    if (r < 0)
        return r;
    bool had = json_object_get(c.spec, SCHEDULE) != NULL, clear = json_array_size(entries) == 0;
    if (clear)
        json_object_del(c.spec, SCHEDULE);
    else
        json_object_set(c.spec, SCHEDULE, entries);
    q->result = service_schedule_view(c.spec, q->now);
    if (clear && !had)
        return 0;
    return service_change_finish(q, &c, "service_update_scaling_schedule", clear ? "cleared" : NULL, err);
}

/* --- both --- */

static int remove_part(struct api_request *q, const char *field, const char *kind, const char *activity,
                       struct err *err)
{
    autochange struct service_change c = {0};
    int r = service_change_begin(q, &c, err);
    if (r < 0)
        return r;
    if (json_object_del(c.spec, field) < 0)
        return api_missing(q, kind);
    return service_change_finish(q, &c, activity, "removed", err);
}

int scaling_schedule_delete(struct api_request *q, struct err *err)
{
    return remove_part(q, SCHEDULE, "scaling schedule", "service_update_scaling_schedule", err);
}

/* --- the upgrade window --- */

int upgrade_window_get(struct api_request *q, struct err *err)
{
    autochange struct service_change c = {0};
    int r = service_change_read(q, &c, err);
    if (r < 0)
        return r;
    q->result = json_incref(json_object_get(c.spec, WINDOW));
    return q->result ? 0 : api_missing(q, "upgrade window");
}

int upgrade_window_put(struct api_request *q, struct err *err)
{
    autochange struct service_change c = {0};
    int r = service_change_begin(q, &c, err);
    if (r < 0)
        return r;
    q->result = json_pack("{s:O,s:O,s:i}", "weekday", api_body(q, "weekday"), "startHourUtc",
                          api_body(q, "startHourUtc"), "duration", WINDOW_HOURS);
    if (json_equal(q->result, json_object_get(c.spec, WINDOW)))
        return 0;
    json_object_set(c.spec, WINDOW, q->result);
    return service_change_finish(q, &c, "service_update_upgrade_window", NULL, err);
}

int upgrade_window_delete(struct api_request *q, struct err *err)
{
    return remove_part(q, WINDOW, "upgrade window", "service_update_upgrade_window", err);
}
