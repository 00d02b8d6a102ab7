/* Holds a new image of the engine back until the service's upgrade window is open.
 *
 * The image in force of each service is kept in a file. Another one (the agent was given a newer release) is taken up
 * at once where the service has no window or does not run; else when its window is open. Who does not want to wait
 * asks for it (upgrades_now), removes the window, or stops and starts the service. A change that began in the window is
 * carried through after it. What has no images, such as processes, is not held: their programs are the machine's own.
 */
#pragma once

#include "base/js.h"
#include "blueprint/desired.h"
#include "blueprint/workload.h"

struct upgrades {
    char *path;
    json_t *images; /* service id -> image in force */
    json_t *before; /* images as of upgrades_begin(); NULL outside of such a round */
    json_t *held;   /* service id -> image that waits */
    int64_t due_ms; /* wall: when the next window of a held service opens; 0 = nothing is held */
};

/* A file that cannot be read counts as empty: what runs with an unknown image is as wished. */
void upgrades_open(struct upgrades *u, const char *path);
void upgrades_free(struct upgrades *u);
/* Puts the image in force into what is held, and records what is taken up; durable on return. */
OH_MUST_CHECK int upgrades_apply(struct upgrades *u, const struct desired *d, int64_t now_ms,
                                 struct workload_list *list, struct err *err);
/* The same of a list that comes in parts: begin, each part, end. Without `done` nothing of it counts. */
void upgrades_begin(struct upgrades *u, const struct desired *d);
void upgrades_add(struct upgrades *u, const struct desired *d, int64_t now_ms, struct workload_list *part);
OH_MUST_CHECK int upgrades_end(struct upgrades *u, bool done, struct err *err);
/* Takes up what this service waits for at the next upgrades_apply(), whatever its window says; durable on return.
 * -ENOENT: it waits for nothing. */
OH_MUST_CHECK int upgrades_now(struct upgrades *u, const char *service, struct err *err);
/* True when something is held whose window has come. */
bool upgrades_due(const struct upgrades *u, int64_t now_ms);

/* When the window is open next, at or after now_ms: now_ms itself while it is open. Hours of the week in UTC. */
int64_t upgrades_opening(const struct desired_window *w, int64_t now_ms);
