/* Hears from the activator whom somebody waits for (agent/activator/activator.h): one connection, lines `held ...`. */
#pragma once

#include "base/clock.h"
#include "base/util.h"

#include <uv.h>

struct waiting;
/* `changed` is called from the loop when the list is another one. */
struct waiting *waiting_new(uv_loop_t *loop, const struct clock *clock, void (*changed)(void *data), void *data);
/* Where it is; "" = nowhere. Connects if there is no connection, at most once in a while: returns when to call again
 * (monotonic ms), INT64_MAX if there is no need. */
int64_t waiting_at(struct waiting *w, const char *address);
/* By the service's ordinal. */
bool waiting_for(const struct waiting *w, int ordinal);
/* Frees; `done` is called when its handles are closed. */
void waiting_free(struct waiting *w, void (*done)(void *data), void *data);
