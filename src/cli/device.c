/* The engineer's device key, and the customer's word on gate and approvers. */
#include "cli/device.h"

#include "base/fs.h"
#include "base/mem.h"
#include "cli/customer.h"
#include "cli/install.h"

#include <glob.h>

int device_key(const struct cli *c, struct signing_key **ret, struct err *err)
{
    autofree char *path = cli_path(c, "device.key");
    return signing_key_keep(path, ret, err);
}

int device_gate_pin(const struct cli *c, const char *infrastructure, char **ret, struct err *err)
{
    const char *given = cli_option(c, "gate");
    autofree char *pattern = cli_path(c, "accounts/*/%s/agent/gate/ca.pin", infrastructure);
    glob_t found;
    int r = 0;
    if (given) {
        *ret = mem_strdup(given);
        return 0;
    }
    if (glob(pattern, GLOB_NOSORT, NULL, &found) != 0)
        return err_set(err, -ENOENT,
                       "the gate's pin is not known here: ask the customer for gate/ca.pin of the agent's folder and "
                       "give it with --gate");
    r = fs_read(found.gl_pathv[0], KIB(1), ret, NULL, err);
    globfree(&found);
    if (r == 0)
        (*ret)[strcspn(*ret, "\r\n")] = '\0';
    return r;
}

static int take(const char *text, unsigned char (*keys)[ED25519_PUBLIC_SIZE], size_t *n, struct err *err)
{
    autofree char *copy = mem_strndup(text, strcspn(text, "\r\n \t"));
    if (*n == DEVICE_APPROVERS_MAX)
        return err_set(err, -EINVAL, "more than %d approver keys", DEVICE_APPROVERS_MAX);
    if (strlen(copy) != 2 * ED25519_PUBLIC_SIZE || hex_decode(copy, keys[*n], ED25519_PUBLIC_SIZE) < 0)
        return err_set(err, -EINVAL, "an approver key must be 64 hexadecimal digits");
    ++*n;
    return 0;
}

int device_approvers(const struct cli *c, unsigned char (*ret)[ED25519_PUBLIC_SIZE], size_t *ret_n, struct err *err)
{
    const char *given = cli_option(c, "approver");
    autofree char *path = customer_path(c, INSTALL_ACCOUNT, "approver.pub"), *text = NULL;
    size_t n = 0;
    int r = 0;
    if (given) {
        autofree char *copy = mem_strdup(given);
        char *rest = copy;
        for (char *word; r == 0 && (word = strsep(&rest, ","));)
            r = take(word, ret, &n, err);
    } else {
        r = fs_read(path, KIB(4), &text, NULL, err);
        if (r == -ENOENT)
            return err_set(err, r,
                           "the customer's approver keys are not known here: ask the customer for them and give them "
                           "with --approver");
        if (r == 0)
            r = take(text, ret, &n, err);
    }
    if (r == 0)
        *ret_n = n;
    return r;
}
