/* The controller role: desired documents and service states on its loop, infrastructure passes on worker threads. */
#include "base/log.h"
#include "base/mem.h"
#include "control/controller/account_check.h"
#include "control/controller/document.h"
#include "control/controller/observation.h"
#include "control/controller/sealing.h"
#include "control/controller/workers.h"
#include "control/role.h"

#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/signalfd.h>

#define LOOK_MS 2000
#define TURN_MS 50

struct controller {
    struct role *role;
    struct store *store;
    struct workers *workers;
    struct sealing sealing;
    char unsealed[ERR_MESSAGE_MAX]; /* why not, as it was logged last */
    int stop_fd, lock_fd;
};

/* Infrastructures that are not gone, and looks into accounts that wait; NULL-terminated, heap. */
static int list_infrastructures(struct store *s, char ***ret, struct err *err)
{
    autorows struct store_rows *rows = NULL;
    size_t n = 0, cap = 16;
    char **ids = mem_alloc(cap * sizeof(*ids));
    int r = store_query(
        s,
        "SELECT id FROM (SELECT id, created_at FROM infrastructure WHERE state <> 'infra-terminated' UNION "
        "ALL SELECT '" ACCOUNT_CHECK_PREFIX "' || id, created_at FROM account_check WHERE state = 'waiting') "
        "AS due ORDER BY created_at",
        STORE_NO_ARGS, &rows, err);
    while (r == 0 && (r = store_next(rows, err)) == 1) {
        if (n + 2 > cap)
            ids = mem_realloc(ids, (cap *= 2) * sizeof(*ids));
        ids[n++] = mem_strdup(store_column_text(rows, 0));
        r = 0;
    }
    ids[n] = NULL;
    *ret = ids;
    return r;
}

static void free_list(char **ids)
{
    for (size_t i = 0; ids && ids[i]; i++)
        free(ids[i]);
    free(ids);
}

static void update_one(struct controller *c, const char *id)
{
    struct err err = ERR_INIT;
    int r = observation_apply(c->store, &clock_system, id, &err);
    if (r < 0)
        log_warn("cannot take up observations", "infrastructure", id, "error", err.message);
    r = document_update(c->store, &clock_system, c->role->signer, id, &err);
    if (r < 0)
        log_warn("cannot update the desired document", "infrastructure", id, "error", err.message);
    if (r > 0) {
        log_info("new desired document", "infrastructure", id);
        role_ring(c->role, ROLE_LINK);
        role_ring(c->role, ROLE_API);
    }
}

/* Documents: whether those are looked at too. A pass that found all as it was is no reason to: with a thousand
 * infrastructures there is always one that just ended. */
static void look(struct controller *c, bool nudged, bool documents)
{
    struct err err = ERR_INIT;
    char **ids = NULL;
    int r = list_infrastructures(c->store, &ids, &err);
    if (r < 0)
        log_error("cannot read the store", "error", err.message);
    for (size_t i = 0; r == 0 && documents && ids[i]; i++)
        if (strncmp(ids[i], ACCOUNT_CHECK_PREFIX, strlen(ACCOUNT_CHECK_PREFIX)))
            update_one(c, ids[i]);
    if (r == 0)
        workers_schedule(c->workers, ids, nudged);
    free_list(ids);
}

/* Told once for each cause, not each look. */
static void seal(struct controller *c)
{
    struct err err = ERR_INIT;
    int r = sealing_pass(&c->sealing, c->store, c->role->signer, &err);
    const char *why = r < 0 ? err.message : "";
    if (*why && strcmp(why, c->unsealed))
        log_error("activities could not be sealed", "error", why);
    snprintf(c->unsealed, sizeof(c->unsealed), "%s", why);
}

static void loop(struct controller *c)
{
    bool nudged = true, documents = true;
    int64_t looked = 0;
    for (;;) {
        struct pollfd fds[] = {
            {c->role->bell[ROLE_CONTROLLER], POLLIN, 0}, {c->stop_fd, POLLIN, 0}, {workers_fd(c->workers), POLLIN, 0}};
        if (documents)
            looked = clock_mono_ms(&clock_system);
        look(c, nudged, documents);
        if (documents)
            seal(c);
        int n = poll(fds, ARRAY_SIZE(fds), workers_wait_ms(c->workers, LOOK_MS));
        if (fds[1].revents)
            return;
        nudged = n > 0 && fds[0].revents;
        if (nudged)
            role_bell_clear(c->role);
        documents = workers_changed(c->workers) || nudged || clock_mono_ms(&clock_system) - looked >= LOOK_MS;
    }
}

/* One controller acts at a time: after a kill of the parent the roles of the old one live on for a moment while a new
 * parent starts its own. Waits for the other to end; -ECANCELED if we are told to stop first. */
static int take_turn(struct controller *c, struct err *err)
{
    autofree char *path = control_path(&c->role->config, "run/controller.lock");
    c->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (c->lock_fd < 0)
        return err_set_errno(err, -errno, "cannot open %s", path);
    while (flock(c->lock_fd, LOCK_EX | LOCK_NB) < 0) {
        struct pollfd stop = {c->stop_fd, POLLIN, 0};
        if (errno != EWOULDBLOCK && errno != EINTR)
            return err_set_errno(err, -errno, "cannot lock %s", path);
        if (poll(&stop, 1, TURN_MS) > 0)
            return -ECANCELED;
    }
    return 0;
}

int role_controller_main(struct role *r)
{
    struct controller c = {.role = r, .lock_fd = -1, .sealing.last = -1};
    struct err err = ERR_INIT;
    sigset_t set;
    autofree char *path = control_database(&r->config);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    c.stop_fd = signalfd(-1, &set, SFD_CLOEXEC);
    int turn = take_turn(&c, &err);
    if (turn == -ECANCELED)
        return 0;
    if (turn < 0 || store_open(path, STORE_EXISTING, &c.store, &err) < 0) {
        log_error("cannot start", "error", err.message);
        return 1;
    }
    c.workers = workers_new(r, &clock_system);
    loop(&c);
    workers_stop(c.workers);
    store_close(c.store);
    return 0;
}
