/* Plans: what was proposed, and its approval. */
#include "control/api/handlers.h"
#include "control/api/plan_signatures.h"

#define COLUMNS                                                                                                \
    "p.id, p.infrastructure_id, p.kind, p.state, p.digest, p.document, p.error, p.created_at, p.approved_at, " \
    "p.approved_by, p.finished_at"
#define TABLES "plan p JOIN infrastructure i ON i.id = p.infrastructure_id"

static json_t *summary(const json_t *document)
{
    static const char *const names[] = {"create", "change", "replace", "destroy", "none"};
    const json_t *from = json_object_get(document, "summary");
    json_t *v = json_object();
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        json_object_set_new(v, names[i], json_integer(json_integer_value(json_object_get(from, names[i]))));
    return v;
}

static json_t *view(struct store_rows *rows, bool details)
{
    json_t *document = api_column_json(rows, 5);
    const char *by = store_column_text(rows, 9);
    json_t *v = json_object();
    static const char *const texts[] = {"id", "infrastructureId", "kind", "state", "digest"};
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        json_object_set_new(v, texts[i], json_string(store_column_text(rows, (int)i)));
    json_object_set_new(v, "summary", summary(document));
    json_object_set_new(v, "deleteData", json_boolean(json_is_true(json_object_get(document, "delete_data"))));
    json_object_set_new(v, "error", json_string(store_column_text(rows, 6)));
    json_object_set_new(v, "createdAt", api_time(store_column_int(rows, 7)));
    json_object_set_new(v, "approvedAt", api_time_or_null(rows, 8));
    json_object_set_new(v, "approvedBy", by ? json_string(by) : json_null());
    json_object_set_new(v, "finishedAt", api_time_or_null(rows, 10));
    json_t *estimate = json_object_get(document, "estimate");
    if (details) {
        json_object_set_new(v, "estimate", estimate ? json_incref(estimate) : json_null());
        json_object_set(v, "document", document);
    }
    json_decref(document);
    return v;
}

int plan_views(struct api_request *q, const char *infrastructure, const char *state, int limit, json_t **ret,
               struct err *err)
{
    autorows struct store_rows *rows = NULL;
    autojson json_t *list = json_array();
    int r = store_query(q->store,
                        "SELECT " COLUMNS " FROM " TABLES
                        " WHERE i.organization_id = $1 AND ($2 = '' OR p.infrastructure_id = $2) AND "
                        "($3 = '' OR p.state = $3) ORDER BY p.created_at DESC, p.id LIMIT $4",
                        STORE_ARGS(store_text(q->who.organization), store_text(infrastructure ? infrastructure : ""),
                                   store_text(state ? state : ""), store_int(limit)),
                        &rows, err);
    while (r == 0 && (r = store_next(rows, err)) == 1) {
        json_array_append_new(list, view(rows, false));
        r = 0;
    }
    if (r == 0)
        *ret = TAKE_PTR(list);
    return r;
}

/* One row, by the index: a list of infrastructures asks for each. */
int plan_current(struct api_request *q, const char *infrastructure, json_t **ret, struct err *err)
{
    autorows struct store_rows *rows = NULL;
    int r = store_query(q->store,
                        "SELECT " COLUMNS " FROM plan p WHERE p.infrastructure_id = $1 ORDER BY "
                        "p.state IN ('proposed', 'approved', 'applying') DESC, p.created_at DESC, p.id LIMIT 1",
                        STORE_ARGS(store_text(infrastructure)), &rows, err);
    if (r == 0)
        r = store_next(rows, err);
    if (r >= 0)
        *ret = r ? view(rows, false) : json_null();
    return MIN(r, 0);
}

int plan_supersede(struct api_request *q, const char *infrastructure, struct err *err)
{
    return store_exec(q->store,
                      "UPDATE plan SET state = 'superseded', finished_at = $2 WHERE infrastructure_id = $1 AND "
                      "state = 'proposed'",
                      STORE_ARGS(store_text(infrastructure), store_int(q->now)), NULL, err);
}

int plan_list(struct api_request *q, struct err *err)
{
    return plan_views(q, api_query(q, "infrastructureId"), api_query(q, "state"), 100, &q->result, err);
}

static int load(struct api_request *q, bool details, json_t **ret, struct err *err)
{
    autorows struct store_rows *rows = NULL;
    int r = store_query(q->store, "SELECT " COLUMNS " FROM " TABLES " WHERE p.id = $1 AND i.organization_id = $2",
                        STORE_ARGS(store_text(q->match.path[1]), store_text(q->who.organization)), &rows, err);
    if (r == 0)
        r = store_next(rows, err);
    if (r <= 0)
        return r < 0 ? r : api_missing(q, "plan");
    *ret = view(rows, details);
    return 0;
}

/* The newest phase of each step, in the order in which steps began. */
static int steps(struct api_request *q, json_t **ret, struct err *err)
{
    autorows struct store_rows *rows = NULL;
    autojson json_t *list = json_array();
    int r = store_query(q->store,
                        "SELECT j.resource, j.action, j.phase, j.detail, j.at FROM journal j JOIN (SELECT token, "
                        "min(seq) AS first, max(seq) AS last FROM journal WHERE plan_id = $1 GROUP BY token) t "
                        "ON t.last = j.seq ORDER BY t.first",
                        STORE_ARGS(store_text(q->match.path[1])), &rows, err);
    while (r == 0 && (r = store_next(rows, err)) == 1) {
        const char *phase = store_column_text(rows, 2);
        const char *detail = !strcmp(phase, "failed") ? store_column_text(rows, 3) : "";
        json_array_append_new(list, json_pack("{s:s,s:s,s:s,s:s,s:o}", "resource", store_column_text(rows, 0), "action",
                                              store_column_text(rows, 1), "phase", phase, "detail", detail, "at",
                                              api_time(store_column_int(rows, 4))));
        r = 0;
    }
    if (r == 0)
        *ret = TAKE_PTR(list);
    return r;
}

