/* Where the backups of one data plane lie: below a folder of this machine, DIR/SERVICE/BACKUP, or in a bucket,
 * URL/SERVICE/BACKUP. The engine writes and reads them, by SQL; the agent only takes away what is no longer kept. */
#pragma once

#include "agent/operator/backup_rules.h"
#include "base/buf.h"
#include "base/err.h"

struct backup_place {
    const char *dir;    /* absolute; NULL: in the bucket */
    const char *s3_url; /* base/s3.h; NULL too: no backups here */
    const char *s3_region;
    const char *s3_keys; /* file of keys; NULL: the identity that the environment gives */
};

bool backup_place_is(const struct backup_place *p); /* backups are made here */

/* Texts are copied; backup_place_free() frees them. */
void backup_place_copy(const struct backup_place *from, struct backup_place *to);
void backup_place_free(struct backup_place *p);

/* Tells places apart, for the records: "" is the folder. */
void backup_place_mark(const struct backup_place *p, char ret[BACKUP_PLACE_SIZE]);

/* What follows BACKUP ... TO and RESTORE ... FROM: File('...') or Disk('...', '...'). Both ids are UUIDs. Heap. */
char *backup_place_sql(const struct backup_place *p, const char *service, const char *backup);

/* Takes a backup's files away, all or as many as it could before it failed. Blocks; from any thread. */
OH_MUST_CHECK int backup_place_remove(const struct backup_place *p, const char *service, const char *backup,
                                      struct err *err);
