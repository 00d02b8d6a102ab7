/* Asking the signer: the only process that holds the link CA key and the desired-document key.
 *
 * Requests and answers are one JSON object a SOCK_SEQPACKET message (<= 64 KiB), matched by `id`. The signer's rules:
 * it signs agent certificates only for a URI SAN of the form ownhouse:agent/<uuid>, at most 24 h; server certificates
 * only for link.ownhouse; desired documents only with a version above the last it signed for that infrastructure (kept
 * in its own fsynced file), or the same version with the same digest.
 *
 * Public parts are files that any role may read: keys/link-ca.pem, keys/link-ca-spare.pem (its key is kept beside,
 * unused until the first is lost), keys/desired.pub (64 hex digits). */
#pragma once

#include "base/err.h"

#define SIGNER_MESSAGE_MAX KIB(64)
#define SIGNER_SERVER_NAME "link.ownhouse"
#define SIGNER_AGENT_URI_PREFIX "ownhouse:agent/"

/* Each call blocks at most 5 s on `fd` (role->signer); one caller at a time per descriptor. -ETIMEDOUT: the signer did
 * not answer; try again later. PEM answers are the leaf followed by its authority, heap, free(). */
OH_MUST_CHECK int signer_agent_certificate(int fd, const char *agent_id, const char *csr_pem, char **ret_chain_pem,
                                           struct err *err);
OH_MUST_CHECK int signer_server_certificate(int fd, const char *csr_pem, char **ret_chain_pem, struct err *err);
/* signature: 128 hex digits and NUL. digest_hex: SHA-256 of the document's bytes. */
OH_MUST_CHECK int signer_desired(int fd, const char *infrastructure, int64_t version, const char digest_hex[65],
                                 char ret_signature[129], struct err *err);
