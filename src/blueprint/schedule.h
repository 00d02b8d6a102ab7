/* What a service is by the hour of the week: its scale as the desired document has it, or that of the entry of its
 * schedule that holds now. The data plane goes by its own clock, so a schedule holds without a control plane too.
 *
 * Document: services[].schedule, a list of {weekdays: [0 = Sunday ...], startHourUtc 0-23, endHourUtc 1-24 (at or below
 * the start: over midnight into the next day), replicas, memoryGb, idleMinutes (0: it never sleeps then), settings
 * (optional: in place of the service's own of these names)}. Hours of two entries may not meet. UTC alone: there is no
 * daylight saving here. */
#pragma once

#include "blueprint/desired.h"

#define WEEK_HOURS 168

/* The hour of the week, from Sunday 00:00 UTC, of a wall time. */
int schedule_hour_of(int64_t now_ms);
/* Which hours of the week a stretch covers; weekdays: bit n for day n. */
void schedule_hours(unsigned weekdays, int start_hour, int end_hour, bool ret[WEEK_HOURS]);

/* Reads `schedule` of a service whose own scale is parsed; desired_parse() calls it. -EINVAL names the field. */
OH_MUST_CHECK int schedule_parse(const json_t *service, const char *place, struct arena *a, struct desired_service *s,
                                 struct err *err);

/* Sets each service's scale to what holds at that wall time. True: one is another than before. */
bool schedule_apply(struct desired *d, int64_t now_ms);
