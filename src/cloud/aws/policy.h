/* The rights of the four roles: one table, from which come the customer's artefact, the sessions of one plan, and lint.
 *
 * Each right names what the code calls (tests/scenario/test_aws_policy.py holds every recorded call against it). Writes
 * are bound to tags: what is made must carry ownhouse:infrastructure, what is changed or destroyed must carry it
 * already; tags can be set only while something is made. Names are bound where AWS has no tags to bind (buckets,
 * clusters, roles). No role may write or re-trust a role outside the boundary, write a bucket's or key's policy, read
 * an object, or decrypt. Limits of AWS: a managed policy has at most 6,144 characters, a trust or session policy 2,048.
 * Pure. */
#pragma once

#include "base/js.h"
#include "cloud/aws/aws.h"

#define AWS_POLICY_MAX 6144
#define AWS_SESSION_MAX 2048

/* For whom: the account's parts that appear in ARNs, and what is turned on. Borrowed. */
struct aws_policy_for {
    const char *name;    /* of the account in OwnHouse */
    const char *account; /* 12 digits, or a template's "${AWS::AccountId}" */
    const char *partition;
    const char *role_path;
    bool network, identities, key; /* ours to make; false: the customer's own */
    bool cluster, hosted_zone, interface_endpoints;
    bool delete_data; /* the separate opt-in */
    bool connections; /* VPC peering, PrivateLink endpoint service, flow logs */
};

/* Every choice on, as the artefact has the policies: each is a parameter there. The texts are kept, not copied. */
struct aws_policy_for aws_policy_whole(const char *name, const char *account, const char *partition,
                                       const char *role_path);

/* The phase's policies, one or more a feature, each within AWS_POLICY_MAX minified: a new array of
 * {"feature": "always"|"network"|"identities"|"key"|"cluster"|"zone"|"data"|
 * "connections", "document": POLICY}. */
json_t *aws_policy_generate(const struct aws_policy_for *f, enum aws_phase phase);
/* What the roles that we make may ever do. */
json_t *aws_policy_boundary(const struct aws_policy_for *f);
/* The one data role's own policy: its service's prefix only, by the namespace tag of its session. */
json_t *aws_policy_data(const struct aws_policy_for *f);
json_t *aws_policy_trust(const char *controller_arn, const char *external_id);

/* The session policy of one plan and phase: only the services that its resources need, and only on what carries this
 * infrastructure's tag or name. NULL in *ret when the plan has nothing to do in this phase. Heap. */
OH_MUST_CHECK int aws_session_policy(const struct aws_settings *s, const json_t *document, enum aws_phase phase,
                                     char **ret, struct err *err);

/* Ways to more rights than meant, in a policy document: an array of {"statement","action","why"}; empty is good. */
json_t *aws_policy_lint(const json_t *document);
/* What differs, by statement id: an array of {"phase"?,"statement","action","change":"added"|"removed"}. */
json_t *aws_policy_diff(const json_t *before, const json_t *after);
/* The IAM actions that a plan's document may use, what an approver reads: for each role that the plan takes up
 * {"role":PHASE,"actions":[sorted]}. Reading with the inspect role is not listed. New array, empty for a local plan. */
json_t *aws_plan_roles(const json_t *document);
