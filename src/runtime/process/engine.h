/* The supervisor's inside, shared by its files: the engine (one loop, one folder) and its units (one a workload). */
#pragma once

#include "blueprint/placement.h"
#include "runtime/process/launch.h"
#include "runtime/process/marks.h"
#include "runtime/process/material.h"
#include "runtime/process/probe.h"
#include "runtime/process/restart.h"
#include "runtime/process/supervise.h"

#include <limits.h>
#include <sys/stat.h>
#include <uv.h>

#define ENGINE_NEVER INT64_MAX
#define SETTLE_MS 1000 /* by then a process that was started has its signal handlers */

/* Where a unit is. Every unit is in exactly one phase; unit_step() is the only mover but for events that end one. */
enum phase {
    PHASE_DOWN,     /* no process of it exists */
    PHASE_VERIFY,   /* a process is recorded; whether it is ours is not certain yet */
    PHASE_UP,       /* its process runs */
    PHASE_STOPPING, /* its process was told to end */
    PHASE_SWEEPING, /* its process ended; others of that start may be left */
    PHASE_REMOVING, /* a helper deletes its files */
};

/* What want/NAME.json asks, without the weight of its files. */
struct wish {
    bool present; /* the file is there */
    bool valid;   /* and could be read; if not, what runs is left alone and `problem` says why */
    char problem[256];
    struct stat seen; /* of the file when it was read */
    struct arena *arena;
    struct placement p; /* in the arena; files, arguments and environment are left out */
    struct material_digests digests;
};

/* A polled descriptor of a unit; freed by the loop after closing. */
struct watch {
    uv_poll_t poll;
    int fd;
    struct unit *unit;
};

struct unit {
    struct engine *engine;
    char name[WORKLOAD_NAME_MAX + 1];
    enum phase phase;
    struct wish wish;
    struct placement_status have;
    bool dirty;         /* have is not on disk as it is here */
    bool rotate_failed; /* said so already */
    bool gone;          /* to be dropped at the end of the pass */
    bool ready;         /* was ready since it was started */
    bool own;           /* our child, so that its exit status will be known */
    bool ended;         /* reaped: the status below is known */
    int status;         /* from waitpid */
    char reason[256];   /* why it is being stopped though nobody asked; "" otherwise */
    char failure[256];  /* why its program could not be run */
    char trouble[256];  /* why its files could not be brought to what is wanted while it runs */
    struct launch launch;
    struct watch *exit_watch, *gate_watch;
    struct restart restart;
    struct probe *probe;
    int probe_failures;
    int64_t probe_wait;                           /* until the next probe while starting */
    int64_t placed_at, started_at, ready_by;      /* monotonic ms */
    int64_t not_before, kill_at, probe_at, since; /* monotonic ms; since: of the phase */
    int64_t tell_again_at;                        /* to reload, 0 = never */
    int64_t retry_at;                             /* for what failed while it runs (reload, status file) */
    pid_t helper;                                 /* PHASE_REMOVING */
    int helper_said;                              /* its error text comes here, or -1 */
    ino_t removing;                               /* the request that the helper serves, 0 = none was there */
    int left;                                     /* PHASE_SWEEPING: processes found in this pass */
};

enum mode { MODE_RUN, MODE_STOP, MODE_LEAVE };

struct engine {
    const struct supervise_options *o;
    const char *dir;
    char place[64], boot[37];
    int lock;
    uv_loop_t loop;
    uv_timer_t timer;
    uv_poll_t inotify;
    int inotify_fd;
    uv_signal_t signals[4];
    enum mode mode;
    struct unit **units; /* sorted by name */
    size_t n, cap;
    bool woken;        /* a pass is due at once */
    int64_t armed_at;  /* when the timer makes the next pass */
    bool flush_failed; /* said so already */
    bool rescan;       /* want/ may have changed */
    int64_t rescan_at, rotate_at, sweep_at;
    int64_t sweep_wait;
    bool sweep_again; /* strays were found and may not be gone yet */
    int start_order;  /* of this pass: only units of at most this order may start */
    int stop_order;   /* of this pass: only units of at least this order may stop */
};

static inline int64_t engine_now(const struct engine *e)
{
    return clock_mono_ms(e->o->clock);
}
void engine_wake(struct engine *e);                  /* another pass at once */
void engine_look_at(struct engine *e, int64_t when); /* another pass at that time, or before */
void engine_event(const struct engine *e, enum supervise_level level, const char *workload, const char *fmt, ...)
    OH_PRINTF(4, 5);
/* The unit of that name, made if `make`; NULL otherwise. */
struct unit *engine_unit(struct engine *e, const char *name, bool make);
/* Reaps children, ours and inherited ones; ends what is left of their groups. */
void engine_reap(struct engine *e);

/* ---- wish.c ---- */
/* Reads want/NAME.json again if the file changed. True if the wish is not what it was. */
bool wish_refresh(struct unit *u);
/* The whole placement, files too, into the arena; the wish is brought to the same state. */
OH_MUST_CHECK int wish_load(struct unit *u, struct arena *arena, struct placement *ret, struct err *err);
void wish_clear(struct wish *w);
static inline bool wish_runs(const struct unit *u)
{
    return u->wish.present && (!u->wish.valid || (!u->wish.p.remove && !u->wish.p.workload.stopped));
}

/* ---- unit.c ---- */
/* One look at the unit: moves it on if it can be moved; returns when to look again. */
int64_t unit_step(struct unit *u, int64_t now);
bool unit_must_stop(const struct unit *u);               /* its process should end for good (not to be started again) */
bool unit_holds_back(const struct unit *u, int64_t now); /* units of higher order wait for it */
void unit_set_state(struct unit *u, enum placement_state state, const char *error);
void unit_ended(struct unit *u); /* its process ended */
void unit_free(struct unit *u);
int unit_flush(struct unit *u, struct err *err); /* writes have/NAME.json if dirty */
/* Takes up the process recorded in have/ (at the start). */
void unit_adopt(struct unit *u);

/* ---- start.c ---- */
/* Starts the unit's process: files, fork, record, release. -ECANCELED: the wish changed just now; look again. */
OH_MUST_CHECK int start_process(struct unit *u, struct err *err);
/* Brings files to what is wanted and signals the running process if it has to read them again. -ECANCELED: as above,
 * or it needs more than that by now. */
OH_MUST_CHECK int start_reload(struct unit *u, struct err *err);
/* Puts the pidfd of have.pid under watch; -ESRCH if the process is gone. */
OH_MUST_CHECK int start_watch(struct unit *u);
void watch_close(struct watch **w);
/* Takes what the child said at its gate, if anything: closes the gate, and unit.failure says why it could not run. */
void start_hear(struct unit *u);

/* ---- remove.c ---- */
OH_MUST_CHECK int remove_begin(struct unit *u, struct err *err); /* forks the helper */
void remove_ended(struct unit *u, int status);                   /* the helper ended */
void remove_settle(struct engine *e);                            /* at the start: finishes what a killed one began */

/* ---- sweep.c ---- */
/* Ends marked processes that no unit accounts for, and moves swept units on; returns when to look again. */
int64_t sweep_pass(struct engine *e, int64_t now);
