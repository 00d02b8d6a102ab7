/* From settings to the graph of an AWS infrastructure. Pure. */
#include "base/mem.h"
#include "cloud/aws/aws.h"
#include "cloud/aws/cidr.h"

struct maker {
    const struct aws_settings *s;
    struct plan_graph *g;
    struct cidr_plan plan;
    char prefix[16], partition[16];
    json_t *private_ids; /* of subnets, or references to them */
    const char *vpc;     /* id or reference */
    const char *key;     /* ARN or reference */
    int r;
    struct err *err;
};

static void add(struct maker *m, const char *type, const char *name, json_t *attributes, const char *const *after)
{
    if (m->r == 0)
        m->r = plan_graph_add(m->g, type, name, attributes, after, m->err);
    else
        json_decref(attributes);
}

static json_t *cidr_json(const struct cidr *c)
{
    char text[CIDR_TEXT];
    cidr_text(c, text);
    return json_string(text);
}

/* The routes of a table: the way out, and to the network that is joined. */
static json_t *routes(struct maker *m, json_t *out)
{
    json_t *v = json_pack("{s:o}", "0.0.0.0/0", out);
    if (m->s->peer_vpc)
        json_object_set_new(v, m->s->peer_cidr, json_string("${aws_vpc_peering.main.id}"));
    return v;
}

static void add_subnets(struct maker *m)
{
    for (int i = 0; i < AWS_ZONES; i++) {
        char name[32];
        snprintf(name, sizeof(name), "private-%c", m->s->zones[i]);
        add(m, "aws_subnet", name,
            json_pack("{s:s, s:o, s:s++, s:b, s:{s:s}}", "vpc", m->vpc, "cidr", cidr_json(&m->plan.private_[i]), "zone",
                      m->s->region, (char[]){m->s->zones[i], 0}, "", "public", false, "tags",
                      "kubernetes.io/role/internal-elb", "1"),
            NULL);
        json_array_append_new(m->private_ids, json_sprintf("${aws_subnet.%s.id}", name));
        snprintf(name, sizeof(name), "public-%c", m->s->zones[i]);
        add(m, "aws_subnet", name,
            json_pack("{s:s, s:o, s:s++, s:b, s:{s:s}}", "vpc", m->vpc, "cidr", cidr_json(&m->plan.public_[i]), "zone",
                      m->s->region, (char[]){m->s->zones[i], 0}, "", "public", true, "tags", "kubernetes.io/role/elb",
                      "1"),
            NULL);
    }
}

static void add_ways_out(struct maker *m)
{
    const char *const gateway[] = {"aws_internet_gateway.main", NULL};
    json_t *open = json_array();
    add(m, "aws_internet_gateway", "main", json_pack("{s:s}", "vpc", m->vpc), NULL);
    for (int i = 0; i < AWS_ZONES; i++) {
        char zone[2] = {m->s->zones[i], 0}, owner[2] = {m->s->zones[m->s->single_nat ? 0 : i], 0}, name[32];
        json_array_append_new(open, json_sprintf("${aws_subnet.public-%s.id}", zone));
        if (i == 0 || !m->s->single_nat) {
            snprintf(name, sizeof(name), "nat-%s", zone);
            add(m, "aws_elastic_ip", name, json_object(), gateway);
            add(m, "aws_nat_gateway", zone,
                json_pack("{s:o, s:o}", "subnet", json_sprintf("${aws_subnet.public-%s.id}", zone), "address",
                          json_sprintf("${aws_elastic_ip.%s.id}", name)),
                gateway);
        }
        snprintf(name, sizeof(name), "private-%s", zone);
        add(m, "aws_route_table", name,
            json_pack("{s:s, s:o, s:[o]}", "vpc", m->vpc, "routes",
                      routes(m, json_sprintf("${aws_nat_gateway.%s.id}", owner)), "subnets",
                      json_sprintf("${aws_subnet.private-%s.id}", zone)),
            NULL);
    }
    for (int i = 0; i < AWS_ZONES; i++) {
        char name[32];
        snprintf(name, sizeof(name), "public-%c", m->s->zones[i]);
        add(m, "aws_route_table", name,
            json_pack("{s:s, s:o, s:[O]}", "vpc", m->vpc, "routes",
                      routes(m, json_string("${aws_internet_gateway.main.id}")), "subnets",
                      json_array_get(open, (size_t)i)),
            NULL);
    }
    json_decref(open);
}

