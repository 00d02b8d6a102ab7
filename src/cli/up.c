/* ownhouse up: from nothing to an answered query, one checked step after another.
 *
 * Every step looks at the real state first and does only what is missing, so the command may be stopped anywhere and
 * run again. */
#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "cli/commands.h"
#include "cli/control_plane.h"
#include "cli/customer.h"
#include "cli/plans.h"
#include "cli/ports.h"
#include "cli/ranges.h"
#include "cli/services.h"
#include "net/http_client.h"

#include <sys/statvfs.h>
#include <time.h>

#define LINK_TIMEOUT_MS 60000
#define SERVICE_TIMEOUT_MS 120000
#define QUERY_TIMEOUT_MS 60000
#define RESEND_MS 5000
#define MIN_FREE_MIB 64

struct up {
    struct cli *c;
    struct session s; /* s.install is filled first, s.api once the control plane answers */
    bool isolated;    /* wanted: root, and not refused by --no-isolation */
    json_t *account, *infrastructure, *service;
    char version[64];           /* of ClickHouse, as it answered */
    char cloud[16], region[32]; /* what the infrastructure is to stand for; "" = nothing but this machine */
    char host[300];
    int port;
};

/* --- programs and ports -------------------------------------------------------------------------------------- */

/* PROVIDER/REGION; which there are the control plane knows. */
static int take_stands_for(struct up *u, struct err *err)
{
    const char *text = cli_option(u->c, "stands-for"), *slash = text ? strchr(text, '/') : NULL;
    if (!text)
        return 0;
    if (!slash || slash == text || !slash[1] || (size_t)(slash - text) >= sizeof(u->cloud) ||
        strlen(slash + 1) >= sizeof(u->region))
        return err_set(err, CLI_BAD_USAGE, "--stands-for: must be PROVIDER/REGION, such as aws/us-east-1");
    memcpy(u->cloud, text, (size_t)(slash - text));
    snprintf(u->region, sizeof(u->region), "%s", slash + 1);
    return 0;
}

static int take_options(struct up *u, struct err *err)
{
    struct install *i = &u->s.install;
    const char *range = cli_option(u->c, "service-ports");
    long long first, last;
    char end;
    int r = cli_option_int(u->c, "port", 1, 65535, &i->port, err);
    if (r == 0)
        r = cli_option_int(u->c, "ingress-port", 1, 65535, &i->ingress_port, err);
    if (r == 0)
        r = cli_option_int(u->c, "native-port", 1, 65535, &i->native_port, err);
    if (r == 0)
        r = take_stands_for(u, err);
    if (r < 0 || !range)
        return r;
    if (sscanf(range, "%lld-%lld%c", &first, &last, &end) != 2 || first < 2 || last > 65535 || last < first ||
        last - first >= 1024)
        return err_set(err, CLI_BAD_USAGE, "--service-ports: must be FIRST-LAST with at most 1024 ports, not \"%.40s\"",
                       range);
    i->service_port_base = first - 1; /* service number n has port base + n, from n = 1 */
    i->service_port_count = last - first + 1;
    return 0;
}

static int check_distinct_ports(const struct install *i, struct err *err)
{
    const int64_t single[] = {i->port, i->ingress_port, i->native_port};
    for (size_t a = 0; a < ARRAY_SIZE(single); a++) {
        for (size_t b = 0; b < a; b++)
            if (single[a] == single[b])
                return err_set(err, CLI_BAD_USAGE, "port %lld is given twice: each needs another",
                               (long long)single[a]);
        if (single[a] > i->service_port_base && single[a] <= i->service_port_base + i->service_port_count)
            return err_set(err, CLI_BAD_USAGE, "port %lld lies within the services' own ports %lld-%lld",
                           (long long)single[a], (long long)i->service_port_base + 1,
                           (long long)(i->service_port_base + i->service_port_count));
    }
    return 0;
}

/* What an earlier `up` left running is no obstacle: it carries our infrastructure's id. -EADDRINUSE with the holder
 * else. */
