/* Programs that go on after this command ends: start one detached, find one by its lock file, stop one in order. */
#pragma once

#include "base/err.h"
#include "base/proc.h"

/* Starts argv (argv[0] absolute) in a session of its own, with standard input from /dev/null and both outputs appended
 * to log_path. No other descriptor and no terminal goes along. The child stays ours to wait for until we end. */
OH_MUST_CHECK int background_start(const char *const *argv, const char *log_path, pid_t *ret, struct err *err);

/* Whoever holds an flock on the file, as the kernel lists it. -ESRCH: nobody does, or it cannot be seen. */
OH_MUST_CHECK int background_find(const char *lock_path, struct proc_id *ret);

/* SIGTERM, then up to grace_ms for it to end, then SIGKILL. Gone already is fine; *ret_killed (may be NULL) says
 * whether it came to SIGKILL. `waiting` (may be NULL) is called a few times a second. */
OH_MUST_CHECK int background_stop(const struct proc_id *id, int grace_ms, void (*waiting)(void *data), void *data,
                                  bool *ret_killed, struct err *err);

/* The last lines of a log for a person: of a JSON line its message and error fields. "" if there is none; free(). */
char *background_last_words(const char *log_path);
