/* VPC, subnets, internet gateway, addresses and NAT gateways. */
#include "cloud/aws/resource.h"

/* --- VPC --- */

static const struct ec2_kind vpc = {.describe = "DescribeVpcs",
                                    .set = "vpcSet",
                                    .id = "vpcId",
                                    .id_param = "VpcId",
                                    .tag_type = "vpc",
                                    .create = "CreateVpc",
                                    .created = "vpc",
                                    .destroy = "DeleteVpc"};

static int dns_of(const struct plan_call *c, const char *id, const char *attribute, const char *field, bool *ret,
                  struct err *err)
{
    autojson json_t *answer = NULL;
    int r = ec2_ask(c, AWS_INSPECT, "DescribeVpcAttribute",
                    json_pack("{s:s, s:s}", "VpcId", id, "Attribute", attribute), &answer, err);
    if (r == 0)
        *ret = !strcmp(js_text_at(json_object_get(answer, field), "value"), "true");
    return r;
}

static int vpc_view(const struct plan_call *c, const json_t *item, json_t **ret, struct err *err)
{
    const char *id = js_text_at(item, "vpcId");
    bool support = false, names = false;
    int r = dns_of(c, id, "enableDnsSupport", "enableDnsSupport", &support, err);
    if (r == 0)
        r = dns_of(c, id, "enableDnsHostnames", "enableDnsHostnames", &names, err);
    if (r == -ENOENT)
        r = err_set(err, -EAGAIN, "EC2 does not show %s yet", id);
    if (r == 0)
        *ret = json_pack("{s:s, s:s, s:b}", "id", id, "cidr", js_text_at(item, "cidrBlock"), "dns", support && names);
    return r;
}

static int vpc_observe(const struct plan_call *c, json_t **ret, struct err *err)
{
    autojson json_t *item = NULL;
    *ret = NULL;
    int r = ec2_find(c, &vpc, &item, err);
    return r < 0 || !item ? r : vpc_view(c, item, ret, err);
}

static int vpc_dns(const struct plan_call *c, enum aws_phase phase, const char *id, bool on, struct err *err)
{
    int r = ec2_do(c, phase, "ModifyVpcAttribute",
                   json_pack("{s:s, s:{s:b}}", "VpcId", id, "EnableDnsSupport", "Value", on), err);
    return r < 0 ? r
                 : ec2_do(c, phase, "ModifyVpcAttribute",
                          json_pack("{s:s, s:{s:b}}", "VpcId", id, "EnableDnsHostnames", "Value", on), err);
}

static int vpc_create(const struct plan_call *c, const json_t *want, json_t **ret, struct err *err)
{
    autojson json_t *item = NULL;
    int r = ec2_create(c, &vpc, json_pack("{s:O}", "CidrBlock", json_object_get(want, "cidr")), want, &item, err);
    if (r == 0)
        r = vpc_dns(c, AWS_PROVISION, js_text_at(item, "vpcId"), json_is_true(json_object_get(want, "dns")), err);
    if (r == 0) /* what was set is not read back: EC2 may still show what was before */
        *ret = json_pack("{s:s, s:s, s:O}", "id", js_text_at(item, "vpcId"), "cidr", js_text_at(item, "cidrBlock"),
                         "dns", json_object_get(want, "dns"));
    return r;
}

static int vpc_change(const struct plan_call *c, const json_t *have, const json_t *want, json_t **ret, struct err *err)
{
    int r = vpc_dns(c, AWS_OPERATE, js_text_at(have, "id"), json_is_true(json_object_get(want, "dns")), err);
    return r < 0 ? r : vpc_observe(c, ret, err);
}

static int vpc_destroy(const struct plan_call *c, const json_t *have OH_UNUSED, struct err *err)
{
    return ec2_destroy(c, &vpc, err);
}

static const struct plan_attribute vpc_attributes[] = {
    {"cidr", PLAN_REPLACE}, {"dns", 0}, {"id", PLAN_COMPUTED}, {NULL, 0}};