static int try_port(const struct install *i, int64_t port, struct port_holder *ret, struct err *err)
{
    int r = port_free((int)port, err);
    if (r != -EADDRINUSE)
        return r;
    port_find_holder((int)port, ret);
    bool ours =
        ret->pid && *i->infrastructure && process_has_env(ret->pid, "OWNHOUSE_INFRASTRUCTURE", i->infrastructure);
    return ours ? 0 : r;
}

static int check_port(const struct install *i, int64_t port, const char *option, const char *for_what, struct err *err)
{
    struct port_holder holder;
    char who[100] = "another program (this user may not see which)";
    int r = try_port(i, port, &holder, err);
    /* Children of a control plane that was killed a moment ago are still on their way out, and may be seen no more. */
    for (int tries = 0; r == -EADDRINUSE && (!holder.pid || *i->infrastructure) && tries < 40; tries++) {
        nanosleep(&(struct timespec){0, 50 * 1000000L}, NULL);
        r = try_port(i, port, &holder, err);
    }
    if (r != -EADDRINUSE && r != -EACCES)
        return r;
    if (r == -EACCES)
        return err_set(err, r, "port %lld needs root: choose one above 1023 with --%s", (long long)port, option);
    if (holder.pid)
        snprintf(who, sizeof(who), "%s (process %d)", holder.name, (int)holder.pid);
    return err_set(err, -EADDRINUSE, "port %lld, for %s, is taken by %s: stop it, or choose another with --%s",
                   (long long)port, for_what, who, option);
}

static int check_ports(struct up *u, struct err *err)
{
    const struct install *i = &u->s.install;
    struct proc_id running;
    int r = 0;
    if (control_plane_find(u->c, &running) < 0)
        r = check_port(i, i->port, "port", "the control plane", err);
    if (r == 0)
        r = check_port(i, i->ingress_port, "ingress-port", "HTTPS to the services", err);
    if (r == 0)
        r = check_port(i, i->native_port, "native-port", "the native protocol to the services", err);
    for (int64_t p = 1; r == 0 && p <= i->service_port_count; p++)
        r = check_port(i, i->service_port_base + p, "service-ports", "a service's own port", err);
    return r;
}

/* Programs that find the disk full halfway can only wait; better said before anything is started. */
static int check_space(const struct cli *c, struct err *err)
{
    struct statvfs fs;
    if (statvfs(c->home, &fs) < 0)
        return err_set_errno(err, -errno, "cannot look at the disk of %s", c->home);
    unsigned long long free_mib = (unsigned long long)fs.f_bavail * fs.f_frsize >> 20;
    if (free_mib >= MIN_FREE_MIB)
        return 0;
    return err_set(err, -ENOSPC, "the disk of %s has %llu MiB free and OwnHouse starts with no less than %d: free some",
                   c->home, free_mib, MIN_FREE_MIB);
}

static int step_machine(struct up *u, struct err *err)
{
    int r = install_load(u->c, false, &u->s.install, err);
    if (r == 0)
        r = take_options(u, err);
    if (r == 0)
        r = check_distinct_ports(&u->s.install, err);
    u->isolated = geteuid() == 0 && !cli_option(u->c, "no-isolation");
    if (r == 0)
        r = install_find_programs(&u->s.install, cli_option(u->c, "engine-library"), cli_option(u->c, "clickhouse"),
                                  u->isolated, err);
    if (r == 0)
        r = check_ports(u, err);
    if (r == 0)
        r = fs_mkdirs(u->c->home, 0700, err);
    if (r == 0 && access(u->c->home, R_OK | W_OK | X_OK) < 0)
        r = err_set_errno(err, -errno, "the folder %s cannot be used", u->c->home);
    if (r == 0)
        r = check_space(u->c, err);
    if (r == 0)
        r = install_save(u->c, &u->s.install, err);
    return r;
}

/* --- control plane --------------------------------------------------------------------------------------------- */

static int step_control_plane(struct up *u, struct err *err)
{
    struct install *i = &u->s.install;
    autofree char *base = install_base_url(i), *ca = cli_path(u->c, "control/keys/edge-ca.pem"),
                  *credentials = cli_path(u->c, "credentials.json");
    ui_step(&u->c->ui, "control", "plane");
    int changed = control_plane_configure(u->c, i, err);
    int r = changed < 0 ? changed : 0;
    if (changed > 0)
        r = control_plane_stop(u->c, err);
    if (r == 0)
        r = control_plane_set_up(u->c, i, err);
    if (r == 0)
        r = control_plane_start(u->c, i, err);
    if (r == 0)
        r = api_open(base, ca, credentials, &u->s.api, err);
    if (r == 0)
        ui_step_done(&u->c->ui, "%s", base);
    return r;
}

