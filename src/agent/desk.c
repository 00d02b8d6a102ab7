/* Judges and does what the control plane carries on behalf of people who signed. */
#include "agent/desk.h"

#include "agent/ledger/client.h"
#include "agent/link/link.h"
#include "agent/operator/operator.h"
#include "agent/operator/orders.h"
#include "base/mem.h"

struct desk {
    struct desk_config c;
    char *dir, *kept_path, *infrastructure;
    struct keeper *keeper;
    struct operator_loop *operator;
    struct agent_link *link;
    json_t *said;         /* the last report that the link took */
    char used[UUID_SIZE]; /* the request that let the document of just now pass */
    int64_t witnessed;    /* leaves that the witness has cosigned, as it says */
    int64_t offered;      /* leaves of the checkpoint that it was offered last on this connection; -1: none */
    char no_continuation[ERR_MESSAGE_MAX]; /* why the control plane's own record was not cosigned last */
    bool unrecorded;                       /* news that the ledger did not take: nothing is done until it does */
};

static void event(const struct desk *d, bool error, const char *message)
{
    if (d->c.on_event)
        d->c.on_event(error, message, d->c.data);
}

static struct sealed sealed_of(const struct desk *d)
{
    return (struct sealed){d->keeper, d->dir, d->kept_path, d->infrastructure, d->c.clock};
}

int desk_open(const struct desk_config *config, struct desk **ret, struct err *err)
{
    struct desk *d = mem_alloc(sizeof(*d));
    autojson json_t *short_form = NULL;
    struct policy *first = NULL;
    *d = (struct desk){.c = *config,
                       .dir = mem_strdup(config->dir),
                       .kept_path = mem_strdup(config->kept_path),
                       .infrastructure = mem_strdup(config->infrastructure),
                       .offered = -1};
    const struct bundle *b = config->bundle;
    int r = js_parse(b->policy, strlen(b->policy), BUNDLE_MAX_BYTES, &short_form, err);
    if (r == 0)
        r = policy_from_bundle(short_form, (const unsigned char(*)[ED25519_PUBLIC_SIZE])b->approver_keys,
                               b->approver_count, &first, err);
    if (r == 0) {
        struct keeper_config k = {d->dir, config->policy_path, d->infrastructure, first, config->clock};
        r = keeper_open(&k, &d->keeper, err);
    }
    d->c.bundle = NULL; /* the caller's, for this call only */
    if (r < 0)
        desk_free(d);
    else
        *ret = d;
    return r;
}

void desk_free(struct desk *d)
{
    if (!d)
        return;
    keeper_free(d->keeper);
    json_decref(d->said);
    free(d->dir);
    free(d->kept_path);
    free(d->infrastructure);
    free(d);
}

void desk_join(struct desk *d, struct operator_loop *operator, struct agent_link * link)
{
    d->operator= operator;
    d->link = link;
}

struct keeper *desk_keeper(struct desk *d)
{
    return d->keeper;
}

/* ---- writing down ---- */

static int record(const struct desk *d, const char *kind, json_t *body, struct err *err)
{
    int r = body ? ledger_ask_append(d->c.recorder->fd, kind, body, NULL, err)
                 : err_set(err, -EINVAL, "what is to be recorded is not text");
    json_decref(body);
    return r;
}

static void must_record(struct desk *d, const char *kind, json_t *body)
{
    struct err err = ERR_INIT;
    if (record(d, kind, body, &err) == 0)
        return;
    d->unrecorded = true;
    event(d, true, err.message);
}

static json_t *operation_names(const struct consent_request *q)
{
    json_t *list = json_array();
    for (size_t i = 0; i < q->n_operations; i++)
        json_array_append_new(list, json_string(q->operations[i]->name));
    return list;
}

static void on_request(const struct consent_request *q, void *data)
{
    must_record(data, "request",
                json_pack("{ss ss so ss ss ss}", "request", q->id, "digest", q->digest, "operations",
                          operation_names(q), "by", q->by, "reason", q->reason, "ticket", q->ticket));
}

static void on_approval(const struct approval *a, const char *signer, void *data)
{
    char key[65];
    hex_encode(a->by, ED25519_PUBLIC_SIZE, key);
    must_record(data, a->deny ? "denial" : "approval",
                json_pack("{ss ss ss ss ss}", "request", a->request, "digest", a->digest, "by", signer, "key", key,
                          "signature", a->signature_digest));
}

