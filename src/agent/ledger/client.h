/* Asking the ledger role: the only process of the agent that holds the ledger's key and writes its folder
 * (api/ledger.md).
 *
 * Requests and answers are one JSON object a SOCK_SEQPACKET message, matched by a random `id`. Each call blocks at most
 * LEDGER_TIMEOUT_MS on `fd` (agent_role.ledger); one caller at a time per descriptor. An error means: not recorded, so
 * what was to be recorded must not happen. -ETIMEDOUT: the ledger did not answer (it may have recorded it all the
 * same); -EACCES: it refused or could not write, with its own sentence. */
#pragma once

#include "base/js.h"

#define LEDGER_MESSAGE_MAX KIB(160)
#define LEDGER_TIMEOUT_MS 10000

/* Durable on return. body is borrowed: an object of at most 60 KiB, without secrets. ret_index may be NULL. */
OH_MUST_CHECK int ledger_ask_append(int fd, const char *kind, const json_t *body, uint64_t *ret_index, struct err *err);
/* Adds to the running totals that the next leaf carries; not answered, never blocks. */
void ledger_tell_count(int fd, const char *what, int64_t n);
/* A checkpoint of all leaves now, in the bucket too: at a session's end. */
OH_MUST_CHECK int ledger_ask_checkpoint(int fd, struct err *err);
/* {"size","signedSize","note","verifier","published","error"}; new reference. */
OH_MUST_CHECK int ledger_ask_status(int fd, json_t **ret, struct err *err);
/* For the witness: {"note","size","from","proof":[base64]}, the newest checkpoint and its consistency with the first
 * `from` leaves (0: none is needed). */
OH_MUST_CHECK int ledger_ask_witness(int fd, uint64_t from, json_t **ret, struct err *err);
/* A checkpoint of ours with cosignatures behind our signature. */
OH_MUST_CHECK int ledger_ask_cosigned(int fd, const char *note, struct err *err);
/* As witness of the control plane's own record: `question` has verifier, note, from and proof. *ret: {"verifier"
 * (ours), "size", and "note" with our cosignature; without it `from` was another than "size", the last one cosigned}.
 * -EACCES: it does not continue what was cosigned. */
OH_MUST_CHECK int ledger_ask_cosign(int fd, const json_t *question, json_t **ret, struct err *err);
/* Leaves [from, from + n) as JSON texts, as many as fit one message; new reference to an array. */
OH_MUST_CHECK int ledger_ask_leaves(int fd, uint64_t from, uint64_t n, json_t **ret, struct err *err);
