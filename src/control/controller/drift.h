/* Drift: what in the world differs from what had been reached, and what people decided of it.
 *
 * A difference is drift only while the same is wanted as when all last was so (infrastructure.settled); otherwise it is
 * work that a plan is for. Decisions come through the API (api/drift.c) and act here:
 *   accepted   the world's values are the wanted ones from now on: they go into the desired graph;
 *   ignored    until a time, plans leave what differs in this resource as it is;
 *   reverting  exactly what was looked at is put back, and nothing else; had it changed since, it is open again. */
#pragma once

#include "base/clock.h"
#include "plan/plan.h"
#include "store/store.h"

struct drift {
    struct store *store;
    const struct clock *clock;
    const char *infrastructure, *organization; /* borrowed */
    char wanted[65];                           /* digest of the desired graph before anything was accepted */
    bool settled;                              /* it is what was settled: differences are drift */
    bool due;                                  /* to say when the last look was */
    json_t *rows;                              /* as read */
    char reverted_by[160];                     /* set by drift_hold: the document puts back what this person decided */
};

/* Reads the decisions; the graph is the infrastructure's own, since its services may change what else there is without
 * anything of it being less settled. */
OH_MUST_CHECK int drift_open(struct drift *d, struct store *s, const struct clock *clock, const char *infrastructure,
                             const char *organization, const struct plan_type *const *types, const struct plan_graph *g,
                             struct err *err);
/* Puts what was accepted into the graph. */
OH_MUST_CHECK int drift_accept(const struct drift *d, struct plan_graph *g, struct plan_state *state, struct err *err);
void drift_close(struct drift *d);

/* Writes down what a document of plan_make says that differs (new ones leave an activity), forgets what does not any
 * more, ends what was ignored until now. Nothing unless `settled`. Then drift_hold. */
OH_MUST_CHECK int drift_note(struct drift *d, const json_t *document, struct err *err);
/* Takes out of the document what is ignored, and, when something is to be put back, all else. */
void drift_hold(struct drift *d, json_t *document);
/* Everything is as wanted, but for what people decided. */
OH_MUST_CHECK int drift_settle(struct drift *d, struct err *err);
