/* When a backup is due, what it builds on, and when it may go. Pure: records and time in, decisions out.
 *
 * Rules:
 * - A backup is due one period after the last one began, or at the hour of the day that was named; the first one an
 * hour after the service was first seen, if the period is no shorter. After one that failed the next is tried after an
 * hour. One that was asked for by id is due at once, until there is a record of it.
 * - Every BACKUP_CHAIN-th backup is full, the others hold what changed since the one before; what failed is no base.
 * - A backup may go when its retention is over and none that stays builds on it. What failed leaves nothing behind, its
 *   record goes with its retention. The last good one stays while its service is wanted. */
#pragma once

#include "base/js.h"
#include "base/keys.h"
#include "blueprint/desired.h"

#define BACKUP_CHAIN 7
#define BACKUP_RETRY_MS (INT64_C(3600) * 1000)
#define BACKUP_ERROR_MAX 200
#define BACKUP_PLACE_SIZE 17

enum backup_state { BACKUP_RUNNING, BACKUP_DONE, BACKUP_FAILED };
extern const char *const backup_state_names[]; /* "in_progress" "done" "error", as in the public API */

enum drill_state { DRILL_NONE, DRILL_PASSED, DRILL_FAILED };
extern const char *const drill_state_names[]; /* "" "passed" "failed" */

struct backup {
    char id[UUID_SIZE], service[UUID_SIZE], base[UUID_SIZE]; /* base "": full */
    char place[BACKUP_PLACE_SIZE];                           /* backup_place_mark() */
    enum backup_state state;
    int64_t started_ms, finished_ms; /* wall; finished 0 = not yet */
    int64_t bytes;
    int retention_hours;
    enum drill_state drill;
    int64_t drill_tables;
    char error[BACKUP_ERROR_MAX]; /* a sentence of ours: never the engine's text, which may quote the customer's data */
};

struct backup_list {
    struct backup *items; /* oldest first */
    size_t n, cap;
};

struct backup *backup_add(struct backup_list *l);                        /* zeroed; earlier pointers may move */
struct backup *backup_find(const struct backup_list *l, const char *id); /* NULL: there is none */
void backup_remove(struct backup_list *l, size_t at);

/* Wall time at which the next backup of this service is due; `asked` (may be NULL) is an id. */
int64_t backup_due(const struct backup_list *l, const char *service, const struct desired_backup *rules,
                   const char *asked, int64_t first_seen_ms);
/* What the next one builds on, NULL: it is full, as the first one at another place is. */
const struct backup *backup_base(const struct backup_list *l, const char *service, const char *place);
/* wanted: the service is still to run or stopped. */
bool backup_expired(const struct backup_list *l, size_t at, bool wanted, int64_t now_ms);

/* As it is kept, and as it leaves in `observed` (api/link.md). New references. */
json_t *backup_to_json(const struct backup *b);
OH_MUST_CHECK int backup_from_json(const json_t *v, struct backup *ret, struct err *err);
