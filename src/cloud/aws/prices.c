/* What AWS's resources cost a month and how long they take, from a table kept as data. */
#include "base/mem.h"
#include "cloud/aws/aws.h"
#include "cloud/estimate.h"

#define MONTH_HOURS 730

extern const char aws_data_prices[];
extern const size_t aws_data_prices_len;

#define NO_PRICE "the price table has no price for it in this region"

/* create, change, destroy: how long AWS usually takes. */
static const struct {
    const char *type;
    enum cloud_charge charge;
    const char *hour, *month; /* names in the table; node groups and endpoints have rules of their own */
    struct cloud_duration create, change, destroy;
} kinds[] = {
    {"aws_vpc", CLOUD_FREE, NULL, NULL, {5, 20}, {1, 5}, {2, 20}},
    {"aws_subnet", CLOUD_FREE, NULL, NULL, {2, 10}, {1, 5}, {2, 60}},
    {"aws_internet_gateway", CLOUD_FREE, NULL, NULL, {2, 10}, {1, 5}, {2, 30}},
    {"aws_elastic_ip", CLOUD_PRICED, "public_address", NULL, {2, 10}, {1, 5}, {1, 10}},
    {"aws_nat_gateway", CLOUD_PRICED, "nat_gateway", NULL, {60, 180}, {1, 5}, {40, 180}},
    {"aws_route_table", CLOUD_FREE, NULL, NULL, {2, 15}, {1, 10}, {2, 15}},
    {"aws_vpc_endpoint", CLOUD_PRICED, "interface_endpoint_zone", NULL, {5, 180}, {5, 120}, {5, 300}},
    {"aws_security_group", CLOUD_FREE, NULL, NULL, {2, 15}, {1, 10}, {2, 60}},
    {"aws_vpc_peering", CLOUD_FREE, NULL, NULL, {5, 60}, {1, 30}, {2, 30}},
    {"aws_peering_dns", CLOUD_FREE, NULL, NULL, {1, 10}, {1, 10}, {1, 10}},
    {"aws_endpoint_service", CLOUD_FREE, NULL, NULL, {5, 60}, {1, 30}, {2, 30}},
    {"aws_kms_key", CLOUD_PRICED, NULL, "kms_key", {2, 10}, {1, 5}, {1, 5}},
    {"aws_bucket", CLOUD_BY_USE, NULL, NULL, {5, 30}, {2, 15}, {5, 600}},
    {"aws_log_group", CLOUD_BY_USE, NULL, NULL, {1, 5}, {1, 5}, {1, 5}},
    {"aws_flow_log", CLOUD_BY_USE, NULL, NULL, {2, 10}, {1, 5}, {1, 5}},
    {"aws_role", CLOUD_FREE, NULL, NULL, {2, 15}, {1, 10}, {2, 10}},
    {"aws_instance_profile", CLOUD_FREE, NULL, NULL, {5, 30}, {2, 10}, {2, 10}},
    {"aws_oidc_provider", CLOUD_FREE, NULL, NULL, {1, 5}, {1, 5}, {1, 5}},
    {"aws_eks_cluster", CLOUD_PRICED, "eks_cluster", NULL, {480, 900}, {180, 1800}, {120, 600}},
    {"aws_node_group", CLOUD_PRICED, NULL, NULL, {90, 300}, {60, 1800}, {120, 900}},
    {"aws_addon", CLOUD_FREE, NULL, NULL, {20, 120}, {20, 300}, {10, 60}},
    {"aws_pod_identity", CLOUD_FREE, NULL, NULL, {1, 5}, {1, 5}, {1, 5}},
    {"aws_access_entry", CLOUD_FREE, NULL, NULL, {1, 5}, {1, 5}, {1, 5}},
    {"aws_bootstrap", CLOUD_FREE, NULL, NULL, {120, 300}, {1, 5}, {30, 120}},
    {"aws_hosted_zone", CLOUD_PRICED, NULL, "hosted_zone", {10, 60}, {1, 10}, {2, 30}},
    {"aws_dns_record", CLOUD_FREE, NULL, NULL, {10, 60}, {10, 60}, {10, 60}},
    {"aws_ingress", CLOUD_BY_USE, NULL, NULL, {60, 300}, {1, 5}, {5, 60}},
    {"aws_cluster_groups", CLOUD_FREE, NULL, NULL, {1, 5}, {1, 5}, {5, 300}},
    {"aws_cluster_volumes", CLOUD_BY_USE, NULL, NULL, {1, 5}, {1, 5}, {5, 60}},
};

