/* A workload's folders and files on disk: DIR/jobs/NAME (blueprint/placement.h). */
#pragma once

#include "blueprint/placement.h"

/* Path below DIR/jobs/NAME; free(). */
char *material_path(const char *dir, const char *name, const char *below);

/* Makes files/, run/ (emptied), logs/ and the volumes' folders, for a start. */
OH_MUST_CHECK int material_folders(const char *dir, const struct placement *p, struct err *err);
/* Writes every file whose content or mode differs, each atomically, and removes what is not wanted any more. Secret
 * files have mode 0600, others 0644 (inside folders that only the owner enters). */
OH_MUST_CHECK int material_files(const char *dir, const struct placement *p, struct err *err);

/* Deletes what a removal deletes: with purge everything, buckets' folders too; else all but the volumes that are to be
 * kept (an unreadable placement keeps them all: p NULL). May take long: runs in a process of its own. */
OH_MUST_CHECK int material_remove(const char *dir, const char *name, const struct placement *p, struct err *err);
/* Whether a removal without purge leaves data that a later purge has to find. */
bool material_keeps(const struct placement *p);

/* Which change needs what, as digests of parts of a placement: `core` differs: restart; `reload` differs: write files
 * and signal (or restart, without a reload signal); only `rest` differs: write files. */
struct material_digests {
    char core[65], reload[65], rest[65];
};
OH_MUST_CHECK int material_digest(const struct placement *p, struct material_digests *ret, struct err *err);
