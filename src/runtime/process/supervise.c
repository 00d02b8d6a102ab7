/* The supervisor's loop: watches the folder, signals and children, and makes passes over the units. */
#include "runtime/process/engine.h"

#include "base/fs.h"
#include "runtime/process/rotate.h"

#include <signal.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define RESCAN_MS 30000 /* in case an inotify event was lost */
#define ROTATE_MS 5000
#define FLUSH_RETRY_MS 1000
#define LOCK_EACH_MS 20

static const int signal_numbers[] = {SIGTERM, SIGINT, SIGUSR2, SIGCHLD};

void engine_event(const struct engine *e, enum supervise_level level, const char *workload, const char *fmt, ...)
{
    char text[600];
    va_list ap;
    if (!e->o->event)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    e->o->event(e->o->data, level, workload, text);
}

/* ---- units ---- */

struct unit *engine_unit(struct engine *e, const char *name, bool make)
{
    size_t low = 0, high = e->n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = strcmp(e->units[middle]->name, name);
        if (order == 0)
            return e->units[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (!make)
        return NULL;
    if (e->n == e->cap)
        e->units = mem_realloc(e->units, (e->cap = e->cap ? 2 * e->cap : 16) * sizeof(struct unit *));
    struct unit *u = mem_alloc(sizeof(*u));
    u->engine = e;
    u->phase = PHASE_DOWN;
    u->launch.gate = u->helper_said = -1;
    u->placed_at = engine_now(e);
    u->have.state = PLACEMENT_STARTING;
    snprintf(u->name, sizeof(u->name), "%s", name);
    snprintf(u->have.name, sizeof(u->have.name), "%s", name);
    memmove(e->units + low + 1, e->units + low, (e->n - low) * sizeof(struct unit *));
    e->units[low] = u;
    e->n++;
    return u;
}

static void drop_gone(struct engine *e)
{
    size_t kept = 0;
    for (size_t i = 0; i < e->n; i++) {
        if (e->units[i]->gone)
            unit_free(e->units[i]);
        else
            e->units[kept++] = e->units[i];
    }
    e->n = kept;
}

static void refresh(struct unit *u, int64_t now)
{
    bool ran = wish_runs(u);
    if (!wish_refresh(u))
        return;
    if (!ran)
        u->placed_at = now;
    /* A new wish deserves a try at once. */
    u->not_before = 0;
    u->retry_at = 0;
    u->restart = (struct restart){0};
    if (!u->wish.valid && u->wish.present)
        engine_event(u->engine, SUPERVISE_ERROR, u->name, "%s", u->wish.problem);
}

static void rescan(struct engine *e, int64_t now)
{
    autoarena struct arena *arena = arena_new();
    const char **names;
    size_t n;
    struct err err = ERR_INIT;
    e->rescan = false;
    e->rescan_at = now + RESCAN_MS;
    if (placement_names(e->dir, "want", arena, &names, &n, &err) < 0) {
        engine_event(e, SUPERVISE_ERROR, NULL, "%s", err.message);
        return;
    }
    for (size_t i = 0; i < n; i++)
        engine_unit(e, names[i], true);
    for (size_t i = 0; i < e->n; i++)
        refresh(e->units[i], now);
}

/* ---- children ---- */

static void took(struct engine *e, pid_t pid, int status)
{
    for (size_t i = 0; i < e->n; i++) {
        struct unit *u = e->units[i];
        if (u->helper == pid) {
            remove_ended(u, status);
            return;
        }
        if (u->own && !u->ended && u->have.pid == pid) {
            u->ended = true;
            u->status = status;
            return;
        }
    }
}

static bool leads(const struct engine *e, pid_t pid)
{
    for (size_t i = 0; i < e->n; i++)
        if (e->units[i]->own && e->units[i]->have.pid == pid)
            return true;
    return false;
}

void engine_reap(struct engine *e)
{
    for (;;) {
        siginfo_t info = {0};
        int status = 0;
        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid == 0)
            return;
        /* While its leader is not reaped a group's number cannot be anybody else's. */
        if (leads(e, info.si_pid))
            kill(-info.si_pid, SIGKILL);
        if (waitpid(info.si_pid, &status, WNOHANG) == info.si_pid)
            took(e, info.si_pid, status);
    }
}

/* ---- passes ---- */

/* Who may start (all below are ready or out of time) and who may stop (all above have). */
static int64_t find_orders(struct engine *e, int64_t now)
{
    int64_t due = ENGINE_NEVER;
    e->start_order = INT_MAX;
    e->stop_order = INT_MIN;
    for (size_t i = 0; i < e->n; i++) {
        struct unit *u = e->units[i];
        int order = u->wish.p.workload.order;
        if (unit_holds_back(u, now)) {
            e->start_order = MIN(e->start_order, order);
            due = MIN(due, now + 1000);
        }
        bool lives = u->phase == PHASE_UP || u->phase == PHASE_STOPPING || u->phase == PHASE_SWEEPING;
        if (lives && unit_must_stop(u))
            e->stop_order = MAX(e->stop_order, order);
    }
    return due;
}

