/* The gate's life: start, the clock of grants, endings in their order, stop. */
#include "agent/gate/gate_internal.h"

#include "base/tcp_listen.h"
#include "base/unix_socket.h"

#include <malloc.h>
#include <stdarg.h>
#include <sys/socket.h>

#define BACKLOG 64
#define ENDING_RETRY_MS 1000
#define ENDING_WAIT_MS 3000    /* for statements that were told to stop */
#define DROPPING_WAIT_MS 12000 /* for the grant's users at engines, of which one may not answer */

/* A grant that has ended: nothing of it is served any more; what is left is the record and the word. */
struct gate_ending {
    struct gate_ending *next;
    char id[UUID_SIZE], why[200];
    bool was_open;
    int64_t since_ms, retry_ms;
    int64_t lasted_ms; /* from the opening to the moment when nothing was served any more, both monotonic */
    uint64_t sessions;
    size_t users; /* at engines */
    bool dropping;
};

void gate_event(struct gate *g, bool error, const char *fmt, ...)
{
    char text[ERR_MESSAGE_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (g->config.on_event)
        g->config.on_event(error, text, g->config.user);
}

int gate_record(struct gate *g, const char *kind, json_t *body, uint64_t *ret_index, struct err *err)
{
    autojson json_t *owned = body;
    int r = owned ? g->config.record(kind, owned, ret_index, g->config.user, err)
                  : err_set(err, -EINVAL, "what is to be recorded is not UTF-8");
    return r < 0 ? err_wrap(err, r, "it could not be recorded, so it does not happen") : 0;
}

/* ---- endings: stop forwarding, close TLS, stop statements, drop users, record, say so ---- */

static void finish_ending(struct gate *g, struct gate_ending *e)
{
    for (struct gate_ending **at = &g->endings; *at; at = &(*at)->next)
        if (*at == e) {
            *at = e->next;
            break;
        }
    gate_event(g, false, "grant %s has ended: %s", e->id, e->why);
    gate_control_ended(g, e->id);
    free(e);
}

static void go_on(struct gate *g, struct gate_ending *e)
{
    struct err err = ERR_INIT;
    int64_t now = clock_mono_ms(g->config.clock);
    bool busy = false;
    if (now < e->retry_ms || (gate_job_count(g, e->id) && now < e->since_ms + ENDING_WAIT_MS))
        return;
    if (!e->dropping) {
        e->dropping = true;
        gate_users_drop(g, e->id);
    }
    size_t left = gate_users_left(g, e->id, &busy);
    if (busy && now < e->since_ms + DROPPING_WAIT_MS)
        return;
    json_t *body =
        json_pack("{ss ss ss sb sI sI sI sI sI}", "event", "grant-ended", "grant", e->id, "why", e->why, "wasOpen",
                  (int)e->was_open, "lastedMs", (json_int_t)e->lasted_ms, "sessionsCut", (json_int_t)e->sessions,
                  "statementsStillRunning", (json_int_t)gate_job_count(g, e->id), "usersDropped",
                  (json_int_t)(e->users - MIN(left, e->users)), "usersLeft", (json_int_t)left);
    if (gate_record(g, "access.end", body, NULL, &err) < 0) {
        gate_event(g, true, "the end of grant %s: %s", e->id, err.message);
        e->retry_ms = now + ENDING_RETRY_MS;
        return;
    }
    gate_users_are_late(g, e->id);
    finish_ending(g, e);
}

void gate_endings_go_on(struct gate *g)
{
    for (struct gate_ending *e = g->endings, *next; e; e = next) {
        next = e->next;
        go_on(g, e);
    }
}

static bool ending(const struct gate *g, const char *id)
{
    for (const struct gate_ending *e = g->endings; e; e = e->next)
        if (!strcmp(e->id, id))
            return true;
    return false;
}

void gate_end_grant(struct gate *g, const char *id, const char *why)
{
    struct err err = ERR_INIT;
    struct grant *grant = grants_find(g->grants, id);
    if (ending(g, id))
        return;
    if (!grant && grants_ended(g->grants, id)) {
        gate_control_ended(g, id); /* it was told before; whoever asks again has not heard */
        return;
    }
    struct gate_ending *e = mem_alloc(sizeof(*e));
    snprintf(e->id, sizeof(e->id), "%s", id);
    snprintf(e->why, sizeof(e->why), "%s", why);
    e->since_ms = clock_mono_ms(g->config.clock);
    e->was_open = grant != NULL;
    e->next = g->endings;
    g->endings = e;
    for (struct gate_conn *c = g->conns, *next; c; c = next) {
        next = c->next;
        if (!strcmp(c->grant, id)) {
            e->sessions++;
            gate_conn_close(c);
        }
    }
    if (grant)
        e->lasted_ms = clock_mono_ms(g->config.clock) - grant->opened_ms;
    e->users = gate_users_end(g, id);
    gate_kill_jobs(g, id);
    if (grants_end(g->grants, id, &err) < 0)
        gate_event(g, true, "the end of grant %s could not be kept for a restart: %s", id, err.message);
    if (grant)
        grants_drop(g->grants, grant);
    go_on(g, e);
}

void gate_end_all(struct gate *g, const char *why)
{
    while (grants_first(g->grants)) {
        char id[UUID_SIZE];
        memcpy(id, grants_first(g->grants)->id, UUID_SIZE);
        gate_end_grant(g, id, why);
    }
}

/* ---- the clock ---- */

/* The policy may have changed, a key may have been taken out of it: the lease is renewed from the customer's own file
 * or not at all. */
static void judge_again(struct gate *g)
{
    for (struct grant *grant = grants_first(g->grants), *next; grant; grant = next) {
        struct err err = ERR_INIT;
        char id[UUID_SIZE];
        next = grant->next;
        memcpy(id, grant->id, UUID_SIZE);
        if (grants_again(g->grants, grant, &err) < 0)
            gate_end_grant(g, id, err.message);
    }
}

static void expire(struct gate *g, int64_t now)
{
    for (struct grant *grant = grants_first(g->grants), *next; grant; grant = next) {
        char id[UUID_SIZE];
        next = grant->next;
        memcpy(id, grant->id, UUID_SIZE);
        if (now >= grant->ends_ms)
            gate_end_grant(g, id, "its time is over");
    }
    for (struct gate_conn *c = g->conns, *next; c; c = next) {
        const struct grant *grant = *c->grant ? grants_find(g->grants, c->grant) : NULL;
        next = c->next;
        if ((!*c->grant && now >= c->deadline_ms) || (grant && now >= grant->certified_ms))
            gate_conn_close(c); /* no certificate was had in time */
    }
}

static void renew_server(struct gate *g)
{
    autotlsctx struct tls_ctx *tls = NULL;
    struct err err = ERR_INIT;
    if (authority_server(g->authority, &tls, &err) < 0)
        gate_event(g, true, "the gate's certificate cannot be renewed: %s", err.message);
    if (!tls)
        return;
    link_listener_set_tls(g->listener, tls);
    if (g->direct)
        link_listener_set_tls(g->direct, tls);
}

/* Answers are of up to 4 MiB, and malloc keeps what was freed. */
static void give_back(struct gate *g)
{
    if (!g->big_answer || g->n_jobs)
        return;
    g->big_answer = false;
    malloc_trim(0);
}

static void on_tick(uv_timer_t *t)
{
    struct gate *g = t->data;
    int64_t now = clock_mono_ms(g->config.clock);
    expire(g, now);
    give_back(g);
    gate_endings_go_on(g);
    gate_users_go_on(g, now);
    if (now < g->again_ms)
        return;
    g->again_ms = now + GATE_AGAIN_MS;
    judge_again(g);
    renew_server(g);
}

/* ---- start and stop ---- */

static int open_listener(struct gate *g, struct err *err)
{
    autotlsctx struct tls_ctx *tls = NULL;
    int r = authority_server(g->authority, &tls, err);
    int fd = r < 0 ? r : unix_listen(g->config.sessions_socket, SOCK_STREAM, BACKLOG, err);
    if (fd < 0)
        return fd;
    r = link_listener_new(g->links, fd, false, GATE_CONNECTIONS_MAX / 2, GATE_CONNECTIONS_MAX, tls, &gate_conn_ops,
                          gate_conn_accept, g, &g->listener, err);
    if (r < 0 || !g->config.listen || !*g->config.listen)
        return r;
    if ((fd = tcp_listen("gate_listen", g->config.listen, BACKLOG, err)) < 0)
        return fd;
    /* Counts are of the loop, so whoever floods this address leaves the relay's sessions their half. */
    return link_listener_new(g->links, fd, false, GATE_CONNECTIONS_MAX / 4, GATE_CONNECTIONS_MAX / 2, tls,
                             &gate_conn_ops, gate_conn_accept, g, &g->direct, err);
}

static void free_gate(struct gate *g)
{
    while (g->endings) {
        struct gate_ending *e = g->endings;
        g->endings = e->next;
        free(e);
    }
    gate_users_free(g);
    grants_free(g->grants);
    authority_free(g->authority);
    free(g->workloads);
    json_decref(g->coming);
    if (g->reader)
        mem_wipe(g->reader, strlen(g->reader));
    free(g->reader);
    free(g);
}

int gate_new(const struct gate_config *config, struct gate **ret, struct err *err)
{
    struct gate *g = mem_alloc(sizeof(*g));
    g->config = *config;
    g->loop = config->loop;
    g->control_fd = -1;
    g->limits = yamux_limits_default;
    g->limits.max_streams = GATE_STREAMS_MAX;
    g->limits.window_max = MIB(1);
    g->budget.total = MIB(8);
    int r = authority_open(config->dir, config->clock, &g->authority, err);
    if (r == 0) {
        struct grants_config grants = {
            .dir = config->dir,
            .infrastructure = config->infrastructure,
            .pin = authority_pin(g->authority),
            .boot_id = config->boot_id,
            .clock = config->clock,
            .policy = config->policy,
            .user = config->user,
        };
        r = grants_new(&grants, &g->grants, err);
    }
    if (r < 0) {
        free_gate(g);
        return r;
    }
    g->links = link_loop_new(g->loop, config->clock, &g->limits, &g->budget);
    r = open_listener(g, err);
    if (r == 0)
        r = gate_control_open(g, err);
    if (r < 0)
        return r; /* the process ends with what it has */
    uv_timer_init(g->loop, &g->tick);
    g->tick.data = g;
    uv_timer_start(&g->tick, on_tick, GATE_TICK_MS, GATE_TICK_MS);
    *ret = g;
    return 0;
}

static void on_tick_closed(uv_handle_t *h)
{
    struct gate *g = h->data;
    void (*done)(void *) = g->done;
    void *data = g->done_data;
    link_loop_free(g->links);
    if (!g->n_jobs && !g->conns && !g->n_drops)
        free_gate(g);
    if (done)
        done(data);
}

static void on_stop_tick(uv_timer_t *t)
{
    struct gate *g = t->data;
    if ((g->conns || g->n_jobs || g->n_drops) && clock_mono_ms(g->config.clock) < g->again_ms)
        return;
    uv_close((uv_handle_t *)t, on_tick_closed);
}

void gate_stop(struct gate *g, void (*done)(void *data), void *data)
{
    g->done = done;
    g->done_data = data;
    g->stopping = true;
    link_listener_free(TAKE_PTR(g->listener));
    link_listener_free(TAKE_PTR(g->direct));
    for (struct gate_conn *c = g->conns, *next; c; c = next) {
        next = c->next;
        gate_conn_close(c);
    }
    for (struct grant *grant = grants_first(g->grants); grant; grant = grant->next) {
        gate_kill_jobs(g, grant->id);
        gate_users_drop(g, grant->id); /* the next gate makes others */
    }
    gate_control_close(g);
    g->again_ms = clock_mono_ms(g->config.clock) + ENDING_WAIT_MS;
    uv_timer_start(&g->tick, on_stop_tick, 1, GATE_TICK_MS);
}
