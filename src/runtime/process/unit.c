/* A unit's life: one workload of the folder, moved from phase to phase. */
#include "runtime/process/engine.h"

#include <signal.h>
#include <sys/wait.h>

#define START_BOUND_MS 30000 /* units of higher order wait no longer than this for one without a probe's bound */
#define VERIFY_MS 3000       /* a just released child has this long to become its program */
#define VERIFY_EACH_MS 20
#define PROBE_FIRST_MS 50
#define PROBE_GRID_MS 100
#define RETRY_MS 1000
#define GRACE_DEFAULT_MS 10000

void unit_set_state(struct unit *u, enum placement_state state, const char *error)
{
    struct placement_status *h = &u->have;
    if (h->state == state && !strcmp(h->error, error))
        return;
    if (h->state != state || !h->since_ms)
        h->since_ms = clock_wall_ms(u->engine->o->clock);
    h->state = state;
    if (error != h->error)
        snprintf(h->error, sizeof(h->error), "%s", error);
    u->dirty = true;
}

int unit_flush(struct unit *u, struct err *err)
{
    int r = u->dirty ? placement_status_write(u->engine->dir, &u->have, err) : 0;
    if (r == 0)
        u->dirty = false;
    return r;
}

static void enter(struct unit *u, enum phase phase, int64_t now)
{
    u->phase = phase;
    u->since = now;
}

void unit_free(struct unit *u)
{
    probe_cancel(u->probe);
    watch_close(&u->exit_watch);
    watch_close(&u->gate_watch);
    launch_abandon(&u->launch);
    wish_clear(&u->wish);
    if (u->helper_said >= 0)
        close(u->helper_said);
    free(u);
}

bool unit_must_stop(const struct unit *u)
{
    return u->engine->mode == MODE_STOP || !wish_runs(u);
}

/* What was asked cannot be had without a new process. */
static bool must_restart(const struct unit *u)
{
    const struct wish *w = &u->wish;
    if (!w->present || !w->valid)
        return false;
    return strcmp(u->have.core, w->digests.core) ||
           (strcmp(u->have.reload, w->digests.reload) && !w->p.workload.reload_signal);
}

static int64_t start_bound(const struct unit *u)
{
    int ms = u->wish.p.workload.probe.port ? u->wish.p.workload.probe.startup_ms : 0;
    return u->placed_at + (ms ? ms : START_BOUND_MS);
}

bool unit_holds_back(const struct unit *u, int64_t now)
{
    return u->engine->mode == MODE_RUN && wish_runs(u) && u->wish.valid && !u->ready && now < start_bound(u);
}

/* ---- starting ---- */

static void failed_to_start(struct unit *u, int64_t now, const char *why)
{
    int64_t wait = restart_next(&u->restart, 0);
    if (u->have.state != PLACEMENT_FAILED || strcmp(u->have.error, why))
        engine_event(u->engine, SUPERVISE_ERROR, u->name, "cannot start: %s", why);
    unit_set_state(u, PLACEMENT_FAILED, why);
    u->not_before = now + wait;
}

static void begin_start(struct unit *u, int64_t now)
{
    struct err err = ERR_INIT;
    int64_t startup = u->wish.p.workload.probe.startup_ms;
    int r = start_process(u, &err);
    if (r == -ECANCELED) {
        u->engine->rescan = true;
        return;
    }
    if (r < 0)
        return failed_to_start(u, now, err.message);
    enter(u, PHASE_UP, now);
    u->started_at = now;
    u->tell_again_at = 0;
    u->ready = false;
    u->ready_by = startup ? now + startup : ENGINE_NEVER;
    u->probe_at = 0;
    u->probe_wait = PROBE_FIRST_MS;
    u->probe_failures = 0;
    u->reason[0] = 0;
    u->trouble[0] = 0;
    engine_event(u->engine, SUPERVISE_INFO, u->name, "started as process %d", (int)u->have.pid);
}

