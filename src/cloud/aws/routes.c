/* Route tables with their routes and subnets, and VPC endpoints. */
#include "cloud/aws/resource.h"

/* --- route table --- */

static const struct ec2_kind table = {.describe = "DescribeRouteTables",
                                      .set = "routeTableSet",
                                      .id = "routeTableId",
                                      .id_param = "RouteTableId",
                                      .tag_type = "route-table",
                                      .create = "CreateRouteTable",
                                      .created = "routeTable",
                                      .destroy = "DeleteRouteTable"};

/* A route's target is named by its id: the id's prefix says which parameter carries it. */
static const char *const targets[][3] = {{"igw-", "GatewayId", "gatewayId"},
                                         {"nat-", "NatGatewayId", "natGatewayId"},
                                         {"pcx-", "VpcPeeringConnectionId", "vpcPeeringConnectionId"}};

static const char *target_parameter(const char *id)
{
    for (size_t i = 0; i < ARRAY_SIZE(targets); i++)
        if (!strncmp(id, targets[i][0], 4))
            return targets[i][1];
    return "GatewayId";
}

/* The VPC's own route and those of gateway endpoints are not ours to set. */
static json_t *routes_of(const json_t *item)
{
    autojson json_t *list = aws_xml_list(item, "routeSet", NULL);
    json_t *routes = json_object(), *one;
    size_t i;
    json_array_foreach(list, i, one)
    {
        const char *to = js_text_at(one, "destinationCidrBlock");
        for (size_t k = 0; *to && k < ARRAY_SIZE(targets); k++) {
            const char *id = js_text_at(one, targets[k][2]);
            if (!strncmp(id, targets[k][0], 4))
                json_object_set_new(routes, to, json_string(id));
        }
    }
    return routes;
}

static json_t *subnets_of(const json_t *item, json_t *associations)
{
    autojson json_t *list = aws_xml_list(item, "associationSet", NULL), *names OH_CLEANUP(js_decrefp) = json_array();
    json_t *one;
    size_t i;
    json_array_foreach(list, i, one)
    {
        const char *state = js_text_at(json_object_get(one, "associationState"), "state");
        if (!*js_text_at(one, "subnetId") || !strncmp(state, "disassociat", 11))
            continue;
        json_array_append(names, json_object_get(one, "subnetId"));
        if (associations)
            json_object_set(associations, js_text_at(one, "subnetId"), json_object_get(one, "routeTableAssociationId"));
    }
    return aws_sorted(names);
}

static json_t *table_view(const json_t *item)
{
    return json_pack("{s:s, s:s, s:o, s:o}", "id", js_text_at(item, "routeTableId"), "vpc", js_text_at(item, "vpcId"),
                     "routes", routes_of(item), "subnets", subnets_of(item, NULL));
}

static int table_observe(const struct plan_call *c, json_t **ret, struct err *err)
{
    return ec2_observe(c, &table, table_view, ret, err);
}

static int put_routes(const struct plan_call *c, enum aws_phase phase, const char *id, const json_t *have,
                      const json_t *want, struct err *err)
{
    const char *to;
    json_t *v;
    int r = 0;
    json_object_foreach((json_t *)(uintptr_t)want, to, v)
    {
        const json_t *now = json_object_get(have, to);
        if (r < 0 || (now && json_equal(now, v)))
            continue;
        r = ec2_do(c, phase, now ? "ReplaceRoute" : "CreateRoute",
                   json_pack("{s:s, s:s, s:O}", "RouteTableId", id, "DestinationCidrBlock", to,
                             target_parameter(json_string_value(v)), v),
                   err);
        r = aws_exists_is_fine(r, err);
    }
    json_object_foreach((json_t *)(uintptr_t)have, to, v)
    {
        if (r == 0 && !json_object_get(want, to))
            r = aws_absent_is_fine(ec2_do(c, phase, "DeleteRoute",
                                          json_pack("{s:s, s:s}", "RouteTableId", id, "DestinationCidrBlock", to), err),
                                   err);
    }
    return r;
}

static int put_subnets(const struct plan_call *c, enum aws_phase phase, const char *id, const json_t *associations,
                       const json_t *want, struct err *err)
{
    const char *name;
    json_t *v;
    size_t i;
    int r = 0;
    json_array_foreach(want, i, v)
    {
        if (r == 0 && !json_object_get(associations, json_string_value(v)))
            r = aws_exists_is_fine(ec2_do(c, phase, "AssociateRouteTable",
                                          json_pack("{s:s, s:O}", "RouteTableId", id, "SubnetId", v), err),
                                   err);
    }
    json_object_foreach((json_t *)(uintptr_t)associations, name, v)
    {
        if (r == 0 && !aws_list_has(want, name))
            r = aws_absent_is_fine(
                ec2_do(c, phase, "DisassociateRouteTable", json_pack("{s:O}", "AssociationId", v), err), err);
    }
    return r;
}

