/* The customer's policy: whose signatures the data plane asks for, and when things may happen at all (api/consent.md).
 *
 * Pinned in the data plane; the first version comes with the enrolment bundle, a later one needs `quorum` signatures of
 * the approvers of the version before and a higher number. Pure; strict: an unknown field or operation is an error. All
 * times of day are UTC. */
#pragma once

#include "base/js.h"
#include "base/keys.h"
#include "consent/operations.h"

#define POLICY_MAX_BYTES KIB(64)
#define POLICY_MAX_KEYS 16
#define POLICY_MAX_TIMES 16
#define POLICY_NAME_MAX 60
#define POLICY_MAX_HOURS 168 /* the longest that any request may live */

enum policy_mode { POLICY_OPEN, POLICY_SEALED };
extern const char *const policy_mode_names[];

struct policy_key {
    char name[POLICY_NAME_MAX + 1];
    unsigned char key[ED25519_PUBLIC_SIZE];
};

struct policy_need {
    int customer, vendor; /* signatures by as many different keys */
    bool denied;          /* for ever, whoever signs */
};

/* A part of the week: on these days from `from` to `to` (minutes of the day, to <= 1440; to <= from: until then on the
 * next day). */
struct policy_time {
    unsigned days; /* bit 0 = Sunday */
    int from, to;
    uint64_t operations; /* bit n = operations[n] */
};

struct policy {
    int64_t version;
    enum policy_mode mode;
    struct policy_key approvers[POLICY_MAX_KEYS], vendors[POLICY_MAX_KEYS];
    size_t n_approvers, n_vendors;
    int quorum;                   /* of approvers, to change the policy */
    struct policy_need needs[64]; /* as operations[] */
    struct policy_time windows[POLICY_MAX_TIMES], quiet[POLICY_MAX_TIMES];
    size_t n_windows, n_quiet;
    int max_hours;   /* how long a request may live */
    char digest[65]; /* of the canonical text */
    char *canonical; /* what was signed */
};

/* -EINVAL names the field. */
OH_MUST_CHECK int policy_parse(const char *text, size_t len, struct policy **ret, struct err *err);
OH_MUST_CHECK int policy_from_json(const json_t *o, struct policy **ret, struct err *err);
/* Version 1 from a bundle: `short_form` is its policy (mode and any of the fields above but version, approvers), `keys`
 * are its approver keys. */
OH_MUST_CHECK int policy_from_bundle(const json_t *short_form, const unsigned char (*keys)[ED25519_PUBLIC_SIZE],
                                     size_t n_keys, struct policy **ret, struct err *err);
void policy_free(struct policy *p); /* NULL is fine */
static inline void policy_freep(struct policy **p)
{
    policy_free(*p);
}
#define autopolicy OH_CLEANUP(policy_freep)

const struct policy_need *policy_need(const struct policy *p, const struct operation *op);
/* Index of the key, -1: none of them. */
int policy_key_find(const struct policy_key *keys, size_t n, const unsigned char key[ED25519_PUBLIC_SIZE]);
/* False: not now; the sentence says when. */
bool policy_may_now(const struct policy *p, const struct operation *op, int64_t wall_ms, char ret_why[200]);
