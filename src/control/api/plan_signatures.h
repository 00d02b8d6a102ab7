/* Signatures of the customer's approvers on plans (api/consent.md, "Plans").
 *
 * The policy is the one that the data plane's agent reported last; before there is one, a plan is approved by its
 * digest alone. Whether enough have signed is judged by consent_check for the operation infrastructure.plan. The rows
 * are kept: they show, against keys that the control plane does not have, who approved what. */
#pragma once

#include "base/buf.h"
#include "control/api/request.h"

struct plan_signatures {
    bool allowed;   /* by the policy, with the signatures that are there */
    int need, have; /* of the customer's and the vendor's keys */
    char why[400];  /* a sentence, "" when allowed */
    struct buf signers;
};

/* `plan` is the view of a plan. plan_signatures_free afterwards, also after an error. */
OH_MUST_CHECK int plan_signatures_count(struct api_request *q, const json_t *plan, struct plan_signatures *ret,
                                        struct err *err);
void plan_signatures_free(struct plan_signatures *s);
#define autosignatures OH_CLEANUP(plan_signatures_free)

/* The documents, oldest first; new reference. */
OH_MUST_CHECK int plan_signatures_list(struct api_request *q, const char *plan, json_t **ret, struct err *err);

/* Checks and keeps one, with its activity; refuses with a sentence what is not a good approval of this very plan. */
OH_MUST_CHECK int plan_signatures_take(struct api_request *q, const json_t *plan, const json_t *document,
                                       struct err *err);