/* ---- the kill switch ---- */

static int not_locked(const struct desk *d, struct err *err)
{
    if (!d->c.locked || !d->c.locked(d->c.data))
        return 0;
    return err_set(err, -EPERM, "the data plane is locked: nothing is carried out until `ownhouse-agent unlock`");
}

/* ---- desired documents ---- */

int desk_may_accept(struct desk *d, int64_t version, const char *document, size_t len, struct err *err)
{
    struct sealed s = sealed_of(d);
    int r = not_locked(d, err);
    if (r < 0)
        return r;
    r = sealed_check(&s, version, document, len, d->used, err);
    if (r == 0)
        r = recorder_desired(d->c.recorder, version, document, len, "accepted", "", err);
    if (*d->used) {
        struct err own = ERR_INIT;
        const char *outcome = r == 0 ? "done" : "failed";
        if (keeper_result(d->keeper, d->used, outcome, r == 0 ? "" : err ? err->message : "", &own) < 0)
            event(d, true, own.message);
    }
    if (r == 0)
        sealed_forget(&s);
    return r;
}

void desk_not_taken(struct desk *d, int64_t version, const char *document, size_t len, const char *signature_hex,
                    const struct err *why)
{
    struct sealed s = sealed_of(d);
    struct err err = ERR_INIT;
    bool waits = why->code == -EACCES;
    if (waits && sealed_wait(&s, version, document, len, signature_hex, &err) < 0)
        event(d, true, err.message);
    err = ERR_INIT;
    /* Refused whether or not that can be written down. */
    if (recorder_desired(d->c.recorder, version, document, len, waits ? "waiting" : "refused", why->message, &err) < 0)
        event(d, true, err.message);
    desk_say(d, false);
}

static void offer_waiting(struct desk *d)
{
    struct sealed s = sealed_of(d);
    struct err err = ERR_INIT;
    autofree char *document = NULL;
    char signature[129];
    int64_t version = 0;
    int r = sealed_waiting(&s, &version, &document, signature, &err);
    if (r == 1)
        r = operator_offer_desired(d->operator, version, document, strlen(document), signature, &err);
    if (r < 0)
        event(d, true, err.message);
    else if (document)
        event(d, false, "a desired document that waited for its signature was accepted");
}

/* ---- operations ---- */

static bool is_desired(const char *operation)
{
    static const char *const those[] = {"service.scale", "service.configure", "service.restore", "service.delete"};
    for (size_t i = 0; i < ARRAY_SIZE(those); i++)
        if (!strcmp(those[i], operation))
            return true;
    return false;
}

/* What can be done now; all else is refused in plain words. 1: it was begun, and is told when it ends. */
static int carry_out(struct desk *d, const struct consent_request *q, struct err *err)
{
    const char *name = q->operations[0]->name, *service = json_string_value(json_object_get(q->arguments, "service"));
    int r = not_locked(d, err);
    if (r < 0)
        return r;
    if (!strcmp(name, "policy.change"))
        return keeper_change_policy(d->keeper, q, err);
    if (!strcmp(name, "service.restart"))
        return service ? operator_restart(d->operator, service, err)
                       : err_set(err, -EINVAL, "arguments.service: must be the service's id");
    if (is_desired(name))
        return err_set(err, -ENOTSUP,
                       "%s is a change of the desired document: make it at the service itself, and "
                       "sign what the agent then asks for (desired.exposing, desired.destructive)",
                       name);
    if (strncmp(name, "service.", 8) != 0)
        return err_set(err, -ENOTSUP, "%s is not carried out by the agent's operator", name);
    r = operator_order(d->operator, q->id, name, q->arguments, err);
    return r == 0 ? 1 : r;
}

static json_t *outcome_body(const struct consent_request *q, const char *outcome, const char *message)
{
    return json_pack("{ss so ss ss}", "request", q->id, "operations", operation_names(q), "outcome", outcome, "why",
                     message);
}

static json_t *signer_names(const struct consent_verdict *v)
{
    json_t *list = json_array();
    for (size_t i = 0; i < v->n_signers; i++)
        json_array_append_new(list, json_string(v->signers[i]));
    return list;
}

