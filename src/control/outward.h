/* Asking the outward role: the only role of the control plane, beside the controller, that speaks to other hosts. It
 * sends mail and talks to the identity provider, both named in control.conf; who asks cannot name another host. It
 * holds their secrets, and nothing of the store.
 *
 * A question is one JSON object in a SOCK_SEQPACKET message of at most OUTWARD_MESSAGE_MAX, with a socket of its own
 * for the answer (SCM_RIGHTS), so that threads of one role may ask at the same time. The role runs only where mail or a
 * provider is configured; elsewhere descriptors are -1 and every call is -ENOENT. */
#pragma once

#include "base/js.h"

#define OUTWARD_MESSAGE_MAX KIB(64)
#define OUTWARD_TIMEOUT_MS 40000

/* Each call blocks. -EACCES: the other host refused; -ETIMEDOUT: no answer; the sentence says which. */
OH_MUST_CHECK int outward_mail(int fd, const char *to, const char *subject, const char *text, struct err *err);
/* The provider's authorization endpoint; heap. */
OH_MUST_CHECK int outward_oidc_start(int fd, char **ret_endpoint, struct err *err);
/* Verified claims {sub, email?, email_verified?, name?} for a code of the provider; new reference. */
OH_MUST_CHECK int outward_oidc_finish(int fd, const char *code, const char *verifier, const char *nonce,
                                      json_t **ret_claims, struct err *err);
