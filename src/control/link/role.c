/* The link role: agents' connections behind HAProxy, from start to an orderly end. */
#include "control/link/hub.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/unix_socket.h"
#include "control/signer.h"

#include <malloc.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>

#define START_TRIES 6 /* the signer's answer takes at most 5 s each */
#define SPARE_FDS 64  /* descriptors that are not agents' */
#define BACKLOG 4096
#define STOP_LOOK_MS 20
#define STOP_MS 2000 /* that connections get to take their good-bye */

/* ---- start ---- */

static size_t raise_descriptors(void)
{
    struct rlimit lim = {0};
    if (getrlimit(RLIMIT_NOFILE, &lim) < 0)
        return 1024;
    lim.rlim_cur = lim.rlim_max;
    (void)!setrlimit(RLIMIT_NOFILE, &lim);
    return lim.rlim_cur == RLIM_INFINITY ? 1 << 20 : (size_t)lim.rlim_cur;
}

static int first_certificate(struct hub *h, struct tls_ctx **ret, struct err *err)
{
    autofree char *csr = tls_csr_new(h->server_key), *chain = NULL;
    int r = -ETIMEDOUT;
    for (int i = 0; i < START_TRIES && r == -ETIMEDOUT; i++)
        r = signer_server_certificate(h->role->signer, csr, &chain, err);
    return r < 0 ? err_wrap(err, r, "cannot get the link's certificate") : server_use(h, chain, ret, err);
}

static int reset_presence(struct hub *h, struct err *err)
{
    int r = store_begin(h->store, err);
    if (r == 0)
        r = directory_reset(h->store, err);
    if (r == 0)
        r = store_commit(h->store, err);
    if (r < 0)
        store_rollback(h->store);
    return r;
}

static int open_doors(struct hub *h, struct err *err)
{
    autotlsctx struct tls_ctx *tls = NULL;
    autofree char *db = control_database(&h->role->config), *path = control_path(&h->role->config, "run/link.sock");
    size_t fds = raise_descriptors();
    h->server_key = tls_key_new();
    int r = store_open(db, STORE_EXISTING, &h->store, err);
    if (r == 0)
        r = store_open(db, STORE_EXISTING, &h->reader, err);
    if (r == 0)
        r = reset_presence(h, err);
    if (r == 0)
        r = first_certificate(h, &tls, err);
    if (r < 0)
        return r;
    int fd = unix_listen(path, SOCK_STREAM, BACKLOG, err);
    if (fd < 0)
        return fd;
    return link_listener_new(h->links, fd, true, HUB_HANDSHAKES_MAX, fds > 2 * SPARE_FDS ? fds - SPARE_FDS : fds / 2,
                             tls, &peer_ops, peer_accept, h, &h->listener, err);
}

/* ---- life ---- */

static void on_tick(uv_timer_t *t)
{
    struct hub *h = t->data;
    peer_check_certificates(h);
    job_scan(h);
    job_activities(h);
    if (h->relays_ended) { /* malloc keeps what lies below a block in use */
        h->relays_ended = false;
        malloc_trim(0);
    }
    if (clock_wall_ms(h->clock) >= h->server_renew_ms)
        job_server_certificate(h);
}

static void on_scan_timer(uv_timer_t *t)
{
    job_scan(t->data);
}

static void on_bell(uv_poll_t *poll, int status, int events)
{
    struct hub *h = poll->data;
    role_bell_clear(h->role);
    if (!uv_is_active((uv_handle_t *)&h->scan_timer))
        uv_timer_start(&h->scan_timer, on_scan_timer, HUB_BELL_MS, 0);
}

static void on_stop_timer(uv_timer_t *t)
{
    struct hub *h = t->data;
    if (link_loop_connections(h->links) == 0 || clock_mono_ms(h->clock) >= h->stop_at_ms)
        uv_stop(h->loop);
}

/* Agents are told to go, so that they come back after a random wait and not all at once. */
static void on_signal(uv_signal_t *s, int signum)
{
    struct hub *h = s->data;
    if (h->stopping)
        return;
    h->stopping = true;
    log_info("stopping");
    link_listener_free(TAKE_PTR(h->listener));
    uv_timer_stop(&h->scan_timer);
    peer_close_all(h);
    h->stop_at_ms = clock_mono_ms(h->clock) + STOP_MS;
    uv_timer_start(&h->tick, on_stop_timer, 1, STOP_LOOK_MS);
}

static void start_handles(struct hub *h)
{
    uv_timer_init(h->loop, &h->tick);
    uv_timer_init(h->loop, &h->young_timer);
    uv_timer_init(h->loop, &h->scan_timer);
    uv_timer_init(h->loop, &h->presence_timer);
    uv_signal_init(h->loop, &h->sigterm);
    uv_signal_init(h->loop, &h->sigint);
    uv_poll_init(h->loop, &h->bell, h->role->bell[h->role->id]);
    h->tick.data = h->scan_timer.data = h->sigterm.data = h->sigint.data = h->bell.data = h;
    uv_timer_start(&h->tick, on_tick, HUB_SCAN_MS, HUB_SCAN_MS);
    uv_signal_start(&h->sigterm, on_signal, SIGTERM);
    uv_signal_start(&h->sigint, on_signal, SIGINT);
    uv_poll_start(&h->bell, UV_READABLE, on_bell);
}

static void close_handle(uv_handle_t *handle, void *arg)
{
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

static void finish(struct hub *h)
{
    link_listener_free(TAKE_PTR(h->listener));
    h->stopping = true;
    peer_close_all(h);
    uv_run(h->loop, UV_RUN_NOWAIT); /* connections end with their callbacks */
    link_loop_free(h->links);
    job_presence(h);
    worker_stop(h->reader_worker);
    worker_stop(h->signer_worker);
    worker_stop(h->store_worker);
    uv_run(h->loop, UV_RUN_NOWAIT);
    uv_walk(h->loop, close_handle, NULL);
    uv_run(h->loop, UV_RUN_DEFAULT);
    registry_free(&h->agents);
    store_close(h->store);
    store_close(h->reader);
    tls_key_free(h->server_key);
}

int role_link_main(struct role *r)
{
    uv_loop_t loop;
    struct hub h = {.loop = &loop, .role = r, .clock = &clock_system, .limits = yamux_limits_default};
    struct err err = ERR_INIT;
    signal(SIGPIPE, SIG_IGN);
    uv_loop_init(&loop);
    h.limits.max_streams = HUB_STREAMS_MAX;
    h.budget.total = HUB_WINDOWS_MAX;
    h.links = link_loop_new(&loop, h.clock, &h.limits, &h.budget);
    int code = open_doors(&h, &err);
    if (code == 0)
        code = worker_start(&loop, job_store_batch, h.store, &h.store_worker, &err);
    if (code == 0)
        code = worker_start(&loop, worker_each, h.reader, &h.reader_worker, &err);
    if (code == 0)
        code = worker_start(&loop, worker_each, &h, &h.signer_worker, &err);
    if (code < 0) {
        log_error("the link cannot start", "error", err.message);
        return 1;
    }
    start_handles(&h);
    log_info("link role is ready");
    uv_run(&loop, UV_RUN_DEFAULT);
    finish(&h);
    uv_loop_close(&loop);
    log_info("link role ends");
    return 0;
}
