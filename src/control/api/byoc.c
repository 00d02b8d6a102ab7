/* byocInfrastructure: creating, renaming and removing infrastructures in the published form. */
#include "control/api/handlers.h"
#include "control/api/regions.h"

#include <arpa/inet.h>

/* "open", "sealed", or "" while no data plane has said. */
static const char *policy_mode(struct store_rows *rows)
{
    autojson json_t *policy = store_column_is_null(rows, 6) ? NULL : api_column_json(rows, 6);
    const char *mode = json_string_value(json_object_get(policy, "mode"));
    return !mode ? "" : !strcmp(mode, "sealed") ? "sealed" : "open";
}

int byoc_config(struct api_request *q, const char *infrastructure, json_t **ret, struct err *err)
{
    autorows struct store_rows *rows = NULL;
    autojson json_t *list = json_array();
    int r = store_query(q->store,
                        "SELECT i.id, i.state, a.name, i.region, i.provider, i.display_name, c.policy FROM "
                        "infrastructure i JOIN account a ON a.id = i.account_id LEFT JOIN consent c ON "
                        "c.infrastructure_id = i.id WHERE i.organization_id = $1 AND ($2 = '' OR i.id = $2) "
                        "ORDER BY i.created_at, i.id",
                        STORE_ARGS(store_text(q->who.organization), store_text(infrastructure ? infrastructure : "")),
                        &rows, err);
    while (r == 0 && (r = store_next(rows, err)) == 1) {
        json_array_append_new(list, json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:{s:s}}", "id", store_column_text(rows, 0),
                                              "state", store_column_text(rows, 1), "accountName",
                                              store_column_text(rows, 2), "regionId", store_column_text(rows, 3),
                                              "cloudProvider", store_column_text(rows, 4), "displayName",
                                              store_column_text(rows, 5), "ownhouse", "policyMode", policy_mode(rows)));
        r = 0;
    }
    if (r < 0)
        return r;
    int found = json_array_size(list) > 0;
    *ret = TAKE_PTR(list);
    return found;
}

static int answer_one(struct api_request *q, const char *id, struct err *err)
{
    autojson json_t *list = NULL;
    int r = byoc_config(q, id, &list, err);
    if (r <= 0)
        return r < 0 ? r : api_missing(q, "infrastructure");
    q->result = json_incref(json_array_get(list, 0));
    return 0;
}

struct account {
    char id[UUID_SIZE];
    const char *name, *provider;
    const char *shown; /* the cloud that its infrastructures are shown as */
    json_t *config;
};

static int find_account(struct api_request *q, struct account *ret, struct err *err)
{
    autorows struct store_rows *rows = NULL;
    const char *wanted = api_body_text(q, "accountId");
    int r = store_query(q->store,
                        "SELECT id, name, provider, config FROM account WHERE organization_id = $1 AND "
                        "(id = $2 OR name = $2)",
                        STORE_ARGS(store_text(q->who.organization), store_text(wanted)), &rows, err);
    if (r == 0)
        r = store_next(rows, err);
    if (r <= 0)
        return r < 0 ? r : api_refuse(q, 400, "accountId: there is no such account; connect it first");
    snprintf(ret->id, sizeof(ret->id), "%s", store_column_text(rows, 0));
    ret->name = arena_strdup(q->arena, store_column_text(rows, 1));
    ret->provider = arena_strdup(q->arena, store_column_text(rows, 2));
    ret->config = api_column_json(rows, 3);
    const char *stands_for = json_string_value(json_object_get(ret->config, "standsFor"));
    ret->shown = stands_for ? stands_for : ret->provider;
    return 0;
}

/* A local account is one set of ports, so it holds one infrastructure at a time. */
static int check_account(struct api_request *q, const struct account *account, struct err *err)
{
    const char *region = api_body_text(q, "regionId");
    bool local = !strcmp(account->provider, "local");
    int64_t n = 0;
    if (!region_known(account->shown, region))
        return api_refuse(q, 400, "regionId: the account %s %s %s, which does not have this region", account->name,
                          account->shown == account->provider ? "is of the provider" : "stands for", account->shown);
    int r = api_number(q, "SELECT count(*) FROM infrastructure WHERE account_id = $1 AND state <> 'infra-terminated'",
                       STORE_ARGS(store_text(account->id)), &n, err);
    if (r == 0 && n && local)
        return api_refuse(q, 400, "accountId: the account %s has an infrastructure already; a local account holds one",
                          account->name);
    return r;
}

