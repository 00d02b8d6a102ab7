/* The customer's keys as the command line uses them: files under a passphrase that comes from a terminal or a file,
 * never from an argument. */
#pragma once

#include "base/keys.h"
#include "cli/command.h"

#define SIGNING_PASSPHRASE_MAX 1024

/* From --passphrase-file if it was given, else typed at the terminal (twice for a new key). "" when there is neither
 * and `optional`. free() after mem_wipe. */
OH_MUST_CHECK int signing_passphrase(struct cli *c, bool fresh, bool optional, char **ret, struct err *err);
/* The key in `path`; asks for a passphrase only if it is protected. */
OH_MUST_CHECK int signing_open(struct cli *c, const char *path, struct signing_key **ret, struct err *err);
