/* When to start again what ended unasked: 0.2 s, doubling to 30 s; back to 0.2 s after 60 s of running. Pure. */
#pragma once

#include "base/util.h"

#define RESTART_FIRST_MS 200
#define RESTART_MAX_MS 30000
#define RESTART_STABLE_MS 60000

struct restart {
    int64_t wait_ms; /* the last wait, 0 = none yet. A zeroed struct is a fresh one */
};

/* How long to wait now, after a run of ran_ms milliseconds (0: it could not be started). */
int64_t restart_next(struct restart *r, int64_t ran_ms);
