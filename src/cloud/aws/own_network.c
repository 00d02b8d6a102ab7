/* Looks whether a network that the customer made can carry an infrastructure. Reads only. */
#include "cloud/aws/inspect.h"
#include "cloud/aws/resource.h"

/* Of each private subnet: 16 for EKS's own interfaces, and two nodes that take addresses one by one. */
#define FREE_ADDRESSES 42
#define ELB_TAG "kubernetes.io/role/internal-elb"

struct network {
    struct aws_client *client;
    const char *vpc, *region;
    json_t *rows;
};

static int ask(struct network *n, const char *action, json_t *params, const char *list, json_t **ret, struct err *err)
{
    autojson json_t *answer = NULL, *owned OH_CLEANUP(js_decrefp) = params;
    struct aws_request q = {.service = "ec2", .action = action, .params = owned};
    int r = aws_call(n->client, &q, &answer, NULL, err);
    if (r == 0)
        *ret = list ? aws_xml_list(answer, list, NULL) : json_incref(answer);
    return r;
}

static json_t *in_vpc(const struct network *n)
{
    return json_pack("{s:[{s:s, s:[s]}]}", "Filter", "Name", "vpc-id", "Value", n->vpc);
}

static void check_vpc(struct network *n)
{
    static const char *const attributes[] = {"enableDnsSupport", "enableDnsHostnames"};
    autojson json_t *found = NULL;
    struct err err = ERR_INIT;
    if (ask(n, "DescribeVpcs", json_pack("{s:[s]}", "VpcId", n->vpc), "vpcSet", &found, &err) < 0 ||
        !json_array_size(found)) {
        aws_inspect_row(n->rows, "wrong", "own network: VPC", *err.message ? err.message : "not found", n->vpc,
                        "Name the VPC that is to be used, in this region.");
        return;
    }
    aws_inspect_row(n->rows, "ok", "own network: VPC", js_text_at(json_array_get(found, 0), "cidrBlock"), n->vpc, "");
    for (size_t i = 0; i < ARRAY_SIZE(attributes); i++) {
        autojson json_t *answer = NULL;
        autofree char *check = mem_printf("own network: %s", attributes[i]);
        const char *said = "";
        struct err why = ERR_INIT;
        int r = ask(n, "DescribeVpcAttribute", json_pack("{s:s, s:s}", "VpcId", n->vpc, "Attribute", attributes[i]),
                    NULL, &answer, &why);
        said = js_text_at(json_object_get(answer, attributes[i]), "value");
        bool good = !strcmp(said, "true");
        aws_inspect_row(n->rows,
                        r < 0  ? "unknown"
                        : good ? "ok"
                               : "wrong",
                        check, r < 0 ? why.message : said, "true",
                        good ? "" : "Turn it on: nodes find the cluster by its name.");
    }
}

/* The table of a subnet: its own, or else the VPC's main one. NULL: none. Borrowed. */
static const json_t *table_of(const json_t *tables, const char *subnet)
{
    const json_t *table, *one, *main_table = NULL;
    size_t i, k;
    json_array_foreach(tables, i, table)
    {
        autojson json_t *list = aws_xml_list(table, "associationSet", NULL);
        json_array_foreach(list, k, one)
        {
            if (!strcmp(js_text_at(one, "subnetId"), subnet))
                return table;
            if (!strcmp(js_text_at(one, "main"), "true"))
                main_table = table;
        }
    }
    return main_table;
}

static void check_egress(struct network *n, const char *subnet, const json_t *table)
{
    autojson json_t *routes = aws_xml_list(table, "routeSet", NULL);
    autofree char *check = mem_printf("own network: %s: way out", subnet);
    static const char *const ways[] = {"natGatewayId", "transitGatewayId", "networkInterfaceId", "instanceId",
                                       "vpcPeeringConnectionId"};
    const json_t *route;
    size_t i;
    json_array_foreach(routes, i, route)
    {
        if (strcmp(js_text_at(route, "destinationCidrBlock"), "0.0.0.0/0"))
            continue;
        const char *gateway = js_text_at(route, "gatewayId");
        if (!strncmp(gateway, "igw-", 4)) {
            aws_inspect_row(n->rows, "wrong", check, gateway, "through a NAT gateway or the like",
                            "This subnet is public: name private ones.");
            return;
        }
        for (size_t k = 0; k < ARRAY_SIZE(ways); k++)
            if (*js_text_at(route, ways[k])) {
                aws_inspect_row(n->rows, "ok", check, js_text_at(route, ways[k]), "through a NAT gateway or the like",
                                "");
                return;
            }
    }
    aws_inspect_row(n->rows, "wrong", check, "no route to 0.0.0.0/0", "through a NAT gateway or the like",
                    "The agent dials out to the control plane, and nodes fetch images: give the subnet a route.");
}

