/* The load balancer in front of the cluster's ingress: made by the cluster itself, found here by the tags that it gives
 * it, so that names can point to it, and taken away after the cluster, which leaves it behind. */
#include "cloud/aws/resource.h"

/* The Service is OwnHouse's ingress in the agent's namespace. */
#define TAG_STACK "service.k8s.aws/stack"
#define STACK "ownhouse/ingress"
#define SETTLED_MS 600000

static int find_arn(const struct plan_call *c, char ret[512], struct err *err)
{
    static const struct aws_pages pages = {"PaginationToken", "PaginationToken", "ResourceTagMappingList", NULL};
    char cluster[16];
    aws_prefix(c->infrastructure, cluster);
    struct aws_client *client = aws_phase_client(c, AWS_INSPECT, err);
    autojson json_t *params =
        json_pack("{s:[s], s:[{s:s, s:[s]}, {s:s, s:[s]}]}", "ResourceTypeFilters", "elasticloadbalancing:loadbalancer",
                  "TagFilters", "Key", AWS_TAG_BALANCER_CLUSTER, "Values", cluster, "Key", TAG_STACK, "Values", STACK);
    autojson json_t *found = NULL;
    struct aws_request q = {.service = "tagging", .action = "GetResources", .params = params};
    ret[0] = 0;
    int r = client ? aws_call_all(client, &q, &pages, &found, err) : -EACCES;
    if (r == 0)
        snprintf(ret, 512, "%s", js_text_at(json_array_get(found, 0), "ResourceARN"));
    return r;
}

/* Tags are listed for a while after what carried them is gone: *ret is NULL then. */
static int ingress_observe(const struct plan_call *c, json_t **ret, struct err *err)
{
    char arn[512];
    *ret = NULL;
    int r = find_arn(c, arn, err);
    if (r < 0 || !*arn)
        return r;
    autojson json_t *answer = NULL, *params OH_CLEANUP(js_decrefp) = json_pack("{s:[s]}", "LoadBalancerArns", arn);
    struct aws_request q = {.service = "elasticloadbalancing", .action = "DescribeLoadBalancers", .params = params};
    r = aws_absent_is_fine(aws_do(c, AWS_INSPECT, &q, &answer, err), err);
    autojson json_t *list =
        aws_xml_list(json_object_get(answer, "DescribeLoadBalancersResult"), "LoadBalancers", "member");
    const json_t *one = json_array_get(list, 0);
    if (r == 0 && *js_text_at(one, "DNSName"))
        *ret = json_pack("{s:s, s:s}", "arn", arn, "host", js_text_at(one, "DNSName"));
    return r;
}

static int ingress_create(const struct plan_call *c, const json_t *want OH_UNUSED, json_t **ret, struct err *err)
{
    int r = ingress_observe(c, ret, err);
    return r == 0 && !*ret
               ? err_set(err, -EAGAIN, "the cluster has not made the ingress's load balancer yet (%s)", STACK)
               : r;
}

static int ingress_destroy(const struct plan_call *c, const json_t *have, struct err *err)
{
    autojson json_t *params = json_pack("{s:s}", "LoadBalancerArn", js_text_at(have, "arn"));
    struct aws_request q = {
        .service = "elasticloadbalancing", .action = "DeleteLoadBalancer", .params = params, .repeatable = true};
    return aws_absent_is_fine(aws_do(c, AWS_REMOVE, &q, NULL, err), err);
}

static const struct plan_attribute ingress_attributes[] = {{"arn", PLAN_COMPUTED}, {"host", PLAN_COMPUTED}, {NULL, 0}};
const struct plan_type aws_ingress_type = {.name = "aws_ingress",
                                           .attributes = ingress_attributes,
                                           .ready_timeout_ms = SETTLED_MS,
                                           .observe = ingress_observe,
                                           .create = ingress_create,
                                           .destroy = ingress_destroy};
