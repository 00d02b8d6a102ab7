/* The PrivateLink endpoint service in front of the cluster's private load balancer, and the VPC's flow logs. */
#include "cloud/aws/resource.h"

static const struct ec2_kind service = {.describe = "DescribeVpcEndpointServiceConfigurations",
                                        .set = "serviceConfigurationSet",
                                        .id = "serviceId",
                                        .id_param = "ServiceId",
                                        .tag_type = "vpc-endpoint-service",
                                        .create = "CreateVpcEndpointServiceConfiguration",
                                        .created = "serviceConfiguration",
                                        .destroy = "DeleteVpcEndpointServiceConfigurations",
                                        .state = "serviceState",
                                        .gone = "Deleted Deleting Failed",
                                        .id_list = true};

/* Who may ask for a connection. */
static int principals_of(const struct plan_call *c, const char *id, json_t **ret, struct err *err)
{
    autojson json_t *params = json_pack("{s:s}", "ServiceId", id), *list OH_CLEANUP(js_decrefp) = NULL,
                    *names OH_CLEANUP(js_decrefp) = json_array();
    struct aws_request q = {.service = "ec2", .action = "DescribeVpcEndpointServicePermissions", .params = params};
    struct aws_pages pages = {"NextToken", "nextToken", "allowedPrincipals", NULL};
    struct aws_client *client = aws_phase_client(c, AWS_INSPECT, err);
    size_t i;
    json_t *one;
    int r = client ? aws_call_all(client, &q, &pages, &list, err) : -EACCES;
    if (r < 0)
        return r;
    json_array_foreach(list, i, one) json_array_append(names, json_object_get(one, "principal"));
    *ret = aws_sorted(names);
    return 0;
}

static int service_view(const struct plan_call *c, const json_t *item, json_t **ret, struct err *err)
{
    autojson json_t *balancers = aws_xml_list(item, "networkLoadBalancerArnSet", NULL);
    json_t *principals = NULL;
    int r = principals_of(c, js_text_at(item, "serviceId"), &principals, err);
    if (r == 0)
        *ret = json_pack("{s:s, s:s, s:o, s:b, s:o, s:s}", "id", js_text_at(item, "serviceId"), "name",
                         js_text_at(item, "serviceName"), "load_balancers", aws_sorted(balancers), "acceptance",
                         !strcmp(js_text_at(item, "acceptanceRequired"), "true"), "principals", principals, "state",
                         js_text_at(item, "serviceState"));
    return r;
}

static int service_observe(const struct plan_call *c, json_t **ret, struct err *err)
{
    autojson json_t *item = NULL;
    *ret = NULL;
    int r = ec2_find(c, &service, &item, err);
    return r < 0 || !item ? r : aws_absent_is_fine(service_view(c, item, ret, err), err);
}

static json_t *lacking(const json_t *a, const json_t *b)
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

/* Sets `add` to what `want` has more and `drop` to what it has less; false when there is nothing to say. */
static bool put_lists(json_t *params, const json_t *have, const json_t *want, const char *add, const char *drop)
{
    autojson json_t *more = lacking(want, have), *less OH_CLEANUP(js_decrefp) = lacking(have, want);
    if (json_array_size(more))
        json_object_set(params, add, more);
    if (json_array_size(less))
        json_object_set(params, drop, less);
    return json_array_size(more) || json_array_size(less);
}

static int put_principals(const struct plan_call *c, enum aws_phase phase, const char *id, const json_t *have,
                          const json_t *want, struct err *err)
{
    json_t *params = json_pack("{s:s}", "ServiceId", id);
    if (put_lists(params, have, want, "AddAllowedPrincipals", "RemoveAllowedPrincipals"))
        return ec2_do(c, phase, "ModifyVpcEndpointServicePermissions", params, err);
    json_decref(params);
    return 0;
}

