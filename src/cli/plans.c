/* Waiting for plans, approving them, and following them until they are applied. */
#include "cli/plans.h"

#include "base/clock.h"
#include "base/keys.h"
#include "base/mem.h"
#include "cli/customer.h"
#include "cli/papers.h"

#define PROPOSE_TIMEOUT_MS 60000
#define APPLY_TIMEOUT_MS 600000
#define STALE_ERROR_MS 5000

static bool is_open(const json_t *plan)
{
    const char *state = session_text(plan, "state");
    return !strcmp(state, "proposed") || !strcmp(state, "approved") || !strcmp(state, "applying");
}

static int get_plan(struct session *s, const char *id, json_t **ret, struct err *err)
{
    autofree char *path = mem_printf("/plans/%s", id);
    return api_call(s->api, "GET", path, NULL, ret, err);
}

int plans_current(struct session *s, const char *infrastructure, json_t **ret, struct err *err)
{
    autofree char *path = mem_printf("/infrastructures/%s", infrastructure);
    autojson json_t *infra = NULL;
    int r = api_call(s->api, "GET", path, NULL, &infra, err);
    if (r < 0)
        return r;
    const char *id = session_text(json_object_get(infra, "plan"), "id");
    if (*id)
        return get_plan(s, id, ret, err);
    *ret = json_null();
    return 0;
}

struct plan_wait {
    const char *infrastructure, *what; /* kind for a proposal, id for an application */
    int64_t since_ms;
    const bool *delete_data; /* of a proposal; NULL: either */
    json_t *plan;
};

/* The controller may fail before there is a plan; then the infrastructure says why. What it says at first may be of an
 * earlier look, and goes when the next one succeeds. */
static int check_error(const json_t *infra, int64_t since_ms, struct err *err)
{
    const char *error = session_text(infra, "error");
    if (!*error || clock_mono_ms(&clock_system) - since_ms < STALE_ERROR_MS)
        return 0;
    return err_set(err, -ENOTRECOVERABLE, "%s", error);
}

static int infrastructure_error(struct session *s, const struct plan_wait *w, struct err *err)
{
    autofree char *path = mem_printf("/infrastructures/%s", w->infrastructure);
    autojson json_t *infra = NULL;
    int r = api_call(s->api, "GET", path, NULL, &infra, err);
    return r < 0 ? r : check_error(infra, w->since_ms, err);
}

static int proposed(struct session *s, void *data, struct err *err)
{
    struct plan_wait *w = data;
    json_t *plan = NULL;
    int r = plans_current(s, w->infrastructure, &plan, err);
    if (r < 0)
        return r;
    /* One that was being made while something else was asked for is overtaken in a moment. */
    bool with_data = json_is_true(json_object_get(plan, "deleteData"));
    if (is_open(plan) && !strcmp(session_text(plan, "kind"), w->what) &&
        (!w->delete_data || *w->delete_data == with_data)) {
        w->plan = plan;
        return 1;
    }
    json_decref(plan);
    return infrastructure_error(s, w, err);
}

static int wait_proposed(struct session *s, const char *infrastructure, const char *kind, const bool *delete_data,
                         json_t **ret, struct err *err)
{
    struct plan_wait w = {.infrastructure = infrastructure,
                          .what = kind,
                          .since_ms = clock_mono_ms(&clock_system),
                          .delete_data = delete_data};
    int r = session_wait(s, PROPOSE_TIMEOUT_MS, "making the plan", proposed, &w, err);
    if (r == 0)
        *ret = w.plan;
    return r;
}

int plans_wait_proposed(struct session *s, const char *infrastructure, const char *kind, json_t **ret, struct err *err)
{
    return wait_proposed(s, infrastructure, kind, NULL, ret, err);
}

/* The laptop's own approver key signs where the policy wants it: whoever has run the command has read the plan. */
static int add_signature(struct session *s, const json_t *plan, json_t *body, struct err *err)
{
    autofree char *path = customer_path(s->cli, INSTALL_ACCOUNT, "approver.key");
    autopapers struct papers p = {0};
    autokey struct signing_key *key = NULL;
    json_t *approval = NULL;
    int r = papers_fetch(s, session_text(plan, "id"), &p, err);
    if (r == 0 && strcmp(p.request.digest, session_text(plan, "digest")))
        r = err_set(err, -ESTALE, "the plan's document does not have the digest %s that was shown",
                    session_text(plan, "digest"));
    if (r == 0 && signing_key_load_protected(path, NULL, &key, NULL) < 0)
        r = err_set(err, -EACCES,
                    "the customer's policy asks for a signature on this plan: `ownhouse approve %s --key FILE`",
                    session_text(plan, "id"));
    if (r == 0)
        r = papers_sign(&p, key, false, &approval, err);
    if (r == 0)
        json_object_set_new(body, "approval", approval);
    return r;
}

