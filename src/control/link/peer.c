/* One agent's connection: bytes to messages, messages to work, deadlines, and its end. */
#include "control/link/hub.h"

#include "base/log.h"
#include "base/mem.h"

/* ---- life ---- */

struct peer *peer_ref(struct peer *p)
{
    p->refs++;
    return p;
}

void peer_unref(struct peer *p)
{
    if (--p->refs)
        return;
    free(p->report);
    buf_free(&p->out);
    link_msg_reader_free(&p->reader);
    free(p);
}

static void end(struct peer *p, const char *sentence, bool retry);

static void check_young(uv_timer_t *t)
{
    struct hub *h = t->data;
    int64_t now_ms = clock_mono_ms(h->clock);
    for (struct peer *p = h->young, *next; p; p = next) {
        next = p->next_young;
        if (now_ms < p->deadline_ms)
            continue;
        peer_grown(p);
        if (p->refusal[0])
            end(p, p->refusal, p->refusal_busy);
        else
            end(p, p->session.state == CONTROL_AWAIT_FIRST ? "no message came in time" : "the time is up", true);
    }
    if (!h->young)
        uv_timer_stop(t);
}

void peer_young(struct peer *p, int64_t ms)
{
    struct hub *h = p->hub;
    p->deadline_ms = clock_mono_ms(h->clock) + ms;
    if (p->at_young)
        return;
    p->next_young = h->young;
    if (h->young)
        h->young->at_young = &p->next_young;
    h->young = p;
    p->at_young = &h->young;
    if (!uv_is_active((uv_handle_t *)&h->young_timer)) {
        h->young_timer.data = h;
        uv_timer_start(&h->young_timer, check_young, HUB_YOUNG_TICK_MS, HUB_YOUNG_TICK_MS);
    }
}

void peer_grown(struct peer *p)
{
    if (!p->at_young)
        return;
    *p->at_young = p->next_young;
    if (p->next_young)
        p->next_young->at_young = p->at_young;
    p->at_young = NULL;
}

void peer_accept(struct link_conn *c, void *hub)
{
    struct peer *p = mem_alloc(sizeof(*p));
    p->hub = hub;
    p->conn = c;
    p->refs = 1;
    link_msg_reader_init(&p->reader, CONTROL_EARLY_MAX);
    link_conn_set_user(c, p);
    peer_young(p, HUB_HANDSHAKE_MS);
}

static void end(struct peer *p, const char *sentence, bool retry)
{
    if (!p->conn || p->closing)
        return;
    if (sentence && p->stream)
        peer_send(p, control_msg_error(sentence, retry));
    if (p->closing)
        return;
    p->closing = true;
    link_conn_close(p->conn);
}

void peer_close(struct peer *p, const char *sentence)
{
    end(p, sentence, false);
}

void peer_close_busy(struct peer *p, const char *sentence)
{
    end(p, sentence, true);
}

static void on_closed(struct link_conn *c, const struct err *reason, void *user)
{
    struct peer *p = user;
    struct hub *h = p->hub;
    if (p->relay)
        relay_closed(p);
    if (p->registered) {
        peer_note(p, false, "");
        registry_remove(&h->agents, &p->entry);
        p->registered = false;
    }
    if (reason->code && p->entry.agent[0])
        log_debug("link closed", "agent", p->entry.agent, "reason", reason->message);
    p->conn = NULL;
    peer_grown(p);
    h->held_bytes -= p->held;
    h->out_bytes -= p->out.len;
    p->held = 0;
    buf_free(&p->out);
    link_msg_reader_free(&p->reader);
    peer_unref(p);
    peer_fetch_next(h);
}

/* ---- coming in ---- */

static void on_ready(struct link_conn *c, const struct link_peer *who, void *user)
{
    struct peer *p = user;
    enum control_session_kind kind = CONTROL_ENROLLING;
    if (who->tls.alpn_cert) {
        const char *uri = who->tls.uri;
        kind = who->tls.renew_only ? CONTROL_RENEW_ONLY : CONTROL_LINKED;
        if (strncmp(uri, AGENT_URI, strlen(AGENT_URI)) || !uuid_valid(uri + strlen(AGENT_URI))) {
            log_warn("a certificate of ours names no agent", "uri", uri, "address", who->address);
            peer_close(p, NULL);
            return;
        }
        snprintf(p->entry.agent, sizeof(p->entry.agent), "%s", uri + strlen(AGENT_URI));
        p->not_after_ms = who->tls.not_after_ms;
    } else if (!strcmp(who->tls.alpn, TLS_ALPN_ACCESS)) {
        kind = CONTROL_DEVICE;
    }
    control_session_init(&p->session, kind, clock_mono_ms(p->hub->clock));
    peer_young(p, HUB_FIRST_MESSAGE_MS);
}

