/* What each role of the control plane may still touch once it runs: one table. */
#pragma once

#include "control/role.h"

/* Gives up the rest for good (base/sandbox.h). Call once, before threads are made. `ret` says what is in force, for the
 * log. */
OH_MUST_CHECK int privileges_drop(const struct role *r, char ret[64], struct err *err);
