/* Requests to data planes and the signatures on them: carried here, judged there. */
#include "control/api/handlers.h"

#include "base/fs.h"
#include "base/mem.h"
#include "consent/request.h"

#define COLUMNS                                                                                    \
    "r.id, r.infrastructure_id, r.state, r.why, r.digest, r.origin, r.document, r.need_customer, " \
    "r.have_customer, r.need_vendor, r.have_vendor, r.created_at, r.not_after"
#define WAITING_MAX 200

static json_t *view(struct store_rows *rows)
{
    static const char *const texts[] = {"id", "infrastructureId", "state", "why", "digest", "origin"};
    static const char *const counts[] = {"needCustomer", "haveCustomer", "needVendor", "haveVendor"};
    json_t *document = api_column_json(rows, 6), *v = json_object();
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        json_object_set_new(v, texts[i], json_string(store_column_text(rows, (int)i)));
    json_object_set(v, "operations", json_object_get(document, "operations"));
    for (size_t i = 0; i < ARRAY_SIZE(counts); i++)
        json_object_set_new(v, counts[i], json_integer(store_column_int(rows, 7 + (int)i)));
    json_object_set_new(v, "createdAt", api_time(store_column_int(rows, 11)));
    json_object_set_new(v, "notAfter", api_time(store_column_int(rows, 12)));
    json_object_set_new(v, "document", document);
    return v;
}

int request_list(struct api_request *q, struct err *err)
{
    const char *infrastructure = api_query(q, "infrastructureId"), *state = api_query(q, "state");
    autorows struct store_rows *rows = NULL;
    autojson json_t *list = json_array();
    int r = store_query(q->store,
                        "SELECT " COLUMNS " FROM consent_request r WHERE r.organization_id = $1 AND ($2 = '' OR "
                        "r.infrastructure_id = $2) AND ($3 = '' OR r.state = $3) ORDER BY r.created_at DESC, r.id "
                        "LIMIT 100",
                        STORE_ARGS(store_text(q->who.organization), store_text(infrastructure ? infrastructure : ""),
                                   store_text(state ? state : "")),
                        &rows, err);
    while (r == 0 && (r = store_next(rows, err)) == 1) {
        json_array_append_new(list, view(rows));
        r = 0;
    }
    if (r == 0)
        q->result = TAKE_PTR(list);
    return r;
}

static int load(struct api_request *q, const char *id, json_t **ret, struct err *err)
{
    autorows struct store_rows *rows = NULL;
    int r =
        store_query(q->store, "SELECT " COLUMNS " FROM consent_request r WHERE r.id = $1 AND r.organization_id = $2",
                    STORE_ARGS(store_text(id), store_text(q->who.organization)), &rows, err);
    if (r == 0)
        r = store_next(rows, err);
    if (r <= 0)
        return r < 0 ? r : api_missing(q, "request");
    *ret = view(rows);
    return 0;
}

int request_approvals(struct api_request *q, const char *id, json_t **ret, struct err *err)
{
    autorows struct store_rows *rows = NULL;
    autojson json_t *list = json_array();
    int r = store_query(q->store, "SELECT document FROM consent_approval WHERE request_id = $1 ORDER BY created_at, id",
                        STORE_ARGS(store_text(id)), &rows, err);
    while (r == 0 && (r = store_next(rows, err)) == 1) {
        json_array_append_new(list, api_column_json(rows, 0));
        r = 0;
    }
    if (r == 0)
        *ret = TAKE_PTR(list);
    return r;
}

static int answer_one(struct api_request *q, const char *id, struct err *err)
{
    json_t *approvals = NULL;
    int r = load(q, id, &q->result, err);
    if (r == 0)
        r = request_approvals(q, id, &approvals, err);
    if (r == 0)
        json_object_set_new(q->result, "approvals", approvals);
    return r;
}

int request_get(struct api_request *q, struct err *err)
{
    return answer_one(q, q->match.path[1], err);
}

/* A new generation is what the link role looks for. */
static int bump(struct api_request *q, const char *infrastructure, struct err *err)
{
    return store_exec(q->store,
                      "INSERT INTO consent (infrastructure_id, generation) VALUES ($1, 1) ON CONFLICT "
                      "(infrastructure_id) DO UPDATE SET generation = consent.generation + 1",
                      STORE_ARGS(store_text(infrastructure)), NULL, err);
}

static int is_ours(struct api_request *q, const char *infrastructure, struct err *err)
{
    int64_t there = 0;
    int r = api_number(q,
                       "SELECT count(*) FROM infrastructure WHERE id = $1 AND organization_id = $2 AND state <> "
                       "'infra-terminated'",
                       STORE_ARGS(store_text(infrastructure), store_text(q->who.organization)), &there, err);
    if (r < 0)
        return r;
    return there ? 0 : api_missing(q, "infrastructure");
}

