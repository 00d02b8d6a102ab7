/* What a role process of ownhouse-agent is: started by the parent as `ownhouse-agent --role NAME --config FILE`, with
 * its configuration read anew, the parent's death signal set, and its log lines marked with its name. Descriptors that
 * join roles are made by the parent once, live as long as it does, and come by number in an environment variable that
 * role_fds_import() reads and removes. */
#pragma once

#include "agent/config.h"

enum agent_role_id {
    AGENT_ROLE_OPERATOR,
    AGENT_ROLE_SUPERVISOR,
    AGENT_ROLE_LEDGER,
    AGENT_ROLE_GATE,
    AGENT_ROLE_NAMES,
    AGENT_ROLE_COUNT
};
extern const char *const agent_role_names[AGENT_ROLE_COUNT];

struct agent_role {
    enum agent_role_id id;
    struct agent_config config;
    const char *config_path;
    int ledger;                   /* SOCK_SEQPACKET to the ledger (agent/ledger/client.h), or -1 */
    int askers[AGENT_ROLE_COUNT]; /* ledger only: SOCK_SEQPACKET from each role that records, or -1 */
};

/* "NAME=VALUE" with the descriptors, which are made inheritable: for the child between fork and exec. free(). */
char *role_fds_export(const struct agent_role *r);
OH_MUST_CHECK int role_fds_import(struct agent_role *r, struct err *err);

/* Entry points: run until a signal, return the exit status. SIGTERM ends any; the supervisor stops its workloads on
 * SIGTERM and leaves them running on SIGUSR2. */
int role_operator_main(struct agent_role *r);
int role_supervisor_main(struct agent_role *r);
int role_ledger_main(struct agent_role *r);
int role_gate_main(struct agent_role *r);
int role_names_main(struct agent_role *r);

/* The engine alone, for a machine's init: serves any supervised folder. */
int role_supervise_folder(const char *dir);
