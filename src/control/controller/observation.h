/* Takes up what an agent observed into the service rows: published states, and the end of deleted services. */
#pragma once

#include "base/clock.h"
#include "store/store.h"

/* Level-triggered over the latest `observed` row of the infrastructure; changes nothing when nothing changed. */
OH_MUST_CHECK int observation_apply(struct store *s, const struct clock *clock, const char *infrastructure,
                                    struct err *err);
