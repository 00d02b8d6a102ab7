/* EKS: the cluster, its node groups, add-ons, pod identities and the bootstrap's access entry. */
#include "cloud/aws/resource.h"

static int eks(const struct plan_call *c, enum aws_phase phase, const char *action, const char *method, char *path,
               json_t *params, json_t **ret, struct err *err)
{
    autofree char *p = path;
    autojson json_t *body = params;
    struct aws_request q = {.service = "eks", .action = action, .method = method, .path = p, .params = body};
    int r = aws_do(c, phase, &q, ret, err);
    /* IAM tells EKS of a new role some seconds late. */
    if (r == -EINVAL && err && strstr(err->message, "role") &&
        (strstr(err->message, "assume") || strstr(err->message, "exist") || strstr(err->message, "trust")))
        r = err->code = -EAGAIN;
    return r;
}

static char *cluster_name(const struct plan_call *c)
{
    char prefix[16];
    aws_prefix(c->infrastructure, prefix);
    return mem_strdup(prefix);
}

/* Path below the cluster. */
static char *below(const struct plan_call *c, const char *rest)
{
    autofree char *cluster = cluster_name(c);
    return mem_printf("/clusters/%s%s", cluster, rest);
}

static int not_ours(const char *what, const char *name, struct err *err)
{
    return err_set(err, -EEXIST, "the %s %s is there and does not carry our tags: remove it", what, name);
}

/* Creating: look again; an update under way: come back later. */
static int after_create(int r)
{
    return r == -EEXIST || r == -ENOENT ? -EAGAIN : r;
}

/* --- cluster --- */

static json_t *cluster_view(const json_t *cluster)
{
    const json_t *net = json_object_get(cluster, "resourcesVpcConfig");
    const json_t *kube = json_object_get(cluster, "kubernetesNetworkConfig");
    autojson json_t *logs = json_array();
    size_t i, k;
    json_t *set, *type,
        *key = json_object_get(
            json_object_get(json_array_get(json_object_get(cluster, "encryptionConfig"), 0), "provider"), "keyArn");
    json_array_foreach(json_object_get(json_object_get(cluster, "logging"), "clusterLogging"), i, set)
    {
        json_array_foreach(json_object_get(set, "types"), k, type)
        {
            if (json_is_true(json_object_get(set, "enabled")))
                json_array_append(logs, type);
        }
    }
    json_t *v = json_pack(
        "{s:s, s:s, s:s, s:s, s:o, s:o, s:b, s:b, s:s, s:o, s:s, s:s, s:s}", "name", js_text_at(cluster, "name"), "arn",
        js_text_at(cluster, "arn"), "role", js_text_at(cluster, "roleArn"), "version", js_text_at(cluster, "version"),
        "subnets", aws_sorted(json_object_get(net, "subnetIds")), "security_groups",
        aws_sorted(json_object_get(net, "securityGroupIds")), "private",
        json_is_true(json_object_get(net, "endpointPrivateAccess")), "public",
        json_is_true(json_object_get(net, "endpointPublicAccess")), "service_cidr", js_text_at(kube, "serviceIpv4Cidr"),
        "logs", aws_sorted(logs), "status", js_text_at(cluster, "status"), "issuer",
        js_text_at(json_object_get(json_object_get(cluster, "identity"), "oidc"), "issuer"), "security_group",
        js_text_at(net, "clusterSecurityGroupId"));
    if (json_is_string(key))
        json_object_set(v, "key", key);
    return v;
}

static int cluster_get(const struct plan_call *c, json_t **ret, struct err *err)
{
    autojson json_t *answer = NULL;
    *ret = NULL;
    int r = eks(c, AWS_INSPECT, "DescribeCluster", "GET", below(c, ""), NULL, &answer, err);
    if (r == 0)
        *ret = json_incref(json_object_get(answer, "cluster"));
    return aws_absent_is_fine(r, err);
}

static int cluster_observe(const struct plan_call *c, json_t **ret, struct err *err)
{
    autojson json_t *cluster = NULL;
    *ret = NULL;
    int r = cluster_get(c, &cluster, err);
    if (r < 0 || !cluster)
        return r;
    if (!aws_is_ours(c, json_object_get(cluster, "tags")))
        return not_ours("cluster", js_text_at(cluster, "name"), err);
    *ret = cluster_view(cluster);
    return 0;
}

