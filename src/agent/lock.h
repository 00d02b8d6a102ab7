/* The kill switch: `ownhouse-agent lock` shuts every way in and out for management, `unlock` opens it again with the
 * customer's keys. Services go on.
 *
 * `<home>/policy/lock.json` ({"nonce","at"}) is the lock; while it is there the operator keeps no link and carries
 * nothing out, and the gate's policy allows no grant. `<home>/policy/unlock.json` holds signatures of approvers over
 * `ownhouse-unlock-v1\n<infrastructure>\n<nonce>\n`; with as many as the policy's quorum the operator records it and
 * takes both files away. Whoever may write the customer's files on this machine may remove the lock by hand; the ledger
 * then has no `unlocked` leaf. */
#pragma once

#include "agent/config.h"
#include "base/js.h"
#include "consent/policy.h"

bool lock_is_set(const struct agent_config *c);
/* True if the signatures that are there open the lock under this policy. */
OH_MUST_CHECK bool lock_may_open(const struct agent_config *c, const struct policy *p, const char *infrastructure);
OH_MUST_CHECK int lock_remove(const struct agent_config *c, struct err *err);

/* Looks at each way in and out for management, and says of each whether it is shut; new reference:
 * {"connections":[addresses],"paths":{"link":{"connections":n,"shut":bool},"gate":{"locked","grants","connections",
 * "shut"},"operations":{"shut"}},"shut":bool}. link: connections of this process, which has the link and the relay's
 * ends, to other machines. gate: what it answers (gate_status; NULL: it has not, and is not taken for shut).
 * operations: an operation and a document that were offered for the report were refused (`refused`: desk_refuses()). */
json_t *lock_probe(const json_t *gate_status, bool refused);

/* The commands; the exit status. lock waits until the operator has reported, at most a minute. */
int lock_command(const struct agent_config *c, bool json);
int unlock_command(const struct agent_config *c, const char *key, const char *passphrase_file);
