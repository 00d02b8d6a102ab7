/* What one plan needs: the session policies of its phases, and the list of IAM actions that its approver reads. */
#include "base/mem.h"
#include "cloud/aws/policy.h"

/* The actions of a resource type by phase. Session policies name services and resources; a role's own policy has the
 * fine bounds, and a session can only take away from it. */
static const struct {
    const char *type;
    const char *service; /* prefix of the session's actions */
    const char *create, *change, *destroy;
} uses[] = {
    {"aws_vpc", "ec2", "ec2:CreateVpc ec2:CreateTags ec2:ModifyVpcAttribute", "ec2:ModifyVpcAttribute",
     "ec2:DeleteVpc"},
    {"aws_subnet", "ec2", "ec2:CreateSubnet ec2:CreateTags ec2:ModifySubnetAttribute",
     "ec2:CreateTags ec2:ModifySubnetAttribute", "ec2:DeleteNetworkInterface ec2:DeleteSubnet"},
    {"aws_internet_gateway", "ec2", "ec2:AttachInternetGateway ec2:CreateInternetGateway ec2:CreateTags",
     "ec2:AttachInternetGateway ec2:DetachInternetGateway", "ec2:DeleteInternetGateway ec2:DetachInternetGateway"},
    {"aws_elastic_ip", "ec2", "ec2:AllocateAddress ec2:CreateTags", "", "ec2:ReleaseAddress"},
    {"aws_nat_gateway", "ec2", "ec2:CreateNatGateway ec2:CreateTags", "", "ec2:DeleteNatGateway"},
    {"aws_route_table", "ec2", "ec2:AssociateRouteTable ec2:CreateRoute ec2:CreateRouteTable ec2:CreateTags",
     "ec2:AssociateRouteTable ec2:CreateRoute ec2:DeleteRoute ec2:DisassociateRouteTable ec2:ReplaceRoute",
     "ec2:DeleteRouteTable ec2:DisassociateRouteTable"},
    {"aws_vpc_endpoint", "ec2", "ec2:CreateTags ec2:CreateVpcEndpoint", "ec2:ModifyVpcEndpoint",
     "ec2:DeleteVpcEndpoints"},
    {"aws_security_group", "ec2",
     "ec2:AuthorizeSecurityGroupEgress ec2:AuthorizeSecurityGroupIngress ec2:CreateSecurityGroup ec2:CreateTags "
     "ec2:RevokeSecurityGroupEgress",
     "ec2:AuthorizeSecurityGroupEgress ec2:AuthorizeSecurityGroupIngress ec2:RevokeSecurityGroupEgress "
     "ec2:RevokeSecurityGroupIngress",
     "ec2:DeleteNetworkInterface ec2:DeleteSecurityGroup ec2:RevokeSecurityGroupIngress"},
    {"aws_kms_key", "kms", "kms:CreateAlias kms:CreateKey kms:EnableKeyRotation kms:TagResource",
     "kms:CreateAlias kms:EnableKeyRotation", "kms:DeleteAlias kms:ScheduleKeyDeletion"},
    {"aws_bucket", "s3",
     "s3:CreateBucket s3:PutBucketOwnershipControls s3:PutBucketPublicAccessBlock s3:PutBucketTagging "
     "s3:PutBucketVersioning "
     "s3:PutEncryptionConfiguration s3:PutLifecycleConfiguration",
     "s3:PutBucketOwnershipControls s3:PutBucketPublicAccessBlock s3:PutBucketTagging s3:PutBucketVersioning "
     "s3:PutEncryptionConfiguration s3:PutLifecycleConfiguration",
     "s3:DeleteBucket s3:DeleteObject s3:DeleteObjectVersion s3:ListBucketVersions"},
    {"aws_log_group", "logs", "logs:CreateLogGroup logs:PutRetentionPolicy logs:TagResource", "logs:PutRetentionPolicy",
     "logs:DeleteLogGroup"},
    {"aws_role", "iam", "iam:AttachRolePolicy iam:CreateRole iam:PutRolePolicy iam:TagRole",
     "iam:AttachRolePolicy iam:DetachRolePolicy iam:PutRolePolicy",
     "iam:DeleteRole iam:DeleteRolePolicy iam:DetachRolePolicy"},
    {"aws_instance_profile", "iam",
     "iam:AddRoleToInstanceProfile iam:CreateInstanceProfile iam:PassRole iam:TagInstanceProfile",
     "iam:AddRoleToInstanceProfile iam:PassRole iam:RemoveRoleFromInstanceProfile",
     "iam:DeleteInstanceProfile iam:RemoveRoleFromInstanceProfile"},
    {"aws_oidc_provider", "iam", "iam:CreateOpenIDConnectProvider iam:TagOpenIDConnectProvider", "",
     "iam:DeleteOpenIDConnectProvider"},
    {"aws_eks_cluster", "eks", "eks:CreateCluster eks:TagResource iam:CreateServiceLinkedRole iam:PassRole",
     "eks:UpdateClusterConfig eks:UpdateClusterVersion", "eks:DeleteCluster"},
    {"aws_node_group", "eks", "eks:CreateNodegroup eks:TagResource iam:CreateServiceLinkedRole iam:PassRole",
     "eks:UpdateNodegroupConfig eks:UpdateNodegroupVersion", "eks:DeleteNodegroup"},
    {"aws_addon", "eks", "eks:CreateAddon eks:TagResource", "eks:UpdateAddon", "eks:DeleteAddon"},
    {"aws_pod_identity", "eks", "eks:CreatePodIdentityAssociation eks:TagResource iam:PassRole", "",
     "eks:DeletePodIdentityAssociation"},
    {"aws_access_entry", "eks", "eks:AssociateAccessPolicy eks:CreateAccessEntry eks:TagResource",
     "eks:AssociateAccessPolicy", "eks:DeleteAccessEntry"},
    {"aws_bootstrap", "ec2", "ec2:CreateTags ec2:RunInstances eks:TagResource iam:PassRole", "",
     "ec2:TerminateInstances eks:UntagResource"},
    {"aws_hosted_zone", "route53", "route53:ChangeTagsForResource route53:CreateHostedZone", "",
     "route53:ChangeResourceRecordSets route53:DeleteHostedZone route53:ListResourceRecordSets"},
    {"aws_dns_record", "route53", "route53:ChangeResourceRecordSets", "route53:ChangeResourceRecordSets",
     "route53:ChangeResourceRecordSets"},
    {"aws_vpc_peering", "ec2", "ec2:AcceptVpcPeeringConnection ec2:CreateTags ec2:CreateVpcPeeringConnection",
     "ec2:AcceptVpcPeeringConnection", "ec2:DeleteVpcPeeringConnection"},
    {"aws_peering_dns", "ec2", "ec2:ModifyVpcPeeringConnectionOptions", "ec2:ModifyVpcPeeringConnectionOptions",
     "ec2:ModifyVpcPeeringConnectionOptions"},
    {"aws_endpoint_service", "ec2",
     "ec2:CreateTags ec2:CreateVpcEndpointServiceConfiguration ec2:ModifyVpcEndpointServicePermissions",
     "ec2:ModifyVpcEndpointServiceConfiguration ec2:ModifyVpcEndpointServicePermissions",
     "ec2:DeleteVpcEndpointServiceConfigurations ec2:RejectVpcEndpointConnections"},
    {"aws_flow_log", "ec2", "ec2:CreateFlowLogs ec2:CreateTags iam:PassRole", "", "ec2:DeleteFlowLogs"},
    {"aws_ingress", "elasticloadbalancing", "", "", "elasticloadbalancing:DeleteLoadBalancer"},
    {"aws_cluster_groups", "ec2", "", "", "ec2:DeleteSecurityGroup"},
    {"aws_cluster_volumes", "ec2", "", "", "ec2:DeleteVolume"},
};

