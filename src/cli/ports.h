/* TCP ports of this machine: is one free, and if not, who holds it. */
#pragma once

#include "base/err.h"

#include <sys/types.h>

/* 0 if 127.0.0.1:port can be listened on now; -EADDRINUSE if not; other errors with a message. */
OH_MUST_CHECK int port_free(int port, struct err *err);

/* The process that listens on the port, as far as /proc shows it to this user. */
struct port_holder {
    pid_t pid;     /* 0: not visible */
    char name[64]; /* "" if not visible */
};
void port_find_holder(int port, struct port_holder *ret);

/* True if the process's environment holds NAME=value; false too when this user may not look. */
bool process_has_env(pid_t pid, const char *name, const char *value);
