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

/* Connections of this process to other machines: {"connections":[...],"shut":bool}; new reference. */
json_t *lock_probe(void);

/* The commands; the exit status. lock waits until the operator has reported, at most a minute. */
int lock_command(const struct agent_config *c, bool json);
int unlock_command(const struct agent_config *c, const char *key, const char *passphrase_file);
