/* ID tokens: JSON Web Signatures (RFC 7515, compact form) by keys of a JSON Web Key Set (RFC 7517), and the checks of
 * OpenID Connect Core 1.0 section 3.1.3.7.
 *
 * Two algorithms only, RS256 and ES256 (RFC 7518); the key's type must fit, so that no token can choose a weaker one.
 * Everything here is bytes from another host: sizes are bounded, and errors never quote them. */
#pragma once

#include "base/js.h"

#define JWT_MAX KIB(16)
#define JWT_KEYS_MAX KIB(64)
#define JWT_KEYS 32        /* of a set; further ones are not looked at */
#define JWT_SKEW_MS 120000 /* how far the provider's clock may be off */
#define JWT_AGE_MS 600000  /* how long ago a token may have been issued */

/* What is expected of it. */
struct jwt_wanted {
    const char *issuer, *audience, *nonce;
    int64_t now_ms;
};

/* The claims (new reference) of a token that one of the keys signed and that is as wanted. -ENOKEY: no key of the set
 * has its kid; ask for the set anew. -EACCES: anything else that is wrong with it; the sentence says what. */
OH_MUST_CHECK int jwt_verify(const char *token, const json_t *keys, const struct jwt_wanted *wanted, json_t **ret,
                             struct err *err);

/* base64url without padding, RFC 4648 section 5; -EINVAL otherwise, -EMSGSIZE above max. *ret: heap. */
OH_MUST_CHECK int jwt_base64url(const char *text, size_t len, size_t max, unsigned char **ret, size_t *ret_len);
/* The other way; heap, free(). */
char *jwt_base64url_encode(const void *data, size_t len);
