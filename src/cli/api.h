/* The public API as the command line calls it: one base address, one key, JSON in and out.
 *
 * The edge certificate is checked against the control plane's own CA file; the key is read from a file with mode 0600
 * and never appears in messages. */
#pragma once

#include "base/err.h"
#include "base/js.h"

#define API_MAX_RESPONSE MIB(16)

struct api {
    char *base;    /* https://localhost:8443 */
    char *ca_file; /* PEM */
    char *basic;   /* "key id:secret" */
    char *organization;
};

/* Reads the key from credentials_path ({"keyId", "keySecret", "organizationId"}). -ENOENT: there is no installation
 * here. */
OH_MUST_CHECK int api_open(const char *base, const char *ca_file, const char *credentials_path, struct api **ret,
                           struct err *err);
void api_free(struct api *a); /* NULL is fine; the secret is wiped */
static inline void api_freep(struct api **a)
{
    api_free(*a);
}
#define autoapi OH_CLEANUP(api_freep)

/* METHOD <base>/v1/organizations/<organization><path>. `body` may be NULL; *ret (may be NULL) is the answer's `result`,
 * a new reference, JSON null if it has none. An answer other than 2xx is an error with the API's own sentence: -EINVAL
 * 400, -EACCES 401 and 403, -ENOENT 404, -EEXIST 409, -EAGAIN 429 and 503, -EIO the rest. No answer: as http_do(). */
OH_MUST_CHECK int api_call(const struct api *a, const char *method, const char *path, const json_t *body, json_t **ret,
                           struct err *err);
/* The same with a path from the root. */
OH_MUST_CHECK int api_call_root(const struct api *a, const char *method, const char *path, const json_t *body,
                                json_t **ret, struct err *err);
