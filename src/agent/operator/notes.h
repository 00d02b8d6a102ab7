/* Tells the platform what the operator does to workloads and why, and what becomes of them, for people who look there
 * (runtime_ops.note). Says what changes, not what is: the same state is not said twice. */
#pragma once

#include "agent/operator/reconcile.h"

struct notes;
struct notes *notes_new(void);
void notes_free(struct notes *n); /* NULL is fine */

/* The list of what is wanted is replaced: keeps in words why each differs. `was` empty: the agent has just started. */
void notes_render(struct notes *n, const struct workload_list *was, const char (*was_digests)[65],
                  const struct workload_list *is, const char (*digests)[65]);
/* An action was taken; result and message as the runtime gave them. `status`: what was there before it, or NULL. */
void notes_action(struct notes *n, struct runtime *rt, const struct reconcile_action *a,
                  const struct runtime_status *status, int result, const char *message);
/* What is seen now. */
void notes_observed(struct notes *n, struct runtime *rt, const struct runtime_status_list *l);
