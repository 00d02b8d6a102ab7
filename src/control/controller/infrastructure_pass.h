/* One look at one infrastructure: propose a plan, apply an approved one, or put back what fell over.
 *
 * Blocking; run on a worker thread with its own store connection. Level-triggered: it may be called at any time, in any
 * state. */
#pragma once

#include "base/clock.h"
#include "control/config.h"
#include "store/store.h"

#include <stdatomic.h>

struct pass_context {
    const struct control_config *config;
    struct store *store;
    const struct clock *clock;
    const atomic_bool *cancel;
    const char *holder; /* this controller's name in leases */
};

/* What the pass found, for the log and the next look. QUIET_REMOTE: as QUIET, but looking costs calls of a cloud. */
enum pass_result { PASS_QUIET, PASS_PROPOSED, PASS_APPLIED, PASS_REPAIRED, PASS_GONE, PASS_QUIET_REMOTE };
extern const char *const pass_result_names[];

OH_MUST_CHECK int infrastructure_pass(const struct pass_context *p, const char *infrastructure, enum pass_result *ret,
                                      struct err *err);
