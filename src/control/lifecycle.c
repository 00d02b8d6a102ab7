/* The table of service states and what moves them. */
#include "control/lifecycle.h"

const char *const service_state_names[SERVICE_STATE_COUNT] = {
    [SERVICE_PROVISIONING] = "provisioning",
    [SERVICE_STARTING] = "starting",
    [SERVICE_RUNNING] = "running",
    [SERVICE_PARTIALLY_RUNNING] = "partially_running",
    [SERVICE_DEGRADED] = "degraded",
    [SERVICE_FAILED] = "failed",
    [SERVICE_IDLE] = "idle",
    [SERVICE_AWAKING] = "awaking",
    [SERVICE_STOPPING] = "stopping",
    [SERVICE_STOPPED] = "stopped",
    [SERVICE_TERMINATING] = "terminating",
    [SERVICE_TERMINATED] = "terminated",
    [SERVICE_SOFTDELETING] = "softdeleting",
    [SERVICE_SOFTDELETED] = "softdeleted",
};

const char *const service_want_names[WANT_COUNT] = {"running", "stopped", "deleted"};

const char *const service_cause_names[SERVICE_CAUSE_COUNT] = {
    [COMMAND_START] = "start",      [COMMAND_STOP] = "stop",        [COMMAND_AWAKE] = "awake",
    [COMMAND_DELETE] = "delete",    [REPORT_STARTING] = "starting", [REPORT_RUNNING] = "running",
    [REPORT_DEGRADED] = "degraded", [REPORT_STOPPING] = "stopping", [REPORT_STOPPED] = "stopped",
    [REPORT_IDLE] = "idle",         [REPORT_FAILED] = "failed",     [REPORT_GONE] = "gone",
};

/* REFUSED is 0, so that a command without an entry is refused; STAY keeps the state. */
enum { REFUSED = 0, STAY, TO };
#define GO(state) (TO + SERVICE_##state)

/* One line a state: what each cause makes of it. Reports are complete on purpose: there is no "cannot happen". */
#define WANTED_RUNNING                                                                                                 \
    [COMMAND_START] = STAY, [COMMAND_STOP] = GO(STOPPING), [COMMAND_AWAKE] = STAY, [COMMAND_DELETE] = GO(TERMINATING), \
    [REPORT_RUNNING] = GO(RUNNING), [REPORT_IDLE] = GO(IDLE), [REPORT_FAILED] = GO(FAILED)
#define WANTED_DELETED                                                                                     \
    [REPORT_STARTING] = STAY, [REPORT_RUNNING] = STAY, [REPORT_DEGRADED] = STAY, [REPORT_STOPPING] = STAY, \
    [REPORT_STOPPED] = STAY, [REPORT_IDLE] = STAY, [REPORT_FAILED] = STAY

static const unsigned char table[SERVICE_STATE_COUNT][SERVICE_CAUSE_COUNT] = {
    /* Not made yet: until the first `running`, only a failure is news. */
    [SERVICE_PROVISIONING] = {WANTED_RUNNING, [REPORT_STARTING] = STAY, [REPORT_DEGRADED] = GO(DEGRADED),
                              [REPORT_STOPPING] = STAY, [REPORT_STOPPED] = STAY, [REPORT_GONE] = STAY},
    /* A report of `stopped` here is older than the start, or the agent is about to start it. */
    [SERVICE_STARTING] = {WANTED_RUNNING, [REPORT_STARTING] = STAY, [REPORT_DEGRADED] = GO(DEGRADED),
                          [REPORT_STOPPING] = STAY, [REPORT_STOPPED] = STAY, [REPORT_GONE] = STAY},
    /* Down although wanted: the agent is bringing it back. */
    [SERVICE_RUNNING] =
        {WANTED_RUNNING, [REPORT_STARTING] = GO(STARTING), [REPORT_DEGRADED] = GO(DEGRADED),
         [REPORT_STOPPING] = GO(STARTING), [REPORT_STOPPED] = GO(STARTING), [REPORT_GONE] = GO(STARTING)},
    [SERVICE_PARTIALLY_RUNNING] =
        {WANTED_RUNNING, [REPORT_STARTING] = GO(STARTING), [REPORT_DEGRADED] = STAY, [REPORT_STOPPING] = GO(STARTING),
         [REPORT_STOPPED] = GO(STARTING), [REPORT_GONE] = GO(STARTING)},
    [SERVICE_DEGRADED] =
        {WANTED_RUNNING, [REPORT_STARTING] = GO(STARTING), [REPORT_DEGRADED] = STAY, [REPORT_STOPPING] = GO(STARTING),
         [REPORT_STOPPED] = GO(STARTING), [REPORT_GONE] = GO(STARTING)},
    [SERVICE_FAILED] = {[COMMAND_START] = GO(STARTING),
                        [COMMAND_STOP] = GO(STOPPING),
                        [COMMAND_AWAKE] = GO(STARTING),
                        [COMMAND_DELETE] = GO(TERMINATING),
                        [REPORT_STARTING] = GO(STARTING),
                        [REPORT_RUNNING] = GO(RUNNING),
                        [REPORT_DEGRADED] = GO(DEGRADED),
                        [REPORT_STOPPING] = STAY,
                        [REPORT_STOPPED] = STAY,
                        [REPORT_IDLE] = GO(IDLE),
                        [REPORT_FAILED] = STAY,
                        [REPORT_GONE] = STAY},
    /* Asleep: nothing runs, and that is as wanted. */
    [SERVICE_IDLE] = {[COMMAND_START] = GO(AWAKING),
                      [COMMAND_STOP] = GO(STOPPING),
                      [COMMAND_AWAKE] = GO(AWAKING),
                      [COMMAND_DELETE] = GO(TERMINATING),
                      [REPORT_STARTING] = GO(AWAKING),
                      [REPORT_RUNNING] = GO(RUNNING),
                      [REPORT_DEGRADED] = GO(DEGRADED),
                      [REPORT_STOPPING] = STAY,
                      [REPORT_STOPPED] = STAY,
                      [REPORT_IDLE] = STAY,
                      [REPORT_FAILED] = GO(FAILED),
                      [REPORT_GONE] = STAY},
    /* `idle` here counts once the agent knows of the wish to wake (controller/observation.c). */
    [SERVICE_AWAKING] = {WANTED_RUNNING, [REPORT_STARTING] = STAY, [REPORT_DEGRADED] = GO(DEGRADED),
                         [REPORT_STOPPING] = STAY, [REPORT_STOPPED] = STAY, [REPORT_GONE] = STAY},
    /* `gone` here: it was stopped before it was ever made. */
    [SERVICE_STOPPING] = {[COMMAND_START] = GO(STARTING),
                          [COMMAND_STOP] = STAY,
                          [COMMAND_DELETE] = GO(TERMINATING),
                          [REPORT_STARTING] = STAY,
                          [REPORT_RUNNING] = STAY,
                          [REPORT_DEGRADED] = STAY,
                          [REPORT_STOPPING] = STAY,
                          [REPORT_STOPPED] = GO(STOPPED),
                          [REPORT_IDLE] = STAY,
                          [REPORT_FAILED] = STAY,
                          [REPORT_GONE] = GO(STOPPED)},
    [SERVICE_STOPPED] = {[COMMAND_START] = GO(STARTING),
                         [COMMAND_STOP] = STAY,
                         [COMMAND_DELETE] = GO(TERMINATING),
                         [REPORT_STARTING] = GO(STOPPING),
                         [REPORT_RUNNING] = GO(STOPPING),
                         [REPORT_DEGRADED] = GO(STOPPING),
                         [REPORT_STOPPING] = GO(STOPPING),
                         [REPORT_STOPPED] = STAY,
                         [REPORT_IDLE] = STAY,
                         [REPORT_FAILED] = STAY,
                         [REPORT_GONE] = STAY},
    [SERVICE_TERMINATING] = {WANTED_DELETED, [COMMAND_DELETE] = STAY, [REPORT_GONE] = GO(TERMINATED)},
    [SERVICE_TERMINATED] = {WANTED_DELETED, [COMMAND_DELETE] = STAY, [REPORT_GONE] = STAY},
    [SERVICE_SOFTDELETING] = {WANTED_DELETED, [COMMAND_DELETE] = GO(TERMINATING), [REPORT_GONE] = GO(SOFTDELETED)},
    [SERVICE_SOFTDELETED] = {WANTED_DELETED, [COMMAND_DELETE] = GO(TERMINATING), [REPORT_GONE] = STAY},
};

