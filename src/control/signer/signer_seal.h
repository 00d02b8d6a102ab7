/* The control plane's own record: its activities sealed into a ledger of the signer's (api/ledger.md), so that whoever
 * alters or removes a row of the store later is found out by the tree and its signed checkpoints.
 *
 * Folder keys/activities: key.pem, verifier (for people), log/ (ledger/ledger.h), a copy of it in published/. Rows come
 * with rising numbers; what was sealed is never sealed again, and a store that was rolled back is refused. */
#pragma once

#include "base/clock.h"
#include "base/js.h"
#include "base/keys.h"
#include "control/signer.h"
#include "ledger/ledger.h"

struct signer_seal {
    char *dir;
    char origin[LEDGER_ORIGIN_SIZE];
    struct signing_key *key;
    struct ledger *ledger; /* NULL: it could not be opened; tried again at the next question */
    const struct clock *clock;
    int64_t last;      /* the highest row sealed */
    int64_t signed_ms; /* monotonic: when the last checkpoint was signed */
};

OH_MUST_CHECK int signer_seal_open(const char *keys_dir, const struct clock *clock, struct signer_seal *ret,
                                   struct err *err);
/* Signs what has no checkpoint yet. */
void signer_seal_close(struct signer_seal *s);

/* question: {"rows":[{"seq","id","type","organization","time","sha256"}]}, at most SIGNER_SEAL_ROWS, rising, above what
 * was sealed; none: only asks, and signs what is due. *ret_last: the highest row sealed. -EPERM: the rows begin at or
 * below what was sealed. Durable on return. */
OH_MUST_CHECK int signer_seal_rows(struct signer_seal *s, const json_t *question, int64_t *ret_last, struct err *err);
/* For agents as witnesses: into `answer` the newest checkpoint and its consistency with the first `from` leaves:
 * "verifier", "note", "size", "from", "proof" (base64). Only "size" where nothing is signed behind `from`. */
OH_MUST_CHECK int signer_seal_checkpoint(struct signer_seal *s, uint64_t from, json_t *answer, struct err *err);
/* What an agent's witness says: {"verifier", "note"}, one of our checkpoints with its cosignature. Its key is pinned at
 * the first one (keys/activities/witnesses/<infrastructure>). Kept beside the checkpoint, in published/ too; a
 * checkpoint has room for SIGNER_SEAL_WITNESSES, more are left out. -EBADMSG: another key than before, or no signature
 * of it. */
#define SIGNER_SEAL_WITNESSES 8
OH_MUST_CHECK int signer_seal_cosigned(struct signer_seal *s, const char *infrastructure, const json_t *question,
                                       struct err *err);
bool signer_seal_signed(const struct signer_seal *s); /* all leaves are under a checkpoint */
