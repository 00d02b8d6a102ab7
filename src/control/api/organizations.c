/* Organizations. */
#include "control/api/handlers.h"
#include "control/api/merge.h"

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

int organization_list(struct api_request *q, struct err *err)
{
    json_t *one = NULL;
    int r = view(q, &one, err);
    if (r == 0)
        q->result = json_pack("[o]", one);
    return r;
}

int organization_get(struct api_request *q, struct err *err)
{
    return view(q, &q->result, err);
}

static int load_config(struct api_request *q, json_t **ret, struct err *err)
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

int organization_update(struct api_request *q, struct err *err)
{
    autojson json_t *config = NULL;
    autofree char *text = NULL;
    const char *name = api_body_text(q, "name");
    json_t *endpoints = api_body(q, "privateEndpoints"), *dumps = api_body(q, "enableCoreDumps");
    int r = load_config(q, &config, err);
    if (r == 0 && name)
        r = rename_organization(q, name, err);
    if (r == 0 && endpoints)
        merge_list(config, "privateEndpoints", "id", endpoints);
    if (r == 0 && dumps)
        json_object_set(config, "enableCoreDumps", dumps);
    if (r < 0)
        return r;
    text = js_text(config);
    r = store_exec(q->store, "UPDATE organization SET config = $2 WHERE id = $1",
                   STORE_ARGS(store_text(q->who.organization), store_text(text)), NULL, err);
    return r < 0 ? r : view(q, &q->result, err);
}
