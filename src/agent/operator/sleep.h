/* When a service falls asleep and when it wakes. Pure but for the file that remembers who sleeps.
 *
 * It falls asleep when it may (idleTimeoutMinutes of its document), runs whole, and nobody has queried it for that
 * long; not while merges run or a backup is made. Nor does it while that cannot be
 * told. It wakes when somebody waits for it at the activator, when the document says that it was asked to wake, and
 * when it may sleep no more.
 *
 * idle.json in the state folder (0600) has who sleeps and which requests to wake are carried out, so that a new start
 * of the agent wakes nobody. Without it everybody is awake at first. */
#pragma once

#include "base/js.h"
#include "blueprint/desired.h"

struct sleep_facts {
    bool known;   /* the counters could be read */
    bool fresh;   /* they have been read since the last look: only then does it fall asleep */
    bool serves;  /* every replica */
    bool queried; /* since the last look */
    bool busy;    /* merges, a backup: does not count as a query, but is let end */
    bool waited;  /* somebody is held for it */
};

struct sleep_rules {
    json_t *services; /* id -> {asleep, awakeMs; not kept: lastMs} */
    char *path;
    bool dirty;
};

void sleep_open(struct sleep_rules *r, const char *path);
void sleep_close(struct sleep_rules *r);

enum sleep_verdict {
    SLEEP_AWAKE,
    SLEEP_ASLEEP,
    SLEEP_RISING, /* it may sleep no more and does not serve yet: whoever comes meanwhile is held as before */
};

/* What the service is to be now. now_ms: monotonic. *again_ms comes forward to when it might fall asleep. */
enum sleep_verdict sleep_judge(struct sleep_rules *r, const struct desired_service *s, const struct sleep_facts *f,
                               int64_t now_ms, int64_t *again_ms);
/* Forgets services that are not of the document any more, and keeps what has changed. */
OH_MUST_CHECK int sleep_keep(struct sleep_rules *r, const struct desired *d, struct err *err);