static void add_endpoints(struct maker *m)
{
    static const char *const services[] = {"ec2", "ecr.api", "ecr.dkr", "sts", "eks", "eks-auth", "logs"};
    json_t *tables = json_array();
    for (int i = 0; i < AWS_ZONES; i++) {
        json_array_append_new(tables, json_sprintf("${aws_route_table.private-%c.id}", m->s->zones[i]));
        json_array_append_new(tables, json_sprintf("${aws_route_table.public-%c.id}", m->s->zones[i]));
    }
    add(m, "aws_vpc_endpoint", "s3",
        json_pack("{s:s, s:o, s:s, s:o}", "vpc", m->vpc, "service", json_sprintf("com.amazonaws.%s.s3", m->s->region),
                  "kind", "Gateway", "route_tables", tables),
        NULL);
    for (size_t i = 0; i < ARRAY_SIZE(services) && m->s->interface_endpoints; i++) {
        char name[32];
        snprintf(name, sizeof(name), "%s", services[i]);
        for (char *p = name; *p; p++)
            *p = *p == '.' ? '-' : *p;
        add(m, "aws_vpc_endpoint", name,
            json_pack("{s:s, s:o, s:s, s:O, s:[s]}", "vpc", m->vpc, "service",
                      json_sprintf("com.amazonaws.%s.%s", m->s->region, services[i]), "kind", "Interface", "subnets",
                      m->private_ids, "security_groups", "${aws_security_group.endpoints.id}"),
            NULL);
    }
}

static void add_groups(struct maker *m)
{
    const struct {
        const char *name, *description;
        const char *in[4], *out[2];
    } groups[] = {
        {"cluster",
         "OwnHouse: the cluster's API, reached from inside the network only",
         {"tcp 443-443 @"},
         {"all - 0.0.0.0/0"}},
        {"endpoints", "OwnHouse: AWS's endpoints inside the network", {"tcp 443-443 @"}, {"all - 0.0.0.0/0"}},
        {"private-ingress",
         "OwnHouse: private load balancer: HTTPS, native and MySQL",
         {"tcp 443-443 @", "tcp 8443-8443 @", "tcp 9440-9440 @"},
         {"all - 0.0.0.0/0"}},
    };
    for (size_t i = 0; i < ARRAY_SIZE(groups); i++) {
        json_t *in = json_array(), *out = json_array();
        for (size_t k = 0; k < ARRAY_SIZE(groups[i].in) && groups[i].in[k]; k++) {
            int rule = (int)strlen(groups[i].in[k]) - 1;
            json_array_append_new(in, json_sprintf("%.*s%s", rule, groups[i].in[k], m->s->cidr));
            if (m->s->peer_vpc && !strcmp(groups[i].name, "private-ingress"))
                json_array_append_new(in, json_sprintf("%.*s%s", rule, groups[i].in[k], m->s->peer_cidr));
        }
        json_array_append_new(out, json_string(groups[i].out[0]));
        add(m, "aws_security_group", groups[i].name,
            json_pack("{s:s, s:o, s:s, s:o, s:o}", "vpc", m->vpc, "name",
                      json_sprintf("%s-%s", m->prefix, groups[i].name), "description", groups[i].description, "ingress",
                      in, "egress", out),
            NULL);
    }
}

static void add_network(struct maker *m)
{
    if (m->s->vpc) {
        m->vpc = m->s->vpc;
        for (int i = 0; i < AWS_ZONES; i++)
            json_array_append_new(m->private_ids, json_string(m->s->private_subnets[i]));
        plan_graph_note(
            m->g,
            "The network is the customer's own: nothing of it is changed or removed; security groups of our own are "
            "made in it.");
    } else {
        m->vpc = "${aws_vpc.main.id}";
        add(m, "aws_vpc", "main", json_pack("{s:s, s:b}", "cidr", m->s->cidr, "dns", true), NULL);
        add_subnets(m);
        add_ways_out(m);
        add_endpoints(m);
        if (m->s->single_nat)
            plan_graph_note(m->g,
                            "One NAT gateway serves all zones: when its zone fails, no zone reaches the internet.");
    }
    add_groups(m);
}

