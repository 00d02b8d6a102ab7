/* Proposes, applies and repairs: the controller's work on one infrastructure. */
#include "control/controller/infrastructure_pass.h"

#include "base/keys.h"
#include "cloud/estimate.h"
#include "control/activity.h"
#include "control/controller/drift.h"
#include "control/controller/plan_store.h"
#include "control/controller/provider.h"
#include "control/controller/removal.h"
#include "control/controller/service_resources.h"

const char *const pass_result_names[] = {"quiet", "proposed", "applied", "repaired", "gone", "quiet"};

struct pass {
    const struct pass_context *ctx;
    struct arena *arena;
    struct infrastructure_row row;
    struct provider provider;
    struct plan_store records;
    struct drift drift;
    struct service_resources services;
};

/* The newest plan that still matters: proposed, approved or applying. */
struct open_plan {
    char id[UUID_SIZE], digest[65], state[16];
    json_t *document; /* NULL = there is none */
};

static int find_open_plan(struct pass *p, struct open_plan *ret, struct err *err)
{
    autorows struct store_rows *rows = NULL;
    ret->document = NULL;
    int r = store_query(p->ctx->store,
                        "SELECT id, digest, state, document FROM plan WHERE infrastructure_id = $1 AND state IN "
                        "('proposed', 'approved', 'applying') ORDER BY created_at DESC, id LIMIT 1",
                        STORE_ARGS(store_text(p->row.id)), &rows, err);
    if (r == 0)
        r = store_next(rows, err);
    if (r <= 0)
        return r;
    const char *text = store_column_text(rows, 3);
    snprintf(ret->id, sizeof(ret->id), "%s", store_column_text(rows, 0));
    snprintf(ret->digest, sizeof(ret->digest), "%s", store_column_text(rows, 1));
    snprintf(ret->state, sizeof(ret->state), "%s", store_column_text(rows, 2));
    return js_parse(text, strlen(text), PLAN_DOCUMENT_MAX, &ret->document, err);
}

static struct plan_context engine(struct pass *p)
{
    return (struct plan_context){
        .infrastructure = p->row.id,
        .types = p->provider.types,
        .provider = p->provider.cloud,
        .state = &p->records.state,
        .clock = p->ctx->clock,
        .cancel = p->ctx->cancel,
    };
}

/* What was applied last wanted the same. */
static bool was_applied(struct pass *p, const json_t *document)
{
    autorows struct store_rows *rows = NULL;
    autojson json_t *last = NULL;
    if (store_query(p->ctx->store,
                    "SELECT document FROM plan WHERE infrastructure_id = $1 AND state = 'applied' AND kind = 'apply' "
                    "ORDER BY finished_at DESC LIMIT 1",
                    STORE_ARGS(store_text(p->row.id)), &rows, NULL) < 0 ||
        store_next(rows, NULL) != 1)
        return false;
    const char *text = store_column_text(rows, 0);
    return js_parse(text, strlen(text), PLAN_DOCUMENT_MAX, &last, NULL) == 0 &&
           json_equal(json_object_get(last, "desired"), json_object_get(document, "desired"));
}

/* The account's owner wants to decide of each difference himself, also on this machine. */
static bool asks_first(const struct pass *p)
{
    autojson json_t *config = NULL;
    if (js_parse(p->row.account_config, strlen(p->row.account_config), MIB(1), &config, NULL) < 0)
        return false;
    const char *drift = json_string_value(json_object_get(config, "drift"));
    return drift && !strcmp(drift, "ask");
}

/* Something that was applied is not as it was: a process ended, a namespace is gone after a reboot. What was approved
 * may be put back without asking again, as long as it is the same desired state and destroys nothing that holds data.
 */
