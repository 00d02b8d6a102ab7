/* The subcommands of `ownhouse egress` that speak of what may leave, beside ledger.c's, which shows what did. */
#pragma once

#include "cli/command.h"

#define EGRESS_FIELDS_MAX 200

extern const struct cli_option egress_list_options[];

int egress_fields_run(struct cli *c, struct err *err);
int egress_narrow_run(struct cli *c, struct err *err);
int egress_hosts_run(struct cli *c, struct err *err);
