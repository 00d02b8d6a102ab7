/* Asks a workload whether it is ready: one TCP connect, or one HTTP GET that must answer 200. Never blocks. */
#pragma once

#include "base/err.h"

#include <uv.h>

struct probe_target {
    const char *address; /* numeric IPv4 or IPv6 */
    int port;
    const char *path;  /* NULL = connecting is enough */
    const char *netns; /* network namespace to connect from, or NULL */
    int timeout_ms;
};

struct probe;

/* Called once from the loop, unless cancelled; the probe is gone after it. `why` is a clause ("it refused the
 * connection") when not ok. */
typedef void (*probe_done)(void *data, bool ok, const char *why);

/* Starts one attempt; strings are copied. */
OH_MUST_CHECK int probe_start(uv_loop_t *loop, const struct probe_target *target, probe_done done, void *data,
                              struct probe **ret, struct err *err);
void probe_cancel(struct probe *p); /* NULL is fine; `done` is not called any more */