static bool may_repair(struct pass *p, const json_t *document)
{
    const json_t *change;
    size_t i;
    if (strcmp(p->row.state, "infra-ready") || (!p->drift.settled && !was_applied(p, document)) || asks_first(p))
        return false;
    json_array_foreach(json_object_get(document, "changes"), i, change)
    {
        const char *key = json_string_value(json_object_get(change, "resource"));
        const char *action = json_string_value(json_object_get(change, "action"));
        if (json_is_true(json_object_get(change, "destroys_data")))
            return false;
        /* In a customer's account every change is asked for, also one that puts back what was. */
        if (p->provider.remote && key && strncmp(key, "local_", 6) && action && strcmp(action, "none"))
            return false;
    }
    return true;
}

/* In the document, so that cost, time and actions are part of what is approved. */
static void estimate(struct pass *p, json_t *document)
{
    json_object_set_new(document, "estimate",
                        cloud_estimate(p->row.provider, p->row.region, p->provider.graph, document));
}

static int make(struct pass *p, json_t **ret, struct err *err)
{
    struct plan_context c = engine(p);
    bool remove = !strcmp(p->row.want, "absent");
    json_t *document = NULL;
    int r = plan_make(&c, p->provider.graph, remove ? PLAN_REMOVE : PLAN_APPLY, remove && p->row.delete_data, &document,
                      err);
    if (r < 0)
        return r;
    if (!remove) {
        service_resources_hold(&p->services, document, false);
        /* What is put back without asking is not worth a person's look. */
        if (plan_is_empty(document) || !may_repair(p, document))
            r = drift_note(&p->drift, document, err);
        drift_hold(&p->drift, document);
    }
    if (r < 0) {
        json_decref(document);
        return r;
    }
    estimate(p, document);
    *ret = document;
    return 0;
}

/* 1 if a plan was approved since this pass looked, or something else is wanted by now, as data that are kept after all:
 * then that goes first. */
static int overtaken(struct pass *p, struct err *err)
{
    autorows struct store_rows *rows = NULL;
    int r = store_query(p->ctx->store,
                        "SELECT 1 FROM plan WHERE infrastructure_id = $1 AND state IN ('approved', 'applying') "
                        "UNION ALL SELECT 1 FROM infrastructure WHERE id = $1 AND (want <> $2 OR delete_data <> $3)",
                        STORE_ARGS(store_text(p->row.id), store_text(p->row.want), store_int(p->row.delete_data)),
                        &rows, err);
    return r < 0 ? r : store_next(rows, err);
}

/* Stores a plan as `state`, and its activity, in one transaction; older proposals are superseded. 1, and
 * nothing is stored, when somebody approved one of them meanwhile or wants something else. */
static int keep_plan(struct pass *p, const json_t *document, const char *state, const char *approved_by,
                     char ret_id[UUID_SIZE], struct err *err)
{
    struct store *s = p->ctx->store;
    autofree char *text = js_text(document);
    const char *kind = json_string_value(json_object_get(document, "kind"));
    int64_t now = clock_wall_ms(p->ctx->clock);
    char digest[65];
    int r = plan_digest(document, digest, err);
    if (r == 0)
        r = store_begin(s, err);
    if (r < 0)
        return r;
    uuid_new(ret_id);
    r = overtaken(p, err);
    if (r > 0) {
        store_rollback(s);
        return 1;
    }
    /* What somebody may be reading stays while services come and go. */
    if (r == 0 && !service_resources_is_own(document))
        r = store_exec(s,
                       "UPDATE plan SET state = 'superseded', finished_at = $2 WHERE infrastructure_id = $1 AND "
                       "state = 'proposed'",
                       STORE_ARGS(store_text(p->row.id), store_int(now)), NULL, err);
    if (r == 0)
        r = store_exec(s,
                       "INSERT INTO plan (id, infrastructure_id, kind, state, digest, document, created_at, "
                       "approved_at, approved_by) "
                       "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
                       STORE_ARGS(store_text(ret_id), store_text(p->row.id), store_text(kind), store_text(state),
                                  store_text(digest), store_text(text), store_int(now),
                                  approved_by ? store_int(now) : store_null(), store_text(approved_by)),
                       NULL, err);
    if (r == 0)
        r = activity_system(s, p->ctx->clock, p->row.organization_id, "infrastructure_plan", NULL, p->row.id, digest,
                            err);
    if (r == 0)
        r = store_commit(s, err);
    if (r < 0)
        store_rollback(s);
    return r;
}

