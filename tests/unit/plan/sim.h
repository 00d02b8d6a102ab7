/* A simulated cloud for tests of the plan engine, with the journal and the remembered state of its caller.
 *
 * Strict: it makes a second object when asked twice, refuses references to what is not there, and refuses to destroy
 * what is referred to. Every effect is a point at which it can "crash": from then on no call has any effect, as if the
 * process were gone, until sim_restart(). */
#pragma once

#include "plan/plan.h"

#include <pthread.h>

struct sim {
    pthread_mutex_t lock;
    json_t *objects; /* [{"key","id","attributes","ready","leaving"}] */
    json_t *records; /* key -> record */
    json_t *journal; /* [{"token","key","action","phase"}] */
    int64_t next_id;
    int ticks;    /* effects so far */
    int crash_at; /* dies at this effect, 0 = never */
    bool dead;
    int slow;     /* polls until ready and until gone */
    int throttle; /* about two of n provider calls answer -EAGAIN, one of them after acting; 0 = never */
    int calls;    /* provider calls so far */
    int wait_ms;  /* each create takes so long */
    int running, most_running;
    const char *fail;   /* key whose create and change fail for good */
    const char *refuse; /* key of which one create is put off */
    const char *lose;   /* key of which one answer to create gets lost, after acting */
    int unseen;         /* so many looks do not show what was just made */
    json_t *log;        /* ["create node.a", ...] */
    struct plan_state state;
    struct plan_journal j;
};

extern const struct plan_type *const sim_types[];

void sim_init(struct sim *s);
void sim_free(struct sim *s);
void sim_restart(struct sim *s);
struct plan_context sim_context(struct sim *s);

json_t *sim_object(struct sim *s, const char *key); /* borrowed, NULL if absent */
size_t sim_count(struct sim *s, const char *key);
ssize_t sim_log_at(struct sim *s, const char *entry); /* position of the last such entry, -1 */

/* plan_make + plan_digest + plan_apply in one. */
int sim_go(struct sim *s, const struct plan_graph *g, enum plan_kind kind, bool delete_data, json_t **ret,
           struct err *err);
