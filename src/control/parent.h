/* The parent of ownhouse-control: makes folders, keys and descriptors, starts the roles and HAProxy, restarts what
 * ends. */
#pragma once

#include "control/role.h"

/* Runs until SIGTERM or SIGINT; returns the exit status. `self` is the program's absolute path, `config_path` absolute.
 */
int parent_main(const char *self, const char *config_path, const struct control_config *config);

/* Used between parent and role start: the environment line that hands descriptors over (heap), and reading it. */
char *role_fds_export(const struct role *r);
OH_MUST_CHECK int role_fds_import(struct role *r, struct err *err);
