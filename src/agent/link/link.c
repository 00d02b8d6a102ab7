/* The agent's link: dialling, hello, documents down, reports up, renewal, and coming back. */
#include "agent/link/link.h"

#include "agent/link/channel.h"
#include "agent/link/identity.h"
#include "agent/link/schedule.h"
#include "agent/link/session.h"
#include "agent/link/tunnel.h"

#include "base/mem.h"

#define TICK_MS 5000           /* how often renewal is thought of: timers do not run while a machine sleeps */
#define REPORT_GAP_MS 300      /* least time between two reports */
#define HELLO_TIMEOUT_MS 30000 /* from the handshake to `welcome` */
#define SKEW_NOTICE_MS 60000   /* a clock this far off is worth a notice */

/* Certificates are judged by a clock that is never before the moment at which our own was issued: that much is proven,
 * however wrong the machine's clock is. */
struct floor_clock {
    struct clock clock;
    const struct clock *base;
    int64_t floor_ms;
};

struct agent_link {
    struct agent_link_config config;
    char *dir, *proxy_address, *proxy_credentials, *forwarder, *version, *boot_id, *gate_socket;
    struct tunnels tunnels;
    const struct clock *clock;
    struct floor_clock tls_clock;
    struct bundle *bundle;
    struct identity identity;
    struct link_loop *links;
    struct yamux_limits limits;
    struct yamux_budget budget;
    struct schedule schedule;
    struct agent_session session;
    struct channel *channel; /* NULL while waiting to dial */
    uv_timer_t redial, tick, report;
    int64_t hello_at_ms, reported_at_ms; /* monotonic */
    bool dirty, stopping, redial_at_once;
    int open_handles;
    void (*done)(void *data);
    void *done_data;
    struct agent_link_status status;
};

/* ---- small things ---- */

static int64_t floor_wall(const struct clock *c)
{
    const struct floor_clock *f = (const void *)c; /* clock is its first member */
    return MAX(clock_wall_ms(f->base), f->floor_ms);
}

static int64_t floor_mono(const struct clock *c)
{
    const struct floor_clock *f = (const void *)c;
    return clock_mono_ms(f->base);
}

static uint32_t any_number(void)
{
    uint32_t n;
    random_bytes(&n, sizeof(n));
    return n;
}

static void event(struct agent_link *l, bool error, const char *message)
{
    if (l->config.on_event)
        l->config.on_event(error, message, l->config.data);
}

/* One sentence for `status` and, when it is news, for the log. */
static void trouble(struct agent_link *l, const char *message)
{
    bool news = strcmp(l->status.error, message) != 0;
    snprintf(l->status.error, sizeof(l->status.error), "%s", message);
    if (news && *message)
        event(l, true, message);
}

static void use_certificate(struct agent_link *l)
{
    l->tls_clock.floor_ms = l->identity.not_before_ms;
    l->status.certificate_ends_ms = l->identity.not_after_ms;
    schedule_certificate(&l->schedule, l->identity.not_before_ms, l->identity.not_after_ms, any_number());
}

/* Everything that leaves goes through here: narrowed to what may leave, and recorded. Takes over the reference. */
static int let_out(struct agent_link *l, json_t *message, json_t **ret, struct err *err)
{
    autojson json_t *whole = message;
    autojson json_t *narrow = NULL;
    int r = l->config.narrow ? l->config.narrow(whole, &narrow, l->config.data, err) : 0;
    if (r < 0)
        return r;
    if (!narrow)
        narrow = json_incref(whole);
    const char *type = json_string_value(json_object_get(narrow, "type"));
    autofree char *text = js_text(narrow);
    r = l->config.record
            ? l->config.record(type ? type : "", text, strlen(text), l->status.control, l->config.data, err)
            : 0;
    if (r < 0)
        return err_wrap(err, r, "nothing is sent that cannot be recorded");
    *ret = TAKE_PTR(narrow);
    return 0;
}

static int say(struct agent_link *l, struct channel *c, json_t *message, size_t max, struct err *err)
{
    json_t *narrow = NULL;
    int r = let_out(l, message, &narrow, err);
    return r < 0 ? r : channel_send(c, narrow, max, err);
}

