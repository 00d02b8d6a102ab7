/* Signatures on plans: checked against the policy that the data plane reported, kept, and counted as the agent counts.
 */
#include "control/api/plan_signatures.h"

#include "base/mem.h"
#include "consent/consent.h"
#include "control/api/handlers.h"

#define SIGNATURES_MAX 32

static int load_policy(struct api_request *q, const char *infrastructure, struct policy **ret, struct err *err)
{
    autorows struct store_rows *rows = NULL;
    int r = store_query(q->store, "SELECT policy FROM consent WHERE infrastructure_id = $1 AND policy IS NOT NULL",
                        STORE_ARGS(store_text(infrastructure)), &rows, err);
    if (r == 0)
        r = store_next(rows, err);
    if (r <= 0)
        return r;
    const char *text = store_column_text(rows, 0);
    /* One that this version cannot read counts as unknown: an agent may be newer. */
    return policy_parse(text, strlen(text), ret, NULL) < 0 ? 0 : 1;
}

int plan_signatures_list(struct api_request *q, const char *plan, json_t **ret, struct err *err)
{
    autorows struct store_rows *rows = NULL;
    autojson json_t *list = json_array();
    int r = store_query(q->store, "SELECT document FROM plan_approval WHERE plan_id = $1 ORDER BY created_at, id",
                        STORE_ARGS(store_text(plan)), &rows, err);
    while (r == 0 && (r = store_next(rows, err)) == 1) {
        json_array_append_new(list, api_column_json(rows, 0));
        r = 0;
    }
    if (r == 0)
        *ret = TAKE_PTR(list);
    return r;
}

/* The same judge as in the data plane; a plan has no end of its own, so it is asked for now. */
static void judge(const struct api_request *q, const json_t *plan, const struct policy *policy, const json_t *approvals,
                  struct plan_signatures *ret)
{
    struct consent_request request = {.n_operations = 1, .created_ms = q->now, .not_after_ms = q->now + 1};
    struct consent_verdict v = {0};
    autofree struct approval *parsed = mem_alloc(CONSENT_MAX_APPROVALS * sizeof(*parsed));
    const json_t *one;
    size_t i, n = 0;
    request.operations[0] = operation_find("infrastructure.plan");
    snprintf(request.id, sizeof(request.id), "%s", js_text_at(plan, "id"));
    snprintf(request.infrastructure, sizeof(request.infrastructure), "%s", js_text_at(plan, "infrastructureId"));
    snprintf(request.digest, sizeof(request.digest), "%s", js_text_at(plan, "digest"));
    json_array_foreach(approvals, i, one)
    {
        if (n < CONSENT_MAX_APPROVALS && approval_from_json(one, &parsed[n], NULL) == 0)
            n++;
    }
    consent_check(&(struct consent_input){.policy = policy,
                                          .request = &request,
                                          .infrastructure = request.infrastructure,
                                          .approvals = parsed,
                                          .n_approvals = n,
                                          .now_ms = q->now},
                  &v);
    ret->allowed = v.state == CONSENT_ALLOWED;
    ret->need = v.need_customer + v.need_vendor;
    ret->have = v.have_customer + v.have_vendor;
    snprintf(ret->why, sizeof(ret->why), "%s", v.why);
    for (i = 0; i < v.n_signers; i++)
        buf_printf(&ret->signers, "%s%s", i ? ", " : "", v.signers[i]);
}

int plan_signatures_count(struct api_request *q, const json_t *plan, struct plan_signatures *ret, struct err *err)
{
    autopolicy struct policy *policy = NULL;
    autojson json_t *approvals = NULL;
    *ret = (struct plan_signatures){.allowed = true, .signers = BUF_INIT};
    int r = load_policy(q, js_text_at(plan, "infrastructureId"), &policy, err);
    if (r == 1 && (r = plan_signatures_list(q, js_text_at(plan, "id"), &approvals, err)) == 0)
        judge(q, plan, policy, approvals, ret);
    return r;
}

static int check_signer(struct api_request *q, const json_t *plan, const struct approval *a, struct err *err)
{
    autopolicy struct policy *policy = NULL;
    int r = load_policy(q, js_text_at(plan, "infrastructureId"), &policy, err);
    if (r < 0)
        return r;
    if (!policy)
        return api_refuse(q, 409,
                          "approval: no data plane has said yet whose signatures count here; approve by the digest");
    if (policy_key_find(policy->approvers, policy->n_approvers, a->by) < 0 &&
        policy_key_find(policy->vendors, policy->n_vendors, a->by) < 0)
        return api_refuse(q, 409, "approval.by: is not a key that the customer's policy names");
    if (a->not_after_ms <= q->now)
        return api_refuse(q, 409, "approval.notAfter: has passed; sign again");
    return 0;
}

int plan_signatures_take(struct api_request *q, const json_t *plan, const json_t *document, struct err *err)
{
    struct approval a;
    struct err why = ERR_INIT;
    int64_t count = 0;
    if (approval_from_json(document, &a, &why) < 0)
        return api_refuse(q, 400, "approval: %s", why.message);
    if (strcmp(a.request, js_text_at(plan, "id")) || strcmp(a.infrastructure, js_text_at(plan, "infrastructureId")) ||
        strcmp(a.digest, js_text_at(plan, "digest")))
        return api_refuse(q, 409, "approval.digest: is not the digest of this plan; read it again and sign that");
    if (a.deny)
        return api_refuse(q, 409, "approval.verdict: a plan is not denied but discarded");
    int r = check_signer(q, plan, &a, err);
    if (r < 0)
        return r;
    r = api_number(q, "SELECT count(*) FROM plan_approval WHERE plan_id = $1", STORE_ARGS(store_text(a.request)),
                   &count, err);
    if (r == 0 && count >= SIGNATURES_MAX) {
        return api_refuse(q, 409, "the plan has %d signatures already", SIGNATURES_MAX);
    }
    autofree char *text = js_text(document);
    if (r == 0)
        r = store_exec(
            q->store,
            "INSERT INTO plan_approval (id, plan_id, document, created_at) VALUES ($1, $2, $3, $4) ON "
            "CONFLICT DO NOTHING",
            STORE_ARGS(store_text(a.signature_digest), store_text(a.request), store_text(text), store_int(q->now)),
            NULL, err);
    if (r == 0)
        r = api_activity(q, "consent_approve", NULL, a.infrastructure, a.digest, err);
    return r;
}

void plan_signatures_free(struct plan_signatures *s)
{
    buf_free(&s->signers);
}
