/* ownhouse services: list, create, show, start, stop, rename, password, delete. */
#include "cli/services.h"
#include "base/mem.h"
#include "cli/commands.h"
#include "cli/customer.h"

#define DEFAULT_WAIT_S 120

static int wait_ms(const struct cli *c, int *ret, struct err *err)
{
    int64_t s = DEFAULT_WAIT_S;
    int r = cli_option_int(c, "timeout", 1, 3600, &s, err);
    *ret = (int)s * 1000;
    return r;
}

/* "host:port" of the HTTPS endpoint, "" if there is none. */
static void https_endpoint(const json_t *service, char *out, size_t size)
{
    const json_t *e;
    size_t i;
    out[0] = 0;
    json_array_foreach(json_object_get(service, "endpoints"), i, e)
    {
        if (!strcmp(session_text(e, "protocol"), "https"))
            snprintf(out, size, "%s:%lld", session_text(e, "host"),
                     (long long)json_integer_value(json_object_get(e, "port")));
    }
}

static int list_run(struct cli *c, struct err *err)
{
    autosession struct session s = {0};
    json_t *list = NULL;
    const json_t *v;
    size_t i;
    int r = session_open(c, &s, err);
    if (r == 0)
        r = api_call(s.api, "GET", "/services", NULL, &list, err);
    if (r < 0)
        return r;
    c->answer = list;
    struct ui_table *t = ui_table_new((const char *const[]){"NAME", "STATE", "VERSION", "ENDPOINT", "ID", NULL});
    json_array_foreach(list, i, v)
    {
        char endpoint[300];
        https_endpoint(v, endpoint, sizeof(endpoint));
        ui_table_row(t, session_text(v, "name"), session_text(v, "state"), session_text(v, "clickhouseVersion"),
                     endpoint, session_text(v, "id"));
    }
    ui_table_print(&c->ui, t);
    return 0;
}

static void show_field(struct ui *ui, const char *name, const char *value)
{
    if (*value)
        ui_line(ui, "%-12s %s", name, value);
}

static int show_run(struct cli *c, struct err *err)
{
    autosession struct session s = {0};
    json_t *v = NULL;
    const json_t *e;
    size_t i;
    int r = session_open(c, &s, err);
    if (r == 0)
        r = session_service(&s, c->arguments[0], &v, err);
    if (r < 0)
        return r;
    c->answer = v;
    show_field(&c->ui, "name", session_text(v, "name"));
    show_field(&c->ui, "id", session_text(v, "id"));
    show_field(&c->ui, "state", session_text(v, "state"));
    show_field(&c->ui, "version", session_text(v, "clickhouseVersion"));
    show_field(&c->ui, "provider", session_text(v, "provider"));
    show_field(&c->ui, "created", session_text(v, "createdAt"));
    json_array_foreach(json_object_get(v, "endpoints"), i, e)
    {
        ui_line(&c->ui, "%-12s %s %s:%lld", "endpoint", session_text(e, "protocol"), session_text(e, "host"),
                (long long)json_integer_value(json_object_get(e, "port")));
    }
    json_array_foreach(json_object_get(v, "ipAccessList"), i, e)
    {
        ui_line(&c->ui, "%-12s %s %s", "from", session_text(e, "source"), session_text(e, "description"));
    }
    return 0;
}

int services_set_password(struct session *s, const char *id, const char *name, const char *password, struct err *err)
{
    autofree char *hash = customer_password_hash(password), *path = mem_printf("/services/%s/password", id);
    autojson json_t *body = json_pack("{s:s}", "newPasswordHash", hash);
    /* Kept first: a crash after the call must not lose a password that is already in force. */
    int r = customer_write_password(s->cli, INSTALL_ACCOUNT, name, password, err);
    return r < 0 ? r : api_call(s->api, "PATCH", path, body, NULL, err);
}

static void wipe_free(char *s)
{
    if (s)
        mem_wipe(s, strlen(s));
    free(s);
}

