/* `ownhouse ledger activities`: the control plane's own record against its store. */
#pragma once

#include "cli/command.h"

extern const struct cli_option ledger_activities_options[];

int ledger_activities_run(struct cli *c, struct err *err);
