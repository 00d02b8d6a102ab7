/* Removing what carries an infrastructure's tag from this machine when the control plane that made it cannot. */
#pragma once

#include "cli/install.h"

/* Runs the plan engine here, over the laptop's resource types: observes by tag, plans the removal with data, applies
 * it. Nothing to do without a known infrastructure. */
OH_MUST_CHECK int leftovers_remove(struct cli *c, const struct install *i, struct err *err);
