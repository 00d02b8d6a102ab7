/* HTTP Basic credentials, RFC 7617: "Basic " and base64 of user ":" password. */
#pragma once

#include "base/err.h"

#define BASIC_MAX 1024 /* bytes of the header's value */

struct basic {
    char *user, *password; /* heap; the password is wiped by basic_free */
};

/* -ENOENT: no value (NULL) or another scheme. -EINVAL: the scheme is Basic and the rest is not well-formed: bad base64,
 * no colon, control characters, or longer than BASIC_MAX. *ret is written only on success. Messages never hold any of
 * the value. */
OH_MUST_CHECK int basic_parse(const char *value, struct basic *ret, struct err *err);
void basic_free(struct basic *b);
#define autobasic OH_CLEANUP(basic_free)
