/* Set-up links: whoever holds one takes the account over: sets its password (and address), ends its sessions, and drops
 * its authenticator. Only the operator of the control plane makes them, on the machine itself. */
#pragma once

#include "base/keys.h"
#include "store/store.h"

#define SET_UP_TOKEN_LENGTH 43
#define SET_UP_LIFE_MS (24 * 3600 * 1000LL)

/* A new link for the user, in place of an older one. ret_token: wipe it. */
OH_MUST_CHECK int set_up_make(struct store *s, int64_t now, const char *user, char ret_token[SET_UP_TOKEN_LENGTH + 1],
                              struct err *err);
/* By the token's SHA-256 in hex: 1 and whose it is, 0 if it does not count. */
OH_MUST_CHECK int set_up_find(struct store *s, int64_t now, const char *token_hash, char ret_user[UUID_SIZE],
                              struct err *err);
