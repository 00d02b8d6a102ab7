/* ownhouse set-up: a link with which the administrator, or somebody who is locked out, takes up their account. */
#include "base/mem.h"
#include "cli/commands.h"
#include "cli/control_plane.h"

static int set_up_run(struct cli *c, struct err *err)
{
    autoinstall struct install i = {0};
    char *link = NULL;
    int r = install_load(c, true, &i, err);
    if (r == 0)
        r = control_plane_set_up_link(c, &i, cli_option(c, "email"), false, &link, err);
    if (r < 0)
        return r;
    ui_line(&c->ui, "Open this link in a browser within a day. It works once, and older ones no more:\n%s", link);
    c->answer = json_pack("{s:s}", "setUpLink", link);
    mem_wipe(link, strlen(link));
    free(link);
    return 0;
}

static const struct cli_option options[] = {
    {"email", 0, "ADDRESS", "whose account (default: the first administrator's)"},
    {NULL},
};

const struct cli_command set_up_command = {
    .name = "set-up",
    .arguments = "",
    .summary = "Prints a link to set an account's password, and to sign in to the console with it.",
    .details = "Whoever opens the link takes the account over: its password is set, its authenticator dropped, its\n"
               "sessions end. `ownhouse up` prints one by itself as long as nobody has signed in.",
    .options = options,
    .run = set_up_run,
};