int agent_link_say(struct agent_link *l, json_t *message, struct err *err)
{
    if (l->channel && l->session.state == AGENT_OPEN && !channel_busy(l->channel))
        return say(l, l->channel, message, AGENT_OBSERVED_MAX, err);
    json_decref(message);
    return err_set(err, -ENOTCONN, "the link is not open");
}

/* ---- reports ---- */

static void send_report(struct agent_link *l)
{
    struct err err = ERR_INIT;
    int64_t now = clock_mono_ms(l->clock);
    if (!l->dirty || !l->channel || l->session.state != AGENT_OPEN || channel_busy(l->channel))
        return;
    if (l->reported_at_ms && now < l->reported_at_ms + REPORT_GAP_MS)
        return;
    l->dirty = false;
    json_t *report = l->config.observe(l->config.data);
    if (!report)
        return;
    l->reported_at_ms = now;
    if (say(l, l->channel, report, AGENT_OBSERVED_MAX, &err) < 0)
        trouble(l, err.message);
    else
        l->status.sent++;
}

static void on_report_timer(uv_timer_t *t)
{
    agent_link_notify(t->data);
}

void agent_link_notify(struct agent_link *l)
{
    l->dirty = true;
    send_report(l);
    if (l->dirty && l->channel && l->session.state == AGENT_OPEN && !uv_is_active((uv_handle_t *)&l->report))
        uv_timer_start(&l->report, on_report_timer, REPORT_GAP_MS, 0);
}

static void on_drained(struct channel *c, void *user)
{
    send_report(user);
}

/* ---- renewal ---- */

static void renew(struct agent_link *l)
{
    struct err err = ERR_INIT;
    if (agent_session_renew(&l->session) < 0)
        return;
    autofree char *csr = tls_csr_new(l->identity.key);
    schedule_renew_sent(&l->schedule, clock_mono_ms(l->clock));
    if (say(l, l->channel, agent_msg_renew(csr), KIB(64), &err) < 0)
        trouble(l, err.message);
}

static void renew_if_due(struct agent_link *l)
{
    if (l->channel && l->session.state == AGENT_OPEN &&
        schedule_renew_due(&l->schedule, clock_wall_ms(l->clock), clock_mono_ms(l->clock)))
        renew(l);
}

static void take_renewed(struct agent_link *l, const char *certificate)
{
    struct err err = ERR_INIT;
    if (identity_renewed(l->dir, &l->identity, certificate, &err) < 0) {
        char text[ERR_MESSAGE_MAX];
        snprintf(text, sizeof(text), "the certificate could not be renewed: %.400s", err.message);
        trouble(l, text);
        return;
    }
    use_certificate(l);
    l->schedule.renew_wait_ms = 0;
    event(l, false, "certificate renewed");
    if (l->config.on_certificate)
        l->config.on_certificate(l->identity.cert, l->config.data);
    if (l->session.state == AGENT_RENEW_ONLY) {
        l->redial_at_once = true;
        channel_close(l->channel, NULL);
    }
}

/* ---- messages ---- */

/* The control plane's clock judges our certificates, and a wrong clock here makes logs and expiry wrong too. */
static void compare_clocks(struct agent_link *l, int64_t theirs)
{
    int64_t skew = theirs - clock_wall_ms(l->clock), off = skew < 0 ? -skew : skew;
    l->schedule.skew_ms = l->status.skew_ms = skew;
    l->status.notice[0] = '\0';
    if (off < SKEW_NOTICE_MS)
        return;
    snprintf(l->status.notice, sizeof(l->status.notice),
             "this machine's clock is %lld s %s the control plane's: set it right (NTP); the link works meanwhile",
             (long long)(off / 1000), skew > 0 ? "behind" : "ahead of");
    event(l, true, l->status.notice);
}

static int take_welcome(struct agent_link *l, const struct agent_action *a, struct err *err)
{
    if (strcmp(a->agent, l->identity.agent) || strcmp(a->infrastructure, l->identity.infrastructure))
        return err_set(err, -EPROTO, "the control plane takes this agent for %s of infrastructure %s", a->agent,
                       a->infrastructure);
    compare_clocks(l, a->time_ms);
    channel_set_max(l->channel, agent_session_max(&l->session));
    if (a->renew_only) {
        event(l, false, "the certificate had expired: renewing it");
        renew(l);
        return 0;
    }
    backoff_connected(&l->schedule.backoff, clock_mono_ms(l->clock));
    l->status.connected = true;
    l->status.since_ms = clock_wall_ms(l->clock);
    trouble(l, "");
    event(l, false, "link connected");
    renew_if_due(l);
    agent_link_notify(l);
    if (l->config.on_open)
        l->config.on_open(l->config.data);
    return 0;
}

