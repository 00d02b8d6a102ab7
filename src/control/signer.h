/* Asking the signer: the only process that holds the link CA key and the desired-document key.
 *
 * Requests and answers are one JSON object a SOCK_SEQPACKET message (<= 64 KiB), matched by `id`. The signer's rules:
 * it signs agent certificates only for a URI SAN of the form ownhouse:agent/<uuid>, at most 24 h; server certificates
 * only for link.ownhouse; desired documents only with a version above the last it signed for that infrastructure (kept
 * in its own fsynced file), or the same version with the same digest. */
#pragma once

#include "base/err.h"

/* Each call blocks at most 5 s on `fd` (role->signer). -ETIMEDOUT: the signer did not answer; try again later.
 * PEM answers are heap, free(). */
OH_MUST_CHECK int signer_agent_certificate(int fd, const char *agent_id, const char *csr_pem, char **ret_chain_pem,
                                           struct err *err);
OH_MUST_CHECK int signer_server_certificate(int fd, const char *csr_pem, char **ret_chain_pem, struct err *err);
/* signature: 128 hex digits and NUL. */
OH_MUST_CHECK int signer_desired(int fd, const char *infrastructure, int64_t version, const char digest_hex[65],
                                 char ret_signature[129], struct err *err);
