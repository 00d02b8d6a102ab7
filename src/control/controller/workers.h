/* Worker threads for infrastructure passes: one pass an infrastructure at a time, a bounded number at once. */
#pragma once

#include "base/clock.h"
#include "control/role.h"

struct workers;

struct workers *workers_new(struct role *role, const struct clock *clock);
/* Polls readable when a pass has ended: time for workers_schedule, which clears it. */
int workers_fd(const struct workers *w);

/* Whether a pass that ended since the last call did something or failed, so that documents may have to change. */
bool workers_changed(struct workers *w);

/* Starts passes for the infrastructures that are due: at once for one never looked at or named by a doorbell
 * (`nudged`), else by their own next time (5 s when ready, back-off after failures). `ids` NULL-terminated. */
void workers_schedule(struct workers *w, char **ids, bool nudged);
/* Milliseconds until something is due, at most max_ms. */
int workers_wait_ms(struct workers *w, int max_ms);

/* Cancels what runs (plans stay resumable), joins the threads, frees. */
void workers_stop(struct workers *w);
