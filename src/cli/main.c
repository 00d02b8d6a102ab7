/* The ownhouse command: the table of what it can do. */
#include "cli/commands.h"

#include "version.h"

#include <signal.h>

static int version_run(struct cli *c, struct err *err OH_UNUSED)
{
    c->answer = json_pack("{s:s}", "version", OWNHOUSE_VERSION);
    ui_line(&c->ui, "ownhouse %s", OWNHOUSE_VERSION);
    return 0;
}

const struct cli_command version_command = {
    .name = "version",
    .arguments = "",
    .summary = "Prints the version.",
    .run = version_run,
};

int main(int argc, char **argv)
{
    const struct cli_command commands[] = {
        up_command,      down_command,     status_command,         services_command, account_command,
        plan_command,    drift_command,    policy_command,         logs_command,     access_command,
        connect_command, bench_command,    render_command,         set_up_command,   version_command,
        key_command,     request_command,  requests_command,       approve_command,  deny_command,
        ledger_command,  egress_command,   reconcile_command,      agent_command,    backups_command,
        tailnet_command, cli_help_command, cli_completion_command, {NULL},
    };
    const struct cli_command root = {
        .name = "ownhouse",
        .arguments = "",
        .summary = "ClickHouse in an account of your own: control plane and data plane on this machine.",
        .details = "exit status: 0 done, 1 failed, 2 wrong call, 3 not found, 4 refused, 5 not reachable, 6 timed out",
        .subcommands = commands,
    };
    /* A reader that goes away (`ownhouse logs -f demo | head`) is seen as a write error. */
    signal(SIGPIPE, SIG_IGN);
    return cli_main(&root, argc, argv);
}
