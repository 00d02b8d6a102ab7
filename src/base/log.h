/* JSON-lines logging: one object a line on stderr (or a given descriptor).
 *
 * Library code (base, net, store, plan, blueprint, runtime) never logs: it returns errors. The layer that decides
 * what to do about an error logs it once, with fields. Never pass a secret. */
#pragma once

#include "base/util.h"

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };

/* Sets program and role (both copied) shown on each line, the lowest level written, and the descriptor. */
void log_init(const char *program, const char *role, enum log_level lowest, int fd);
/* "debug" | "info" | "warn" | "error"; -EINVAL for anything else. */
OH_MUST_CHECK int log_level_parse(const char *text, enum log_level *ret);

/* log_write(LOG_LEVEL_INFO, "service started", "service", id, "pid", "123", NULL): message, then string pairs,
 * then NULL. A NULL value skips its pair. Lines are at most 8 KiB; values are cut, never broken mid-escape. */
void log_write(enum log_level level, const char *message, ...) __attribute__((sentinel));

#define log_debug(...) log_write(LOG_LEVEL_DEBUG, __VA_ARGS__, NULL)
#define log_info(...) log_write(LOG_LEVEL_INFO, __VA_ARGS__, NULL)
#define log_warn(...) log_write(LOG_LEVEL_WARN, __VA_ARGS__, NULL)
#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__, NULL)
