/* The operator role's desk: what comes over the link about consent is written down, judged, and done.
 *
 * Joins the keeper (agent/consent), the ledger (agent/recorder.h), the operator and the link. Every call is from the
 * loop's thread. Nothing is done that could not be recorded before. */
#pragma once

#include "agent/consent/keeper.h"
#include "agent/consent/sealed.h"
#include "agent/link/bundle.h"
#include "agent/recorder.h"

struct operator_loop;
struct agent_link;

struct desk_config {
    const char *dir;            /* the keeper's */
    const char *policy_path;    /* a later version than the bundle's; the gate reads it too */
    const char *kept_path;      /* state/desired.json */
    const char *infrastructure; /* copied */
    const struct bundle *bundle;
    const struct recorder *recorder; /* borrowed */
    const struct clock *clock;       /* borrowed */
    bool (*locked)(void *data);      /* agent/lock.h; NULL: never */
    void (*on_event)(bool error, const char *message, void *data);
    void *data;
};

struct desk;
OH_MUST_CHECK int desk_open(const struct desk_config *config, struct desk **ret, struct err *err);
void desk_free(struct desk *d); /* NULL is fine */
/* Both may come later than the desk. */
void desk_join(struct desk *d, struct operator_loop *operator, struct agent_link * link);
struct keeper *desk_keeper(struct desk *d);

/* Offers an operation and a document made for that, both harmless, the way that signed ones go: true if both are
 * refused because of the lock. For its report. */
OH_MUST_CHECK bool desk_refuses(struct desk *d);

/* For operator_config.may_accept: judged by the policy, recorded. -EPERM: locked. */
OH_MUST_CHECK int desk_may_accept(struct desk *d, int64_t version, const char *document, size_t len, struct err *err);
/* A document was not taken (`why`): recorded; one that waits for a signature is kept for later. */
void desk_not_taken(struct desk *d, int64_t version, const char *document, size_t len, const char *signature_hex,
                    const struct err *why);
/* A `cosigned` message: the witness's answer to a checkpoint. */
void desk_cosigned(struct desk *d, const json_t *message);
/* An `activities` message: a checkpoint of the control plane's own record, to be cosigned if it continues the last. */
void desk_activities(struct desk *d, const json_t *message);
/* A `consent` message. */
void desk_message(struct desk *d, const json_t *message);
/* Looks at what may be done now: after a message, and every few seconds, since time opens windows too. */
void desk_work(struct desk *d);
/* Says the state of consent over the link, if it changed since, or `anyway` (a new connection). */
void desk_say(struct desk *d, bool anyway);
/* For `status`; new reference. */
json_t *desk_status(const struct desk *d);
