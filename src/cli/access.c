/* ownhouse access: request, list, revoke. */
#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "cli/commands.h"
#include "cli/device.h"
#include "cli/session.h"
#include "consent/request.h"
#include "net/tls.h"

#define MINUTES_DEFAULT 60
#define MINUTES_MAX 480
#define WAIT_MINUTES 60 /* how long a request may wait for its signatures and its opening */

static const char *infrastructure_name(const struct cli *c)
{
    const char *name = cli_option(c, "infrastructure");
    return name ? name : INSTALL_INFRASTRUCTURE;
}

/* The words of a list option: "a,b". */
static json_t *words(const char *text)
{
    json_t *list = json_array();
    autofree char *copy = mem_strdup(text), *rest = copy;
    for (char *word; (word = strsep(&rest, ","));)
        if (*word)
            json_array_append_new(list, json_string(word));
    copy = NULL;
    return list;
}

static int operations_of(const struct cli *c, json_t **ret, struct err *err)
{
    const char *targets = cli_option(c, "target");
    autojson json_t *wanted = words(targets ? targets : "clickhouse.diag"), *list = json_array();
    const json_t *v;
    size_t i;
    json_array_foreach(wanted, i, v)
    {
        autofree char *name = mem_printf("access.%s", json_string_value(v));
        if (!operation_find(name))
            return err_set(err, -EINVAL,
                           "--target: there is no target %.60s; there are clickhouse.diag, clickhouse.querytext, "
                           "prometheus.read and cluster.view",
                           json_string_value(v));
        json_array_append_new(list, json_string(name));
    }
    *ret = TAKE_PTR(list);
    return 0;
}

static int services_of(const struct cli *c, const struct session *s, json_t **ret, struct err *err)
{
    const char *given = cli_option(c, "service");
    autojson json_t *names = given ? words(given) : NULL, *list = json_array();
    const json_t *v;
    size_t i;
    json_array_foreach(names, i, v)
    {
        autojson json_t *service = NULL;
        int r = session_service(s, json_string_value(v), &service, err);
        if (r < 0)
            return r;
        json_array_append_new(list, json_string(session_text(service, "id")));
    }
    *ret = TAKE_PTR(list);
    return 0;
}

/* The request as the customer will sign it. */
static int compose(struct cli *c, const struct session *s, const char *infrastructure, json_t **ret, struct err *err)
{
    autokey struct signing_key *key = NULL;
    autojson json_t *names = NULL, *services = NULL, *arguments = NULL;
    autofree char *pin = NULL;
    char id[UUID_SIZE], created[CLOCK_ISO_SIZE], not_after[CLOCK_ISO_SIZE], public_hex[2 * ED25519_PUBLIC_SIZE + 1];
    unsigned char public[ED25519_PUBLIC_SIZE];
    int64_t minutes = MINUTES_DEFAULT, now = clock_wall_ms(&clock_system);
    const char *reason = cli_option(c, "reason"), *ticket = cli_option(c, "ticket");
    if (!reason || !*reason)
        return err_set(err, CLI_BAD_USAGE, "--reason TEXT is missing: the customer reads it before signing");
    int r = cli_option_int(c, "minutes", 1, MINUTES_MAX, &minutes, err);
    if (r == 0)
        r = device_key(c, &key, err);
    if (r == 0)
        r = device_gate_pin(c, infrastructure_name(c), &pin, err);
    if (r == 0)
        r = operations_of(c, &names, err);
    if (r == 0)
        r = services_of(c, s, &services, err);
    if (r < 0)
        return r;
    signing_key_public(key, public);
    hex_encode(public, sizeof(public), public_hex);
    uuid_new(id);
    clock_iso(now, created);
    clock_iso(now + WAIT_MINUTES * 60000, not_after);
    arguments = json_pack("{ss}", "gate", pin);
    if (json_array_size(services))
        json_object_set(arguments, "services", services);
    const char *user = getenv("USER");
    *ret = json_pack("{ss si ss ss sO sO ss ss ss ss ss ss sI}", "type", "ownhouse/request", "v", 1, "id", id,
                     "infrastructure", infrastructure, "operations", names, "arguments", arguments, "reason", reason,
                     "ticket", ticket ? ticket : "", "by", user && *user ? user : "engineer", "createdAt", created,
                     "notAfter", not_after, "deviceKey", public_hex, "minutes", (json_int_t)minutes);
    return *ret ? 0 : err_set(err, -EINVAL, "the request has text that is not UTF-8");
}

