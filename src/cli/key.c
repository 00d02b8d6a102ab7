/* ownhouse key: makes and shows the keys that people sign with. */
#include "base/buf.h"
#include "base/fs.h"
#include "base/mem.h"
#include "cli/commands.h"
#include "cli/signing.h"

static void tell(struct cli *c, const char *path, const struct signing_key *k)
{
    unsigned char public[ED25519_PUBLIC_SIZE];
    char hex[2 * ED25519_PUBLIC_SIZE + 1];
    signing_key_public(k, public);
    hex_encode(public, sizeof(public), hex);
    ui_line(&c->ui, "%s", hex);
    c->answer = json_pack("{ss ss}", "file", path, "publicKey", hex);
}

static int new_run(struct cli *c, struct err *err)
{
    const char *path = c->arguments[0];
    autokey struct signing_key *k = NULL;
    autofree char *passphrase = NULL;
    if (fs_exists(path))
        return err_set(err, -EEXIST, "%s is there already: a key is never overwritten", path);
    int r = signing_passphrase(c, true, false, &passphrase, err);
    if (r == 0 && strlen(passphrase) < 8)
        r = err_set(err, -EINVAL, "the passphrase must have 8 characters at least");
    if (r == 0) {
        k = signing_key_new();
        r = signing_key_save_protected(k, path, passphrase, err);
    }
    if (passphrase)
        mem_wipe(passphrase, strlen(passphrase));
    if (r == 0)
        tell(c, path, k);
    return r;
}

static int show_run(struct cli *c, struct err *err)
{
    autokey struct signing_key *k = NULL;
    int r = signing_open(c, c->arguments[0], &k, err);
    if (r == 0)
        tell(c, c->arguments[0], k);
    return r;
}

static const struct cli_option options[] = {
    {"passphrase-file", 0, "FILE", "its first line is the passphrase; without this it is asked for"}, {0}};

static const struct cli_command subcommands[] = {
    {.name = "new",
     .arguments = "FILE",
     .summary = "Makes a key under a passphrase and prints its public part.",
     .min_arguments = 1,
     .max_arguments = 1,
     .options = options,
     .run = new_run},
    {.name = "show",
     .arguments = "FILE",
     .summary = "Prints a key's public part.",
     .min_arguments = 1,
     .max_arguments = 1,
     .options = options,
     .run = show_run},
    {0},
};

const struct cli_command key_command = {
    .name = "key",
    .arguments = "",
    .summary = "Makes and shows the keys that approvals are signed with.",
    .subcommands = subcommands,
};
