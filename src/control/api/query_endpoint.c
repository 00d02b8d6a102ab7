/* The query endpoint of a service: who may send queries by HTTP API. Configuration only: the queries go to the data
 * plane and never come here. */
#include "control/api/handlers.h"
#include "control/api/service_change.h"

#define FIELD "queryEndpoint"

static int key_there(struct api_request *q, const char *id, bool *ret, struct err *err)
{
    int64_t n = 0;
    int r = api_number(q, "SELECT count(*) FROM api_key WHERE id = $1 AND organization_id = $2",
                       STORE_ARGS(store_text(id), store_text(q->who.organization)), &n, err);
    *ret = n != 0;
    return r;
}

/* Keys that were deleted since are not shown: they open nothing. */
static int view(struct api_request *q, const json_t *stored, json_t **ret, struct err *err)
{
    json_t *v = json_copy((json_t *)(uintptr_t)stored), *keys = json_array(), *key;
    size_t i;
    int r = 0;
    json_array_foreach(json_object_get(stored, "openApiKeys"), i, key)
    {
        bool there = false;
        if (r == 0)
            r = key_there(q, json_string_value(key), &there, err);
        if (there)
            json_array_append(keys, key);
    }
    json_object_set_new(v, "openApiKeys", keys);
    *ret = v;
    return r;
}

int query_endpoint_get(struct api_request *q, struct err *err)
{
    autochange struct service_change c = {0};
    int r = service_change_read(q, &c, err);
    if (r < 0)
        return r;
    const json_t *stored = json_object_get(c.spec, FIELD);
    return stored ? view(q, stored, &q->result, err) : api_missing(q, "query endpoint");
}

static int check_keys(struct api_request *q, struct err *err)
{
    const json_t *key;
    size_t i;
    json_array_foreach(api_body(q, "openApiKeys"), i, key)
    {
        bool there = false;
        int r = key_there(q, json_string_value(key), &there, err);
        if (r < 0)
            return r;
        if (!there)
            return api_refuse(q, 400, "openApiKeys[%zu]: there is no such API key", i);
    }
    return 0;
}

/* Domains or origins, separated by commas; "*" is any. */
static int check_origins(struct api_request *q)
{
    const char *text = api_body_text(q, "allowedOrigins");
    char *rest = text ? arena_strdup(q->arena, text) : NULL, *one;
    if (!text || !*text)
        return 0;
    while ((one = strsep(&rest, ","))) {
        one += strspn(one, " ");
        size_t len = strcspn(one, " ");
        if (!len || one[len + strspn(one + len, " ")] ||
            strspn(one, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                        "0123456789-._~:/*[]") != len)
            return api_refuse(q, 400,
                              "allowedOrigins: must be domains such as https://app.example.org, separated by "
                              "commas");
    }
    return 0;
}

static json_t *list_or_none(json_t *list)
{
    return list ? json_incref(list) : json_array();
}

int query_endpoint_upsert(struct api_request *q, struct err *err)
{
    autochange struct service_change c = {0};
    const char *origins = api_body_text(q, "allowedOrigins");
    char id[UUID_SIZE];
    int r = service_change_begin(q, &c, err);
    if (r == 0)
        r = check_keys(q, err);
    if (r == 0)
        r = check_origins(q);
    if (r < 0)
        return r;
    const json_t *before = json_object_get(c.spec, FIELD);
    const char *old_id = json_string_value(json_object_get(before, "id"));
    uuid_new(id);
    q->result = json_pack("{s:s,s:o,s:o,s:s}", "id", old_id ? old_id : id, "openApiKeys",
                          list_or_none(api_body(q, "openApiKeys")), "roles", list_or_none(api_body(q, "roles")),
                          "allowedOrigins", origins ? origins : "");
    if (before && json_equal(before, q->result))
        return 0;
    json_object_set(c.spec, FIELD, q->result);
    return service_change_finish(q, &c, "service_update_query_endpoint", NULL, err);
}

int query_endpoint_delete(struct api_request *q, struct err *err)
{
    autochange struct service_change c = {0};
    int r = service_change_begin(q, &c, err);
    if (r < 0)
        return r;
    if (json_object_del(c.spec, FIELD) < 0)
        return api_missing(q, "query endpoint");
    return service_change_finish(q, &c, "service_update_query_endpoint", "removed", err);
}
