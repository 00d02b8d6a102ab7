/* The descriptors that join the agent's role processes. */
#include "agent/role.h"

#include "base/buf.h"

const char *const agent_role_names[AGENT_ROLE_COUNT] = {
    [AGENT_ROLE_OPERATOR] = "operator", [AGENT_ROLE_SUPERVISOR] = "supervisor", [AGENT_ROLE_LEDGER] = "ledger",
    [AGENT_ROLE_GATE] = "gate",         [AGENT_ROLE_NAMES] = "names",
};

#define VARIABLE "OWNHOUSE_AGENT_FDS"
#define SLOTS (AGENT_ROLE_COUNT + 1)

/* The order in which descriptors are written to and read from the environment. */
static void each_fd(struct agent_role *r, int *slots[SLOTS])
{
    for (int i = 0; i < AGENT_ROLE_COUNT; i++)
        slots[i] = &r->askers[i];
    slots[AGENT_ROLE_COUNT] = &r->ledger;
}

char *role_fds_export(const struct agent_role *r)
{
    struct agent_role copy = *r;
    int *slots[SLOTS];
    struct buf text = BUF_INIT;
    each_fd(&copy, slots);
    buf_adds(&text, VARIABLE "=");
    for (int i = 0; i < SLOTS; i++) {
        if (*slots[i] >= 0)
            fcntl(*slots[i], F_SETFD, 0);
        buf_printf(&text, "%s%d", i ? "," : "", *slots[i]);
    }
    return buf_take(&text);
}

int role_fds_import(struct agent_role *r, struct err *err)
{
    const char *p = getenv(VARIABLE);
    int *slots[SLOTS];
    if (!p)
        return err_set(err, -EINVAL, "--role is for the parent process: run `ownhouse-agent run` instead");
    each_fd(r, slots);
    for (int i = 0; i < SLOTS; i++) {
        char *end;
        long v = strtol(p, &end, 10);
        if (end == p || v < -1 || v > 1 << 20 || *end != (i < SLOTS - 1 ? ',' : 0))
            return err_set(err, -EINVAL, "%s is malformed", VARIABLE);
        *slots[i] = (int)v;
        if (v >= 0)
            fcntl((int)v, F_SETFD, FD_CLOEXEC);
        p = *end ? end + 1 : end;
    }
    unsetenv(VARIABLE);
    return 0;
}