static int64_t step_down(struct unit *u, int64_t now)
{
    struct err err = ERR_INIT;
    bool removed = !u->wish.present || (u->wish.valid && u->wish.p.remove);
    if (u->engine->mode != MODE_RUN || (!removed && !wish_runs(u))) {
        if (u->wish.valid && u->wish.present && u->wish.p.workload.stopped)
            memcpy(u->have.digest, u->wish.p.digest, sizeof(u->have.digest));
        unit_set_state(u, PLACEMENT_STOPPED, "");
        return ENGINE_NEVER;
    }
    if (now < u->not_before)
        return u->not_before;
    if (removed) {
        if (remove_begin(u, &err) < 0)
            failed_to_start(u, now, err.message);
        else
            enter(u, PHASE_REMOVING, now);
        return u->not_before > now ? u->not_before : ENGINE_NEVER;
    }
    if (!u->wish.valid) {
        unit_set_state(u, PLACEMENT_FAILED, u->wish.problem);
        return ENGINE_NEVER; /* until the file changes */
    }
    if (u->wish.p.workload.order > u->engine->start_order) {
        unit_set_state(u, PLACEMENT_STARTING, u->have.error);
        return ENGINE_NEVER; /* whoever holds it back has a time to look again */
    }
    begin_start(u, now);
    return u->phase == PHASE_UP ? now : MAX(u->not_before, now);
}

/* ---- running ---- */

static void begin_stop(struct unit *u, int64_t now, const char *reason)
{
    struct proc_id id = {u->have.pid, u->have.start_ticks};
    const struct workload *w = &u->wish.p.workload;
    int grace = w->stop_grace_ms > 0 ? w->stop_grace_ms : u->wish.valid ? 0 : GRACE_DEFAULT_MS;
    probe_cancel(u->probe);
    u->probe = NULL;
    snprintf(u->reason, sizeof(u->reason), "%s", reason);
    enter(u, PHASE_STOPPING, now);
    unit_set_state(u, PLACEMENT_STOPPING, reason);
    u->kill_at = now + grace;
    if (grace)
        (void)!proc_kill(&id, w->stop_signal ? w->stop_signal : SIGTERM);
}

/* Runs well, but something about its placement may be wrong all the same. */
static const char *trouble(const struct unit *u)
{
    return u->wish.present && !u->wish.valid ? u->wish.problem : u->trouble;
}

static void on_probe(void *data, bool ok, const char *why)
{
    struct unit *u = data;
    const struct workload_probe *p = &u->wish.p.workload.probe;
    int64_t now = engine_now(u->engine);
    u->probe = NULL;
    if (ok) {
        u->probe_failures = 0;
        if (!u->ready)
            engine_event(u->engine, SUPERVISE_INFO, u->name, "ready after %lld ms", (long long)(now - u->started_at));
        u->ready = true;
        unit_set_state(u, PLACEMENT_RUNNING, trouble(u));
    } else if (u->ready && ++u->probe_failures >= p->failures) {
        char text[200];
        snprintf(text, sizeof(text), "it does not answer on port %d: %s", p->port, why);
        unit_set_state(u, PLACEMENT_UNREADY, text);
    }
    int64_t period = MAX(p->period_ms, 1);
    if (u->ready && !u->dirty) {
        /* Nothing new, as nearly always: the next one goes out together with the others'. */
        u->probe_at = now + period + PROBE_GRID_MS - (now + period) % PROBE_GRID_MS;
        engine_look_at(u->engine, u->probe_at);
        return;
    }
    u->probe_at = now + (u->ready ? period : MIN(u->probe_wait, period));
    u->probe_wait = MIN(u->probe_wait * 3 / 2, (int64_t)1000);
    engine_wake(u->engine);
}

static void begin_probe(struct unit *u)
{
    const struct placement *p = &u->wish.p;
    struct probe_target target = {.address = p->address ? p->address : "127.0.0.1",
                                  .port = p->workload.probe.port,
                                  .path = p->workload.probe.path,
                                  .netns = p->netns,
                                  .timeout_ms = p->workload.probe.timeout_ms};
    struct err err = ERR_INIT;
    if (probe_start(&u->engine->loop, &target, on_probe, u, &u->probe, &err) < 0)
        on_probe(u, false, err.message);
}

