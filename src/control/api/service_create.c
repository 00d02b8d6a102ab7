/* Creating a service: where it goes, what it is called, and its password. */
#include "control/api/handlers.h"
#include "control/api/quotas.h"
#include "control/api/service_spec.h"
#include "control/api/service_view.h"
#include "control/identity/access.h"
#include "control/identity/password.h"
#include "control/lifecycle.h"

#define ORDINAL_MAX 4095
#define SLUG_MAX 40

struct place {
    char infrastructure[UUID_SIZE];
    const char *provider;
    bool local; /* it runs on this machine, whatever cloud it stands for */
};

static void take_place(struct store_rows *rows, int account_provider, struct place *ret)
{
    snprintf(ret->infrastructure, sizeof(ret->infrastructure), "%s", store_column_text(rows, 0));
    ret->local = !strcmp(store_column_text(rows, account_provider), "local");
}

/* The infrastructure that the request names, if it can take services. */
static int named_place(struct api_request *q, const char *id, struct place *ret, struct err *err)
{
    autorows struct store_rows *rows = NULL;
    int r = store_query(q->store,
                        "SELECT i.id, i.provider, i.region, a.provider FROM infrastructure i JOIN account a ON "
                        "a.id = i.account_id WHERE i.id = $1 AND i.organization_id = $2 AND "
                        "i.state <> 'infra-terminated' AND i.want = 'present'",
                        STORE_ARGS(store_text(id), store_text(q->who.organization)), &rows, err);
    if (r == 0)
        r = store_next(rows, err);
    if (r <= 0)
        return r < 0 ? r : api_refuse(q, 400, "byocId: there is no such infrastructure, or it is being removed");
    if (strcmp(store_column_text(rows, 1), api_body_text(q, "provider")))
        return api_refuse(q, 400, "provider: the infrastructure is of the provider %s", store_column_text(rows, 1));
    if (strcmp(store_column_text(rows, 2), api_body_text(q, "region")))
        return api_refuse(q, 400, "region: the infrastructure is in the region %s", store_column_text(rows, 2));
    take_place(rows, 3, ret);
    return 0;
}

/* The one ready infrastructure of this provider and region. */
static int only_place(struct api_request *q, struct place *ret, struct err *err)
{
    autorows struct store_rows *rows = NULL;
    int r = store_query(
        q->store,
        "SELECT i.id, a.provider FROM infrastructure i JOIN account a ON a.id = i.account_id WHERE "
        "i.organization_id = $1 AND i.provider = $2 AND i.region = $3 AND i.state = 'infra-ready' AND "
        "i.want = 'present' LIMIT 2",
        STORE_ARGS(store_text(q->who.organization), store_text(ret->provider), store_text(api_body_text(q, "region"))),
        &rows, err);
    if (r == 0)
        r = store_next(rows, err);
    if (r == 0)
        return api_refuse(q, 400,
                          "byocId: no infrastructure of this provider and region is ready; create one, or name one");
    if (r == 1) {
        take_place(rows, 1, ret);
        r = store_next(rows, err);
    }
    if (r == 1)
        return api_refuse(q, 400, "byocId: several infrastructures of this provider and region are ready; name one");
    return r;
}

static int find_place(struct api_request *q, struct place *ret, struct err *err)
{
    const char *id = api_body_text(q, "byocId");
    ret->provider = api_body_text(q, "provider");
    return id && *id ? named_place(q, id, ret, err) : only_place(q, ret, err);
}

/* The smallest number that no service of the infrastructure has. */
static int free_ordinal(struct api_request *q, const char *infrastructure, int64_t *ret, struct err *err)
{
    autorows struct store_rows *rows = NULL;
    int64_t next = 1;
    int r = store_query(q->store, "SELECT ordinal FROM service WHERE infrastructure_id = $1 ORDER BY ordinal",
                        STORE_ARGS(store_text(infrastructure)), &rows, err);
    while (r == 0 && (r = store_next(rows, err)) == 1) {
        if (store_column_int(rows, 0) != next)
            break;
        next++;
        r = 0;
    }
    if (r < 0)
        return r;
    if (next > ORDINAL_MAX)
        return api_refuse(q, 400, "byocId: the infrastructure is full, it holds %d services", ORDINAL_MAX);
    *ret = next;
    return 0;
}

