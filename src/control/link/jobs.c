/* What the link role asks of the store's and the signer's threads. */
#include "control/link/hub.h"

#include "base/log.h"
#include "base/mem.h"
#include "control/signer.h"

/* ---- the store thread's batch ---- */

static bool breaks_transaction(const struct work *w)
{
    return w->result == -EIO || w->result == -ENOSPC || w->result == -EBUSY;
}

static void fail_all(struct work *list, int result, const struct err *err)
{
    for (struct work *w = list; w; w = w->next) {
        w->result = result;
        w->err = *err;
    }
}

/* All of a batch or nothing: a crash between two leaves neither, and one fsync serves all. */
void job_store_batch(struct work *list, void *thread_state)
{
    struct store *s = thread_state;
    struct err err = ERR_INIT;
    int r = store_begin(s, &err);
    if (r < 0) {
        fail_all(list, r, &err);
        return;
    }
    for (struct work *w = list; w; w = w->next) {
        w->result = w->run(w, s, &w->err);
        if (breaks_transaction(w)) {
            err = w->err;
            r = w->result;
            store_rollback(s);
            fail_all(list, r, &err);
            return;
        }
    }
    r = store_commit(s, &err);
    if (r < 0) {
        store_rollback(s);
        fail_all(list, r, &err);
    }
}

/* ---- who is it ---- */

struct identify_job {
    struct work work;
    struct peer *peer;
    struct directory_agent found;
};

static int identify_run(struct work *w, void *s, struct err *err)
{
    struct identify_job *j = CONTAINER_OF(w, struct identify_job, work);
    return directory_agent(s, j->peer->entry.agent, &j->found, err);
}

static void identify_done(struct work *w)
{
    struct identify_job *j = CONTAINER_OF(w, struct identify_job, work);
    if (j->peer->conn)
        answer_identified(j->peer, w->result, &j->found, &w->err);
    peer_unref(j->peer);
    free(j);
}

void job_identify(struct peer *p)
{
    struct identify_job *j = mem_alloc(sizeof(*j));
    j->work.run = identify_run;
    j->work.done = identify_done;
    j->peer = peer_ref(p);
    worker_post(p->hub->reader_worker, &j->work);
}

/* ---- an engineer's session: the agent's end, then the device's ---- */

struct attach_job {
    struct work work;
    struct peer *peer;
    char session[UUID_SIZE];
    struct directory_agent found;
};

static int attach_run(struct work *w, void *s, struct err *err)
{
    struct attach_job *j = CONTAINER_OF(w, struct attach_job, work);
    return directory_agent(s, j->peer->entry.agent, &j->found, err);
}

static void attach_done(struct work *w)
{
    struct attach_job *j = CONTAINER_OF(w, struct attach_job, work);
    if (j->peer->conn && !j->peer->closing) {
        if (w->result < 0)
            peer_close(j->peer, w->err.message);
        else
            relay_attach(j->peer, j->session);
    }
    peer_unref(j->peer);
    free(j);
}

/* The certificate may be of an agent that was revoked since. */
void job_attach(struct peer *p, const char *session)
{
    struct attach_job *j = mem_alloc(sizeof(*j));
    j->work = (struct work){.run = attach_run, .done = attach_done};
    j->peer = peer_ref(p);
    snprintf(j->session, sizeof(j->session), "%s", session);
    worker_post(p->hub->reader_worker, &j->work);
}

struct connect_job {
    struct work work;
    struct peer *peer;
    int64_t now_ms;
    struct directory_grant found;
};

static int connect_run(struct work *w, void *s, struct err *err)
{
    struct connect_job *j = CONTAINER_OF(w, struct connect_job, work);
    return directory_grant(s, j->peer->grant, j->now_ms, &j->found, err);
}

static void connect_done(struct work *w)
{
    struct connect_job *j = CONTAINER_OF(w, struct connect_job, work);
    if (j->peer->conn)
        answer_connect(j->peer, w->result, &j->found, &w->err);
    peer_unref(j->peer);
    free(j);
}