static int64_t step_probe(struct unit *u, int64_t now)
{
    if (u->gate_watch)
        return ENGINE_NEVER; /* not known yet whether it runs at all; its gate tells */
    if (!u->wish.p.workload.probe.port) {
        u->ready = true;
        unit_set_state(u, PLACEMENT_RUNNING, trouble(u));
        return ENGINE_NEVER;
    }
    if (!u->ready && now >= u->ready_by) {
        char why[128];
        snprintf(why, sizeof(why), "it was not ready on port %d within %lld ms", u->wish.p.workload.probe.port,
                 (long long)(u->ready_by - u->started_at));
        engine_event(u->engine, SUPERVISE_WARN, u->name, "%s: starting it again", why);
        begin_stop(u, now, why);
        return now;
    }
    if (!u->probe && now >= u->probe_at)
        begin_probe(u);
    int64_t due = u->probe ? ENGINE_NEVER : u->probe_at;
    return u->ready ? due : MIN(due, u->ready_by);
}

static int64_t step_files(struct unit *u, int64_t now)
{
    struct err err = ERR_INIT;
    int64_t settled = u->wish.p.workload.probe.port ? 0 : u->started_at + SETTLE_MS;
    /* A signal that comes before its handler would end the process. */
    if (strcmp(u->have.reload, u->wish.digests.reload) && (!u->ready || now < settled))
        return u->ready ? settled : ENGINE_NEVER;
    if (now < u->retry_at)
        return u->retry_at;
    int r = start_reload(u, &err);
    u->engine->rescan |= r == -ECANCELED;
    if (r == 0 || r == -ECANCELED) {
        u->trouble[0] = 0;
        return now;
    }
    if (strncmp(u->trouble, err.message, sizeof(u->trouble) - 1))
        engine_event(u->engine, SUPERVISE_ERROR, u->name, "%s", err.message);
    snprintf(u->trouble, sizeof(u->trouble), "%.255s", err.message);
    return u->retry_at = now + RETRY_MS;
}

/* A worker may answer the probe before the process that forked it listens for signals (HAProxy): who is told to reload
 * soon after its start is told once more. */
static int64_t step_tell_again(struct unit *u, int64_t now)
{
    struct proc_id id = {u->have.pid, u->have.start_ticks};
    if (!u->tell_again_at)
        return ENGINE_NEVER;
    if (now < u->tell_again_at)
        return u->tell_again_at;
    u->tell_again_at = 0;
    (void)!proc_kill(&id, u->wish.p.workload.reload_signal);
    return ENGINE_NEVER;
}

static int64_t step_up(struct unit *u, int64_t now)
{
    if (!u->exit_watch) { /* it was gone before it could be watched */
        engine_reap(u->engine);
        unit_ended(u);
        return now;
    }
    if (unit_must_stop(u)) {
        int order = u->wish.p.workload.order;
        if (order < u->engine->stop_order)
            return ENGINE_NEVER; /* the end of those above wakes the pass */
        begin_stop(u, now, "");
        return now;
    }
    if (must_restart(u)) {
        engine_event(u->engine, SUPERVISE_INFO, u->name, "changed: starting it again");
        begin_stop(u, now, "");
        return now;
    }
    int64_t due = step_probe(u, now);
    if (u->phase == PHASE_UP && u->wish.valid && strcmp(u->have.rest, u->wish.digests.rest))
        due = MIN(due, step_files(u, now));
    return u->phase == PHASE_UP ? MIN(due, step_tell_again(u, now)) : due;
}

static int64_t step_stopping(struct unit *u, int64_t now)
{
    if (now < u->kill_at)
        return u->kill_at;
    struct proc_id id = {u->have.pid, u->have.start_ticks};
    if (now == u->kill_at || now - u->kill_at < 1000)
        engine_event(u->engine, SUPERVISE_WARN, u->name, "did not end in time: killed");
    (void)!proc_kill(&id, SIGKILL);
    u->kill_at = now + 1000; /* once more, in case */
    return u->kill_at;
}

/* ---- ending ---- */

static void describe_end(const struct unit *u, char *out, size_t size)
{
    if (*u->failure)
        snprintf(out, size, "%s", u->failure);
    else if (!u->ended)
        snprintf(out, size, "it ended");
    else if (WIFSIGNALED(u->status))
        snprintf(out, size, "it was ended by signal %d (%s)", WTERMSIG(u->status), strsignal(WTERMSIG(u->status)));
    else
        snprintf(out, size, "it ended with status %d", WEXITSTATUS(u->status));
}