static int set_error(struct pass *p, const char *text, struct err *err)
{
    return store_exec(p->ctx->store, "UPDATE infrastructure SET error = $2 WHERE id = $1 AND error <> $2",
                      STORE_ARGS(store_text(p->row.id), store_text(text)), NULL, err);
}

static int report_removal(struct pass *p, struct err *err)
{
    struct plan_context c = engine(p);
    return removal_report(p->ctx->store, &p->row, &p->provider, &c, err);
}

/* The infrastructure is as wanted: says so, once. */
static int settle(struct pass *p, const char *kind, struct err *err)
{
    bool gone = !strcmp(kind, "destroy");
    const char *state = gone ? "infra-terminated" : "infra-ready";
    struct store *s = p->ctx->store;
    int r = gone ? 0 : drift_settle(&p->drift, err);
    if (r < 0 || !strcmp(p->row.state, state))
        return r < 0 ? r : set_error(p, "", err);
    if (gone)
        r = report_removal(p, err);
    if (r < 0)
        return r;
    r = store_begin(s, err);
    if (r < 0)
        return r;
    r = store_exec(s, "UPDATE infrastructure SET state = $2, error = '' WHERE id = $1",
                   STORE_ARGS(store_text(p->row.id), store_text(state)), NULL, err);
    if (r == 0 && gone)
        r = store_exec(s, "UPDATE agent SET state = 'revoked', connected_since = NULL WHERE infrastructure_id = $1",
                       STORE_ARGS(store_text(p->row.id)), NULL, err);
    /* Nor may a token that nobody used let a stranger in, now or when the infrastructure is taken up again. */
    if (r == 0 && gone)
        r = store_exec(s, "DELETE FROM enrolment_token WHERE infrastructure_id = $1", STORE_ARGS(store_text(p->row.id)),
                       NULL, err);
    if (r == 0 && gone)
        r = store_exec(s, "DELETE FROM drift WHERE infrastructure_id = $1", STORE_ARGS(store_text(p->row.id)), NULL,
                       err);
    /* Nothing runs any more where they lived, whatever the last word of the agent was. */
    if (r == 0 && gone)
        r = store_exec(s, "DELETE FROM service WHERE infrastructure_id = $1", STORE_ARGS(store_text(p->row.id)), NULL,
                       err);
    /* Its versions go on if it is ever taken up again: the signer and agents know the last one. */
    if (r == 0 && gone)
        r = store_exec(s, "UPDATE desired_document SET content_digest = '' WHERE infrastructure_id = $1",
                       STORE_ARGS(store_text(p->row.id)), NULL, err);
    if (r == 0)
        r = activity_system(s, p->ctx->clock, p->row.organization_id,
                            gone ? "infrastructure_removed" : "infrastructure_ready", NULL, p->row.id, "", err);
    if (r == 0)
        r = store_commit(s, err);
    if (r < 0)
        store_rollback(s);
    return r;
}

static int finish_plan(struct pass *p, const char *id, const char *state, const char *error, struct err *err)
{
    return store_exec(
        p->ctx->store, "UPDATE plan SET state = $2, error = $3, finished_at = $4 WHERE id = $1",
        STORE_ARGS(store_text(id), store_text(state), store_text(error), store_int(clock_wall_ms(p->ctx->clock))), NULL,
        err);
}

/* What became of an apply decides what the rows say. A plan stays 'applying' over a cancel (our own stop), so the next
 * start goes on with it. */
