/* ownhouse connect: local ports through the gate for as long as a grant lasts. */
#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "cli/commands.h"
#include "cli/device.h"
#include "cli/door.h"
#include "cli/session.h"
#include "consent/request.h"
#include "net/http_client.h"
#include "net/tls.h"

#define APPROVAL_FILES_MAX 16

struct connecting {
    struct cli *cli;
    struct door_config door;
    struct door_target targets[DOOR_TARGETS_MAX];
    json_t *services; /* of the organization */
    struct err sql_err;
    int sql_result;
};

/* ---- whom to believe ---- */

static int approvals_of(const struct cli *c, const json_t *grant, json_t **ret, struct err *err)
{
    const char *files = cli_option(c, "approval");
    const json_t *known = json_object_get(grant, "approvals");
    autojson json_t *list = json_is_array(known) ? json_deep_copy(known) : json_array();
    autofree char *copy = mem_strdup(files ? files : "");
    char *rest = copy;
    for (char *path; (path = strsep(&rest, ","));) {
        autofree char *text = NULL;
        json_t *one = NULL;
        size_t len = 0;
        if (!*path)
            continue;
        int r = fs_read(path, APPROVAL_MAX_BYTES, &text, &len, err);
        if (r == -ENOENT)
            return err_set(err, r, "%s: there is no such file", path);
        if (r == 0)
            r = js_parse(text, len, APPROVAL_MAX_BYTES, &one, err);
        if (r < 0)
            return err_wrap(err, r, "%s", path);
        json_array_append_new(list, one);
    }
    *ret = TAKE_PTR(list);
    return 0;
}

/* A key of the customer's that is known here has signed exactly this request: then what it says of the gate holds,
 * wherever the request came from. A pre-approval is signed by such keys too. */
static int check_signed(const struct cli *c, const struct consent_request *q, const json_t *approvals, struct err *err)
{
    unsigned char keys[DEVICE_APPROVERS_MAX][ED25519_PUBLIC_SIZE];
    const json_t *v;
    size_t n = 0, i;
    int r = device_approvers(c, keys, &n, err);
    if (r < 0)
        return r;
    json_array_foreach(approvals, i, v)
    {
        struct approval a;
        if (approval_from_json(v, &a, NULL) < 0 || a.deny || strcmp(a.digest, q->digest))
            continue;
        for (size_t k = 0; k < n; k++)
            if (bytes_equal(keys[k], a.by, ED25519_PUBLIC_SIZE))
                return 0;
    }
    return err_set(err, -EACCES,
                   "no key of the customer's that is known here has signed this request yet: wait for the approval, or "
                   "give it with --approval FILE");
}

/* HOST:PORT or [HOST]:PORT of a gate that is reached without the relay. Who answers there is believed by the signed
 * hash all the same, so a wrong or hostile address is a session that does not begin. */
static int take_gate(struct connecting *s, const char *via, char host[256], struct err *err)
{
    const char *colon = strrchr(via, ':');
    size_t len = colon ? (size_t)(colon - via) : 0;
    bool bracketed = len > 2 && *via == '[' && via[len - 1] == ']';
    char *end = NULL;
    long port = colon ? strtol(colon + 1, &end, 10) : 0;
    if (!len || len >= 256 || port < 1 || port > 65535 || *end || (!bracketed && memchr(via, ':', len)))
        return err_set(err, CLI_BAD_USAGE, "--via: must be HOST:PORT of the gate, not \"%.60s\"", via);
    memcpy(host, via + bracketed, len - 2 * bracketed);
    host[len - 2 * bracketed] = '\0';
    s->door.gate_host = host;
    s->door.gate_port = (uint16_t)port;
    return 0;
}

static int take_relay(struct connecting *s, const json_t *grant, char host[256], struct err *err)
{
    const json_t *relay = json_object_get(grant, "relay"), *pins = json_object_get(relay, "pins"), *v;
    const char *address = session_text(relay, "address"), *colon = strrchr(address, ':');
    size_t i;
    if (!colon || (size_t)(colon - address) >= 256)
        return err_set(err, -EPROTO, "the control plane names no relay");
    memcpy(host, address, (size_t)(colon - address));
    host[colon - address] = '\0';
    s->door.relay_host = host;
    s->door.relay_port = (uint16_t)atoi(colon + 1);
    s->door.relay_name = session_text(relay, "serverName");
    json_array_foreach(pins, i, v)
    {
        const char *text = json_string_value(v);
        if (text && s->door.n_relay_pins < DOOR_PINS_MAX &&
            tls_pin_parse(text, s->door.relay_pins[s->door.n_relay_pins]) == 0)
            s->door.n_relay_pins++;
    }
    return s->door.n_relay_pins ? 0 : err_set(err, -EPROTO, "the control plane names no pin of its relay");
}

