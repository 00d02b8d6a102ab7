/* How a service is to be scaled at a given time: its base configuration, or the entry of its schedule that holds then.
 *
 * A specification (control/api/service_spec.h) has the base fields autoscalingMode, minReplicaMemoryGb,
 * maxReplicaMemoryGb, numReplicas or minReplicas and maxReplicas, idleScaling and idleTimeoutMinutes, and may have
 * scalingSchedule: a list of entries with id, weekdays (0 = Sunday), startHourUtc (0-23, from), endHourUtc (1-24, up
 * to; below the start: over midnight into the next day), and those same fields but numReplicas, each of which stands in
 * for the base one. Rules: published API, ScalingSchedule. Pure. */
#pragma once

#include "base/js.h"
#include "blueprint/schedule.h"

#define SCALING_WEEK_HOURS WEEK_HOURS
#define SCALING_ENTRIES_MAX 100

struct scaling {
    bool horizontal;
    int64_t min_memory_gb, max_memory_gb; /* of each replica */
    int64_t min_replicas, max_replicas;   /* equal when vertical */
    bool idle;
    int64_t idle_minutes;
    const char *entry; /* id of the entry that holds, NULL: the base configuration does; borrowed from the spec */
};

/* now_ms: wall time. */
void scaling_at(const json_t *spec, int64_t now_ms, struct scaling *ret);
/* The base configuration, whatever the schedule says. */
void scaling_base(const json_t *spec, struct scaling *ret);

/* What holds in the hours of an entry of the schedule. */
void scaling_of(const json_t *spec, const json_t *entry, struct scaling *ret);

/* The hours of the week, from Sunday 00:00 UTC, that an entry covers. */
void scaling_hours(const json_t *entry, bool ret[SCALING_WEEK_HOURS]);
/* The hour of the week of a time. */
int scaling_hour_of(int64_t now_ms);
