/* The command `account eks-token`, for kubeconfig files of the customer's own: it asks no control plane. */
#pragma once

#include "cli/command.h"

OH_MUST_CHECK int eks_token_run(struct cli *c, struct err *err);
extern const struct cli_option eks_token_options[];
