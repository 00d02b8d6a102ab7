/* One act on backups, from beginning to end, on the thread that calls it. Internal to backups.c. */
#pragma once

#include "agent/operator/backup_place.h"
#include "agent/operator/backup_rules.h"

#include <stdatomic.h>

enum backup_act {
    BACKUP_ACT_MAKE,
    BACKUP_ACT_RESTORE, /* everything of the backup into the engine, which has none of it yet */
    BACKUP_ACT_DELETE,  /* its files */
};

enum backup_outcome {
    BACKUP_OUTCOME_DONE,
    BACKUP_OUTCOME_FAILED, /* `error` says why, `detail` is for this data plane's own log */
    BACKUP_OUTCOME_LEFT,   /* told to end: it goes on in the engine */
};

struct backup_job {
    enum backup_act act;
    char id[UUID_SIZE], service[UUID_SIZE]; /* the backup, and whose it is */
    char *url, *password;                   /* of the engine */
    char base[UUID_SIZE];                   /* the backup that it builds on; "": full */
    const struct backup_place *place;
    bool resume; /* it was started before; ask for its outcome */
    const atomic_bool *ending;

    enum backup_outcome outcome;
    int64_t bytes;
    enum drill_state drill; /* of a full backup that was not resumed */
    int64_t drill_tables;
    char error[BACKUP_ERROR_MAX];
    char detail[ERR_MESSAGE_MAX];
};

void backup_job_run(struct backup_job *j);