static void add_words(json_t *set, const char *text)
{
    while (*text) {
        size_t n = strcspn(text, " ");
        autofree char *word = mem_strndup(text, n);
        if (n)
            json_object_set_new(set, word, json_true());
        text += n + (text[n] == ' ');
    }
}

/* What a change needs in a phase; a create may find half of itself and finish it by changing. What belongs to a service
 * is made and removed by the operate role, but for the removal of everything (aws_service_phase). */
static void uses_of(const char *key, const char *action, enum aws_phase phase, bool removal, json_t *set)
{
    size_t n = strcspn(key, ".");
    bool make = !strcmp(action, "create"), change = !strcmp(action, "change"), replace = !strcmp(action, "replace");
    bool of_service = key[n] && aws_of_service(key + n + 1);
    enum aws_phase maker = of_service ? AWS_OPERATE : AWS_PROVISION;
    enum aws_phase remover = of_service && !removal ? AWS_OPERATE : AWS_REMOVE;
    for (size_t i = 0; i < ARRAY_SIZE(uses); i++) {
        if (strlen(uses[i].type) != n || strncmp(uses[i].type, key, n))
            continue;
        if (phase == maker && (make || replace))
            add_words(set, uses[i].create);
        if (phase == AWS_OPERATE && (make || change || replace))
            add_words(set, uses[i].change);
        if (phase == remover && (!strcmp(action, "destroy") || replace))
            add_words(set, uses[i].destroy);
    }
}

