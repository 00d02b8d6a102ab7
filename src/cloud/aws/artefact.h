/* What a customer applies in his own account with his own rights: roles, boundary, data and bootstrap roles, launch
 * template.
 *
 * One source (the table of rights), two forms equal in effect: a CloudFormation template and a Terraform module, both
 * as JSON. What depends on the customer's choices is a parameter of either: external id, the controller's principal,
 * role path, a permissions boundary for the four roles, own network, own identities, own key, deletion of data, the
 * zone that the agent may write into. A second part, for an infrastructure that is there, has its buckets' policies: no
 * role of ours may write these. Pure.
 */
#pragma once

#include "cloud/aws/policy.h"

#define AWS_ARTEFACT_VERSION "6"

/* `name` is the account's in OwnHouse; the external id and the controller's ARN become defaults. New references. */
json_t *aws_artefact_cloudformation(const char *name, const char *external_id, const char *controller_arn);
json_t *aws_artefact_terraform(const char *name, const char *external_id, const char *controller_arn);
/* The buckets' policies: TLS only, objects only by the data role. The infrastructure is a parameter. New references. */
json_t *aws_artefact_buckets_cloudformation(const char *name);
json_t *aws_artefact_buckets_terraform(const char *name);
