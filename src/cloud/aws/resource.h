/* What the files of AWS's resource types share; nobody else includes it. */
#pragma once

#include "base/mem.h"
#include "cloud/aws/aws.h"
#include "cloud/aws/xml.h"

/* Until what EC2 has made is surely seen by every reader. */
#define AWS_SETTLE_MS 15000

static inline const struct aws_env *aws_env_of(const struct plan_call *c)
{
    return c->provider;
}

/* The client of a phase; NULL with -EACCES when the customer has detached that role. */
struct aws_client *aws_phase_client(const struct plan_call *c, enum aws_phase phase, struct err *err);
/* aws_call with the phase's client. */
OH_MUST_CHECK int aws_do(const struct plan_call *c, enum aws_phase phase, const struct aws_request *q, json_t **ret,
                         struct err *err);

/* "type.name" of the call's resource; heap. */
char *aws_identity(const struct plan_call *c);
/* oh-1a2b3c4d: the prefix of names, from the infrastructure's id. */
void aws_prefix(const char *infrastructure, char ret[16]);
/* The client token of one request: the call's (which differs for each incarnation of the resource), and what is wanted
 * or sent. AWS remembers tokens for a day: it refuses one with other parameters, and answers the same parameters with
 * what was made before, even if that is deleted by now. */
void aws_token(const struct plan_call *c, const json_t *want, char ret[PLAN_TOKEN_SIZE]);
/* The tags of a new resource: identity, a Name, and those wanted: an array of {"Key","Value"}, with the key's and
 * value's names as the service has them ("Key"/"Value", "key"/"value", "TagKey"/"TagValue"). New reference. */
json_t *aws_tags(const struct plan_call *c, const json_t *want, const char *key, const char *value);
/* As an object name -> value (EKS, logs). New reference. */
json_t *aws_tags_object(const struct plan_call *c, const json_t *want);
/* The value of one tag, of a list of tags in any of those shapes or of an object of them: borrowed, "" if it has none.
 */
const char *aws_tag(const json_t *tags, const char *name);
/* True if a list of tags, or an object of them, says that it is this call's resource. */
bool aws_is_ours(const struct plan_call *c, const json_t *tags);
/* Of tags, those whose names we compare (kubernetes.io/...): a new object. */
json_t *aws_kept_tags(const json_t *tags);

/* What the AWS Load Balancer Controller puts on all that it makes: the cluster's name. */
#define AWS_TAG_BALANCER_CLUSTER "elbv2.k8s.aws/cluster"

/* --- dns.c: zones --- */

/* The zones of exactly that name, of which there may be several, in Route 53's order: a new array of HostedZone, each
 * "Id" bare ("Z1"). At most the first hundred. */
OH_MUST_CHECK int aws_zones_named(struct aws_client *c, const char *name, json_t **ret, struct err *err);
/* A zone's tags: a new array of {"Key","Value"}, empty where the zone is gone. */
OH_MUST_CHECK int aws_zone_tags(struct aws_client *c, const char *id, json_t **ret, struct err *err);

/* --- service.c: what belongs to one service --- */

/* The namespace of the service that a resource named AWS_SERVICE_PREFIX + id belongs to; `ret`. */
const char *aws_service_namespace(const char *name, char ret[64]);
/* Whose role makes and removes this: of a service the operate role, which stays attached while services come and go;
 * where that one has no part in the plan (a removal of all), and for anything else, `usual`. */
enum aws_phase aws_service_phase(const struct plan_call *c, enum aws_phase usual);

/* First error wins; what is not there is fine (for destroy). */
static inline int aws_absent_is_fine(int r, struct err *err)
{
    if (r == -ENOENT && err)
        *err = ERR_INIT;
    return r == -ENOENT ? 0 : r;
}
static inline int aws_exists_is_fine(int r, struct err *err)
{
    if (r == -EEXIST && err)
        *err = ERR_INIT;
    return r == -EEXIST ? 0 : r;
}
/* Sorted copy of an array of texts. */
json_t *aws_sorted(const json_t *list);
bool aws_list_has(const json_t *list, const char *text);

