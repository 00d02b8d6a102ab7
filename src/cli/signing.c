/* Opens the customer's keys, asking for passphrases where they are protected. */
#include "cli/signing.h"

#include "base/fs.h"
#include "base/mem.h"

#include <termios.h>

static int type_in(const char *question, char **ret, struct err *err)
{
    struct termios before, silent;
    autofclose FILE *tty = fopen("/dev/tty", "r+");
    char line[SIGNING_PASSPHRASE_MAX + 2] = "";
    if (!tty || tcgetattr(fileno(tty), &before) < 0)
        return err_set(err, -ENOTTY, "there is no terminal to type the passphrase at: give --passphrase-file FILE");
    silent = before;
    silent.c_lflag &= ~(tcflag_t)ECHO;
    fprintf(tty, "%s: ", question);
    fflush(tty);
    tcsetattr(fileno(tty), TCSAFLUSH, &silent);
    char *got = fgets(line, sizeof(line), tty);
    tcsetattr(fileno(tty), TCSAFLUSH, &before);
    fputc('\n', tty);
    line[strcspn(line, "\r\n")] = '\0';
    if (got)
        *ret = mem_strdup(line);
    mem_wipe(line, sizeof(line));
    return got ? 0 : err_set(err, -ECANCELED, "no passphrase was typed");
}

int signing_passphrase(struct cli *c, bool fresh, bool optional, char **ret, struct err *err)
{
    const char *file = cli_option(c, "passphrase-file");
    autofree char *again = NULL;
    int r;
    if (file) {
        r = fs_read_secret(file, SIGNING_PASSPHRASE_MAX, ret, NULL, err);
        if (r == 0)
            (*ret)[strcspn(*ret, "\r\n")] = '\0';
        return r;
    }
    if (optional && access("/dev/tty", R_OK | W_OK) < 0) {
        *ret = mem_strdup("");
        return 0;
    }
    r = type_in(fresh ? "New passphrase" : "Passphrase", ret, err);
    if (r == 0 && fresh && (r = type_in("Once more", &again, err)) == 0 && strcmp(*ret, again))
        r = err_set(err, -EINVAL, "the two passphrases differ");
    if (again)
        mem_wipe(again, strlen(again));
    return r;
}

int signing_open(struct cli *c, const char *path, struct signing_key **ret, struct err *err)
{
    autofree char *passphrase = NULL;
    struct err first = ERR_INIT;
    int r = signing_key_load_protected(path, NULL, ret, &first);
    if (r != -EACCES)
        return r < 0 ? err_set(err, r, "%s", first.message) : 0;
    r = signing_passphrase(c, false, false, &passphrase, err);
    if (r == 0)
        r = signing_key_load_protected(path, passphrase, ret, err);
    if (passphrase)
        mem_wipe(passphrase, strlen(passphrase));
    return r;
}