void unit_ended(struct unit *u)
{
    int64_t now = engine_now(u->engine);
    bool asked = (u->phase == PHASE_STOPPING && !*u->reason) || unit_must_stop(u);
    char why[sizeof(u->reason)];
    start_hear(u);
    launch_abandon(&u->launch);
    watch_close(&u->exit_watch);
    probe_cancel(u->probe);
    u->probe = NULL;
    describe_end(u, why, sizeof(why));
    if (*u->reason)
        snprintf(why, sizeof(why), "%s", u->reason);
    u->have.pid = 0;
    u->have.start_ticks = 0;
    u->have.digest[0] = 0;
    u->own = false;
    u->dirty = true;
    if (asked) {
        engine_event(u->engine, SUPERVISE_INFO, u->name, "stopped");
        u->not_before = 0;
        u->restart = (struct restart){0};
    } else {
        int64_t wait = restart_next(&u->restart, u->started_at ? now - u->started_at : 0);
        u->not_before = now + wait;
        u->have.restarts++;
        engine_event(u->engine, SUPERVISE_WARN, u->name, "%s; starting again in %lld ms", why, (long long)wait);
        unit_set_state(u, PLACEMENT_FAILED, why);
    }
    u->ready = false;
    u->reason[0] = 0;
    enter(u, PHASE_SWEEPING, now);
    u->engine->sweep_at = now;
    u->engine->sweep_wait = 0;
}

/* ---- adoption ---- */

static void adopted(struct unit *u, int64_t now)
{
    enum placement_state state = u->have.state;
    u->own = false;
    u->started_at = now; /* not known better: back-off counts what we saw */
    u->ready = state == PLACEMENT_RUNNING || state == PLACEMENT_UNREADY;
    u->probe_wait = PROBE_FIRST_MS;
    u->ready_by = u->wish.p.workload.probe.startup_ms ? now + u->wish.p.workload.probe.startup_ms : ENGINE_NEVER;
    enter(u, PHASE_UP, now);
    engine_event(u->engine, SUPERVISE_INFO, u->name, "adopted process %d", (int)u->have.pid);
    if (state == PLACEMENT_STOPPING)
        begin_stop(u, now, "");
}

static void not_ours(struct unit *u, int64_t now)
{
    if (u->have.pid)
        engine_event(u->engine, SUPERVISE_INFO, u->name, "process %d is gone or not ours", (int)u->have.pid);
    watch_close(&u->exit_watch);
    if (u->have.pid || *u->have.digest) {
        u->have.pid = 0;
        u->have.start_ticks = 0;
        u->have.digest[0] = 0;
        u->dirty = true;
    }
    enter(u, PHASE_SWEEPING, now);
    u->engine->sweep_at = now;
}

static int64_t step_verify(struct unit *u, int64_t now)
{
    struct proc_id id = {u->have.pid, u->have.start_ticks};
    enum mark_match match = marks_match(&id, u->engine->place, u->name, u->have.start);
    bool late = now - u->since >= VERIFY_MS;
    if (match == MARK_GONE || (match == MARK_FOREIGN && late))
        not_ours(u, now);
    else if (match == MARK_YES || (match == MARK_HIDDEN && late))
        adopted(u, now);
    else
        return now + VERIFY_EACH_MS;
    return now;
}

void unit_adopt(struct unit *u)
{
    int64_t now = engine_now(u->engine);
    bool other_boot = strcmp(u->have.boot, u->engine->boot) != 0;
    /* Without its process, others of the same start may still be there: they are swept before anything is started. */
    if (other_boot || !u->have.pid || start_watch(u) < 0)
        return not_ours(u, now);
    enter(u, PHASE_VERIFY, now);
}

int64_t unit_step(struct unit *u, int64_t now)
{
    switch (u->phase) {
    case PHASE_DOWN:
        return step_down(u, now);
    case PHASE_VERIFY:
        return step_verify(u, now);
    case PHASE_UP:
        return step_up(u, now);
    case PHASE_STOPPING:
        return step_stopping(u, now);
    case PHASE_SWEEPING: /* the sweep moves it on */
    case PHASE_REMOVING: /* its helper's end does */
        return ENGINE_NEVER;
    }
    return ENGINE_NEVER;
}
