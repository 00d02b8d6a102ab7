/* What a cluster makes by itself and leaves behind when it is deleted: the security groups of its load balancers, which
 * keep the network from going, and the disks of its services, which hold data. Found by their tags, never made here;
 * only a removal has them in its graph, after the cluster that would make them again. */
#include "cloud/aws/resource.h"

/* The ids of what is there: {"ids":[sorted]}, or NULL. `filters` is stolen. */
static int look(const struct plan_call *c, const char *action, const char *set, const char *id, json_t *filters,
                json_t **ret, struct err *err)
{
    static const char *const in = "NextToken", *const out = "nextToken";
    autojson json_t *params = json_pack("{s:o}", "Filter", filters), *items = NULL, *ids = json_array();
    struct aws_client *client = aws_phase_client(c, AWS_INSPECT, err);
    struct aws_request q = {.service = "ec2", .action = action, .params = params};
    size_t i;
    json_t *one;
    *ret = NULL;
    int r = client ? aws_call_all(client, &q, &(struct aws_pages){in, out, set, NULL}, &items, err) : -EACCES;
    json_array_foreach(items, i, one) json_array_append_new(ids, json_string(js_text_at(one, id)));
    if (r == 0 && json_array_size(ids))
        *ret = json_pack("{s:o}", "ids", aws_sorted(ids));
    return r;
}

/* What is in use still goes a little later: -EAGAIN. */
static int drop(const struct plan_call *c, const json_t *have, const char *action, const char *param, struct err *err)
{
    size_t i;
    json_t *id;
    int r = 0;
    json_array_foreach(json_object_get(have, "ids"), i, id)
    {
        if (r == 0)
            r = aws_absent_is_fine(ec2_do(c, AWS_REMOVE, action, json_pack("{s:O}", param, id), err), err);
    }
    return r;
}

static int not_made(const struct plan_call *c, const json_t *want OH_UNUSED, json_t **ret OH_UNUSED, struct err *err)
{
    return err_set(err, -EINVAL, "%s: only a cluster makes these", c->type);
}

static int groups_observe(const struct plan_call *c, json_t **ret, struct err *err)
{
    char cluster[16];
    aws_prefix(c->infrastructure, cluster);
    return look(c, "DescribeSecurityGroups", "securityGroupInfo", "groupId",
                json_pack("[{s:s, s:[s]}]", "Name", "tag:" AWS_TAG_BALANCER_CLUSTER, "Value", cluster), ret, err);
}

static int groups_destroy(const struct plan_call *c, const json_t *have, struct err *err)
{
    return drop(c, have, "DeleteSecurityGroup", "GroupId", err);
}

static int volumes_observe(const struct plan_call *c, json_t **ret, struct err *err)
{
    return look(c, "DescribeVolumes", "volumeSet", "volumeId",
                json_pack("[{s:s, s:[s]}]", "Name", "tag:" AWS_TAG_INFRASTRUCTURE, "Value", c->infrastructure), ret,
                err);
}

static int volumes_destroy(const struct plan_call *c, const json_t *have, struct err *err)
{
    return drop(c, have, "DeleteVolume", "VolumeId", err);
}

static const struct plan_attribute attributes[] = {{"ids", PLAN_COMPUTED | PLAN_VOLATILE | PLAN_SET}, {NULL, 0}};
const struct plan_type aws_cluster_groups_type = {.name = "aws_cluster_groups",
                                                  .attributes = attributes,
                                                  .observe = groups_observe,
                                                  .create = not_made,
                                                  .destroy = groups_destroy};
const struct plan_type aws_cluster_volumes_type = {.name = "aws_cluster_volumes",
                                                   .attributes = attributes,
                                                   .holds_data = true,
                                                   .observe = volumes_observe,
                                                   .create = not_made,
                                                   .destroy = volumes_destroy};
