/* ownhouse egress fields, narrow, hosts: what may leave the account, field by field and port by port. */
#include "cli/egress.h"

#include "base/fs.h"
#include "base/mem.h"
#include "blueprint/telemetry.h"
#include "cli/install.h"

const struct cli_option egress_list_options[] = {
    {"file", 0, "FILE", "the list; default: the laptop's agent's policy/telemetry.json"}, {0}};

static char *list_path(const struct cli *c)
{
    const char *given = cli_option(c, "file");
    return given ? mem_strdup(given)
                 : cli_path(c, "accounts/%s/%s/agent/policy/telemetry.json", INSTALL_ACCOUNT, INSTALL_INFRASTRUCTURE);
}

/* ---- fields ---- */

struct listing {
    struct ui_table *table;
    json_t *list;
};

static void take(const char *name, enum telemetry_class class, const char *what, void *data)
{
    struct listing *l = data;
    ui_table_row(l->table, name, telemetry_class_names[class], what);
    json_array_append_new(l->list,
                          json_pack("{ss ss ss}", "field", name, "class", telemetry_class_names[class], "what", what));
}

int egress_fields_run(struct cli *c, struct err *err)
{
    autofree char *path = list_path(c), *text = NULL;
    autotelemetry struct telemetry *t = NULL;
    size_t len = 0;
    int r = 0;
    if (fs_exists(path) || cli_option(c, "file")) {
        r = fs_read(path, TELEMETRY_MAX_BYTES, &text, &len, err);
        if (r == 0 && (r = telemetry_parse(text, len, &t, err)) < 0)
            err_wrap(err, r, "%s", path);
    } else {
        t = telemetry_all();
    }
    if (r < 0)
        return r;
    struct listing l = {ui_table_new((const char *const[]){"FIELD", "LEAVES", "WHAT IT IS", NULL}), json_array()};
    telemetry_each(t, take, &l);
    ui_table_print(&c->ui, l.table);
    c->answer = json_pack("{ss sb so}", "file", path, "narrowed", text != NULL, "fields", l.list);
    return 0;
}

/* ---- narrow ---- */

int egress_narrow_run(struct cli *c, struct err *err)
{
    autofree char *path = list_path(c), *text = NULL;
    int r = telemetry_file(c->arguments, (size_t)c->n_arguments, &text, err);
    if (r == 0)
        r = fs_write_atomic(path, text, strlen(text), 0600, err);
    if (r < 0)
        return r;
    ui_line(&c->ui, "%s withholds %d fields; a running agent takes it up within seconds and writes it into the ledger",
            path, c->n_arguments);
    c->answer = json_pack("{ss si}", "file", path, "withheld", c->n_arguments);
    return 0;
}

/* ---- hosts ---- */

int egress_hosts_run(struct cli *c, struct err *err)
{
    autofree char *path = cli_path(c, "accounts/%s/%s/openings.json", INSTALL_ACCOUNT, INSTALL_INFRASTRUCTURE),
                  *text = NULL;
    json_t *list = NULL, *one;
    size_t len = 0, i;
    int r = fs_read(path, KIB(64), &text, &len, err);
    if (r == -ENOENT)
        r = err_set(err, r, "%s is missing: `ownhouse up` writes it together with the packet rules", path);
    if (r == 0)
        r = js_parse(text, len, KIB(64), &c->answer, err);
    if (r == 0)
        r = js_array(c->answer, "", "openings", 200, &list, err);
    if (r < 0)
        return r;
    struct ui_table *t = ui_table_new((const char *const[]){"DIRECTION", "HOST", "PORTS", "PASSED ON TO", "WHY", NULL});
    json_array_foreach(list, i, one)
    {
        const char *direction = "", *host = "", *why = "", *target = NULL;
        int first = 0, last = 0;
        char ports[32];
        if (json_unpack(one, "{ss ss si si ss s?s}", "direction", &direction, "host", &host, "firstPort", &first,
                        "lastPort", &last, "why", &why, "target", &target) < 0)
            continue;
        snprintf(ports, sizeof(ports), first == last ? "tcp %d" : "tcp %d-%d", first, last);
        ui_table_row(t, direction, host, ports, target ? target : "", why);
    }
    ui_table_print(&c->ui, t);
    if (!json_is_true(json_object_get(c->answer, "enforced")))
        ui_warn(&c->ui, "nothing enforces this: without root there are no packet rules");
    return 0;
}
