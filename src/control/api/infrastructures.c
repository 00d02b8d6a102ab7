/* Infrastructures with all that is known of them, and what their agents must trust. */
#include "base/buf.h"
#include "base/fs.h"
#include "control/api/handlers.h"
#include "control/signer.h"
#include "net/tls.h"

#define COLUMNS                                                                                                  \
    "i.id, i.account_id, a.name, i.name, i.display_name, i.provider, i.region, i.state, i.want, i.delete_data, " \
    "i.cidr, i.zones, i.domain, i.error, i.created_at, d.version, o.desired_version, o.received_at, o.body, "    \
    "a.provider"
#define TABLES                                                \
    "infrastructure i JOIN account a ON a.id = i.account_id " \
    "LEFT JOIN desired_document d ON d.infrastructure_id = i.id LEFT JOIN observed o ON o.infrastructure_id = i.id"

static json_t *string_or_null(const json_t *object, const char *name)
{
    json_t *v = json_object_get(object, name);
    return json_is_string(v) ? json_incref(v) : json_null();
}

/* What the agent said, in our words: its list may have more fields than we promise. */
static json_t *workloads(const json_t *observed)
{
    json_t *out = json_array(), *one;
    size_t i;
    json_array_foreach(json_object_get(observed, "workloads"), i, one)
    {
        const char *name = json_string_value(json_object_get(one, "name"));
        const char *state = json_string_value(json_object_get(one, "state"));
        if (name && state)
            json_array_append_new(out, json_pack("{s:s,s:s,s:I,s:s}", "name", name, "state", state, "restarts",
                                                 json_integer_value(json_object_get(one, "restarts")), "error",
                                                 js_text_at(one, "error")));
    }
    return out;
}

/* What the agent withholds or has not said is null. */
static json_t *dns_view(const json_t *observed)
{
    const json_t *dns = json_object_get(observed, "dns"), *records = json_object_get(dns, "records"),
                 *conflicts = json_object_get(dns, "conflicts");
    if (!dns)
        return json_null();
    return json_pack("{s:s, s:O?, s:O?, s:s}", "state", js_text_at(dns, "state"), "records",
                     records ? records : json_null(), "conflicts", conflicts ? conflicts : json_null(), "error",
                     js_text_at(dns, "error"));
}

static json_t *certificate_view(const json_t *observed)
{
    const json_t *c = json_object_get(observed, "certificate"), *end = json_object_get(c, "notAfterMs");
    if (!c)
        return json_null();
    return json_pack("{s:s, s:s, s:o, s:s}", "source", js_text_at(c, "source"), "state", js_text_at(c, "state"),
                     "notAfter", json_is_integer(end) ? api_time(json_integer_value(end)) : json_null(), "error",
                     js_text_at(c, "error"));
}

static json_t *own_fields(struct store_rows *rows)
{
    autojson json_t *observed = store_column_is_null(rows, 18) ? NULL : api_column_json(rows, 18);
    json_t *v = json_object();
    static const char *const texts[] = {"id",       "accountId", "accountName", "name", "displayName", "cloudProvider",
                                        "regionId", "state",     "want"};
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        json_object_set_new(v, texts[i], json_string(store_column_text(rows, (int)i)));
    json_object_set_new(v, "accountProvider", json_string(store_column_text(rows, 19)));
    json_object_set_new(v, "deleteData", json_boolean(store_column_int(rows, 9)));
    json_object_set_new(v, "vpcCidrRange", json_string(store_column_text(rows, 10)));
    json_object_set_new(v, "availabilityZoneSuffixes", api_column_json(rows, 11));
    json_object_set_new(v, "domain", json_string(store_column_text(rows, 12)));
    json_object_set_new(v, "error", json_string(store_column_text(rows, 13)));
    json_object_set_new(v, "createdAt", api_time(store_column_int(rows, 14)));
    json_object_set_new(v, "desiredVersion", json_integer(store_column_int(rows, 15)));
    json_object_set_new(v, "observedVersion", json_integer(store_column_int(rows, 16)));
    json_object_set_new(v, "observedAt", api_time_or_null(rows, 17));
    json_object_set_new(v, "isolation", string_or_null(observed, "isolation"));
    json_object_set_new(v, "caCertificate", string_or_null(observed, "caCertificate"));
    json_object_set_new(v, "dns", dns_view(observed));
    json_object_set_new(v, "certificate", certificate_view(observed));
    json_object_set_new(v, "workloads", workloads(observed));
    return v;
}

/* Agents by infrastructure: all in one query, or those of one. */
static int agents_by_infrastructure(struct api_request *q, const char *id, json_t **ret, struct err *err)
{
    autojson json_t *all = NULL;
    json_t *by_id = json_object(), *one;
    size_t i;
    int r = agent_views(q, *id ? id : NULL, NULL, &all, err);
    json_array_foreach(all, i, one)
    {
        const char *infrastructure = json_string_value(json_object_get(one, "infrastructureId"));
        json_t *list = json_object_get(by_id, infrastructure);
        if (!list)
            json_object_set_new(by_id, infrastructure, list = json_array());
        json_array_append(list, one);
    }
    *ret = by_id;
    return r;
}

static int complete(struct api_request *q, json_t *v, const json_t *agents, struct err *err)
{
    const char *id = json_string_value(json_object_get(v, "id"));
    json_t *plan = NULL, *own = json_object_get(agents, id);
    int r = plan_current(q, id, &plan, err);
    if (r < 0)
        return r;
    json_object_set_new(v, "plan", plan);
    json_object_set_new(v, "agents", own ? json_incref(own) : json_array());
    return 0;
}