static int find(const char *const *names, int first, int last, const char *name)
{
    for (int i = first; i <= last; i++)
        if (!strcmp(names[i], name))
            return i;
    return -EINVAL;
}

int service_state_parse(const char *name, enum service_state *ret)
{
    int i = find(service_state_names, 0, SERVICE_STATE_COUNT - 1, name);
    if (i < 0)
        return i;
    *ret = (enum service_state)i;
    return 0;
}

static int parse_cause(const char *name, int first, int last, enum service_cause *ret)
{
    int i = find(service_cause_names, first, last, name);
    if (i < 0)
        return i;
    *ret = (enum service_cause)i;
    return 0;
}

int service_command_parse(const char *name, enum service_cause *ret)
{
    return parse_cause(name, COMMAND_START, COMMAND_DELETE, ret);
}

int service_report_parse(const char *name, enum service_cause *ret)
{
    return parse_cause(name, REPORT_STARTING, REPORT_GONE, ret);
}

enum service_want service_state_wants(enum service_state state)
{
    switch (state) {
    case SERVICE_STOPPING:
    case SERVICE_STOPPED:
        return WANT_STOPPED;
    case SERVICE_TERMINATING:
    case SERVICE_TERMINATED:
    case SERVICE_SOFTDELETING:
    case SERVICE_SOFTDELETED:
        return WANT_DELETED;
    default:
        return WANT_RUNNING;
    }
}

int lifecycle_next(enum service_state state, enum service_cause cause, enum service_state *ret, struct err *err)
{
    unsigned char to = table[state][cause];
    if (to == REFUSED && cause == COMMAND_AWAKE && service_state_wants(state) == WANT_STOPPED)
        return err_set(err, -EINVAL, "a service that is %s is not asleep; use the command start",
                       service_state_names[state]);
    if (to == REFUSED)
        return err_set(err, -EINVAL, "the command %s is not possible while the service is %s",
                       service_cause_names[cause], service_state_names[state]);
    *ret = to == STAY ? state : (enum service_state)(to - TO);
    return 0;
}

const char *lifecycle_observed(const char *state, const char *want, const char *report)
{
    static const enum service_cause commands[WANT_COUNT] = {COMMAND_START, COMMAND_STOP, COMMAND_DELETE};
    enum service_state now;
    enum service_cause cause;
    int wish = find(service_want_names, 0, WANT_COUNT - 1, want);
    if (wish < 0 || service_state_parse(state, &now) < 0 || service_report_parse(report, &cause) < 0)
        return state;
    if (service_state_wants(now) != (enum service_want)wish && lifecycle_next(now, commands[wish], &now, NULL) < 0)
        return state;
    (void)!lifecycle_next(now, cause, &now, NULL); /* reports are never refused */
    return service_state_names[now];
}
