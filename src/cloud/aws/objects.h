/* Objects in a bucket, for those who keep files of their own there. */
#pragma once

#include "cloud/aws/client.h"

/* Removes every object whose key begins with `prefix`, which must not be empty. In a bucket with versions they stay
 * until its lifecycle takes them. What was never there is removed, too. */
OH_MUST_CHECK int aws_objects_remove(struct aws_client *c, const char *bucket, const char *prefix, struct err *err);
