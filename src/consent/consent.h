/* Consent: may this request be carried out, by this policy, with these signatures, now?
 *
 * Pure. Everything that must be remembered (which requests were carried out, how often a pre-approval was used) is
 * handed in; the caller counts, durably, before it acts. */
#pragma once

#include "consent/request.h"

#define CONSENT_SKEW_MS 120000 /* a request from further in the future is refused: a clock is wrong */
#define CONSENT_MAX_APPROVALS 64

enum consent_state {
    CONSENT_ALLOWED,
    CONSENT_WAITING, /* for signatures, or for its time */
    CONSENT_REFUSED, /* for good: denied, expired, used, not ours */
};

struct consent_input {
    const struct policy *policy;
    const struct consent_request *request;
    const char *infrastructure;       /* ours */
    const struct approval *approvals; /* parsed, so their signatures hold; whose they are is checked here */
    size_t n_approvals;
    const struct preapproval *preapproval; /* the one that the request names, NULL: none (known) */
    int64_t preapproval_used;              /* times */
    bool used;                             /* this request was carried out, or begun, before */
    const char *state;                     /* digest of the state now; compared where the request names one */
    int64_t now_ms;                        /* wall clock */
};

struct consent_verdict {
    enum consent_state state;
    int need_customer, have_customer, need_vendor, have_vendor;
    bool by_preapproval;
    char why[400];                                          /* a sentence, "" when allowed */
    char signers[2 * POLICY_MAX_KEYS][POLICY_NAME_MAX + 1]; /* names of those who count */
    size_t n_signers;
};

void consent_check(const struct consent_input *in, struct consent_verdict *ret);

/* A new policy: parsed, its version above the one in force, signed by a request `policy.change` that consent_check
 * allows and whose arguments are {"policy": ...}. */
OH_MUST_CHECK int consent_new_policy(const struct policy *now, const struct consent_request *r, struct policy **ret,
                                     struct err *err);