static int request_run(struct cli *c, struct err *err)
{
    autosession struct session s = {0};
    autojson json_t *infra = NULL, *request = NULL, *body = NULL;
    autorequest struct consent_request parsed = {0};
    int r = session_open(c, &s, err);
    if (r == 0)
        r = session_infrastructure(&s, infrastructure_name(c), &infra, err);
    if (r == 0)
        r = compose(c, &s, session_text(infra, "id"), &request, err);
    if (r == 0)
        r = request_from_json(request, &parsed, err);
    if (r < 0)
        return r;
    body = json_pack("{sO}", "request", request);
    r = api_call(s.api, "POST", "/accessGrants", body, &c->answer, err);
    if (r < 0)
        return r;
    json_object_set_new(c->answer, "digest", json_string(parsed.digest));
    ui_line(&c->ui, "grant     %s", parsed.id);
    ui_line(&c->ui, "digest    %s", parsed.digest);
    ui_line(&c->ui, "The customer signs it with `ownhouse approve %s`; then `ownhouse connect %s`.", parsed.id,
            parsed.id);
    return 0;
}

static int list_run(struct cli *c, struct err *err)
{
    autosession struct session s = {0};
    const json_t *v;
    size_t i;
    int r = session_open(c, &s, err);
    if (r == 0)
        r = api_call(s.api, "GET", "/accessGrants", NULL, &c->answer, err);
    if (r < 0)
        return r;
    struct ui_table *t = ui_table_new((const char *const[]){"GRANT", "STATE", "BY", "REASON", "ENDS", NULL});
    json_array_foreach(c->answer, i, v)
    {
        const json_t *q = json_object_get(v, "request");
        ui_table_row(t, session_text(v, "id"), session_text(v, "state"), session_text(q, "by"),
                     session_text(q, "reason"), session_text(v, "notAfter"));
    }
    ui_table_print(&c->ui, t);
    return 0;
}

static int wait_ended(struct session *s, void *data, struct err *err)
{
    autojson json_t *grant = NULL;
    autofree char *path = mem_printf("/accessGrants/%s", (const char *)data);
    int r = api_call(s->api, "GET", path, NULL, &grant, err);
    return r < 0 ? r : !strcmp(session_text(grant, "state"), "ended");
}

static int revoke_run(struct cli *c, struct err *err)
{
    autosession struct session s = {0};
    char id[UUID_SIZE];
    int64_t seconds = 30;
    if (!uuid_valid(c->arguments[0]))
        return err_set(err, CLI_BAD_USAGE, "GRANT must be the number that `ownhouse access list` shows");
    memcpy(id, c->arguments[0], UUID_SIZE);
    autofree char *path = mem_printf("/accessGrants/%s/revoke", id);
    int r = session_open(c, &s, err);
    if (r == 0)
        r = api_call(s.api, "POST", path, NULL, &c->answer, err);
    if (r == 0 && !cli_option(c, "no-wait"))
        r = session_wait(&s, (int)seconds * 1000, "the gate's word that nothing is left", wait_ended, id, err);
    if (r == 0)
        ui_line(&c->ui, "%s",
                cli_option(c, "no-wait") ? "Revoked." : "Revoked; the gate says that nothing of it is left.");
    return r;
}

static const struct cli_option request_options[] = {
    {"target", 't', "LIST", "clickhouse.diag (default), clickhouse.querytext, prometheus.read, cluster.view"},
    {"service", 's', "LIST", "only these services; without it all of the infrastructure"},
    {"minutes", 'm', "N", "how long it lasts from its opening, at most 480 (default 60)"},
    {"reason", 'r', "TEXT", "why; the customer reads it before signing"},
    {"ticket", 0, "TEXT", "where the matter is discussed"},
    {"infrastructure", 'i', "NAME", "which infrastructure (default laptop)"},
    {"gate", 0, "PIN", "sha256/... of the gate's authority, as the customer gave it"},
    {NULL},
};
static const struct cli_option revoke_options[] = {
    {"no-wait", 0, NULL, "do not wait for the gate's word"},
    {NULL},
};

static const struct cli_command subcommands[] = {
    {.name = "request",
     .arguments = "",
     .summary = "Asks a customer for access to a data plane.",
     .options = request_options,
     .run = request_run},
    {.name = "list", .arguments = "", .summary = "Lists what was asked for.", .run = list_run},
    {.name = "revoke",
     .arguments = "GRANT",
     .summary = "Ends an access, open or not.",
     .min_arguments = 1,
     .max_arguments = 1,
     .options = revoke_options,
     .run = revoke_run},
    {NULL},
};

const struct cli_command access_command = {
    .name = "access",
    .arguments = "COMMAND",
    .summary = "Asks for, lists and revokes engineers' access to a data plane.",
    .details =
        "A request lets nobody in. The customer signs it with a key of his own; the gate in the data plane checks\n"
        "the signatures itself, and `ownhouse connect` opens local ports for as long as the grant lasts.",
    .subcommands = subcommands,
};
