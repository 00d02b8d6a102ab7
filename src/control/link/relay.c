/* The relay: joins an engineer's device to the agent of the infrastructure that its grant names, and carries bytes that
 * it cannot read. */
#include "control/link/hub.h"

#include "base/log.h"
#include "base/mem.h"
#include "consent/device.h"
#include "net/byte_queue.h"

#define TOLD_AT_ONCE 8

/* One end. `in` is what the other end sent and this one has not taken yet; the other's credit for it is given back as
 * it goes, so that no more than a receive window can wait here. */
struct side {
    struct peer *peer; /* NULL: not there yet */
    struct byte_queue in;
    bool ended; /* sends no more */
    uint64_t sent;
};

struct relay {
    char session[UUID_SIZE], grant[UUID_SIZE], agent[UUID_SIZE];
    struct relay *next;
    struct hub *hub;
    struct side side[2]; /* the device, the agent */
    bool joined, closing;
};

static struct side *side_of(struct peer *p)
{
    return &p->relay->side[p->relay->side[1].peer == p];
}

static struct side *other_side(struct peer *p)
{
    return &p->relay->side[p->relay->side[1].peer != p];
}

static void unlink_relay(struct relay *y)
{
    for (struct relay **at = &y->hub->relays; *at; at = &(*at)->next)
        if (*at == y) {
            *at = y->next;
            y->hub->relay_count--;
            return;
        }
}

/* ---- bytes ---- */

/* Writes what `to` still has to take, and gives `from` its credit back. */
static bool push(struct side *to, struct side *from, const char *data, size_t len, size_t *ret_taken)
{
    /* Our own answer goes first. */
    ssize_t n = to->peer->out.len ? 0 : link_stream_write(to->peer->conn, to->peer->stream, data, len);
    *ret_taken = n > 0 ? (size_t)n : 0;
    to->sent += *ret_taken;
    if (*ret_taken && from->peer && from->peer->conn)
        link_stream_consumed(from->peer->conn, from->peer->stream, *ret_taken);
    return n >= 0;
}

static void pass_end(struct side *to, struct side *from)
{
    if (from->ended && !to->in.len && to->peer->conn)
        link_stream_close(to->peer->conn, to->peer->stream);
}

static void flush(struct side *to, struct side *from)
{
    const char *data;
    size_t len, taken = 0;
    if (!to->in.len)
        return;
    while ((data = byte_queue_front(&to->in, &len))) {
        if (!push(to, from, data, len, &taken))
            return;
        byte_queue_take(&to->in, taken);
        if (taken < len)
            return;
    }
    pass_end(to, from);
}

void relay_data(struct peer *p, const void *data, size_t len)
{
    struct side *from = side_of(p), *to = other_side(p);
    size_t taken = 0;
    if (!p->relay->joined || !to->peer->conn) {
        peer_close(p, NULL); /* nothing may come before the answer */
        return;
    }
    if (!to->in.len && !push(to, from, data, len, &taken))
        return;
    byte_queue_add(&to->in, (const char *)data + taken, len - taken);
}

void relay_writable(struct peer *p)
{
    if (p->relay->joined)
        flush(side_of(p), other_side(p));
}

void relay_eof(struct peer *p)
{
    struct side *from = side_of(p), *to = other_side(p);
    from->ended = true;
    if (!p->relay->joined || !to->peer->conn)
        peer_close(p, NULL);
    else
        pass_end(to, from);
}

/* ---- beginning ---- */

static size_t count_of(const struct hub *h, const char *grant)
{
    size_t n = 0;
    for (const struct relay *y = h->relays; y; y = y->next)
        n += !strcmp(y->grant, grant);
    return n;
}

static bool proves_itself(const struct peer *p, const struct directory_grant *g)
{
    int64_t off = clock_wall_ms(p->hub->clock) - p->connect_ms;
    return off < HUB_DEVICE_SKEW_MS && off > -HUB_DEVICE_SKEW_MS &&
           device_proves(g->device_key, DEVICE_FOR_RELAY, p->grant, p->connect_ms, "", p->connect_signature);
}

