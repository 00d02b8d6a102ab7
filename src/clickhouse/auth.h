/* Finds the user name and password in a request: Basic authorization, X-ClickHouse-User and -Key, or URL
 * parameters, of which one way only may be used. */
#pragma once

#include "base/err.h"
#include "clickhouse/params.h"

struct credentials {
    char *user; /* "default" when none was named */
    char *password;
    size_t password_len;
    bool given; /* any way was used */
};

/* Headers may be NULL. -EINVAL: malformed, or several ways at once. */
OH_MUST_CHECK int auth_credentials(const char *authorization, const char *header_user, const char *header_key,
                                   const struct params *params, struct credentials *ret, struct err *err);
void auth_free(struct credentials *c); /* wipes the password */
