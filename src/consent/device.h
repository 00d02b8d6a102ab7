/* How an engineer's device proves, to the relay and to the gate, that it holds the key which a request for access
 * names.
 *
 * Ed25519 over `ownhouse-device-v1\n<purpose>\n<grant>\n<time, ms>\n<binding>\n`. `purpose` is "relay" or "gate", so
 * that what was said to the one is of no use at the other; `binding` is the hash of the key that a certificate is asked
 * for (64 hex digits), "" for the relay. Pure. */
#pragma once

#include "base/keys.h"

#define DEVICE_FOR_RELAY "relay"
#define DEVICE_FOR_GATE "gate"
#define DEVICE_SIGNATURE_SIZE (2 * ED25519_SIGNATURE_SIZE + 1) /* hex and NUL */

void device_sign(const struct signing_key *key, const char *purpose, const char *grant, int64_t time_ms,
                 const char *binding, char ret[DEVICE_SIGNATURE_SIZE]);
/* False for a text of another form too. */
OH_MUST_CHECK bool device_proves(const unsigned char key[ED25519_PUBLIC_SIZE], const char *purpose, const char *grant,
                                 int64_t time_ms, const char *binding, const char *signature);