static int conclude(struct pass *p, const struct open_plan *plan, int applied, const struct err *why, struct err *err)
{
    const char *kind = json_string_value(json_object_get(plan->document, "kind"));
    bool own = service_resources_is_own(plan->document);
    int r;
    if (applied == -ECANCELED)
        return 0;
    /* Whoever reads that the removal failed finds its report. */
    r = applied < 0 && applied != -ESTALE && !strcmp(kind, "destroy") ? report_removal(p, err) : 0;
    if (r == 0)
        r = finish_plan(p, plan->id,
                        applied == 0         ? "applied"
                        : applied == -ESTALE ? "superseded"
                                             : "failed",
                        applied ? why->message : "", err);
    /* What could not be put back is asked about again, not tried again. */
    if (r == 0 && applied < 0)
        r = store_exec(p->ctx->store,
                       "UPDATE drift SET state = 'open' WHERE infrastructure_id = $1 AND state = 'reverting'",
                       STORE_ARGS(store_text(p->row.id)), NULL, err);
    if (r == 0 && own && applied == 0)
        r = set_error(p, "", err);
    else if (r == 0)
        r = applied == 0 ? settle(p, kind, err) : set_error(p, applied == -ESTALE ? "" : why->message, err);
    return r;
}

static int apply(struct pass *p, const struct open_plan *plan, struct err *err)
{
    struct plan_context c = engine(p);
    struct err why = ERR_INIT;
    autojson json_t *report = NULL;
    int r = store_exec(p->ctx->store, "UPDATE plan SET state = 'applying' WHERE id = $1 AND state = 'approved'",
                       STORE_ARGS(store_text(plan->id)), NULL, err);
    if (r == 0)
        r = provider_arm(&p->provider, plan->digest, plan->document, err);
    if (r < 0) {
        const char *said = err ? err->message : "the account's roles cannot be taken up";
        (void)set_error(p, said, NULL);
        /* All else must not wait for it. */
        if (service_resources_is_own(plan->document))
            (void)finish_plan(p, plan->id, "failed", said, NULL);
        return r;
    }
    struct lease lease;
    r = lease_take(p->ctx->store, p->ctx->clock, p->row.id, p->ctx->holder, &lease, err);
    if (r < 0)
        return r;
    p->records.plan_id = plan->id;
    p->records.lease = &lease;
    int applied = plan_apply(&c, p->provider.graph, plan->document, plan->digest, &p->records.journal, &report, &why);
    p->records.lease = NULL;
    lease_give_back(p->ctx->store, &lease);
    r = conclude(p, plan, applied, &why, err);
    return r < 0 ? r : applied < 0 ? err_set(err, applied, "%s", why.message) : 0;
}

/* Puts back what needs no further approval: `by` says why. */
static int repair(struct pass *p, const json_t *document, const char *by, enum pass_result *ret, struct err *err)
{
    struct open_plan plan = {.state = "approved", .document = (json_t *)(uintptr_t)document};
    int r = keep_plan(p, document, "approved", by, plan.id, err);
    if (r > 0)
        return 0;
    if (r == 0)
        r = plan_digest(document, plan.digest, err);
    if (r == 0)
        r = apply(p, &plan, err);
    if (r == 0)
        *ret = PASS_REPAIRED;
    return r;
}

/* Exactly what a person looked at and decided to put back: the document holds nothing else. */
static int put_back(struct pass *p, const json_t *document, enum pass_result *ret, struct err *err)
{
    autofree char *by = mem_printf("%s (drift)", p->drift.reverted_by);
    return repair(p, document, by, ret, err);
}

/* Somebody has said no to exactly this. It is proposed again when the world or the wish changes, or when asked for. */
static int was_discarded(struct pass *p, const json_t *document, struct err *err)
{
    autorows struct store_rows *rows = NULL;
    char digest[65];
    int r = plan_digest(document, digest, err);
    if (r == 0)
        r = store_query(p->ctx->store,
                        "SELECT 1 FROM plan WHERE infrastructure_id = $1 AND digest = $2 AND state = 'discarded'",
                        STORE_ARGS(store_text(p->row.id), store_text(digest)), &rows, err);
    return r < 0 ? r : store_next(rows, err);
}