/* --- account, infrastructure, the customer's files -------------------------------------------------------------- */

static json_t *account_body(const struct up *u)
{
    const struct install *i = &u->s.install;
    json_t *config = json_pack("{s:I,s:I,s:I,s:I}", "httpsPort", (json_int_t)i->ingress_port, "nativePort",
                               (json_int_t)i->native_port, "servicePortBase", (json_int_t)i->service_port_base,
                               "servicePortCount", (json_int_t)i->service_port_count);
    if (cli_option(u->c, "no-isolation"))
        json_object_set_new(config, "isolation", json_string("none"));
    if (*u->cloud)
        json_object_set_new(config, "standsFor", json_string(u->cloud));
    return json_pack("{s:s,s:s,s:o}", "name", INSTALL_ACCOUNT, "provider", "local", "config", config);
}

static int step_account(struct up *u, struct err *err)
{
    struct err why = ERR_INIT;
    ui_step(&u->c->ui, "account", INSTALL_ACCOUNT);
    int r = customer_prepare(u->c, INSTALL_ACCOUNT, err);
    if (r < 0)
        return r;
    r = session_account(&u->s, INSTALL_ACCOUNT, &u->account, &why);
    if (r == -ENOENT) {
        autojson json_t *body = account_body(u);
        r = api_call(u->s.api, "POST", "/accounts", body, &u->account, &why);
    }
    if (r < 0)
        return err_set(err, r, "%s", why.message);
    ui_step_done(&u->c->ui, "(local)");
    return 0;
}

static int find_or_make_infrastructure(struct up *u, struct err *err)
{
    struct err why = ERR_INIT;
    int r = session_infrastructure(&u->s, INSTALL_INFRASTRUCTURE, &u->infrastructure, &why);
    if (r == -ENOENT) {
        char range[RANGE_SIZE]; /* two installations on one machine must not share one */
        r = range_free(range, &why);
        if (r < 0)
            return err_set(err, r, "%s", why.message);
        autojson json_t *body =
            json_pack("{s:s,s:s,s:s,s:s}", "accountId", session_text(u->account, "id"), "regionId",
                      *u->region ? u->region : "local", "displayName", INSTALL_INFRASTRUCTURE, "vpcCidrRange", range);
        r = api_call(u->s.api, "POST", "/byocInfrastructure", body, &u->infrastructure, &why);
    }
    if (r == 0 && *u->cloud &&
        (strcmp(session_text(u->infrastructure, "cloudProvider"), u->cloud) ||
         strcmp(session_text(u->infrastructure, "regionId"), u->region)))
        return err_set(err, CLI_BAD_USAGE,
                       "--stands-for: the infrastructure is there already, as %s/%s; remove it first",
                       session_text(u->infrastructure, "cloudProvider"), session_text(u->infrastructure, "regionId"));
    return r < 0 ? err_set(err, r, "%s", why.message) : 0;
}

/* The id is kept here so that `down` finds what belongs to it when nothing else answers any more. */
static int remember_infrastructure(struct up *u, struct err *err)
{
    const char *id = session_text(u->infrastructure, "id");
    if (!strcmp(u->s.install.infrastructure, id))
        return 0;
    snprintf(u->s.install.infrastructure, sizeof(u->s.install.infrastructure), "%s", id);
    return install_save(u->c, &u->s.install, err);
}

static int write_bundle(struct up *u, struct err *err)
{
    autofree char *path = mem_printf("/infrastructures/%s/enrolment", u->s.install.infrastructure);
    autojson json_t *enrolment = NULL;
    int r = api_call(u->s.api, "GET", path, NULL, &enrolment, err);
    if (r == 0)
        r = customer_write_bundle(u->c, INSTALL_ACCOUNT, enrolment, err);
    return MIN(r, 0);
}