static int service_create(const struct plan_call *c, const json_t *want, json_t **ret, struct err *err)
{
    autojson json_t *item = NULL;
    char token[PLAN_TOKEN_SIZE];
    aws_token(c, want, token);
    json_t *params = json_pack("{s:O, s:O, s:s}", "NetworkLoadBalancerArn", json_object_get(want, "load_balancers"),
                               "AcceptanceRequired", json_object_get(want, "acceptance"), "ClientToken", token);
    int r = ec2_create(c, &service, params, want, &item, err);
    if (r == 0)
        r = put_principals(c, AWS_PROVISION, js_text_at(item, "serviceId"), NULL, json_object_get(want, "principals"),
                           err);
    return r < 0 ? r : service_view(c, item, ret, err);
}

static int service_change(const struct plan_call *c, const json_t *have, const json_t *want, json_t **ret,
                          struct err *err)
{
    const char *id = js_text_at(have, "id");
    json_t *params =
        json_pack("{s:s, s:O}", "ServiceId", id, "AcceptanceRequired", json_object_get(want, "acceptance"));
    bool differs = put_lists(params, json_object_get(have, "load_balancers"), json_object_get(want, "load_balancers"),
                             "AddNetworkLoadBalancerArn", "RemoveNetworkLoadBalancerArn");
    differs |= !json_equal(json_object_get(have, "acceptance"), json_object_get(want, "acceptance"));
    int r = 0;
    if (differs)
        r = ec2_do(c, AWS_OPERATE, "ModifyVpcEndpointServiceConfiguration", params, err);
    else
        json_decref(params);
    if (r == 0)
        r = put_principals(c, AWS_OPERATE, id, json_object_get(have, "principals"), json_object_get(want, "principals"),
                           err);
    return r < 0 ? r : service_observe(c, ret, err);
}

static int service_ready(const struct plan_call *c, json_t *attributes, struct err *err)
{
    autojson json_t *item = NULL;
    int r = ec2_get(c, &service, js_text_at(attributes, "id"), &item, err);
    if (r < 0)
        return r;
    const char *state = js_text_at(item, "serviceState");
    json_object_set_new(attributes, "state", json_string(state));
    if (!strcmp(state, "Failed"))
        return err_set(err, -EIO, "the endpoint service failed: is its load balancer a network load balancer?");
    return !strcmp(state, "Available");
}

/* Others' endpoints keep the service from going; they are turned away first. */
static int turn_away(const struct plan_call *c, const char *id, struct err *err)
{
    autojson json_t *params = json_pack("{s:[{s:s, s:[s]}]}", "Filter", "Name", "service-id", "Value", id),
                    *list OH_CLEANUP(js_decrefp) = NULL, *ids OH_CLEANUP(js_decrefp) = json_array();
    struct aws_request q = {.service = "ec2", .action = "DescribeVpcEndpointConnections", .params = params};
    struct aws_pages pages = {"NextToken", "nextToken", "vpcEndpointConnectionSet", NULL};
    struct aws_client *client = aws_phase_client(c, AWS_REMOVE, err);
    size_t i;
    json_t *one;
    int r = client ? aws_call_all(client, &q, &pages, &list, err) : -EACCES;
    json_array_foreach(list, i, one)
    {
        const char *state = js_text_at(one, "vpcEndpointState");
        if (!strcasecmp(state, "available") || !strncasecmp(state, "pending", 7))
            json_array_append(ids, json_object_get(one, "vpcEndpointId"));
    }
    if (r < 0 || !json_array_size(ids))
        return r;
    return ec2_do(c, AWS_REMOVE, "RejectVpcEndpointConnections",
                  json_pack("{s:s, s:O}", "ServiceId", id, "VpcEndpointId", ids), err);
}

static int service_destroy(const struct plan_call *c, const json_t *have, struct err *err)
{
    int r = turn_away(c, js_text_at(have, "id"), err);
    return r < 0 ? r : ec2_destroy(c, &service, err);
}

static const struct plan_attribute service_attributes[] = {{"load_balancers", PLAN_SET},
                                                           {"acceptance", 0},
                                                           {"principals", PLAN_SET},
                                                           {"id", PLAN_COMPUTED},
                                                           {"name", PLAN_COMPUTED},
                                                           {"state", PLAN_COMPUTED | PLAN_VOLATILE},
                                                           {NULL, 0}};
