/* ownhouse status: programs, link, isolation, policy, services, from the API and from this machine. */
#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "cli/commands.h"
#include "cli/control_plane.h"
#include "cli/customer.h"
#include "cli/session.h"

static void age_since(const char *iso, char out[32])
{
    int64_t at;
    out[0] = 0;
    if (*iso && clock_iso_parse(iso, &at) == 0)
        ui_age(clock_wall_ms(&clock_system) - at, out);
}

static const char *policy_mode(const struct cli *c, const char *account, char out[32])
{
    autofree char *path = customer_path(c, account, "policy.json"), *text = NULL;
    autojson json_t *policy = NULL;
    size_t len = 0;
    const char *mode = NULL;
    if (fs_read(path, KIB(64), &text, &len, NULL) == 0 && js_parse(text, len, KIB(64), &policy, NULL) == 0)
        (void)!js_string_opt(policy, "", "mode", 31, &mode, NULL);
    snprintf(out, 32, "%s", mode ? mode : "not on this machine");
    return out;
}

static void show_link(struct ui *ui, const json_t *infra)
{
    const json_t *agent;
    size_t i;
    char age[32];
    if (!json_array_size(json_object_get(infra, "agents")))
        ui_line(ui, "  link        no agent is enrolled yet");
    json_array_foreach(json_object_get(infra, "agents"), i, agent)
    {
        const json_t *rtt = json_object_get(agent, "roundTripMs");
        char rtt_text[40] = "";
        if (!strcmp(session_text(agent, "state"), "revoked"))
            continue;
        if (json_is_number(rtt))
            snprintf(rtt_text, sizeof(rtt_text), ", round trip %.1f ms", json_number_value(rtt));
        if (json_is_true(json_object_get(agent, "connected"))) {
            age_since(session_text(agent, "connectedSince"), age);
            ui_line(ui, "  link        connected for %s%s, agent %s", age, rtt_text, session_text(agent, "version"));
        } else {
            age_since(session_text(agent, "lastSeen"), age);
            ui_line(ui, "  link        NOT CONNECTED%s%s%s", *age ? ", last seen " : "", age, *age ? " ago" : "");
        }
    }
}

/* Names and certificate: a line each where there is something to say, a warning where somebody must act. */
static void show_names(struct ui *ui, const json_t *infra)
{
    const json_t *dns = json_object_get(infra, "dns"), *certificate = json_object_get(infra, "certificate");
    const char *state = session_text(dns, "state"), *end = session_text(certificate, "notAfter");
    if (*state)
        ui_line(ui, "  names       %s in the zone", state);
    if (*session_text(dns, "error"))
        ui_warn(ui, "DNS: %s", session_text(dns, "error"));
    state = session_text(certificate, "state");
    if (*state && strcmp(state, "withheld"))
        ui_line(ui, "  certificate %s, by %s%s%s", state,
                strcmp(session_text(certificate, "source"), "acme") ? "the data plane's own authority" : "ACME",
                *end ? ", until " : "", end);
    if (!strcmp(state, "late") || !strcmp(state, "expired") || !strcmp(state, "clock") || !strcmp(state, "failed"))
        ui_warn(ui, "the services' certificate is %s%s%s",
                strcmp(state, "clock") ? state : "not valid yet by its clock",
                *session_text(certificate, "error") ? ": " : "", session_text(certificate, "error"));
}

static void show_infrastructure(struct cli *c, const json_t *infra)
{
    struct ui *ui = &c->ui;
    char mode[32];
    const json_t *w;
    size_t i;
    const char *isolation = session_text(infra, "isolation"), *error = session_text(infra, "error");
    ui_line(ui, "%s (%s, account %s): %s", session_text(infra, "name"), session_text(infra, "cloudProvider"),
            session_text(infra, "accountName"), session_text(infra, "state"));
    if (*error)
        ui_line(ui, "  error       %s", error);
    show_link(ui, infra);
    ui_line(ui, "  isolation   %s", *isolation ? isolation : "not reported yet");
    ui_line(ui, "  policy      %s", policy_mode(c, session_text(infra, "accountName"), mode));
    json_array_foreach(json_object_get(infra, "workloads"), i, w)
    {
        long long restarts = json_integer_value(json_object_get(w, "restarts"));
        if (restarts)
            ui_line(ui, "  %-11s %s, %lld restarts", session_text(w, "name"), session_text(w, "state"), restarts);
        else
            ui_line(ui, "  %-11s %s", session_text(w, "name"), session_text(w, "state"));
        if (*session_text(w, "error"))
            ui_line(ui, "              %s", session_text(w, "error"));
    }
    show_names(ui, infra);
    session_tell_isolation(ui, infra);
}

