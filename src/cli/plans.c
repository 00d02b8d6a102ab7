/* Waiting for plans, approving them, and following them until they are applied. */
#include "cli/plans.h"

#include "base/mem.h"

#define PROPOSE_TIMEOUT_MS 60000
#define APPLY_TIMEOUT_MS 600000

static bool is_open(const json_t *plan)
{
    const char *state = session_text(plan, "state");
    return !strcmp(state, "proposed") || !strcmp(state, "approved") || !strcmp(state, "applying");
}

static int get_plan(struct session *s, const char *id, json_t **ret, struct err *err)
{
    autofree
    char *path = mem_printf("/plans/%s", id);
    return api_call(s->api, "GET", path, NULL, ret, err);
}

int plans_current(struct session *s, const char *infrastructure, json_t **ret, struct err *err)
{
    autofree
    char *path = mem_printf("/infrastructures/%s", infrastructure);
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
    json_t *plan;
};

/* A new look by the controller may fail before there is a plan; then the infrastructure says why. */
static int infrastructure_error(struct session *s, const char *id, struct err *err)
{
    autofree
    char *path = mem_printf("/infrastructures/%s", id);
    autojson json_t *infra = NULL;
    int r = api_call(s->api, "GET", path, NULL, &infra, err);
    const char *error = r == 0 ? session_text(infra, "error") : "";
    return *error ? err_set(err, -ENOTRECOVERABLE, "%s", error) : r;
}

static int proposed(struct session *s, void *data, struct err *err)
{
    struct plan_wait *w = data;
    json_t *plan = NULL;
    int r = plans_current(s, w->infrastructure, &plan, err);
    if (r < 0)
        return r;
    if (is_open(plan) && !strcmp(session_text(plan, "kind"), w->what)) {
        w->plan = plan;
        return 1;
    }
    json_decref(plan);
    return infrastructure_error(s, w->infrastructure, err);
}

int plans_wait_proposed(struct session *s, const char *infrastructure, const char *kind, json_t **ret, struct err *err)
{
    struct plan_wait w = {.infrastructure = infrastructure, .what = kind};
    int r = session_wait(s, PROPOSE_TIMEOUT_MS, "making the plan", proposed, &w, err);
    if (r == 0)
        *ret = w.plan;
    return r;
}

int plans_approve(struct session *s, const json_t *plan, struct err *err)
{
    autofree
    char *path = mem_printf("/plans/%s/approve", session_text(plan, "id"));
    autojson json_t *body = json_pack("{s:s}", "digest", session_text(plan, "digest"));
    return api_call(s->api, "POST", path, body, NULL, err);
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

int plans_propose_destroy(struct session *s, const char *infrastructure, bool delete_data, json_t **ret,
                          struct err *err)
{
    autofree
    char *path = mem_printf("/infrastructures/%s/plans", infrastructure);
    autojson json_t *body = json_pack("{s:s,s:b}", "kind", "destroy", "deleteData", delete_data);
    int r = api_call(s->api, "POST", path, body, NULL, err);
    return r < 0 ? r : plans_wait_proposed(s, infrastructure, "destroy", ret, err);
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