/* The label itself or label-2, label-3 ..., whichever is free. */
static int free_name(struct api_request *q, const char *account, const char *label, const char **ret, struct err *err)
{
    for (int i = 1; i < 10000; i++) {
        const char *name = i == 1 ? label : arena_printf(q->arena, "%s-%d", label, i);
        int64_t n = 0;
        int r = api_number(q, "SELECT count(*) FROM infrastructure WHERE account_id = $1 AND name = $2",
                           STORE_ARGS(store_text(account), store_text(name)), &n, err);
        if (r < 0)
            return r;
        if (!n) {
            *ret = name;
            return 0;
        }
    }
    return api_refuse(q, 400, "displayName: this name is taken ten thousand times; choose another");
}

struct range {
    uint32_t first, last;
};

static struct range parse_range(const char *cidr)
{
    char text[INET_ADDRSTRLEN];
    struct in_addr in = {0};
    snprintf(text, sizeof(text), "%.*s", (int)strcspn(cidr, "/"), cidr);
    (void)!inet_pton(AF_INET, text, &in);
    uint32_t first = ntohl(in.s_addr);
    int prefix = strchr(cidr, '/') ? atoi(strchr(cidr, '/') + 1) : 32;
    return (struct range){first, first | (prefix >= 32 ? 0 : 0xffffffffu >> prefix)};
}

/* True in *ret if some other infrastructure of the organization has addresses of this range. */
static int overlaps(struct api_request *q, const char *cidr, bool *ret, struct err *err)
{
    autorows struct store_rows *rows = NULL;
    struct range ours = parse_range(cidr);
    *ret = false;
    int r = store_query(q->store, "SELECT cidr FROM infrastructure WHERE state <> 'infra-terminated'", STORE_NO_ARGS,
                        &rows, err);
    while (r == 0 && (r = store_next(rows, err)) == 1) {
        struct range other = parse_range(store_column_text(rows, 0));
        if (ours.first <= other.last && other.first <= ours.last)
            *ret = true;
        r = 0;
    }
    return r;
}

static int choose_cidr(struct api_request *q, const char **ret, struct err *err)
{
    const char *wanted = api_body_text(q, "vpcCidrRange");
    bool taken = true;
    int r = 0;
    if (wanted) {
        r = overlaps(q, wanted, &taken, err);
        if (r == 0 && taken)
            return api_refuse(q, 400, "vpcCidrRange: overlaps with the network of another infrastructure");
        *ret = wanted;
        return r;
    }
    for (int i = 0; r == 0 && taken && i < 256; i++) {
        *ret = arena_printf(q->arena, "10.%d.0.0/16", (77 + i) % 256);
        r = overlaps(q, *ret, &taken, err);
    }
    return r == 0 && taken ? api_refuse(q, 400, "vpcCidrRange: no network is free by default; name one") : r;
}

/* The name that this request gives. */
static const char *wanted_name(struct api_request *q)
{
    const char *display = api_body_text(q, "displayName");
    return api_label(q->arena, display ? display : api_body_text(q, "regionId"), "infrastructure", 40);
}

/* What was removed may have left data behind, which carry its id: under the same name it is taken up again. 1 = done.
 */
static int take_up_again(struct api_request *q, const struct account *account, char id[UUID_SIZE], struct err *err)
{
    autorows struct store_rows *rows = NULL;
    int r = store_query(
        q->store,
        "SELECT id FROM infrastructure WHERE account_id = $1 AND name = $2 AND region = $3 AND "
        "state = 'infra-terminated'",
        STORE_ARGS(store_text(account->id), store_text(wanted_name(q)), store_text(api_body_text(q, "regionId"))),
        &rows, err);
    if (r == 0)
        r = store_next(rows, err);
    if (r <= 0)
        return r;
    snprintf(id, UUID_SIZE, "%s", store_column_text(rows, 0));
    r = store_exec(q->store,
                   "UPDATE infrastructure SET state = 'infra-provisioning', want = 'present', delete_data = 0, "
                   "error = '' WHERE id = $1",
                   STORE_ARGS(store_text(id)), NULL, err);
    return r < 0 ? r : 1;
}

