/* Processes of a home folder's data planes: each carries OWNHOUSE_INFRASTRUCTURE in its environment, and works below
 * the home folder or belongs to an infrastructure known to be ours. */
#pragma once

#include "base/err.h"
#include "base/proc.h"

#define SWEEP_MAX 4096

/* Those of `home` (absolute) or of the infrastructure (an id, "" = only by folder) that run now, with `argument` among
 * their arguments (NULL: any). *ret_n at most SWEEP_MAX; *ret is free()d. */
OH_MUST_CHECK int sweep_find(const char *home, const char *infrastructure, const char *argument, struct proc_id **ret,
                             size_t *ret_n, struct err *err);

/* SIGTERM to all of them, SIGKILL to those left after grace_ms, and once more to what was started meanwhile. Returns
 * how many there were. */
OH_MUST_CHECK int sweep_stop(const char *home, const char *infrastructure, int grace_ms, struct err *err);
