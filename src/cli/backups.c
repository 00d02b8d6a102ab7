/* ownhouse backups: list, show, create. */
#include "base/mem.h"
#include "cli/commands.h"
#include "cli/session.h"

#define DEFAULT_WAIT_S 3600

static int open_service(struct cli *c, struct session *s, json_t **ret, struct err *err)
{
    int r = session_open(c, s, err);
    return r < 0 ? r : session_service(s, c->arguments[0], ret, err);
}

static void size_text(const json_t *backup, char *out, size_t size)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double n = json_number_value(json_object_get(backup, "sizeInBytes"));
    size_t unit = 0;
    for (; n >= 1024 && unit + 1 < ARRAY_SIZE(units); unit++)
        n /= 1024;
    snprintf(out, size, unit ? "%.1f %s" : "%.0f %s", n, units[unit]);
}

static const char *more(const json_t *backup, const char *key)
{
    return session_text(json_object_get(backup, "ownhouse"), key);
}

static int list_run(struct cli *c, struct err *err)
{
    autosession struct session s = {0};
    autojson json_t *service = NULL;
    const json_t *v;
    size_t i;
    int r = open_service(c, &s, &service, err);
    if (r < 0)
        return r;
    autofree char *path = mem_printf("/services/%s/backups", session_text(service, "id"));
    if ((r = api_call(s.api, "GET", path, NULL, &c->answer, err)) < 0)
        return r;
    struct ui_table *t = ui_table_new((const char *const[]){"STARTED", "STATUS", "TYPE", "SIZE", "DRILL", "ID", NULL});
    json_array_foreach(c->answer, i, v)
    {
        char size[32];
        size_text(v, size, sizeof(size));
        ui_table_row(t, session_text(v, "startedAt"), session_text(v, "status"), session_text(v, "type"), size,
                     more(v, "drill"), session_text(v, "id"));
    }
    ui_table_print(&c->ui, t);
    return 0;
}

static void show(struct ui *ui, const json_t *v)
{
    static const char *const names[][2] = {
        {"id", "id"}, {"status", "status"}, {"type", "type"}, {"started", "startedAt"}, {"finished", "finishedAt"}};
    char size[32];
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (*session_text(v, names[i][1]))
            ui_line(ui, "%-12s %s", names[i][0], session_text(v, names[i][1]));
    size_text(v, size, sizeof(size));
    ui_line(ui, "%-12s %s", "size", size);
    static const char *const others[] = {"base", "drill", "error"};
    for (size_t i = 0; i < ARRAY_SIZE(others); i++)
        if (*more(v, others[i]))
            ui_line(ui, "%-12s %s", others[i], more(v, others[i]));
}

static int show_run(struct cli *c, struct err *err)
{
    autosession struct session s = {0};
    autojson json_t *service = NULL;
    int r = open_service(c, &s, &service, err);
    if (r < 0)
        return r;
    autofree char *path = mem_printf("/services/%s/backups/%s", session_text(service, "id"), c->arguments[1]);
    if ((r = api_call(s.api, "GET", path, NULL, &c->answer, err)) == 0)
        show(&c->ui, c->answer);
    return r;
}

/* Ends the wait when the backup is over, one way or the other. */
static int is_over(struct session *s, void *data, struct err *err)
{
    autojson json_t *now = NULL;
    int r = api_call(s->api, "GET", data, NULL, &now, err);
    if (r < 0)
        return r;
    const char *status = session_text(now, "status");
    if (!strcmp(status, "error"))
        return err_set(err, -EIO, "the backup was not made: %s", more(now, "error"));
    if (strcmp(status, "done"))
        return 0;
    json_decref(s->cli->answer);
    s->cli->answer = TAKE_PTR(now);
    return 1;
}

static int create_run(struct cli *c, struct err *err)
{
    autosession struct session s = {0};
    autojson json_t *service = NULL;
    int64_t seconds = DEFAULT_WAIT_S;
    int r = cli_option_int(c, "timeout", 1, 86400, &seconds, err);
    if (r == 0)
        r = open_service(c, &s, &service, err);
    if (r < 0)
        return r;
    autofree char *ask = mem_printf("/services/%s/backupRequests", session_text(service, "id"));
    ui_step(&c->ui, "backup", session_text(service, "name"));
    if ((r = api_call(s.api, "POST", ask, NULL, &c->answer, err)) < 0)
        return r;
    autofree char *path =
        mem_printf("/services/%s/backups/%s", session_text(service, "id"), session_text(c->answer, "id"));
    if (!cli_option(c, "no-wait"))
        r = session_wait(&s, (int)seconds * 1000, "the backup", is_over, path, err);
    if (r == 0)
        ui_step_done(&c->ui, "%s %s", session_text(c->answer, "id"), session_text(c->answer, "status"));
    return r;
}

static const struct cli_option create_options[] = {
    {"no-wait", 0, NULL, "return at once, without waiting for its end"},
    {"timeout", 0, "SECONDS", "how long to wait (default 3600)"},
    {NULL},
};

static const struct cli_command subcommands[] = {
    {.name = "list",
     .arguments = "SERVICE",
     .summary = "Lists the backups of a service, newest first.",
     .min_arguments = 1,
     .max_arguments = 1,
     .run = list_run},
    {.name = "show",
     .arguments = "SERVICE ID",
     .summary = "Shows one backup.",
     .min_arguments = 2,
     .max_arguments = 2,
     .run = show_run},
    {.name = "create",
     .arguments = "SERVICE",
     .summary = "Makes a backup now, beside those of the schedule.",
     .details =
         "It lies in the data plane's own bucket. A new service begins with it by `ownhouse services create NAME "
         "--backup ID`.",
     .min_arguments = 1,
     .max_arguments = 1,
     .options = create_options,
     .run = create_run},
    {NULL},
};

const struct cli_command backups_command = {
    .name = "backups",
    .arguments = "",
    .summary = "Shows and makes backups of services.",
    .subcommands = subcommands,
};