/* `account` and `id` "" = any; those that are gone only with `gone`. */
static int views(struct api_request *q, const char *account, const char *id, bool gone, json_t **ret, struct err *err)
{
    autorows struct store_rows *rows = NULL;
    autojson json_t *list = json_array(), *agents = NULL;
    json_t *one;
    size_t i;
    int r = store_query(
        q->store,
        "SELECT " COLUMNS " FROM " TABLES
        " WHERE i.organization_id = $1 AND ($2 = '' OR i.account_id = $2) AND ($3 = '' OR i.id = $3) "
        "AND ($4 = 1 OR i.state <> 'infra-terminated') ORDER BY i.created_at, i.id",
        STORE_ARGS(store_text(q->who.organization), store_text(account), store_text(id), store_int(gone)), &rows, err);
    while (r == 0 && (r = store_next(rows, err)) == 1) {
        json_array_append_new(list, own_fields(rows));
        r = 0;
    }
    if (r == 0)
        r = agents_by_infrastructure(q, id, &agents, err);
    json_array_foreach(list, i, one)
    {
        if (r == 0)
            r = complete(q, one, agents, err);
    }
    if (r == 0)
        *ret = TAKE_PTR(list);
    return r;
}

int infrastructure_list(struct api_request *q, struct err *err)
{
    const char *account = api_query(q, "accountId");
    return views(q, account ? account : "", "", api_query_flag(q, "terminated"), &q->result, err);
}

int infrastructure_get(struct api_request *q, struct err *err)
{
    autojson json_t *list = NULL;
    int r = views(q, "", q->match.path[1], true, &list, err);
    if (r < 0)
        return r;
    if (!json_array_size(list))
        return api_missing(q, "infrastructure");
    q->result = json_incref(json_array_get(list, 0));
    return 0;
}

int infrastructure_request_plan(struct api_request *q, struct err *err)
{
    const char *id = q->match.path[1];
    bool destroy = !strcmp(api_body_text(q, "kind"), "destroy");
    bool data = destroy && json_is_true(api_body(q, "deleteData"));
    int64_t there = 0, changed = 0;
    int r = api_number(q,
                       "SELECT count(*) FROM infrastructure WHERE id = $1 AND organization_id = $2 AND state <> "
                       "'infra-terminated'",
                       STORE_ARGS(store_text(id), store_text(q->who.organization)), &there, err);
    if (r == 0 && !there)
        return api_missing(q, "infrastructure");
    if (r == 0)
        r = store_exec(q->store,
                       "UPDATE infrastructure SET want = $2, delete_data = $3 WHERE id = $1 AND (want <> $2 OR "
                       "delete_data <> $3)",
                       STORE_ARGS(store_text(id), store_text(destroy ? "absent" : "present"), store_int(data)),
                       &changed, err);
    /* What was discarded may be proposed again, since it was asked for. */
    if (r == 0)
        r = store_exec(q->store,
                       "UPDATE plan SET state = 'superseded' WHERE infrastructure_id = $1 AND state = 'discarded'",
                       STORE_ARGS(store_text(id)), NULL, err);
    if (r == 0 && changed)
        r = plan_supersede(q, id, err);
    if (r == 0 && changed)
        r = api_activity(q, destroy ? "infrastructure_delete" : "infrastructure_update", NULL, id,
                         !destroy ? "kept after all"
                         : data   ? "with its data"
                                  : "data kept",
                         err);
    return r < 0 ? r : infrastructure_get(q, err);
}

/* --- enrolment --- */

static int read_key_file(struct api_request *q, const char *name, char **ret, struct err *err)
{
    autofree char *path = mem_printf("%s/keys/%s", q->api->role->config.state_dir, name);
    return fs_read(path, KIB(64), ret, NULL, err);
}

static int pin_of(const char *pem, char ret[TLS_PIN_SIZE], struct err *err)
{
    autocert struct tls_cert *cert = NULL;
    struct tls_cert_info info;
    int r = tls_cert_parse(pem, strlen(pem), &cert, err);
    if (r < 0)
        return r;
    tls_cert_info(cert, &info);
    tls_pin_text(info.spki, ret);
    return 0;
}

static json_t *control_address(const struct control_config *c)
{
    autofree char *address = mem_printf("%s:%lld", c->server_name, (long long)c->listen_port);
    return json_pack("{s:s,s:s}", "address", address, "serverName", SIGNER_SERVER_NAME);
}

int infrastructure_enrolment(struct api_request *q, struct err *err)
{
    autofree char *ca = NULL, *spare = NULL, *desired = NULL;
    autojson json_t *there = NULL;
    char ca_pin[TLS_PIN_SIZE], spare_pin[TLS_PIN_SIZE] = "";
    int r = byoc_config(q, q->match.path[1], &there, err);
    if (r <= 0)
        return r < 0 ? r : api_missing(q, "infrastructure");
    r = read_key_file(q, "link-ca.pem", &ca, err);
    if (r == 0)
        r = read_key_file(q, "desired.pub", &desired, err);
    if (r == -ENOENT)
        return api_refuse(q, 503, "the control plane has not made its link keys yet; try again in a few seconds");
    if (r == 0)
        r = pin_of(ca, ca_pin, err);
    if (r == 0 && read_key_file(q, "link-ca-spare.pem", &spare, NULL) == 0)
        r = pin_of(spare, spare_pin, err);
    if (r < 0)
        return r;
    desired[strcspn(desired, "\r\n")] = 0;
    q->result = json_pack("{s:o,s:{s:s,s:s},s:s,s:s,s:s}", "control", control_address(&q->api->role->config), "linkCa",
                          "pem", ca, "spki", ca_pin, "spareSpki", spare_pin, "desiredKey", desired, "releaseKey", "");
    return 0;
}
