/* What the agent says of itself: the file run/status.json, which the operator role writes, and the `status` command. */
#pragma once

#include "agent/config.h"
#include "base/js.h"

/* Replaces the file; atomic, not durable (it describes a running process). */
OH_MUST_CHECK int status_write(const struct agent_config *c, const json_t *status, struct err *err);

/* Prints what runs: supervised workloads from their folder, link and sandbox from the file. Returns the exit status: 0,
 * or 3 when the agent does not run. */
int status_print(const struct agent_config *c, bool as_json);
/* For probes: prints one line, and returns 0 only while the link is up; 3 otherwise. */
int status_linked(const struct agent_config *c);