static void take_desired(struct agent_link *l, const struct agent_action *a)
{
    struct err err = ERR_INIT;
    l->status.received++;
    if (l->config.on_desired(a->version, a->document, a->document_len, a->signature, l->config.data, &err) == 0)
        return;
    trouble(l, err.message);
    err.code = 0;
    if (say(l, l->channel, agent_msg_refused(a->version, l->status.error), KIB(64), &err) < 0)
        trouble(l, err.message);
}

static int tls_context(const struct agent_link *l, struct tls_ctx **ret, struct err *err);

/* An engineer waits at the relay: a connection of its own goes there, so that bulk keeps nothing else waiting. */
static void take_session(struct agent_link *l, const char *session)
{
    autotlsctx struct tls_ctx *tls = NULL;
    struct agent_proxy proxy = {l->proxy_address, l->proxy_credentials, l->forwarder};
    autojson json_t *attach = NULL;
    struct err err = ERR_INIT;
    int r = l->gate_socket ? tls_context(l, &tls, &err) : err_set(&err, -ENOTSUP, "there is no gate");
    if (r == 0)
        r = tunnels_room(&l->tunnels, &err); /* before a leaf is written for it */
    if (r == 0)
        r = let_out(l, agent_msg_attach(session), &attach, &err);
    if (r == 0)
        r = tunnel_open(&l->tunnels, l->links, l->bundle, &proxy, tls, attach, l->gate_socket, &err);
    if (r < 0) {
        char text[ERR_MESSAGE_MAX];
        snprintf(text, sizeof(text), "an engineer's session could not be taken up: %.400s", err.message);
        event(l, true, text);
    }
}

void agent_link_cut(struct agent_link *l, const char *grant)
{
    struct err err = ERR_INIT;
    if (l->channel && l->session.state == AGENT_OPEN && say(l, l->channel, agent_msg_cut(grant), KIB(64), &err) < 0)
        trouble(l, err.message);
}

static void on_ready(struct channel *c, void *user)
{
    struct agent_link *l = user;
    struct err err = ERR_INIT;
    agent_session_init(&l->session, false);
    l->hello_at_ms = clock_mono_ms(l->clock);
    json_t *hello = agent_msg_hello(l->version, l->config.desired_version(l->config.data), l->boot_id);
    if (say(l, c, hello, KIB(64), &err) < 0)
        channel_close(c, &err);
}

static void on_message(struct channel *c, const json_t *message, void *user)
{
    struct agent_link *l = user;
    struct agent_action a;
    struct err err = ERR_INIT;
    int r = agent_session_take(&l->session, message, &a, &err);
    if (r == 0)
        switch (a.type) {
        case AGENT_WELCOME:
            r = take_welcome(l, &a, &err);
            break;
        case AGENT_DESIRED:
            take_desired(l, &a);
            break;
        case AGENT_RENEWED:
            take_renewed(l, a.certificate);
            break;
        case AGENT_REFUSED:
            r = err_set(&err, -ECONNREFUSED, "the control plane closed the link: %s", a.message);
            break;
        case AGENT_SESSION:
            take_session(l, a.session);
            break;
        case AGENT_REVOKE:
            if (l->config.on_revoke)
                l->config.on_revoke(a.grant, l->config.data);
            break;
        case AGENT_OTHER:
            if (l->config.on_message)
                l->config.on_message(a.other, message, l->config.data);
            break;
        case AGENT_ENROLLED:
        case AGENT_NOTHING:
            break;
        }
    if (r < 0)
        channel_close(c, &err);
}

/* ---- dialling ---- */

static void dial(struct agent_link *l);
static void close_handles(struct agent_link *l);

static void on_redial(uv_timer_t *t)
{
    dial(t->data);
}

static void dial_later(struct agent_link *l, bool goodbye)
{
    int64_t wait = schedule_redial(&l->schedule, clock_mono_ms(l->clock), goodbye, any_number());
    if (l->redial_at_once)
        wait = 0;
    l->redial_at_once = false;
    uv_timer_start(&l->redial, on_redial, (uint64_t)wait, 0);
}

