/* The activity record: every change leaves a row, written in the transaction of the change. */
#pragma once

#include "base/clock.h"
#include "store/store.h"

/* A row whose actor is the control plane itself. `service` or `infrastructure` may be NULL; `details` is short text,
 * never a secret. */
OH_MUST_CHECK int activity_system(struct store *s, const struct clock *clock, const char *organization,
                                  const char *type, const char *service, const char *infrastructure,
                                  const char *details, struct err *err);
