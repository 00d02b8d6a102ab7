/* Makes the backups of the services of one data plane, looks whether they can be restored, restores them to new
 * services, and takes away what is no longer kept.
 *
 * One act at a time, on a thread of its own, by SQL as the user BLUEPRINT_OPERATOR at the engine's first replica.
 * BACKUP and RESTORE run inside the engine (ASYNC) under the backup's id, so the agent may end and come back: it asks
 * system.backups for the outcome. An engine that ends in the middle has forgotten it: the backup counts as failed, what
 * it wrote is removed, and the next one is made at its hour.
 *
 * Where they lie: agent/operator/backup_place.h. After a full one comes the restore drill: the tables of the MergeTree
 * family are restored beside the originals, counted and summed, compared with what was counted and summed before and
 * after the backup, and dropped. A table that was written to meanwhile is judged by its row count alone, which must lie
 * between.
 *
 * backups.json (0600) in the state folder holds the records, which never hold a row, a name or a statement of the
 * customer. */
#pragma once

#include "agent/operator/backup_place.h"
#include "agent/operator/backup_rules.h"
#include "base/clock.h"
#include "runtime/runtime.h"

#include <uv.h>

#define BACKUPS_TOLD_MAX 500 /* records in `observed`, the newest */

struct backups_config {
    uv_loop_t *loop;
    const struct clock *clock;
    struct backup_place place;   /* borrowed for the call */
    const char *password;        /* of BLUEPRINT_OPERATOR */
    const char *state_dir;       /* absolute */
    void (*changed)(void *data); /* from the loop: something to report, or to look at again */
    void (*on_event)(bool error, const char *message, void *data);
    void *data;
};

struct backups;

/* Texts are copied. -EIO, -EINVAL: the records are there and cannot be read; they are left in place. */
OH_MUST_CHECK int backups_new(const struct backups_config *c, struct backups **ret, struct err *err);

/* Looks at the whole, starts what is due. *again_ms (monotonic) is brought forward to when the next one is. */
void backups_step(struct backups *b, const struct desired *d, const struct runtime_status_list *observed,
                  int64_t *again_ms);

/* What a service that begins with a backup still waits for: 1 it is being filled, 0 nothing, -EIO it failed. The
 * sentence says so; borrowed until the next call. */
int backups_restoring(struct backups *b, const struct desired_service *s, const char **ret_sentence);

/* Whether one is being made of it, or restored to it, now. */
bool backups_busy(const struct backups *b, const char *service);

/* A backup of this id (a UUID, new) is to be made of the service as soon as may be; durable on return. -EBUSY: it still
 * begins with a backup, or another one was ordered before. */
OH_MUST_CHECK int backups_order(struct backups *b, const struct desired_service *s, const char *id, struct err *err);
/* What became of it: 1 not yet, 0 made, -EIO not, and the sentence (borrowed until the next call) says why. */
int backups_outcome(struct backups *b, const char *service, const char *id, const char **ret_sentence);

json_t *backups_told(const struct backups *b); /* for `observed`; a new reference */

/* Ends the thread's watching (what runs in an engine goes on); `done` is called, maybe later, when it has ended. */
void backups_free(struct backups *b, void (*done)(void *data), void *data);
