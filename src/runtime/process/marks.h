/* Which processes of this machine belong to a supervised folder.
 *
 * Every process is started with OWNHOUSE_PLACE (the folder's id), OWNHOUSE_WORKLOAD and OWNHOUSE_START (a number of
 * this very start) in front of its environment, and what it starts inherits them. A pid alone never says whose a
 * process is. */
#pragma once

#include "base/proc.h"

#define MARK_PLACE "OWNHOUSE_PLACE"
#define MARK_WORKLOAD "OWNHOUSE_WORKLOAD"
#define MARK_START "OWNHOUSE_START"
#define MARK_INFRASTRUCTURE "OWNHOUSE_INFRASTRUCTURE"
#define MARK_START_SIZE 33

struct mark {
    struct proc_id id;
    char workload[64];
    char start[MARK_START_SIZE];
};

struct marks {
    struct mark *items; /* free() */
    size_t n, cap;
};
static inline void marks_free(struct marks *m)
{
    free(m->items);
    *m = (struct marks){0};
}

/* All living processes marked with `place`, but never the caller. One pass over /proc. */
OH_MUST_CHECK int marks_scan(const char *place, struct marks *ret, struct err *err);

enum mark_match {
    MARK_YES,     /* it is that start's first process */
    MARK_GONE,    /* no such process, or the pid is another's now */
    MARK_FOREIGN, /* pid and start time fit, but it does not carry the marks: not ours, or not yet past its start */
    MARK_HIDDEN,  /* pid and start time fit and it heads a session, but its environment cannot be read */
};
/* Whether `id` is the process that was started as `start` of `workload` in `place`. */
enum mark_match marks_match(const struct proc_id *id, const char *place, const char *workload, const char *start);

/* Boot id of the machine: pid and start time name a process only together with it. */
void marks_boot(char out[37]);
