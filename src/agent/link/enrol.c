/* Enrolment: a token and a request go up, a certificate comes down, once. */
#include "agent/link/channel.h"
#include "agent/link/identity.h"
#include "agent/link/schedule.h"
#include "agent/link/session.h"

#include "base/fs.h"
#include "base/mem.h"

#define DEFAULT_TIMEOUT_MS 60000

struct enrolment {
    const struct agent_enrol_config *config;
    const struct clock *clock;
    struct bundle *bundle;
    struct tls_key *key;
    struct tls_ctx *tls;
    struct link_loop *links;
    struct yamux_limits limits;
    char token[BUNDLE_TOKEN_SIZE], name[101];
    struct agent_session session;
    struct schedule schedule;
    uv_loop_t loop;
    uv_timer_t retry;
    struct channel *channel; /* NULL between attempts */
    int64_t deadline_ms;     /* monotonic */
    bool over;               /* the loop is being taken down */
    bool final;              /* result stands, no further attempt */
    int result;
    struct err why;
};

static void attempt(struct enrolment *e);

static void give_up(struct enrolment *e, int code)
{
    e->final = true;
    e->result = code;
}

static void on_ready(struct channel *c, void *user)
{
    struct enrolment *e = user;
    autofree char *csr = tls_csr_new(e->key);
    struct err err = ERR_INIT;
    agent_session_init(&e->session, true);
    autojson json_t *whole = agent_msg_enrol(e->token, csr, e->name);
    json_t *narrow = NULL;
    int r = e->config->narrow ? e->config->narrow(whole, &narrow, e->config->data, &err) : 0;
    if (r < 0 || channel_send(c, narrow ? narrow : json_incref(whole), KIB(64), &err) < 0)
        channel_close(c, &err);
}

static void on_message(struct channel *c, const json_t *message, void *user)
{
    struct enrolment *e = user;
    struct agent_action a;
    struct err err = ERR_INIT;
    int r = agent_session_take(&e->session, message, &a, &err);
    if (r == 0 && a.type == AGENT_NOTHING)
        return;
    if (r == 0 && a.type == AGENT_REFUSED)
        r = err_set(&err, a.retry ? -EAGAIN : -EACCES, "%s", a.message);
    if (r == 0)
        r = identity_enrolled(e->config->dir, e->key, e->bundle, a.agent, a.infrastructure, a.certificate, &err);
    if (r != -EAGAIN)
        give_up(e, r);
    channel_close(c, r < 0 ? &err : NULL);
}

/* Reasons that the next attempt would meet again. */
static bool hopeless(int code)
{
    return code == -EINVAL || code == -EPERM || code == -EMSGSIZE;
}

static void on_retry(uv_timer_t *t)
{
    attempt(t->data);
}

static void again(struct enrolment *e)
{
    if (e->over)
        return;
    int64_t now = clock_mono_ms(e->clock);
    uint32_t random;
    random_bytes(&random, sizeof(random));
    int64_t wait = schedule_redial(&e->schedule, now, false, random);
    if (e->final || now + wait > e->deadline_ms) {
        if (!e->final)
            give_up(e, -ETIMEDOUT);
        uv_stop(&e->loop);
        return;
    }
    uv_timer_start(&e->retry, on_retry, (uint64_t)wait, 0);
}

static void on_closed(struct channel *c, const struct err *reason, bool goodbye, void *user)
{
    struct enrolment *e = user;
    e->channel = NULL;
    if (reason->code)
        e->why = *reason;
    else if (!e->final)
        err_set(&e->why, -ECONNRESET, "the control plane closed the connection without an answer");
    if (!e->final && hopeless(reason->code))
        give_up(e, reason->code);
    again(e);
}

static const struct channel_ops enrol_ops = {.on_ready = on_ready, .on_message = on_message, .on_closed = on_closed};

static void attempt(struct enrolment *e)
{
    int r = channel_dial(e->links, e->bundle, &e->config->proxy, e->tls, &enrol_ops, e, &e->channel, &e->why);
    if (r < 0) {
        if (hopeless(r))
            give_up(e, r);
        again(e);
    }
}