/* --- EC2: what its resources have in common --- */

struct ec2_kind {
    const char *describe, *set;   /* DescribeVpcs, vpcSet */
    const char *id, *id_param;    /* vpcId, VpcId */
    const char *tag_type;         /* vpc */
    const char *create, *created; /* CreateVpc, and the answer's element ("" = the answer itself) */
    const char *destroy;          /* DeleteVpc */
    const char *state, *gone;     /* field and the values (space separated) that mean: no longer there */
    bool id_list;                 /* DeleteVpcEndpoints, and describe by filter */
    const char *describe_param;   /* id parameter of describe, when it differs */
};

/* By identity tags: the item, or NULL. Of several (an answer was lost before it could be seen) the first by id. */
OH_MUST_CHECK int ec2_find(const struct plan_call *c, const struct ec2_kind *k, json_t **ret, struct err *err);
/* The same as a resource's attributes: *ret is what `view` (a new reference) makes of the item, or NULL. */
OH_MUST_CHECK int ec2_observe(const struct plan_call *c, const struct ec2_kind *k, json_t *(*view)(const json_t *item),
                              json_t **ret, struct err *err);
/* By id, waiting until EC2 shows what it has just made; -EAGAIN when it does not in time. */
OH_MUST_CHECK int ec2_get(const struct plan_call *c, const struct ec2_kind *k, const char *id, json_t **ret,
                          struct err *err);
/* Creates with tags; *ret is what AWS answered: others may not see it yet. For types whose ready() looks. `params` is
 * stolen. */
OH_MUST_CHECK int ec2_make(const struct plan_call *c, const struct ec2_kind *k, json_t *params, const json_t *want,
                           json_t **ret, struct err *err);
/* The same, and waits until it is seen; *ret as ec2_get. */
OH_MUST_CHECK int ec2_create(const struct plan_call *c, const struct ec2_kind *k, json_t *params, const json_t *want,
                             json_t **ret, struct err *err);
/* Destroys all that carry the identity. */
OH_MUST_CHECK int ec2_destroy(const struct plan_call *c, const struct ec2_kind *k, struct err *err);
/* One call of EC2 without an answer that matters. `params` is stolen. */
OH_MUST_CHECK int ec2_do(const struct plan_call *c, enum aws_phase phase, const char *action, json_t *params,
                         struct err *err);
OH_MUST_CHECK int ec2_ask(const struct plan_call *c, enum aws_phase phase, const char *action, json_t *params,
                          json_t **ret, struct err *err);
/* Deletes interfaces of our cluster that nobody uses any more and that keep `filter`=`id` from going. */
OH_MUST_CHECK int ec2_drop_leaked_interfaces(const struct plan_call *c, const char *filter, const char *id,
                                             struct err *err);

/* A policy as IAM answers with it, percent-encoded; null if it is none. New reference. */
json_t *aws_iam_document(const char *text);

extern const struct plan_type aws_vpc_type, aws_subnet_type, aws_internet_gateway_type, aws_elastic_ip_type,
    aws_nat_gateway_type, aws_route_table_type, aws_vpc_endpoint_type, aws_security_group_type, aws_kms_key_type,
    aws_bucket_type, aws_log_group_type, aws_role_type, aws_instance_profile_type, aws_oidc_provider_type,
    aws_eks_cluster_type, aws_node_group_type, aws_addon_type, aws_pod_identity_type, aws_access_entry_type,
    aws_bootstrap_type, aws_hosted_zone_type, aws_dns_record_type, aws_vpc_peering_type, aws_peering_dns_type,
    aws_endpoint_service_type, aws_flow_log_type, aws_ingress_type, aws_cluster_groups_type, aws_cluster_volumes_type;
