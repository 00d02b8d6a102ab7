/* The ownhouse command: the table of what it can do. */
#include "cli/command.h"

#include "version.h"

#include <signal.h>

static int version_run(struct cli *c, struct err *err OH_UNUSED)
{
    c->answer = json_pack("{s:s}", "version", OWNHOUSE_VERSION);
    ui_line(&c->ui, "ownhouse %s", OWNHOUSE_VERSION);
    return 0;
}
static const struct cli_command commands[] = {
    {.name = "version", .arguments = "", .summary = "Prints the version.", .run = version_run},
    {NULL},
};
int main(int argc, char **argv)
{
    static const struct cli_command root = {.name = "ownhouse",
                                            .arguments = "",
                                            .summary = "ClickHouse in an account of your own.",
                                            .subcommands = commands};
    signal(SIGPIPE, SIG_IGN);
    return cli_main(&root, argc, argv);
}