static int64_t flush_all(struct engine *e, int64_t now)
{
    int64_t due = ENGINE_NEVER;
    for (size_t i = 0; i < e->n; i++) {
        struct unit *u = e->units[i];
        struct err err = ERR_INIT;
        if (u->gone || !u->dirty)
            continue;
        if (unit_flush(u, &err) == 0)
            continue;
        if (!e->flush_failed)
            engine_event(e, SUPERVISE_ERROR, u->name, "%s", err.message);
        e->flush_failed = true;
        due = now + FLUSH_RETRY_MS;
    }
    if (due == ENGINE_NEVER)
        e->flush_failed = false;
    return due;
}

static int64_t rotate_all(struct engine *e, int64_t now)
{
    if (now < e->rotate_at)
        return e->rotate_at;
    for (size_t i = 0; i < e->n; i++) {
        struct unit *u = e->units[i];
        struct err err = ERR_INIT;
        autofree char *logs = material_path(e->dir, u->name, "logs");
        if (!u->wish.valid || u->phase == PHASE_REMOVING)
            continue;
        if (rotate_folder(logs, u->wish.p.log_bytes, u->wish.p.log_files, &err) < 0 && !u->rotate_failed)
            engine_event(e, SUPERVISE_WARN, u->name, "%s", err.message);
        u->rotate_failed = err.code < 0;
    }
    return e->rotate_at = now + (e->o->rotate_ms ? e->o->rotate_ms : ROTATE_MS);
}

static bool all_down(const struct engine *e)
{
    for (size_t i = 0; i < e->n; i++)
        if (e->units[i]->phase != PHASE_DOWN && e->units[i]->phase != PHASE_REMOVING)
            return false;
    return true;
}

static void pass(uv_timer_t *timer)
{
    struct engine *e = timer->data;
    int64_t now = engine_now(e), due;
    if (e->mode == MODE_LEAVE)
        return;
    e->woken = false;
    if (e->rescan || now >= e->rescan_at)
        rescan(e, now);
    due = MIN(e->rescan_at, sweep_pass(e, now));
    due = MIN(due, find_orders(e, now));
    for (size_t i = 0; i < e->n; i++) {
        int64_t again = unit_step(e->units[i], now);
        /* A step that changed the phase is looked at once more in the next pass. */
        due = MIN(due, again);
    }
    drop_gone(e);
    due = MIN(due, rotate_all(e, now));
    due = MIN(due, flush_all(e, now));
    if (e->mode == MODE_STOP && all_down(e)) {
        uv_stop(&e->loop);
        return;
    }
    if (e->rescan)
        due = now;
    /* At least 1 ms apart unless something called for it: a mistake here must not spin. */
    int64_t wait = MAX(due - now, (int64_t)1);
    if (!e->woken)
        uv_timer_start(timer, pass, (uint64_t)wait, 0);
    e->armed_at = e->woken ? now : now + wait;
}

void engine_wake(struct engine *e)
{
    e->woken = true;
    e->armed_at = 0;
    uv_update_time(&e->loop);
    uv_timer_start(&e->timer, pass, 0, 0);
}

void engine_look_at(struct engine *e, int64_t when)
{
    if (when >= e->armed_at)
        return;
    e->armed_at = when;
    uv_update_time(&e->loop);
    uv_timer_start(&e->timer, pass, (uint64_t)MAX(when - engine_now(e), (int64_t)1), 0);
}

/* ---- events ---- */

