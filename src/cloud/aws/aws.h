/* AWS as a cloud: an infrastructure's network, buckets, key, identities and EKS cluster in a customer's account.
 *
 * Every resource carries the tags ownhouse:infrastructure (the infrastructure's id) and ownhouse:resource
 * ("type.name"), and is found by them; what has names of its own (buckets, roles, clusters) is found by the name and
 * taken for ours only with the tag. Four identities, one a phase: what observes never changes anything, what creates
 * cannot destroy, but for what comes and goes with one service (cloud_aws_services_add). */
#pragma once

#include "cloud/aws/client.h"
#include "cloud/local/local.h"
#include "plan/plan.h"

#define AWS_ZONES 3
#define AWS_TAG_INFRASTRUCTURE "ownhouse:infrastructure"
#define AWS_TAG_RESOURCE "ownhouse:resource"

enum aws_phase { AWS_INSPECT, AWS_PROVISION, AWS_OPERATE, AWS_REMOVE, AWS_PHASES };
extern const char *const aws_phase_names[]; /* "inspect" "provision" "operate" "remove" */

/* What the customer chose; borrowed. Empty or NULL texts mean: not given. */
struct aws_settings {
    const char *infrastructure; /* lower-case UUID */
    const char *name;           /* DNS label */
    const char *account;        /* 12 digits */
    const char *region;
    const char *cidr;  /* /16 to /23 */
    const char *zones; /* three letters, "abc" */
    const char *domain;
    bool single_nat; /* one NAT gateway for all zones: cheaper, and one zone's loss is all's */
    const char *vpc, *private_subnets[AWS_ZONES]; /* own network: only looked at */
    const char *kms_key;                          /* own key: its ARN */
    const char *boundary;                         /* ARN of the artefact's boundary, on each role that is made */
    const char *cluster_role, *node_role;         /* own identities: ARNs */
    const char *data_role, *bootstrap_role;       /* from the artefact: ARNs */
    const char *launch_template;                  /* from the artefact: of the bootstrap instance */
    const char *role_path;                        /* "/ownhouse/" */
    const char *kubernetes;                       /* version, "1.33" */
    bool cluster;                                 /* an EKS cluster with node groups */
    bool addons, pod_identities, access_entry, bootstrap; /* with cluster */
    bool hosted_zone;
    bool interface_endpoints;
    bool flow_logs;
    const char *flow_log_role;                                     /* own identities: ARN */
    const char *peer_vpc, *peer_account, *peer_region, *peer_cidr; /* VPC peering; NULL: none */
    bool peer_dns;
    const char *load_balancer;     /* PrivateLink: ARN of the cluster's private network load balancer; NULL: none */
    const json_t *link_principals; /* who may ask for a connection: array of ARNs, or NULL */
    bool link_acceptance;          /* each connection is accepted by the customer */
    bool removal; /* the graph is for a removal: with what the cluster made by itself and would leave behind */
};

/* The provider pointer of plan_context. `local` is first, so that an account whose data plane runs on this machine
 * ("dataPlane": "local") can have the local types in the same graph. */
struct aws_env {
    struct local_env local;
    const char *infrastructure, *name, *account, *region;
    struct aws_client *clients[AWS_PHASES]; /* one may stand in several places; NULL: that role is detached */
};

/* The settings from an account's and an infrastructure's configuration (objects of the API). Texts are borrowed from
 * them. The message names the field. */
OH_MUST_CHECK int aws_settings_read(const json_t *account, const json_t *infrastructure, struct aws_settings *ret,
                                    struct err *err);
/* The configuration with what follows from the account's name filled in: the roles, the boundary and the launch
 * template have the names that the artefact gives them (ownhouse-NAME-inspect ...). A new object. */
json_t *aws_account_complete(const char *name, const json_t *config);
/* The desired graph; pure. */
OH_MUST_CHECK int cloud_aws_graph(const struct aws_settings *s, struct plan_graph **ret, struct err *err);
/* The same, added to a graph that is there. */
OH_MUST_CHECK int cloud_aws_graph_add(const struct aws_settings *s, struct plan_graph *g, struct err *err);

/* A service of the infrastructure: its UUID and its DNS label. Borrowed. */
struct aws_service {
    const char *id, *slug;
};

/* Resources that belong to one service are named this and the service's id; what begins so belongs to one. */
#define AWS_SERVICE_PREFIX "service-"
bool aws_of_service(const char *name);
/* Adds what services need beside the infrastructure's own graph, which must be in `g`: of each the association of its
 * service account with the data role, and its name in the hosted zone, as far as the settings have a cluster with pod
 * identities and a zone. Names point to the load balancer that the cluster makes for its ingress (aws_ingress.main,
 * added too), or, where the data plane runs on this machine (`here`), to this machine. Pure. */
OH_MUST_CHECK int cloud_aws_services_add(const struct aws_settings *s, const struct aws_service *services, size_t n,
                                         bool here, struct plan_graph *g, struct err *err);

/* NULL-terminated: AWS's types, and after them the local ones. */
extern const struct plan_type *const cloud_aws_types[];
