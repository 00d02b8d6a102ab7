/* Asking the signer: the only process that holds the link CA key and the desired-document key.
 *
 * Requests and answers are one JSON object a SOCK_SEQPACKET message (<= 64 KiB), matched by `id`. The signer's rules:
 * it signs agent certificates only for a URI SAN of the form ownhouse:agent/<uuid>, at most 24 h; server certificates
 * only for link.ownhouse; desired documents only with a version above the last it signed for that infrastructure (kept
 * in its own fsynced file), or the same version with the same digest; one-time codes it checks for the api role alone.
 *
 * Public parts are files that any role may read: keys/link-ca.pem, keys/link-ca-spare.pem (its key is kept beside,
 * unused until the first is lost), keys/desired.pub (64 hex digits). */
#pragma once

#include "base/js.h"

#define SIGNER_MESSAGE_MAX KIB(64)
#define SIGNER_SERVER_NAME "link.ownhouse"
#define SIGNER_AGENT_URI_PREFIX "ownhouse:agent/"

/* Each call blocks at most 5 s on `fd` (role->signer); one caller at a time per descriptor. -ETIMEDOUT: the signer did
 * not answer; try again later. PEM answers are the leaf followed by its authority, heap, free(). */
OH_MUST_CHECK int signer_agent_certificate(int fd, const char *agent_id, const char *csr_pem, char **ret_chain_pem,
                                           struct err *err);
OH_MUST_CHECK int signer_server_certificate(int fd, const char *csr_pem, char **ret_chain_pem, struct err *err);
/* signature: 128 hex digits and NUL. digest_hex: SHA-256 of the document's bytes. */
/* Cosigns a checkpoint of an agent's ledger (ledger/witness.h); `checkpoint` has verifier, note, from
 * and proof. 0 with *ret_note NULL: `from` was another than *ret_size, the size cosigned last. */
OH_MUST_CHECK int signer_witness(int fd, const char *infrastructure, const json_t *checkpoint, char **ret_note,
                                 uint64_t *ret_size, struct err *err);
OH_MUST_CHECK int signer_desired(int fd, const char *infrastructure, int64_t version, const char digest_hex[65],
                                 char ret_signature[129], struct err *err);

/* Seals activity rows (store/activity_rows.h) into the control plane's own ledger, at most SIGNER_SEAL_ROWS; none: only
 * asks. *ret_last: the highest row sealed. *ret_signed: all of it is under a checkpoint. */
#define SIGNER_SEAL_ROWS 64
OH_MUST_CHECK int signer_seal(int fd, const json_t *rows, int64_t *ret_last, bool *ret_signed, struct err *err);

/* For agents, the outside witnesses of that ledger (control/signer/signer_seal.h). *ret: {"size", and where something
 * is signed behind `from`: "verifier","note","from","proof"}. */
OH_MUST_CHECK int signer_activities(int fd, int64_t from, json_t **ret, struct err *err);
/* `message` has verifier and note. */
OH_MUST_CHECK int signer_activities_cosigned(int fd, const char *infrastructure, const json_t *message,
                                             struct err *err);

/* Authenticators' secrets (identity/totp.h). The signer makes and checks them; the store has them only sealed by a key
 * of the signer's, each bound to its user. `user`: UUID. */
/* ret_secret: base32 with NUL, to be shown once. ret_sealed: text for the store, heap. */
OH_MUST_CHECK int signer_totp_new(int fd, const char *user, char *ret_secret, size_t size, char **ret_sealed,
                                  struct err *err);
/* *ret_step: the time step whose code it is, above `after`; 0 if the code is wrong or used. */
OH_MUST_CHECK int signer_totp_check(int fd, const char *user, const char *sealed, const char *code, int64_t after,
                                    int64_t *ret_step, struct err *err);
