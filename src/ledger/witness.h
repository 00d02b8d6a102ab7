/* A witness: cosigns checkpoints of other people's ledgers (C2SP tlog-cosignature), each only after proof that it
 * continues the last one cosigned for that ledger, which is remembered durably first.
 *
 * A ledger's verifier key is pinned at its first checkpoint. The control plane is the witness of agents' ledgers:
 * whoever holds it cannot make the witness sign two histories, and an agent that forks or rolls back its ledger gets no
 * cosignature. Agents are witnesses of the control plane's own record of activities, the same way round. */
#pragma once

#include "base/clock.h"
#include "base/js.h"
#include "ledger/note.h"

struct witness {
    char *dir; /* DIR/witness: one file a ledger, {"verifier","size","root"} */
    struct note_verifier own;
    struct signing_key *key;
    const struct clock *clock;
};

/* Makes DIR/witness.key and DIR/witness.pub (the verifier's text, for people) where missing. name: of the key; NULL:
 * "ownhouse/witness/" and the first 16 hex digits of the SHA-256 of the public key. */
OH_MUST_CHECK int witness_open(const char *dir, const char *name, const struct clock *clock, struct witness *ret,
                               struct err *err);
void witness_close(struct witness *w);

/* subject: whose ledger, the name of its file: lower-case letters, digits and hyphens. question:
 * {"verifier","note","from","proof"}. *ret_note: the note with the cosignature, free(). -ERANGE: `from` is not what was
 * cosigned last, *ret_size says what was. -EBADMSG: another key, a bad signature, or no continuation: a fork. */
OH_MUST_CHECK int witness_cosign(const struct witness *w, const char *subject, const json_t *question, char **ret_note,
                                 uint64_t *ret_size, struct err *err);