static void add_storage(struct maker *m)
{
    static const struct {
        const char *name;
        bool versioning;
        int old_days;
    } buckets[] = {{"data", false, 0}, {"backups", true, 30}, {"metrics", false, 0}, {"logs", false, 0}};
    if (*m->s->kms_key) {
        m->key = m->s->kms_key;
    } else {
        m->key = "${aws_kms_key.main.arn}";
        add(m, "aws_kms_key", "main", json_pack("{s:b, s:b}", "rotation", true, "alias", true), NULL);
    }
    for (size_t i = 0; i < ARRAY_SIZE(buckets); i++) {
        json_t *v = json_pack("{s:s, s:b, s:s, s:s, s:b, s:i, s:b}", "ownership", "BucketOwnerEnforced", "private",
                              true, "encryption", "aws:kms", "key", m->key, "versioning", buckets[i].versioning,
                              "abort_uploads_days", 7, "tagged", true);
        if (buckets[i].old_days)
            json_object_set_new(v, "old_versions_days", json_integer(buckets[i].old_days));
        add(m, "aws_bucket", buckets[i].name, v, NULL);
    }
    plan_graph_note(m->g, "The buckets' policies (TLS only, the data role only) are the customer's to attach, by "
                          "buckets.json: no role of "
                          "OwnHouse may write a bucket's policy.");
}

static json_t *trust_of(const char *service, bool session_tags)
{
    json_t *actions =
        session_tags ? json_pack("[s, s]", "sts:AssumeRole", "sts:TagSession") : json_string("sts:AssumeRole");
    return json_pack("{s:s, s:[{s:s, s:{s:s}, s:o}]}", "Version", "2012-10-17", "Statement", "Effect", "Allow",
                     "Principal", "Service", service, "Action", actions);
}

static void add_role(struct maker *m, const char *name, const char *service, const char *const *policies,
                     json_t *inline_)
{
    json_t *list = json_array();
    for (; policies && *policies; policies++)
        json_array_append_new(list, json_sprintf("arn:%s:iam::aws:policy/%s", m->partition, *policies));
    json_t *v = json_pack("{s:s++, s:o, s:o}", "path", m->s->role_path, m->prefix, "/", "trust",
                          trust_of(service, !strcmp(service, "pods.eks.amazonaws.com")), "policies", list);
    if (*m->s->boundary)
        json_object_set_new(v, "boundary", json_string(m->s->boundary));
    if (inline_)
        json_object_set_new(v, "inline", inline_);
    add(m, "aws_role", name, v, NULL);
}

static void add_peering(struct maker *m)
{
    const struct aws_settings *s = m->s;
    static const char *const joined[] = {"aws_vpc_peering.main", NULL};
    /* Only in one account and region may the same role accept what it asked for. */
    bool both = !strcmp(s->peer_account, s->account) && !strcmp(s->peer_region, s->region);
    json_t *v = json_pack("{s:s, s:s, s:s, s:s}", "vpc", m->vpc, "peer_vpc", s->peer_vpc, "peer_account",
                          s->peer_account, "peer_region", s->peer_region);
    if (both)
        json_object_set_new(v, "accepted", json_true());
    add(m, "aws_vpc_peering", "main", v, NULL);
    if (s->peer_dns) {
        json_t *names = json_pack("{s:s, s:b}", "peering", "${aws_vpc_peering.main.id}", "ours", true);
        if (both)
            json_object_set_new(names, "theirs", json_true());
        add(m, "aws_peering_dns", "main", names, joined);
    }
    autofree char *accept = mem_printf("The owner of account %s must accept the peering with %s in %s: the plan waits "
                                       "up to half an hour for it, and goes on when it is applied again.",
                                       s->peer_account, s->peer_vpc, s->peer_region),
                  *back OH_CLEANUP(oh_freep) =
                      mem_printf("The network %s is not changed: its owner adds the route to %s through the peering.",
                                 s->peer_vpc, s->cidr);
    if (!both)
        plan_graph_note(m->g, accept);
    plan_graph_note(m->g, back);
}

