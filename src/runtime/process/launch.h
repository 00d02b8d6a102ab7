/* Starts one process so that a killed supervisor can neither lose nor double it.
 *
 * The child is forked and prepared but waits before it runs the program. The caller writes down who it is, then lets
 * it go. If the caller dies before that, the child sees its end of the socket close and ends too; if it dies after,
 * what was written down names the child. No threads may exist in the caller. */
#pragma once

#include "base/proc.h"

struct launch_spec {
    const char *executable; /* absolute */
    char *const *argv;      /* NULL-terminated */
    char *const *envp;      /* NULL-terminated, complete */
    const char *folder;     /* working directory */
    int output;             /* descriptor for standard output and error */
    int netns;              /* descriptor of a network namespace to enter, or -1 */
    int64_t open_files;     /* RLIMIT_NOFILE, or as much of it as we may give; 0 = as inherited */
};

struct launch {
    struct proc_id id;
    int gate; /* stream socket to the child; -1 when closed */
};

/* Forks. The child heads a session of its own; signals at default; nothing open but 0 (null), 1 and 2; umask 027; no
 * new privileges; no core dumps; first to go when memory runs out. */
OH_MUST_CHECK int launch_fork(const struct launch_spec *spec, struct launch *ret, struct err *err);
/* Lets the child run its program. After this, gate polls readable when launch_result() has something to say. */
OH_MUST_CHECK int launch_release(struct launch *l, struct err *err);
/* 0: the program runs, the gate is closed. -EAGAIN: not known yet. Else why it could not be run, gate closed. */
OH_MUST_CHECK int launch_result(struct launch *l, struct err *err);
/* Closes the gate: a child that was not released ends. */
void launch_abandon(struct launch *l);