int services_create(struct session *s, const char *name, const char *infrastructure, json_t *wanted, json_t **ret,
                    struct err *err)
{
    autojson json_t *infra = NULL, *answer = NULL;
    int r = session_infrastructure(s, infrastructure, &infra, err);
    if (r < 0)
        return r;
    autojson json_t *body =
        json_pack("{s:s,s:s,s:s,s:s}", "name", name, "provider", session_text(infra, "cloudProvider"), "region",
                  session_text(infra, "regionId"), "byocId", session_text(infra, "id"));
    json_object_update_missing(body, wanted);
    r = api_call(s->api, "POST", "/services", body, &answer, err);
    if (r < 0)
        return r;
    json_t *service = json_object_get(answer, "service");
    if (!*session_text(service, "id"))
        return err_set(err, -EIO, "the API made the service but did not name it");
    /* The password in the answer is replaced at once by one that only this side has ever seen. */
    char *password = customer_new_password();
    r = services_set_password(s, session_text(service, "id"), name, password, err);
    wipe_free(password);
    if (r == 0)
        *ret = json_incref(service);
    return r;
}

json_t *services_from(const char *networks, const char *description)
{
    json_t *list = json_array();
    for (const char *p = networks; *networks; p++) {
        size_t n = strcspn(p, ",");
        autofree char *one = mem_strndup(p, n);
        json_array_append_new(list, json_pack("{s:s,s:s}", "source", one, "description", description));
        p += n;
        if (!*p)
            break;
    }
    return list;
}

/* What create's options ask for, in the API's words. */
static int wanted_by_options(const struct cli *c, json_t **ret, struct err *err)
{
    const char *from = cli_option(c, "from"), *channel = cli_option(c, "channel"), *backup = cli_option(c, "backup");
    int64_t memory = 0, replicas = 0;
    int r = cli_option_int(c, "memory", 8, 356, &memory, err);
    if (r == 0)
        r = cli_option_int(c, "replicas", 1, 20, &replicas, err);
    if (r < 0)
        return r;
    json_t *v = json_object();
    json_object_set_new(v, "ipAccessList",
                        from ? services_from(from, "given at creation") : services_from("0.0.0.0/0", "anywhere"));
    if (memory) {
        json_object_set_new(v, "minReplicaMemoryGb", json_integer(memory));
        json_object_set_new(v, "maxReplicaMemoryGb", json_integer(memory));
    }
    if (replicas)
        json_object_set_new(v, "numReplicas", json_integer(replicas));
    if (channel)
        json_object_set_new(v, "releaseChannel", json_string(channel));
    if (cli_option(c, "no-idle"))
        json_object_set_new(v, "idleScaling", json_false());
    if (backup)
        json_object_set_new(v, "backupId", json_string(backup));
    *ret = v;
    return 0;
}

static int create_run(struct cli *c, struct err *err)
{
    autosession struct session s = {0};
    autojson json_t *service = NULL, *wanted = NULL;
    const char *name = c->arguments[0], *infrastructure = cli_option(c, "infrastructure");
    autofree char *password = NULL;
    int timeout = 0, r = wait_ms(c, &timeout, err);
    if (r == 0)
        r = wanted_by_options(c, &wanted, err);
    if (r == 0)
        r = session_open(c, &s, err);
    if (r < 0)
        return r;
    ui_step(&c->ui, "service", name);
    r = services_create(&s, name, infrastructure ? infrastructure : INSTALL_INFRASTRUCTURE, wanted, &service, err);
    if (r == 0 && !cli_option(c, "no-wait"))
        r = session_wait_service(&s, session_text(service, "id"), "running", timeout, &c->answer, err);
    if (r < 0)
        return r;
    if (!c->answer)
        c->answer = json_incref(service);
    ui_step_done(&c->ui, "%s", session_text(c->answer, "state"));
    password = customer_password_path(c, INSTALL_ACCOUNT, name);
    ui_line(&c->ui, "password of user default: %s", password);
    return 0;
}

static int change_state(struct cli *c, const char *command, const char *state, struct err *err)
{
    autosession struct session s = {0};
    autojson json_t *service = NULL, *body = json_pack("{s:s}", "command", command);
    autofree char *path = NULL;
    int timeout = 0, r = wait_ms(c, &timeout, err);
    if (r == 0)
        r = session_open(c, &s, err);
    if (r == 0)
        r = session_service(&s, c->arguments[0], &service, err);
    if (r < 0)
        return r;
    path = mem_printf("/services/%s/state", session_text(service, "id"));
    ui_step(&c->ui, "service", session_text(service, "name"));
    r = api_call(s.api, "PATCH", path, body, cli_option(c, "no-wait") ? &c->answer : NULL, err);
    if (r == 0 && !cli_option(c, "no-wait"))
        r = session_wait_service(&s, session_text(service, "id"), state, timeout, &c->answer, err);
    if (r == 0)
        ui_step_done(&c->ui, "%s", session_text(c->answer, "state"));
    return r;
}