void answer_connect(struct peer *p, int result, const struct directory_grant *g, const struct err *err)
{
    struct hub *h = p->hub;
    if (p->closing)
        return;
    if (result < 0 && result != -ENOENT) {
        log_warn("cannot look a grant up", "error", err->message);
        peer_close_busy(p, "the control plane cannot reach its store at the moment: try again later");
        return;
    }
    if (result < 0 || !proves_itself(p, g)) {
        peer_close(p, result < 0 ? err->message
                                 : "the grant is for another device key, or this device's clock is more than ten "
                                   "minutes off");
        return;
    }
    struct registry_entry *e = *g->agent ? registry_find(&h->agents, g->agent) : NULL;
    if (!e) {
        peer_close_busy(p, "the agent of this infrastructure is not connected at the moment");
        return;
    }
    if (h->relay_count >= HUB_RELAYS_MAX || count_of(h, p->grant) >= HUB_RELAYS_A_GRANT) {
        peer_close_busy(p, "there are too many sessions at the moment: end one first");
        return;
    }
    struct relay *y = mem_alloc(sizeof(*y));
    uuid_new(y->session);
    memcpy(y->grant, p->grant, UUID_SIZE);
    memcpy(y->agent, g->agent, UUID_SIZE);
    y->hub = h;
    y->side[0].peer = p;
    y->next = h->relays;
    h->relays = y;
    h->relay_count++;
    p->relay = y;
    peer_young(p, HUB_ATTACH_MS);
    peer_send(CONTAINER_OF(e, struct peer, entry), control_msg_session(y->session));
}

void relay_attach(struct peer *p, const char *session)
{
    struct relay *y = p->hub->relays;
    while (y && strcmp(y->session, session))
        y = y->next;
    /* The session was offered to one agent only; its certificate says that this is that one. */
    if (!y || y->joined || y->closing || strcmp(y->agent, p->entry.agent)) {
        peer_close(p, "there is no such session, or nobody waits for it any more");
        return;
    }
    y->side[1].peer = p;
    p->relay = y;
    y->joined = true;
    for (size_t i = 0; i < ARRAY_SIZE(y->side); i++) {
        peer_grown(y->side[i].peer);
        peer_send(y->side[i].peer, control_msg_joined());
    }
    log_info("session relayed", "session", y->session, "grant", y->grant, "agent", y->agent);
}

/* ---- end ---- */

static void close_relay(struct relay *y, const char *sentence)
{
    if (y->closing)
        return;
    y->closing = true;
    for (size_t i = 0; i < ARRAY_SIZE(y->side); i++)
        if (y->side[i].peer)
            peer_close(y->side[i].peer, y->joined ? NULL : sentence);
}

void relay_closed(struct peer *p)
{
    struct relay *y = p->relay;
    struct side *mine = side_of(p), *theirs = other_side(p);
    char up[24], down[24];
    p->relay = NULL;
    /* What one end had sent in full before it went still reaches the other. */
    if (theirs->peer && theirs->peer->conn)
        flush(theirs, mine);
    byte_queue_free(&mine->in);
    mine->peer = NULL;
    close_relay(y, "the other end of the session has gone");
    if (theirs->peer)
        return;
    snprintf(up, sizeof(up), "%llu", (unsigned long long)y->side[1].sent);
    snprintf(down, sizeof(down), "%llu", (unsigned long long)y->side[0].sent);
    if (y->joined)
        log_info("session over", "session", y->session, "grant", y->grant, "bytes_to_gate", up, "bytes_to_device",
                 down);
    unlink_relay(y);
    y->hub->relays_ended = true;
    byte_queue_free(&theirs->in);
    free(y);
}

void relay_close_agent(struct hub *h, const char *agent)
{
    for (struct relay *y = h->relays; y; y = y->next)
        if (!strcmp(y->agent, agent))
            close_relay(y, "the agent has been revoked");
}

void relay_close_grant(struct hub *h, const char *grant)
{
    for (struct relay *y = h->relays; y; y = y->next)
        if (!strcmp(y->grant, grant))
            close_relay(y, "the grant has been revoked");
}

void relay_close_all(struct hub *h)
{
    for (struct relay *y = h->relays; y; y = y->next)
        close_relay(y, NULL);
}

/* ---- revocations on their way to the gates ---- */

struct telling {
    const struct directory_revocation *list;
    size_t count;
};

static void tell(struct registry_entry *e, void *user)
{
    const struct telling *t = user;
    struct peer *p = CONTAINER_OF(e, struct peer, entry);
    int told = 0;
    /* Each is answered, and an agent may send only so many messages: the rest has its turn at the next look. */
    for (size_t i = 0; i < t->count && told < TOLD_AT_ONCE; i++)
        if (!strcmp(t->list[i].infrastructure, p->infrastructure)) {
            peer_send(p, control_msg_revoke(t->list[i].grant));
            told++;
        }
}

void relay_revoke(struct hub *h, const struct directory_revocation *list, size_t count)
{
    struct telling t = {list, count};
    for (size_t i = 0; i < count; i++)
        relay_close_grant(h, list[i].grant);
    if (count)
        registry_each(&h->agents, tell, &t);
}