static json_t *network_of(const json_t *want)
{
    return json_pack("{s:O, s:O, s:O, s:O}", "subnetIds", json_object_get(want, "subnets"), "securityGroupIds",
                     json_object_get(want, "security_groups"), "endpointPrivateAccess",
                     json_object_get(want, "private"), "endpointPublicAccess", json_object_get(want, "public"));
}

static json_t *logging_of(const json_t *want)
{
    return json_pack("{s:[{s:O, s:b}]}", "clusterLogging", "types", json_object_get(want, "logs"), "enabled", true);
}

static int cluster_create(const struct plan_call *c, const json_t *want, json_t **ret, struct err *err)
{
    char token[PLAN_TOKEN_SIZE];
    aws_token(c, want, token);
    autofree char *name = cluster_name(c);
    autojson json_t *answer = NULL;
    json_t *body = json_pack("{s:s, s:O, s:O, s:o, s:{s:O}, s:o, s:{s:s, s:b}, s:o, s:s}", "name", name, "roleArn",
                             json_object_get(want, "role"), "version", json_object_get(want, "version"),
                             "resourcesVpcConfig", network_of(want), "kubernetesNetworkConfig", "serviceIpv4Cidr",
                             json_object_get(want, "service_cidr"), "logging", logging_of(want), "accessConfig",
                             "authenticationMode", "API", "bootstrapClusterCreatorAdminPermissions", false, "tags",
                             aws_tags_object(c, want), "clientRequestToken", token);
    if (json_object_get(want, "key"))
        json_object_set_new(body, "encryptionConfig",
                            json_pack("[{s:[s], s:{s:O}}]", "resources", "secrets", "provider", "keyArn",
                                      json_object_get(want, "key")));
    int r = eks(c, AWS_PROVISION, "CreateCluster", "POST", mem_strdup("/clusters"), body, &answer, err);
    if (r == 0)
        *ret = cluster_view(json_object_get(answer, "cluster"));
    return after_create(r);
}

static bool differs(const json_t *have, const json_t *want, const char *key)
{
    return json_object_get(want, key) && !json_equal(json_object_get(have, key), json_object_get(want, key));
}

/* One update; its token is of this very body, since a step may need several. `path` and `body` are stolen. */
static int update(const struct plan_call *c, const char *action, char *path, json_t *body, struct err *err)
{
    char token[PLAN_TOKEN_SIZE];
    aws_token(c, body, token);
    json_object_set_new(body, "clientRequestToken", json_string(token));
    return eks(c, AWS_OPERATE, action, "POST", path, body, NULL, err);
}

/* EKS makes one update at a time: what is left over is done at the next look. */
static int cluster_change(const struct plan_call *c, const json_t *have, const json_t *want, json_t **ret,
                          struct err *err)
{
    int r = 0;
    if (strcmp(js_text_at(have, "status"), "ACTIVE"))
        return err_set(err, -EAGAIN, "the cluster is %s", js_text_at(have, "status"));
    if (differs(have, want, "version"))
        r = update(c, "UpdateClusterVersion", below(c, "/updates"),
                   json_pack("{s:O}", "version", json_object_get(want, "version")), err);
    else if (differs(have, want, "private") || differs(have, want, "public") || differs(have, want, "security_groups"))
        r = update(c, "UpdateClusterConfig", below(c, "/update-config"),
                   json_pack("{s:o}", "resourcesVpcConfig", network_of(want)), err);
    else if (differs(have, want, "logs"))
        r = update(c, "UpdateClusterConfig", below(c, "/update-config"),
                   json_pack("{s:o}", "logging", logging_of(want)), err);
    if (r == 0)
        r = cluster_observe(c, ret, err);
    if (r == 0 && !*ret)
        r = err_set(err, -ESTALE, "the cluster is gone");
    return r;
}

static int status_ready(const char *status, const json_t *health, struct err *err)
{
    const json_t *issue = json_array_get(json_object_get(health, "issues"), 0);
    if (strstr(status, "FAILED") || !strcmp(status, "DEGRADED"))
        return err_set(err, -EIO, "it is %s: %s: %.200s", status, js_text_at(issue, "code"),
                       js_text_at(issue, "message"));
    return !strcmp(status, "ACTIVE");
}

