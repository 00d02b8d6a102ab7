/* The witness: cosigns checkpoints of agents' ledgers (C2SP tlog-cosignature), each only after proof that it continues
 * the last one cosigned for that infrastructure, which is remembered durably first.
 *
 * A ledger's verifier key is pinned at its first checkpoint. So whoever holds the control plane cannot make the witness
 * sign two histories, and an agent that forks or rolls back its ledger gets no cosignature. */
#pragma once

#include "base/clock.h"
#include "base/js.h"
#include "base/keys.h"

struct signer_witness {
    char *dir; /* keys/witness: one file an infrastructure, {"verifier","size","root"} */
    struct signing_key *key;
    const struct clock *clock;
};

/* Makes keys/witness.key and keys/witness.pub (the verifier's text, for people) where missing. */
OH_MUST_CHECK int signer_witness_open(const char *keys_dir, const struct clock *clock, struct signer_witness *ret,
                                      struct err *err);
void signer_witness_close(struct signer_witness *w);

/* question: {"infrastructure","verifier","note","from","proof"}. *ret_note: the note with the cosignature, free().
 * -ERANGE: `from` is not what was cosigned last, *ret_size says what was. -EBADMSG: another key, a bad signature, or no
 * continuation: a fork. */
OH_MUST_CHECK int signer_witness_cosign(const struct signer_witness *w, const json_t *question, char **ret_note,
                                        uint64_t *ret_size, struct err *err);