static json_t *compose(struct api_request *q, const char *id, const char *infrastructure)
{
    static const char *const copied[] = {"operations", "deviceKey", "minutes", "severity", "preapproval", "state"};
    char created[CLOCK_ISO_SIZE], until[CLOCK_ISO_SIZE];
    const char *ticket = api_body_text(q, "ticket");
    json_t *hours = api_body(q, "hours"), *arguments = api_body(q, "arguments");
    clock_iso(q->now, created);
    clock_iso(q->now + (hours ? json_integer_value(hours) : 12) * 3600000, until);
    autojson json_t *none = json_object();
    json_t *o =
        json_pack("{ss si ss ss sO ss ss ss ss ss}", "type", "ownhouse/request", "v", 1, "id", id, "infrastructure",
                  infrastructure, "arguments", arguments ? arguments : none, "reason", api_body_text(q, "reason"),
                  "ticket", ticket ? ticket : "", "by", q->who.name, "createdAt", created, "notAfter", until);
    for (size_t i = 0; i < ARRAY_SIZE(copied); i++)
        if (api_body(q, copied[i]))
            json_object_set(o, copied[i], api_body(q, copied[i]));
    return o;
}

int request_preapproval(struct api_request *q, const char *id, json_t **ret, struct err *err)
{
    autorows struct store_rows *rows = NULL;
    int r = store_query(q->store, "SELECT document FROM consent_preapproval WHERE id = $1", STORE_ARGS(store_text(id)),
                        &rows, err);
    if (r == 0)
        r = store_next(rows, err);
    if (r < 0)
        return r;
    *ret = r ? api_column_json(rows, 0) : json_null();
    return 0;
}

int request_keep(struct api_request *q, const struct consent_request *c, const char *document, struct err *err)
{
    int64_t waiting = 0;
    int r = api_number(q,
                       "SELECT count(*) FROM consent_request WHERE infrastructure_id = $1 AND not_after > $2 AND "
                       "origin <> 'agent' AND state NOT IN ('done', 'failed')",
                       STORE_ARGS(store_text(c->infrastructure), store_int(q->now)), &waiting, err);
    if (r < 0)
        return r;
    if (waiting >= WAITING_MAX)
        return api_refuse(q, 409, "%d requests wait already for this infrastructure", WAITING_MAX);
    r = store_exec(q->store,
                   "INSERT INTO consent_request (id, organization_id, infrastructure_id, document, digest, origin, "
                   "state, created_at, not_after) VALUES ($1, $2, $3, $4, $5, 'api', 'waiting', $6, $7)",
                   STORE_ARGS(store_text(c->id), store_text(q->who.organization), store_text(c->infrastructure),
                              store_text(document), store_text(c->digest), store_int(q->now),
                              store_int(c->not_after_ms)),
                   NULL, err);
    if (r == -EEXIST)
        return api_refuse(q, 409, "request.id: there is a request with this number already");
    return r < 0 ? r : bump(q, c->infrastructure, err);
}

int request_create(struct api_request *q, struct err *err)
{
    const char *infrastructure = q->match.path[1];
    autorequest struct consent_request parsed = {0};
    struct err why = ERR_INIT;
    char id[UUID_SIZE];
    int r = is_ours(q, infrastructure, err);
    if (r < 0)
        return r;
    uuid_new(id);
    autojson json_t *document = compose(q, id, infrastructure);
    if (!document || request_from_json(document, &parsed, &why) < 0)
        return api_refuse(q, 400, "%s", document ? why.message : "the request has a text that is not UTF-8");
    autofree char *text = js_text(document);
    r = request_keep(q, &parsed, text, err);
    if (r == 0)
        r = api_activity(q, "consent_request", NULL, infrastructure, parsed.operations[0]->name, err);
    return r < 0 ? r : answer_one(q, id, err);
}