static void on_deadline(uv_timer_t *t)
{
    struct enrolment *e = t->data;
    err_set(&e->why, -ETIMEDOUT, "no answer from the control plane at %s:%u in time", e->bundle->host, e->bundle->port);
    give_up(e, -ETIMEDOUT);
    uv_stop(&e->loop);
}

static void close_handle(uv_handle_t *handle, void *arg)
{
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

static int converse(struct enrolment *e, int timeout_ms)
{
    uv_timer_t deadline;
    uv_loop_init(&e->loop);
    e->limits = yamux_limits_default;
    e->links = link_loop_new(&e->loop, e->clock, &e->limits, NULL);
    e->deadline_ms = clock_mono_ms(e->clock) + timeout_ms;
    uv_timer_init(&e->loop, &e->retry);
    uv_timer_init(&e->loop, &deadline);
    e->retry.data = deadline.data = e;
    uv_timer_start(&deadline, on_deadline, (uint64_t)timeout_ms, 0);
    attempt(e);
    if (!e->final)
        uv_run(&e->loop, UV_RUN_DEFAULT);
    e->over = true;
    if (e->channel)
        channel_close(e->channel, NULL);
    uv_run(&e->loop, UV_RUN_NOWAIT);
    link_loop_free(e->links);
    if (e->channel)
        channel_abandon(e->channel);
    uv_walk(&e->loop, close_handle, NULL);
    uv_run(&e->loop, UV_RUN_DEFAULT);
    uv_loop_close(&e->loop);
    return e->result;
}

/* 1: nothing is left to do. */
static int already_enrolled(const char *dir, const struct bundle *bundle, struct err *err)
{
    struct identity id = {0};
    autobundle struct bundle *before = NULL;
    int r = identity_load(dir, &id, err);
    if (r == -ENOENT)
        return 0;
    identity_free(&id);
    if (r == 0)
        r = identity_bundle(dir, &before, err);
    if (r < 0)
        return r;
    if (strcmp(before->fingerprint, bundle->fingerprint))
        return err_set(err, -EEXIST,
                       "this agent is enrolled with another bundle (fingerprint %s): remove %s to enrol it anew",
                       before->fingerprint, dir);
    return 1;
}

static int load_token(struct enrolment *e, struct err *err)
{
    if (e->config->token_file)
        return bundle_token_load(e->config->token_file, e->token, err);
    if (!e->bundle->token[0])
        return err_set(err, -EINVAL, "%s: has no token, and no token file is given", e->config->bundle_file);
    memcpy(e->token, e->bundle->token, sizeof(e->token));
    return 0;
}

static int run(struct enrolment *e, struct err *err)
{
    int timeout_ms = e->config->timeout_ms ? e->config->timeout_ms : DEFAULT_TIMEOUT_MS;
    int r = load_token(e, err);
    if (r == 0)
        r = identity_key(e->config->dir, &e->key, err);
    if (r < 0)
        return r;
    struct tls_client_config tls = {
        .pins = (const unsigned char(*)[SHA256_SIZE])e->bundle->pins,
        .pin_count = e->bundle->pin_count,
        .alpn = TLS_ALPN_ENROL,
        .clock = e->clock,
    };
    r = tls_client_new(&tls, &e->tls, err);
    if (r < 0)
        return r;
    r = converse(e, timeout_ms);
    return r < 0 ? err_set(err, r, "cannot enrol: %s", e->why.message) : 0;
}

int agent_enrol(const struct agent_enrol_config *config, char ret_fingerprint[65], struct err *err)
{
    struct enrolment e = {.config = config, .clock = config->clock ? config->clock : &clock_system};
    int r = bundle_load(config->bundle_file, &e.bundle, err);
    if (r < 0)
        return r;
    if (config->name)
        snprintf(e.name, sizeof(e.name), "%s", config->name);
    else if (gethostname(e.name, sizeof(e.name) - 1) < 0)
        snprintf(e.name, sizeof(e.name), "agent");
    r = already_enrolled(config->dir, e.bundle, err);
    if (r == 0)
        r = run(&e, err);
    if (r >= 0)
        memcpy(ret_fingerprint, e.bundle->fingerprint, sizeof(e.bundle->fingerprint));
    tls_ctx_free(e.tls);
    tls_key_free(e.key);
    bundle_free(e.bundle);
    mem_wipe(e.token, sizeof(e.token));
    return MIN(r, 0);
}