static void show_services(struct ui *ui, const json_t *services)
{
    const json_t *v, *e;
    size_t i, k;
    struct ui_table *t =
        ui_table_new((const char *const[]){"SERVICE", "STATE", "VERSION", "ENDPOINT", "OWN PORT", NULL});
    json_array_foreach(services, i, v)
    {
        char endpoint[300] = "", port[16] = "";
        json_array_foreach(json_object_get(v, "endpoints"), k, e)
        {
            if (!strcmp(session_text(e, "protocol"), "https"))
                snprintf(endpoint, sizeof(endpoint), "https://%s:%lld", session_text(e, "host"),
                         (long long)json_integer_value(json_object_get(e, "port")));
        }
        if (session_service_port(v))
            snprintf(port, sizeof(port), "%d", session_service_port(v));
        ui_table_row(t, session_text(v, "name"), session_text(v, "state"), session_text(v, "clickhouseVersion"),
                     endpoint, port);
    }
    ui_table_print(ui, t);
    json_array_foreach(services, i, v)
    {
        const json_t *own = json_object_get(v, "ownhouse");
        if (*session_text(own, "error"))
            ui_warn(ui, "%s: %s", session_text(v, "name"), session_text(own, "error"));
        if (*session_text(own, "notice"))
            ui_line(ui, "%s: %s", session_text(v, "name"), session_text(own, "notice"));
    }
}

/* Data planes live on without the control plane; then this is what can be said. */
static int control_is_down(struct cli *c, const struct err *why, struct err *err)
{
    struct proc_id id;
    bool runs = control_plane_find(c, &id) == 0;
    ui_line(&c->ui, "control plane  %s", runs ? "runs, but its API does not answer" : "NOT RUNNING");
    return err_set(err, -ECONNREFUSED, "%s",
                   runs ? why->message : "the control plane does not run: `ownhouse up` starts it");
}

static int status_run(struct cli *c, struct err *err)
{
    autosession struct session s = {0};
    autojson json_t *infras = NULL, *services = NULL;
    struct err why = ERR_INIT;
    const json_t *infra;
    struct proc_id id;
    size_t i;
    char mode[32];
    int r = session_open(c, &s, err);
    if (r < 0)
        return r;
    r = api_call(s.api, "GET", "/infrastructures", NULL, &infras, &why);
    if (r == 0)
        r = api_call(s.api, "GET", "/services", NULL, &services, &why);
    if (r == -ECONNREFUSED || r == -EAGAIN)
        return control_is_down(c, &why, err);
    if (r < 0)
        return err_set(err, r, "%s", why.message);
    bool found = control_plane_find(c, &id) == 0;
    if (found)
        ui_line(&c->ui, "control plane  %s  (process %d)", s.api->base, (int)id.pid);
    else
        ui_line(&c->ui, "control plane  %s", s.api->base);
    json_array_foreach(infras, i, infra)
    {
        show_infrastructure(c, infra);
    }
    show_services(&c->ui, services);
    c->answer =
        json_pack("{s:{s:s,s:i},s:s,s:O,s:O}", "controlPlane", "url", s.api->base, "process", found ? (int)id.pid : 0,
                  "policy", policy_mode(c, INSTALL_ACCOUNT, mode), "infrastructures", infras, "services", services);
    return 0;
}

const struct cli_command status_command = {
    .name = "status",
    .arguments = "",
    .summary = "Says what runs, how it is joined and fenced off, and which services there are.",
    .details = "policy: open means that the control plane may change users, access lists and the like on its own;\n"
               "sealed means that such changes need a signature by the customer's approver key.",
    .run = status_run,
};