/* No plan is open: is everything as wanted? */
static int look(struct pass *p, enum pass_result *ret, struct err *err)
{
    autojson json_t *document = NULL;
    char id[UUID_SIZE];
    bool remove = !strcmp(p->row.want, "absent");
    int r = 0;
    if (!remove && p->provider.has_local && !strcmp(p->row.state, "infra-provisioning"))
        r = cloud_local_preflight(&p->provider.local, err);
    if (r == 0)
        r = make(p, &document, err);
    if (r < 0) {
        (void)set_error(p, err ? err->message : "the plan could not be made", NULL);
        return r;
    }
    if (plan_is_empty(document)) {
        *ret = remove ? PASS_GONE : p->provider.remote ? PASS_QUIET_REMOTE : PASS_QUIET;
        return settle(p, remove ? "destroy" : "apply", err);
    }
    if (!remove && *p->drift.reverted_by)
        return put_back(p, document, ret, err);
    if (!remove && may_repair(p, document))
        return repair(p, document, "repair of an approved plan", ret, err);
    r = was_discarded(p, document, err);
    if (r != 0)
        return MIN(r, 0);
    *ret = PASS_PROPOSED;
    return MIN(keep_plan(p, document, "proposed", NULL, id, err), 0);
}

/* A proposal that nobody has approved is kept while it says what a new one would say. */
static int refresh(struct pass *p, const struct open_plan *plan, enum pass_result *ret, struct err *err)
{
    autojson json_t *now = NULL;
    char digest[65], id[UUID_SIZE];
    int r = make(p, &now, err);
    if (r == 0)
        r = plan_digest(now, digest, err);
    if (r == 0 && p->provider.remote)
        *ret = PASS_QUIET_REMOTE;
    if (r == 0 && *p->drift.reverted_by && !plan_is_empty(now))
        return put_back(p, now, ret, err);
    if (r < 0 || !strcmp(digest, plan->digest))
        return r;
    /* There is nothing left to ask for: what was proposed has come to be, or was never begun and is unwanted now. */
    if (plan_is_empty(now)) {
        r = finish_plan(p, plan->id, "superseded", "", err);
        return r < 0 ? r : settle(p, json_string_value(json_object_get(now, "kind")), err);
    }
    *ret = PASS_PROPOSED;
    return MIN(keep_plan(p, now, "proposed", NULL, id, err), 0);
}

/* The same plan that failed before is tried again under its name, not written down anew each time: 1; 2 if another was
 * approved meanwhile. */
static int reopen(struct pass *p, const char *digest, char ret_id[UUID_SIZE], struct err *err)
{
    autorows struct store_rows *rows = NULL;
    int64_t changed = 0;
    int r = store_query(p->ctx->store,
                        "SELECT id FROM plan WHERE infrastructure_id = $1 AND digest = $2 AND state = 'failed' LIMIT 1",
                        STORE_ARGS(store_text(p->row.id), store_text(digest)), &rows, err);
    if (r == 0)
        r = store_next(rows, err);
    if (r <= 0)
        return r;
    snprintf(ret_id, UUID_SIZE, "%s", store_column_text(rows, 0));
    r = store_exec(p->ctx->store,
                   "UPDATE plan SET state = 'approved', error = '', finished_at = NULL WHERE id = $1 AND NOT EXISTS "
                   "(SELECT 1 FROM plan o WHERE o.infrastructure_id = $2 AND o.state IN ('approved', 'applying'))",
                   STORE_ARGS(store_text(ret_id), store_text(p->row.id)), &changed, err);
    return r < 0 ? r : changed ? 1 : 2;
}

/* What comes and goes with services: planned and applied without a word from anybody. */
static int serve(struct pass *p, enum pass_result *ret, struct err *err)
{
    struct plan_context c = engine(p);
    struct open_plan plan = {.state = "approved"};
    autojson json_t *document = NULL;
    int r = plan_make(&c, p->provider.graph, PLAN_APPLY, false, &document, err);
    if (r < 0)
        return r;
    service_resources_hold(&p->services, document, true);
    if (plan_is_empty(document))
        return 0;
    estimate(p, document);
    service_resources_mark(document);
    plan.document = document;
    r = plan_digest(document, plan.digest, err);
    if (r == 0)
        r = reopen(p, plan.digest, plan.id, err);
    if (r == 0 && (r = keep_plan(p, document, "approved", "services (none is needed)", plan.id, err)) > 0)
        r = 2;
    if (r == 2)
        return 0; /* somebody approved another meanwhile */
    if (r >= 0)
        r = apply(p, &plan, err);
    if (r == 0)
        *ret = PASS_APPLIED;
    return r;
}