static int cluster_ready(const struct plan_call *c, json_t *attributes, struct err *err)
{
    autojson json_t *cluster = NULL;
    int r = cluster_get(c, &cluster, err);
    if (r < 0 || !cluster)
        return r;
    autojson json_t *view = cluster_view(cluster);
    json_object_update(attributes, view);
    return status_ready(js_text_at(cluster, "status"), json_object_get(cluster, "health"), err);
}

static int cluster_destroy(const struct plan_call *c, const json_t *have, struct err *err)
{
    if (!strcmp(js_text_at(have, "status"), "DELETING"))
        return 0;
    return aws_absent_is_fine(eks(c, AWS_REMOVE, "DeleteCluster", "DELETE", below(c, ""), NULL, NULL, err), err);
}

static const struct plan_attribute cluster_attributes[] = {{"role", PLAN_REPLACE},
                                                           {"version", 0},
                                                           {"subnets", PLAN_REPLACE | PLAN_SET},
                                                           {"security_groups", PLAN_SET},
                                                           {"private", 0},
                                                           {"public", 0},
                                                           {"service_cidr", PLAN_REPLACE},
                                                           {"key", PLAN_REPLACE},
                                                           {"logs", PLAN_SET},
                                                           {"name", PLAN_COMPUTED},
                                                           {"arn", PLAN_COMPUTED},
                                                           {"issuer", PLAN_COMPUTED},
                                                           {"security_group", PLAN_COMPUTED},
                                                           {"status", PLAN_COMPUTED | PLAN_VOLATILE},
                                                           {NULL, 0}};
const struct plan_type aws_eks_cluster_type = {.name = "aws_eks_cluster",
                                               .attributes = cluster_attributes,
                                               .ready_timeout_ms = 2400000,
                                               .ready_poll_ms = 1000,
                                               .observe = cluster_observe,
                                               .create = cluster_create,
                                               .change = cluster_change,
                                               .destroy = cluster_destroy,
                                               .ready = cluster_ready};

/* --- node group --- */

static json_t *nodes_view(const json_t *g)
{
    const json_t *scaling = json_object_get(g, "scalingConfig");
    json_t *v = json_pack(
        "{s:s, s:s, s:s, s:s, s:o, s:o, s:s, s:i, s:i, s:i, s:O?, s:s}", "name", js_text_at(g, "nodegroupName"), "arn",
        js_text_at(g, "nodegroupArn"), "role", js_text_at(g, "nodeRole"), "image", js_text_at(g, "amiType"), "subnets",
        aws_sorted(json_object_get(g, "subnets")), "instances", aws_sorted(json_object_get(g, "instanceTypes")),
        "version", js_text_at(g, "version"), "min", (int)json_integer_value(json_object_get(scaling, "minSize")), "max",
        (int)json_integer_value(json_object_get(scaling, "maxSize")), "disk_gb",
        (int)json_integer_value(json_object_get(g, "diskSize")), "labels", json_object_get(g, "labels"), "status",
        js_text_at(g, "status"));
    if (!*js_text_at(v, "version"))
        json_object_del(v, "version");
    return v;
}

static char *nodes_path(const struct plan_call *c, const char *rest)
{
    autofree char *tail = mem_printf("/node-groups/%s%s", c->name, rest);
    return below(c, tail);
}

static int nodes_get(const struct plan_call *c, json_t **ret, struct err *err)
{
    autojson json_t *answer = NULL;
    *ret = NULL;
    int r = eks(c, AWS_INSPECT, "DescribeNodegroup", "GET", nodes_path(c, ""), NULL, &answer, err);
    if (r == 0)
        *ret = json_incref(json_object_get(answer, "nodegroup"));
    return aws_absent_is_fine(r, err);
}

static int nodes_observe(const struct plan_call *c, json_t **ret, struct err *err)
{
    autojson json_t *g = NULL;
    *ret = NULL;
    int r = nodes_get(c, &g, err);
    if (r < 0 || !g)
        return r;
    if (!aws_is_ours(c, json_object_get(g, "tags")))
        return not_ours("node group", c->name, err);
    *ret = nodes_view(g);
    return 0;
}

