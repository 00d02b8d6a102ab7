/* The signer's keys and its memory of what it signed. */
#pragma once

#include "base/clock.h"
#include "base/keys.h"
#include "control/config.h"
#include "control/signer/signer_seal.h"
#include "control/signer/signer_totp.h"
#include "ledger/witness.h"
#include "net/tls.h"

struct signer_keys {
    struct tls_ca *ca;                        /* link CA in use */
    struct signing_key *desired;              /* desired-document key */
    char *versions_dir;                       /* one file an infrastructure: "<version> <digest>" */
    struct witness witness;                   /* of agents' ledgers */
    struct signer_seal *seal;                 /* of the control plane's own activities */
    unsigned char totp[SIGNER_TOTP_KEY_SIZE]; /* seals authenticators' secrets */
};

/* Loads keys/link-ca.* and keys/desired.* and proves that keys/link-ca-spare.* could be; makes all at the first start.
 * After that a missing one, or a missing memory of what was signed, is an error: it was lost, and making a new one
 * would lock agents out. Only the spare may be missing, and then both its files: it has taken the first one's place;
 * and keys/totp.key, which is made where it is not. */
OH_MUST_CHECK int signer_keys_open(const struct control_config *c, const struct clock *clock, struct signer_keys *ret,
                                   struct err *err);
void signer_keys_close(struct signer_keys *k);

/* Signs the desired-document statement if the version rule allows it; remembers it durably first. -EINVAL: the UUID or
 * the digest is malformed or not in lower case; -EPERM: the version rule. */
OH_MUST_CHECK int signer_keys_desired(const struct signer_keys *k, const char *infrastructure, int64_t version,
                                      const char *digest, char ret_signature[129], struct err *err);
