/* The table of rights; only policy.c and session.c look into it. */
#pragma once

#include "cloud/aws/policy.h"

enum aws_feature {
    AWS_ALWAYS,
    AWS_F_NETWORK,
    AWS_F_IDENTITIES,
    AWS_F_KEY,
    AWS_F_CLUSTER,
    AWS_F_ZONE,
    AWS_F_DELETE_DATA,
    AWS_F_CONNECTIONS /* peering, PrivateLink, flow logs */
};

#define AWS_IN(phase) (1u << (phase))

struct aws_right {
    const char *sid;
    unsigned phases;
    enum aws_feature feature;
    const char *actions;   /* separated by spaces */
    const char *resources; /* "*", or ARNs separated by spaces: {P} partition, {A} account, {N} name, {R} role path */
    const char *condition; /* JSON, same placeholders; NULL: none */
};

extern const struct aws_right aws_rights[];
extern const size_t aws_rights_count;
