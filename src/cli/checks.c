/* ownhouse account verify and preflight. */
#include "cli/checks.h"

#include "base/mem.h"
#include "cli/session.h"

#define WAIT_MS 180000

const struct cli_option check_options[] = {
    {"region", 0, "REGION", "such as us-east-1 (the default)"},
    {"cidr", 0, "RANGE", "preflight: the range to look at (default 10.0.0.0/16)"},
    {NULL},
};

struct waiting {
    const char *path;
    json_t *check;
};

static int finished(struct session *s, void *data, struct err *err)
{
    struct waiting *w = data;
    json_t *v = NULL;
    int r = api_call(s->api, "GET", w->path, NULL, &v, err);
    if (r < 0)
        return r;
    json_decref(w->check);
    w->check = v;
    return strcmp(session_text(v, "state"), "waiting") != 0;
}

static int show(struct cli *c, json_t *check, struct err *err)
{
    struct ui_table *t = ui_table_new((const char *const[]){"CHECK", "", "FOUND", "NEEDED", "WHAT TO DO", NULL});
    size_t i, wrong = 0;
    json_t *v;
    c->answer = check;
    c->answered = true; /* the table is the answer, most of all where something is wrong */
    json_array_foreach(json_object_get(check, "results"), i, v)
    {
        bool good = !strcmp(session_text(v, "outcome"), "ok"), bad = !strcmp(session_text(v, "outcome"), "wrong");
        wrong += bad;
        ui_table_row(t, session_text(v, "check"),
                     good  ? "ok"
                     : bad ? "WRONG"
                           : "unknown",
                     session_text(v, "found"), session_text(v, "needed"), session_text(v, "advice"));
    }
    ui_table_print(&c->ui, t);
    if (!strcmp(session_text(check, "state"), "failed"))
        return err_set(err, -EIO, "%s", session_text(check, "error"));
    return wrong ? err_set(err, -EPERM, "%zu of %zu checks are wrong", wrong, i) : 0;
}

static int run(struct cli *c, const char *kind, struct err *err)
{
    autosession struct session s = {0};
    autojson json_t *account = NULL, *body = NULL, *made = NULL;
    const char *region = cli_option(c, "region"), *cidr = cli_option(c, "cidr");
    int r = session_open(c, &s, err);
    if (r == 0)
        r = session_account(&s, c->arguments[0], &account, err);
    if (r < 0)
        return r;
    autofree char *path = mem_printf("/accounts/%s/checks", session_text(account, "id"));
    body = json_pack("{s:s, s:s, s:s}", "kind", kind, "regionId", region ? region : "us-east-1", "vpcCidrRange",
                     cidr ? cidr : "10.0.0.0/16");
    r = api_call(s.api, "POST", path, body, &made, err);
    if (r < 0)
        return r;
    autofree char *one = mem_printf("%s/%s", path, session_text(made, "id"));
    struct waiting w = {.path = one};
    r = session_wait(&s, WAIT_MS, "the controller to look into the account", finished, &w, err);
    if (r < 0) {
        json_decref(w.check);
        return r;
    }
    return show(c, w.check, err);
}

int account_verify_run(struct cli *c, struct err *err)
{
    return run(c, "verify", err);
}

int account_preflight_run(struct cli *c, struct err *err)
{
    return run(c, "preflight", err);
}
