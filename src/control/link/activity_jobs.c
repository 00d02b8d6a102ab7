/* Has agents, whom their customers keep, cosign the control plane's own record of activities. */
#include "control/link/hub.h"

#include "base/log.h"
#include "base/mem.h"
#include "control/signer.h"

/* ---- offering ---- */

struct offer_job {
    struct work work;
    struct peer *peer;
    int64_t from;
    json_t *answer;
};

static int offer_run(struct work *w, void *hub, struct err *err)
{
    struct offer_job *j = CONTAINER_OF(w, struct offer_job, work);
    const struct hub *h = hub;
    return signer_activities(h->role->signer, j->from, &j->answer, err);
}

static void offer_done(struct work *w)
{
    struct offer_job *j = CONTAINER_OF(w, struct offer_job, work);
    struct peer *p = j->peer;
    const json_t *note = json_object_get(j->answer, "note");
    p->witnessing = false;
    if (w->result < 0)
        log_warn("the record of activities has no checkpoint to offer", "error", w->err.message);
    else
        p->hub->activities = json_integer_value(json_object_get(j->answer, "size"));
    if (w->result == 0 && note && p->conn && !p->closing) {
        p->witnessing = true;
        peer_send(p, json_pack("{ss sO sO sO sO}", "type", "activities", "verifier",
                               json_object_get(j->answer, "verifier"), "note", note, "from",
                               json_object_get(j->answer, "from"), "proof", json_object_get(j->answer, "proof")));
    }
    json_decref(j->answer);
    peer_unref(p);
    free(j);
}

static void offer(struct peer *p)
{
    struct offer_job *j = mem_alloc(sizeof(*j));
    j->work = (struct work){.run = offer_run, .done = offer_done};
    j->peer = peer_ref(p);
    j->from = p->witnessed;
    p->witnessing = true;
    worker_post(p->hub->signer_worker, &j->work);
}

/* One is asked for anyway, which tells how long the record is by now; the others where they lack some of it. */
static void look(struct registry_entry *e, void *user)
{
    size_t *n = user;
    struct peer *p = CONTAINER_OF(e, struct peer, entry);
    if (*n >= HUB_WITNESSES_MAX || p->closing || p->session.kind != CONTROL_LINKED || p->witnessed == INT64_MAX)
        return;
    if (!p->witnessing && (*n == 0 || p->witnessed < p->hub->activities))
        offer(p);
    (*n)++;
}

void job_activities(struct hub *h)
{
    size_t n = 0;
    registry_each(&h->agents, look, &n);
}

/* ---- the answer ---- */

struct witnessed_job {
    struct work work;
    struct peer *peer;
    json_t *message;
};

static int witnessed_run(struct work *w, void *hub, struct err *err)
{
    struct witnessed_job *j = CONTAINER_OF(w, struct witnessed_job, work);
    const struct hub *h = hub;
    return signer_activities_cosigned(h->role->signer, j->peer->infrastructure, j->message, err);
}

static void witnessed_done(struct work *w)
{
    struct witnessed_job *j = CONTAINER_OF(w, struct witnessed_job, work);
    if (w->result < 0)
        log_warn("an agent's cosignature of the record of activities was not kept", "agent", j->peer->entry.agent,
                 "why", w->err.message);
    json_decref(j->message);
    peer_unref(j->peer);
    free(j);
}

static void keep(struct peer *p, json_t *message)
{
    struct witnessed_job *j = mem_alloc(sizeof(*j));
    j->work = (struct work){.run = witnessed_run, .done = witnessed_done};
    j->peer = peer_ref(p);
    j->message = json_incref(message);
    worker_post(p->hub->signer_worker, &j->work);
}

void job_witnessed(struct peer *p, json_t *message_owned)
{
    autojson json_t *message = message_owned;
    const char *note = json_string_value(json_object_get(message, "note")),
               *why = json_string_value(json_object_get(message, "error"));
    int64_t size = json_integer_value(json_object_get(message, "size"));
    if (!p->witnessing)
        return; /* nobody asked */
    p->witnessing = false;
    if (*why) {
        log_warn("an agent does not cosign the record of activities", "agent", p->entry.agent, "why", why);
        p->witnessed = INT64_MAX; /* until it connects again */
    } else if (*note) {
        p->witnessed = size;
        keep(p, message);
    } else if (size > p->hub->activities) {
        log_warn("an agent has cosigned more of the record of activities than there is: was it rolled back?", "agent",
                 p->entry.agent);
        p->witnessed = INT64_MAX;
    } else {
        p->witnessed = size; /* the next look proves from there */
    }
}
