/* Starting and reloading a unit's process. */
#include "runtime/process/engine.h"

#include "base/fs.h"
#include "base/keys.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>

static void on_watch_closed(uv_handle_t *h)
{
    struct watch *w = h->data;
    if (w->fd >= 0)
        close(w->fd);
    free(w);
}

void watch_close(struct watch **w)
{
    if (*w)
        uv_close((uv_handle_t *)&(*w)->poll, on_watch_closed);
    *w = NULL;
}

/* With `own` the descriptor is closed with the watch. */
static struct watch *watch_open(struct unit *u, int fd, bool own, uv_poll_cb on_event)
{
    struct watch *w = mem_alloc(sizeof(*w));
    w->fd = own ? fd : -1;
    w->unit = u;
    uv_poll_init(&u->engine->loop, &w->poll, fd);
    w->poll.data = w;
    uv_poll_start(&w->poll, UV_READABLE, on_event);
    return w;
}

static void on_exit_event(uv_poll_t *poll, int status OH_UNUSED, int events OH_UNUSED)
{
    struct unit *u = ((struct watch *)poll->data)->unit;
    engine_reap(u->engine); /* first, so that the exit status is known */
    if (u->exit_watch)
        unit_ended(u);
    engine_wake(u->engine);
}

int start_watch(struct unit *u)
{
    struct proc_id id = {u->have.pid, u->have.start_ticks};
    int fd = proc_open(&id);
    if (fd < 0)
        return fd;
    u->exit_watch = watch_open(u, fd, true, on_exit_event);
    return 0;
}

/* The program runs, or could not be run: then its process ends, which is seen elsewhere. */
static void on_gate_event(uv_poll_t *poll, int status OH_UNUSED, int events OH_UNUSED)
{
    struct unit *u = ((struct watch *)poll->data)->unit;
    start_hear(u);
    if (u->launch.gate >= 0)
        u->gate_watch = watch_open(u, u->launch.gate, false, on_gate_event);
    engine_wake(u->engine);
}

void start_hear(struct unit *u)
{
    struct err err = ERR_INIT;
    watch_close(&u->gate_watch); /* before its descriptor */
    int r = launch_result(&u->launch, &err);
    if (r < 0 && r != -EAGAIN)
        snprintf(u->failure, sizeof(u->failure), "%.255s", err.message);
}

