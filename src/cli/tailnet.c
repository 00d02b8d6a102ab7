/* ownhouse tailnet: what a tailnet must say so that engineers reach a gate over it. Asks nobody, changes nothing. */
#include "blueprint/tailnet.h"
#include "base/fs.h"
#include "cli/commands.h"
#include "cli/install.h"

#define PORT_DEFAULT 8443

static int terms(const struct cli *c, struct tailnet_tags *ret, int *ret_port, struct err *err)
{
    const char *name = cli_option(c, "name");
    int64_t port = PORT_DEFAULT;
    int r = tailnet_tags(name ? name : INSTALL_INFRASTRUCTURE, ret, err);
    if (r < 0)
        return err_wrap(err, r, "--name");
    if (ret_port)
        r = cli_option_int(c, "port", 1, 65535, &port, err);
    if (r == 0 && ret_port)
        *ret_port = (int)port;
    return r;
}

static void say_lines(struct cli *c, char *text)
{
    for (char *line; (line = strsep(&text, "\n"));)
        if (*line || text)
            ui_line(&c->ui, "%s", line);
}

static int policy_run(struct cli *c, struct err *err)
{
    struct tailnet_tags tags;
    bool open = cli_option(c, "open") != NULL;
    int port = 0, r = terms(c, &tags, &port, err);
    if (r < 0)
        return r;
    c->answer = tailnet_policy(&tags, port, open);
    autofree char *text = tailnet_policy_text(&tags, port, open);
    say_lines(c, text);
    return 0;
}

static int key_run(struct cli *c, struct err *err)
{
    struct tailnet_tags tags;
    const char *whose = c->arguments[0];
    bool gate = !strcmp(whose, "gate");
    int r = terms(c, &tags, NULL, err);
    if (r == 0 && !gate && strcmp(whose, "engineer"))
        r = err_set(err, CLI_BAD_USAGE, "WHOSE must be gate or engineer");
    if (r < 0)
        return r;
    c->answer = tailnet_key(gate ? tags.gate : tags.engineer);
    autofree char *text = json_dumps(c->answer, JSON_INDENT(2));
    say_lines(c, text);
    return 0;
}

static int check_run(struct cli *c, struct err *err)
{
    struct tailnet_tags tags;
    autofree char *text = NULL;
    size_t len = 0;
    bool open = false;
    int port = 0, r = terms(c, &tags, &port, err);
    if (r == 0)
        r = fs_read(c->arguments[0], TAILNET_POLICY_MAX, &text, &len, err);
    if (r == 0 && (r = tailnet_check(text, len, &tags, port, &open, err)) < 0)
        err_wrap(err, r, "%s", c->arguments[0]);
    if (r < 0)
        return r;
    c->answer = json_pack("{sb ss si}", "open", (int)open, "gate", tags.gate, "port", port);
    ui_line(&c->ui,
            open ? "Open: devices with %s reach tcp %d of %s, and nothing else does."
                 : "Shut: %s does not reach tcp %d of %s, and nothing else does.",
            tags.engineer, port, tags.gate);
    return 0;
}

#define NAME_OPTION                                                                                \
    {                                                                                              \
        "name", 'n', "NAME", "of the infrastructure, in tags (default " INSTALL_INFRASTRUCTURE ")" \
    }
#define PORT_OPTION                                                                   \
    {                                                                                 \
        "port", 'p', "N", "of the gate, as in its agent's gate_listen (default 8443)" \
    }
static const struct cli_option policy_options[] = {
    NAME_OPTION, PORT_OPTION, {"open", 0, NULL, "with the rule that lets engineers' devices to the gate"}, {NULL}};
static const struct cli_option key_options[] = {NAME_OPTION, {NULL}};
static const struct cli_option check_options[] = {NAME_OPTION, PORT_OPTION, {NULL}};

static const struct cli_command subcommands[] = {
    {.name = "policy",
     .arguments = "",
     .summary = "Prints the tailnet's policy: tags, their owner, tests, and with --open the one rule.",
     .options = policy_options,
     .run = policy_run},
    {.name = "key",
     .arguments = "WHOSE",
     .summary = "Prints what to ask the tailnet for: a key that works once, for gate or engineer.",
     .details = "It is the body of POST /api/v2/tailnet/-/keys, asked with the provisioner's OAuth client (scope "
                "auth_keys), or\n"
                "the settings of a key made in the admin console. OwnHouse never sees the key.",
     .min_arguments = 1,
     .max_arguments = 1,
     .options = key_options,
     .run = key_run},
    {.name = "check",
     .arguments = "FILE",
     .summary = "Judges a whole policy file: does anything else in it reach the gate?",
     .min_arguments = 1,
     .max_arguments = 1,
     .options = check_options,
     .run = check_run},
    {NULL},
};

const struct cli_command tailnet_command = {
    .name = "tailnet",
    .arguments = "COMMAND",
    .summary = "Writes and judges what a tailnet must say to carry engineers' sessions.",
    .details =
        "The gate listens on the tailnet where its agent.conf says gate_listen, and `ownhouse connect --via` goes\n"
        "there. Who is let in is decided by the gate as ever; the tailnet is a fence around it (docs/access.md).",
    .subcommands = subcommands,
};
