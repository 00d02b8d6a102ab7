/* The one-shot instance that puts the agent into a cluster whose API has no way in from outside.
 *
 * It starts from the launch template of the customer's artefact, installs, and shuts itself down, which terminates it.
 * That it is done is written on the cluster as a tag, so that nothing remembered is needed to know it. */
#include "cloud/aws/resource.h"

#define DONE_TAG "ownhouse:bootstrap"

static const struct ec2_kind instance = {.describe = "DescribeInstances",
                                         .set = "reservationSet",
                                         .id = "instanceId",
                                         .id_param = "InstanceId",
                                         .tag_type = "instance",
                                         .create = "RunInstances",
                                         .created = "",
                                         .destroy = "TerminateInstances"};

/* The instance of the first reservation that still lives. */
static int find_instance(const struct plan_call *c, enum aws_phase phase, json_t **ret, struct err *err)
{
    autofree char *identity = aws_identity(c);
    autojson json_t *answer = NULL, *reservations OH_CLEANUP(js_decrefp) = NULL;
    size_t i, k;
    json_t *r1, *one;
    *ret = NULL;
    int r = ec2_ask(c, phase, instance.describe,
                    json_pack("{s:[{s:s, s:[s]}, {s:s, s:[s]}]}", "Filter", "Name", "tag:" AWS_TAG_INFRASTRUCTURE,
                              "Value", c->infrastructure, "Name", "tag:" AWS_TAG_RESOURCE, "Value", identity),
                    &answer, err);
    reservations = aws_xml_list(answer, "reservationSet", NULL);
    json_array_foreach(reservations, i, r1)
    {
        autojson json_t *list = aws_xml_list(r1, "instancesSet", NULL);
        json_array_foreach(list, k, one)
        {
            if (!*ret && strcmp(js_text_at(json_object_get(one, "instanceState"), "name"), "terminated"))
                *ret = json_incref(one);
        }
    }
    return r;
}

static int cluster_call(const struct plan_call *c, enum aws_phase phase, const char *action, const char *method,
                        const json_t *query, json_t *body, json_t **ret, struct err *err)
{
    char prefix[16];
    autojson json_t *params = body;
    aws_prefix(c->infrastructure, prefix);
    const struct aws_env *e = aws_env_of(c);
    autofree char *path = strcmp(action, "DescribeCluster") ? mem_printf("/tags/arn:%s:eks:%s:%s:cluster%c%s",
                                                                         aws_client_partition(e->clients[AWS_INSPECT]),
                                                                         e->region, e->account, SIGV4_SLASH, prefix)
                                                            : mem_printf("/clusters/%s", prefix);
    struct aws_request q = {.service = "eks",
                            .action = action,
                            .method = method,
                            .path = path,
                            .query = query,
                            .params = params,
                            .repeatable = true};
    return aws_do(c, phase, &q, ret, err);
}

static int done_on(const struct plan_call *c, char ret[128], struct err *err)
{
    autojson json_t *answer = NULL;
    int r = aws_absent_is_fine(cluster_call(c, AWS_INSPECT, "DescribeCluster", "GET", NULL, NULL, &answer, err), err);
    snprintf(ret, 128, "%s", js_text_at(json_object_get(json_object_get(answer, "cluster"), "tags"), DONE_TAG));
    return r;
}

static int bootstrap_observe(const struct plan_call *c, json_t **ret, struct err *err)
{
    autojson json_t *one = NULL;
    char done[128];
    *ret = NULL;
    int r = done_on(c, done, err);
    if (r == 0 && *done) {
        const char *at = strchr(done, '@');
        *ret = json_pack("{s:s%, s:s, s:s}", "launch_template", done, (int)strcspn(done, "@"), "subnet",
                         at ? at + 1 : "", "state", "done");
        return 0;
    }
    if (r == 0)
        r = find_instance(c, AWS_INSPECT, &one, err);
    if (r == 0 && one)
        *ret = json_pack("{s:s, s:s, s:s, s:s}", "launch_template", js_text_at(c->remembered, "launch_template"),
                         "instance", js_text_at(one, "instanceId"), "subnet", js_text_at(one, "subnetId"), "state",
                         js_text_at(json_object_get(one, "instanceState"), "name"));
    return r;
}