/* The environment: a minimum, the marks first, then the workload's own. */
static char **make_environment(const struct unit *u, const struct placement *p, struct arena *a)
{
    const struct workload *w = &p->workload;
    char **envp = arena_alloc(a, (w->n_environment + 10) * sizeof(*envp));
    size_t n = 0;
    envp[n++] = arena_printf(a, MARK_PLACE "=%s", u->engine->place);
    envp[n++] = arena_printf(a, MARK_WORKLOAD "=%s", u->name);
    envp[n++] = arena_printf(a, MARK_START "=%s", u->have.start);
    if (p->infrastructure && *p->infrastructure)
        envp[n++] = arena_printf(a, MARK_INFRASTRUCTURE "=%s", p->infrastructure);
    envp[n++] = arena_printf(a, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    envp[n++] = arena_printf(a, "HOME=%s/jobs/%s", u->engine->dir, u->name);
    envp[n++] = arena_printf(a, "LANG=C.UTF-8");
    for (size_t i = 0; i < w->n_environment; i++)
        if (strncmp(w->environment[i].name, "OWNHOUSE_", 9))
            envp[n++] = arena_printf(a, "%s=%s", w->environment[i].name, w->environment[i].value);
    return envp;
}

static char **make_arguments(const struct placement *p, struct arena *a)
{
    const struct workload *w = &p->workload;
    char **argv = arena_alloc(a, (w->n_arguments + 2) * sizeof(*argv));
    argv[0] = arena_strdup(a, strrchr(p->executable, '/') + 1);
    for (size_t i = 0; i < w->n_arguments; i++)
        argv[i + 1] = arena_strdup(a, w->arguments[i]);
    return argv;
}

static int open_output(struct unit *u, struct err *err)
{
    autofree char *path = material_path(u->engine->dir, u->name, "logs/output.log");
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    return fd < 0 ? err_set_errno(err, -errno, "cannot open %s", path) : fd;
}

static int prepare(struct unit *u, const struct placement *p, struct err *err)
{
    struct stat st;
    if (stat(p->executable, &st) < 0)
        return err_set_errno(err, -errno, "its program %s cannot be found", p->executable);
    if (!S_ISREG(st.st_mode) || access(p->executable, X_OK) < 0)
        return err_set(err, -EACCES, "its program %s cannot be executed", p->executable);
    int r = material_folders(u->engine->dir, p, err);
    return r < 0 ? r : material_files(u->engine->dir, p, err);
}

/* Notes the process in have/ before it may run. */
static int record(struct unit *u, const struct placement *p, const struct launch *l, struct err *err)
{
    struct placement_status *h = &u->have;
    h->pid = l->id.pid;
    h->start_ticks = l->id.start_ticks;
    memcpy(h->boot, u->engine->boot, sizeof(h->boot));
    memcpy(h->digest, p->digest, sizeof(h->digest));
    memcpy(h->core, u->wish.digests.core, sizeof(h->core));
    memcpy(h->reload, u->wish.digests.reload, sizeof(h->reload));
    memcpy(h->rest, u->wish.digests.rest, sizeof(h->rest));
    unit_set_state(u, PLACEMENT_STARTING, h->error);
    u->dirty = true;
    return unit_flush(u, err);
}

static int launch(struct unit *u, const struct placement *p, struct arena *arena, struct err *err)
{
    unsigned char random[MARK_START_SIZE / 2];
    random_bytes(random, sizeof(random));
    hex_encode(random, sizeof(random), u->have.start);
    autoclose int output = open_output(u, err);
    autoclose int netns = p->netns ? open(p->netns, O_RDONLY | O_CLOEXEC) : -1;
    if (output < 0)
        return output;
    if (p->netns && netns < 0)
        return err_set_errno(err, -errno, "cannot open its network namespace %s", p->netns);
    autofree char *folder = material_path(u->engine->dir, u->name, "");
    struct launch_spec spec = {.executable = p->executable,
                               .argv = make_arguments(p, arena),
                               .envp = make_environment(u, p, arena),
                               .folder = folder,
                               .output = output,
                               .netns = netns,
                               .open_files = p->workload.open_files};
    return launch_fork(&spec, &u->launch, err);
}

int start_process(struct unit *u, struct err *err)
{
    autoarena struct arena *arena = arena_new();
    struct placement p;
    int r;
    if ((r = wish_load(u, arena, &p, err)) < 0)
        return r == -ENOENT ? -ECANCELED : r;
    if (p.remove || p.workload.stopped)
        return -ECANCELED;
    if ((r = prepare(u, &p, err)) < 0 || (r = launch(u, &p, arena, err)) < 0)
        return r;
    r = record(u, &p, &u->launch, err);
    if (r == 0)
        r = launch_release(&u->launch, err);
    if (r < 0) {
        launch_abandon(&u->launch); /* the child ends by itself and is reaped with the others */
        u->have.pid = 0;
        return r;
    }
    u->own = true;
    u->ended = false;
    u->failure[0] = 0;
    r = start_watch(u);
    u->gate_watch = watch_open(u, u->launch.gate, false, on_gate_event);
    return r == -ESRCH ? 0 : r;
}

/* The limit of a process that runs: an ingress that gets one more service is not to lose its connections for it. */
static void raise_open_files(const struct proc_id *id, int64_t open_files)
{
    struct rlimit wanted = {(rlim_t)open_files, (rlim_t)open_files}, now;
    if (!open_files || !proc_alive(id) || prlimit(id->pid, RLIMIT_NOFILE, NULL, &now) < 0)
        return;
    wanted.rlim_max = MAX(now.rlim_max, wanted.rlim_cur);
    if (now.rlim_cur >= wanted.rlim_cur || prlimit(id->pid, RLIMIT_NOFILE, &wanted, NULL) == 0)
        return;
    now.rlim_cur = now.rlim_max; /* as much as may be given */
    prlimit(id->pid, RLIMIT_NOFILE, &now, NULL);
}

int start_reload(struct unit *u, struct err *err)
{
    autoarena struct arena *arena = arena_new();
    struct placement p;
    struct proc_id id = {u->have.pid, u->have.start_ticks};
    int r = wish_load(u, arena, &p, err);
    if (r < 0)
        return r == -ENOENT ? -ECANCELED : r;
    if (p.remove || p.workload.stopped || strcmp(u->have.core, u->wish.digests.core))
        return -ECANCELED;
    if ((r = material_files(u->engine->dir, &p, err)) < 0)
        return r;
    raise_open_files(&id, p.workload.open_files);
    if (strcmp(u->have.reload, u->wish.digests.reload)) {
        r = proc_kill(&id, p.workload.reload_signal);
        if (r < 0 && r != -ESRCH)
            return err_set_errno(err, r, "cannot signal it to read its files again");
        int64_t now = engine_now(u->engine);
        if (now < u->started_at + SETTLE_MS)
            u->tell_again_at = u->started_at + SETTLE_MS;
        engine_event(u->engine, SUPERVISE_INFO, u->name, "told to read its files again");
    }
    memcpy(u->have.digest, p.digest, sizeof(u->have.digest));
    memcpy(u->have.reload, u->wish.digests.reload, sizeof(u->have.reload));
    memcpy(u->have.rest, u->wish.digests.rest, sizeof(u->have.rest));
    u->dirty = true;
    return 0;
}