static int nodes_create(const struct plan_call *c, const json_t *want, json_t **ret, struct err *err)
{
    char token[PLAN_TOKEN_SIZE];
    aws_token(c, want, token);
    autojson json_t *answer = NULL;
    json_t *body =
        json_pack("{s:s, s:O, s:O, s:O, s:O, s:O, s:O, s:{s:O, s:O, s:O}, s:o, s:s}", "nodegroupName", c->name,
                  "nodeRole", json_object_get(want, "role"), "subnets", json_object_get(want, "subnets"), "amiType",
                  json_object_get(want, "image"), "instanceTypes", json_object_get(want, "instances"), "diskSize",
                  json_object_get(want, "disk_gb"), "labels", json_object_get(want, "labels"), "scalingConfig",
                  "minSize", json_object_get(want, "min"), "maxSize", json_object_get(want, "max"), "desiredSize",
                  json_object_get(want, "min"), "tags", aws_tags_object(c, want), "clientRequestToken", token);
    if (json_object_get(want, "version"))
        json_object_set(body, "version", json_object_get(want, "version"));
    int r = eks(c, AWS_PROVISION, "CreateNodegroup", "POST", below(c, "/node-groups"), body, &answer, err);
    if (r == 0)
        *ret = nodes_view(json_object_get(answer, "nodegroup"));
    return after_create(r);
}

static int nodes_change(const struct plan_call *c, const json_t *have, const json_t *want, json_t **ret,
                        struct err *err)
{
    int r = 0;
    if (strcmp(js_text_at(have, "status"), "ACTIVE"))
        return err_set(err, -EAGAIN, "the node group is %s", js_text_at(have, "status"));
    if (differs(have, want, "version"))
        r = update(c, "UpdateNodegroupVersion", nodes_path(c, "/update-version"),
                   json_pack("{s:O}", "version", json_object_get(want, "version")), err);
    else
        r = update(c, "UpdateNodegroupConfig", nodes_path(c, "/update-config"),
                   json_pack("{s:{s:O}, s:{s:O, s:O}}", "labels", "addOrUpdateLabels", json_object_get(want, "labels"),
                             "scalingConfig", "minSize", json_object_get(want, "min"), "maxSize",
                             json_object_get(want, "max")),
                   err);
    return r < 0 ? r : nodes_observe(c, ret, err);
}

static int nodes_ready(const struct plan_call *c, json_t *attributes, struct err *err)
{
    autojson json_t *g = NULL;
    int r = nodes_get(c, &g, err);
    if (r < 0 || !g)
        return r;
    autojson json_t *view = nodes_view(g);
    json_object_update(attributes, view);
    return status_ready(js_text_at(g, "status"), json_object_get(g, "health"), err);
}

static int nodes_destroy(const struct plan_call *c, const json_t *have, struct err *err)
{
    if (!strcmp(js_text_at(have, "status"), "DELETING"))
        return 0;
    return aws_absent_is_fine(eks(c, AWS_REMOVE, "DeleteNodegroup", "DELETE", nodes_path(c, ""), NULL, NULL, err), err);
}

static const struct plan_attribute nodes_attributes[] = {{"cluster", PLAN_COMPUTED},
                                                         {"role", PLAN_REPLACE},
                                                         {"subnets", PLAN_REPLACE | PLAN_SET},
                                                         {"image", PLAN_REPLACE},
                                                         {"instances", PLAN_REPLACE | PLAN_SET},
                                                         {"disk_gb", PLAN_REPLACE},
                                                         {"labels", 0},
                                                         {"min", 0},
                                                         {"max", 0},
                                                         {"version", 0},
                                                         {"name", PLAN_COMPUTED},
                                                         {"arn", PLAN_COMPUTED},
                                                         {"status", PLAN_COMPUTED | PLAN_VOLATILE},
                                                         {NULL, 0}};
const struct plan_type aws_node_group_type = {.name = "aws_node_group",
                                              .attributes = nodes_attributes,
                                              .ready_timeout_ms = 2400000,
                                              .ready_poll_ms = 1000,
                                              .observe = nodes_observe,
                                              .create = nodes_create,
                                              .change = nodes_change,
                                              .destroy = nodes_destroy,
                                              .ready = nodes_ready};

