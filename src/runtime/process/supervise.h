/* The supervisor: makes the processes of one supervised folder (blueprint/placement.h) what its want/ says.
 *
 * - Starts in order: a workload waits until those of lower order are ready, but not longer than they are given to start
 *   (30 s where their probe says nothing). Stops in reverse order: signal, grace, then SIGKILL to the whole group and
 * to whatever else carries the start's marks (marks.h).
 * - A changed placement: reload by signal where only files marked so changed, otherwise stop and start.
 * - What ends unasked is started again with back-off (restart.h); so is what does not become ready in its time.
 * - Children outlive the supervisor. The next one adopts each by pid, start time, boot id and the marks in its
 *   environment, never by pid alone, and ends marked processes that nobody accounts for.
 * - Everything is read from disk as a whole: being killed at any point costs nothing but time.
 *
 * SIGTERM, SIGINT: stop all, then return. SIGUSR2: return at once and leave everything running. One supervisor a folder
 * (lock file). Blocks on local file I/O only; no threads. */
#pragma once

#include "base/clock.h"
#include "base/err.h"

enum supervise_level { SUPERVISE_INFO, SUPERVISE_WARN, SUPERVISE_ERROR };
enum supervise_end { SUPERVISE_STOPPED, SUPERVISE_LEFT };

struct supervise_options {
    const char *dir;  /* absolute; made if missing */
    int lock_wait_ms; /* how long to wait for another supervisor to end */
    int rotate_ms;    /* how often logs are looked at; 0 = 5000 */
    const struct clock *clock;
    /* What happened, for the program's log; `workload` may be NULL. */
    void (*event)(void *data, enum supervise_level level, const char *workload, const char *message);
    void *data;
};

/* Runs until a signal ends it; the loop and all signal handlers are its own. -EBUSY: another supervisor serves the
 * folder. */
OH_MUST_CHECK int supervise_run(const struct supervise_options *o, enum supervise_end *ret, struct err *err);

/* Whether a supervisor serves the folder now. */
bool supervise_alive(const char *dir);
