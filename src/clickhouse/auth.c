/* Reads a request's credentials. */
#include "clickhouse/auth.h"

#include "base/mem.h"

#include <strings.h>

#define BASIC_MAX 8192

void auth_free(struct credentials *c)
{
    if (c->password)
        mem_wipe(c->password, c->password_len);
    free(c->password);
    free(c->user);
    *c = (struct credentials){0};
}

static void set(struct credentials *c, const char *user, const char *password)
{
    c->given = true;
    c->user = mem_strdup(user && *user ? user : "default");
    c->password = mem_strdup(password ? password : "");
    c->password_len = strlen(c->password);
}

static int basic(const char *header, struct credentials *ret, struct err *err)
{
    unsigned char *text;
    size_t len;

    header += strspn(header, " ");
    if (strlen(header) > BASIC_MAX || base64_decode(header, BASIC_MAX, &text, &len) < 0)
        return err_set(err, -EINVAL, "Invalid authentication: the Basic authorization is not valid base64");
    char *colon = memchr(text, ':', len);
    int r = 0;
    if (!colon || memchr(text, 0, len)) {
        r = err_set(err, -EINVAL, "Invalid authentication: the Basic authorization is not user:password");
    } else {
        *colon = 0;
        set(ret, (char *)text, colon + 1);
    }
    mem_wipe(text, len);
    free(text);
    return r;
}

int auth_credentials(const char *authorization, const char *header_user, const char *header_key,
                     const struct params *params, struct credentials *ret, struct err *err)
{
    const char *url_user = params_get(params, "user"), *url_password = params_get(params, "password");
    bool headers = header_user || header_key, url = url_user || url_password;

    *ret = (struct credentials){0};
    if ((headers || url) && authorization)
        return err_set(err, -EINVAL,
                       "Invalid authentication: it is not allowed to use the Authorization header and "
                       "other credentials at the same time");
    if (headers && url)
        return err_set(err, -EINVAL,
                       "Invalid authentication: it is not allowed to use X-ClickHouse headers and "
                       "credentials in the URL at the same time");
    if (authorization) {
        if (strncasecmp(authorization, "Basic ", 6) != 0)
            return err_set(err, -EINVAL, "Invalid authentication: only the Basic scheme is supported");
        return basic(authorization + 6, ret, err);
    }
    set(ret, headers ? header_user : url_user, headers ? header_key : url_password);
    ret->given = headers || url;
    return 0;
}