/* Whether a conflict was about the signature, not about a plan that was overtaken. */
static bool still_proposed(struct session *s, const json_t *plan)
{
    autojson json_t *now = NULL;
    return get_plan(s, session_text(plan, "id"), &now, NULL) == 0 && !strcmp(session_text(now, "state"), "proposed");
}

int plans_approve(struct session *s, const json_t *plan, struct err *err)
{
    autofree char *path = mem_printf("/plans/%s/approve", session_text(plan, "id"));
    autojson json_t *body = json_pack("{s:s}", "digest", session_text(plan, "digest")), *answer = NULL;
    int64_t need = json_integer_value(json_object_get(plan, "needSignatures")),
            have = json_integer_value(json_object_get(plan, "haveSignatures"));
    int r = have < need ? add_signature(s, plan, body, err) : 0;
    if (r == 0)
        r = api_call(s->api, "POST", path, body, &answer, err);
    if (r == -EEXIST && have < need && still_proposed(s, plan))
        return -EACCES;
    if (r == 0 && have < need && !strcmp(session_text(answer, "state"), "proposed"))
        r = err_set(err, -EACCES,
                    "signed, but the customer's policy asks for %lld signatures on this plan: the others sign it with "
                    "`ownhouse approve %s`",
                    (long long)need, session_text(plan, "id"));
    return r;
}

static int steps_done(const json_t *plan)
{
    const json_t *step;
    size_t i;
    int done = 0;
    json_array_foreach(json_object_get(plan, "steps"), i, step)
    {
        done += !strcmp(session_text(step, "phase"), "done");
    }
    return done;
}

static int applied(struct session *s, void *data, struct err *err)
{
    struct plan_wait *w = data;
    autojson json_t *plan = NULL;
    int r = get_plan(s, w->what, &plan, err);
    if (r < 0)
        return r;
    const char *state = session_text(plan, "state"), *error = session_text(plan, "error");
    int changes = 0, done = steps_done(plan);
    plans_count(plan, NULL, &changes);
    ui_step_update(&s->cli->ui, "%s, %d of %d steps", state, done, changes);
    if (!strcmp(state, "applied"))
        return 1;
    if (!strcmp(state, "failed"))
        return err_set(err, -ENOTRECOVERABLE, "the plan failed: %s", *error ? error : "no reason was given");
    if (!strcmp(state, "discarded"))
        return err_set(err, -ECANCELED, "the plan was discarded by someone else");
    if (!strcmp(state, "superseded"))
        return err_set(err, -ESTALE, "the plan was overtaken by a newer one%s%s: run the command again",
                       *error ? ": " : "", error);
    return 0;
}

int plans_wait_applied(struct session *s, const char *plan, struct err *err)
{
    struct plan_wait w = {.what = plan};
    return session_wait(s, APPLY_TIMEOUT_MS, "applying the plan", applied, &w, err);
}

/* --- until nothing waits ----------------------------------------------------------------------------------------- */

struct settling {
    const char *infrastructure, *kind;
    int64_t since_ms;
    char approved[UUID_SIZE]; /* the last plan that we approved */
};

static int get_infrastructure(struct session *s, const char *id, json_t **ret, struct err *err)
{
    autofree char *path = mem_printf("/infrastructures/%s", id);
    return api_call(s->api, "GET", path, NULL, ret, err);
}

/* A person (or a lost command) may have asked for the opposite before. */
static int ask_for(struct session *s, const struct settling *w, const json_t *infra, struct err *err)
{
    const char *want = !strcmp(w->kind, "apply") ? "present" : "absent";
    autofree char *path = mem_printf("/infrastructures/%s/plans", w->infrastructure);
    bool destroy = !strcmp(w->kind, "destroy"), data = json_is_true(json_object_get(infra, "deleteData"));
    if (!strcmp(session_text(infra, "want"), want) && (!destroy || data))
        return 0;
    autojson json_t *body =
        destroy ? json_pack("{s:s,s:b}", "kind", "destroy", "deleteData", 1) : json_pack("{s:s}", "kind", "apply");
    return api_call(s->api, "POST", path, body, NULL, err);
}

