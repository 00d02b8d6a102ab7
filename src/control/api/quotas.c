/* The quotas of an organization, with what is used of them. */
#include "control/api/quotas.h"

#include "control/api/handlers.h"

enum { USAGE_OF_SERVICES, USAGE_NONE_EVER, USAGE_UNTOLD };

static const struct quota {
    const char *code, *name, *description, *scope;
    int value, usage;
} quotas[] = {
    {"services-per-organization", "Services per organization",
     "How many ClickHouse services the organization may have, in all infrastructures together.", "organization",
     QUOTA_SERVICES, USAGE_OF_SERVICES},
    {"postgres-services-per-organization", "Postgres services per organization",
     "OwnHouse runs no Postgres services, so there can be none.", "organization", 0, USAGE_NONE_EVER},
    {"replicas-per-warehouse", "Replicas per warehouse",
     "How many replicas may be asked for in one warehouse; every warehouse is counted by itself.", "warehouse",
     QUOTA_REPLICAS_PER_WAREHOUSE, USAGE_UNTOLD},
};

int quota_services_used(struct api_request *q, int64_t *ret, struct err *err)
{
    return api_number(q, "SELECT count(*) FROM service WHERE organization_id = $1 AND state <> 'terminated'",
                      STORE_ARGS(store_text(q->who.organization)), ret, err);
}

static json_t *view(const struct quota *one, int64_t services)
{
    json_t *v = json_pack("{s:s,s:s,s:s,s:s,s:i,s:b}", "quotaCode", one->code, "name", one->name, "description",
                          one->description, "scope", one->scope, "value", one->value, "adjustable", 0);
    if (one->usage != USAGE_UNTOLD)
        json_object_set_new(v, "usage", json_integer(one->usage == USAGE_OF_SERVICES ? services : 0));
    return v;
}

int quota_list(struct api_request *q, struct err *err)
{
    int64_t services = 0;
    int r = quota_services_used(q, &services, err);
    if (r < 0)
        return r;
    q->result = json_array();
    for (size_t i = 0; i < ARRAY_SIZE(quotas); i++)
        json_array_append_new(q->result, view(&quotas[i], services));
    return 0;
}

int quota_get(struct api_request *q, struct err *err)
{
    int64_t services = 0;
    int r = quota_services_used(q, &services, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < ARRAY_SIZE(quotas); i++)
        if (!strcmp(quotas[i].code, q->match.path[1])) {
            q->result = view(&quotas[i], services);
            return 0;
        }
    return api_missing(q, "quota");
}
