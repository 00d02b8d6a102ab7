/* Devices' connections to the gate: opening a grant, and sessions under one. */
#include "agent/gate/gate_internal.h"

void gate_conn_accept(struct link_conn *conn, void *gate)
{
    struct gate *g = gate;
    struct gate_conn *c = mem_alloc(sizeof(*c));
    c->gate = g;
    c->conn = conn;
    c->deadline_ms = clock_mono_ms(g->config.clock) + GATE_OPEN_MS;
    uuid_new(c->session);
    c->next = g->conns;
    g->conns = c;
    g->n_conns++;
    link_conn_set_user(conn, c);
}

size_t gate_conn_count(const struct gate *g, const char *grant)
{
    size_t n = 0;
    for (const struct gate_conn *c = g->conns; c; c = c->next)
        n += !c->closing && !strcmp(c->grant, grant);
    return n;
}

void gate_conn_close(struct gate_conn *c)
{
    if (c->closing)
        return;
    c->closing = true;
    /* Nothing that waits may still go out: streams are reset before TLS is closed. */
    for (struct gate_stream *s = c->streams; s; s = s->next)
        link_stream_reset(c->conn, s->id);
    link_conn_close(c->conn);
}

/* ---- sessions ---- */

static void begin_session(struct gate_conn *c, const struct link_peer *peer)
{
    struct gate *g = c->gate;
    const char *id = peer->tls.uri + strlen(GATE_URI_PREFIX);
    const struct grant *grant = grants_find(g->grants, id);
    char fingerprint[2 * SHA256_SIZE + 1];
    struct err err = ERR_INIT;
    /* The certificate says which grant; whether that is open is known here alone. */
    if (!grant || g->locked || clock_mono_ms(g->config.clock) >= grant->certified_ms ||
        gate_conn_count(g, grant->id) >= GATE_CONNECTIONS_A_GRANT) {
        gate_conn_close(c);
        return;
    }
    hex_encode(peer->tls.fingerprint, SHA256_SIZE, fingerprint);
    /* What comes by the Unix socket was joined by the relay. */
    const char *from = strcmp(peer->address, "unix") ? peer->address : "relay";
    json_t *body = json_pack("{ss ss ss ss ss}", "event", "session-open", "grant", grant->id, "session", c->session,
                             "certificate", fingerprint, "from", from);
    if (gate_record(g, "access.session", body, NULL, &err) < 0) {
        gate_event(g, true, "a session of grant %s: %s", grant->id, err.message);
        gate_conn_close(c);
        return;
    }
    memcpy(c->grant, grant->id, UUID_SIZE);
}

static void on_ready(struct link_conn *conn, const struct link_peer *peer, void *user)
{
    struct gate_conn *c = user;
    if (peer->tls.alpn_cert)
        begin_session(c, peer);
}

/* ---- opening a grant ---- */

static json_t *opening(const struct grant *grant)
{
    json_t *targets = json_array(), *services = json_array();
    for (size_t i = 0; i < GATE_TARGETS; i++)
        if (grant->targets & 1u << i)
            json_array_append_new(targets, json_string(gate_target_names[i]));
    for (size_t i = 0; i < grant->n_services; i++)
        json_array_append_new(services, json_string(grant->services[i]));
    return json_pack("{ss ss ss so so sI ss ss ss ss}", "event", "grant-open", "grant", grant->id, "digest",
                     grant->digest, "targets", targets, "services", services, "seconds",
                     (json_int_t)(grant->lasts_ms / 1000), "by", grant->by, "reason", grant->reason, "ticket",
                     grant->ticket, "signers", grant->signers);
}

/* Record first, then the clock, then the certificate. */
static int begin_grant(struct gate *g, struct grant *fresh, struct err *err)
{
    int r = gate_record(g, "access.grant", opening(fresh), NULL, err);
    if (r == 0)
        r = grants_begin(g->grants, fresh, err);
    if (r < 0)
        grant_free(fresh);
    else
        gate_event(g, false, "grant %s of %s is open", fresh->id, fresh->by);
    return r;
}

static int certify(struct gate *g, struct grant *grant, const char *csr, char **ret, struct err *err)
{
    int64_t now = clock_mono_ms(g->config.clock), left = grant->ends_ms - now;
    unsigned char spki[SHA256_SIZE];
    char spki_hex[2 * SHA256_SIZE + 1];
    int r = left > 0 ? tls_csr_check(csr, strlen(csr), spki, err)
                     : err_set(err, -EACCES, "this grant has expired: ask for a new one");
    if (r < 0)
        return r;
    hex_encode(spki, sizeof(spki), spki_hex);
    json_t *body = json_pack("{ss ss ss sI}", "event", "certificate", "grant", grant->id, "key", spki_hex, "seconds",
                             (json_int_t)(MIN(left, (int64_t)GATE_CERTIFICATE_MS) / 1000));
    r = gate_record(g, "access.certificate", body, NULL, err);
    if (r == 0)
        r = authority_certify(g->authority, grant->id, csr, left, ret, err);
    if (r == 0)
        grant->certified_ms = MAX(grant->certified_ms, now + MIN(left, (int64_t)GATE_CERTIFICATE_MS));
    return r;
}

static void record_denial(struct gate *g, const json_t *ask, const char *why)
{
    const char *id = json_string_value(json_object_get(json_object_get(ask, "request"), "id"));
    struct err err = ERR_INIT;
    json_t *body =
        json_pack("{ss ss ss}", "event", "grant-refused", "grant", id && uuid_valid(id) ? id : "", "why", why);
    if (gate_record(g, "access.denied", body, NULL, &err) < 0)
        gate_event(g, true, "a refusal: %s", err.message);
}