static void on_inotify(uv_poll_t *poll, int status OH_UNUSED, int events OH_UNUSED)
{
    struct engine *e = poll->data;
    char chunk[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
    /* What happened is not asked: the folder is read as a whole. */
    while (read(e->inotify_fd, chunk, sizeof(chunk)) > 0)
        ;
    e->rescan = true;
    engine_wake(e);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct engine *e = handle->data;
    if (number == SIGCHLD) {
        engine_reap(e);
    } else if (number == SIGUSR2) {
        engine_event(e, SUPERVISE_INFO, NULL, "leaving; what runs goes on");
        e->mode = MODE_LEAVE;
        flush_all(e, 0);
        uv_stop(&e->loop);
        return;
    } else if (e->mode == MODE_RUN) {
        engine_event(e, SUPERVISE_INFO, NULL, "stopping all");
        e->mode = MODE_STOP;
    }
    engine_wake(e);
}

/* ---- beginning and end ---- */

static int try_lock(const char *dir, struct err *err)
{
    autofree char *path = mem_printf("%s/lock", dir);
    autoclose int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_set_errno(err, -errno, "cannot open %s", path);
    struct flock all = {.l_type = F_WRLCK};
    if (fcntl(fd, F_OFD_SETLK, &all) < 0)
        return errno == EAGAIN || errno == EACCES ? err_set(err, -EBUSY, "%s is served by another supervisor", dir)
                                                  : err_set_errno(err, -errno, "cannot lock %s", path);
    return oh_take_fd(&fd);
}

bool supervise_alive(const char *dir)
{
    autofree char *path = mem_printf("%s/lock", dir);
    autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct flock all = {.l_type = F_WRLCK};
    /* Asking does not take the lock, so it never gets in the way of a supervisor that is starting. */
    return fd >= 0 && fcntl(fd, F_OFD_GETLK, &all) == 0 && all.l_type != F_UNLCK;
}

static int lock_folder(struct engine *e, struct err *err)
{
    int64_t until = engine_now(e) + e->o->lock_wait_ms;
    for (;;) {
        e->lock = try_lock(e->dir, err);
        if (e->lock != -EBUSY || engine_now(e) >= until)
            return MIN(e->lock, 0);
        usleep(LOCK_EACH_MS * 1000);
    }
}

static int read_place(struct engine *e, struct err *err)
{
    autofree char *path = mem_printf("%s/id", e->dir), *text = NULL;
    size_t len = 0;
    int r = fs_read(path, sizeof(e->place) - 1, &text, &len, err);
    if (r < 0)
        return r;
    text[strcspn(text, "\n")] = 0;
    if (strlen(text) != 36)
        return err_set(err, -EINVAL, "%s must hold a UUID", path);
    snprintf(e->place, sizeof(e->place), "%s", text);
    marks_boot(e->boot);
    return 0;
}

/* What have/ recorded: each is checked, then adopted or swept. */
static int load_units(struct engine *e, struct err *err)
{
    autoarena struct arena *arena = arena_new();
    const char **names;
    size_t n;
    int r = placement_names(e->dir, "have", arena, &names, &n, err);
    for (size_t i = 0; r == 0 && i < n; i++) {
        struct unit *u = engine_unit(e, names[i], true);
        struct placement_status s;
        u->wish.arena = arena_new();
        /* An unreadable status is as good as none: its processes are found by their marks. */
        if (placement_status_read(e->dir, names[i], u->wish.arena, &s, NULL) == 0 && !strcmp(s.name, u->name))
            u->have = s;
    }
    if (r < 0)
        return r;
    rescan(e, engine_now(e));
    for (size_t i = 0; i < e->n; i++)
        unit_adopt(e->units[i]);
    e->sweep_again = true;
    return 0;
}

static int open_folder_watch(struct engine *e, struct err *err)
{
    autofree char *want = mem_printf("%s/want", e->dir);
    e->inotify_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (e->inotify_fd < 0 ||
        inotify_add_watch(e->inotify_fd, want, IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_CLOSE_WRITE) < 0)
        return err_set_errno(err, -errno, "cannot watch %s", want);
    uv_poll_init(&e->loop, &e->inotify, e->inotify_fd);
    e->inotify.data = e;
    uv_poll_start(&e->inotify, UV_READABLE, on_inotify);
    return 0;
}

static void open_loop(struct engine *e)
{
    uv_loop_init(&e->loop);
    uv_timer_init(&e->loop, &e->timer);
    e->timer.data = e;
    for (size_t i = 0; i < ARRAY_SIZE(signal_numbers); i++) {
        uv_signal_init(&e->loop, &e->signals[i]);
        e->signals[i].data = e;
        uv_signal_start(&e->signals[i], on_signal, signal_numbers[i]);
    }
}

static void close_handle(uv_handle_t *h, void *data OH_UNUSED)
{
    if (!uv_is_closing(h))
        uv_close(h, NULL);
}

static void close_all(struct engine *e)
{
    for (size_t i = 0; i < e->n; i++)
        unit_free(e->units[i]);
    free(e->units);
    uv_walk(&e->loop, close_handle, NULL);
    while (uv_loop_close(&e->loop) == UV_EBUSY)
        uv_run(&e->loop, UV_RUN_DEFAULT);
    if (e->inotify_fd >= 0)
        close(e->inotify_fd);
    if (e->lock >= 0)
        close(e->lock);
}

/* Children take 0, 1 and 2; ours must not lie there. */
static void fill_standard(void)
{
    int fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= 2)
        fd = dup(fd);
    if (fd > 2)
        close(fd);
}

int supervise_run(const struct supervise_options *o, enum supervise_end *ret, struct err *err)
{
    struct engine e = {.o = o, .dir = o->dir, .lock = -1, .inotify_fd = -1};
    fill_standard();
    int r = placement_prepare(e.dir, err);
    if (r < 0 || (r = lock_folder(&e, err)) < 0)
        return r;
    /* Processes whose parents ended come to us, and not to a distant init, to be reaped. */
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    open_loop(&e);
    if ((r = read_place(&e, err)) == 0 && (r = open_folder_watch(&e, err)) == 0) {
        remove_settle(&e);
        r = load_units(&e, err);
    }
    if (r == 0) {
        engine_wake(&e);
        uv_run(&e.loop, UV_RUN_DEFAULT);
        *ret = e.mode == MODE_LEAVE ? SUPERVISE_LEFT : SUPERVISE_STOPPED;
    }
    close_all(&e);
    return r;
}
