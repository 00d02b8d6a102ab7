/* The agent's memory of consent: the policy in force, requests and approvals as they came, what was carried out.
 *
 * The policy's file (agent/policy.h) and `state.json` in a folder of its own, both written durably before a call
 * returns. Nothing that comes over the link is believed for its own sake: requests are only texts, approvals are
 * checked against the policy's keys by consent_check(). A request is good for one time: keeper_use() comes before the
 * act. */
#pragma once

#include "base/clock.h"
#include "consent/consent.h"

#define KEEPER_MAX_REQUESTS 200
#define KEEPER_MAX_APPROVALS 1000
#define KEEPER_MAX_PREAPPROVALS 50

struct keeper;

struct keeper_config {
    const char *dir;            /* made 0700 */
    const char *policy_path;    /* missing: version 1, from the bundle */
    const char *infrastructure; /* ours */
    struct policy *first;       /* version 1, taken over */
    const struct clock *clock;  /* borrowed */
};
/* -ESTALE: the policy's file is older than one that was in force here before: it was rolled back. */
OH_MUST_CHECK int keeper_open(const struct keeper_config *config, struct keeper **ret, struct err *err);
void keeper_free(struct keeper *k); /* NULL is fine */

const struct policy *keeper_policy(const struct keeper *k);

/* Something new in what the control plane carried: told once each, in order, before anything is done about it. */
struct keeper_news {
    void (*on_request)(const struct consent_request *r, void *data);
    void (*on_approval)(const struct approval *a, const char *signer, void *data); /* signer: a name of the policy's */
    void *data;
};
/* Takes `requests`, `approvals` and `preapprovals` of a `consent` message: what is malformed, not ours, by nobody of
 * the policy's keys, or over the limits is left out. What is known is left as it is. */
OH_MUST_CHECK int keeper_take(struct keeper *k, const json_t *message, const struct keeper_news *news, struct err *err);
/* A request that the agent makes itself; kept like any other. */
OH_MUST_CHECK int keeper_add(struct keeper *k, const json_t *request, struct err *err);

/* The ids of requests that are not finished, oldest first: at most n; returns how many. */
size_t keeper_open_requests(const struct keeper *k, char (*ids)[UUID_SIZE], size_t n);
/* Fills the request (request_free) and what may be done. `state`: digest of the state now, or NULL. -ENOENT. */
OH_MUST_CHECK int keeper_check(const struct keeper *k, const char *id, const char *state, struct consent_request *ret,
                               struct consent_verdict *ret_verdict, struct err *err);
/* It is about to be carried out, and never again: durable on return. -EALREADY. */
OH_MUST_CHECK int keeper_use(struct keeper *k, const struct consent_request *r, bool by_preapproval, struct err *err);
/* How it went: "done" or "failed" and a sentence. */
OH_MUST_CHECK int keeper_result(struct keeper *k, const char *id, const char *outcome, const char *message,
                                struct err *err);
/* Replaces the policy by that of an allowed request (consent_new_policy). Durable on return. */
OH_MUST_CHECK int keeper_change_policy(struct keeper *k, const struct consent_request *r, struct err *err);

/* All that a gate needs to judge a grant by itself: {"request","approvals","preapproval","preapprovalUsed"}; NULL if
 * there is no such request. New reference. */
json_t *keeper_evidence(const struct keeper *k, const char *id);
/* The `consent-state` message (api/consent.md). New reference. */
json_t *keeper_report(const struct keeper *k);
