/* The commands' table entries, one file a command; main.c puts them in order. */
#pragma once

#include "cli/command.h"

extern const struct cli_command up_command, down_command, status_command, services_command, plan_command, logs_command,
    bench_command, version_command, render_command, key_command, request_command, requests_command, approve_command,
    deny_command, ledger_command, egress_command, set_up_command, access_command, connect_command;
extern const struct cli_command account_command, policy_command, drift_command;
extern const struct cli_command reconcile_command, agent_command, backups_command, tailnet_command;