static json_t *all_uses(const json_t *document, enum aws_phase phase)
{
    json_t *set = json_object(), *c;
    const char *kind = json_string_value(json_object_get(document, "kind"));
    bool removal = kind && !strcmp(kind, "destroy");
    size_t i;
    json_array_foreach(json_object_get(document, "changes"), i, c)
    {
        const char *key = json_string_value(json_object_get(c, "resource"));
        const char *action = json_string_value(json_object_get(c, "action"));
        if (key && action)
            uses_of(key, action, phase, removal, set);
    }
    return set;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static json_t *sorted_keys(json_t *set)
{
    size_t n = 0;
    autofree const char **names = mem_alloc((json_object_size(set) + 1) * sizeof(*names));
    json_t *list = json_array(), *v;
    const char *key;
    json_object_foreach(set, key, v) names[n++] = key;
    qsort(names, n, sizeof(*names), by_text);
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, json_string(names[i]));
    return list;
}

json_t *aws_plan_roles(const json_t *document)
{
    json_t *list = json_array();
    for (enum aws_phase i = AWS_PROVISION; i < AWS_PHASES; i++) {
        autojson json_t *set = all_uses(document, i);
        if (json_object_size(set))
            json_array_append_new(list,
                                  json_pack("{s:s, s:o}", "role", aws_phase_names[i], "actions", sorted_keys(set)));
    }
    return list;
}

/* The services' actions of the plan as they are, or, where a plan touches so much that they do not fit, by service. */
static json_t *short_actions(const json_t *actions)
{
    autojson json_t *set = json_object();
    size_t i;
    json_t *v;
    json_array_foreach(actions, i, v)
    {
        const char *text = json_string_value(v);
        autofree char *service = mem_printf("%.*s:*", (int)strcspn(text, ":"), text);
        json_object_set_new(set, service, json_true());
    }
    return sorted_keys(set);
}

static json_t *named_resources(const struct aws_settings *s)
{
    char prefix[16];
    snprintf(prefix, sizeof(prefix), "oh-%.8s", s->infrastructure);
    const char *p = !strncmp(s->region, "cn-", 3) ? "aws-cn" : !strncmp(s->region, "us-gov-", 7) ? "aws-us-gov" : "aws";
    json_t *list = json_array();
    json_array_append_new(list, json_sprintf("arn:%s:ec2:%s:%s:*", p, s->region, s->account));
    json_array_append_new(list, json_sprintf("arn:%s:ec2:%s::image/*", p, s->region));
    json_array_append_new(list, json_sprintf("arn:%s:eks:%s:%s:*/%s*", p, s->region, s->account, prefix));
    json_array_append_new(list, json_sprintf("arn:%s:kms:%s:%s:*", p, s->region, s->account));
    json_array_append_new(list,
                          json_sprintf("arn:%s:logs:%s:%s:log-group:/aws/eks/%s*", p, s->region, s->account, prefix));
    json_array_append_new(list, json_sprintf("arn:%s:s3:::%s-*", p, prefix));
    json_array_append_new(list, json_sprintf("arn:%s:iam::%s:*", p, s->account));
    json_array_append_new(list, json_sprintf("arn:%s:route53:::hostedzone/*", p));
    json_array_append_new(list, json_sprintf("arn:%s:elasticloadbalancing:%s:%s:*", p, s->region, s->account));
    return list;
}

static bool fits(const json_t *v)
{
    autofree char *text = js_text(v);
    return strlen(text) <= AWS_SESSION_MAX;
}

static json_t *session(const struct aws_settings *s, json_t *actions)
{
    /* What has no resource of its own to name; and, for the removal's looking around, reading. */
    return json_pack("{s:s, s:[{s:s, s:o, s:o}, {s:s, s:[s,s,s], s:s}, {s:s, s:s, s:s}]}", "Version", "2012-10-17",
                     "Statement", "Effect", "Allow", "Action", actions, "Resource", named_resources(s), "Effect",
                     "Allow", "Action", "eks:CreateCluster", "kms:CreateKey", "route53:CreateHostedZone", "Resource",
                     "*", "Effect", "Allow", "Action", "ec2:Describe*", "Resource", "*");
}

int aws_session_policy(const struct aws_settings *s, const json_t *document, enum aws_phase phase, char **ret,
                       struct err *err)
{
    autojson json_t *set = all_uses(document, phase), *actions OH_CLEANUP(js_decrefp) = sorted_keys(set),
                    *policy OH_CLEANUP(js_decrefp) = NULL;
    *ret = NULL;
    if (!json_array_size(actions))
        return 0;
    policy = session(s, json_incref(actions));
    if (!fits(policy)) {
        json_decref(policy);
        policy = session(s, short_actions(actions));
    }
    if (!fits(policy))
        return err_set(err, -E2BIG, "the plan's session policy for the role %s is longer than 2,048 characters",
                       aws_phase_names[phase]);
    *ret = js_text(policy);
    return 0;
}
