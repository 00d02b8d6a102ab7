/* Ends marked processes that no unit accounts for: what a dead leader left behind, or a dead supervisor. */
#include "runtime/process/engine.h"

#include <signal.h>

#define SWEEP_FIRST_MS 10
#define SWEEP_MAX_MS 500
#define SWEEP_PATIENCE_MS 5000

/* Part of what a unit runs now. */
static bool accounted(const struct unit *u, const struct mark *m)
{
    bool runs = u && (u->phase == PHASE_UP || u->phase == PHASE_STOPPING || u->phase == PHASE_VERIFY);
    return runs && !strcmp(u->have.start, m->start);
}

static size_t end_strays(struct engine *e, const struct marks *marks)
{
    size_t strays = 0;
    for (size_t i = 0; i < marks->n; i++) {
        struct unit *u = engine_unit(e, marks->items[i].workload, false);
        if (accounted(u, &marks->items[i]))
            continue;
        (void)!proc_kill(&marks->items[i].id, SIGKILL);
        strays++;
        if (u)
            u->left++;
    }
    return strays;
}

static void settle(struct unit *u, int64_t now)
{
    if (u->left == 0) {
        u->phase = PHASE_DOWN;
        u->since = now;
        engine_wake(u->engine);
        return;
    }
    if (now - u->since > SWEEP_PATIENCE_MS)
        unit_set_state(u, PLACEMENT_FAILED, "processes that an earlier start left behind cannot be ended");
}

int64_t sweep_pass(struct engine *e, int64_t now)
{
    struct marks marks = {0};
    bool any = false;
    for (size_t i = 0; i < e->n; i++) {
        e->units[i]->left = 0;
        any |= e->units[i]->phase == PHASE_SWEEPING;
    }
    if (!any && !e->sweep_again)
        return ENGINE_NEVER;
    if (now < e->sweep_at)
        return e->sweep_at;
    e->sweep_wait = e->sweep_wait ? MIN(2 * e->sweep_wait, (int64_t)SWEEP_MAX_MS) : SWEEP_FIRST_MS;
    e->sweep_at = now + e->sweep_wait;
    if (marks_scan(e->place, &marks, NULL) < 0)
        return e->sweep_at;
    e->sweep_again = end_strays(e, &marks) > 0;
    marks_free(&marks);
    for (size_t i = 0; i < e->n; i++)
        if (e->units[i]->phase == PHASE_SWEEPING)
            settle(e->units[i], now);
    return e->sweep_again ? e->sweep_at : ENGINE_NEVER;
}
