/* Organizations. */
#include "control/api/admission.h"
#include "control/api/handlers.h"
#include "control/api/merge.h"
#include "control/api/organization_config.h"
#include "control/api/person.h"
#include "control/api/rbac.h"
#include "control/api/regions.h"

#define ENDPOINTS_MAX 256

static int view(struct api_request *q, json_t **ret, struct err *err)
{
    autorows struct store_rows *rows = NULL;
    autojson json_t *byoc = NULL, *config = NULL;
    int r = byoc_config(q, NULL, &byoc, err);
    if (r < 0)
        return r;
    r = store_query(q->store, "SELECT id, name, created_at, config FROM organization WHERE id = $1",
                    STORE_ARGS(store_text(q->who.organization)), &rows, err);
    if (r == 0)
        r = store_next(rows, err);
    if (r <= 0)
        return r < 0 ? r : api_missing(q, "organization");
    config = api_column_json(rows, 3);
    json_t *endpoints = json_object_get(config, "privateEndpoints"),
           *dumps = json_object_get(config, "enableCoreDumps");
    *ret = json_pack("{s:s,s:s,s:o,s:o,s:O,s:b}", "id", store_column_text(rows, 0), "name", store_column_text(rows, 1),
                     "createdAt", api_time(store_column_int(rows, 2)), "privateEndpoints",
                     endpoints ? json_incref(endpoints) : json_array(), "byocConfig", byoc, "enableCoreDumps",
                     dumps ? json_is_true(dumps) : 1);
    return 0;
}

/* Those where the person may look. */
static int list_of_person(struct api_request *q, struct err *err)
{
    autojson json_t *ids = NULL;
    json_t *id, *one = NULL;
    size_t i;
    int r = person_organizations(q, q->who.user, &ids, err);
    q->result = json_array();
    json_array_foreach(ids, i, id)
    {
        if (r == 0)
            r = admission_enter(q, json_string_value(id), err);
        if (r == 1 && rbac_may(q, "control-plane:organization:view")) {
            r = view(q, &one, err);
            if (r == 0)
                json_array_append_new(q->result, one);
        }
        r = MIN(r, 0);
    }
    return r;
}

int organization_list(struct api_request *q, struct err *err)
{
    json_t *one = NULL;
    if (*q->who.user)
        return list_of_person(q, err);
    int r = view(q, &one, err);
    if (r == 0)
        q->result = json_pack("[o]", one);
    return r;
}

int organization_get(struct api_request *q, struct err *err)
{
    return view(q, &q->result, err);
}

int organization_config_load(struct api_request *q, json_t **ret, struct err *err)
{
    autorows struct store_rows *rows = NULL;
    int r = store_query(q->store, "SELECT config FROM organization WHERE id = $1",
                        STORE_ARGS(store_text(q->who.organization)), &rows, err);
    if (r == 0)
        r = store_next(rows, err);
    if (r <= 0)
        return r < 0 ? r : api_missing(q, "organization");
    *ret = api_column_json(rows, 0);
    return 0;
}

static int rename_organization(struct api_request *q, const char *name, struct err *err)
{
    int64_t changed = 0;
    int r = store_exec(q->store, "UPDATE organization SET name = $2 WHERE id = $1 AND name <> $2",
                       STORE_ARGS(store_text(q->who.organization), store_text(name)), &changed, err);
    return r < 0 || !changed ? r : api_activity(q, "organization_update_name", NULL, NULL, NULL, err);
}

int organization_config_store(struct api_request *q, const json_t *config, struct err *err)
{
    autofree char *text = js_text(config);
    return store_exec(q->store, "UPDATE organization SET config = $2 WHERE id = $1",
                      STORE_ARGS(store_text(q->who.organization), store_text(text)), NULL, err);
}

/* What is added must say where it is, or it could be offered to no service. */
static int check_endpoints(struct api_request *q, const json_t *config)
{
    const json_t *one;
    size_t i;
    json_array_foreach(json_object_get(api_body(q, "privateEndpoints"), "add"), i, one)
    {
        const char *provider = json_string_value(json_object_get(one, "cloudProvider"));
        const char *region = json_string_value(json_object_get(one, "region"));
        if (provider && region && !region_known(provider, region))
            return api_refuse(q, 400, "privateEndpoints.add[%zu].region: the provider %s does not have this region", i,
                              provider);
    }
    if (json_array_size(json_object_get(config, "privateEndpoints")) > ENDPOINTS_MAX)
        return api_refuse(q, 400, "privateEndpoints: would be more than %d", ENDPOINTS_MAX);
    return 0;
}

static int update_config(struct api_request *q, struct err *err)
{
    autojson json_t *config = NULL;
    json_t *endpoints = api_body(q, "privateEndpoints"), *dumps = api_body(q, "enableCoreDumps");
    int r = organization_config_load(q, &config, err);
    if (r < 0)
        return r;
    bool other_endpoints = endpoints && merge_list(config, "privateEndpoints", "id", endpoints);
    bool other_dumps = dumps && !json_equal(dumps, json_object_get(config, "enableCoreDumps"));
    if (other_dumps)
        json_object_set(config, "enableCoreDumps", dumps);
    if (!other_endpoints && !other_dumps)
        return 0;
    r = check_endpoints(q, config);
    if (r == 0)
        r = organization_config_store(q, config, err);
    if (r == 0 && other_endpoints)
        r = api_activity(q, "organization_update_private_endpoints", NULL, NULL, NULL, err);
    if (r == 0 && other_dumps)
        r = api_activity(q, "organization_update_core_dump", NULL, NULL, NULL, err);
    return r;
}

int organization_update(struct api_request *q, struct err *err)
{
    const char *name = api_body_text(q, "name");
    int r = name ? rename_organization(q, name, err) : 0;
    if (r == 0)
        r = update_config(q, err);
    return r < 0 ? r : view(q, &q->result, err);
}
