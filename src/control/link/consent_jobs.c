/* Carries consent to agents, takes what they say of it, and has their ledgers' checkpoints cosigned. */
#include "control/link/directory_consent.h"
#include "control/link/hub.h"

#include "base/log.h"
#include "base/mem.h"
#include "control/signer.h"

/* ---- to the agent ---- */

struct consent_job {
    struct work work;
    struct peer *peer;
    int64_t now_ms;
    json_t *message;
};

static int consent_run(struct work *w, void *s, struct err *err)
{
    struct consent_job *j = CONTAINER_OF(w, struct consent_job, work);
    return directory_consent(s, j->peer->infrastructure, j->now_ms, &j->message, err);
}

static void consent_done(struct work *w)
{
    struct consent_job *j = CONTAINER_OF(w, struct consent_job, work);
    if (w->result < 0)
        log_warn("cannot read what to carry to an agent", "agent", j->peer->entry.agent, "error", w->err.message);
    else if (j->peer->conn && !j->peer->closing)
        peer_send(j->peer, json_incref(j->message));
    json_decref(j->message);
    peer_unref(j->peer);
    free(j);
}

void job_consent(struct peer *p)
{
    struct consent_job *j = mem_alloc(sizeof(*j));
    j->work = (struct work){.run = consent_run, .done = consent_done};
    j->peer = peer_ref(p);
    j->now_ms = clock_wall_ms(p->hub->clock);
    worker_post(p->hub->reader_worker, &j->work);
}

/* ---- from the agent ---- */

static int state_run(struct work *w, void *s, struct err *err)
{
    struct consent_job *j = CONTAINER_OF(w, struct consent_job, work);
    return directory_consent_state(s, j->peer->infrastructure, j->message, j->now_ms, err);
}

static void state_done(struct work *w)
{
    struct consent_job *j = CONTAINER_OF(w, struct consent_job, work);
    if (w->result < 0)
        log_warn("cannot keep what an agent said of consent", "agent", j->peer->entry.agent, "error", w->err.message);
    json_decref(j->message);
    peer_unref(j->peer);
    free(j);
}

void job_consent_state(struct peer *p, json_t *message)
{
    struct consent_job *j = mem_alloc(sizeof(*j));
    j->work = (struct work){.run = state_run, .done = state_done};
    j->peer = peer_ref(p);
    j->message = message;
    j->now_ms = clock_wall_ms(p->hub->clock);
    worker_post(p->hub->store_worker, &j->work);
}

/* ---- the witness ---- */

struct checkpoint_job {
    struct work work;
    struct peer *peer;
    json_t *message;
    int64_t now_ms;
    uint64_t size;
    char *note; /* cosigned */
    char error[ERR_MESSAGE_MAX];
};

static const char *field(const struct checkpoint_job *j, const char *name)
{
    const char *s = json_string_value(json_object_get(j->message, name));
    return s ? s : "";
}

static int checkpoint_sign_run(struct work *w, void *hub, struct err *err)
{
    struct checkpoint_job *j = CONTAINER_OF(w, struct checkpoint_job, work);
    const struct hub *h = hub;
    return signer_witness(h->role->signer, j->peer->infrastructure, j->message, &j->note, &j->size, err);
}

static int checkpoint_keep_run(struct work *w, void *s, struct err *err)
{
    struct checkpoint_job *j = CONTAINER_OF(w, struct checkpoint_job, work);
    return directory_ledger(s, j->peer->infrastructure, field(j, "verifier"), j->size, j->note, j->error, j->now_ms,
                            err);
}

static void checkpoint_kept(struct work *w)
{
    struct checkpoint_job *j = CONTAINER_OF(w, struct checkpoint_job, work);
    if (w->result < 0)
        log_warn("cannot keep a ledger's checkpoint", "agent", j->peer->entry.agent, "error", w->err.message);
    /* Its size tells the agent from where to prove next, also when nothing was cosigned. */
    if (j->peer->conn && !j->peer->closing)
        peer_send(j->peer, json_pack("{ss ss sI ss}", "type", "cosigned", "note", j->note ? j->note : "", "size",
                                     (json_int_t)j->size, "error", j->error));
    free(j->note);
    json_decref(j->message);
    peer_unref(j->peer);
    free(j);
}

static void checkpoint_signed(struct work *w)
{
    struct checkpoint_job *j = CONTAINER_OF(w, struct checkpoint_job, work);
    if (w->result < 0) {
        log_warn("a ledger's checkpoint was not cosigned", "agent", j->peer->entry.agent, "why", w->err.message);
        snprintf(j->error, sizeof(j->error), "%s", w->err.message);
    }
    j->work = (struct work){.run = checkpoint_keep_run, .done = checkpoint_kept};
    worker_post(j->peer->hub->store_worker, &j->work);
}

void job_checkpoint(struct peer *p, json_t *message)
{
    struct checkpoint_job *j = mem_alloc(sizeof(*j));
    j->work = (struct work){.run = checkpoint_sign_run, .done = checkpoint_signed};
    j->peer = peer_ref(p);
    j->message = message;
    j->now_ms = clock_wall_ms(p->hub->clock);
    worker_post(p->hub->signer_worker, &j->work);
}
