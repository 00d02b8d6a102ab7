/* The plan engine's remembered state and journal, kept in the store. */
#pragma once

#include "base/clock.h"
#include "control/controller/lease.h"
#include "plan/plan.h"
#include "store/store.h"

struct plan_store {
    struct plan_state state;     /* pass &p.state to the engine */
    struct plan_journal journal; /* and &p.journal */
    struct store *store;         /* borrowed; used only on the engine's calling thread */
    const struct clock *clock;
    const struct lease *lease;            /* renewed before each step; NULL: none is held */
    const char *infrastructure, *plan_id; /* borrowed; plan_id is needed for the journal only */
};

void plan_store_init(struct plan_store *p, struct store *store, const struct clock *clock, const char *infrastructure,
                     const char *plan_id);