static int step_plan(struct up *u, struct err *err)
{
    autojson json_t *plan = NULL;
    int resources = 0;
    char name[64];
    ui_step(&u->c->ui, "plan", "");
    ui_step_update(&u->c->ui, "%s", "making the plan");
    int r = find_or_make_infrastructure(u, err);
    if (r == 0)
        r = remember_infrastructure(u, err);
    if (r == 0)
        r = write_bundle(u, err);
    if (r == 0)
        r = plans_settle(&u->s, u->s.install.infrastructure, "apply", &plan, err);
    if (r < 0)
        return r;
    plans_count(plan, &resources, NULL);
    snprintf(name, sizeof(name), "%d resources", resources);
    ui_step_name(&u->c->ui, name);
    ui_step_done(&u->c->ui, "digest %.12s%s  applied", session_text(plan, "digest"), u->c->ui.utf8 ? "…" : "...");
    return r;
}

/* --- link ------------------------------------------------------------------------------------------------------ */

static int connected(struct session *s, void *data, struct err *err)
{
    struct up *u = data;
    autofree char *path = mem_printf("/infrastructures/%s", s->install.infrastructure);
    json_t *infra = NULL;
    int r = api_call(s->api, "GET", path, NULL, &infra, err);
    if (r < 0)
        return r;
    json_decref(u->infrastructure);
    u->infrastructure = infra;
    const char *error = session_text(infra, "error");
    ui_step_update(&s->cli->ui, "%s", *error ? error : "waiting for the agent");
    /* What `down` stopped is put back by a plan of the same things, which may need its approval only now. */
    if (!strcmp(session_text(json_object_get(infra, "plan"), "state"), "proposed"))
        return plans_settle(s, s->install.infrastructure, "apply", NULL, err);
    /* A connection is of use once the agent has said what it sees: its authority is needed for queries. */
    return session_agent_connected(infra) && *session_text(infra, "caCertificate");
}

static int step_link(struct up *u, struct err *err)
{
    ui_step(&u->c->ui, "link", "");
    int r = session_wait(&u->s, LINK_TIMEOUT_MS, "waiting for the agent's link", connected, u, err);
    if (r == 0)
        r = MIN(customer_write_ca(u->c, INSTALL_ACCOUNT, session_text(u->infrastructure, "caCertificate"), err), 0);
    if (r < 0)
        return r;
    ui_step_name(&u->c->ui, "connected");
    ui_step_done(&u->c->ui, "mTLS, outbound only");
    return 0;
}

/* --- service and query ----------------------------------------------------------------------------------------- */

/* `again`: the kept one is sent once more; a crash may have come between keeping and sending it. */
static int make_sure_of_password(struct up *u, bool again, struct err *err)
{
    char *password = NULL;
    int r = customer_read_password(u->c, INSTALL_ACCOUNT, INSTALL_SERVICE, &password, err);
    if (r == -ENOENT)
        password = customer_new_password();
    if (r == -ENOENT || (r == 0 && again)) {
        r = services_set_password(&u->s, session_text(u->service, "id"), INSTALL_SERVICE, password, err);
    }
    if (password)
        mem_wipe(password, strlen(password));
    free(password);
    return r;
}

static int start_or_wake(struct up *u, struct err *err)
{
    const char *state = session_text(u->service, "state");
    autofree char *path = mem_printf("/services/%s/state", session_text(u->service, "id"));
    bool idle = !strcmp(state, "idle");
    autojson json_t *body = json_pack("{s:s}", "command", idle ? "awake" : "start");
    if (strncmp(state, "stop", 4) && !idle)
        return 0;
    return api_call(u->s.api, "PATCH", path, body, NULL, err);
}

static void find_endpoint(struct up *u)
{
    const json_t *e;
    size_t i;
    json_array_foreach(json_object_get(u->service, "endpoints"), i, e)
    {
        if (strcmp(session_text(e, "protocol"), "https"))
            continue;
        snprintf(u->host, sizeof(u->host), "%s", session_text(e, "host"));
        u->port = (int)json_integer_value(json_object_get(e, "port"));
        return;
    }
}

