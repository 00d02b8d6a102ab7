/* ownhouse account verify and preflight: asks the controller to look into an account, and shows its table. */
#pragma once

#include "cli/command.h"

extern const struct cli_option check_options[];
int account_verify_run(struct cli *c, struct err *err);
int account_preflight_run(struct cli *c, struct err *err);
