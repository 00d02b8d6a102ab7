/* Makes the counters of addresses that sign in again after a restart, from the failed attempts of the last hour: in the
 * activity record, and those at accounts that do not exist. */
#pragma once

#include "control/identity/throttle.h"
#include "store/store.h"

#define THROTTLE_HISTORY_ROWS 50000 /* the newest activities that are looked through */

OH_MUST_CHECK int throttle_history(struct throttle *t, struct store *s, const struct clock *clock, struct err *err);