const struct plan_type aws_endpoint_service_type = {.name = "aws_endpoint_service",
                                                    .attributes = service_attributes,
                                                    .ready_timeout_ms = 600000,
                                                    .ready_poll_ms = 500,
                                                    .observe = service_observe,
                                                    .create = service_create,
                                                    .change = service_change,
                                                    .destroy = service_destroy,
                                                    .ready = service_ready};

/* --- flow logs --- */

static const struct ec2_kind flow = {.describe = "DescribeFlowLogs",
                                     .set = "flowLogSet",
                                     .id = "flowLogId",
                                     .id_param = "FlowLogId",
                                     .tag_type = "vpc-flow-log",
                                     .destroy = "DeleteFlowLogs",
                                     .id_list = true};

static json_t *flow_view(const json_t *item)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s}", "id", js_text_at(item, "flowLogId"), "vpc",
                     js_text_at(item, "resourceId"), "group", js_text_at(item, "logGroupName"), "role",
                     js_text_at(item, "deliverLogsPermissionArn"), "traffic", js_text_at(item, "trafficType"));
}

static int flow_observe(const struct plan_call *c, json_t **ret, struct err *err)
{
    return ec2_observe(c, &flow, flow_view, ret, err);
}

/* What cannot be made is told in the answer, not as an error: a role that IAM has not spread yet, for one. */
static int flow_made(const json_t *answer, const char **ret, struct err *err)
{
    autojson json_t *ids = aws_xml_list(answer, "flowLogIdSet", NULL),
                    *wrong OH_CLEANUP(js_decrefp) = aws_xml_list(answer, "unsuccessful", NULL);
    const json_t *error = json_object_get(json_array_get(wrong, 0), "error");
    if (error)
        return err_set(err, -EAGAIN, "ec2 CreateFlowLogs: %s: %s", js_text_at(error, "code"),
                       js_text_at(error, "message"));
    *ret = json_string_value(json_array_get(ids, 0)); /* lives as long as the answer */
    return *ret ? 0 : err_set(err, -EPROTO, "ec2 CreateFlowLogs: the answer has no flowLogId");
}

static int flow_create(const struct plan_call *c, const json_t *want, json_t **ret, struct err *err)
{
    char token[PLAN_TOKEN_SIZE];
    autojson json_t *answer = NULL, *item OH_CLEANUP(js_decrefp) = NULL;
    const char *id = NULL;
    aws_token(c, want, token);
    json_t *params =
        json_pack("{s:s, s:[O], s:O, s:s, s:O, s:O, s:i, s:s, s:[{s:s, s:o}]}", "ResourceType", "VPC", "ResourceId",
                  json_object_get(want, "vpc"), "TrafficType", json_object_get(want, "traffic"), "LogDestinationType",
                  "cloud-watch-logs", "LogGroupName", json_object_get(want, "group"), "DeliverLogsPermissionArn",
                  json_object_get(want, "role"), "MaxAggregationInterval", 600, "ClientToken", token,
                  "TagSpecification", "ResourceType", flow.tag_type, "Tag", aws_tags(c, want, "Key", "Value"));
    int r = ec2_ask(c, AWS_PROVISION, "CreateFlowLogs", params, &answer, err);
    if (r == -EEXIST) /* an answer was lost: look again */
        return -EAGAIN;
    if (r == 0)
        r = flow_made(answer, &id, err);
    if (r == 0)
        r = ec2_get(c, &flow, id, &item, err);
    if (r == 0)
        *ret = flow_view(item);
    return r;
}

static int flow_destroy(const struct plan_call *c, const json_t *have OH_UNUSED, struct err *err)
{
    return ec2_destroy(c, &flow, err);
}

static const struct plan_attribute flow_attributes[] = {{"vpc", PLAN_REPLACE},  {"group", PLAN_REPLACE},
                                                        {"role", PLAN_REPLACE}, {"traffic", PLAN_REPLACE},
                                                        {"id", PLAN_COMPUTED},  {NULL, 0}};
const struct plan_type aws_flow_log_type = {.name = "aws_flow_log",
                                            .attributes = flow_attributes,
                                            .observe = flow_observe,
                                            .create = flow_create,
                                            .destroy = flow_destroy};