int request_approve(struct api_request *q, struct err *err)
{
    const char *id = q->match.path[1];
    const json_t *document = api_body(q, "approval");
    autojson json_t *request = NULL;
    struct approval a;
    struct err why = ERR_INIT;
    int64_t count = 0;
    int r = load(q, id, &request, err);
    if (r < 0)
        return r;
    if (approval_from_json(document, &a, &why) < 0)
        return api_refuse(q, 400, "%s", why.message);
    if (strcmp(a.request, id) || strcmp(a.digest, json_string_value(json_object_get(request, "digest"))))
        return api_refuse(q, 409, "approval.digest: is not the digest of this request; read it again and sign that");
    r = api_number(q, "SELECT count(*) FROM consent_approval WHERE request_id = $1", STORE_ARGS(store_text(id)), &count,
                   err);
    if (r < 0)
        return r;
    if (count >= 32)
        return api_refuse(q, 409, "the request has 32 signatures already");
    const char *infrastructure = json_string_value(json_object_get(request, "infrastructureId"));
    autofree char *text = js_text(document);
    r = store_exec(q->store,
                   "INSERT INTO consent_approval (id, request_id, document, created_at) VALUES ($1, $2, $3, $4) ON "
                   "CONFLICT DO NOTHING",
                   STORE_ARGS(store_text(a.signature_digest), store_text(id), store_text(text), store_int(q->now)),
                   NULL, err);
    if (r == 0)
        r = bump(q, infrastructure, err);
    if (r == 0)
        r = api_activity(q, a.deny ? "consent_deny" : "consent_approve", NULL, infrastructure, id, err);
    return r < 0 ? r : answer_one(q, id, err);
}

int preapproval_create(struct api_request *q, struct err *err)
{
    const char *infrastructure = q->match.path[1];
    const json_t *document = api_body(q, "preapproval");
    struct preapproval p;
    struct err why = ERR_INIT;
    int r = is_ours(q, infrastructure, err);
    if (r < 0)
        return r;
    if (preapproval_from_json(document, &p, &why) < 0)
        return api_refuse(q, 400, "%s", why.message);
    if (strcmp(p.infrastructure, infrastructure))
        return api_refuse(q, 400, "preapproval.infrastructure: is another infrastructure");
    autofree char *text = js_text(document);
    r = store_exec(
        q->store,
        "INSERT INTO consent_preapproval (id, infrastructure_id, document, not_after) VALUES ($1, $2, $3, "
        "$4) ON CONFLICT DO NOTHING",
        STORE_ARGS(store_text(p.id), store_text(infrastructure), store_text(text), store_int(p.not_after_ms)), NULL,
        err);
    if (r == 0)
        r = bump(q, infrastructure, err);
    if (r == 0)
        r = api_activity(q, "consent_preapproval", NULL, infrastructure, p.id, err);
    if (r == 0)
        q->result = json_pack("{ss ss}", "id", p.id, "digest", p.digest);
    return r;
}

/* The link role looks for new generations every few seconds anyway; people need not wait for that. */
int request_after(struct api_request *q, struct err *err OH_UNUSED)
{
    role_ring(q->api->role, ROLE_LINK);
    return 0;
}

int consent_get(struct api_request *q, struct err *err)
{
    const char *infrastructure = q->match.path[1];
    autofree char *path = mem_printf("%s/keys/witness.pub", q->api->role->config.state_dir), *witness = NULL;
    autorows struct store_rows *rows = NULL;
    int r = is_ours(q, infrastructure, err);
    if (r == 0)
        r = store_query(q->store,
                        "SELECT policy, policy_digest, reported_at, ledger_verifier, ledger_size, ledger_note, "
                        "ledger_at, ledger_error FROM consent WHERE infrastructure_id = $1",
                        STORE_ARGS(store_text(infrastructure)), &rows, err);
    if (r == 0)
        r = store_next(rows, err);
    if (r < 0)
        return r;
    if (fs_read(path, KIB(4), &witness, NULL, NULL) < 0)
        witness = mem_strdup("");
    witness[strcspn(witness, "\n")] = 0;
    bool there = r == 1 && !store_column_is_null(rows, 0);
    json_t *v = json_object();
    const char *verifier = r == 1 ? store_column_text(rows, 3) : NULL,
               *note = r == 1 ? store_column_text(rows, 5) : NULL;
    json_object_set_new(v, "policy", there ? api_column_json(rows, 0) : json_null());
    json_object_set_new(v, "policyDigest", json_string(there ? store_column_text(rows, 1) : ""));
    json_object_set_new(v, "reportedAt", there ? api_time(store_column_int(rows, 2)) : json_null());
    json_object_set_new(v, "ledgerVerifier", json_string(verifier ? verifier : ""));
    json_object_set_new(v, "ledgerSize", json_integer(r == 1 ? store_column_int(rows, 4) : 0));
    json_object_set_new(v, "ledgerCheckpoint", json_string(note ? note : ""));
    json_object_set_new(v, "ledgerError", json_string(r == 1 ? store_column_text(rows, 7) : ""));
    json_object_set_new(v, "witness", json_string(witness));
    q->result = v;
    return 0;
}
