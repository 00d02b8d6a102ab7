/* The agent's identity on the link: its key, which never leaves this folder, and the certificate for it.
 *
 * Files in DIR (0700), each written atomically and fsynced: key.pem (0600) is made first; bundle.json (canonical,
 * without token) and agent.json (who we are) follow; certificate.pem comes last and means "enrolled". A crash between
 * any two leaves a state from which enrolment goes on with the same key. */
#pragma once

#include "agent/link/bundle.h"
#include "net/tls.h"

struct identity {
    char agent[UUID_SIZE], infrastructure[UUID_SIZE];
    struct tls_key *key;
    struct tls_cert *cert;
    int64_t not_before_ms, not_after_ms; /* of the certificate, wall clock */
};

/* Loads the key, or makes it at the first call. */
OH_MUST_CHECK int identity_key(const char *dir, struct tls_key **ret, struct err *err);
/* -ENOENT: not enrolled yet. -EINVAL: a file is damaged, or they do not belong together. */
OH_MUST_CHECK int identity_load(const char *dir, struct identity *ret, struct err *err);
void identity_free(struct identity *id);

/* The outcome of an enrolment: checks that the certificate is for this key and names this agent, then stores all.
 * -EINVAL: the control plane's answer does not fit. */
OH_MUST_CHECK int identity_enrolled(const char *dir, const struct tls_key *key, const struct bundle *bundle,
                                    const char *agent, const char *infrastructure, const char *certificate_pem,
                                    struct err *err);
/* A renewed certificate: the same checks, also that it ends later than the one in use; then id changes. */
OH_MUST_CHECK int identity_renewed(const char *dir, struct identity *id, const char *certificate_pem, struct err *err);

/* The bundle that was enrolled with. -ENOENT: none. */
OH_MUST_CHECK int identity_bundle(const char *dir, struct bundle **ret, struct err *err);
