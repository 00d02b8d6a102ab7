/* The right to apply one infrastructure's plans, held by one controller at a time and proven with each step.
 *
 * The lease ends by itself; while it is held each step renews it in the very statement that writes the journal, so that
 * a controller that lost it (it slept, its machine was paused) cannot begin another step: its epoch is no longer the
 * row's. */
#pragma once

#include "base/clock.h"
#include "store/store.h"

#define LEASE_MS (10 * 60 * 1000) /* longer than any single call; steps that wait longer renew in between */

struct lease {
    const char *infrastructure; /* borrowed */
    char holder[37];
    int64_t epoch;
};

/* -EBUSY with the holder and how long, when somebody else has it. */
OH_MUST_CHECK int lease_take(struct store *s, const struct clock *clock, const char *infrastructure, const char *holder,
                             struct lease *ret, struct err *err);
/* -ESTALE when it is another's now. */
OH_MUST_CHECK int lease_renew(struct store *s, const struct clock *clock, const struct lease *l, struct err *err);
void lease_give_back(struct store *s, const struct lease *l);
