/* Error objects: what a person reads when something went wrong.
 *
 * Fallible functions return 0 or a negative errno and take a `struct err *` last, which may be NULL. The first
 * err_set() wins the message; callers on the way up may put context in front with err_wrap(). Values live inside
 * the struct, so there is nothing to free. */
#pragma once

#include "base/util.h"

#define ERR_MESSAGE_MAX 512

struct err {
    int code;                      /* negative errno, 0 when unset */
    char message[ERR_MESSAGE_MAX]; /* one sentence, no newline, never a secret */
};

#define ERR_INIT ((struct err){0})

/* Records code (negative errno) and message; returns code, so `return err_set(err, -EINVAL, "...")` reads well. */
int err_set(struct err *err, int code, const char *fmt, ...) OH_PRINTF(3, 4);

/* Like err_set with ": strerror(-code)" appended. */
int err_set_errno(struct err *err, int code, const char *fmt, ...) OH_PRINTF(3, 4);

/* Puts "context: " in front of the message already there; returns err->code (or code 0 if err is NULL: use the
 * value you had). */
int err_wrap(struct err *err, int code, const char *fmt, ...) OH_PRINTF(3, 4);