/* The outcome is what was asked for: EC2 may still show what was before. */
static int table_put(const struct plan_call *c, enum aws_phase phase, const json_t *item, const json_t *want,
                     json_t **ret, struct err *err)
{
    const char *id = js_text_at(item, "routeTableId");
    autojson json_t *associations = json_object(), *routes OH_CLEANUP(js_decrefp) = routes_of(item);
    json_decref(subnets_of(item, associations));
    int r = put_routes(c, phase, id, routes, json_object_get(want, "routes"), err);
    if (r == 0)
        r = put_subnets(c, phase, id, associations, json_object_get(want, "subnets"), err);
    if (r == 0)
        *ret = json_pack("{s:s, s:s, s:O, s:o}", "id", id, "vpc", js_text_at(item, "vpcId"), "routes",
                         json_object_get(want, "routes"), "subnets", aws_sorted(json_object_get(want, "subnets")));
    return r;
}

static int table_create(const struct plan_call *c, const json_t *want, json_t **ret, struct err *err)
{
    autojson json_t *item = NULL;
    int r = ec2_create(c, &table, json_pack("{s:O}", "VpcId", json_object_get(want, "vpc")), want, &item, err);
    return r < 0 ? r : table_put(c, AWS_PROVISION, item, want, ret, err);
}

static int table_change(const struct plan_call *c, const json_t *have, const json_t *want, json_t **ret,
                        struct err *err)
{
    autojson json_t *item = NULL;
    int r = ec2_get(c, &table, js_text_at(have, "id"), &item, err);
    return r < 0 ? r : table_put(c, AWS_OPERATE, item, want, ret, err);
}

static int table_destroy(const struct plan_call *c, const json_t *have, struct err *err)
{
    autojson json_t *item = NULL, *associations OH_CLEANUP(js_decrefp) = json_object();
    int r = ec2_get(c, &table, js_text_at(have, "id"), &item, err);
    if (r < 0)
        return r;
    json_decref(subnets_of(item, associations));
    r = put_subnets(c, AWS_REMOVE, js_text_at(have, "id"), associations, NULL, err);
    return r < 0 ? r : ec2_destroy(c, &table, err);
}

static const struct plan_attribute table_attributes[] = {
    {"vpc", PLAN_REPLACE}, {"routes", 0}, {"subnets", PLAN_SET}, {"id", PLAN_COMPUTED}, {NULL, 0}};
const struct plan_type aws_route_table_type = {.name = "aws_route_table",
                                               .settle_ms = AWS_SETTLE_MS,
                                               .attributes = table_attributes,
                                               .observe = table_observe,
                                               .create = table_create,
                                               .change = table_change,
                                               .destroy = table_destroy};

/* --- VPC endpoint --- */

static const struct ec2_kind endpoint = {.describe = "DescribeVpcEndpoints",
                                         .set = "vpcEndpointSet",
                                         .id = "vpcEndpointId",
                                         .id_param = "VpcEndpointId",
                                         .tag_type = "vpc-endpoint",
                                         .create = "CreateVpcEndpoint",
                                         .created = "vpcEndpoint",
                                         .destroy = "DeleteVpcEndpoints",
                                         .state = "state",
                                         .gone = "deleted Deleted failed",
                                         .id_list = true};

static json_t *endpoint_view(const json_t *item)
{
    autojson json_t *tables = aws_xml_list(item, "routeTableIdSet", NULL),
                    *subnets OH_CLEANUP(js_decrefp) = aws_xml_list(item, "subnetIdSet", NULL),
                    *groups OH_CLEANUP(js_decrefp) = aws_xml_list(item, "groupSet", NULL),
                    *ids OH_CLEANUP(js_decrefp) = json_array();
    size_t i;
    json_t *g;
    json_array_foreach(groups, i, g) json_array_append(ids, json_object_get(g, "groupId"));
    return json_pack("{s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:s}", "id", js_text_at(item, "vpcEndpointId"), "vpc",
                     js_text_at(item, "vpcId"), "service", js_text_at(item, "serviceName"), "kind",
                     js_text_at(item, "vpcEndpointType"), "route_tables", aws_sorted(tables), "subnets",
                     aws_sorted(subnets), "security_groups", aws_sorted(ids), "state", js_text_at(item, "state"));
}

