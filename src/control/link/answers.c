/* What an agent is told once the store and the signer have answered. */
#include "control/link/hub.h"

#include "base/log.h"
#include "base/mem.h"

static const char *unavailable(int result)
{
    return result == -ETIMEDOUT ? "the control plane cannot issue certificates at the moment: try again later"
                                : "the control plane cannot reach its store at the moment: try again later";
}

/* One live connection an agent: the newer one counts, since the older may be a dead path that nobody has noticed. */
static void take_place(struct peer *p)
{
    struct hub *h = p->hub;
    struct registry_entry *old = registry_find(&h->agents, p->entry.agent);
    if (old) {
        struct peer *before = CONTAINER_OF(old, struct peer, entry);
        registry_remove(&h->agents, old);
        before->registered = false;
        log_info("a newer connection of this agent takes over", "agent", p->entry.agent);
        peer_close(before, "a newer connection of this agent takes over");
    }
    registry_add(&h->agents, &p->entry);
    p->registered = true;
}

void answer_identified(struct peer *p, int result, const struct directory_agent *a, const struct err *err)
{
    struct hub *h = p->hub;
    bool renew_only = p->session.kind == CONTROL_RENEW_ONLY;
    if (p->closing)
        return;
    if (result == -ENOENT || result == -EACCES) {
        log_info("closing a link", "agent", p->entry.agent, "why", err->message);
        peer_close(p, err->message);
        return;
    }
    if (result < 0) {
        log_warn("cannot look an agent up", "agent", p->entry.agent, "error", err->message);
        peer_close_busy(p, unavailable(-EIO));
        return;
    }
    memcpy(p->infrastructure, a->infrastructure, UUID_SIZE);
    p->since_ms = clock_wall_ms(h->clock);
    peer_send(p, control_msg_welcome(p->entry.agent, p->infrastructure, p->since_ms, renew_only));
    control_session_welcomed(&p->session);
    if (!p->conn || p->closing)
        return;
    if (renew_only) {
        peer_young(p, HUB_RENEW_ONLY_MS);
        return;
    }
    peer_grown(p);
    take_place(p);
    peer_note(p, true, p->version);
    peer_want_document(p, a->desired_version);
}

void answer_enrol_row(struct peer *p, int result, const char *agent, const char *infrastructure, const char *csr,
                      const unsigned char spki[SHA256_SIZE], const struct err *err)
{
    if (p->closing)
        return;
    if (result < 0) {
        if (result == -EACCES)
            log_warn("an enrolment was not accepted", "address", link_conn_peer(p->conn)->address);
        else
            log_error("cannot enrol an agent", "error", err->message);
        p->refusal_busy = result != -EACCES;
        snprintf(p->refusal, sizeof(p->refusal), "%s", result == -EACCES ? err->message : unavailable(-EIO));
        peer_young(p, HUB_REFUSAL_DELAY_MS);
        return;
    }
    log_info("agent enrolled", "agent", agent, "infrastructure", infrastructure);
    memcpy(p->infrastructure, infrastructure, UUID_SIZE);
    snprintf(p->entry.agent, sizeof(p->entry.agent), "%s", agent);
    job_certificate(p, agent, csr, spki);
}

void answer_certificate(struct peer *p, int result, const char *chain, int64_t not_after_ms, const struct err *err)
{
    if (p->closing)
        return;
    if (result < 0) {
        log_warn("cannot give an agent its certificate", "agent", p->entry.agent, "error", err->message);
        if (result == -ENOENT || result == -EINVAL)
            peer_close(p, err->message);
        else
            peer_close_busy(p, unavailable(result));
        return;
    }
    if (p->session.kind == CONTROL_ENROLLING) {
        peer_send(p, control_msg_enrolled(p->entry.agent, p->infrastructure, chain));
        control_session_welcomed(&p->session);
        /* The agent closes when it has read this; nothing else can happen on the connection. */
        peer_young(p, HUB_FIRST_MESSAGE_MS);
        return;
    }
    log_info("certificate renewed", "agent", p->entry.agent);
    p->not_after_ms = not_after_ms;
    control_session_renewed(&p->session);
    peer_send(p, control_msg_renewed(chain));
}