const struct plan_type aws_vpc_type = {.name = "aws_vpc",
                                       .settle_ms = AWS_SETTLE_MS,
                                       .attributes = vpc_attributes,
                                       .observe = vpc_observe,
                                       .create = vpc_create,
                                       .change = vpc_change,
                                       .destroy = vpc_destroy};

/* --- subnet --- */

static const struct ec2_kind subnet = {.describe = "DescribeSubnets",
                                       .set = "subnetSet",
                                       .id = "subnetId",
                                       .id_param = "SubnetId",
                                       .tag_type = "subnet",
                                       .create = "CreateSubnet",
                                       .created = "subnet",
                                       .destroy = "DeleteSubnet"};

static json_t *subnet_view(const json_t *item)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:b, s:o}", "id", js_text_at(item, "subnetId"), "vpc",
                     js_text_at(item, "vpcId"), "cidr", js_text_at(item, "cidrBlock"), "zone",
                     js_text_at(item, "availabilityZone"), "public",
                     !strcmp(js_text_at(item, "mapPublicIpOnLaunch"), "true"), "tags",
                     aws_kept_tags(json_object_get(item, "tagSet")));
}

static int subnet_observe(const struct plan_call *c, json_t **ret, struct err *err)
{
    return ec2_observe(c, &subnet, subnet_view, ret, err);
}

static int subnet_public(const struct plan_call *c, enum aws_phase phase, const char *id, bool on, struct err *err)
{
    return ec2_do(c, phase, "ModifySubnetAttribute",
                  json_pack("{s:s, s:{s:b}}", "SubnetId", id, "MapPublicIpOnLaunch", "Value", on), err);
}

static int subnet_create(const struct plan_call *c, const json_t *want, json_t **ret, struct err *err)
{
    autojson json_t *item = NULL;
    bool open = json_is_true(json_object_get(want, "public"));
    int r = ec2_create(c, &subnet,
                       json_pack("{s:O, s:O, s:O}", "VpcId", json_object_get(want, "vpc"), "CidrBlock",
                                 json_object_get(want, "cidr"), "AvailabilityZone", json_object_get(want, "zone")),
                       want, &item, err);
    if (r == 0 && open)
        r = subnet_public(c, AWS_PROVISION, js_text_at(item, "subnetId"), true, err);
    if (r < 0)
        return r;
    *ret = subnet_view(item);
    json_object_set_new(*ret, "public", json_boolean(open));
    return 0;
}

static int subnet_change(const struct plan_call *c, const json_t *have, const json_t *want, json_t **ret,
                         struct err *err)
{
    const char *id = js_text_at(have, "id");
    const json_t *tags = json_object_get(want, "tags");
    int r = subnet_public(c, AWS_OPERATE, id, json_is_true(json_object_get(want, "public")), err);
    if (r == 0 && !json_equal(tags, json_object_get(have, "tags")))
        r = ec2_do(c, AWS_OPERATE, "CreateTags",
                   json_pack("{s:[s], s:o}", "ResourceId", id, "Tag", aws_tags(c, want, "Key", "Value")), err);
    return r < 0 ? r : subnet_observe(c, ret, err);
}

static int subnet_destroy(const struct plan_call *c, const json_t *have, struct err *err)
{
    int r = ec2_drop_leaked_interfaces(c, "subnet-id", js_text_at(have, "id"), err);
    return r < 0 ? r : ec2_destroy(c, &subnet, err);
}

static const struct plan_attribute subnet_attributes[] = {{"vpc", PLAN_REPLACE},
                                                          {"cidr", PLAN_REPLACE},
                                                          {"zone", PLAN_REPLACE},
                                                          {"public", 0},
                                                          {"tags", 0},
                                                          {"id", PLAN_COMPUTED},
                                                          {NULL, 0}};
const struct plan_type aws_subnet_type = {.name = "aws_subnet",
                                          .settle_ms = AWS_SETTLE_MS,
                                          .attributes = subnet_attributes,
                                          .observe = subnet_observe,
                                          .create = subnet_create,
                                          .change = subnet_change,
                                          .destroy = subnet_destroy};

/* --- internet gateway --- */