static int endpoint_observe(const struct plan_call *c, json_t **ret, struct err *err)
{
    return ec2_observe(c, &endpoint, endpoint_view, ret, err);
}

static int endpoint_create(const struct plan_call *c, const json_t *want, json_t **ret, struct err *err)
{
    char token[PLAN_TOKEN_SIZE];
    aws_token(c, want, token);
    autojson json_t *item = NULL;
    json_t *params = json_pack("{s:O, s:O, s:O, s:s}", "VpcId", json_object_get(want, "vpc"), "ServiceName",
                               json_object_get(want, "service"), "VpcEndpointType", json_object_get(want, "kind"),
                               "ClientToken", token);
    if (!strcmp(js_text_at(want, "kind"), "Gateway")) {
        json_object_set(params, "RouteTableId", json_object_get(want, "route_tables"));
    } else {
        json_object_set(params, "SubnetId", json_object_get(want, "subnets"));
        json_object_set(params, "SecurityGroupId", json_object_get(want, "security_groups"));
        json_object_set_new(params, "PrivateDnsEnabled", json_true());
    }
    int r = ec2_make(c, &endpoint, params, want, &item, err);
    if (r == 0)
        *ret = endpoint_view(item);
    return r;
}

static json_t *missing_in(const json_t *a, const json_t *b)
{
    json_t *out = json_array(), *v;
    size_t i;
    json_array_foreach(a, i, v)
    {
        if (!aws_list_has(b, json_string_value(v)))
            json_array_append(out, v);
    }
    return out;
}

static int endpoint_change(const struct plan_call *c, const json_t *have, const json_t *want, json_t **ret,
                           struct err *err)
{
    static const char *const lists[][3] = {{"route_tables", "AddRouteTableId", "RemoveRouteTableId"},
                                           {"subnets", "AddSubnetId", "RemoveSubnetId"},
                                           {"security_groups", "AddSecurityGroupId", "RemoveSecurityGroupId"}};
    json_t *params = json_pack("{s:s}", "VpcEndpointId", js_text_at(have, "id"));
    for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
        const json_t *w = json_object_get(want, lists[i][0]), *h = json_object_get(have, lists[i][0]);
        autojson json_t *add = missing_in(w, h), *drop OH_CLEANUP(js_decrefp) = missing_in(h, w);
        if (w && json_array_size(add))
            json_object_set(params, lists[i][1], add);
        if (w && json_array_size(drop))
            json_object_set(params, lists[i][2], drop);
    }
    int r = ec2_do(c, AWS_OPERATE, "ModifyVpcEndpoint", params, err);
    return r < 0 ? r : endpoint_observe(c, ret, err);
}

static int endpoint_ready(const struct plan_call *c, json_t *attributes, struct err *err)
{
    autojson json_t *item = NULL;
    int r = ec2_get(c, &endpoint, js_text_at(attributes, "id"), &item, err);
    if (r < 0)
        return r;
    autojson json_t *view = endpoint_view(item);
    json_object_update(attributes, view);
    const char *state = js_text_at(item, "state");
    if (!strcasecmp(state, "failed") || !strcasecmp(state, "rejected"))
        return err_set(err, -EIO, "the VPC endpoint is %s", state);
    return !strcasecmp(state, "available");
}

static int endpoint_destroy(const struct plan_call *c, const json_t *have, struct err *err)
{
    return strcasecmp(js_text_at(have, "state"), "deleting") ? ec2_destroy(c, &endpoint, err) : 0;
}

static const struct plan_attribute endpoint_attributes[] = {{"vpc", PLAN_REPLACE},
                                                            {"service", PLAN_REPLACE},
                                                            {"kind", PLAN_REPLACE},
                                                            {"route_tables", PLAN_SET},
                                                            {"subnets", PLAN_SET},
                                                            {"security_groups", PLAN_SET},
                                                            {"id", PLAN_COMPUTED},
                                                            {"state", PLAN_COMPUTED | PLAN_VOLATILE},
                                                            {NULL, 0}};
const struct plan_type aws_vpc_endpoint_type = {.name = "aws_vpc_endpoint",
                                                .attributes = endpoint_attributes,
                                                .ready_timeout_ms = 600000,
                                                .ready_poll_ms = 500,
                                                .observe = endpoint_observe,
                                                .create = endpoint_create,
                                                .change = endpoint_change,
                                                .destroy = endpoint_destroy,
                                                .ready = endpoint_ready};
