/* Looking into an account before anything is made: are the roles as they should be, and would an infrastructure fit?
 *
 * Both give an array of {"check","outcome":"ok"|"wrong"|"unknown","found","needed","advice"}; what cannot be looked at
 * is "unknown" with the reason, never a failure of the whole. They block, and change nothing. */
#pragma once

#include "cloud/aws/aws.h"

struct aws_inspect {
    const json_t *account; /* complete (aws_account_complete) */
    const char *name;      /* of the account in OwnHouse */
    const char *region, *cidr;
    /* A client with a role's keys; external id as given (NULL: none). */
    int (*client)(void *data, enum aws_phase phase, const char *external_id, struct aws_client **ret, struct err *err);
    void *data;
};

/* Takes up each role rightly, without the external id and with a wrong one (both must be refused), and compares
 * account, artefact version and boundary. New array. */
json_t *aws_verify(const struct aws_inspect *i);
/* ARNs of whatever carries an infrastructure's tag (NULL: any infrastructure's): a new array, sorted by AWS. */
OH_MUST_CHECK int aws_tagged(struct aws_client *c, const char *infrastructure, json_t **ret, struct err *err);
/* As whom the controller acts, so that the roles can trust it: one row, `found` the ARN that a trust policy takes (of
 * an assumed role's session, the role with its path, which IAM is asked for; where IAM may not be asked, without it,
 * and `advice` says so). `c` has the controller's own keys. New array. */
json_t *aws_whoami(struct aws_client *c);
/* One row of the answers, appended. */
void aws_inspect_row(json_t *rows, const char *outcome, const char *check, const char *found, const char *needed,
                     const char *advice);
/* Whether the customer's own network ({"vpc","privateSubnets"}) will do: its DNS, and of each private subnet VPC, zone,
 * free addresses, the tag for private load balancers, a way out that is no internet gateway, and the S3 endpoint. */
void aws_own_network(struct aws_client *c, const json_t *network, const char *region, json_t *rows);
/* Where an infrastructure needs more of an account than Service Quotas leaves beside what is there: what `g`, its
 * desired graph, has of each kind; vCPUs by families of instances, of the node groups as they will be with
 * account.config.plannedReplicas (3) and plannedServices (1) at their peak, half as many again and 100 (the rule of
 * ClickHouse's BYOC reference for AWS). */
void aws_quotas(const struct aws_inspect *i, const struct plan_graph *g, struct aws_client *c, json_t *rows);
int64_t aws_planned_replicas(const json_t *account);
/* Names that do not carry an infrastructure's id: the artefact's roles, boundary and launch template that its graph
 * needs, and the zone's domain, if it makes one. */
void aws_names(const struct aws_inspect *i, const struct plan_graph *g, struct aws_client *c, json_t *rows);
/* Pure. vCPUs of an instance type by its size ("m7g.4xlarge": 16), 0 if the size does not say it; and the place in
 * Service Quotas' families of on-demand instances, -1: none that is known here. */
int aws_instance_vcpus(const char *type);
int aws_instance_family(const char *type);
/* One row a role: what of the rights that it needs for this account's wishes IAM's simulation says would be
 * denied, and by what (policies, boundary, organization). `c` is the inspect role's client; where that one may not ask,
 * the row is "unknown" and says so. Each right is asked for one resource of its kind, with the tags that it is bound
 * to. */
void aws_simulate(const struct aws_inspect *i, struct aws_client *c, json_t *rows);
/* Quotas, zones by their ids, the range's rules, overlaps and capacity, endpoints, what carries our tags already, the
 * roles' rights. New array. */
json_t *aws_preflight(const struct aws_inspect *i);