/* One query with the kept password; -EACCES when it is not (yet) the one in force. */
static int ask(struct up *u, struct err *err)
{
    autofree char *ca = customer_path(u->c, INSTALL_ACCOUNT, "ca.pem"),
                  *url = mem_printf("https://%s:%d/", u->host, u->port),
                  *resolve = mem_printf("%s:%d:127.0.0.1", u->host, u->port);
    char *password = NULL, *basic = NULL;
    autoresponse struct http_response res = {0};
    int r = customer_read_password(u->c, INSTALL_ACCOUNT, INSTALL_SERVICE, &password, err);
    if (r < 0)
        return r;
    basic = mem_printf("default:%s", password);
    r = http_do(&(struct http_request){.method = "POST",
                                       .url = url,
                                       .basic = basic,
                                       .body = "SELECT version()",
                                       .body_len = strlen("SELECT version()"),
                                       .ca_file = ca,
                                       .resolve = resolve,
                                       .connect_timeout_ms = 2000,
                                       .timeout_ms = 5000},
                &res, err);
    mem_wipe(password, strlen(password));
    mem_wipe(basic, strlen(basic));
    free(password);
    free(basic);
    if (r < 0)
        return r;
    if (res.status != 200)
        return err_set(err, res.status == 401 || res.status == 403 ? -EACCES : -EAGAIN,
                       "the service answered with status %d: %.200s", res.status, res.body);
    snprintf(u->version, sizeof(u->version), "%.*s", (int)strcspn(res.body, "\r\n"), res.body);
    return 0;
}

struct asking {
    struct up *up;
    int64_t resend_ms, give_up_ms; /* a refused password may be a new one that is not in force yet, for a while */
    struct err last;
};

static int answered(struct session *s, void *data, struct err *err)
{
    struct asking *a = data;
    ui_step_update(&s->cli->ui, "%s", "asking SELECT version()");
    a->last = ERR_INIT;
    int r = ask(a->up, &a->last);
    if (r == 0)
        return 1;
    int64_t now = clock_mono_ms(&clock_system);
    if (r == -EACCES && a->resend_ms && now > a->resend_ms) {
        a->resend_ms = 0;
        r = make_sure_of_password(a->up, true, &a->last);
        if (r == 0)
            return 0;
    }
    if (now < a->give_up_ms)
        return 0;
    return err_set(err, r == -EAGAIN ? -EBUSY : r, "%s", a->last.message);
}

static int step_service(struct up *u, struct err *err)
{
    struct err why = ERR_INIT;
    ui_step(&u->c->ui, "service", INSTALL_SERVICE);
    int r = session_service(&u->s, INSTALL_SERVICE, &u->service, &why);
    if (r == -ENOENT) {
        autojson json_t *wanted = json_pack("{s:o}", "ipAccessList", services_from("0.0.0.0/0", "anywhere"));
        r = services_create(&u->s, INSTALL_SERVICE, u->s.install.infrastructure, wanted, &u->service, &why);
    }
    if (r < 0)
        return err_set(err, r, "%s", why.message);
    r = make_sure_of_password(u, false, err);
    if (r == 0)
        r = start_or_wake(u, err);
    json_t *running = NULL;
    if (r == 0)
        r = session_wait_service(&u->s, session_text(u->service, "id"), "running", SERVICE_TIMEOUT_MS, &running, err);
    if (r < 0)
        return r;
    json_decref(u->service);
    u->service = running;
    find_endpoint(u);
    if (!u->port)
        return err_set(err, -EIO, "the service " INSTALL_SERVICE " runs but has no HTTPS endpoint");
    int64_t now = clock_mono_ms(&clock_system);
    struct asking a = {.up = u, .resend_ms = now + RESEND_MS, .give_up_ms = now + QUERY_TIMEOUT_MS};
    r = session_wait(&u->s, QUERY_TIMEOUT_MS + 5000, "the first query", answered, &a, err);
    if (r == 0)
        ui_step_done(&u->c->ui, "running, ClickHouse %s", u->version);
    return r;
}

/* --- what the user reads at the end ------------------------------------------------------------------------------- */

