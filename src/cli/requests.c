/* ownhouse request, requests, approve, deny: asking a data plane for something, and signing it. */
#include "base/fs.h"
#include "base/mem.h"
#include "cli/commands.h"
#include "cli/customer.h"
#include "cli/papers.h"
#include "cli/session.h"
#include "cli/signing.h"
#include "consent/request.h"

static int fetch(const struct session *s, const char *id, json_t **ret, struct err *err)
{
    autofree char *path = mem_printf("/requests/%s", id);
    if (!uuid_valid(id))
        return err_set(err, -EINVAL, "%.60s is not the id of a request: `ownhouse requests` lists them", id);
    return api_call(s->api, "GET", path, NULL, ret, err);
}

static void show_lines(struct ui *ui, char *text)
{
    char *rest = text, *line;
    while ((line = strsep(&rest, "\n")))
        if (*line)
            ui_line(ui, "%s", line);
}

/* From the document itself: what the control plane says beside it counts for nothing. */
static int describe(struct cli *c, const json_t *request, struct consent_request *ret, struct err *err)
{
    autobuf struct buf text = BUF_INIT;
    int r = request_from_json(json_object_get(request, "document"), ret, err);
    if (r < 0)
        return r;
    request_describe(ret, &text);
    show_lines(&c->ui, text.data);
    ui_line(&c->ui, "  state       %s%s%s", session_text(request, "state"), *session_text(request, "why") ? ": " : "",
            session_text(request, "why"));
    return 0;
}

static int list(struct cli *c, struct session *s, struct err *err)
{
    const char *state = cli_option(c, "state");
    autofree char *path = mem_printf("/requests%s%s", state ? "?state=" : "", state ? state : "");
    struct ui_table *t;
    const json_t *one;
    size_t i;
    int r = api_call(s->api, "GET", path, NULL, &c->answer, err);
    if (r < 0)
        return r;
    t = ui_table_new((const char *const[]){"ID", "OPERATIONS", "STATE", "WHY", NULL});
    json_array_foreach(c->answer, i, one)
    {
        autobuf struct buf names = BUF_INIT;
        const json_t *operations_of = json_object_get(one, "operations"), *name;
        size_t k;
        json_array_foreach(operations_of, k, name)
        {
            buf_printf(&names, "%s%s", k ? ", " : "", json_string_value(name) ? json_string_value(name) : "?");
        }
        ui_table_row(t, session_text(one, "id"), names.data ? names.data : "", session_text(one, "state"),
                     session_text(one, "why"));
    }
    ui_table_print(&c->ui, t);
    return 0;
}

static int requests_run(struct cli *c, struct err *err)
{
    autosession struct session s = {0};
    autorequest struct consent_request q = {0};
    int r = session_open(c, &s, err);
    if (r == 0 && c->n_arguments == 0)
        return list(c, &s, err);
    if (r == 0)
        r = fetch(&s, c->arguments[0], &c->answer, err);
    return r < 0 ? r : describe(c, c->answer, &q, err);
}

/* ---- signing ---- */

static int confirm(struct cli *c, const struct papers *p, bool deny, struct err *err)
{
    const char *named = cli_option(c, "digest");
    if (named && strcmp(named, p->request.digest))
        return err_set(err, -ESTALE, "it has the digest %s, not %.64s: look at it first", p->request.digest, named);
    if (named || cli_option(c, "yes") || ui_confirm(&c->ui, deny ? "Deny this?" : "Sign your consent to this?"))
        return 0;
    return err_set(err, -ECANCELED, "nothing was signed: answer yes, or give --yes or --digest");
}

static int sign(struct cli *c, const struct papers *p, bool deny, json_t **ret, struct err *err)
{
    const char *given = cli_option(c, "key");
    autofree char *own = customer_path(c, INSTALL_ACCOUNT, "approver.key");
    autokey struct signing_key *key = NULL;
    int r = signing_open(c, given ? given : own, &key, err);
    return r < 0 ? r : papers_sign(p, key, deny, ret, err);
}

/* To a file, or shown, to be carried to the console by hand. */
static int put_out(struct cli *c, json_t *approval, struct err *err)
{
    const char *out = cli_option(c, "out");
    autofree char *text = js_text(approval);
    c->answer = json_incref(approval);
    if (out) {
        int r = fs_write_atomic(out, text, strlen(text), 0644, err);
        if (r == 0)
            ui_line(&c->ui, "signed: drop %s into the console, or paste what is in it", out);
        return r;
    }
    ui_line(&c->ui, "Paste this line into the console:");
    ui_line(&c->ui, "%s", text);
    return 0;
}

static int verdict_run(struct cli *c, bool deny, struct err *err)
{
    autosession struct session s = {0};
    autopapers struct papers p = {0};
    autojson json_t *approval = NULL;
    const char *file = cli_option(c, "request");
    if (!file == !c->n_arguments)
        return err_set(err, CLI_BAD_USAGE, "give either ID or --request FILE");
    int r = file ? papers_read(file, &p, err) : session_open(c, &s, err);
    if (r == 0 && !file)
        r = papers_fetch(&s, c->arguments[0], &p, err);
    if (r < 0)
        return r;
    papers_describe(&c->ui, &p);
    r = confirm(c, &p, deny, err);
    if (r == 0)
        r = sign(c, &p, deny, &approval, err);
    if (r == 0 && (file || cli_option(c, "out")))
        return put_out(c, approval, err);
    if (r == 0)
        r = papers_hand_over(&s, &p, approval, err);
    if (r < 0)
        return r;
    ui_line(&c->ui, deny ? "denied" : "signed");
    c->answer =
        json_pack("{ss ss ss}", "id", p.request.id, "digest", p.request.digest, "verdict", deny ? "deny" : "approve");
    return 0;
}

