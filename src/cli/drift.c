/* ownhouse drift: what differs from what was settled, looking now, and deciding of it. */
#include "base/clock.h"
#include "base/mem.h"
#include "cli/commands.h"
#include "cli/session.h"

#define LOOK_TIMEOUT_MS 120000
#define DAY_MS (24LL * 3600 * 1000)

static int begin(struct cli *c, struct session *s, json_t **ret_infrastructure, struct err *err)
{
    int r = session_open(c, s, err);
    return r < 0 ? r
                 : session_infrastructure(s, c->n_arguments ? c->arguments[0] : INSTALL_INFRASTRUCTURE,
                                          ret_infrastructure, err);
}

static int get_list(struct session *s, const char *infrastructure, json_t **ret, struct err *err)
{
    autofree char *path = mem_printf("/infrastructures/%s/drift", infrastructure);
    return api_call(s->api, "GET", path, NULL, ret, err);
}

static void add_value(struct buf *out, const json_t *v)
{
    autofree char *text = v && !json_is_null(v) ? js_text(v) : NULL;
    buf_printf(out, "%.60s", text ? text : "nothing");
}

static void show(struct ui *ui, const json_t *list)
{
    const json_t *item, *one;
    size_t i, k;
    if (!json_array_size(json_object_get(list, "items"))) {
        ui_line(ui, "Nothing has drifted%s%s.", *session_text(list, "checkedAt") ? ", as seen at " : "",
                session_text(list, "checkedAt"));
        return;
    }
    struct ui_table *t = ui_table_new((const char *const[]){"RESOURCE", "STATE", "PUT BACK BY", "DIFFERS", NULL});
    json_array_foreach(json_object_get(list, "items"), i, item)
    {
        autobuf struct buf why = BUF_INIT_MAX(300);
        const char *until = session_text(item, "until");
        autofree char *state = mem_printf("%s%s%s", session_text(item, "state"), *until ? " until " : "", until);
        json_array_foreach(json_object_get(item, "differences"), k, one)
        {
            buf_printf(&why, "%s%s: ", k ? ", " : "", session_text(one, "attribute"));
            add_value(&why, json_object_get(one, "now"));
            buf_adds(&why, " instead of ");
            add_value(&why, json_object_get(one, "settled"));
        }
        ui_table_row(t, session_text(item, "resource"), state, session_text(item, "action"),
                     !strcmp(session_text(item, "action"), "create") ? "it is gone" : why.data);
    }
    ui_table_print(ui, t);
}

static int list_run(struct cli *c, struct err *err)
{
    autosession struct session s = {0};
    autojson json_t *infra = NULL;
    int r = begin(c, &s, &infra, err);
    if (r == 0)
        r = get_list(&s, session_text(infra, "id"), &c->answer, err);
    if (r == 0)
        show(&c->ui, c->answer);
    return r;
}

struct looking {
    const char *infrastructure, *asked;
    json_t *list;
};

static int looked(struct session *s, void *data, struct err *err)
{
    struct looking *l = data;
    int64_t asked = 0, checked = 0;
    json_decref(l->list);
    l->list = NULL;
    int r = get_list(s, l->infrastructure, &l->list, err);
    if (r < 0)
        return r;
    return clock_iso_parse(l->asked, &asked) == 0 &&
           clock_iso_parse(session_text(l->list, "checkedAt"), &checked) == 0 && checked >= asked;
}

static int check_run(struct cli *c, struct err *err)
{
    autosession struct session s = {0};
    autojson json_t *infra = NULL, *asked = NULL;
    int r = begin(c, &s, &infra, err);
    if (r < 0)
        return r;
    autofree char *path = mem_printf("/infrastructures/%s/drift", session_text(infra, "id"));
    r = api_call(s.api, "POST", path, NULL, &asked, err);
    struct looking l = {.infrastructure = session_text(infra, "id"), .asked = session_text(asked, "askedAt")};
    if (r == 0)
        r = session_wait(&s, LOOK_TIMEOUT_MS, "looking (an infrastructure that is not settled has no drift)", looked,
                         &l, err);
    c->answer = l.list;
    if (r == 0)
        show(&c->ui, c->answer);
    return r;
}

/* --- deciding --- */

