/* The parent of the agent's roles: starts each as a process of its own and keeps it there.
 *
 * A role that ends is started again with back-off (0.2 s to 30 s). SIGTERM and SIGINT stop all in order: the operator
 * first, then the supervisor with its workloads. SIGUSR2 ends the agent but leaves the workloads running, for an
 * upgrade; so does the parent's own death, by the roles' death signals. One agent a home (lock file run/lock). */
#pragma once

#include "agent/config.h"

/* Runs until a signal ends it. `program` is the path to re-execute. -EBUSY: this home is another agent's. */
OH_MUST_CHECK int parent_run(const char *program, const char *config_path, const struct agent_config *config,
                             struct err *err);

/* Whether an agent runs on this home now. */
bool parent_alive(const struct agent_config *config);