static json_t *flow_logs_policy(struct maker *m)
{
    return json_pack("{s:s, s:[{s:s, s:[s,s,s], s:o}]}", "Version", "2012-10-17", "Statement", "Effect", "Allow",
                     "Action", "logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents", "Resource",
                     json_sprintf("arn:%s:logs:%s:%s:log-group:/aws/eks/%s/flow:*", m->partition, m->s->region,
                                  m->s->account, m->prefix));
}

static void add_flow_logs(struct maker *m)
{
    bool own = *m->s->flow_log_role;
    add(m, "aws_log_group", "flow", json_pack("{s:i}", "days", 30), NULL);
    if (!own)
        add_role(m, "flow-logs", "vpc-flow-logs.amazonaws.com", NULL, flow_logs_policy(m));
    add(m, "aws_flow_log", "main",
        json_pack("{s:s, s:s, s:s, s:s}", "vpc", m->vpc, "group", "${aws_log_group.flow.name}", "role",
                  own ? m->s->flow_log_role : "${aws_role.flow-logs.arn}", "traffic", "ALL"),
        NULL);
}

static void add_link(struct maker *m)
{
    const json_t *who = m->s->link_principals;
    add(m, "aws_endpoint_service", "main",
        json_pack("{s:[s], s:b, s:o}", "load_balancers", m->s->load_balancer, "acceptance", m->s->link_acceptance,
                  "principals", who ? json_deep_copy(who) : json_array()),
        NULL);
}

/* Scaling only the groups of this cluster. */
static json_t *autoscaler_policy(struct maker *m)
{
    return json_pack("{s:s, s:[{s:s, s:[s,s,s,s,s], s:s}, {s:s, s:[s,s], s:s, s:{s:{s:s}}}]}", "Version", "2012-10-17",
                     "Statement", "Effect", "Allow", "Action", "autoscaling:DescribeAutoScalingGroups",
                     "autoscaling:DescribeAutoScalingInstances", "autoscaling:DescribeTags",
                     "ec2:DescribeInstanceTypes", "eks:DescribeNodegroup", "Resource", "*", "Effect", "Allow", "Action",
                     "autoscaling:SetDesiredCapacity", "autoscaling:TerminateInstanceInAutoScalingGroup", "Resource",
                     "*", "Condition", "StringEquals", "aws:ResourceTag/eks:cluster-name", m->prefix);
}

static void add_identities(struct maker *m)
{
    static const char *const cluster[] = {"AmazonEKSClusterPolicy", NULL};
    static const char *const node[] = {"AmazonEC2ContainerRegistryPullOnly", "AmazonEKSWorkerNodePolicy",
                                       "AmazonEKS_CNI_Policy", NULL};
    static const char *const volumes[] = {"service-role/AmazonEBSCSIDriverPolicy", NULL};
    if (!*m->s->cluster_role)
        add_role(m, "cluster", "eks.amazonaws.com", cluster, NULL);
    if (!*m->s->node_role) {
        add_role(m, "node", "ec2.amazonaws.com", node, NULL);
        add(m, "aws_instance_profile", "node",
            json_pack("{s:s++, s:s}", "path", m->s->role_path, m->prefix, "/", "role", "${aws_role.node.name}"), NULL);
    }
    if (m->s->pod_identities) {
        add_role(m, "volumes", "pods.eks.amazonaws.com", volumes, NULL);
        add_role(m, "autoscaler", "pods.eks.amazonaws.com", NULL, autoscaler_policy(m));
    }
}

/* EKS's own prefix mode for the network plugin, and addresses one by one where the range is small. */
static const char *network_settings(const struct maker *m)
{
    return m->plan.prefix_mode ? "{\"env\":{\"ENABLE_PREFIX_DELEGATION\":\"true\",\"WARM_PREFIX_TARGET\":\"1\"}}"
                               : "{\"env\":{\"MINIMUM_IP_TARGET\":\"10\",\"WARM_IP_TARGET\":\"2\"}}";
}

/* Goes after the cluster, which would make it again, and before the network. The volumes stand on nothing: where data
 * are kept, only they are. */
