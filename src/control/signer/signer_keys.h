/* The signer's keys and its memory of what it signed. */
#pragma once

#include "base/clock.h"
#include "base/keys.h"
#include "control/config.h"
#include "net/tls.h"

struct signer_keys {
    struct tls_ca *ca;           /* link CA in use */
    struct signing_key *desired; /* desired-document key */
    char *versions_dir;          /* one file an infrastructure: "<version> <digest>" */
};

/* Loads keys/link-ca.*, keys/link-ca-spare.* and keys/desired.*; makes those missing at the first start. A missing one
 * beside others that exist is an error: it was lost, and making a new one would lock agents out. */
OH_MUST_CHECK int signer_keys_open(const struct control_config *c, const struct clock *clock, struct signer_keys *ret,
                                   struct err *err);
void signer_keys_close(struct signer_keys *k);

/* Signs the desired-document statement if the version rule allows it; remembers it durably first. */
OH_MUST_CHECK int signer_keys_desired(const struct signer_keys *k, const char *infrastructure, int64_t version,
                                      const char *digest, char ret_signature[129], struct err *err);