static int approve_run(struct cli *c, struct err *err)
{
    return verdict_run(c, false, err);
}

static int deny_run(struct cli *c, struct err *err)
{
    return verdict_run(c, true, err);
}

/* ---- asking ---- */

static int load_policy(const char *path, json_t *arguments, struct err *err)
{
    autofree char *text = NULL;
    autojson json_t *policy = NULL;
    autopolicy struct policy *checked = NULL;
    size_t len = 0;
    int r = fs_read(path, POLICY_MAX_BYTES, &text, &len, err);
    if (r == 0)
        r = js_parse(text, len, POLICY_MAX_BYTES, &policy, err);
    if (r == 0)
        r = policy_from_json(policy, &checked, err);
    if (r == 0)
        json_object_set(arguments, "policy", policy);
    return r < 0 ? err_wrap(err, r, "%s", path) : 0;
}

static int request_run(struct cli *c, struct err *err)
{
    const char *service = cli_option(c, "service"), *policy = cli_option(c, "policy"),
               *reason = cli_option(c, "reason"), *ticket = cli_option(c, "ticket");
    autosession struct session s = {0};
    autojson json_t *infra = NULL, *found = NULL, *arguments = json_object(), *body = NULL;
    int64_t hours = 12, replica = 0;
    if (!operation_find(c->arguments[0]))
        return err_set(err, CLI_BAD_USAGE, "there is no operation %.60s (api/consent.md lists them)", c->arguments[0]);
    if (!reason)
        return err_set(err, CLI_BAD_USAGE, "--reason TEXT is missing: who signs wants to know why");
    int r = cli_option_int(c, "hours", 1, 168, &hours, err);
    if (r == 0)
        r = cli_option_int(c, "replica", 0, 19, &replica, err);
    if (r == 0)
        r = session_open(c, &s, err);
    if (r == 0)
        r = session_infrastructure(&s, INSTALL_INFRASTRUCTURE, &infra, err);
    if (r == 0 && service)
        r = session_service(&s, service, &found, err);
    if (r == 0 && policy)
        r = load_policy(policy, arguments, err);
    if (r < 0)
        return r;
    if (service)
        json_object_set_new(arguments, "service", json_string(session_text(found, "id")));
    if (cli_option(c, "replica"))
        json_object_set_new(arguments, "replica", json_integer(replica));
    body = json_pack("{s[s] sO ss ss sI}", "operations", c->arguments[0], "arguments", arguments, "reason", reason,
                     "ticket", ticket ? ticket : "", "hours", (json_int_t)hours);
    autofree char *path = mem_printf("/infrastructures/%s/requests", session_text(infra, "id"));
    r = api_call(s.api, "POST", path, body, &c->answer, err);
    if (r == 0)
        ui_line(&c->ui, "request %s", session_text(c->answer, "id"));
    return r;
}

static const struct cli_option list_options[] = {
    {"state", 0, "STATE", "only waiting, allowed, refused, running, done or failed"}, {0}};

static const struct cli_option sign_options[] = {
    {"request", 'r', "FILE", "sign what this file from the console holds, without asking the control plane"},
    {"out", 'o', "FILE", "write the signature to FILE instead of handing it over"},
    {"key", 0, "FILE", "the key to sign with; default: the laptop's approver key"},
    {"passphrase-file", 0, "FILE", "its first line is the key's passphrase; without this it is asked for"},
    {"digest", 0, "HEX", "sign only what has this digest, without being asked"},
    {"yes", 'y', NULL, "do not ask"},
    {0}};

static const struct cli_option request_options[] = {
    {"service", 's', "NAME", "the service it is about"},
    {"replica", 0, "N", "the number of its replica that it is about, from 0"},
    {"policy", 0, "FILE", "for policy.change: the new policy"},
    {"reason", 'r', "TEXT", "why, for those who sign"},
    {"ticket", 't', "TEXT", "number of the case"},
    {"hours", 0, "N", "how long it may wait for signatures (default 12)"},
    {0}};

const struct cli_command requests_command = {
    .name = "requests",
    .arguments = "[ID]",
    .summary = "Lists what data planes are asked for, or shows one request with its exact effect.",
    .max_arguments = 1,
    .options = list_options,
    .run = requests_run,
};

const struct cli_command request_command = {
    .name = "request",
    .arguments = "OPERATION",
    .summary = "Asks the data plane to do something; it waits for the signatures that the customer's policy wants.",
    .min_arguments = 1,
    .max_arguments = 1,
    .options = request_options,
    .run = request_run,
};

const struct cli_command approve_command = {
    .name = "approve",
    .arguments = "[ID]",
    .summary = "Shows the exact effect of a request or a plan and signs consent to it.",
    .max_arguments = 1,
    .options = sign_options,
    .run = approve_run,
};

const struct cli_command deny_command = {
    .name = "deny",
    .arguments = "[ID]",
    .summary = "Shows a request's exact effect and signs a denial, which ends it.",
    .max_arguments = 1,
    .options = sign_options,
    .run = deny_run,
};
