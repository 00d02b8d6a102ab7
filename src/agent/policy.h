/* The customer's policy as it stands: <home>/policy/policy.json where there is one, else the bundle's.
 *
 * The file is the customer's to write, in the data plane only; it is refused if others than the agent's user may write
 * it, and if its version is not above the bundle's (1). */
#pragma once

#include "agent/config.h"
#include "consent/policy.h"

/* `bundle` is the canonical text of the enrolment bundle (agent/link/bundle.h). */
OH_MUST_CHECK int policy_now(const struct agent_config *c, const char *bundle, struct policy **ret, struct err *err);