/* Names that the infrastructure's own zone uses. */
static bool is_reserved(const char *slug)
{
    static const char *const names[] = {"ns", "ns1", "ns2", "ingress", "localhost", "www"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (!strcmp(names[i], slug))
            return true;
    return false;
}

static int free_slug(struct api_request *q, const char *infrastructure, const char **ret, struct err *err)
{
    const char *label = api_label(q->arena, api_body_text(q, "name"), "service", SLUG_MAX);
    for (int i = is_reserved(label) ? 2 : 1; i <= ORDINAL_MAX + 1; i++) {
        const char *slug = i == 1 ? label : arena_printf(q->arena, "%s-%d", label, i);
        int64_t n = 0;
        int r = api_number(q, "SELECT count(*) FROM service WHERE infrastructure_id = $1 AND slug = $2",
                           STORE_ARGS(store_text(infrastructure), store_text(slug)), &n, err);
        if (r < 0)
            return r;
        if (!n) {
            *ret = slug;
            return 0;
        }
    }
    return api_refuse(q, 400, "name: too many services have this name; choose another");
}

static int insert(struct api_request *q, const char *id, const struct place *place, const json_t *spec,
                  const char *password, struct err *err)
{
    autofree char *text = js_text(spec);
    char sha256[65], sha1[41];
    const char *slug = NULL;
    int64_t ordinal = 0;
    int r = free_ordinal(q, place->infrastructure, &ordinal, err);
    if (r == 0)
        r = free_slug(q, place->infrastructure, &slug, err);
    if (r < 0)
        return r;
    password_clickhouse(password, sha256, sha1);
    return store_exec(q->store,
                      "INSERT INTO service (id, organization_id, infrastructure_id, name, slug, ordinal, state, want, "
                      "spec, password_sha256, password_double_sha1, created_at, updated_at) "
                      "VALUES ($1, $2, $3, $4, $5, $6, $7, 'running', $8, $9, $10, $11, $11)",
                      STORE_ARGS(store_text(id), store_text(q->who.organization), store_text(place->infrastructure),
                                 store_text(api_body_text(q, "name")), store_text(slug), store_int(ordinal),
                                 store_text(service_state_names[SERVICE_PROVISIONING]), store_text(text),
                                 store_text(sha256), store_text(sha1), store_int(q->now)),
                      NULL, err);
}

/* Rows of services that are gone for good would hold their slug and number. */
static int sweep(struct api_request *q, const char *infrastructure, struct err *err)
{
    return store_exec(q->store, "DELETE FROM service WHERE infrastructure_id = $1 AND state = 'terminated'",
                      STORE_ARGS(store_text(infrastructure)), NULL, err);
}

static int check_quota(struct api_request *q, struct err *err)
{
    int64_t used = 0;
    int r = quota_services_used(q, &used, err);
    if (r == 0 && used >= QUOTA_SERVICES)
        r = api_refuse(q, 400, "the organization has %lld services and may have %d; delete one first", (long long)used,
                       QUOTA_SERVICES);
    return r;
}

/* Who begins with a backup gets all that was in it, so asks for the right to see the backups of that service, too. One
 * that may not be seen is answered like one that is not there. */
static int take_backup(struct api_request *q, const struct place *place, json_t *spec, struct err *err)
{
    const char *id = api_body_text(q, "backupId");
    autorows struct store_rows *rows = NULL;
    char resource[sizeof("instance/") + UUID_SIZE] = "";
    if (!id || !*id)
        return 0;
    int r = store_query(
        q->store, "SELECT service_id, infrastructure_id, state FROM backup WHERE id = $1 AND organization_id = $2",
        STORE_ARGS(store_text(id), store_text(q->who.organization)), &rows, err);
    if (r == 0)
        r = store_next(rows, err);
    if (r == 1)
        snprintf(resource, sizeof(resource), "instance/%s", store_column_text(rows, 0));
    if (r < 0)
        return r;
    if (r == 0 || !access_allows(q->who.roles, q->who.policies, "control-plane:service:view-backups", resource))
        return api_refuse(q, 400, "backupId: there is no such backup");
    if (strcmp(store_column_text(rows, 2), "done"))
        return api_refuse(q, 400, "backupId: the backup is not complete");
    if (strcmp(store_column_text(rows, 1), place->infrastructure))
        return api_refuse(q, 400, "backupId: the backup lies in another infrastructure; create the service there");
    json_object_set_new(spec, "restore", json_pack("{s:s,s:s}", "backup", id, "service", store_column_text(rows, 0)));
    return 0;
}

int service_create(struct api_request *q, struct err *err)
{
    char id[UUID_SIZE], password[PASSWORD_GENERATED_SIZE];
    struct place place = {0};
    autojson json_t *spec = NULL, *service = NULL;
    int r = find_place(q, &place, err);
    if (r == 0)
        r = service_spec_new(q, place.local, &spec);
    if (r == 0)
        r = take_backup(q, &place, spec, err);
    if (r == 0)
        r = sweep(q, place.infrastructure, err);
    if (r == 0)
        r = check_quota(q, err);
    if (r < 0)
        return r;
    uuid_new(id);
    password_generate(password);
    r = insert(q, id, &place, spec, password, err);
    if (r == 0)
        r = api_activity(q, "service_create", id, place.infrastructure, NULL, err);
    if (r == 0 && json_object_get(spec, "restore"))
        r = api_activity(q, "service_restore_backup", id, place.infrastructure, api_body_text(q, "backupId"), err);
    if (r == 0)
        r = service_view_load(q, id, &service, err);
    if (r == 0) {
        q->result = json_pack("{s:O,s:s}", "service", service, "password", password);
        q->result_stored = json_pack("{s:O}", "service", service);
    }
    mem_wipe(password, sizeof(password));
    return r;
}