static void on_stream_open(struct link_conn *c, uint32_t stream, void *user)
{
    struct peer *p = user;
    if (p->stream || p->closing)
        link_stream_reset(c, stream);
    else
        p->stream = stream;
}

static void act(struct peer *p, struct control_action *a)
{
    switch (a->type) {
    case CONTROL_ENROL:
        peer_young(p, HUB_ANSWER_MS);
        job_enrol(p, a->token, a->csr, a->spki, a->name);
        break;
    case CONTROL_HELLO:
        peer_young(p, HUB_ANSWER_MS);
        snprintf(p->version, sizeof(p->version), "%s", a->version);
        job_identify(p);
        break;
    case CONTROL_OBSERVED:
        peer_note(p, true, a->version);
        peer_store_report(p, a->desired_version, js_text(a->observed));
        break;
    case CONTROL_RENEW:
        job_certificate(p, p->entry.agent, a->csr, a->spki);
        break;
    case CONTROL_REFUSED:
        log_warn("an agent refused its desired document", "agent", p->entry.agent, "why", a->message);
        break;
    case CONTROL_BYE:
        log_info("an agent closed its link", "agent", p->entry.agent, "why", a->message);
        peer_close(p, NULL);
        break;
    case CONTROL_CONNECT:
        peer_young(p, HUB_ANSWER_MS);
        snprintf(p->grant, sizeof(p->grant), "%s", a->grant);
        snprintf(p->connect_signature, sizeof(p->connect_signature), "%s", a->signature);
        p->connect_ms = a->time_ms;
        job_connect(p);
        break;
    case CONTROL_ATTACH:
        peer_young(p, HUB_ANSWER_MS);
        job_attach(p, a->session);
        break;
    case CONTROL_CONSENT:
        job_consent_state(p, TAKE_PTR(a->json));
        break;
    case CONTROL_CHECKPOINT:
        job_checkpoint(p, TAKE_PTR(a->json));
        break;
    case CONTROL_WITNESSED:
        job_witnessed(p, TAKE_PTR(a->json));
        break;
    case CONTROL_CUT:
        job_cut(p, a->grant);
        break;
    case CONTROL_NOTHING:
        break;
    }
    json_decref(a->observed);
    json_decref(a->json);
}

static void take_message(struct peer *p, const json_t *message)
{
    struct control_action action;
    struct err err = ERR_INIT;
    if (control_session_take(&p->session, message, clock_mono_ms(p->hub->clock), &action, &err) < 0) {
        log_info("closing a link", "agent", p->entry.agent, "why", err.message);
        peer_close(p, err.message);
        return;
    }
    act(p, &action);
}

/* Half-received messages of all agents together have a ceiling; what is small is let through, so that a few who fill
 * it cannot keep others from saying hello. */
static int account_held(struct peer *p)
{
    struct hub *h = p->hub;
    size_t now = p->reader.body.cap;
    h->held_bytes += now - p->held;
    p->held = now;
    return h->held_bytes > HUB_HELD_MAX && now > CONTROL_EARLY_MAX ? -ENOBUFS : 0;
}

static void on_stream_data(struct link_conn *c, uint32_t stream, void *stream_user, const void *data, size_t len,
                           void *user)
{
    struct peer *p = user;
    const uint8_t *at = data;
    size_t left = len;
    struct err err = ERR_INIT;
    int r = 0;
    if (stream != p->stream)
        return;
    if (p->relay && !p->closing) {
        relay_data(p, data, len);
        return;
    }
    while (!p->closing) {
        autojson json_t *message = NULL;
        p->reader.max = control_session_max(&p->session);
        if ((r = link_msg_read(&p->reader, &at, &left, &message, &err)) <= 0)
            break;
        take_message(p, message);
    }
    if (r < 0)
        peer_close(p, err.message);
    else if (account_held(p) < 0)
        peer_close_busy(p, "the control plane has too much to receive at the moment: try again later");
    if (p->conn && !p->closing)
        link_stream_consumed(c, stream, len);
}

/* ---- going out ---- */