int plan_get(struct api_request *q, struct err *err)
{
    autosignatures struct plan_signatures signatures = {0};
    json_t *list = NULL, *approvals = NULL;
    int r = load(q, true, &q->result, err);
    if (r == 0)
        r = steps(q, &list, err);
    if (r == 0)
        json_object_set_new(q->result, "steps", list);
    if (r == 0)
        r = plan_signatures_list(q, q->match.path[1], &approvals, err);
    if (r == 0)
        json_object_set_new(q->result, "approvals", approvals);
    if (r == 0)
        r = plan_signatures_count(q, q->result, &signatures, err);
    if (r == 0) {
        json_object_set_new(q->result, "needSignatures", json_integer(signatures.need));
        json_object_set_new(q->result, "haveSignatures", json_integer(signatures.have));
    }
    return r;
}

int removal_report_get(struct api_request *q, struct err *err)
{
    autorows struct store_rows *rows = NULL;
    const char *id = q->match.path[1];
    int r = store_query(
        q->store, "SELECT report, made_at FROM removal_report WHERE infrastructure_id = $1 AND organization_id = $2",
        STORE_ARGS(store_text(id), store_text(q->who.organization)), &rows, err);
    if (r == 0)
        r = store_next(rows, err);
    if (r <= 0)
        return r < 0 ? r : api_missing(q, "removal report");
    q->result = api_column_json(rows, 0);
    json_object_set_new(q->result, "infrastructureId", json_string(id));
    json_object_set_new(q->result, "madeAt", api_time(store_column_int(rows, 1)));
    return 0;
}

static const char *text_of(const json_t *v, const char *name)
{
    return json_string_value(json_object_get(v, name));
}

static int set_approved(struct api_request *q, const json_t *plan, const char *signers, struct err *err)
{
    autofree char *by = mem_printf("%s %s%s%s", *q->who.key ? "API key" : "user", q->who.name,
                                   *signers ? ", with signatures of " : "", signers);
    int r = store_exec(q->store, "UPDATE plan SET state = 'approved', approved_at = $2, approved_by = $3 WHERE id = $1",
                       STORE_ARGS(store_text(q->match.path[1]), store_int(q->now), store_text(by)), NULL, err);
    if (r == 0)
        r = api_activity(q, "infrastructure_plan_approve", NULL, text_of(plan, "infrastructureId"),
                         text_of(plan, "digest"), err);
    return r;
}

/* A signature that is not the last one wanted is kept, and the plan goes on waiting. */
static int approve_proposed(struct api_request *q, const json_t *plan, struct err *err)
{
    autosignatures struct plan_signatures signatures = {0};
    const json_t *approval = api_body(q, "approval");
    int r = approval ? plan_signatures_take(q, plan, approval, err) : 0;
    if (r == 0)
        r = plan_signatures_count(q, plan, &signatures, err);
    if (r < 0)
        return r;
    if (signatures.allowed)
        r = set_approved(q, plan, signatures.signers.data ? signatures.signers.data : "", err);
    else if (!approval)
        return api_refuse(q, 409,
                          "the customer's policy does not allow the plan yet: %s; sign it with `ownhouse approve`",
                          signatures.why);
    return r < 0 ? r : load(q, false, &q->result, err);
}

int plan_approve(struct api_request *q, struct err *err)
{
    autojson json_t *plan = NULL;
    int r = load(q, false, &plan, err);
    if (r < 0)
        return r;
    const char *state = text_of(plan, "state");
    if (strcmp(text_of(plan, "digest"), api_body_text(q, "digest")))
        return api_refuse(q, 409,
                          "digest: is not the digest of this plan; read the plan again and approve what it says");
    if (!strcmp(state, "approved") || !strcmp(state, "applying") || !strcmp(state, "applied")) {
        q->result = json_incref(plan);
        return 0;
    }
    if (strcmp(state, "proposed"))
        return api_refuse(q, 409, "the plan is %s and cannot be approved; read the newest plan", state);
    return approve_proposed(q, plan, err);
}

int plan_discard(struct api_request *q, struct err *err)
{
    autojson json_t *plan = NULL;
    int r = load(q, false, &plan, err);
    if (r < 0)
        return r;
    const char *state = text_of(plan, "state"), *infrastructure = text_of(plan, "infrastructureId");
    if (!strcmp(state, "discarded")) {
        q->result = json_incref(plan);
        return 0;
    }
    if (strcmp(state, "proposed"))
        return api_refuse(q, 409, "the plan is %s; only a proposed plan can be discarded", state);
    r = store_exec(q->store, "UPDATE plan SET state = 'discarded', finished_at = $2 WHERE id = $1",
                   STORE_ARGS(store_text(q->match.path[1]), store_int(q->now)), NULL, err);
    if (r == 0 && !strcmp(text_of(plan, "kind"), "destroy"))
        r = store_exec(q->store, "UPDATE infrastructure SET want = 'present', delete_data = 0 WHERE id = $1",
                       STORE_ARGS(store_text(infrastructure)), NULL, err);
    if (r == 0)
        r = api_activity(q, "infrastructure_plan_discard", NULL, infrastructure, text_of(plan, "digest"), err);
    return r < 0 ? r : load(q, false, &q->result, err);
}