/* --- add-on --- */

static char *addon_path(const struct plan_call *c, const char *rest)
{
    autofree char *tail = mem_printf("/addons/%s%s", c->name, rest);
    return below(c, tail);
}

static int addon_get(const struct plan_call *c, json_t **ret, struct err *err)
{
    autojson json_t *answer = NULL;
    *ret = NULL;
    int r = eks(c, AWS_INSPECT, "DescribeAddon", "GET", addon_path(c, ""), NULL, &answer, err);
    if (r == 0)
        *ret = json_incref(json_object_get(answer, "addon"));
    return aws_absent_is_fine(r, err);
}

static json_t *addon_view(const json_t *a)
{
    return json_pack("{s:s, s:s, s:s, s:s}", "arn", js_text_at(a, "addonArn"), "version", js_text_at(a, "addonVersion"),
                     "settings", js_text_at(a, "configurationValues"), "status", js_text_at(a, "status"));
}

static int addon_observe(const struct plan_call *c, json_t **ret, struct err *err)
{
    autojson json_t *a = NULL;
    *ret = NULL;
    int r = addon_get(c, &a, err);
    if (r < 0 || !a)
        return r;
    if (!aws_is_ours(c, json_object_get(a, "tags")))
        return not_ours("add-on", c->name, err);
    *ret = addon_view(a);
    return 0;
}

static int addon_create(const struct plan_call *c, const json_t *want, json_t **ret, struct err *err)
{
    char token[PLAN_TOKEN_SIZE];
    aws_token(c, want, token);
    autojson json_t *answer = NULL;
    json_t *body = json_pack("{s:s, s:s, s:o, s:s}", "addonName", c->name, "resolveConflicts", "OVERWRITE", "tags",
                             aws_tags_object(c, want), "clientRequestToken", token);
    if (json_object_get(want, "version"))
        json_object_set(body, "addonVersion", json_object_get(want, "version"));
    if (*js_text_at(want, "settings"))
        json_object_set(body, "configurationValues", json_object_get(want, "settings"));
    int r = eks(c, AWS_PROVISION, "CreateAddon", "POST", below(c, "/addons"), body, &answer, err);
    if (r == 0)
        *ret = addon_view(json_object_get(answer, "addon"));
    return after_create(r);
}

static int addon_change(const struct plan_call *c, const json_t *have OH_UNUSED, const json_t *want, json_t **ret,
                        struct err *err)
{
    json_t *body = json_pack("{s:s}", "resolveConflicts", "OVERWRITE");
    if (json_object_get(want, "version"))
        json_object_set(body, "addonVersion", json_object_get(want, "version"));
    if (json_object_get(want, "settings"))
        json_object_set(body, "configurationValues", json_object_get(want, "settings"));
    int r = update(c, "UpdateAddon", addon_path(c, "/update"), body, err);
    return r < 0 ? r : addon_observe(c, ret, err);
}

static int addon_ready(const struct plan_call *c, json_t *attributes, struct err *err)
{
    autojson json_t *a = NULL;
    int r = addon_get(c, &a, err);
    if (r < 0 || !a)
        return r;
    autojson json_t *view = addon_view(a);
    json_object_update(attributes, view);
    return status_ready(js_text_at(a, "status"), json_object_get(a, "health"), err);
}

static int addon_destroy(const struct plan_call *c, const json_t *have, struct err *err)
{
    if (!strcmp(js_text_at(have, "status"), "DELETING"))
        return 0;
    return aws_absent_is_fine(eks(c, AWS_REMOVE, "DeleteAddon", "DELETE", addon_path(c, ""), NULL, NULL, err), err);
}

static const struct plan_attribute addon_attributes[] = {
    {"version", 0}, {"settings", 0}, {"arn", PLAN_COMPUTED}, {"status", PLAN_COMPUTED | PLAN_VOLATILE}, {NULL, 0}};
const struct plan_type aws_addon_type = {.name = "aws_addon",
                                         .attributes = addon_attributes,
                                         .ready_timeout_ms = 1200000,
                                         .ready_poll_ms = 1000,
                                         .observe = addon_observe,
                                         .create = addon_create,
                                         .change = addon_change,
                                         .destroy = addon_destroy,
                                         .ready = addon_ready};

