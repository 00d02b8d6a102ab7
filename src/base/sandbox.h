/* Least privilege for a role: what a process needs from here on, given up everything else.
 *
 * Uses no_new_privs, Landlock (files) and seccomp (system calls), each where the kernel has it. A missing kernel part
 * is no error: the report says what is in force, for `status` and the log. What is given up cannot be had back, in
 * this process or in any that it starts; call it once, after start-up, before threads are made. In sanitizer builds
 * seccomp stays off (the leak checker traces its own process). */
#pragma once

#include "base/err.h"

/* What the role still does. Anything not named is denied with EPERM (files: EACCES). */
enum sandbox_allow {
    SANDBOX_INET = 1 << 0,    /* internet sockets (Unix ones are always allowed) */
    SANDBOX_LISTEN = 1 << 1,  /* listen and accept */
    SANDBOX_EXEC = 1 << 2,    /* start programs */
    SANDBOX_SIGNAL = 1 << 3,  /* signals to other processes than itself */
    SANDBOX_THREADS = 1 << 4, /* make threads */
};

struct sandbox_rules {
    const char *const *read;  /* files or folders readable (and, with SANDBOX_EXEC, runnable); NULL-terminated, or
                                 NULL = no Landlock at all: files stay as the user's rights have them */
    const char *const *write; /* files or folders fully writable; NULL-terminated, may be NULL */
    unsigned allow;           /* of enum sandbox_allow */
};

struct sandbox_report {
    bool no_new_privs;
    int landlock; /* ABI version in force, 0 = not in force */
    bool seccomp;
};

/* Libraries' own needs (/etc/ssl, /etc/resolv.conf, locale, /dev/urandom, /proc/self) are added to `read`; paths that
 * do not exist are skipped. Never, whatever is allowed: ptrace, mount, kernel modules, keyrings, bpf, new namespaces,
 * perf events, other processes' memory. Fails only if a part that the kernel has refuses (then nothing is half
 * done that matters: the caller should exit). */
OH_MUST_CHECK int sandbox_apply(const struct sandbox_rules *rules, struct sandbox_report *ret, struct err *err);

/* "no_new_privs landlock-3 seccomp", or what of it is in force; "none". */
void sandbox_describe(const struct sandbox_report *r, char out[64]);
