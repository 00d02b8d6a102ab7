/* ownhouse plan: show, apply, destroy. */
#include "base/mem.h"
#include "cli/commands.h"
#include "cli/plans.h"
#include "cli/removal.h"

static const char *infrastructure_name(const struct cli *c)
{
    return c->n_arguments ? c->arguments[0] : INSTALL_INFRASTRUCTURE;
}

static int begin(struct cli *c, struct session *s, json_t **ret_infrastructure, struct err *err)
{
    int r = session_open(c, s, err);
    return r < 0 ? r : session_infrastructure(s, infrastructure_name(c), ret_infrastructure, err);
}

static int64_t whole(const json_t *v, const char *key)
{
    return json_integer_value(json_object_get(v, key));
}

static const char *text_of(const json_t *v)
{
    return json_is_string(v) ? json_string_value(v) : "";
}

static void money(char ret[32], int64_t cents)
{
    snprintf(ret, 32, "%s%lld.%02lld", cents < 0 ? "-" : "", (long long)llabs(cents) / 100,
             (long long)llabs(cents) % 100);
}

static void show_cost(struct ui *ui, const json_t *cost)
{
    const json_t *table = json_object_get(cost, "table"), *v;
    char before[32], after[32];
    size_t i;
    if (!cost)
        return;
    money(before, whole(cost, "before"));
    money(after, whole(cost, "after"));
    if (!json_is_object(table)) {
        ui_line(ui, "cost      none: it runs on this machine");
        return;
    }
    ui_line(ui, "cost      %s %s a month, %s before (%s, prices of %s)", after, session_text(cost, "currency"), before,
            session_text(table, "region"), session_text(table, "date"));
    json_array_foreach(json_object_get(cost, "unknown"), i, v)
        ui_line(ui, "          unknown: %s: %s", session_text(v, "resource"), session_text(v, "why"));
    json_array_foreach(json_object_get(cost, "notes"), i, v) ui_line(ui, "          %s", text_of(v));
}

static void show_estimate(struct ui *ui, const json_t *estimate)
{
    const json_t *seconds = json_object_get(estimate, "seconds"), *v, *action;
    int64_t low = whole(seconds, "low"), high = whole(seconds, "high");
    size_t i, k;
    if (!json_is_object(estimate))
        return;
    if (high < 120)
        ui_line(ui, "takes     %lld to %lld seconds", (long long)low, (long long)high);
    else
        ui_line(ui, "takes     %lld to %lld minutes", (long long)MAX(low / 60, 1), (long long)(high + 59) / 60);
    show_cost(ui, json_object_get(estimate, "cost"));
    json_array_foreach(json_object_get(estimate, "actions"), i, v)
    {
        autobuf struct buf list = BUF_INIT_MAX(KIB(16));
        json_array_foreach(json_object_get(v, "actions"), k, action) buf_printf(&list, " %s", text_of(action));
        ui_line(ui, "role      %s:%s", session_text(v, "role"), list.data ? list.data : "");
    }
}

static void show_changes(struct ui *ui, const json_t *plan)
{
    const json_t *document = json_object_get(plan, "document"), *v, *why;
    const json_t *cost = json_object_get(json_object_get(document, "estimate"), "cost");
    autojson json_t *prices = json_object();
    size_t i, k;
    json_array_foreach(json_object_get(cost, "items"), i, v)
        json_object_set(prices, session_text(v, "resource"), json_object_get(v, "after"));
    struct ui_table *t = ui_table_new((const char *const[]){"ACTION", "RESOURCE", "A MONTH", "DATA", "WHY", NULL});
    json_array_foreach(json_object_get(document, "changes"), i, v)
    {
        autobuf struct buf reasons = BUF_INIT_MAX(200);
        const json_t *price = json_object_get(prices, session_text(v, "resource"));
        char amount[32] = "";
        json_array_foreach(json_object_get(v, "why"), k, why)
            buf_printf(&reasons, "%s%s", k ? ", " : "", session_text(why, "attribute"));
        if (price)
            money(amount, json_integer_value(price));
        ui_table_row(t, session_text(v, "action"), session_text(v, "resource"), amount,
                     json_is_true(json_object_get(v, "destroys_data")) ? "destroyed" : "",
                     *session_text(v, "kept") ? session_text(v, "kept") : reasons.data);
    }
    ui_table_print(ui, t);
}

void plans_show(struct ui *ui, const json_t *plan)
{
    const json_t *document = json_object_get(plan, "document"), *v;
    size_t i;
    ui_line(ui, "plan      %s", session_text(plan, "id"));
    ui_line(ui, "kind      %s", session_text(plan, "kind"));
    ui_line(ui, "state     %s%s%s", session_text(plan, "state"), *session_text(plan, "error") ? ": " : "",
            session_text(plan, "error"));
    ui_line(ui, "digest    %s", session_text(plan, "digest"));
    json_array_foreach(json_object_get(document, "notes"), i, v)
    {
        ui_line(ui, "note      %s", text_of(v));
    }
    /* From the document, which the digest covers: what stands beside it may be anything. */
    show_estimate(ui, json_object_get(document, "estimate"));
    show_changes(ui, plan);
}

static int show_run(struct cli *c, struct err *err)
{
    autosession struct session s = {0};
    autojson json_t *infra = NULL;
    int r = begin(c, &s, &infra, err);
    if (r == 0)
        r = plans_current(&s, session_text(infra, "id"), &c->answer, err);
    if (r < 0)
        return r;
    if (json_is_null(c->answer))
        return err_set(err, -ENOENT, "there is no plan for %s yet", infrastructure_name(c));
    plans_show(&c->ui, c->answer);
    return 0;
}

