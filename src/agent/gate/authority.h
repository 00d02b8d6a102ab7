/* The customer's access authority: who vouches for the gate towards engineers' devices, and for devices towards the
 * gate.
 *
 * Made in the customer's account at the gate's first start; the key never leaves its folder. The hash of its public key
 * is what a customer's signature over a request for access names, and the only thing that a device believes. Files in
 * DIR (0700): ca.key (0600), ca.pem, and ca.pin, the hash for people. The gate's own key is made at each start and
 * lives in memory alone. */
#pragma once

#include "net/tls.h"

#define GATE_URI_PREFIX "ownhouse:grant/"
#define GATE_CERTIFICATE_MS (10 * 60 * 1000)

struct authority;

/* Loads or makes it. */
OH_MUST_CHECK int authority_open(const char *dir, const struct clock *clock, struct authority **ret, struct err *err);
void authority_free(struct authority *a); /* NULL is fine */
/* "sha256/" and the hash. */
const char *authority_pin(const struct authority *a);
/* What the gate's listener uses; renewed when half of its 24 h are over: `ret` is set then, else NULL. */
OH_MUST_CHECK int authority_server(struct authority *a, struct tls_ctx **ret, struct err *err);
/* A device's certificate for a grant: at most GATE_CERTIFICATE_MS, at most `lasting_ms`. *ret: PEM, free(). */
OH_MUST_CHECK int authority_certify(struct authority *a, const char *grant, const char *csr_pem, int64_t lasting_ms,
                                    char **ret, struct err *err);
