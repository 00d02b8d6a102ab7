/* The store's rows of backups, from what agents report of them (api/link.md, "Observed"). */
#pragma once

#include "base/clock.h"
#include "base/js.h"
#include "store/store.h"

/* Brings the rows of the infrastructure to `list` (observed.backups): what is new or changed is written, what the agent
 * no longer has goes, if `list` is shorter than what an agent tells at most. A backup counts only for a service that
 * is, or was, of this infrastructure; what is not a backup of ours is left out. NULL list: nothing changes. */
OH_MUST_CHECK int backup_records_apply(struct store *s, const char *infrastructure, const json_t *list,
                                       struct err *err);