void job_connect(struct peer *p)
{
    struct connect_job *j = mem_alloc(sizeof(*j));
    j->work = (struct work){.run = connect_run, .done = connect_done};
    j->peer = peer_ref(p);
    j->now_ms = clock_wall_ms(p->hub->clock);
    worker_post(p->hub->reader_worker, &j->work);
}

struct cut_job {
    struct work work;
    char grant[UUID_SIZE], infrastructure[UUID_SIZE];
    int64_t now_ms;
};

static int cut_run(struct work *w, void *s, struct err *err)
{
    struct cut_job *j = CONTAINER_OF(w, struct cut_job, work);
    return directory_cut(s, j->grant, j->infrastructure, j->now_ms, err);
}

static void cut_done(struct work *w)
{
    if (w->result < 0)
        log_warn("cannot note that a grant has ended", "error", w->err.message);
    free(CONTAINER_OF(w, struct cut_job, work));
}

void job_cut(struct peer *p, const char *grant)
{
    struct cut_job *j = mem_alloc(sizeof(*j));
    j->work = (struct work){.run = cut_run, .done = cut_done};
    snprintf(j->grant, sizeof(j->grant), "%s", grant);
    memcpy(j->infrastructure, p->infrastructure, UUID_SIZE);
    j->now_ms = clock_wall_ms(p->hub->clock);
    worker_post(p->hub->store_worker, &j->work);
}

/* ---- enrolment: the row first, then the certificate ---- */

struct enrol_job {
    struct work work;
    struct peer *peer;
    char token_hash[65], spki[65], agent[UUID_SIZE], infrastructure[UUID_SIZE], name[101];
    unsigned char spki_raw[SHA256_SIZE];
    int64_t now_ms;
    char *csr;
};

static int enrol_run(struct work *w, void *s, struct err *err)
{
    struct enrol_job *j = CONTAINER_OF(w, struct enrol_job, work);
    int r = directory_enrol(s, j->token_hash, j->spki, j->name, j->now_ms, j->agent, j->infrastructure, err);
    /* Whatever else went wrong may have happened between the agent's row and the token's: neither may stay. */
    return r < 0 && r != -EACCES ? -EIO : r;
}

static void enrol_done(struct work *w)
{
    struct enrol_job *j = CONTAINER_OF(w, struct enrol_job, work);
    if (j->peer->conn)
        answer_enrol_row(j->peer, w->result, j->agent, j->infrastructure, j->csr, j->spki_raw, &w->err);
    peer_unref(j->peer);
    free(j->csr);
    free(j);
}

void job_enrol(struct peer *p, const char *token, const char *csr, const unsigned char spki[SHA256_SIZE],
               const char *name)
{
    struct enrol_job *j = mem_alloc(sizeof(*j));
    j->work = (struct work){.run = enrol_run, .done = enrol_done};
    j->peer = peer_ref(p);
    sha256_hex(token, strlen(token), j->token_hash);
    hex_encode(spki, SHA256_SIZE, j->spki);
    memcpy(j->spki_raw, spki, SHA256_SIZE);
    uuid_new(j->agent);
    snprintf(j->name, sizeof(j->name), "%s", name);
    j->csr = mem_strdup(csr);
    j->now_ms = clock_wall_ms(p->hub->clock);
    worker_post(p->hub->store_worker, &j->work);
}

/* ---- a certificate: signed, then noted, then handed out ---- */

struct certificate_job {
    struct work work;
    struct peer *peer;
    char agent[UUID_SIZE], spki[65];
    char *csr, *chain;
    int64_t not_after_ms;
};

static int certificate_sign(struct work *w, void *hub, struct err *err)
{
    struct certificate_job *j = CONTAINER_OF(w, struct certificate_job, work);
    const struct hub *h = hub;
    autocert struct tls_cert *cert = NULL;
    struct tls_cert_info info;
    int r = signer_agent_certificate(h->role->signer, j->agent, j->csr, &j->chain, err);
    if (r == 0)
        r = tls_cert_parse(j->chain, strlen(j->chain), &cert, err);
    if (r < 0)
        return r;
    tls_cert_info(cert, &info);
    j->not_after_ms = info.not_after_ms;
    return 0;
}