/* ---- documents ---- */

void peer_want_document(struct peer *p, int64_t version)
{
    struct hub *h = p->hub;
    if (p->closing || version <= p->session.desired_known || version <= p->wanted)
        return;
    bool queued = p->wanted != 0;
    p->wanted = version;
    if (queued)
        return;
    peer_ref(p);
    p->next_fetch = NULL;
    if (h->fetch_tail)
        h->fetch_tail->next_fetch = p;
    else
        h->fetch_head = p;
    h->fetch_tail = p;
    peer_fetch_next(h);
}

void peer_fetch_next(struct hub *h)
{
    while (h->fetch_head && h->fetching < HUB_FETCHES_MAX && (h->out_bytes < HUB_OUT_MAX || h->stopping)) {
        struct peer *p = h->fetch_head;
        h->fetch_head = p->next_fetch;
        if (!h->fetch_head)
            h->fetch_tail = NULL;
        p->wanted = 0;
        if (p->conn && !p->closing && !h->stopping)
            job_document(p, p->session.desired_known);
        peer_unref(p);
    }
}

void answer_document(struct peer *p, int result, const struct directory_document *d, const struct err *err)
{
    if (p->closing)
        return;
    if (result < 0)
        log_warn("cannot read a desired document, trying again", "infrastructure", p->infrastructure, "error",
                 err->message);
    if (result == 1 && control_session_send_desired(&p->session, d->version))
        peer_send(p, control_msg_desired(d->version, d->body, d->signature));
}

/* ---- reports ---- */

void peer_store_report(struct peer *p, int64_t version, char *body)
{
    if (p->storing) {
        /* The last word counts: a report that waited is replaced. */
        free(p->report);
        p->report = body;
        p->report_version = version;
        return;
    }
    if (p->hub->report_bytes > HUB_REPORTS_MAX) {
        log_warn("the store is slow: a report was dropped, the agent sends the next within 30 s", "agent",
                 p->entry.agent);
        free(body);
        return;
    }
    p->storing = true;
    job_observed(p, version, body);
}

void answer_stored(struct peer *p, int result, size_t bytes, const struct err *err)
{
    p->storing = false;
    if (result < 0)
        log_warn("cannot keep a report", "agent", p->entry.agent, "error", err->message);
    else
        role_ring(p->hub->role, ROLE_CONTROLLER);
    if (p->report)
        peer_store_report(p, p->report_version, TAKE_PTR(p->report));
}

/* ---- presence ---- */

static void on_presence_timer(uv_timer_t *t)
{
    job_presence(t->data);
}

void peer_note(struct peer *p, bool connected, const char *version)
{
    struct hub *h = p->hub;
    const struct link_peer *who = p->conn ? link_conn_peer(p->conn) : NULL;
    int64_t rtt = p->conn ? link_conn_rtt_ms(p->conn) : -1;
    if (!p->registered)
        return;
    if (h->presence_count == h->presence_room) {
        h->presence_room = h->presence_room ? 2 * h->presence_room : 16;
        h->presence = mem_realloc(h->presence, h->presence_room * sizeof(*h->presence));
    }
    struct directory_presence *row = &h->presence[h->presence_count++];
    *row = (struct directory_presence){
        .connected = connected,
        .since_ms = p->since_ms,
        .seen_ms = clock_wall_ms(h->clock),
        .round_trip_us = rtt >= 0 ? rtt * 1000 : -1,
    };
    memcpy(row->agent, p->entry.agent, UUID_SIZE);
    snprintf(row->version, sizeof(row->version), "%s", version);
    snprintf(row->address, sizeof(row->address), "%s", who ? who->address : "");
    if (!uv_is_active((uv_handle_t *)&h->presence_timer)) {
        h->presence_timer.data = h;
        uv_timer_start(&h->presence_timer, on_presence_timer, HUB_PRESENCE_MS, 0);
    }
}
