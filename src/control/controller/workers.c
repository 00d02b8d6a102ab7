/* Runs infrastructure passes on threads and remembers when each infrastructure is due again. */
#include "control/controller/workers.h"

#include "base/keys.h"
#include "base/log.h"
#include "base/mem.h"
#include "control/controller/account_check.h"

#include <pthread.h>
#include <sys/eventfd.h>

#define WORKERS_MAX 8
#define LOOK_AGAIN_MS 5000
#define LOOK_REMOTE_MS (5 * 60 * 1000)
#define AFTER_CHANGE_MS 200
#define BACKOFF_FIRST_MS 1000
#define BACKOFF_LAST_MS 60000

struct job {
    struct job *next;
    struct workers *owner;
    char *infrastructure;
    pthread_t thread;
    bool running, finished; /* finished: thread ended, to be joined */
    bool again;             /* nudged while it ran */
    bool named;             /* at the last schedule; what is gone is not, and is never due */
    int64_t due_ms;
    int backoff_ms;
};

struct workers {
    struct role *role;
    const struct clock *clock;
    atomic_bool cancel;
    pthread_mutex_t lock; /* guards the jobs' fields */
    struct job *jobs;
    int running;
    bool changed; /* a pass that ended did something, or failed */
    int end_fd;   /* eventfd: a thread ended */
    char holder[33];
};

struct workers *workers_new(struct role *role, const struct clock *clock)
{
    struct workers *w = mem_alloc(sizeof(*w));
    char host[256] = "", hash[65];
    /* The same after a restart, so that a crashed controller finds its own leases; within one machine and folder the
     * lock file already lets one act at a time. */
    gethostname(host, sizeof(host) - 1);
    autofree char *who = mem_printf("%s:%s", host, role->config.state_dir);
    sha256_hex(who, strlen(who), hash);
    snprintf(w->holder, sizeof(w->holder), "%.32s", hash);
    w->role = role;
    w->clock = clock;
    w->end_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    pthread_mutex_init(&w->lock, NULL);
    return w;
}

static struct job *find_job(struct workers *w, const char *id)
{
    for (struct job *j = w->jobs; j; j = j->next)
        if (!strcmp(j->infrastructure, id))
            return j;
    struct job *j = mem_alloc(sizeof(*j));
    j->owner = w;
    j->infrastructure = mem_strdup(id);
    j->next = w->jobs;
    w->jobs = j;
    return j;
}

/* How long until the next look, after a pass. */
static int64_t delay_after(struct job *j, int r, enum pass_result result)
{
    if (r < 0) {
        j->backoff_ms = j->backoff_ms ? MIN(j->backoff_ms * 2, BACKOFF_LAST_MS) : BACKOFF_FIRST_MS;
        return j->backoff_ms;
    }
    j->backoff_ms = 0;
    if (result == PASS_APPLIED || result == PASS_REPAIRED)
        return AFTER_CHANGE_MS;
    if (result == PASS_QUIET_REMOTE)
        return LOOK_REMOTE_MS;
    return result == PASS_GONE ? INT32_MAX : LOOK_AGAIN_MS;
}

static int pass(struct workers *w, const char *infrastructure, enum pass_result *ret, struct err *err)
{
    autofree char *path = control_database(&w->role->config);
    autostore struct store *store = NULL;
    int r = store_open(path, STORE_EXISTING, &store, err);
    if (r < 0)
        return r;
    struct pass_context ctx = {
        .config = &w->role->config, .store = store, .clock = w->clock, .cancel = &w->cancel, .holder = w->holder};
    if (!strncmp(infrastructure, ACCOUNT_CHECK_PREFIX, strlen(ACCOUNT_CHECK_PREFIX)))
        return account_check_run(&ctx, infrastructure + strlen(ACCOUNT_CHECK_PREFIX), err);
    return infrastructure_pass(&ctx, infrastructure, ret, err);
}

static void *thread_main(void *data)
{
    struct job *j = data;
    struct workers *w = j->owner;
    uint64_t one = 1;
    struct err err = ERR_INIT;
    enum pass_result result = PASS_QUIET;
    int r = pass(w, j->infrastructure, &result, &err);
    if (r < 0 && r != -ECANCELED)
        log_warn("infrastructure pass failed", "infrastructure", j->infrastructure, "error", err.message);
    else if (result != PASS_QUIET && result != PASS_QUIET_REMOTE && result != PASS_GONE)
        log_info("infrastructure pass", "infrastructure", j->infrastructure, "result", pass_result_names[result]);
    pthread_mutex_lock(&w->lock);
    j->due_ms = clock_mono_ms(w->clock) + (j->again ? 0 : delay_after(j, r, result));
    j->again = false;
    j->finished = true;
    w->changed |= r < 0 || result != PASS_QUIET;
    pthread_mutex_unlock(&w->lock);
    /* Not the doorbell: that one means that something is wanted, and would start the next pass at once. */
    (void)!write(w->end_fd, &one, sizeof(one));
    return NULL;
}

static void join_finished(struct workers *w)
{
    for (struct job *j = w->jobs; j; j = j->next) {
        if (!j->finished)
            continue;
        pthread_join(j->thread, NULL);
        j->finished = j->running = false;
        w->running--;
    }
}

static void start(struct workers *w, struct job *j)
{
    if (pthread_create(&j->thread, NULL, thread_main, j) != 0) {
        j->due_ms = clock_mono_ms(w->clock) + BACKOFF_FIRST_MS;
        log_error("cannot start a thread", "infrastructure", j->infrastructure);
        return;
    }
    j->running = true;
    w->running++;
}

int workers_fd(const struct workers *w)
{
    return w->end_fd;
}

bool workers_changed(struct workers *w)
{
    pthread_mutex_lock(&w->lock);
    bool changed = w->changed;
    w->changed = false;
    pthread_mutex_unlock(&w->lock);
    return changed;
}

void workers_schedule(struct workers *w, char **ids, bool nudged)
{
    uint64_t ended;
    (void)!read(w->end_fd, &ended, sizeof(ended));
    pthread_mutex_lock(&w->lock);
    join_finished(w);
    for (struct job *j = w->jobs; j; j = j->next)
        j->named = false;
    for (; *ids; ids++) {
        struct job *j = find_job(w, *ids);
        j->named = true;
        /* After a failure a doorbell must not defeat the back-off. */
        if (nudged && j->running)
            j->again = true;
        else if (nudged && !j->backoff_ms)
            j->due_ms = 0;
        if (!j->running && j->due_ms <= clock_mono_ms(w->clock) && w->running < WORKERS_MAX)
            start(w, j);
    }
    pthread_mutex_unlock(&w->lock);
}

int workers_wait_ms(struct workers *w, int max_ms)
{
    int64_t now = clock_mono_ms(w->clock), at = now + max_ms;
    pthread_mutex_lock(&w->lock);
    for (struct job *j = w->jobs; j; j = j->next)
        if (!j->running && j->named)
            at = MIN(at, j->due_ms);
    if (w->running >= WORKERS_MAX)
        at = now + max_ms; /* a thread that ends wakes us */
    pthread_mutex_unlock(&w->lock);
    return (int)MAX(at - now, (int64_t)10);
}

void workers_stop(struct workers *w)
{
    atomic_store(&w->cancel, true);
    for (struct job *j = w->jobs, *next; j; j = next) {
        next = j->next;
        if (j->running)
            pthread_join(j->thread, NULL);
        free(j->infrastructure);
        free(j);
    }
    pthread_mutex_destroy(&w->lock);
    close(w->end_fd);
    free(w);
}