/* Of several of one resource (one accepted, one new) the one that can be decided so. */
static const json_t *find_item(const json_t *list, const char *resource, bool reopen)
{
    const json_t *item, *found = NULL;
    size_t i;
    json_array_foreach(json_object_get(list, "items"), i, item)
    {
        bool accepted = !strcmp(session_text(item, "state"), "accepted");
        if (!strcmp(session_text(item, "resource"), resource) && (!found || accepted == reopen))
            found = item;
    }
    return found;
}

static int until_of(struct cli *c, char ret[CLOCK_ISO_SIZE], struct err *err)
{
    const char *until = cli_option(c, "until");
    int64_t days = 0, at;
    int r = cli_option_int(c, "days", 1, 366, &days, err);
    if (r < 0)
        return r;
    if (!until == !days)
        return err_set(err, CLI_BAD_USAGE, "give --until TIME or --days N");
    if (until && clock_iso_parse(until, &at) < 0)
        return err_set(err, CLI_BAD_USAGE, "--until: must be a time such as 2026-12-01T00:00:00Z");
    clock_iso(until ? at : clock_wall_ms(&clock_system) + days * DAY_MS, ret);
    return 0;
}

static int decide(struct cli *c, const char *decision, struct err *err)
{
    autosession struct session s = {0};
    autojson json_t *infra = NULL, *list = NULL;
    bool ignore = !strcmp(decision, "ignore");
    char until[CLOCK_ISO_SIZE] = "";
    int r = ignore ? until_of(c, until, err) : 0;
    if (r == 0)
        r = begin(c, &s, &infra, err);
    if (r == 0)
        r = get_list(&s, session_text(infra, "id"), &list, err);
    if (r < 0)
        return r;
    const json_t *item = find_item(list, c->arguments[1], !strcmp(decision, "reopen"));
    if (!item)
        return err_set(err, -ENOENT, "nothing of %.80s has drifted: see `ownhouse drift list %s`", c->arguments[1],
                       c->arguments[0]);
    autofree char *path =
        mem_printf("/infrastructures/%s/drift/%s", session_text(infra, "id"), session_text(item, "id"));
    autojson json_t *body = json_pack("{s:s, s:s}", "decision", decision, "digest", session_text(item, "digest"));
    if (ignore)
        json_object_set_new(body, "until", json_string(until));
    r = api_call(s.api, "POST", path, body, &c->answer, err);
    if (r == 0)
        show(&c->ui, c->answer);
    return r;
}

static int accept_run(struct cli *c, struct err *err)
{
    return decide(c, "accept", err);
}

static int revert_run(struct cli *c, struct err *err)
{
    return decide(c, "revert", err);
}

static int ignore_run(struct cli *c, struct err *err)
{
    return decide(c, "ignore", err);
}

static int reopen_run(struct cli *c, struct err *err)
{
    return decide(c, "reopen", err);
}

static const struct cli_option ignore_options[] = {
    {"until", 0, "TIME", "such as 2026-12-01T00:00:00Z"},
    {"days", 0, "N", "so many days from now"},
    {NULL},
};

#define DECISION(word, what, opts, fn)                                                                                 \
    {                                                                                                                  \
        .name = word, .arguments = "INFRASTRUCTURE RESOURCE", .summary = what, .min_arguments = 2, .max_arguments = 2, \
        .options = opts, .run = fn                                                                                     \
    }

static const struct cli_command subcommands[] = {
    {.name = "list",
     .arguments = "[INFRASTRUCTURE]",
     .summary = "Lists what differs from what was settled, and what was decided of it.",
     .max_arguments = 1,
     .run = list_run},
    {.name = "check",
     .arguments = "[INFRASTRUCTURE]",
     .summary = "Looks now, besides the scheduled looks, and lists.",
     .max_arguments = 1,
     .run = check_run},
    DECISION("accept", "What is, is wanted from now on.", NULL, accept_run),
    DECISION("revert", "Puts exactly this back as it was, and nothing else.", NULL, revert_run),
    DECISION("ignore", "Plans leave it as it is until a time.", ignore_options, ignore_run),
    DECISION("reopen", "As if nothing had been decided.", NULL, reopen_run),
    {NULL},
};

const struct cli_command drift_command = {
    .name = "drift",
    .arguments = "[COMMAND]",
    .summary = "Shows what was changed behind our back, and decides of it.",
    .details =
        "What somebody changed in an account is never put back unasked. Each resource is decided of on its own:\n"
        "accept, revert, or ignore until a time. What is not decided of waits in the proposed plan.",
    .subcommands = subcommands,
    .default_subcommand = "list",
};