/* A failure that a wrong clock explains says so. */
static void explain(struct agent_link *l, const struct err *reason)
{
    char text[ERR_MESSAGE_MAX], now[CLOCK_ISO_SIZE];
    clock_iso(clock_wall_ms(l->clock), now);
    if (strstr(reason->message, "not yet valid") || strstr(reason->message, "expired"))
        snprintf(text, sizeof(text), "%.330s (this machine's clock says %.20s: check that it is right)",
                 reason->message, now);
    else
        snprintf(text, sizeof(text), "%s", reason->message);
    trouble(l, text);
}

static void on_closed(struct channel *c, const struct err *reason, bool goodbye, void *user)
{
    struct agent_link *l = user;
    l->channel = NULL;
    if (l->status.connected)
        l->status.since_ms = clock_wall_ms(l->clock);
    l->status.connected = false;
    if (l->stopping) {
        close_handles(l);
        return;
    }
    uv_timer_stop(&l->report);
    if (goodbye && (!reason->code || reason->code == -ECONNRESET))
        trouble(l, "the control plane said good-bye; dialling again");
    else if (reason->code)
        explain(l, reason);
    else if (!l->redial_at_once)
        trouble(l, "the control plane closed the link");
    dial_later(l, goodbye);
}

static const struct channel_ops link_channel_ops = {
    .on_ready = on_ready,
    .on_message = on_message,
    .on_drained = on_drained,
    .on_closed = on_closed,
};

static int tls_context(const struct agent_link *l, struct tls_ctx **ret, struct err *err)
{
    struct tls_client_config config = {
        .pins = (const unsigned char(*)[SHA256_SIZE])l->bundle->pins,
        .pin_count = l->bundle->pin_count,
        .key = l->identity.key,
        .cert = l->identity.cert,
        .alpn = TLS_ALPN_LINK,
        .clock = &l->tls_clock.clock,
    };
    return tls_client_new(&config, ret, err);
}

static int try_dial(struct agent_link *l, struct err *err)
{
    autotlsctx struct tls_ctx *tls = NULL;
    struct agent_proxy proxy = {l->proxy_address, l->proxy_credentials, l->forwarder};
    int r = tls_context(l, &tls, err);
    return r < 0 ? r : channel_dial(l->links, l->bundle, &proxy, tls, &link_channel_ops, l, &l->channel, err);
}

static void dial(struct agent_link *l)
{
    struct err err = ERR_INIT;
    if (l->channel || l->stopping)
        return;
    /* Until `welcome`, nothing may be sent but hello. */
    agent_session_init(&l->session, false);
    l->hello_at_ms = 0;
    if (try_dial(l, &err) < 0) {
        explain(l, &err);
        dial_later(l, false);
    }
}

void agent_link_nudge(struct agent_link *l)
{
    if (!l->channel && !l->stopping)
        uv_timer_start(&l->redial, on_redial, 0, 0);
}

static void on_tick(uv_timer_t *t)
{
    struct agent_link *l = t->data;
    struct err err = ERR_INIT;
    renew_if_due(l);
    if (l->channel && l->hello_at_ms && l->session.state == AGENT_AWAIT_WELCOME &&
        clock_mono_ms(l->clock) > l->hello_at_ms + HELLO_TIMEOUT_MS) {
        err_set(&err, -ETIMEDOUT, "the control plane did not answer hello in time");
        channel_close(l->channel, &err);
    }
}

/* ---- start and stop ---- */

static void set_texts(struct agent_link *l, const struct agent_link_config *config)
{
    char random[UUID_SIZE];
    uuid_new(random);
    l->dir = mem_strdup(config->dir);
    l->proxy_address = mem_strdup(config->proxy.address);
    l->proxy_credentials = mem_strdup(config->proxy.credentials_file);
    l->forwarder = mem_strdup(config->proxy.forwarder);
    l->version = mem_strdup(config->version);
    l->boot_id = mem_strdup(config->boot_id ? config->boot_id : random);
    l->gate_socket = mem_strdup(config->gate_socket);
    l->tunnels.loop = config->loop;
}

