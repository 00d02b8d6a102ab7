/* The control plane of a home folder as a program on this machine: configure, set up, start, stop. */
#pragma once

#include "base/proc.h"
#include "cli/install.h"

/* Who runs it now; -ESRCH if nobody does. */
OH_MUST_CHECK int control_plane_find(const struct cli *c, struct proc_id *ret);

/* Writes control/control.conf. Returns 1 if it differs from what was there (a running one must be started again). */
OH_MUST_CHECK int control_plane_configure(const struct cli *c, const struct install *i, struct err *err);

/* Makes the first organization, administrator and key where that was not done yet; a lost credentials.json gets a new
 * key. */
OH_MUST_CHECK int control_plane_set_up(const struct cli *c, const struct install *i, struct err *err);

/* A set-up link (ownhouse-control(8)) of the account with this address, NULL = the first administrator's; heap, a
 * secret. `first_only`: only while nobody has signed in, else *ret is "". */
OH_MUST_CHECK int control_plane_set_up_link(const struct cli *c, const struct install *i, const char *email,
                                            bool first_only, char **ret, struct err *err);

/* Starts it unless it runs, and waits until its API answers over TLS. If it ends instead, the error is the last thing
 * it wrote. */
OH_MUST_CHECK int control_plane_start(struct cli *c, const struct install *i, struct err *err);

/* SIGTERM and up to 20 s. Not running is fine. */
OH_MUST_CHECK int control_plane_stop(const struct cli *c, struct err *err);
