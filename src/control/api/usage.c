/* What usage has cost, day by day; until there is metering, true zeros. */
#include "control/api/handlers.h"
#include "control/api/service_view.h"

#define DAY_MS (24 * 3600 * 1000LL)
#define DAYS_MAX 31

static int day_of(struct api_request *q, const char *name, int64_t *ret)
{
    int64_t ms = 0;
    if (clock_iso_parse(arena_printf(q->arena, "%sT00:00:00Z", api_query(q, name)), &ms) < 0)
        return api_refuse(q, 400, "%s: must be a date such as 2026-11-22", name);
    *ret = ms / DAY_MS;
    return 0;
}

static int wanted_days(struct api_request *q, int64_t *ret_from, int64_t *ret_to)
{
    int r = day_of(q, "from_date", ret_from);
    if (r == 0)
        r = day_of(q, "to_date", ret_to);
    if (r == 0 && *ret_to < *ret_from)
        r = api_refuse(q, 400, "to_date: must not be before from_date");
    if (r == 0 && *ret_to - *ret_from >= DAYS_MAX)
        r = api_refuse(q, 400, "to_date: must be at most %d days after from_date", DAYS_MAX - 1);
    return r;
}

static json_t *zeros(bool warehouse)
{
    static const char *const of_service[] = {"computeCHC",
                                             "publicDataTransferCHC",
                                             "interRegionTier1DataTransferCHC",
                                             "interRegionTier2DataTransferCHC",
                                             "interRegionTier3DataTransferCHC",
                                             "interRegionTier4DataTransferCHC"};
    if (warehouse)
        return json_pack("{s:i,s:i}", "storageCHC", 0, "backupCHC", 0);
    json_t *v = json_object();
    for (size_t i = 0; i < ARRAY_SIZE(of_service); i++)
        json_object_set_new(v, of_service[i], json_integer(0));
    return v;
}

static json_t *record(const json_t *service, bool warehouse, const char *date, bool locked)
{
    json_t *id = json_object_get(service, warehouse ? "dataWarehouseId" : "id");
    return json_pack("{s:O,s:o,s:s,s:s,s:O,s:O,s:o,s:i,s:b}", "dataWarehouseId",
                     json_object_get(service, "dataWarehouseId"), "serviceId",
                     warehouse ? json_null() : json_incref(id), "date", date, "entityType",
                     warehouse ? "datawarehouse" : "service", "entityId", id, "entityName",
                     json_object_get(service, "name"), "metrics", zeros(warehouse), "totalCHC", 0, "locked", locked);
}

static int64_t birthday(const json_t *service)
{
    int64_t ms = 0;
    (void)!clock_iso_parse(json_string_value(json_object_get(service, "createdAt")), &ms);
    return ms / DAY_MS;
}

int usage_cost(struct api_request *q, struct err *err)
{
    autojson json_t *services = NULL;
    json_t *costs, *service;
    int64_t from = 0, to = 0, today = q->now / DAY_MS;
    size_t i;
    int r = wanted_days(q, &from, &to);
    if (r == 0)
        r = service_view_list(q, json_object_get(q->match.query, "filter"), &services, err);
    if (r < 0)
        return r;
    costs = json_array();
    for (int64_t day = from; day <= MIN(to, today); day++) {
        char date[CLOCK_ISO_SIZE];
        clock_iso(day * DAY_MS, date);
        date[10] = 0;
        json_array_foreach(services, i, service)
        {
            if (birthday(service) > day)
                continue;
            json_array_append_new(costs, record(service, true, date, day < today));
            json_array_append_new(costs, record(service, false, date, day < today));
        }
    }
    q->result = json_pack("{s:i,s:o}", "grandTotalCHC", 0, "costs", costs);
    return 0;
}
