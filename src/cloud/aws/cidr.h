/* Planning addresses: six subnets from one range, what overlaps, and how many nodes and replicas a range carries.
 *
 * Source of the rules: Amazon VPC user guide (five addresses of each subnet are AWS's own; /16 to /28) and the EKS best
 * practices guide (the VPC CNI's warm pools). Pure. */
#pragma once

#include "base/err.h"

#define CIDR_TEXT 19 /* "255.255.255.255/32" and NUL */
#define CIDR_ZONES 3

struct cidr {
    uint32_t first; /* host order, no host bits */
    int prefix;
};

/* "10.0.0.0/16"; -EINVAL with what is wrong, also for host bits. */
OH_MUST_CHECK int cidr_parse(const char *text, struct cidr *ret, struct err *err);
void cidr_text(const struct cidr *c, char out[CIDR_TEXT]);
bool cidr_overlap(const struct cidr *a, const struct cidr *b);

struct cidr_plan {
    struct cidr private_[CIDR_ZONES], public_[CIDR_ZONES], spare, services;
    bool prefix_mode; /* nodes take /28 blocks; smaller ranges hold single addresses */
};
/* /16 to /23; else -EINVAL. */
OH_MUST_CHECK int cidr_plan(const struct cidr *range, struct cidr_plan *ret, struct err *err);

struct cidr_capacity {
    int addresses; /* usable in each private subnet */
    int nodes;     /* in all zones */
    int replicas;  /* nodes less what the system takes; one replica has a node of its own */
};
void cidr_capacity(const struct cidr_plan *p, struct cidr_capacity *ret);

/* A range and why it must be kept clear of. */
struct cidr_taken {
    const char *cidr, *why;
};
/* -EADDRINUSE with a sentence for the first of `taken` (ends with a NULL cidr) or of AWS's and the cluster's own ranges
 * that overlaps. */
OH_MUST_CHECK int cidr_check(const struct cidr *range, const struct cidr_taken *taken, struct err *err);