static const struct ec2_kind gateway = {.describe = "DescribeInternetGateways",
                                        .set = "internetGatewaySet",
                                        .id = "internetGatewayId",
                                        .id_param = "InternetGatewayId",
                                        .tag_type = "internet-gateway",
                                        .create = "CreateInternetGateway",
                                        .created = "internetGateway",
                                        .destroy = "DeleteInternetGateway"};

static const char *gateway_vpc(const json_t *item)
{
    const json_t *list = json_object_get(item, "attachmentSet");
    return json_is_array(list) ? js_text_at(json_array_get(list, 0), "vpcId") : "";
}

static json_t *gateway_view(const json_t *item)
{
    return json_pack("{s:s, s:s}", "id", js_text_at(item, "internetGatewayId"), "vpc", gateway_vpc(item));
}

static int gateway_observe(const struct plan_call *c, json_t **ret, struct err *err)
{
    return ec2_observe(c, &gateway, gateway_view, ret, err);
}

static int gateway_attach(const struct plan_call *c, enum aws_phase phase, const char *id, const json_t *want,
                          json_t **ret, struct err *err)
{
    const char *to = js_text_at(want, "vpc");
    int r = aws_exists_is_fine(
        ec2_do(c, phase, "AttachInternetGateway", json_pack("{s:s, s:s}", "InternetGatewayId", id, "VpcId", to), err),
        err);
    if (r == 0)
        *ret = json_pack("{s:s, s:s}", "id", id, "vpc", to);
    return r;
}

static int gateway_create(const struct plan_call *c, const json_t *want, json_t **ret, struct err *err)
{
    autojson json_t *item = NULL;
    int r = ec2_create(c, &gateway, json_object(), want, &item, err);
    return r < 0 ? r : gateway_attach(c, AWS_PROVISION, js_text_at(item, "internetGatewayId"), want, ret, err);
}

static int gateway_detach(const struct plan_call *c, enum aws_phase phase, const json_t *have, struct err *err)
{
    if (!*js_text_at(have, "vpc"))
        return 0;
    int r = ec2_do(
        c, phase, "DetachInternetGateway",
        json_pack("{s:s, s:s}", "InternetGatewayId", js_text_at(have, "id"), "VpcId", js_text_at(have, "vpc")), err);
    if (r < 0 && err && strstr(err->message, "Gateway.NotAttached")) {
        *err = ERR_INIT;
        r = 0;
    }
    return aws_absent_is_fine(r, err);
}

static int gateway_change(const struct plan_call *c, const json_t *have, const json_t *want, json_t **ret,
                          struct err *err)
{
    int r = gateway_detach(c, AWS_OPERATE, have, err);
    return r < 0 ? r : gateway_attach(c, AWS_OPERATE, js_text_at(have, "id"), want, ret, err);
}

static int gateway_destroy(const struct plan_call *c, const json_t *have, struct err *err)
{
    int r = gateway_detach(c, AWS_REMOVE, have, err);
    return r < 0 ? r : ec2_destroy(c, &gateway, err);
}

static const struct plan_attribute gateway_attributes[] = {{"vpc", 0}, {"id", PLAN_COMPUTED}, {NULL, 0}};
const struct plan_type aws_internet_gateway_type = {.name = "aws_internet_gateway",
                                                    .settle_ms = AWS_SETTLE_MS,
                                                    .attributes = gateway_attributes,
                                                    .observe = gateway_observe,
                                                    .create = gateway_create,
                                                    .change = gateway_change,
                                                    .destroy = gateway_destroy};

/* --- elastic IP --- */

static const struct ec2_kind address = {.describe = "DescribeAddresses",
                                        .set = "addressesSet",
                                        .id = "allocationId",
                                        .id_param = "AllocationId",
                                        .tag_type = "elastic-ip",
                                        .create = "AllocateAddress",
                                        .created = "",
                                        .destroy = "ReleaseAddress"};

static json_t *address_view(const json_t *item)
{
    return json_pack("{s:s, s:s}", "id", js_text_at(item, "allocationId"), "address", js_text_at(item, "publicIp"));
}

