/* What a role process of ownhouse-agent is: started by the parent as `ownhouse-agent --role NAME --config FILE`, with
 * its configuration read anew, the parent's death signal set, and its log lines marked with its name. */
#pragma once

#include "agent/config.h"

enum agent_role_id { AGENT_ROLE_OPERATOR, AGENT_ROLE_SUPERVISOR, AGENT_ROLE_COUNT };
extern const char *const agent_role_names[AGENT_ROLE_COUNT];

struct agent_role {
    enum agent_role_id id;
    struct agent_config config;
    const char *config_path;
};

/* Entry points: run until a signal, return the exit status. SIGTERM ends either; the supervisor stops its workloads on
 * SIGTERM and leaves them running on SIGUSR2. */
int role_operator_main(struct agent_role *r);
int role_supervisor_main(struct agent_role *r);

/* The engine alone, for a machine's init: serves any supervised folder. */
int role_supervise_folder(const char *dir);