static void run_request(struct desk *d, const struct consent_request *q, const struct consent_verdict *v)
{
    struct err err = ERR_INIT, own = ERR_INIT;
    int64_t before = keeper_policy(d->keeper)->version;
    /* Written down, then used up, then done: a crash in between costs the request, never does it twice. */
    int r =
        record(d, "operation",
               json_pack("{ss ss so so sO sI}", "request", q->id, "digest", q->digest, "operations", operation_names(q),
                         "signers", signer_names(v), "arguments", q->arguments, "policy", (json_int_t)before),
               &err);
    if (r == 0)
        r = keeper_use(d->keeper, q, v->by_preapproval, &err);
    if (r < 0) {
        event(d, true, err.message);
        return;
    }
    r = carry_out(d, q, &err);
    if (r > 0)
        return;
    const char *outcome = r == 0 ? "done" : "failed";
    must_record(d, "outcome", outcome_body(q, outcome, err.message));
    if (keeper_result(d->keeper, q->id, outcome, err.message, &own) < 0)
        event(d, true, own.message);
    const struct policy *p = keeper_policy(d->keeper);
    if (p->version != before)
        must_record(d, "policy",
                    json_pack("{sI ss ss}", "version", (json_int_t)p->version, "digest", p->digest, "request", q->id));
}

/* What was begun and has ended. Until the ledger has it, it is kept. */
static void tell_settled(struct desk *d)
{
    const char *request, *operation = "", *why = "";
    bool done = false;
    while ((request = orders_settled(operator_orders(d->operator), &operation, &done, &why))) {
        struct err err = ERR_INIT;
        const char *outcome = done ? "done" : "failed";
        if (record(d, "outcome",
                   json_pack("{ss s[s] ss ss}", "request", request, "operations", operation, "outcome", outcome, "why",
                             why),
                   &err) < 0 ||
            (keeper_result(d->keeper, request, outcome, why, &err) < 0 && err.code != -ENOENT)) {
            event(d, true, err.message);
            return;
        }
        orders_told(operator_orders(d->operator), request);
    }
}

/* A restart of a service that is not there: where nothing holds it back, the answer is another. */
bool desk_refuses(struct desk *d)
{
    static const char nobody[] = "00000000-0000-0000-0000-000000000000";
    autojson json_t *arguments = json_pack("{ss}", "service", nobody);
    struct consent_request q = {.arguments = arguments, .n_operations = 1};
    struct err err = ERR_INIT;
    q.operations[0] = operation_find("service.restart");
    return d->operator&& carry_out(d, &q, &err) == -EPERM && desk_may_accept(d, INT64_MAX, "{}", 2, &err) == -EPERM;
}

static void offer_checkpoint(struct desk *d);

static bool is_kind(const struct consent_request *q, const char *prefix)
{
    return !strncmp(q->operations[0]->name, prefix, strlen(prefix));
}

void desk_work(struct desk *d)
{
    char ids[KEEPER_MAX_REQUESTS][UUID_SIZE];
    bool signed_document = false;
    size_t n = keeper_open_requests(d->keeper, ids, KEEPER_MAX_REQUESTS);
    if (not_locked(d, NULL) < 0)
        return;
    if (d->unrecorded) {
        /* The ledger first: until it takes something, nothing is done. */
        struct err err = ERR_INIT;
        if (record(d, "recovered", json_pack("{ss}", "what", "entries before this one were lost"), &err) < 0)
            return;
        d->unrecorded = false;
    }
    for (size_t i = 0; i < n && d->operator&& !d->unrecorded; i++) {
        autorequest struct consent_request q = {0};
        struct consent_verdict v = {0};
        if (keeper_check(d->keeper, ids[i], NULL, &q, &v, NULL) < 0 || v.state != CONSENT_ALLOWED)
            continue;
        if (is_kind(&q, "desired."))
            signed_document = true;
        else if (!is_kind(&q, "access.") && q.n_operations == 1)
            run_request(d, &q, &v);
    }
    if (signed_document)
        offer_waiting(d);
    if (d->operator&& !d->unrecorded)
        tell_settled(d);
    desk_say(d, false);
    offer_checkpoint(d);
}

