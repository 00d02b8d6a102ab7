/* Private endpoints: those that the organization knows and those that a service lets in. */
#include "control/api/handlers.h"
#include "control/api/merge.h"
#include "control/api/organization_config.h"
#include "control/api/regions.h"
#include "control/api/service_change.h"

#define ENDPOINTS_MAX 256

static const json_t *find(const json_t *list, const char *id)
{
    const json_t *one;
    size_t i;
    json_array_foreach(list, i, one)
    {
        const char *other = json_string_value(json_object_get(one, "id"));
        if (other && !strcmp(other, id))
            return one;
    }
    return NULL;
}

static bool is_of(const json_t *endpoint, const char *provider, const char *region)
{
    const char *p = json_string_value(json_object_get(endpoint, "cloudProvider"));
    const char *r = json_string_value(json_object_get(endpoint, "region"));
    return p && r && !strcmp(p, provider) && !strcmp(r, region);
}

json_t *private_endpoints_available(const json_t *known, const char *provider, const char *region)
{
    json_t *ids = json_array();
    const json_t *one;
    size_t i;
    json_array_foreach(known, i, one)
    {
        if (is_of(one, provider, region))
            json_array_append(ids, json_object_get(one, "id"));
    }
    return ids;
}

/* Makes it known to the organization, unless it is. */
static int make_known(struct api_request *q, json_t *endpoint, const struct service_change *c, struct err *err)
{
    autojson json_t *config = NULL, *patch = json_pack("{s:[O]}", "add", endpoint);
    int r = organization_config_load(q, &config, err);
    if (r < 0)
        return r;
    const json_t *list = json_object_get(config, "privateEndpoints");
    const json_t *known = find(list, api_body_text(q, "id"));
    if (known && !is_of(known, c->provider, c->region))
        return api_refuse(q, 400, "id: the organization has this private endpoint in another region");
    if (!known && json_array_size(list) >= ENDPOINTS_MAX)
        return api_refuse(q, 400, "id: the organization has %d private endpoints, which is all it may have",
                          ENDPOINTS_MAX);
    if (!merge_list(config, "privateEndpoints", "id", patch))
        return 0;
    r = organization_config_store(q, config, err);
    return r < 0 ? r : api_activity(q, "organization_update_private_endpoints", NULL, NULL, NULL, err);
}

int private_endpoint_create(struct api_request *q, struct err *err)
{
    autochange struct service_change c = {0};
    const char *description = api_body_text(q, "description");
    int r = service_change_begin(q, &c, err);
    if (r < 0)
        return r;
    q->result = json_pack("{s:O,s:s,s:s,s:s}", "id", api_body(q, "id"), "description", description ? description : "",
                          "cloudProvider", c.provider, "region", c.region);
    r = make_known(q, q->result, &c, err);
    if (r < 0)
        return r;
    autojson json_t *patch = json_pack("{s:[O]}", "add", api_body(q, "id"));
    if (!merge_list(c.spec, "privateEndpointIds", NULL, patch))
        return 0;
    if (json_array_size(json_object_get(c.spec, "privateEndpointIds")) > ENDPOINTS_MAX)
        return api_refuse(q, 400, "id: the service would have more than %d private endpoints", ENDPOINTS_MAX);
    return service_change_finish(q, &c, "service_update_private_endpoints", NULL, err);
}

/* No infrastructure has an endpoint service so far, and so there is no name that only a private endpoint has: both are
 * said to be empty, not made up. */
int private_endpoint_config(struct api_request *q, struct err *err)
{
    autochange struct service_change c = {0};
    int r = service_change_read(q, &c, err);
    if (r == 0)
        q->result = json_pack("{s:s,s:s}", "endpointServiceId", "", "privateDnsHostname", "");
    return r;
}

int organization_private_endpoint_config(struct api_request *q, struct err *err)
{
    const char *provider = api_query(q, "cloud_provider"), *region = api_query(q, "region_id");
    int64_t n = 0;
    if (!region_known(provider, region))
        return api_refuse(q, 400, "region_id: the provider %s does not have this region", provider);
    int r = api_number(q,
                       "SELECT count(*) FROM infrastructure WHERE organization_id = $1 AND provider = $2 AND "
                       "region = $3 AND state <> 'infra-terminated'",
                       STORE_ARGS(store_text(q->who.organization), store_text(provider), store_text(region)), &n, err);
    if (r < 0)
        return r;
    if (!n)
        return api_refuse(q, 400, "region_id: the organization has no infrastructure in this region");
    q->result = json_pack("{s:s}", "endpointServiceId", "");
    return 0;
}
