/* The clouds: which resource types a provider has. A cloud is a folder below src/cloud with its types and a pure
 * function from an infrastructure's settings to its desired graph (cloud/local/local.h). */
#pragma once

#include "plan/plan.h"

/* The NULL-terminated table of a provider's resource types, for plan_context.types; static. NULL with -ENOTSUP in `err`
 * naming the providers there are, if `provider` ("local", "aws") is none of them. */
const struct plan_type *const *cloud_types(const char *provider, struct err *err);
