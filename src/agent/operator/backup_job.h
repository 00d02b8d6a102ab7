/* One act on backups, from beginning to end, on the thread that calls it. Internal to backups.c. */
#pragma once

#include "agent/operator/backup_rules.h"

#include <stdatomic.h>

enum backup_act {
    BACKUP_ACT_MAKE,
    BACKUP_ACT_RESTORE, /* everything of `path` into the engine, which has none of it yet */
    BACKUP_ACT_DELETE,  /* the folder `path` */
};

enum backup_outcome {
    BACKUP_OUTCOME_DONE,
    BACKUP_OUTCOME_FAILED, /* `error` says why, `detail` is for this data plane's own log */
    BACKUP_OUTCOME_LEFT,   /* told to end: it goes on in the engine */
};

struct backup_job {
    enum backup_act act;
    char id[UUID_SIZE];
    char *url, *password; /* of the engine */
    char *path, *base;    /* folders; base NULL: full */
    bool resume;          /* it was started before; ask for its outcome */
    const atomic_bool *ending;

    enum backup_outcome outcome;
    int64_t bytes;
    enum drill_state drill; /* of a full backup that was not resumed */
    int64_t drill_tables;
    char error[BACKUP_ERROR_MAX];
    char detail[ERR_MESSAGE_MAX];
};

void backup_job_run(struct backup_job *j);