/* ---- which ports ---- */

static void add_target(struct connecting *s, const char *name, const char *service, int64_t port)
{
    if (s->door.n_targets == DOOR_TARGETS_MAX)
        return;
    s->targets[s->door.n_targets] =
        (struct door_target){.name = name, .service = service, .port = port ? (int)port + (int)s->door.n_targets : 0};
    s->door.n_targets++;
}

static void add_services(struct connecting *s, const struct consent_request *q, const char *name, int64_t port)
{
    const json_t *list = json_object_get(q->arguments, "services"), *v;
    const char *only = cli_option(s->cli, "service");
    size_t i, k;
    const json_t *one;
    json_array_foreach(s->services, i, v)
    {
        const char *id = session_text(v, "id");
        bool named = !list;
        json_array_foreach(list, k, one)
        {
            named |= json_string_value(one) && !strcmp(json_string_value(one), id);
        }
        if (named && (!only || !strcmp(only, session_text(v, "name")) || !strcmp(only, id)))
            add_target(s, name, id, port);
    }
}

static int choose_targets(struct connecting *s, const struct consent_request *q, struct err *err)
{
    const char *only = cli_option(s->cli, "target");
    int64_t port = 0;
    int r = cli_option_int(s->cli, "port", 1, 65535 - DOOR_TARGETS_MAX, &port, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < q->n_operations; i++) {
        const char *name = q->operations[i]->name;
        if (strncmp(name, "access.", 7) || (only && strcmp(only, name + 7)))
            continue;
        if (!strncmp(name + 7, "clickhouse.", 11))
            add_services(s, q, name + 7, port);
        else
            add_target(s, name + 7, "", port);
    }
    return s->door.n_targets ? 0 : err_set(err, -ENOENT, "the grant has no such target: see `ownhouse access list`");
}

/* ---- what is said, and the small client ---- */

static const char *service_name(const struct connecting *s, const char *id)
{
    const json_t *v;
    size_t i;
    json_array_foreach(s->services, i, v)
    {
        if (!strcmp(session_text(v, "id"), id))
            return session_text(v, "name");
    }
    return "";
}

static void on_open(int64_t remaining_ms, void *user)
{
    struct connecting *s = user;
    autojson json_t *ports = json_array();
    if (cli_option(s->cli, "sql"))
        return;
    for (size_t i = 0; i < s->door.n_targets; i++) {
        const struct door_target *t = &s->targets[i];
        json_array_append_new(ports,
                              json_pack("{ss ss si}", "target", t->name, "service", t->service, "port", t->port));
        ui_line(&s->cli->ui, "%-22s %-16s http://127.0.0.1:%d/", t->name, service_name(s, t->service), t->port);
    }
    ui_line(&s->cli->ui, "Open for %lld more minutes at most; Ctrl-C ends it.", (long long)(remaining_ms / 60000));
    if (s->cli->json) {
        /* The answer comes when the command ends; who reads JSON needs the ports now. */
        autojson json_t *line = json_pack("{sO sI}", "ports", ports, "remainingMs", (json_int_t)remaining_ms);
        autofree char *text = js_text(line);
        puts(text);
    }
    fflush(stdout);
}

static void run_sql(void *user)
{
    struct connecting *s = user;
    const char *format = cli_option(s->cli, "format");
    autofree char *url = mem_printf("http://127.0.0.1:%d/?default_format=%s", s->targets[0].port,
                                    format ? format : "PrettyCompactNoEscapes");
    const char *sql = cli_option(s->cli, "sql");
    autoresponse struct http_response response = {0};
    struct http_request request = {.method = "POST", .url = url, .body = sql, .body_len = strlen(sql), .direct = true};
    s->sql_result = http_do(&request, &response, &s->sql_err);
    if (s->sql_result < 0)
        return;
    if (response.status != 200)
        s->sql_result = err_set(&s->sql_err, response.status == 403 ? -EACCES : -EIO, "%.*s",
                                (int)strcspn(response.body, "\n"), response.body);
    else
        fwrite(response.body, 1, response.body_len, stdout);
}

