/* Asks the replicas of services of several how far they are, keeps their last answers, and tells Keeper through one of
 * them which replicas are no more. On work threads of its own; decisions are replicas.h's. */
#pragma once

#include "agent/operator/handover.h"
#include "agent/operator/notes.h"
#include "agent/operator/replicas.h"
#include "base/clock.h"

#include <uv.h>

#define REPLICA_WATCH_BUSY_MS 2000   /* between questions while something changes */
#define REPLICA_WATCH_QUIET_MS 60000 /* and else */

struct replica_watch;
/* `password` of BLUEPRINT_OPERATOR; `changed` is called from the loop when something new was said. */
struct replica_watch *replica_watch_new(uv_loop_t *loop, const struct clock *clock, const char *password,
                                        void (*changed)(void *data), void *data);
/* Takes what is wanted and seen now, and asks what is to be asked. Returns when to call again at the latest (monotonic
 * ms, INT64_MAX: no need). */
int64_t replica_watch_step(struct replica_watch *w, const struct desired *d, const struct blueprint_env *env,
                           const struct runtime_status_list *observed, bool busy);
/* Of a workload: reconcile_input.sync_of. What is no replica of several is in step. */
enum replica_sync replica_watch_sync(const char *workload, void *watch);
/* What is known of a service of several, as of the last step; NULL: nobody is asked. */
const struct replica_view *replica_watch_view(const struct replica_watch *w, const char *service);
/* These replicas (bit k) register their tables anew though nobody else can write either: somebody has decided that
 * theirs are the rows to go on with. Holds until it is set to another. */
void replica_watch_reattach(struct replica_watch *w, const char *service, unsigned replicas);
/* These replicas (bit k) of a service go: what they have is handed over to those that stay (handover.h), for as long as
 * they are named. Once after each step. */
void replica_watch_leaving(struct replica_watch *w, const char *service, unsigned replicas);
/* How far that is, of a workload: reconcile_input.left_of. */
struct handover_said replica_watch_left(const char *workload, void *watch);
/* Frees; `done` is called (maybe later) when no thread uses it any more. */
void replica_watch_free(struct replica_watch *w, void (*done)(void *data), void *data);
