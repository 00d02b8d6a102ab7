/* Tokens with which a person's own AWS rights open an EKS cluster's API, for kubeconfig's exec plugins.
 *
 * A token is a signed request for sts:GetCallerIdentity that names the cluster: EKS sends it to STS and learns who made
 * it. Source of the form: aws-iam-authenticator's documentation and `aws eks get-token`. OwnHouse's own programs make
 * none for themselves: the control plane never holds a Kubernetes credential. */
#pragma once

#include "cloud/aws/sigv4.h"

#define AWS_EKS_TOKEN_SECONDS (14 * 60) /* how long a kubectl may keep it; EKS takes it a minute longer */

/* "k8s-aws-v1...."; `sts` is the host of the region's STS, NULL for AWS's own. Heap; wipe it. */
OH_MUST_CHECK int aws_eks_token(const struct sigv4_keys *keys, const char *region, const char *cluster, const char *sts,
                                int64_t wall_ms, char **ret, struct err *err);
