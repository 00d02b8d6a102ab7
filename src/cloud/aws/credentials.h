/* Where AWS keys come from: the environment, a profile of the shared credentials file, a web identity token, the
 * container's endpoint, the instance's metadata (IMDSv2 only), in this order; and roles assumed with them.
 *
 * Keys are kept until five minutes before they expire. Thread-safe. Secrets never appear in messages. */
#pragma once

#include "base/clock.h"
#include "base/err.h"
#include "cloud/aws/sigv4.h"
#include "net/http_client.h"

struct aws_keys {
    char *id, *secret, *token; /* heap; token may be NULL */
    int64_t expires_ms;        /* wall clock; 0 = never */
};
void aws_keys_free(struct aws_keys *k); /* wipes */
OH_MUST_CHECK int aws_keys_copy(const struct aws_keys *from, struct aws_keys *to);
#define autokeys OH_CLEANUP(aws_keys_free)

/* How to find the controller's own keys. All texts borrowed; NULL = not set. aws_source_environment() fills it from the
 * process's environment by the names that AWS's own tools use. */
struct aws_source {
    const char *id, *secret, *token;                    /* AWS_ACCESS_KEY_ID ... */
    const char *credentials_file, *profile;             /* AWS_SHARED_CREDENTIALS_FILE, AWS_PROFILE; "default" */
    const char *web_identity_file, *role_arn, *session; /* AWS_WEB_IDENTITY_TOKEN_FILE, AWS_ROLE_ARN */
    const char *container_uri, *container_token_file;   /* AWS_CONTAINER_CREDENTIALS_FULL_URI, ..._TOKEN_FILE */
    const char *container_relative_uri;                 /* AWS_CONTAINER_CREDENTIALS_RELATIVE_URI */
    const char *imds;                                   /* AWS_EC2_METADATA_SERVICE_ENDPOINT; http://169.254.169.254 */
    bool no_imds;                                       /* AWS_EC2_METADATA_DISABLED */
    const char *region;                                 /* for web identity */
    const char *sts;                                    /* endpoint for web identity; NULL = the region's */
};
void aws_source_environment(struct aws_source *ret);

/* Asks the sources in order; the first that is configured decides. -ENOENT: none is; else its own failure. */
OH_MUST_CHECK int aws_credentials_find(const struct aws_source *s, struct http_pool *pool, const struct clock *clock,
                                       struct aws_keys *ret, struct err *err);

/* The pure halves, for tests and fuzzing. A credentials file's profile; -ENOENT if it has none of that name. */
OH_MUST_CHECK int aws_credentials_parse_file(const char *text, size_t len, const char *profile, struct aws_keys *ret,
                                             struct err *err);
/* The answer of a container or instance endpoint. */
OH_MUST_CHECK int aws_credentials_parse_json(const char *text, size_t len, struct aws_keys *ret, struct err *err);
/* The answer of an STS action with a <Credentials>. */
OH_MUST_CHECK int aws_credentials_parse_sts(const char *text, size_t len, struct aws_keys *ret, struct err *err);
