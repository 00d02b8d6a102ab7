/* Fetches and shows the report of a removal. */
#include "cli/removal.h"

#include "base/clock.h"
#include "base/mem.h"

#define REPORT_TIMEOUT_MS 120000

static int get_report(struct session *s, const char *infrastructure, json_t **ret, struct err *err)
{
    autofree char *path = mem_printf("/infrastructures/%s/removal", infrastructure);
    return api_call(s->api, "GET", path, NULL, ret, err);
}

struct waiting {
    const char *infrastructure;
    int64_t since_ms;
    json_t *report;
};

static int reported(struct session *s, void *data, struct err *err)
{
    struct waiting *w = data;
    int64_t made;
    json_decref(w->report);
    w->report = NULL;
    int r = get_report(s, w->infrastructure, &w->report, err);
    if (r == -ENOENT)
        return 0;
    return r < 0 ? r : clock_iso_parse(session_text(w->report, "madeAt"), &made) == 0 && made >= w->since_ms;
}

int removal_wait(struct session *s, const char *infrastructure, const json_t *plan, json_t **ret, struct err *err)
{
    struct waiting w = {.infrastructure = infrastructure};
    int r = clock_iso_parse(session_text(plan, "createdAt"), &w.since_ms);
    if (r < 0)
        return err_set(err, r, "the plan does not say when it was made");
    r = session_wait(s, REPORT_TIMEOUT_MS, "looking at what is left", reported, &w, err);
    if (r == 0)
        *ret = w.report;
    else
        json_decref(w.report);
    return r;
}

static void monthly(const json_t *item, char ret[40])
{
    const json_t *v = json_object_get(item, "monthly");
    if (json_is_integer(v))
        snprintf(ret, 40, "%lld.%02lld USD", (long long)json_integer_value(v) / 100,
                 (long long)json_integer_value(v) % 100);
    else
        snprintf(ret, 40, "by use, or not known");
}

void removal_show(struct ui *ui, const json_t *report, bool all)
{
    const json_t *items = json_object_get(report, "items"), *v;
    size_t i, gone = 0;
    struct ui_table *t = NULL;
    json_array_foreach(items, i, v)
    {
        bool there = strcmp(session_text(v, "state"), "gone");
        char cost[40] = "";
        gone += !there;
        if (there)
            monthly(v, cost);
        if ((there || all) && !t)
            t = ui_table_new((const char *const[]){"RESOURCE", "WHAT", "IS", "REMOVED", "A MONTH", "WHY", NULL});
        if (there || all)
            ui_table_row(t, session_text(v, "resource"), session_text(v, "identity"), session_text(v, "state"),
                         session_text(v, "removedAt"), cost, session_text(v, "why"));
    }
    ui_line(ui, "Of %zu resources ever made, %zu are gone, as seen at %s.", json_array_size(items), gone,
            session_text(report, "madeAt"));
    if (t)
        ui_table_print(ui, t);
    json_array_foreach(json_object_get(report, "tagged"), i, v)
        ui_line(ui, "still listed by its tag: %s (%s)", session_text(v, "arn"), session_text(v, "why"));
    json_array_foreach(json_object_get(report, "notes"), i, v) ui_line(ui, "note: %s", json_string_value(v));
}

/* By name or id, also of one that is gone; what has gone with its account is known by its id only. */
static int find(struct session *s, const char *name, char **ret, struct err *err)
{
    autojson json_t *list = NULL;
    const json_t *found = NULL;
    int r = api_call(s->api, "GET", "/infrastructures?terminated=true", NULL, &list, err);
    if (r < 0)
        return r;
    r = session_pick(list, "infrastructure", "name", name, &found, err);
    if (r == -EINVAL)
        return r;
    *ret = mem_strdup(r == 0 ? session_text(found, "id") : name);
    return 0;
}

int removal_run(struct cli *c, struct err *err)
{
    autosession struct session s = {0};
    autofree char *id = NULL;
    const char *name = c->n_arguments ? c->arguments[0] : INSTALL_INFRASTRUCTURE;
    int r = session_open(c, &s, err);
    if (r == 0)
        r = find(&s, name, &id, err);
    if (r == 0)
        r = get_report(&s, id, &c->answer, err);
    if (r < 0)
        return r == -ENOENT || r == -EINVAL
                   ? err_set(err, -ENOENT, "there is no report of a removal of %.80s: nothing of it was removed", name)
                   : r;
    removal_show(&c->ui, c->answer, true);
    return 0;
}