static int insert(struct api_request *q, const struct account *account, const char *id, struct err *err)
{
    const char *display = api_body_text(q, "displayName"), *region = api_body_text(q, "regionId");
    const char *name = NULL, *cidr = NULL;
    const char *domain = json_string_value(json_object_get(account->config, "domain"));
    json_t *suffixes = api_body(q, "availabilityZoneSuffixes");
    autofree char *zones = suffixes ? js_text(suffixes) : mem_strdup("[]");
    int r = free_name(q, account->id, wanted_name(q), &name, err);
    if (r == 0)
        r = choose_cidr(q, &cidr, err);
    if (r < 0)
        return r;
    if (!domain)
        domain = arena_printf(q->arena, "%s.ownhouse.localhost", account->name);
    return store_exec(q->store,
                      "INSERT INTO infrastructure (id, organization_id, account_id, name, display_name, provider, "
                      "region, cidr, zones, domain, config, state, want, created_at) VALUES ($1, $2, $3, $4, $5, $6, "
                      "$7, $8, $9, $10, '{}', 'infra-provisioning', 'present', $11)",
                      STORE_ARGS(store_text(id), store_text(q->who.organization), store_text(account->id),
                                 store_text(name), store_text(display ? display : name), store_text(account->shown),
                                 store_text(region), store_text(cidr), store_text(zones), store_text(domain),
                                 store_int(q->now)),
                      NULL, err);
}

int byoc_create(struct api_request *q, struct err *err)
{
    char id[UUID_SIZE];
    struct account account = {0};
    int r = find_account(q, &account, err);
    if (r == 0)
        r = check_account(q, &account, err);
    uuid_new(id);
    if (r == 0)
        r = take_up_again(q, &account, id, err);
    if (r == 0)
        r = insert(q, &account, id, err);
    json_decref(account.config);
    if (r >= 0)
        r = api_activity(q, "infrastructure_create", NULL, id, NULL, err);
    return r < 0 ? r : answer_one(q, id, err);
}

int byoc_get(struct api_request *q, struct err *err)
{
    return answer_one(q, q->match.path[1], err);
}

int byoc_update(struct api_request *q, struct err *err)
{
    const char *name = api_body_text(q, "displayName");
    int64_t changed = 0;
    int r =
        !name ? 0
              : store_exec(q->store,
                           "UPDATE infrastructure SET display_name = $3 WHERE id = $1 AND organization_id = $2 "
                           "AND display_name <> $3",
                           STORE_ARGS(store_text(q->match.path[1]), store_text(q->who.organization), store_text(name)),
                           &changed, err);
    if (r == 0 && changed)
        r = api_activity(q, "infrastructure_update", NULL, q->match.path[1], NULL, err);
    return r < 0 ? r : answer_one(q, q->match.path[1], err);
}

int byoc_delete(struct api_request *q, struct err *err)
{
    const char *id = q->match.path[1];
    bool data = api_query_flag(q, "deleteData");
    int64_t changed = 0;
    int r = answer_one(q, id, err);
    json_decref(TAKE_PTR(q->result));
    if (r == 0)
        r = store_exec(q->store,
                       "UPDATE infrastructure SET want = 'absent', delete_data = $2 WHERE id = $1 AND "
                       "(want <> 'absent' OR delete_data <> $2) AND state <> 'infra-terminated'",
                       STORE_ARGS(store_text(id), store_int(data)), &changed, err);
    if (r < 0 || !changed)
        return r;
    r = plan_supersede(q, id, err);
    return r < 0 ? r : api_activity(q, "infrastructure_delete", NULL, id, data ? "with its data" : "data kept", err);
}