static bool serves(const struct pass *p)
{
    return p->services.apart && !strcmp(p->row.want, "present") && !strcmp(p->row.state, "infra-ready");
}

/* Nothing is approved: services first, then whether all else is as wanted. */
static int propose(struct pass *p, const struct open_plan *plan, enum pass_result *ret, struct err *err)
{
    struct err why = ERR_INIT;
    bool pending = false;
    int served = 0;
    int r = serves(p) ? service_resources_pending(&p->services, &pending, err) : 0;
    if (r == 0 && pending)
        served = serve(p, ret, &why);
    if (r < 0 || *ret == PASS_APPLIED)
        return r;
    if (served == -ECANCELED)
        return err_set(err, served, "%s", why.message);
    r = strcmp(p->row.want, "present") ? 0 : service_resources_drop_unmade(&p->services, err);
    if (r == 0)
        r = plan->document ? refresh(p, plan, ret, err) : look(p, ret, err);
    if (r < 0 || served == 0)
        return r;
    (void)set_error(p, why.message, NULL);
    return err_set(err, served, "%s", why.message);
}

static int act(struct pass *p, enum pass_result *ret, struct err *err)
{
    struct open_plan plan;
    bool present = !strcmp(p->row.want, "present");
    int r = find_open_plan(p, &plan, err);
    if (r < 0)
        return r;
    bool own = plan.document && service_resources_is_own(plan.document);
    /* It would stand in the way of the removal, which takes along what belongs to services. */
    if (own && !present) {
        r = finish_plan(p, plan.id, "superseded", "", err);
        json_decref(plan.document);
        plan.document = NULL;
    }
    if (r == 0 && plan.document && strcmp(plan.state, "proposed")) {
        if (!own && present)
            r = service_resources_drop_unmade(&p->services, err);
        if (r == 0)
            r = apply(p, &plan, err);
        if (r == 0)
            *ret = PASS_APPLIED;
    } else if (r == 0) {
        r = propose(p, &plan, ret, err);
    }
    json_decref(plan.document);
    return r;
}

int infrastructure_pass(const struct pass_context *ctx, const char *infrastructure, enum pass_result *ret,
                        struct err *err)
{
    autoarena struct arena *arena = arena_new();
    struct pass p = {.ctx = ctx, .arena = arena};
    *ret = PASS_QUIET;
    int r = infrastructure_read(ctx->store, infrastructure, arena, &p.row, err);
    if (r < 0)
        return r;
    if (!strcmp(p.row.state, "infra-terminated")) {
        *ret = PASS_GONE;
        return 0;
    }
    r = provider_open(ctx->config, &p.row, arena, ctx->clock, ctx->cancel, &p.provider, err);
    if (r < 0) {
        (void)set_error(&p, err ? err->message : "the infrastructure's settings are not valid", NULL);
        return r;
    }
    plan_store_init(&p.records, ctx->store, ctx->clock, p.row.id, "");
    r = drift_open(&p.drift, ctx->store, ctx->clock, p.row.id, p.row.organization_id, p.provider.types,
                   p.provider.graph, err);
    if (r == 0)
        r = service_resources_open(&p.services, ctx->store, &p.row, &p.provider, arena, &p.records.state,
                                   clock_wall_ms(ctx->clock), err);
    if (r == 0)
        r = drift_accept(&p.drift, p.provider.graph, &p.records.state, err);
    if (r == 0)
        r = act(&p, ret, err);
    service_resources_close(&p.services);
    drift_close(&p.drift);
    provider_close(&p.provider);
    return r;
}