static int start_run(struct cli *c, struct err *err)
{
    return change_state(c, "start", "running", err);
}

static int stop_run(struct cli *c, struct err *err)
{
    return change_state(c, "stop", "stopped", err);
}

static int wake_run(struct cli *c, struct err *err)
{
    return change_state(c, "awake", "running", err);
}

static int rename_run(struct cli *c, struct err *err)
{
    autosession struct session s = {0};
    autojson json_t *service = NULL, *body = json_pack("{s:s}", "name", c->arguments[1]);
    autofree char *path = NULL, *password = NULL;
    int r = session_open(c, &s, err);
    if (r == 0)
        r = session_service(&s, c->arguments[0], &service, err);
    if (r < 0)
        return r;
    path = mem_printf("/services/%s", session_text(service, "id"));
    ui_step(&c->ui, "service", session_text(service, "name"));
    /* The kept password gets its new name first and loses the old one last. */
    int kept = customer_read_password(c, INSTALL_ACCOUNT, session_text(service, "name"), &password, err);
    if (kept == 0)
        r = customer_write_password(c, INSTALL_ACCOUNT, c->arguments[1], password, err);
    if (r == 0)
        r = api_call(s.api, "PATCH", path, body, &c->answer, err);
    if (r == 0 && kept == 0 && strcmp(session_text(service, "name"), c->arguments[1]))
        r = customer_forget_password(c, INSTALL_ACCOUNT, session_text(service, "name"), err);
    if (password)
        mem_wipe(password, strlen(password));
    if (r == 0)
        ui_step_done(&c->ui, "renamed to %s", session_text(c->answer, "name"));
    return r;
}

/* One line from standard input, without its newline; heap. */
static int read_password(char **ret, struct err *err)
{
    char line[PASSWORD_MAX + 2];
    if (isatty(STDIN_FILENO))
        fputs("New password (shown as you type; better: pipe it in): ", stderr);
    if (!fgets(line, sizeof(line), stdin))
        return err_set(err, CLI_BAD_USAGE, "--stdin: there was no line on standard input");
    line[strcspn(line, "\n")] = 0;
    size_t n = strlen(line);
    int r = n < 12 || n > PASSWORD_MAX - 1
                ? err_set(err, CLI_BAD_USAGE, "--stdin: a password has 12 to %d bytes", PASSWORD_MAX - 1)
                : 0;
    if (r == 0)
        *ret = mem_strdup(line);
    mem_wipe(line, sizeof(line));
    return r;
}

static int password_run(struct cli *c, struct err *err)
{
    autosession struct session s = {0};
    autojson json_t *service = NULL;
    char *password = NULL;
    int r = cli_option(c, "stdin") ? read_password(&password, err) : 0;
    if (r == 0)
        r = session_open(c, &s, err);
    if (r == 0)
        r = session_service(&s, c->arguments[0], &service, err);
    if (r == 0 && !password)
        password = customer_new_password();
    if (r == 0) {
        ui_step(&c->ui, "service", session_text(service, "name"));
        r = services_set_password(&s, session_text(service, "id"), session_text(service, "name"), password, err);
    }
    wipe_free(password);
    if (r < 0)
        return r;
    autofree char *path = customer_password_path(c, INSTALL_ACCOUNT, session_text(service, "name"));
    ui_step_done(&c->ui, "new password in %s", path);
    c->answer = json_pack("{s:s,s:s}", "id", session_text(service, "id"), "passwordFile", path);
    return 0;
}

static int confirm_delete(struct cli *c, const char *name, bool data, struct err *err)
{
    autofree char *question = mem_printf(data ? "This deletes the service %s and all its data."
                                              : "This deletes the service %s. Its data stay in the bucket.",
                                         name);
    if (cli_option(c, "yes") || ui_confirm(&c->ui, question))
        return 0;
    return err_set(err, -ECANCELED, "nothing was deleted: answer yes, or give --yes");
}

