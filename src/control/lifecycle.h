/* The life of a service: which states there are, what moves one to another, and what the user then wants of it.
 *
 * State names are those of the published API. A state already says what is wanted (a service that is `stopping` is
 * wanted stopped), so an old report of the agent that crosses a newer command cannot undo it. Reports are levels, not
 * edges: the same report may come any number of times, in any state. Pure. */
#pragma once

#include "base/err.h"

enum service_state {
    SERVICE_PROVISIONING,
    SERVICE_STARTING,
    SERVICE_RUNNING,
    SERVICE_PARTIALLY_RUNNING,
    SERVICE_DEGRADED,
    SERVICE_FAILED,
    SERVICE_IDLE,
    SERVICE_AWAKING,
    SERVICE_STOPPING,
    SERVICE_STOPPED,
    SERVICE_TERMINATING,
    SERVICE_TERMINATED, /* nothing is left of it in the data plane but data that was to be kept; the row may go */
    SERVICE_SOFTDELETING,
    SERVICE_SOFTDELETED,
    SERVICE_STATE_COUNT
};
extern const char *const service_state_names[SERVICE_STATE_COUNT];

enum service_want { WANT_RUNNING, WANT_STOPPED, WANT_DELETED, WANT_COUNT };
extern const char *const service_want_names[WANT_COUNT]; /* "running" "stopped" "deleted", as in the store */

/* What moves a service: a user's command, or what the agent reports of it (services[].state in api/link.md). */
enum service_cause {
    COMMAND_START,
    COMMAND_STOP,
    COMMAND_AWAKE,
    COMMAND_DELETE,
    REPORT_STARTING,
    REPORT_RUNNING,
    REPORT_DEGRADED,
    REPORT_STOPPING,
    REPORT_STOPPED,
    REPORT_IDLE, /* asleep, and wakes when somebody connects */
    REPORT_FAILED,
    REPORT_GONE, /* the agent has nothing of it running or configured */
    SERVICE_CAUSE_COUNT
};
extern const char *const service_cause_names[SERVICE_CAUSE_COUNT]; /* commands: as in the API; reports: as in link.md */

/* -EINVAL for an unknown name. */
OH_MUST_CHECK int service_state_parse(const char *name, enum service_state *ret);
OH_MUST_CHECK int service_command_parse(const char *name, enum service_cause *ret); /* start, stop, awake, delete */
OH_MUST_CHECK int service_report_parse(const char *name, enum service_cause *ret);

/* What the state says is wanted. */
enum service_want service_state_wants(enum service_state state);

/* The state after `cause`; the same state when it changes nothing. A command that makes no sense in this state (start
 * of something that is being deleted) is -EINVAL with a sentence for the user; reports never fail. */
OH_MUST_CHECK int lifecycle_next(enum service_state state, enum service_cause cause, enum service_state *ret,
                                 struct err *err);

/* The same by names, for reports on rows as the store has them. Should the state not be one of what is wanted, the
 * wish counts: the matching command is applied first. Unknown names change nothing. */
const char *lifecycle_observed(const char *state, const char *want, const char *report);