static void flush(struct peer *p)
{
    struct hub *h = p->hub;
    while (p->out_at < p->out.len) {
        ssize_t n = link_stream_write(p->conn, p->stream, p->out.data + p->out_at, p->out.len - p->out_at);
        if (n < 0) {
            p->out_at = p->out.len;
            break;
        }
        if (n == 0)
            return;
        p->out_at += (size_t)n;
    }
    h->out_bytes -= p->out.len;
    buf_free(&p->out);
    p->out_at = 0;
    peer_fetch_next(h);
}

void peer_send(struct peer *p, json_t *message)
{
    autojson json_t *owned = message;
    struct err err = ERR_INIT;
    size_t before = p->out.len;
    if (!p->conn || p->closing || !p->stream)
        return;
    if (before > HUB_PEER_OUT_MAX || link_msg_write(owned, LINK_MSG_MAX, &p->out, &err) < 0) {
        log_warn("cannot send to an agent", "agent", p->entry.agent, "error",
                 err.code ? err.message : "it does not read");
        p->closing = true;
        link_conn_close(p->conn);
        return;
    }
    p->hub->out_bytes += p->out.len - before;
    flush(p);
}

static void on_stream_writable(struct link_conn *c, uint32_t stream, void *stream_user, void *user)
{
    struct peer *p = user;
    if (stream != p->stream || p->closing)
        return;
    flush(p);
    if (p->relay && !p->out.len)
        relay_writable(p);
}

static void on_stream_eof(struct link_conn *c, uint32_t stream, void *stream_user, void *user)
{
    struct peer *p = user;
    if (stream != p->stream)
        return;
    if (p->relay && !p->closing)
        relay_eof(p);
    else
        peer_close(p, NULL);
}

static void on_stream_closed(struct link_conn *c, uint32_t stream, void *stream_user, int reason, void *user)
{
    struct peer *p = user;
    if (stream == p->stream && reason != -ECONNABORTED)
        peer_close(p, NULL);
}

const struct link_ops peer_ops = {
    .on_ready = on_ready,
    .on_stream_open = on_stream_open,
    .on_stream_data = on_stream_data,
    .on_stream_writable = on_stream_writable,
    .on_stream_eof = on_stream_eof,
    .on_stream_closed = on_stream_closed,
    .on_closed = on_closed,
};

/* ---- looking after them ---- */

static void check_certificate(struct registry_entry *e, void *now)
{
    struct peer *p = CONTAINER_OF(e, struct peer, entry);
    if (p->not_after_ms <= *(int64_t *)now) {
        log_info("a certificate ran out under its link", "agent", e->agent);
        peer_close(p, "the certificate has expired and was not renewed: connect again to renew it");
    }
}

void peer_check_certificates(struct hub *h)
{
    int64_t now = clock_wall_ms(h->clock);
    registry_each(&h->agents, check_certificate, &now);
}

static void check_missing(struct registry_entry *e, void *scan)
{
    struct peer *p = CONTAINER_OF(e, struct peer, entry);
    if (p->scanned && p->scanned != *(uint32_t *)scan)
        peer_close(p, "this agent is not known here any more: enrol it again");
}

void peer_apply_states(struct hub *h, const struct directory_state *states, size_t n)
{
    if (++h->scans == 0)
        h->scans = 1;
    for (size_t i = 0; i < n; i++) {
        struct registry_entry *e = registry_find(&h->agents, states[i].agent);
        struct peer *p = e ? CONTAINER_OF(e, struct peer, entry) : NULL;
        if (states[i].revoked)
            relay_close_agent(h, states[i].agent);
        if (!p)
            continue;
        p->scanned = h->scans;
        if (states[i].revoked)
            peer_close(p, "this agent has been revoked");
        else if (strcmp(states[i].infrastructure, p->infrastructure))
            peer_close(p, "this agent's infrastructure has changed");
        else
            peer_want_document(p, states[i].desired_version);
        if (!states[i].revoked && states[i].consent != p->consent && !p->closing) {
            p->consent = states[i].consent;
            job_consent(p);
        }
    }
    registry_each(&h->agents, check_missing, &h->scans);
}

static void say_goodbye(struct registry_entry *e, void *unused)
{
    peer_close(CONTAINER_OF(e, struct peer, entry), NULL);
}

void peer_close_all(struct hub *h)
{
    registry_each(&h->agents, say_goodbye, NULL);
    relay_close_all(h);
    while (h->young) {
        struct peer *p = h->young;
        peer_grown(p);
        peer_close(p, NULL);
    }
}