static void add_leftovers(struct maker *m, const char **ret_cluster_after)
{
    const char *const vpc[] = {"aws_vpc.main", NULL};
    char first[32];
    snprintf(first, sizeof(first), "aws_subnet.private-%c", m->s->zones[0]);
    add(m, "aws_ingress", "main", json_object(), m->s->vpc ? NULL : (const char *const[]){first, NULL});
    add(m, "aws_cluster_groups", "main", json_object(), m->s->vpc ? NULL : vpc);
    add(m, "aws_cluster_volumes", "main", json_object(), NULL);
    ret_cluster_after[0] = "aws_ingress.main";
    ret_cluster_after[1] = "aws_cluster_groups.main";
    ret_cluster_after[2] = "aws_cluster_volumes.main";
}

static void add_cluster(struct maker *m)
{
    const char *role = *m->s->cluster_role ? m->s->cluster_role : "${aws_role.cluster.arn}";
    const char *after[] = {"aws_log_group.cluster", NULL, NULL, NULL, NULL};
    char services[CIDR_TEXT];
    cidr_text(&m->plan.services, services);
    if (m->s->removal)
        add_leftovers(m, after + 1);
    add(m, "aws_eks_cluster", "main",
        json_pack("{s:s, s:s, s:O, s:[s], s:b, s:b, s:s, s:s, s:[s,s,s,s,s]}", "role", role, "version",
                  m->s->kubernetes, "subnets", m->private_ids, "security_groups", "${aws_security_group.cluster.id}",
                  "private", true, "public", false, "service_cidr", services, "key", m->key, "logs", "api", "audit",
                  "authenticator", "controllerManager", "scheduler"),
        after);
    add(m, "aws_oidc_provider", "cluster",
        json_pack("{s:s, s:[s]}", "url", "${aws_eks_cluster.main.issuer}", "clients", "sts.amazonaws.com"), NULL);
}

static void add_nodes(struct maker *m)
{
    static const struct {
        const char *name, *image, *instance, *pool;
        int min, max, disk;
    } groups[] = {{"system", "AL2023_x86_64_STANDARD", "m7i.2xlarge", "system", 3, 6, 100},
                  {"server", "AL2023_ARM_64_STANDARD", "m7g.4xlarge", "server", 0, 60, 100},
                  {"keeper", "AL2023_ARM_64_STANDARD", "m7g.xlarge", "keeper", 3, 30, 100},
                  {"monitoring", "AL2023_ARM_64_STANDARD", "r7g.2xlarge", "monitoring", 1, 3, 200}};
    const char *role = *m->s->node_role ? m->s->node_role : "${aws_role.node.arn}";
    const char *const after[] = {"aws_eks_cluster.main", m->s->addons ? "aws_addon.vpc-cni" : NULL, NULL};
    for (size_t i = 0; i < ARRAY_SIZE(groups); i++)
        add(m, "aws_node_group", groups[i].name,
            json_pack("{s:s, s:O, s:s, s:[s], s:i, s:{s:s}, s:i, s:i, s:s}", "role", role, "subnets", m->private_ids,
                      "image", groups[i].image, "instances", groups[i].instance, "disk_gb", groups[i].disk, "labels",
                      "ownhouse.pool", groups[i].pool, "min", groups[i].min, "max", groups[i].max, "version",
                      "${aws_eks_cluster.main.version}"), /* upgraded after the cluster */
            after);
}