/* ---- the command ---- */

static int prepare(struct connecting *s, struct session *session, const json_t *grant, json_t **ret_papers,
                   struct consent_request *q, char host[256], struct err *err)
{
    autojson json_t *approvals = NULL;
    int r = request_from_json(json_object_get(grant, "request"), q, err);
    if (r == 0 && strcmp(q->id, s->door.grant))
        r = err_set(err, -EPROTO, "the control plane answered with another request");
    if (r == 0)
        r = approvals_of(s->cli, grant, &approvals, err);
    if (r == 0)
        r = check_signed(s->cli, q, approvals, err);
    if (r < 0)
        return r;
    const char *pin = json_string_value(json_object_get(q->arguments, "gate"));
    if (!pin || tls_pin_parse(pin, s->door.gate_pin) < 0)
        return err_set(err, -EINVAL, "the request names no gate");
    const char *via = cli_option(s->cli, "via");
    r = via ? take_gate(s, via, host, err) : take_relay(s, grant, host, err);
    if (r == 0)
        r = api_call(session->api, "GET", "/services", NULL, &s->services, err);
    if (r == 0)
        r = choose_targets(s, q, err);
    if (r == 0) {
        *ret_papers = json_pack("{sO sO}", "request", json_object_get(grant, "request"), "approvals", approvals);
        const json_t *pre = json_object_get(grant, "preapproval");
        if (json_is_object(pre))
            json_object_set_new(*ret_papers, "preapproval", json_deep_copy(pre));
    }
    return r;
}

static int connect_run(struct cli *c, struct err *err)
{
    autosession struct session session = {0};
    autokey struct signing_key *key = NULL;
    autojson json_t *grant = NULL, *papers = NULL;
    autorequest struct consent_request q = {0};
    char host[256];
    if (!uuid_valid(c->arguments[0]))
        return err_set(err, CLI_BAD_USAGE, "GRANT must be the number that `ownhouse access request` gave");
    autofree char *path = mem_printf("/accessGrants/%s", c->arguments[0]);
    struct connecting s = {.cli = c, .door = {.grant = c->arguments[0]}};
    int r = session_open(c, &session, err);
    if (r == 0)
        r = device_key(c, &key, err);
    if (r == 0)
        r = api_call(session.api, "GET", path, NULL, &grant, err);
    if (r == 0)
        r = prepare(&s, &session, grant, &papers, &q, host, err);
    if (r == 0) {
        s.door.device = key;
        s.door.papers = papers;
        s.door.targets = s.targets;
        s.door.on_open = on_open;
        s.door.beside = cli_option(c, "sql") ? run_sql : NULL;
        s.door.user = &s;
        r = door_run(&s.door, err);
    }
    json_decref(s.services);
    if (r == 0 && s.sql_result < 0) {
        if (err)
            *err = s.sql_err;
        r = s.sql_result;
    }
    return r;
}

static const struct cli_option options[] = {
    {"target", 't', "NAME", "only this target of the grant"},
    {"service", 's', "NAME", "only this service"},
    {"port", 'p', "N", "first local port; without it any free ones"},
    {"sql", 0, "STATEMENT", "send one statement to the first port, print the answer, end"},
    {"format", 'f', "NAME", "of --sql: TabSeparated, JSONEachRow ... (default PrettyCompactNoEscapes)"},
    {"via", 0, "HOST:PORT", "straight to the gate there, over a tailnet, not through the relay"},
    {"approval", 0, "FILES", "approvals as files, beside those that the control plane carries"},
    {"approver", 0, "HEX", "the customer's approver keys, as the customer gave them"},
    {NULL},
};

const struct cli_command connect_command = {
    .name = "connect",
    .arguments = "GRANT",
    .summary = "Opens local ports to the targets of a grant, end to end through the gate.",
    .details =
        "The gate is believed by the hash that the customer has signed, and by nothing else. Ports are on 127.0.0.1\n"
        "and close when the grant ends. clickhouse.* speaks ClickHouse's HTTP interface (POST /, GET /?query=).",
    .min_arguments = 1,
    .max_arguments = 1,
    .options = options,
    .run = connect_run,
};
