/* What an engineer's device keeps and believes: its own key, and which gate the customer has named.
 *
 * <home>/device.key is the Ed25519 key, made when it is first needed (0600). */
#pragma once

#include "base/keys.h"
#include "cli/command.h"

/* Loads or makes it. */
OH_MUST_CHECK int device_key(const struct cli *c, struct signing_key **ret, struct err *err);
/* The pin of an infrastructure's gate: --gate, or on the customer's own machine the file that the gate wrote. free().
 */
OH_MUST_CHECK int device_gate_pin(const struct cli *c, const char *infrastructure, char **ret, struct err *err);
/* Public keys of the customer's approvers: --approver HEX, or the customer's folder in this home. */
#define DEVICE_APPROVERS_MAX 16
OH_MUST_CHECK int device_approvers(const struct cli *c, unsigned char (*ret)[ED25519_PUBLIC_SIZE], size_t *ret_n,
                                   struct err *err);