static int push_open_plan(struct session *s, struct settling *w, const json_t *plan, struct err *err)
{
    autojson json_t *details = NULL;
    int resources = 0, changes = 0;
    char name[64];
    int r = get_plan(s, session_text(plan, "id"), &details, err);
    if (r < 0)
        return r;
    plans_count(details, &resources, &changes);
    snprintf(name, sizeof(name), "%d resources", resources);
    ui_step_name(&s->cli->ui, name);
    ui_step_update(&s->cli->ui, "%s, %d of %d steps", session_text(details, "state"), steps_done(details), changes);
    w->since_ms = clock_mono_ms(&clock_system);
    if (strcmp(session_text(details, "state"), "proposed"))
        return 0;
    snprintf(w->approved, sizeof(w->approved), "%s", session_text(details, "id"));
    r = plans_approve(s, details, err);
    /* Overtaken between the look and the approval: look again. */
    return r == -EEXIST || r == -EINVAL ? 0 : r;
}

static int settled(struct session *s, void *data, struct err *err)
{
    struct settling *w = data;
    autojson json_t *infra = NULL;
    int r = get_infrastructure(s, w->infrastructure, &infra, err);
    if (r == 0)
        r = ask_for(s, w, infra, err);
    if (r < 0)
        return r;
    const json_t *plan = json_object_get(infra, "plan");
    const char *state = session_text(plan, "state"), *error = session_text(plan, "error");
    bool ours = !strcmp(session_text(plan, "kind"), w->kind);
    if (is_open(plan))
        return ours ? push_open_plan(s, w, plan, err) : 0;
    if (!strcmp(session_text(infra, "state"), !strcmp(w->kind, "apply") ? "infra-ready" : "infra-terminated"))
        return 1;
    if (*w->approved && !strcmp(session_text(plan, "id"), w->approved) && !strcmp(state, "failed"))
        return err_set(err, -ENOTRECOVERABLE, "the plan failed: %s", *error ? error : "no reason was given");
    return check_error(infra, w->since_ms, err);
}

static int last_applied(struct session *s, const char *infrastructure, json_t **ret, struct err *err)
{
    autofree char *path = mem_printf("/plans?state=applied&infrastructureId=%s", infrastructure);
    autojson json_t *list = NULL;
    int r = api_call(s->api, "GET", path, NULL, &list, err);
    const char *id = session_text(json_array_get(list, 0), "id");
    if (r < 0)
        return r;
    if (*id)
        return get_plan(s, id, ret, err);
    *ret = json_null();
    return 0;
}

int plans_settle(struct session *s, const char *infrastructure, const char *kind, json_t **ret_plan, struct err *err)
{
    struct settling w = {.infrastructure = infrastructure, .kind = kind, .since_ms = clock_mono_ms(&clock_system)};
    int r = session_wait(s, APPLY_TIMEOUT_MS, "applying the plan", settled, &w, err);
    return r < 0 || !ret_plan ? r : last_applied(s, infrastructure, ret_plan, err);
}

int plans_propose_destroy(struct session *s, const char *infrastructure, bool delete_data, json_t **ret,
                          struct err *err)
{
    autofree char *path = mem_printf("/infrastructures/%s/plans", infrastructure);
    autojson json_t *body = json_pack("{s:s,s:b}", "kind", "destroy", "deleteData", delete_data);
    int r = api_call(s->api, "POST", path, body, NULL, err);
    return r < 0 ? r : wait_proposed(s, infrastructure, "destroy", &delete_data, ret, err);
}

void plans_count(const json_t *plan, int *ret_resources, int *ret_changes)
{
    const json_t *summary = json_object_get(plan, "summary"), *n;
    const char *key;
    int all = 0, none = 0;
    json_object_foreach((json_t *)(uintptr_t)summary, key, n)
    {
        all += (int)json_integer_value(n);
        if (!strcmp(key, "none"))
            none = (int)json_integer_value(n);
    }
    if (ret_resources)
        *ret_resources = all;
    if (ret_changes)
        *ret_changes = all - none;
}
