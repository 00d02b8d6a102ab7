/* What the operator role writes into the ledger: the bundle's fingerprint first, what came and was refused, every
 * message that leaves. The kinds and bodies are in api/ledger.md.
 *
 * Each call asks the ledger role and waits; an error means that the thing must not be done. */
#pragma once

#include "agent/link/identity.h"
#include "base/js.h"
#include "net/tls.h"

struct recorder {
    int fd; /* to the ledger */
};

/* The first leaf where there is none, and one for this start. */
OH_MUST_CHECK int recorder_begin(const struct recorder *r, const struct bundle *bundle, const struct identity *id,
                                 const char *policy_digest, struct err *err);
/* A message that is about to leave. Messages of the ledger itself are counted in the next leaf instead. */
OH_MUST_CHECK int recorder_egress(const struct recorder *r, const char *type, const char *text, size_t len,
                                  const char *destination, struct err *err);
/* A certificate that came into use: `purpose` is link or services. */
OH_MUST_CHECK int recorder_certificate(const struct recorder *r, const char *purpose, const struct tls_cert *cert,
                                       struct err *err);
/* A desired document that came: `verdict` is accepted, refused or waiting. */
OH_MUST_CHECK int recorder_desired(const struct recorder *r, int64_t version, const char *document, size_t len,
                                   const char *verdict, const char *why, struct err *err);
