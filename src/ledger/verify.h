/* Checking a copy of a ledger (a bucket's folder, or the ledger's own) without asking anybody.
 *
 * Every leaf is read and hashed again, and every checkpoint compared with the tree that the leaves give. What does not
 * fit is a finding, in words; the check goes on, so that all of it is seen. Needs only the log's verifier key, from a
 * place that the copy's keeper cannot write to. */
#pragma once

#include "ledger/leaf.h"
#include "ledger/note.h"

enum ledger_finding {
    LEDGER_GAP,     /* leaves or files are missing */
    LEDGER_EDIT,    /* a leaf or a tile is not what was hashed */
    LEDGER_FORK,    /* a checkpoint of another history: a root that these leaves do not have */
    LEDGER_FORGED,  /* a signature that is not by the key, or a note that is none */
    LEDGER_LATE,    /* a cosignature long after the leaf it covers */
    LEDGER_UNSEEN,  /* checkpoints at the end that no witness has cosigned */
    LEDGER_CLOCK,   /* time went backwards, or jumped against the machine's own count */
    LEDGER_UNSIGNED /* leaves behind the last checkpoint: only in the ledger's own folder */
};
extern const char *const ledger_finding_names[];

struct ledger_verify {
    const char *dir;
    struct note_verifier log;
    const struct note_verifier *witness; /* NULL: cosignatures are not looked at */
    int64_t late_ms;                     /* a cosignature later than this after the newest leaf it covers; 0: 10 min */
    /* Checkpoints kept elsewhere (the control plane's, a customer's notebook), checked against these leaves too; each a
     * whole note. */
    const char *const *others;
    size_t n_others;
    void (*on_finding)(enum ledger_finding kind, uint64_t index, const char *sentence, void *data);
    /* Each readable leaf in its order; may be NULL. */
    void (*on_leaf)(const struct leaf *leaf, const struct merkle_hash *hash, void *data);
    void *data;
};

struct ledger_verdict {
    uint64_t leaves;      /* read and hashed */
    uint64_t signed_size; /* of the newest good checkpoint */
    struct merkle_hash root;
    uint64_t checkpoints, cosigned;
    uint64_t findings; /* all but LATE, UNSEEN, CLOCK and UNSIGNED */
    uint64_t notices;  /* those */
    int64_t first_ms, last_ms;
};

/* 0: the check ran; ret->findings says what came of it. Errors are only those of reading the folder. */
OH_MUST_CHECK int ledger_verify(const struct ledger_verify *v, struct ledger_verdict *ret, struct err *err);