static int delete_run(struct cli *c, struct err *err)
{
    autosession struct session s = {0};
    autojson json_t *service = NULL;
    bool data = cli_option(c, "delete-data") != NULL;
    int timeout = 0, r = wait_ms(c, &timeout, err);
    if (r == 0)
        r = session_open(c, &s, err);
    if (r == 0)
        r = session_service(&s, c->arguments[0], &service, err);
    if (r == 0)
        r = confirm_delete(c, session_text(service, "name"), data, err);
    if (r < 0)
        return r;
    const char *id = session_text(service, "id");
    autofree char *path = mem_printf("/services/%s%s", id, data ? "?deleteData=true" : "");
    ui_step(&c->ui, "service", session_text(service, "name"));
    r = api_call(s.api, "DELETE", path, NULL, NULL, err);
    if (r == 0 && !cli_option(c, "no-wait"))
        r = session_wait_service(&s, id, "gone", timeout, NULL, err);
    if (r == 0)
        r = customer_forget_password(c, INSTALL_ACCOUNT, session_text(service, "name"), err);
    if (r == 0)
        ui_step_done(&c->ui, "deleted");
    c->answer = json_pack("{s:s,s:b}", "id", id, "dataDeleted", data);
    return r;
}

#define WAITING                                                                \
    {"no-wait", 0, NULL, "return at once, without waiting for the new state"}, \
    {                                                                          \
        "timeout", 0, "SECONDS", "how long to wait (default 120)"              \
    }

static const struct cli_option create_options[] = {
    {"infrastructure", 'i', "NAME", "where it is to live (default: laptop)"},
    {"backup", 0, "ID", "begin with what this backup has (see `ownhouse backups list`)"},
    {"from", 0, "CIDR,...", "the networks it may be reached from, \"\" for none (default: 0.0.0.0/0)"},
    {"memory", 0, "GB", "memory of each replica, a multiple of 4 (default: 8)"},
    {"replicas", 0, "N", "number of replicas (default: 1 on this machine, 3 in a cloud)"},
    {"channel", 0, "NAME", "how early new versions come: slow, default or fast"},
    {"no-idle", 0, NULL, "it does not go to sleep when nobody queries it"},
    WAITING,
    {NULL},
};
static const struct cli_option state_options[] = {WAITING, {NULL}};
static const struct cli_option password_options[] = {
    {"stdin", 0, NULL, "take the password from standard input instead of making one"},
    {NULL},
};
static const struct cli_option delete_options[] = {
    {"delete-data", 0, NULL, "delete its data too; without this they stay"},
    {"yes", 'y', NULL, "do not ask"},
    WAITING,
    {NULL},
};

static const struct cli_command subcommands[] = {
    {.name = "list", .arguments = "", .summary = "Lists the services.", .run = list_run},
    {.name = "create",
     .arguments = "NAME",
     .summary = "Makes a service with a password of its own.",
     .details = "The password is made here, kept in a file that only you can read, and sent as a hash.",
     .min_arguments = 1,
     .max_arguments = 1,
     .options = create_options,
     .run = create_run},
    {.name = "show",
     .arguments = "NAME",
     .summary = "Shows one service.",
     .min_arguments = 1,
     .max_arguments = 1,
     .run = show_run},
    {.name = "start",
     .arguments = "NAME",
     .summary = "Starts a stopped service.",
     .min_arguments = 1,
     .max_arguments = 1,
     .options = state_options,
     .run = start_run},
    {.name = "stop",
     .arguments = "NAME",
     .summary = "Stops a service; its data stay.",
     .min_arguments = 1,
     .max_arguments = 1,
     .options = state_options,
     .run = stop_run},
    {.name = "wake",
     .arguments = "NAME",
     .summary = "Wakes a service that sleeps, as a connection to it would.",
     .min_arguments = 1,
     .max_arguments = 1,
     .options = state_options,
     .run = wake_run},
    {.name = "rename",
     .arguments = "NAME NEW",
     .summary = "Gives a service another name.",
     .min_arguments = 2,
     .max_arguments = 2,
     .run = rename_run},
    {.name = "password",
     .arguments = "NAME",
     .summary = "Sets a new password; only its hash is sent.",
     .min_arguments = 1,
     .max_arguments = 1,
     .options = password_options,
     .run = password_run},
    {.name = "delete",
     .arguments = "NAME",
     .summary = "Deletes a service, in any state.",
     .min_arguments = 1,
     .max_arguments = 1,
     .options = delete_options,
     .run = delete_run},
    {NULL},
};

const struct cli_command services_command = {
    .name = "services",
    .arguments = "[COMMAND]",
    .summary = "Makes, shows and changes services.",
    .details = "A service is named by its name or its id. Without a command the services are listed.",
    .subcommands = subcommands,
    .default_subcommand = "list",
};