/* --- pod identity association --- */

static int pod_list(const struct plan_call *c, json_t **ret, struct err *err)
{
    char namespace[64];
    autofree char *path = below(c, "/pod-identity-associations");
    /* Of many services only the one that is looked for: each association is looked at on its own. */
    autojson json_t *query =
        aws_of_service(c->name) ? json_pack("{s:s}", "namespace", aws_service_namespace(c->name, namespace)) : NULL;
    struct aws_request q = {
        .service = "eks", .action = "ListPodIdentityAssociations", .method = "GET", .path = path, .query = query};
    struct aws_pages pages = {"nextToken", "nextToken", "associations", NULL};
    struct aws_client *client = aws_phase_client(c, AWS_INSPECT, err);
    *ret = NULL;
    return client ? aws_absent_is_fine(aws_call_all(client, &q, &pages, ret, err), err) : -EACCES;
}

static int pod_observe(const struct plan_call *c, json_t **ret, struct err *err)
{
    autojson json_t *list = NULL;
    size_t i;
    json_t *one;
    *ret = NULL;
    int r = pod_list(c, &list, err);
    json_array_foreach(list, i, one)
    {
        autojson json_t *answer = NULL;
        autofree char *tail = mem_printf("/pod-identity-associations/%s", js_text_at(one, "associationId"));
        if (r < 0 || *ret)
            break;
        r = aws_absent_is_fine(
            eks(c, AWS_INSPECT, "DescribePodIdentityAssociation", "GET", below(c, tail), NULL, &answer, err), err);
        const json_t *a = json_object_get(answer, "association");
        if (r == 0 && aws_is_ours(c, json_object_get(a, "tags")))
            *ret = json_pack("{s:s, s:s, s:s, s:s}", "id", js_text_at(a, "associationId"), "namespace",
                             js_text_at(a, "namespace"), "account", js_text_at(a, "serviceAccount"), "role",
                             js_text_at(a, "roleArn"));
    }
    return r;
}

static int pod_create(const struct plan_call *c, const json_t *want, json_t **ret, struct err *err)
{
    char token[PLAN_TOKEN_SIZE];
    aws_token(c, want, token);
    int r = eks(c, aws_service_phase(c, AWS_PROVISION), "CreatePodIdentityAssociation", "POST",
                below(c, "/pod-identity-associations"),
                json_pack("{s:O, s:O, s:O, s:o, s:s}", "namespace", json_object_get(want, "namespace"),
                          "serviceAccount", json_object_get(want, "account"), "roleArn", json_object_get(want, "role"),
                          "tags", aws_tags_object(c, want), "clientRequestToken", token),
                NULL, err);
    if (r == 0)
        r = pod_observe(c, ret, err);
    return r == 0 && !*ret ? err_set(err, -EAGAIN, "EKS does not show the association yet") : after_create(r);
}

static int pod_destroy(const struct plan_call *c, const json_t *have, struct err *err)
{
    autofree char *tail = mem_printf("/pod-identity-associations/%s", js_text_at(have, "id"));
    return aws_absent_is_fine(eks(c, aws_service_phase(c, AWS_REMOVE), "DeletePodIdentityAssociation", "DELETE",
                                  below(c, tail), NULL, NULL, err),
                              err);
}

static const struct plan_attribute pod_attributes[] = {
    {"namespace", PLAN_REPLACE}, {"account", PLAN_REPLACE}, {"role", PLAN_REPLACE}, {"id", PLAN_COMPUTED}, {NULL, 0}};
const struct plan_type aws_pod_identity_type = {.name = "aws_pod_identity",
                                                .attributes = pod_attributes,
                                                .observe = pod_observe,
                                                .create = pod_create,
                                                .destroy = pod_destroy};

/* --- access entry --- */

#define ADMIN_POLICY "arn:%s:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy"