static void destroy(struct agent_link *l)
{
    identity_free(&l->identity);
    bundle_free(l->bundle);
    free(l->dir);
    free(l->proxy_address);
    free(l->proxy_credentials);
    free(l->forwarder);
    free(l->version);
    free(l->boot_id);
    free(l->gate_socket);
    free(l);
}

static void start(struct agent_link *l)
{
    uv_loop_t *loop = l->config.loop;
    bool v6 = strchr(l->bundle->host, ':') != NULL;
    snprintf(l->status.control, sizeof(l->status.control), "%s%s%s:%u", v6 ? "[" : "", l->bundle->host, v6 ? "]" : "",
             l->bundle->port);
    snprintf(l->status.agent, sizeof(l->status.agent), "%s", l->identity.agent);
    snprintf(l->status.infrastructure, sizeof(l->status.infrastructure), "%s", l->identity.infrastructure);
    snprintf(l->status.fingerprint, sizeof(l->status.fingerprint), "%s", l->bundle->fingerprint);
    l->status.since_ms = clock_wall_ms(l->clock);
    l->limits = yamux_limits_default;
    l->limits.max_streams = 16;
    l->budget.total = MIB(32);
    l->links = link_loop_new(loop, l->clock, &l->limits, &l->budget);
    uv_timer_init(loop, &l->redial);
    uv_timer_init(loop, &l->tick);
    uv_timer_init(loop, &l->report);
    l->open_handles = 3;
    l->redial.data = l->tick.data = l->report.data = l;
    uv_timer_start(&l->tick, on_tick, TICK_MS, TICK_MS);
    use_certificate(l);
    dial(l);
}

int agent_link_start(const struct agent_link_config *config, struct agent_link **ret, struct err *err)
{
    struct agent_link *l = mem_alloc(sizeof(*l));
    l->config = *config;
    l->clock = config->clock ? config->clock : &clock_system;
    l->tls_clock = (struct floor_clock){.clock = {floor_wall, floor_mono}, .base = l->clock};
    set_texts(l, config);
    int r = identity_load(l->dir, &l->identity, err);
    if (r == 0)
        r = identity_bundle(l->dir, &l->bundle, err);
    if (r < 0) {
        destroy(l);
        return r;
    }
    start(l);
    *ret = l;
    return 0;
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct agent_link *l = handle->data;
    if (--l->open_handles)
        return;
    void (*done)(void *) = l->done;
    void *data = l->done_data;
    link_loop_free(l->links);
    destroy(l);
    if (done)
        done(data);
}

/* The channel is gone: its connection no longer needs what it borrowed from us once these handles are closed. */
static void close_handles(struct agent_link *l)
{
    uv_close((uv_handle_t *)&l->redial, on_handle_closed);
    uv_close((uv_handle_t *)&l->tick, on_handle_closed);
    uv_close((uv_handle_t *)&l->report, on_handle_closed);
}

void agent_link_stop(struct agent_link *l, void (*done)(void *data), void *data)
{
    l->stopping = true;
    tunnels_close(&l->tunnels);
    l->done = done;
    l->done_data = data;
    if (l->channel)
        channel_close(l->channel, NULL);
    else
        close_handles(l);
}

/* ---- status ---- */

void agent_link_status(const struct agent_link *l, struct agent_link_status *ret)
{
    *ret = l->status;
    ret->round_trip_ms = l->channel && l->status.connected ? channel_rtt_ms(l->channel) : -1;
}

json_t *agent_link_status_json(const struct agent_link *l)
{
    struct agent_link_status s;
    char since[CLOCK_ISO_SIZE], ends[CLOCK_ISO_SIZE];
    agent_link_status(l, &s);
    clock_iso(s.since_ms, since);
    clock_iso(s.certificate_ends_ms, ends);
    return json_pack("{sb ss sI ss ss ss ss ss sI sI sI ss ss}", "connected", (int)s.connected, "since", since,
                     "roundTripMs", (json_int_t)s.round_trip_ms, "certificateEnds", ends, "agent", s.agent,
                     "infrastructure", s.infrastructure, "control", s.control, "bundleFingerprint", s.fingerprint,
                     "clockSkewMs", (json_int_t)s.skew_ms, "reportsSent", (json_int_t)s.sent, "documentsReceived",
                     (json_int_t)s.received, "notice", s.notice, "error", s.error);
}
