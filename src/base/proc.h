/* Processes: run a command and read what it says, and name a process so that a reused pid is never mistaken for it. */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#include <sys/types.h>

/* Runs argv (NULL-terminated, argv[0] searched on PATH) with `input` (may be NULL) on standard input, at most
 * timeout_ms, standard output into *out (may be NULL; its ceiling counts). No shell. Returns 0 only for exit status
 * 0; otherwise the error names the command, its status and the first line of its standard error. -ENOENT: not
 * installed. -ETIMEDOUT: killed. */
OH_MUST_CHECK int proc_run(const char *const *argv, const char *input, int timeout_ms, struct buf *out,
                           struct err *err);

/* A process by pid and start time (field 22 of /proc/PID/stat, clock ticks since boot). */
struct proc_id {
    pid_t pid;
    unsigned long long start_ticks;
};
/* -ESRCH if there is no such process. A zombie counts as gone. */
OH_MUST_CHECK int proc_identify(pid_t pid, struct proc_id *ret);
/* A pidfd for exactly this process; -ESRCH if it is gone or the pid is another's now. Caller closes. */
OH_MUST_CHECK int proc_open(const struct proc_id *id);
bool proc_alive(const struct proc_id *id);
/* Sends a signal to exactly this process; -ESRCH when it is gone. */
OH_MUST_CHECK int proc_kill(const struct proc_id *id, int sig);