static json_t *table(void)
{
    json_t *v = NULL;
    if (js_parse(aws_data_prices, aws_data_prices_len, KIB(256), &v, NULL) < 0)
        abort(); /* built in */
    return v;
}

/* A region's object; one that has another's prices says so with "as". NULL: not in the table. */
static const json_t *region_of(const json_t *all, const char *region)
{
    const json_t *regions = json_object_get(all, "regions"), *v = json_object_get(regions, region);
    const char *as = json_string_value(json_object_get(v, "as"));
    return as ? json_object_get(regions, as) : v;
}

/* Micros, or -1. */
static int64_t find(const json_t *all, const char *region, const char *per, const char *name)
{
    const json_t *places[] = {region_of(all, region), json_object_get(all, "everywhere")};
    for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
        const json_t *v = json_object_get(json_object_get(places[i], per), name);
        if (json_is_integer(v))
            return json_integer_value(v);
    }
    return -1;
}

static struct cloud_price priced(int64_t micros)
{
    return (struct cloud_price){CLOUD_PRICED, micros, NULL};
}

static struct cloud_price unknown(const char *why)
{
    return (struct cloud_price){CLOUD_UNKNOWN, 0, why};
}

/* At its smallest size: what runs when no service needs more. */
static struct cloud_price node_group(const json_t *all, const char *region, const json_t *a)
{
    const char *instance = json_string_value(json_array_get(json_object_get(a, "instances"), 0));
    if (!instance || !json_is_integer(json_object_get(a, "min")))
        return unknown("its size is not known here");
    int64_t hour = find(all, region, "hour", instance), disk = find(all, region, "month", "gp3_gb");
    if (hour < 0 || disk < 0)
        return unknown(NO_PRICE);
    return priced(json_integer_value(json_object_get(a, "min")) *
                  (hour * MONTH_HOURS + disk * json_integer_value(json_object_get(a, "disk_gb"))));
}

static struct cloud_price endpoint(const json_t *all, const char *region, const json_t *a)
{
    const char *kind = json_string_value(json_object_get(a, "kind"));
    int64_t hour = find(all, region, "hour", "interface_endpoint_zone");
    if (!kind)
        return unknown("its kind is not known here");
    if (!strcmp(kind, "Gateway"))
        return (struct cloud_price){CLOUD_FREE, 0, NULL};
    return hour < 0 ? unknown(NO_PRICE)
                    : priced(hour * MONTH_HOURS * (int64_t)json_array_size(json_object_get(a, "subnets")));
}

struct cloud_price aws_price(const char *region, const char *type, const json_t *attributes)
{
    autojson json_t *all = table();
    if (!strncmp(type, "local_", 6))
        return (struct cloud_price){CLOUD_FREE, 0, NULL};
    if (!strcmp(type, "aws_node_group"))
        return node_group(all, region, attributes);
    if (!strcmp(type, "aws_vpc_endpoint"))
        return endpoint(all, region, attributes);
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        if (strcmp(kinds[i].type, type))
            continue;
        if (kinds[i].charge != CLOUD_PRICED)
            return (struct cloud_price){kinds[i].charge, 0, NULL};
        int64_t micros =
            kinds[i].hour ? find(all, region, "hour", kinds[i].hour) : find(all, region, "month", kinds[i].month);
        return micros < 0 ? unknown(NO_PRICE) : priced(kinds[i].hour ? micros * MONTH_HOURS : micros);
    }
    return unknown("the price table has no entry for resources of this type");
}

struct cloud_duration aws_duration(const char *type, const char *action)
{
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        if (strcmp(kinds[i].type, type))
            continue;
        if (!strcmp(action, "create"))
            return kinds[i].create;
        if (!strcmp(action, "change"))
            return kinds[i].change;
        if (!strcmp(action, "destroy"))
            return kinds[i].destroy;
        return (struct cloud_duration){kinds[i].create.low + kinds[i].destroy.low,
                                       kinds[i].create.high + kinds[i].destroy.high};
    }
    return strncmp(type, "local_", 6) ? (struct cloud_duration){1, 120} : (struct cloud_duration){0, 3};
}

json_t *aws_price_table(const char *region)
{
    autojson json_t *all = table();
    return json_pack("{s:O, s:O, s:s}", "date", json_object_get(all, "date"), "source", json_object_get(all, "source"),
                     "region", region);
}