static void add_inside(struct maker *m)
{
    static const char *const cluster[] = {"aws_eks_cluster.main", NULL};
    static const char *const nodes[] = {"aws_node_group.system", NULL};
    if (m->s->addons) {
        add(m, "aws_addon", "vpc-cni", json_pack("{s:s}", "settings", network_settings(m)), cluster);
        add(m, "aws_addon", "kube-proxy", json_object(), cluster);
        add(m, "aws_addon", "coredns", json_object(), nodes);
        add(m, "aws_addon", "eks-pod-identity-agent", json_object(), nodes);
        /* Its volumes carry our tag, so that none is left behind unseen. */
        add(m, "aws_addon", "aws-ebs-csi-driver",
            json_pack("{s:o}", "settings",
                      json_sprintf("{\"controller\":{\"extraVolumeTags\":{\"%s\":\"%s\"}}}", AWS_TAG_INFRASTRUCTURE,
                                   m->s->infrastructure)),
            nodes);
    }
    if (m->s->pod_identities) {
        const char *const agent[] = {m->s->addons ? "aws_addon.eks-pod-identity-agent" : "aws_eks_cluster.main", NULL};
        add(m, "aws_pod_identity", "volumes",
            json_pack("{s:s, s:s, s:s}", "namespace", "kube-system", "account", "ebs-csi-controller-sa", "role",
                      "${aws_role.volumes.arn}"),
            agent);
        add(m, "aws_pod_identity", "autoscaler",
            json_pack("{s:s, s:s, s:s}", "namespace", "kube-system", "account", "cluster-autoscaler", "role",
                      "${aws_role.autoscaler.arn}"),
            agent);
        add(m, "aws_pod_identity", "data",
            json_pack("{s:s, s:s, s:s}", "namespace", "ownhouse", "account", "ownhouse-agent", "role", m->s->data_role),
            agent);
    }
    if (m->s->access_entry)
        add(m, "aws_access_entry", "bootstrap",
            json_pack("{s:s, s:b}", "principal", m->s->bootstrap_role, "admin", true), cluster);
    if (m->s->bootstrap) {
        const char *const ready[] = {"aws_node_group.system", m->s->access_entry ? "aws_access_entry.bootstrap" : NULL,
                                     NULL};
        add(m, "aws_bootstrap", "agent",
            json_pack("{s:s, s:O}", "launch_template", m->s->launch_template, "subnet",
                      json_array_get(m->private_ids, 0)),
            ready);
    }
}

static void add_names(struct maker *m)
{
    add(m, "aws_hosted_zone", "main", json_pack("{s:s}", "name", m->s->domain), NULL);
    add(m, "aws_dns_record", "owner",
        json_pack("{s:s, s:s+, s:s, s:i, s:[o]}", "zone", "${aws_hosted_zone.main.id}", "name", "_ownhouse.",
                  m->s->domain, "type", "TXT", "ttl", 300, "values",
                  json_sprintf("\"infrastructure=%s\"", m->s->infrastructure)),
        NULL);
}

int cloud_aws_graph_add(const struct aws_settings *s, struct plan_graph *g, struct err *err)
{
    struct cidr range;
    struct maker m = {.s = s, .g = g, .err = err, .private_ids = json_array()};
    snprintf(m.prefix, sizeof(m.prefix), "oh-%.8s", s->infrastructure);
    snprintf(m.partition, sizeof(m.partition), "%s",
             !strncmp(s->region, "cn-", 3)       ? "aws-cn"
             : !strncmp(s->region, "us-gov-", 7) ? "aws-us-gov"
                                                 : "aws");
    m.r = cidr_parse(s->cidr, &range, err);
    if (m.r == 0)
        m.r = cidr_plan(&range, &m.plan, err);
    if (m.r == 0)
        add_network(&m);
    if (m.r == 0)
        add_storage(&m);
    if (m.r == 0 && s->peer_vpc)
        add_peering(&m);
    if (m.r == 0 && s->flow_logs && !s->vpc)
        add_flow_logs(&m);
    if (m.r == 0 && s->load_balancer)
        add_link(&m);
    if (m.r == 0 && s->cluster) {
        add(&m, "aws_log_group", "cluster", json_pack("{s:i}", "days", 90), NULL);
        add_identities(&m);
        add_cluster(&m);
        add_nodes(&m);
        add_inside(&m);
    }
    if (m.r == 0 && s->hosted_zone)
        add_names(&m);
    json_decref(m.private_ids);
    return m.r;
}

int cloud_aws_graph(const struct aws_settings *s, struct plan_graph **ret, struct err *err)
{
    struct plan_graph *g = plan_graph_new();
    int r = cloud_aws_graph_add(s, g, err);
    if (r == 0)
        r = plan_graph_check(g, cloud_aws_types, err);
    if (r == 0)
        *ret = g;
    else
        plan_graph_free(g);
    return r;
}
