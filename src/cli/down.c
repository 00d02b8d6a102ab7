/* ownhouse down: stops what runs; with --purge removes everything through the plan engine, data too.
 *
 * Level-triggered like `up`: each step looks at what is still there, so it works when half of it is gone already. */
#include "base/fs.h"
#include "base/mem.h"
#include "cli/background.h"
#include "cli/commands.h"
#include "cli/control_plane.h"
#include "cli/leftovers.h"
#include "cli/plans.h"
#include "cli/sweep.h"

#include <glob.h>

#define MACHINE_GRACE_MS 60000
#define SWEEP_GRACE_MS 10000

struct down {
    struct cli *c;
    struct install install;
    bool purge;
    int stopped;
    bool destroyed; /* the plan engine has removed the infrastructures */
};

static const char *const home_entries[] = {"control", "accounts", "credentials.json", "device.key", "settings.json"};

static bool anything_here(const struct cli *c)
{
    for (size_t i = 0; i < ARRAY_SIZE(home_entries); i++) {
        autofree char *path = cli_path(c, "%s", home_entries[i]);
        if (fs_exists(path))
            return true;
    }
    return false;
}

static void show_waiting(void *data)
{
    struct cli *c = data;
    ui_step_update(&c->ui, "%s", "stopping");
}

/* --- purge: through the plan engine --------------------------------------------------------------------------- */

static int confirm(struct down *d, struct err *err)
{
    autofree char *question =
        mem_printf("This deletes the control plane, the account laptop with all its services, and all "
                   "their data, in %s.",
                   d->c->home);
    if (cli_option(d->c, "yes") || ui_confirm(&d->c->ui, question))
        return 0;
    return err_set(err, -ECANCELED, "nothing was deleted: answer yes, or give --yes");
}

static int destroy_one(struct session *s, const json_t *infra, struct err *err)
{
    int r = 0;
    if (!strcmp(session_text(infra, "state"), "infra-terminated"))
        return 0;
    ui_step(&s->cli->ui, "plan", "destroy");
    r = plans_settle(s, session_text(infra, "id"), "destroy", NULL, err);
    if (r == 0)
        ui_step_done(&s->cli->ui, "%s removed", session_text(infra, "name"));
    return r;
}

static int destroy_all(struct down *d, struct err *err)
{
    autosession struct session s = {0};
    autojson json_t *list = NULL;
    const json_t *infra;
    size_t i;
    autofree char *conf = cli_path(d->c, "control/control.conf");
    if (!fs_exists(conf))
        return err_set(err, -ENOENT, "%s is gone", conf);
    int r = control_plane_start(d->c, &d->install, err);
    if (r == 0)
        r = session_open(d->c, &s, err);
    if (r == 0)
        r = api_call(s.api, "GET", "/infrastructures", NULL, &list, err);
    json_array_foreach(list, i, infra)
    {
        if (r == 0)
            r = destroy_one(&s, infra, err);
    }
    return r;
}

/* --- stop ------------------------------------------------------------------------------------------------------- */

static int stop_control(struct down *d, struct err *err)
{
    struct proc_id id;
    if (control_plane_find(d->c, &id) < 0)
        return 0;
    ui_step(&d->c->ui, "control", "plane");
    int r = control_plane_stop(d->c, err);
    if (r == 0) {
        d->stopped++;
        ui_step_done(&d->c->ui, "stopped");
    }
    return r;
}

/* A machine is a supervisor that was started outside any other; told to end it stops all it runs, in order, as a host
 * that shuts down: load balancer, gateway and the agent with its workloads. */
static int stop_machines(struct down *d, struct err *err)
{
    autofree char *pattern = cli_path(d->c, "accounts/*/*/machine");
    glob_t found;
    int r = 0;
    if (glob(pattern, GLOB_ONLYDIR, NULL, &found) != 0)
        return 0;
    for (size_t i = 0; r == 0 && i < found.gl_pathc; i++) {
        autofree struct proc_id *ids = NULL;
        size_t n = 0;
        r = sweep_find(d->c->home, d->install.infrastructure, found.gl_pathv[i], &ids, &n, err);
        for (size_t k = 0; r == 0 && k < n; k++) {
            if (!d->c->ui.step_open)
                ui_step(&d->c->ui, "data", "plane");
            r = background_stop(&ids[k], MACHINE_GRACE_MS, show_waiting, d->c, NULL, err);
            d->stopped++;
        }
    }
    globfree(&found);
    return r;
}

