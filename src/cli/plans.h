/* Plans as `ownhouse plan`, `up` and `down` see them. */
#pragma once

#include "cli/session.h"

/* The newest plan of the infrastructure that waits for approval or is being applied, else the newest at all; JSON null
 * when there is none yet. New reference. */
OH_MUST_CHECK int plans_current(struct session *s, const char *infrastructure, json_t **ret, struct err *err);

/* Waits until there is a proposed plan; *ret: that plan with its document. */
OH_MUST_CHECK int plans_wait_proposed(struct session *s, const char *infrastructure, const char *kind, json_t **ret,
                                      struct err *err);

/* Approves exactly this plan, named by its digest, with a signature by the laptop's approver key where the customer's
 * policy wants one; -EACCES: it wants more. The other waits until the plan is applied, with the steps done in the open
 * step. A plan that fails or is superseded is an error with its reason. */
OH_MUST_CHECK int plans_approve(struct session *s, const json_t *plan, struct err *err);
OH_MUST_CHECK int plans_wait_applied(struct session *s, const char *plan, struct err *err);

/* Makes the infrastructure so ("apply": ready, "destroy": gone, data included) for a user who has asked for just that:
 * approves each plan of that kind that waits, by its digest, until nothing waits any more. The open step shows how far
 * it is. *ret_plan (may be NULL): the plan applied last, with its document, or JSON null. */
OH_MUST_CHECK int plans_settle(struct session *s, const char *infrastructure, const char *kind, json_t **ret_plan,
                               struct err *err);

/* Asks for the removal of the infrastructure and waits for its plan. */
OH_MUST_CHECK int plans_propose_destroy(struct session *s, const char *infrastructure, bool delete_data, json_t **ret,
                                        struct err *err);

/* How many resources a plan's document names, and how many of them it changes. */
void plans_count(const json_t *plan, int *ret_resources, int *ret_changes);

/* Its document in words: what is done to which resource, and why. */
void plans_show(struct ui *ui, const json_t *plan);
