/* The api role: loads the contract, serves until it is told to stop. */
#include "base/fs.h"
#include "base/log.h"
#include "control/api/events.h"
#include "control/api/http.h"
#include "control/api/view_cache.h"
#include "control/identity/throttle_history.h"

#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>

#define STOP_WAIT_MS 10000
#define VIEWS_MAX MIB(8) /* about 3,000 services */
#define HASH_THREADS_MAX 4
#define HASH_QUEUE 64
#define OUTWARD_THREADS 4
#define OUTWARD_QUEUE 64

extern const char embedded_openapi[];
extern const size_t embedded_openapi_len;

/* Every operation of the contract has a handler, and every handler an operation. */
static int check_handlers(const struct contract *c, struct err *err)
{
    size_t found = 0;
    const struct contract_operation *op;
    for (size_t i = 0; (op = contract_operation_at(c, i)); i++) {
        if (!strcmp(op->id, "openapiGet")) /* http.c gives it out itself */
            continue;
        if (!api_entry_of(op->id))
            return err_set(err, -EINVAL, "openapi.json has the operation %s, which the program does not", op->id);
        found++;
    }
    if (found != api_handlers_count)
        return err_set(err, -EINVAL, "the program has operations that openapi.json does not describe");
    return 0;
}

/* The store is opened once here, so that a broken one is told at the start and not to the first client. */
static int check_store(const struct control_config *config, struct err *err)
{
    autofree char *path = control_database(config);
    autostore struct store *s = NULL;
    return store_open(path, STORE_EXISTING, &s, err);
}

static void serve(const struct role *r, struct events *events, int signals)
{
    struct pollfd fds[] = {{.fd = signals, .events = POLLIN}, {.fd = r->bell[ROLE_API], .events = POLLIN}};
    while (!(fds[0].revents & POLLIN)) {
        if (poll(fds, ARRAY_SIZE(fds), -1) < 0 && errno != EINTR)
            return;
        if (fds[1].revents & POLLIN) {
            role_bell_clear(r);
            events_ring(events);
        }
    }
}

/* Threads that hash: as many as processors, so that 64 MiB each stays bounded. */
static size_t hash_threads(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n < 2 ? 2 : n > HASH_THREADS_MAX ? HASH_THREADS_MAX : (size_t)n;
}

/* Attempts of before a restart count on. */
static int recall_attempts(struct api *api, struct err *err)
{
    autofree char *path = control_database(&api->role->config);
    autostore struct store *s = NULL;
    int r = store_open(path, STORE_EXISTING, &s, err);
    return r < 0 ? r : throttle_history(api->throttle, s, api->clock, err);
}

static void make_parts(struct api *api, pthread_mutex_t *signer_lock)
{
    api->signer_lock = signer_lock;
    api->lanes[API_LANE_HASH] = lane_new(hash_threads(), HASH_QUEUE);
    api->lanes[API_LANE_OUTWARD] = lane_new(OUTWARD_THREADS, OUTWARD_QUEUE);
}

static int run(struct role *r, int signals, struct err *err)
{
    struct api api = {.role = r, .clock = &clock_system, .check_answers = getenv("OWNHOUSE_CHECK_ANSWERS") != NULL};
    api.views = view_cache_new(VIEWS_MAX);
    api.throttle = throttle_new(api.clock);
    pthread_mutex_t signer_lock = PTHREAD_MUTEX_INITIALIZER;
    autofree char *socket_path = control_path(&r->config, "run/api.sock"), *folder = control_path(&r->config, "run"),
                  *database = control_database(&r->config);
    struct http_server *server;
    int status = contract_load(embedded_openapi, embedded_openapi_len, &api.contract, err);
    if (status == 0)
        status = check_handlers(api.contract, err);
    if (status == 0)
        status = check_store(&r->config, err);
    if (status == 0)
        status = recall_attempts(&api, err);
    if (status == 0)
        status = fs_mkdirs(folder, 0700, err);
    if (status == 0)
        status = events_start(database, &api.events, err);
    if (status == 0) {
        make_parts(&api, &signer_lock);
        status = http_start(&api, socket_path, &server, err);
    }
    if (status == 0) {
        log_info("serving", "socket", socket_path);
        serve(r, api.events, signals);
        http_stop(server, STOP_WAIT_MS);
        log_info("stopped");
    }
    events_free(api.events);
    throttle_free(api.throttle);
    contract_free(api.contract);
    view_cache_free(api.views);
    return status;
}

/* Sixteen threads that each keep what their longest answer took would hold it for good: few arenas, and large pieces go
 * back to the system when they are freed. */
static void keep_little_memory(void)
{
    mallopt(M_ARENA_MAX, 2);
    mallopt(M_MMAP_THRESHOLD, (int)KIB(128));
    mallopt(M_TRIM_THRESHOLD, (int)KIB(256));
}

int role_api_main(struct role *r)
{
    struct err err = ERR_INIT;
    sigset_t mask;
    keep_little_memory();
    /* Before any thread is made: all of them inherit it, and only the descriptor tells of the signals. */
    sigemptyset(&mask);
    sigaddset(&mask, SIGTERM);
    sigaddset(&mask, SIGINT);
    pthread_sigmask(SIG_BLOCK, &mask, NULL);
    signal(SIGPIPE, SIG_IGN);
    autoclose int signals = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
    if (signals < 0) {
        log_error("cannot watch signals", "error", strerror(errno));
        return 1;
    }
    if (run(r, signals, &err) < 0) {
        log_error("the api role cannot start", "error", err.message);
        return 1;
    }
    return 0;
}