static int stop_data_plane(struct down *d, struct err *err)
{
    int r = stop_machines(d, err);
    int swept = r < 0 ? r : sweep_stop(d->c->home, d->install.infrastructure, SWEEP_GRACE_MS, err);
    if (swept < 0)
        return swept;
    d->stopped += swept;
    if (d->c->ui.step_open)
        ui_step_done(&d->c->ui, "stopped");
    else if (swept)
        ui_line(&d->c->ui, " %d leftover processes stopped", swept);
    return 0;
}

/* What a killed writer left beside a file of ours (base/fs.h, fs_write_atomic). */
static void remove_unfinished(const struct cli *c)
{
    autofree char *pattern = cli_path(c, "*.json.tmp??????");
    glob_t found;
    if (glob(pattern, 0, NULL, &found) != 0)
        return;
    for (size_t i = 0; i < found.gl_pathc; i++)
        (void)!unlink(found.gl_pathv[i]);
    globfree(&found);
}

/* Only what `up` made: a folder that holds something else stays with it. */
static int remove_home(struct down *d, struct err *err)
{
    int r = 0;
    ui_step(&d->c->ui, "files", "");
    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(home_entries); i++) {
        autofree char *path = cli_path(d->c, "%s", home_entries[i]);
        r = fs_remove_tree(path, err);
    }
    remove_unfinished(d->c);
    if (r == 0 && rmdir(d->c->home) < 0 && errno != ENOENT && errno != ENOTEMPTY && errno != EEXIST && errno != EBUSY)
        r = err_set_errno(err, -errno, "cannot remove %s", d->c->home);
    if (r == 0)
        ui_step_done(&d->c->ui, "%s removed", d->c->home);
    return r;
}

static int purge(struct down *d, struct err *err)
{
    struct err why = ERR_INIT;
    int r = destroy_all(d, &why);
    ui_end(&d->c->ui);
    d->destroyed = r == 0;
    if (r < 0)
        ui_warn(&d->c->ui, "the control plane cannot remove it (%s): removing by the marks on this machine",
                why.message);
    r = stop_control(d, err);
    if (r == 0)
        r = stop_data_plane(d, err);
    if (r == 0 && !d->destroyed)
        r = leftovers_remove(d->c, &d->install, err);
    return r < 0 ? r : remove_home(d, err);
}

static int down_run(struct cli *c, struct err *err)
{
    struct down d = {.c = c, .purge = cli_option(c, "purge") != NULL};
    if (cli_option(c, "yes") && !d.purge)
        return err_set(err, CLI_BAD_USAGE, "--yes: belongs to --purge; plain `down` deletes nothing and asks nothing");
    if (!anything_here(c)) {
        ui_line(&c->ui, "Nothing is installed in %s.", c->home);
        c->answer = json_pack("{s:i,s:b}", "stopped", 0, "purged", 0);
        return 0;
    }
    /* Damaged settings must not keep anybody from stopping or removing: the defaults do then. */
    if (install_load(c, false, &d.install, NULL) < 0)
        ui_warn(&c->ui, "%s/settings.json is damaged: going on without it", c->home);
    int r = 0;
    if (d.purge) {
        r = confirm(&d, err);
        if (r == 0)
            r = purge(&d, err);
    } else {
        /* The control plane first: it would put back what it sees falling over. */
        r = stop_control(&d, err);
        if (r == 0)
            r = stop_data_plane(&d, err);
        if (r == 0 && !d.stopped)
            ui_line(&c->ui, "Nothing was running. Data stay in %s.", c->home);
    }
    install_free(&d.install);
    if (r == 0)
        c->answer = json_pack("{s:i,s:b}", "stopped", d.stopped, "purged", d.purge);
    return r;
}

static const struct cli_option options[] = {
    {"purge", 0, NULL, "remove everything, data too (asks first)"},
    {"yes", 'y', NULL, "with --purge: do not ask"},
    {NULL},
};

const struct cli_command down_command = {
    .name = "down",
    .arguments = "",
    .summary = "Stops OwnHouse on this machine; --purge removes it with all data.",
    .details = "Without --purge all data stay and `ownhouse up` goes on with them. With --purge the infrastructure is\n"
               "removed by an approved plan that names the deletion of data, then the home folder. Works also when\n"
               "half of it is gone already.",
    .options = options,
    .run = down_run,
};
