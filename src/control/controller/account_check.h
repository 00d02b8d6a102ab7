/* Carries out one asked-for look into an account (table account_check), on a worker thread. */
#pragma once

#include "control/controller/infrastructure_pass.h"

#define ACCOUNT_CHECK_PREFIX "check:"

/* `id` without the prefix. A check that cannot be made is 'failed' in its row, and no error here. */
OH_MUST_CHECK int account_check_run(const struct pass_context *ctx, const char *id, struct err *err);