static int certificate_note(struct work *w, void *s, struct err *err)
{
    struct certificate_job *j = CONTAINER_OF(w, struct certificate_job, work);
    return directory_certified(s, j->agent, j->spki, j->not_after_ms, err);
}

static void certificate_finish(struct certificate_job *j)
{
    if (j->peer->conn)
        answer_certificate(j->peer, j->work.result, j->chain, j->not_after_ms, &j->work.err);
    peer_unref(j->peer);
    free(j->csr);
    free(j->chain);
    free(j);
}

static void certificate_noted(struct work *w)
{
    certificate_finish(CONTAINER_OF(w, struct certificate_job, work));
}

static void certificate_signed(struct work *w)
{
    struct certificate_job *j = CONTAINER_OF(w, struct certificate_job, work);
    if (w->result < 0 || !j->peer->conn) {
        certificate_finish(j);
        return;
    }
    j->work = (struct work){.run = certificate_note, .done = certificate_noted};
    worker_post(j->peer->hub->store_worker, &j->work);
}

void job_certificate(struct peer *p, const char *agent, const char *csr, const unsigned char spki[SHA256_SIZE])
{
    struct certificate_job *j = mem_alloc(sizeof(*j));
    j->work = (struct work){.run = certificate_sign, .done = certificate_signed};
    j->peer = peer_ref(p);
    snprintf(j->agent, sizeof(j->agent), "%s", agent);
    hex_encode(spki, SHA256_SIZE, j->spki);
    j->csr = mem_strdup(csr);
    worker_post(p->hub->signer_worker, &j->work);
}

/* ---- a document ---- */

struct document_job {
    struct work work;
    struct peer *peer;
    int64_t above;
    struct directory_document found;
};

static int document_run(struct work *w, void *s, struct err *err)
{
    struct document_job *j = CONTAINER_OF(w, struct document_job, work);
    return directory_document(s, j->peer->infrastructure, j->above, &j->found, err);
}

static void document_done(struct work *w)
{
    struct document_job *j = CONTAINER_OF(w, struct document_job, work);
    struct hub *h = j->peer->hub;
    h->fetching--;
    if (j->peer->conn)
        answer_document(j->peer, w->result, &j->found, &w->err);
    peer_unref(j->peer);
    free(j->found.body);
    free(j);
    peer_fetch_next(h);
}

void job_document(struct peer *p, int64_t above)
{
    struct document_job *j = mem_alloc(sizeof(*j));
    j->work = (struct work){.run = document_run, .done = document_done};
    j->peer = peer_ref(p);
    j->above = above;
    p->hub->fetching++;
    worker_post(p->hub->reader_worker, &j->work);
}

/* ---- a report ---- */

struct observed_job {
    struct work work;
    struct peer *peer;
    int64_t desired_version, now_ms;
    size_t bytes;
    char *body;
};

static int observed_run(struct work *w, void *s, struct err *err)
{
    struct observed_job *j = CONTAINER_OF(w, struct observed_job, work);
    return directory_observed(s, j->peer->infrastructure, j->peer->entry.agent, j->desired_version, j->body, j->now_ms,
                              err);
}

static void observed_done(struct work *w)
{
    struct observed_job *j = CONTAINER_OF(w, struct observed_job, work);
    j->peer->hub->report_bytes -= j->bytes;
    answer_stored(j->peer, w->result, j->bytes, &w->err);
    peer_unref(j->peer);
    free(j->body);
    free(j);
}

void job_observed(struct peer *p, int64_t desired_version, char *body)
{
    struct observed_job *j = mem_alloc(sizeof(*j));
    j->work = (struct work){.run = observed_run, .done = observed_done};
    j->peer = peer_ref(p);
    j->desired_version = desired_version;
    j->now_ms = clock_wall_ms(p->hub->clock);
    j->body = body;
    j->bytes = strlen(body);
    p->hub->report_bytes += j->bytes;
    worker_post(p->hub->store_worker, &j->work);
}