/* The principal's ARN goes into the path as one segment; the signer and the wire encode its slashes. */
static char *entry_path(const struct plan_call *c, const char *principal, const char *rest)
{
    struct buf b = BUF_INIT;
    autofree char *base = below(c, "/access-entries/");
    buf_adds(&b, base);
    for (; *principal; principal++)
        buf_addc(&b, *principal == '/' ? SIGV4_SLASH : *principal);
    buf_adds(&b, rest);
    return buf_take(&b);
}

static int entry_observe(const struct plan_call *c, json_t **ret, struct err *err)
{
    autojson json_t *list = NULL, *policies OH_CLEANUP(js_decrefp) = NULL;
    autofree char *path = below(c, "/access-entries");
    struct aws_request q = {.service = "eks", .action = "ListAccessEntries", .method = "GET", .path = path};
    struct aws_pages pages = {"nextToken", "nextToken", "accessEntries", NULL};
    struct aws_client *client = aws_phase_client(c, AWS_INSPECT, err);
    size_t i;
    json_t *principal;
    *ret = NULL;
    int r = client ? aws_absent_is_fine(aws_call_all(client, &q, &pages, &list, err), err) : -EACCES;
    json_array_foreach(list, i, principal)
    {
        const char *arn = json_string_value(principal);
        autojson json_t *one = NULL;
        if (r < 0 || *ret || !arn)
            break;
        r = aws_absent_is_fine(
            eks(c, AWS_INSPECT, "DescribeAccessEntry", "GET", entry_path(c, arn, ""), NULL, &one, err), err);
        if (r < 0 || !aws_is_ours(c, json_object_get(json_object_get(one, "accessEntry"), "tags")))
            continue;
        r = eks(c, AWS_INSPECT, "ListAssociatedAccessPolicies", "GET", entry_path(c, arn, "/access-policies"), NULL,
                &policies, err);
        if (r == 0)
            *ret = json_pack("{s:s, s:b}", "principal", arn, "admin",
                             json_array_size(json_object_get(policies, "associatedAccessPolicies")) > 0);
    }
    return r;
}

static int entry_admin(const struct plan_call *c, enum aws_phase phase, const json_t *want, struct err *err)
{
    return eks(c, phase, "AssociateAccessPolicy", "POST",
               entry_path(c, js_text_at(want, "principal"), "/access-policies"),
               json_pack("{s:o, s:{s:s}}", "policyArn",
                         json_sprintf(ADMIN_POLICY, aws_client_partition(aws_env_of(c)->clients[AWS_INSPECT])),
                         "accessScope", "type", "cluster"),
               NULL, err);
}

static int entry_create(const struct plan_call *c, const json_t *want, json_t **ret, struct err *err)
{
    char token[PLAN_TOKEN_SIZE];
    aws_token(c, want, token);
    int r = eks(c, AWS_PROVISION, "CreateAccessEntry", "POST", below(c, "/access-entries"),
                json_pack("{s:O, s:s, s:o, s:s}", "principalArn", json_object_get(want, "principal"), "type",
                          "STANDARD", "tags", aws_tags_object(c, want), "clientRequestToken", token),
                NULL, err);
    if (r == 0)
        r = entry_admin(c, AWS_PROVISION, want, err);
    if (r == 0)
        r = entry_observe(c, ret, err);
    return r == 0 && !*ret ? err_set(err, -EAGAIN, "EKS does not show the access entry yet") : after_create(r);
}

static int entry_change(const struct plan_call *c, const json_t *have OH_UNUSED, const json_t *want, json_t **ret,
                        struct err *err)
{
    int r = entry_admin(c, AWS_OPERATE, want, err);
    return r < 0 ? r : entry_observe(c, ret, err);
}

static int entry_destroy(const struct plan_call *c, const json_t *have, struct err *err)
{
    return aws_absent_is_fine(eks(c, AWS_REMOVE, "DeleteAccessEntry", "DELETE",
                                  entry_path(c, js_text_at(have, "principal"), ""), NULL, NULL, err),
                              err);
}

static const struct plan_attribute entry_attributes[] = {{"principal", PLAN_REPLACE}, {"admin", 0}, {NULL, 0}};
const struct plan_type aws_access_entry_type = {.name = "aws_access_entry",
                                                .attributes = entry_attributes,
                                                .observe = entry_observe,
                                                .create = entry_create,
                                                .change = entry_change,
                                                .destroy = entry_destroy};