/* The way into the console, as long as nobody has signed in. */
static void tell_set_up(struct up *u)
{
    char *link = NULL;
    if (control_plane_set_up_link(u->c, &u->s.install, NULL, true, &link, NULL) < 0 || !*link) {
        free(link);
        return;
    }
    ui_line(&u->c->ui, " set up: %s", link);
    json_object_set_new(u->c->answer, "setUpLink", json_string(link));
    mem_wipe(link, strlen(link));
    free(link);
}

static void tell(struct up *u, int64_t took_ms)
{
    struct ui *ui = &u->c->ui;
    autofree char *ca = customer_path(u->c, INSTALL_ACCOUNT, "ca.pem");
    autofree char *password = customer_password_path(u->c, INSTALL_ACCOUNT, INSTALL_SERVICE);
    autofree char *query =
        mem_printf("curl --cacert '%s' https://%s:%d/ --user \"default:$(cat '%s')\" -d 'SELECT version()'", ca,
                   u->host, u->port, password);
    int own_port = session_service_port(u->service);
    autofree char *node =
        own_port ? mem_printf("NODE_EXTRA_CA_CERTS='%s' node -e \"fetch('https://localhost:%d/?query=SELECT+"
                              "version()', {headers: {'X-ClickHouse-User': 'default', 'X-ClickHouse-Key': "
                              "'$(cat '%s')'}}).then(r => r.text()).then(console.log)\"",
                              ca, own_port, password)
                 : NULL;
    session_tell_isolation(ui, u->infrastructure);
    ui_line(ui, " query:  %s", query);
    if (node)
        ui_line(ui, " node:   %s", node);
    const char *command = getenv("OWNHOUSE_COMMAND");
    ui_line(ui, " next:   %s%s%s status | services | logs %s | down", command ? command : "ownhouse",
            u->c->home_given ? " --home " : "", u->c->home_given ? u->c->home : "", INSTALL_SERVICE);
    u->c->answer = json_pack("{s:o,s:s,s:s,s:O,s:O,s:s,s:s,s:I}", "url", json_string(u->s.api->base), "account",
                             INSTALL_ACCOUNT, "version", u->version, "infrastructure", u->infrastructure, "service",
                             u->service, "query", query, "passwordFile", password, "milliseconds", (json_int_t)took_ms);
    if (own_port)
        json_object_set_new(u->c->answer, "ownPort", json_integer(own_port));
    json_object_set_new(u->c->answer, "caFile", json_string(ca));
    tell_set_up(u);
}

static int up_run(struct cli *c, struct err *err)
{
    static int (*const steps[])(struct up * u, struct err * err) = {
        step_machine, step_control_plane, step_account, step_plan, step_link, step_service,
    };
    struct up u = {.c = c, .s = {.cli = c}};
    int64_t began = clock_mono_ms(&clock_system);
    int r = 0;
    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(steps); i++)
        r = steps[i](&u, err);
    ui_end(&c->ui);
    if (r == 0)
        tell(&u, clock_mono_ms(&clock_system) - began);
    json_decref(u.account);
    json_decref(u.infrastructure);
    json_decref(u.service);
    session_close(&u.s);
    return r;
}

static const struct cli_option options[] = {
    {"port", 'p', "N", "port of the control plane (default 8443)"},
    {"ingress-port", 0, "N", "port for HTTPS to the services (default 8444)"},
    {"native-port", 0, "N", "port for the native protocol over TLS (default 9444)"},
    {"service-ports", 0, "A-B", "ports that services get one each of (default 8501-8600)"},
    {"engine-library", 0, "FILE", "the embedded engine, libchdb.so"},
    {"clickhouse", 0, "FILE", "a clickhouse program to use instead of the embedded engine"},
    {"stands-for", 0, "CLOUD/REGION", "cloud and region that clients are told, such as aws/us-east-1"},
    {"no-isolation", 0, NULL, "make no network namespace, even as root"},
    {NULL},
};

const struct cli_command up_command = {
    .name = "up",
    .arguments = "",
    .summary = "Starts OwnHouse on this machine, up to an answered query.",
    .details = "Starts the control plane, connects an account of this machine (laptop), plans and applies its\n"
               "infrastructure, waits for the agent's link, makes the service demo and asks it a query. What is there\n"
               "already is kept; what an earlier call left half done is finished. Ports and programs given once are\n"
               "remembered.",
    .options = options,
    .run = up_run,
};