/* ---- presence, gathered ---- */

struct presence_job {
    struct work work;
    struct hub *hub;
    struct directory_presence *rows;
    size_t count;
};

static int presence_run(struct work *w, void *s, struct err *err)
{
    struct presence_job *j = CONTAINER_OF(w, struct presence_job, work);
    int r = 0;
    for (size_t i = 0; r == 0 && i < j->count; i++)
        r = directory_presence(s, &j->rows[i], err);
    return r;
}

static void presence_done(struct work *w)
{
    struct presence_job *j = CONTAINER_OF(w, struct presence_job, work);
    if (w->result < 0)
        log_warn("cannot note which agents are connected", "error", w->err.message);
    else
        role_ring(j->hub->role, ROLE_CONTROLLER);
    free(j->rows);
    free(j);
}

void job_presence(struct hub *h)
{
    if (h->presence_count == 0)
        return;
    struct presence_job *j = mem_alloc(sizeof(*j));
    j->work = (struct work){.run = presence_run, .done = presence_done};
    j->hub = h;
    j->rows = TAKE_PTR(h->presence);
    j->count = h->presence_count;
    h->presence_count = h->presence_room = 0;
    worker_post(h->store_worker, &j->work);
}

/* ---- a look at everything ---- */

struct scan_job {
    struct work work;
    struct hub *hub;
    struct directory_state *states;
    struct directory_revocation *revocations;
    size_t count, revoked;
};

static int scan_run(struct work *w, void *s, struct err *err)
{
    struct scan_job *j = CONTAINER_OF(w, struct scan_job, work);
    int r = directory_states(s, &j->states, &j->count, err);
    return r < 0 ? r : directory_revocations(s, &j->revocations, &j->revoked, err);
}

static void scan_done(struct work *w)
{
    struct scan_job *j = CONTAINER_OF(w, struct scan_job, work);
    struct hub *h = j->hub;
    h->scanning = false;
    if (w->result < 0) {
        log_warn("cannot look for changes in the store", "error", w->err.message);
    } else {
        peer_apply_states(h, j->states, j->count);
        relay_revoke(h, j->revocations, j->revoked);
    }
    free(j->states);
    free(j->revocations);
    free(j);
    if (h->scan_again && !h->stopping)
        job_scan(h);
}

void job_scan(struct hub *h)
{
    if (h->scanning) {
        h->scan_again = true;
        return;
    }
    struct scan_job *j = mem_alloc(sizeof(*j));
    j->work = (struct work){.run = scan_run, .done = scan_done};
    j->hub = h;
    h->scanning = true;
    h->scan_again = false;
    worker_post(h->reader_worker, &j->work);
}

/* ---- our own certificate ---- */

struct server_job {
    struct work work;
    struct hub *hub;
    char *csr, *chain;
};

static int server_run(struct work *w, void *hub, struct err *err)
{
    struct server_job *j = CONTAINER_OF(w, struct server_job, work);
    return signer_server_certificate(((struct hub *)hub)->role->signer, j->csr, &j->chain, err);
}

static void server_done(struct work *w)
{
    struct server_job *j = CONTAINER_OF(w, struct server_job, work);
    struct err err = w->err;
    int r = w->result;
    j->hub->server_renewing = false;
    if (r == 0 && !j->hub->stopping)
        r = server_use(j->hub, j->chain, NULL, &err);
    if (r < 0)
        log_warn("cannot renew the link's server certificate, trying again", "error", err.message);
    free(j->csr);
    free(j->chain);
    free(j);
}

void job_server_certificate(struct hub *h)
{
    if (h->server_renewing)
        return;
    struct server_job *j = mem_alloc(sizeof(*j));
    j->work = (struct work){.run = server_run, .done = server_done};
    j->hub = h;
    j->csr = tls_csr_new(h->server_key);
    h->server_renewing = true;
    worker_post(h->signer_worker, &j->work);
}