static int bootstrap_create(const struct plan_call *c, const json_t *want, json_t **ret, struct err *err)
{
    char token[PLAN_TOKEN_SIZE];
    aws_token(c, want, token);
    autojson json_t *answer = NULL;
    json_t *tags = json_pack("[{s:s, s:o}]", "ResourceType", "instance", "Tag", aws_tags(c, want, "Key", "Value"));
    int r = ec2_ask(
        c, AWS_PROVISION, instance.create,
        json_pack("{s:{s:O}, s:O, s:i, s:i, s:s, s:s, s:o}", "LaunchTemplate",
                  strncmp(js_text_at(want, "launch_template"), "lt-", 3) ? "LaunchTemplateName" : "LaunchTemplateId",
                  json_object_get(want, "launch_template"), "SubnetId", json_object_get(want, "subnet"), "MinCount", 1,
                  "MaxCount", 1, "InstanceInitiatedShutdownBehavior", "terminate", "ClientToken", token,
                  "TagSpecification", tags),
        &answer, err);
    autojson json_t *list = aws_xml_list(answer, "instancesSet", NULL);
    if (r == 0)
        *ret = json_pack("{s:O, s:O, s:s, s:s}", "launch_template", json_object_get(want, "launch_template"), "subnet",
                         json_object_get(want, "subnet"), "instance", js_text_at(json_array_get(list, 0), "instanceId"),
                         "state", "pending");
    return r;
}

/* Gone by itself means done: that is written on the cluster before anybody relies on it. */
static int bootstrap_ready(const struct plan_call *c, json_t *attributes, struct err *err)
{
    autojson json_t *one = NULL;
    if (!strcmp(js_text_at(attributes, "state"), "done"))
        return 1;
    int r = find_instance(c, AWS_INSPECT, &one, err);
    if (r < 0)
        return r;
    if (one) {
        json_object_set(attributes, "state", json_object_get(json_object_get(one, "instanceState"), "name"));
        return 0;
    }
    r = cluster_call(
        c, AWS_PROVISION, "TagResource", "POST", NULL,
        json_pack("{s:{s:o}}", "tags", DONE_TAG,
                  json_sprintf("%s@%s", js_text_at(attributes, "launch_template"), js_text_at(attributes, "subnet"))),
        NULL, err);
    if (r < 0)
        return r;
    json_object_set_new(attributes, "state", json_string("done"));
    return 1;
}

static int bootstrap_destroy(const struct plan_call *c, const json_t *have OH_UNUSED, struct err *err)
{
    autojson json_t *one = NULL, *query OH_CLEANUP(js_decrefp) = json_pack("{s:s}", "tagKeys", DONE_TAG);
    int r = find_instance(c, AWS_REMOVE, &one, err);
    if (r == 0 && one)
        r = aws_absent_is_fine(ec2_do(c, AWS_REMOVE, instance.destroy,
                                      json_pack("{s:[s]}", "InstanceId", js_text_at(one, "instanceId")), err),
                               err);
    return r < 0 ? r
                 : aws_absent_is_fine(cluster_call(c, AWS_REMOVE, "UntagResource", "DELETE", query, NULL, NULL, err),
                                      err);
}

static const struct plan_attribute bootstrap_attributes[] = {{"launch_template", PLAN_REPLACE},
                                                             {"subnet", PLAN_VOLATILE},
                                                             {"instance", PLAN_COMPUTED | PLAN_VOLATILE},
                                                             {"state", PLAN_COMPUTED | PLAN_VOLATILE},
                                                             {NULL, 0}};
const struct plan_type aws_bootstrap_type = {.name = "aws_bootstrap",
                                             .attributes = bootstrap_attributes,
                                             .ready_timeout_ms = 1200000,
                                             .ready_poll_ms = 1000,
                                             .observe = bootstrap_observe,
                                             .create = bootstrap_create,
                                             .destroy = bootstrap_destroy,
                                             .ready = bootstrap_ready};