void desk_message(struct desk *d, const json_t *message)
{
    struct keeper_news news = {on_request, on_approval, d};
    struct err err = ERR_INIT;
    if (keeper_take(d->keeper, message, &news, &err) < 0)
        event(d, true, err.message);
    else
        desk_work(d);
}

/* ---- telling ---- */

void desk_say(struct desk *d, bool anyway)
{
    struct err err = ERR_INIT;
    autojson json_t *report = keeper_report(d->keeper);
    if (anyway)
        d->offered = -1;
    if (!d->link || !report || (!anyway && d->said && json_equal(d->said, report)))
        return;
    if (agent_link_say(d->link, json_incref(report), &err) < 0) {
        if (err.code != -ENOTCONN)
            event(d, true, err.message);
        return;
    }
    json_decref(d->said);
    d->said = json_incref(report);
}

/* ---- the witness ---- */

/* Offers the newest checkpoint once it is newer than what was cosigned. */
static void offer_checkpoint(struct desk *d)
{
    struct err err = ERR_INIT;
    autojson json_t *status = NULL, *proof = NULL;
    if (!d->link || ledger_ask_status(d->c.recorder->fd, &status, &err) < 0)
        return;
    int64_t size = json_integer_value(json_object_get(status, "signedSize"));
    if (size <= d->witnessed || size == d->offered)
        return;
    if (ledger_ask_witness(d->c.recorder->fd, (uint64_t)d->witnessed, &proof, &err) < 0) {
        event(d, true, err.message);
        return;
    }
    json_t *m = json_pack("{ss sO sO sI sO}", "type", "checkpoint", "verifier", json_object_get(status, "verifier"),
                          "note", json_object_get(proof, "note"), "from", (json_int_t)d->witnessed, "proof",
                          json_object_get(proof, "proof"));
    if (m && agent_link_say(d->link, m, &err) == 0)
        d->offered = size;
}

void desk_cosigned(struct desk *d, const json_t *message)
{
    const char *note = json_string_value(json_object_get(message, "note")),
               *why = json_string_value(json_object_get(message, "error"));
    int64_t size = json_integer_value(json_object_get(message, "size"));
    struct err err = ERR_INIT;
    if (why && *why)
        event(d, true, why);
    if (note && *note && ledger_ask_cosigned(d->c.recorder->fd, note, &err) < 0)
        event(d, true, err.message);
    /* Where it says that it stands is where the next proof begins; a lie only costs it the proof. */
    if (size >= 0 && !(why && *why)) {
        d->witnessed = size;
        if (!note || !*note)
            d->offered = -1;
    }
}

/* What does not continue is a finding of the customer's: it is written down, once. */
void desk_activities(struct desk *d, const json_t *message)
{
    struct err err = ERR_INIT, own = ERR_INIT;
    autojson json_t *answer = NULL;
    int r = ledger_ask_cosign(d->c.recorder->fd, message, &answer, &err);
    if (r == -ETIMEDOUT)
        return;
    if (r < 0 && strcmp(d->no_continuation, err.message)) {
        snprintf(d->no_continuation, sizeof(d->no_continuation), "%s", err.message);
        event(d, true, err.message);
        must_record(d, "activities", json_pack("{ss ss}", "verdict", "refused", "why", err.message));
    }
    const char *verifier = json_string_value(json_object_get(answer, "verifier")),
               *note = json_string_value(json_object_get(answer, "note"));
    json_t *m = json_pack("{ss ss ss sI ss}", "type", "activities-cosigned", "verifier", verifier ? verifier : "",
                          "note", note ? note : "", "size", json_integer_value(json_object_get(answer, "size")),
                          "error", r < 0 ? err.message : "");
    if (d->link && m && agent_link_say(d->link, m, &own) < 0 && own.code != -ENOTCONN)
        event(d, true, own.message);
    if (!d->link)
        json_decref(m);
}

json_t *desk_status(const struct desk *d)
{
    const struct policy *p = keeper_policy(d->keeper);
    char ids[KEEPER_MAX_REQUESTS][UUID_SIZE];
    size_t n = keeper_open_requests(d->keeper, ids, KEEPER_MAX_REQUESTS);
    return json_pack("{ss sI ss sI si}", "policy", policy_mode_names[p->mode], "version", (json_int_t)p->version,
                     "digest", p->digest, "requests", (json_int_t)n, "approvers", (int)p->n_approvers);
}
