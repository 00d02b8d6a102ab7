/* Reads and writes what the link role carries of consent. */
#include "control/link/directory_consent.h"

#include "base/clock.h"
#include "consent/request.h"

/* Documents of one kind as a JSON array. */
static int documents(struct store *s, const char *sql, const char *infrastructure, int64_t now_ms, json_t **ret,
                     struct err *err)
{
    autorows struct store_rows *rows = NULL;
    autojson json_t *list = json_array();
    int r = store_query(s, sql, STORE_ARGS(store_text(infrastructure), store_int(now_ms)), &rows, err);
    while (r == 0 && (r = store_next(rows, err)) == 1) {
        const char *text = store_column_text(rows, 0);
        autojson json_t *o = NULL;
        if (js_parse(text, strlen(text), REQUEST_MAX_BYTES, &o, NULL) == 0)
            json_array_append(list, o);
        r = 0;
    }
    if (r == 0)
        *ret = TAKE_PTR(list);
    return r;
}

int directory_consent(struct store *s, const char *infrastructure, int64_t now_ms, json_t **ret, struct err *err)
{
    autojson json_t *requests = NULL, *approvals = NULL, *templates = NULL;
    int r = documents(s,
                      "SELECT document FROM consent_request WHERE infrastructure_id = $1 AND not_after > $2 AND "
                      "origin <> 'agent' AND state NOT IN ('done', 'failed') ORDER BY created_at LIMIT 200",
                      infrastructure, now_ms, &requests, err);
    if (r == 0)
        r = documents(s,
                      "SELECT a.document FROM consent_approval a JOIN consent_request r ON r.id = a.request_id WHERE "
                      "r.infrastructure_id = $1 AND r.not_after > $2 AND r.state NOT IN ('done', 'failed') "
                      "ORDER BY a.created_at LIMIT 1000",
                      infrastructure, now_ms, &approvals, err);
    if (r == 0)
        r = documents(s,
                      "SELECT document FROM consent_preapproval WHERE infrastructure_id = $1 AND not_after > $2 "
                      "ORDER BY id LIMIT 50",
                      infrastructure, now_ms, &templates, err);
    if (r == 0)
        *ret = json_pack("{ss sO sO sO}", "type", "consent", "requests", requests, "approvals", approvals,
                         "preapprovals", templates);
    return r;
}

static int own_request(struct store *s, const char *infrastructure, const json_t *document, int64_t now_ms,
                       struct err *err)
{
    autorequest struct consent_request q = {0};
    autofree char *text = js_text(document);
    if (request_from_json(document, &q, NULL) < 0 || strcmp(q.infrastructure, infrastructure))
        return 0; /* not for people to sign */
    return store_exec(
        s,
        "INSERT INTO consent_request (id, organization_id, infrastructure_id, document, digest, origin, "
        "state, created_at, not_after) SELECT $1, organization_id, id, $3, $4, 'agent', 'waiting', $5, $6 "
        "FROM infrastructure WHERE id = $2 ON CONFLICT DO NOTHING",
        STORE_ARGS(store_text(q.id), store_text(infrastructure), store_text(text), store_text(q.digest),
                   store_int(now_ms), store_int(q.not_after_ms)),
        NULL, err);
}

static int64_t number(const json_t *o, const char *key)
{
    return json_integer_value(json_object_get(o, key));
}

static int one_state(struct store *s, const char *infrastructure, const json_t *o, int64_t now_ms, struct err *err)
{
    int r =
        json_object_get(o, "request") ? own_request(s, infrastructure, json_object_get(o, "request"), now_ms, err) : 0;
    if (r < 0)
        return r;
    return store_exec(s,
                      "UPDATE consent_request SET state = $3, why = $4, need_customer = $5, have_customer = $6, "
                      "need_vendor = $7, have_vendor = $8 WHERE id = $1 AND infrastructure_id = $2",
                      STORE_ARGS(store_text(js_text_at(o, "id")), store_text(infrastructure),
                                 store_text(js_text_at(o, "state")), store_text(js_text_at(o, "why")),
                                 store_int(number(o, "needCustomer")), store_int(number(o, "haveCustomer")),
                                 store_int(number(o, "needVendor")), store_int(number(o, "haveVendor"))),
                      NULL, err);
}

int directory_consent_state(struct store *s, const char *infrastructure, const json_t *state, int64_t now_ms,
                            struct err *err)
{
    autofree char *policy = js_text(json_object_get(state, "policy"));
    const json_t *list = json_object_get(state, "requests");
    int r =
        store_exec(s,
                   "INSERT INTO consent (infrastructure_id, policy, policy_digest, reported_at) VALUES ($1, $2, $3, "
                   "$4) ON CONFLICT (infrastructure_id) DO UPDATE SET policy = $2, policy_digest = $3, reported_at "
                   "= $4",
                   STORE_ARGS(store_text(infrastructure), store_text(policy),
                              store_text(js_text_at(state, "policyDigest")), store_int(now_ms)),
                   NULL, err);
    for (size_t i = 0; r == 0 && i < json_array_size(list); i++)
        r = one_state(s, infrastructure, json_array_get(list, i), now_ms, err);
    return r;
}

int directory_ledger(struct store *s, const char *infrastructure, const char *verifier, uint64_t size, const char *note,
                     const char *error, int64_t now_ms, struct err *err)
{
    int r = store_exec(s, "INSERT INTO consent (infrastructure_id) VALUES ($1) ON CONFLICT DO NOTHING",
                       STORE_ARGS(store_text(infrastructure)), NULL, err);
    if (r == 0 && note)
        r = store_exec(s,
                       "UPDATE consent SET ledger_verifier = $2, ledger_size = $3, ledger_note = $4, ledger_at = $5, "
                       "ledger_error = '' WHERE infrastructure_id = $1",
                       STORE_ARGS(store_text(infrastructure), store_text(verifier), store_int((int64_t)size),
                                  store_text(note), store_int(now_ms)),
                       NULL, err);
    if (r == 0 && !note)
        r = store_exec(s, "UPDATE consent SET ledger_error = $2 WHERE infrastructure_id = $1",
                       STORE_ARGS(store_text(infrastructure), store_text(error)), NULL, err);
    return r;
}
