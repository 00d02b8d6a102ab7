/* One question to the running gate over its control socket, for the customer's own commands (api/access.md). */
#pragma once

#include "agent/config.h"
#include "base/js.h"

/* Sends the message (reference taken over) and waits for an answer of that type, and for `ended` of that grant where
 * `grant` is not NULL; *ret (may be NULL): the answer, new reference. -ENOTCONN: no gate runs. -ETIMEDOUT. */
OH_MUST_CHECK int gate_ask(const struct agent_config *c, json_t *message, const char *answer, const char *grant,
                           json_t **ret, struct err *err);
