/* Where a folder lies in a bucket that speaks the S3 protocol, and the keys to it.
 *
 * A URL is https://HOST[:PORT]/BUCKET[/PREFIX], in the path style that every server of the protocol knows, without a
 * final slash; http only to this machine (127.0.0.0/8, [::1]). It needs no quoting in XML, SQL or configuration files.
 *
 * The file of keys has two lines in the form of base/conf.h, and may be read by its owner alone:
 *   access_key_id = ...
 *   secret_access_key = ...
 */
#pragma once

#include "base/err.h"

#define S3_URL_MAX 512

struct s3_url {
    char endpoint[S3_URL_MAX]; /* "https://host:port" */
    char bucket[64];
    char prefix[S3_URL_MAX]; /* "" or "a/b", no slash at either end */
};

struct s3_keys {
    char *access_key_id, *secret_access_key;
};

/* -EINVAL says which rule was broken; the caller names the field. */
OH_MUST_CHECK int s3_url_parse(const char *text, struct s3_url *ret, struct err *err);

OH_MUST_CHECK int s3_keys_load(const char *path, struct s3_keys *ret, struct err *err);
void s3_keys_free(struct s3_keys *k); /* wipes */
#define autos3keys OH_CLEANUP(s3_keys_free)