/* Approves and follows one plan; a person at a terminal is asked first. */
static int approve_and_follow(struct cli *c, struct session *s, json_t *plan, const char *question, struct err *err)
{
    const char *named = cli_option(c, "digest"), *digest = session_text(plan, "digest");
    bool open = !strcmp(session_text(plan, "state"), "proposed");
    char short_digest[16];
    int resources = 0, changes = 0, r = 0;
    if (named && strcmp(named, digest))
        return err_set(err, -ESTALE, "the plan that waits has the digest %s, not %.64s: look at it first", digest,
                       named);
    if (open && !named && !cli_option(c, "yes")) {
        plans_show(&c->ui, plan);
        if (!ui_confirm(&c->ui, question))
            return err_set(err, -ECANCELED, "nothing was approved: answer yes, or give --yes or --digest");
    }
    plans_count(plan, &resources, &changes);
    snprintf(short_digest, sizeof(short_digest), "%.12s", digest);
    ui_step(&c->ui, "plan", short_digest);
    if (open)
        r = plans_approve(s, plan, err);
    if (r == 0)
        r = plans_wait_applied(s, session_text(plan, "id"), err);
    if (r == 0)
        ui_step_done(&c->ui, "applied, %d of %d resources changed", changes, resources);
    if (r == 0)
        c->answer = json_pack("{s:s,s:s,s:s,s:i,s:i}", "id", session_text(plan, "id"), "digest", digest, "state",
                              "applied", "resources", resources, "changes", changes);
    return r;
}

static int apply_run(struct cli *c, struct err *err)
{
    autosession struct session s = {0};
    autojson json_t *infra = NULL, *plan = NULL;
    int r = begin(c, &s, &infra, err);
    if (r == 0)
        r = plans_current(&s, session_text(infra, "id"), &plan, err);
    if (r < 0)
        return r;
    const char *state = session_text(plan, "state");
    if (!strcmp(session_text(infra, "want"), "absent"))
        return err_set(err, -EPERM, "the plan that waits removes the infrastructure: that is `ownhouse plan destroy`");
    bool open = !strcmp(state, "proposed") || !strcmp(state, "approved") || !strcmp(state, "applying");
    if (!open && !strcmp(session_text(infra, "state"), "infra-ready")) {
        ui_line(&c->ui, "Nothing waits: the infrastructure is as planned.");
        c->answer = json_pack("{s:s,s:s,s:i}", "id", session_text(infra, "id"), "state", "infra-ready", "changes", 0);
        return 0;
    }
    if (!open) {
        json_t *fresh = NULL;
        r = plans_wait_proposed(&s, session_text(infra, "id"), "apply", &fresh, err);
        if (r < 0)
            return r;
        json_decref(plan);
        plan = fresh;
    }
    return approve_and_follow(c, &s, plan, "Approve this plan?", err);
}

static int destroy_run(struct cli *c, struct err *err)
{
    autosession struct session s = {0};
    autojson json_t *infra = NULL, *plan = NULL;
    bool data = cli_option(c, "delete-data") != NULL;
    int r = begin(c, &s, &infra, err);
    if (r == 0)
        r = plans_propose_destroy(&s, session_text(infra, "id"), data, &plan, err);
    if (r < 0)
        return r;
    json_t *report = NULL;
    r = approve_and_follow(c, &s, plan,
                           data ? "Remove the infrastructure with all data in it?"
                                : "Remove the infrastructure? Buckets with data stay.",
                           err);
    if (r == 0)
        r = removal_wait(&s, session_text(infra, "id"), plan, &report, err);
    if (r < 0)
        return r;
    removal_show(&c->ui, report, false);
    json_object_set_new(c->answer, "removal", report);
    return 0;
}

static const struct cli_option apply_options[] = {
    {"digest", 'd', "HEX", "approve only the plan with this digest, without asking"},
    {"yes", 'y', NULL, "do not ask"},
    {NULL},
};
static const struct cli_option destroy_options[] = {
    {"delete-data", 0, NULL, "delete buckets with their data too; without this they stay"},
    {"digest", 'd', "HEX", "approve only the plan with this digest, without asking"},
    {"yes", 'y', NULL, "do not ask"},
    {NULL},
};

static const struct cli_command subcommands[] = {
    {.name = "show",
     .arguments = "[INFRASTRUCTURE]",
     .summary = "Shows the plan that waits, or the last one.",
     .max_arguments = 1,
     .run = show_run},
    {.name = "apply",
     .arguments = "[INFRASTRUCTURE]",
     .summary = "Approves the plan that waits, by its digest, and follows it.",
     .max_arguments = 1,
     .options = apply_options,
     .run = apply_run},
    {.name = "destroy",
     .arguments = "[INFRASTRUCTURE]",
     .summary = "Plans the removal of an infrastructure, approves and follows it.",
     .max_arguments = 1,
     .options = destroy_options,
     .run = destroy_run},
    {.name = "report",
     .arguments = "[INFRASTRUCTURE]",
     .summary = "Shows everything ever made for an infrastructure, and the proof that it is gone.",
     .max_arguments = 1,
     .run = removal_run},
    {NULL},
};

const struct cli_command plan_command = {
    .name = "plan",
    .arguments = "COMMAND",
    .summary = "Shows, approves and follows changes of an infrastructure.",
    .details =
        "A plan is named by the digest of its document, which holds what is and what should be. What is approved\n"
        "is that digest: if the world has moved since, nothing is done and a new plan is made.",
    .subcommands = subcommands,
};
