/* The operator role: puts link, operator and process runtime together on one loop. */
#include "agent/role.h"

#include "base/log.h"

#include <signal.h>

int role_operator_main(struct agent_role *r OH_UNUSED)
{
    sigset_t set;
    int sig;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    log_warn("this build has no link to a control plane yet: workloads that are placed go on, nothing new arrives");
    sigwait(&set, &sig);
    return 0;
}