static int address_observe(const struct plan_call *c, json_t **ret, struct err *err)
{
    return ec2_observe(c, &address, address_view, ret, err);
}

static int address_create(const struct plan_call *c, const json_t *want, json_t **ret, struct err *err)
{
    autojson json_t *item = NULL;
    int r = ec2_create(c, &address, json_pack("{s:s}", "Domain", "vpc"), want, &item, err);
    if (r == 0)
        *ret = address_view(item);
    return r;
}

static int address_destroy(const struct plan_call *c, const json_t *have OH_UNUSED, struct err *err)
{
    return ec2_destroy(c, &address, err);
}

static const struct plan_attribute address_attributes[] = {
    {"id", PLAN_COMPUTED}, {"address", PLAN_COMPUTED}, {NULL, 0}};
const struct plan_type aws_elastic_ip_type = {.name = "aws_elastic_ip",
                                              .settle_ms = AWS_SETTLE_MS,
                                              .attributes = address_attributes,
                                              .observe = address_observe,
                                              .create = address_create,
                                              .destroy = address_destroy};

/* --- NAT gateway --- */

static const struct ec2_kind nat = {.describe = "DescribeNatGateways",
                                    .set = "natGatewaySet",
                                    .id = "natGatewayId",
                                    .id_param = "NatGatewayId",
                                    .tag_type = "natgateway",
                                    .create = "CreateNatGateway",
                                    .created = "natGateway",
                                    .destroy = "DeleteNatGateway",
                                    .state = "state",
                                    .gone = "deleted failed"};

static json_t *nat_view(const json_t *item)
{
    autojson json_t *addresses = aws_xml_list(item, "natGatewayAddressSet", NULL);
    return json_pack("{s:s, s:s, s:s, s:s}", "id", js_text_at(item, "natGatewayId"), "subnet",
                     js_text_at(item, "subnetId"), "address", js_text_at(json_array_get(addresses, 0), "allocationId"),
                     "state", js_text_at(item, "state"));
}

static int nat_observe(const struct plan_call *c, json_t **ret, struct err *err)
{
    return ec2_observe(c, &nat, nat_view, ret, err);
}

static int nat_create(const struct plan_call *c, const json_t *want, json_t **ret, struct err *err)
{
    char token[PLAN_TOKEN_SIZE];
    aws_token(c, want, token);
    autojson json_t *item = NULL;
    int r = ec2_make(c, &nat,
                     json_pack("{s:O, s:O, s:s}", "SubnetId", json_object_get(want, "subnet"), "AllocationId",
                               json_object_get(want, "address"), "ClientToken", token),
                     want, &item, err);
    if (r == 0)
        *ret = nat_view(item);
    return r;
}

static int nat_ready(const struct plan_call *c, json_t *attributes, struct err *err)
{
    autojson json_t *item = NULL;
    int r = ec2_get(c, &nat, js_text_at(attributes, "id"), &item, err);
    if (r < 0)
        return r;
    const char *state = js_text_at(item, "state");
    autojson json_t *view = nat_view(item);
    json_object_update(attributes, view);
    if (!strcmp(state, "failed"))
        return err_set(err, -EIO, "the NAT gateway failed: %.200s", js_text_at(item, "failureMessage"));
    return !strcmp(state, "available");
}

static int nat_destroy(const struct plan_call *c, const json_t *have, struct err *err)
{
    return strcmp(js_text_at(have, "state"), "deleting") ? ec2_destroy(c, &nat, err) : 0;
}

static const struct plan_attribute nat_attributes[] = {{"subnet", PLAN_REPLACE},
                                                       {"address", PLAN_REPLACE},
                                                       {"id", PLAN_COMPUTED},
                                                       {"state", PLAN_COMPUTED | PLAN_VOLATILE},
                                                       {NULL, 0}};
const struct plan_type aws_nat_gateway_type = {.name = "aws_nat_gateway",
                                               .attributes = nat_attributes,
                                               .ready_timeout_ms = 900000,
                                               .ready_poll_ms = 500,
                                               .observe = nat_observe,
                                               .create = nat_create,
                                               .destroy = nat_destroy,
                                               .ready = nat_ready};