static int open_grant(struct gate *g, const json_t *ask, json_t **ret, struct err *err)
{
    struct grant *grant = NULL;
    bool fresh = false;
    autofree char *pem = NULL;
    const char *type = NULL, *csr = NULL;
    int r = js_string(ask, "", "type", 16, &type, err);
    if (r == 0 && strcmp(type, "open"))
        r = err_set(err, -EINVAL, "type: must be \"open\"");
    if (r == 0 && g->locked)
        r = err_set(err, -EACCES, "the customer has locked this data plane: nobody gets in");
    if (r == 0)
        r = grants_judge(g->grants, ask, &grant, &fresh, err);
    if (r == 0 && fresh)
        r = begin_grant(g, grant, err);
    if (r == 0)
        r = js_string(ask, "", "csr", KIB(8), &csr, err);
    if (r == 0)
        r = certify(g, grant, csr, &pem, err);
    if (r < 0)
        return r;
    int64_t now = clock_mono_ms(g->config.clock);
    *ret = json_pack("{ss ss sI sI}", "type", "opened", "certificate", pem, "remainingMs",
                     (json_int_t)(grant->ends_ms - now), "certificateMs", (json_int_t)(grant->certified_ms - now));
    return 0;
}

static void answer(struct gate_conn *c, struct gate_stream *s, json_t *message)
{
    autojson json_t *owned = message;
    if (link_msg_write(owned, GATE_MESSAGE_MAX, &s->out, NULL) < 0) {
        gate_conn_close(c);
        return;
    }
    s->close_after = true;
    gate_stream_writable(s);
}

static void take_opening(struct gate_conn *c, struct gate_stream *s, const void *data, size_t len)
{
    const uint8_t *at = data;
    size_t left = len;
    autojson json_t *ask = NULL;
    json_t *opened = NULL;
    struct err err = ERR_INIT;
    int r = link_msg_read(&s->reader, &at, &left, &ask, &err);
    link_stream_consumed(c->conn, s->id, len);
    if (r == 0)
        return;
    if (r < 0 || left) {
        gate_conn_close(c);
        return;
    }
    if (open_grant(c->gate, ask, &opened, &err) < 0) {
        gate_event(c->gate, false, "a grant was not opened: %s", err.message);
        record_denial(c->gate, ask, err.message);
        opened = json_pack("{ss ss}", "type", "error", "message", err.message);
    }
    answer(c, s, opened);
}

/* ---- events ---- */

static void on_stream_open(struct link_conn *conn, uint32_t stream, void *user)
{
    struct gate_conn *c = user;
    const struct link_peer *peer = link_conn_peer(conn);
    if (c->closing || c->n_streams >= GATE_STREAMS_MAX || (!peer->tls.alpn_cert && c->n_streams)) {
        link_stream_reset(conn, stream);
        return;
    }
    link_stream_set_user(conn, stream, gate_stream_new(c, stream));
}

static void on_stream_data(struct link_conn *conn, uint32_t stream, void *stream_user, const void *data, size_t len,
                           void *user)
{
    struct gate_conn *c = user;
    struct gate_stream *s = stream_user;
    if (c->closing || !s)
        return;
    c->bytes_in += len;
    if (*c->grant)
        gate_stream_data(s, data, len);
    else
        take_opening(c, s, data, len);
}

static void on_stream_writable(struct link_conn *conn, uint32_t stream, void *stream_user, void *user)
{
    struct gate_conn *c = user;
    if (!c->closing && stream_user)
        gate_stream_writable(stream_user);
}

static void on_stream_eof(struct link_conn *conn, uint32_t stream, void *stream_user, void *user)
{
    struct gate_conn *c = user;
    if (!c->closing && stream_user)
        gate_stream_eof(stream_user);
}

static void on_stream_closed(struct link_conn *conn, uint32_t stream, void *stream_user, int reason, void *user)
{
    if (stream_user)
        gate_stream_gone(stream_user);
}

static void on_closed(struct link_conn *conn, const struct err *reason, void *user)
{
    struct gate_conn *c = user;
    struct gate *g = c->gate;
    struct err err = ERR_INIT;
    while (c->streams)
        gate_stream_gone(c->streams);
    for (struct gate_conn **at = &g->conns; *at; at = &(*at)->next)
        if (*at == c) {
            *at = c->next;
            g->n_conns--;
            break;
        }
    if (*c->grant) {
        json_t *body = json_pack("{ss ss ss sI sI sI}", "event", "session-close", "grant", c->grant, "session",
                                 c->session, "requests", (json_int_t)c->requests, "bytesIn", (json_int_t)c->bytes_in,
                                 "bytesOut", (json_int_t)c->bytes_out);
        if (gate_record(g, "access.session", body, NULL, &err) < 0)
            gate_event(g, true, "the end of a session of grant %s: %s", c->grant, err.message);
    }
    free(c);
}

const struct link_ops gate_conn_ops = {
    .on_ready = on_ready,
    .on_stream_open = on_stream_open,
    .on_stream_data = on_stream_data,
    .on_stream_writable = on_stream_writable,
    .on_stream_eof = on_stream_eof,
    .on_stream_closed = on_stream_closed,
    .on_closed = on_closed,
};