static void check_s3(struct network *n, const char *subnet, const json_t *table, const json_t *endpoints)
{
    autofree char *check = mem_printf("own network: %s: S3 endpoint", subnet),
                  *service = mem_printf("com.amazonaws.%s.s3", n->region);
    const json_t *endpoint, *id;
    size_t i, k;
    json_array_foreach(endpoints, i, endpoint)
    {
        autojson json_t *tables = aws_xml_list(endpoint, "routeTableIdSet", NULL);
        if (strcmp(js_text_at(endpoint, "serviceName"), service) ||
            strcmp(js_text_at(endpoint, "vpcEndpointType"), "Gateway"))
            continue;
        json_array_foreach(tables, k, id)
        {
            if (!strcmp(json_string_value(id) ? json_string_value(id) : "", js_text_at(table, "routeTableId"))) {
                aws_inspect_row(n->rows, "ok", check, js_text_at(endpoint, "vpcEndpointId"), "a gateway endpoint", "");
                return;
            }
        }
    }
    aws_inspect_row(n->rows, "wrong", check, "none in the subnet's route table", "a gateway endpoint",
                    "Without it all data go through the NAT gateway, which charges for each byte.");
}

static void check_subnet(struct network *n, const json_t *subnet, const json_t *tables, const json_t *endpoints)
{
    const char *id = js_text_at(subnet, "subnetId"), *free_ = js_text_at(subnet, "availableIpAddressCount");
    autofree char *where = mem_printf("own network: %s: VPC", id), *size = mem_printf("own network: %s: free", id),
                  *tag = mem_printf("own network: %s: tag", id), *needed = mem_printf("%d addresses", FREE_ADDRESSES);
    autojson json_t *tags = aws_xml_list(subnet, "tagSet", NULL);
    bool inside = !strcmp(js_text_at(subnet, "vpcId"), n->vpc), room = atoi(free_) >= FREE_ADDRESSES,
         tagged = !strcmp(aws_tag(tags, ELB_TAG), "1");
    aws_inspect_row(n->rows, inside ? "ok" : "wrong", where, js_text_at(subnet, "vpcId"), n->vpc,
                    inside ? "" : "Name subnets of the VPC.");
    aws_inspect_row(n->rows, room ? "ok" : "wrong", size, free_, needed, room ? "" : "Name larger subnets.");
    aws_inspect_row(n->rows, tagged ? "ok" : "wrong", tag, tagged ? ELB_TAG "=1" : "missing", ELB_TAG "=1",
                    tagged ? ""
                           : "Set it: private load balancers are put where it is. OwnHouse does not touch the subnet.");
    const json_t *table = table_of(tables, id);
    check_egress(n, id, table);
    check_s3(n, id, table, endpoints);
}

static void check_subnets(struct network *n, const json_t *ids)
{
    autojson json_t *subnets = NULL, *tables OH_CLEANUP(js_decrefp) = NULL, *endpoints OH_CLEANUP(js_decrefp) = NULL,
                    *zones OH_CLEANUP(js_decrefp) = json_object();
    autobuf struct buf names = BUF_INIT_MAX(200);
    struct err err = ERR_INIT;
    size_t i;
    const json_t *subnet;
    int r = ask(n, "DescribeSubnets", json_pack("{s:O}", "SubnetId", ids), "subnetSet", &subnets, &err);
    if (r == 0)
        r = ask(n, "DescribeRouteTables", in_vpc(n), "routeTableSet", &tables, &err);
    if (r == 0)
        r = ask(n, "DescribeVpcEndpoints", in_vpc(n), "vpcEndpointSet", &endpoints, &err);
    if (r < 0) {
        aws_inspect_row(n->rows, r == -ENOENT ? "wrong" : "unknown", "own network: subnets", err.message,
                        "three subnets", "Name three private subnets of the VPC, one a zone.");
        return;
    }
    json_array_foreach(subnets, i, subnet)
    {
        json_object_set_new(zones, js_text_at(subnet, "availabilityZoneId"), json_true());
        buf_printf(&names, "%s%s", i ? " " : "", js_text_at(subnet, "availabilityZoneId"));
        check_subnet(n, subnet, tables, endpoints);
    }
    bool good = json_object_size(zones) == AWS_ZONES;
    aws_inspect_row(n->rows, good ? "ok" : "wrong", "own network: zones", names.data ? names.data : "none",
                    "three zones", good ? "" : "Name subnets in three different zones.");
}

void aws_own_network(struct aws_client *c, const json_t *network, const char *region, json_t *rows)
{
    struct network n = {.client = c, .vpc = js_text_at(network, "vpc"), .region = region, .rows = rows};
    check_vpc(&n);
    check_subnets(&n, json_object_get(network, "privateSubnets"));
}
