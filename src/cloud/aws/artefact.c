/* Writes the customer's artefact as a CloudFormation template and as a Terraform module. */
#include "cloud/aws/artefact.h"

#include "base/mem.h"

static const struct {
    const char *feature, *parameter, *variable, *help;
    bool on;
} choices[] = {
    {"network", "MakeNetwork", "make_network", "OwnHouse makes the network (false: it is your own and only looked at)",
     true},
    {"identities", "MakeIdentities", "make_identities",
     "OwnHouse makes the cluster's and nodes' roles, within the boundary", true},
    {"key", "MakeKey", "make_key", "OwnHouse makes the KMS key (false: you name your own)", true},
    {"cluster", "MakeCluster", "make_cluster", "An EKS cluster with its node groups", true},
    {"zone", "MakeZone", "make_zone", "A Route 53 zone", false},
    {"connections", "MakeConnections", "make_connections", "VPC peering, a PrivateLink endpoint service and flow logs",
     false},
    {"data", "DeleteData", "delete_data", "The remove role may delete buckets with their data and the key", false},
};

#define INFRASTRUCTURE_PART "The first eight characters of the infrastructure's id"
#define AGENT_ZONE "Id of your Route 53 zone for the agent's names and ACME challenges (empty: none)"

/* What user data does: one thing, then it shuts the instance down, which terminates it. */
static const char user_data[] =
    "#!/bin/bash\n"
    "trap 'shutdown -h now' EXIT\n"
    "set -euo pipefail\n"
    "token=$(curl -fsS -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 600' http://169.254.169.254/latest/api/token)\n"
    "meta() { curl -fsS -H \"X-aws-ec2-metadata-token: $token\" \"http://169.254.169.254/latest/meta-data/$1\"; }\n"
    "infrastructure=$(meta tags/instance/ownhouse:infrastructure)\n"
    "aws eks update-kubeconfig --region \"$(meta placement/region)\" --name \"oh-${infrastructure:0:8}\"\n"
    "curl -fsS -o /tmp/agent.yaml \"@URL@\"\n"
    "echo \"@SHA@  /tmp/agent.yaml\" | sha256sum -c -\n"
    "kubectl apply -f /tmp/agent.yaml\n";

static char *replaced(const char *text, const char *what, const char *with)
{
    struct buf b = BUF_INIT;
    for (const char *at; (at = strstr(text, what)); text = at + strlen(what)) {
        buf_add(&b, text, (size_t)(at - text));
        buf_adds(&b, with);
    }
    buf_adds(&b, text);
    return buf_take(&b);
}

static json_t *service_trust(const char *service, bool tags)
{
    json_t *action = tags ? json_pack("[s,s]", "sts:AssumeRole", "sts:TagSession") : json_string("sts:AssumeRole");
    return json_pack("{s:s, s:[{s:s, s:{s:s}, s:o}]}", "Version", "2012-10-17", "Statement", "Effect", "Allow",
                     "Principal", "Service", service, "Action", action);
}

static json_t *bootstrap_policy(const char *partition, const char *account)
{
    return json_pack("{s:s, s:[{s:s, s:s, s:o}]}", "Version", "2012-10-17", "Statement", "Effect", "Allow", "Action",
                     "eks:DescribeCluster", "Resource",
                     json_sprintf("arn:%s:eks:*:%s:cluster/oh-*", partition, account));
}

/* What the agent's own names role needs in a zone that the customer names; the pods of services have the same role, but
 * another namespace. */
static json_t *zone_policy(const char *partition, const char *zone)
{
    return json_pack(
        "{s:s, s:[{s:s, s:s, s:[s,s], s:o, s:{s:{s:s}, s:{s:[s,s,s,s]}}}, {s:s, s:s, s:s, s:o, s:{s:{s:s}}}]}",
        "Version", "2012-10-17", "Statement", "Sid", "Zone", "Effect", "Allow", "Action",
        "route53:ChangeResourceRecordSets", "route53:ListResourceRecordSets", "Resource",
        json_sprintf("arn:%s:route53:::hostedzone/%s", partition, zone), "Condition", "StringEquals",
        "aws:PrincipalTag/kubernetes-namespace", "ownhouse", "ForAllValues:StringEquals",
        "route53:ChangeResourceRecordSetsRecordTypes", "A", "AAAA", "CNAME", "TXT", "Sid", "Settled", "Effect", "Allow",
        "Action", "route53:GetChange", "Resource", json_sprintf("arn:%s:route53:::change/*", partition), "Condition",
        "StringEquals", "aws:PrincipalTag/kubernetes-namespace", "ownhouse");
}

/* --- CloudFormation --- */

/* Texts with ${AWS::...} or ${RolePath} become Fn::Sub; IAM's own variables are escaped in them. */
static json_t *substituted(const json_t *v)
{
    const char *key;
    json_t *child, *out;
    size_t i;
    if (json_is_object(v)) {
        out = json_object();
        json_object_foreach((json_t *)(uintptr_t)v, key, child) json_object_set_new(out, key, substituted(child));
        return out;
    }
    if (json_is_array(v)) {
        out = json_array();
        json_array_foreach(v, i, child) json_array_append_new(out, substituted(child));
        return out;
    }
    const char *text = json_string_value(v);
    if (!text || (!strstr(text, "${AWS::") && !strstr(text, "${RolePath}") && !strstr(text, "${AgentZone}")))
        return json_deep_copy(v);
    autofree char *escaped = replaced(text, "${aws:", "${!aws:");
    return json_pack("{s:s}", "Fn::Sub", escaped);
}

static void resource(json_t *all, const char *id, const char *type, json_t *properties, const char *condition)
{
    json_t *r = json_pack("{s:s, s:o}", "Type", type, "Properties", properties);
    if (condition)
        json_object_set_new(r, "Condition", json_string(condition));
    json_object_set_new(all, id, r);
}

static const char *condition_of(const char *feature)
{
    for (size_t i = 0; i < ARRAY_SIZE(choices); i++)
        if (!strcmp(choices[i].feature, feature))
            return choices[i].parameter;
    return NULL;
}

static json_t *ref(const char *name)
{
    return json_pack("{s:s}", "Ref", name);
}

static json_t *stack_parameters(const char *external_id, const char *controller)
{
    json_t *p = json_pack(
        "{s:{s:s,s:s,s:b,s:i,s:s}, s:{s:s,s:s,s:s}, s:{s:s,s:s,s:s}, s:{s:s,s:s,s:s}, s:{s:s,s:s,s:s}, "
        "s:{s:s,s:s,s:s}, s:{s:s,s:s,s:s}}",
        "ExternalId", "Type", "String", "Default", external_id, "NoEcho", false, "MinLength", 16, "Description",
        "Made by OwnHouse for this account; do not change it", "ControllerArn", "Type", "String", "Default", controller,
        "Description", "Principal of the OwnHouse controller that may take up the roles", "RolePath", "Type", "String",
        "Default", "/ownhouse/", "Description", "IAM path of all roles", "RolesBoundary", "Type", "String", "Default",
        "", "Description", "ARN of a permissions boundary for the four roles themselves (empty: none)",
        "AgentManifestUrl", "Type", "String", "Default", "", "Description",
        "Where the bootstrap instance finds the agent's manifest", "AgentManifestSha256", "Type", "String", "Default",
        "", "Description", "SHA-256 of that manifest, from your signed release list", "AgentZone", "Type", "String",
        "Default", "", "Description", AGENT_ZONE);
    for (size_t i = 0; i < ARRAY_SIZE(choices); i++)
        json_object_set_new(p, choices[i].parameter,
                            json_pack("{s:s, s:s, s:[s,s], s:s}", "Type", "String", "Default",
                                      choices[i].on ? "true" : "false", "AllowedValues", "true", "false", "Description",
                                      choices[i].help));
    return p;
}

static json_t *stack_conditions(void)
{
    json_t *c = json_pack("{s:{s:[{s:[o,s]}]}, s:{s:[{s:[{s:[o,s]}]}, {s:s}]}}", "HasRolesBoundary", "Fn::Not",
                          "Fn::Equals", ref("RolesBoundary"), "", "HasAgentZone", "Fn::And", "Fn::Not", "Fn::Equals",
                          ref("AgentZone"), "", "Condition", "MakeCluster");
    for (size_t i = 0; i < ARRAY_SIZE(choices); i++)
        json_object_set_new(c, choices[i].parameter,
                            json_pack("{s:[o,s]}", "Fn::Equals", ref(choices[i].parameter), "true"));
    return c;
}

static void stack_phase(json_t *all, const struct aws_policy_for *f, enum aws_phase phase)
{
    autojson json_t *parts = aws_policy_generate(f, phase);
    const char *name = aws_phase_names[phase];
    autofree char *role = mem_printf("Role%c%s", name[0] - 'a' + 'A', name + 1);
    autofree char *role_name = mem_printf("ownhouse-%s-%s", f->name, name);
    json_t *part,
        *trust = json_pack("{s:s, s:[{s:s, s:{s:o}, s:s, s:{s:{s:o}}}]}", "Version", "2012-10-17", "Statement",
                           "Effect", "Allow", "Principal", "AWS", ref("ControllerArn"), "Action", "sts:AssumeRole",
                           "Condition", "StringEquals", "sts:ExternalId", ref("ExternalId"));
    size_t i;
    resource(all, role, "AWS::IAM::Role",
             json_pack("{s:s, s:o, s:i, s:o, s:{s:[s,o,o]}, s:[{s:s,s:s},{s:s,s:s}]}", "RoleName", role_name, "Path",
                       ref("RolePath"), "MaxSessionDuration", 3600, "AssumeRolePolicyDocument", trust,
                       "PermissionsBoundary", "Fn::If", "HasRolesBoundary", ref("RolesBoundary"), ref("AWS::NoValue"),
                       "Tags", "Key", "ownhouse:artefact", "Value", AWS_ARTEFACT_VERSION, "Key", "ownhouse:account",
                       "Value", f->name),
             NULL);
    json_array_foreach(parts, i, part)
    {
        const char *feature = json_string_value(json_object_get(part, "feature"));
        autofree char *id = mem_printf("Policy%c%s%zu", name[0] - 'a' + 'A', name + 1, i + 1);
        autofree char *policy = mem_printf("ownhouse-%s-%s-%zu", f->name, name, i + 1);
        resource(all, id, "AWS::IAM::ManagedPolicy",
                 json_pack("{s:s, s:o, s:o, s:[o]}", "ManagedPolicyName", policy, "Path", ref("RolePath"),
                           "PolicyDocument", substituted(json_object_get(part, "document")), "Roles", ref(role)),
                 condition_of(feature));
    }
}

static void stack_rest(json_t *all, const struct aws_policy_for *f)
{
    autojson json_t *boundary = aws_policy_boundary(f), *data OH_CLEANUP(js_decrefp) = aws_policy_data(f),
                    *zone OH_CLEANUP(js_decrefp) = zone_policy(f->partition, "${AgentZone}"),
                    *boot OH_CLEANUP(js_decrefp) = bootstrap_policy(f->partition, f->account);
    autofree char *script = replaced(user_data, "${", "${!"),
                  *urls OH_CLEANUP(oh_freep) = replaced(script, "@URL@", "${AgentManifestUrl}"),
                  *all_set OH_CLEANUP(oh_freep) = replaced(urls, "@SHA@", "${AgentManifestSha256}");
    resource(all, "Boundary", "AWS::IAM::ManagedPolicy",
             json_pack("{s:o, s:o, s:o}", "ManagedPolicyName", json_sprintf("ownhouse-%s-boundary", f->name), "Path",
                       ref("RolePath"), "PolicyDocument", substituted(boundary)),
             NULL);
    resource(all, "RoleData", "AWS::IAM::Role",
             json_pack("{s:o, s:o, s:o, s:[{s:s, s:o}]}", "RoleName", json_sprintf("ownhouse-%s-data", f->name), "Path",
                       ref("RolePath"), "AssumeRolePolicyDocument", service_trust("pods.eks.amazonaws.com", true),
                       "Policies", "PolicyName", "data", "PolicyDocument", substituted(data)),
             "MakeCluster");
    resource(all, "PolicyAgentZone", "AWS::IAM::Policy",
             json_pack("{s:s, s:o, s:[o]}", "PolicyName", "zone", "PolicyDocument", substituted(zone), "Roles",
                       ref("RoleData")),
             "HasAgentZone");
    resource(all, "RoleBootstrap", "AWS::IAM::Role",
             json_pack("{s:o, s:o, s:o, s:[{s:s, s:o}]}", "RoleName", json_sprintf("ownhouse-%s-bootstrap", f->name),
                       "Path", ref("RolePath"), "AssumeRolePolicyDocument", service_trust("ec2.amazonaws.com", false),
                       "Policies", "PolicyName", "describe", "PolicyDocument", substituted(boot)),
             "MakeCluster");
    resource(all, "ProfileBootstrap", "AWS::IAM::InstanceProfile",
             json_pack("{s:o, s:o, s:[o]}", "InstanceProfileName", json_sprintf("ownhouse-%s-bootstrap", f->name),
                       "Path", ref("RolePath"), "Roles", ref("RoleBootstrap")),
             "MakeCluster");
    resource(all, "TemplateBootstrap", "AWS::EC2::LaunchTemplate",
             json_pack("{s:o, s:{s:s, s:s, s:{s:o}, s:s, s:{s:s, s:s, s:i}, s:{s:{s:s}}}}", "LaunchTemplateName",
                       json_sprintf("ownhouse-%s-bootstrap", f->name), "LaunchTemplateData", "ImageId",
                       "{{resolve:ssm:/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-arm64}}",
                       "InstanceType", "t4g.small", "IamInstanceProfile", "Arn",
                       json_pack("{s:[s,s]}", "Fn::GetAtt", "ProfileBootstrap", "Arn"),
                       "InstanceInitiatedShutdownBehavior", "terminate", "MetadataOptions", "HttpTokens", "required",
                       "InstanceMetadataTags", "enabled", "HttpPutResponseHopLimit", 1, "UserData", "Fn::Base64",
                       "Fn::Sub", all_set),
             "MakeCluster");
}

json_t *aws_artefact_cloudformation(const char *name, const char *external_id, const char *controller_arn)
{
    struct aws_policy_for f = aws_policy_whole(name, "${AWS::AccountId}", "${AWS::Partition}", "${RolePath}");
    json_t *all = json_object(), *outputs = json_object();
    for (enum aws_phase i = 0; i < AWS_PHASES; i++) {
        autofree char *id = mem_printf("Role%c%s", aws_phase_names[i][0] - 'a' + 'A', aws_phase_names[i] + 1);
        stack_phase(all, &f, i);
        json_object_set_new(outputs, id, json_pack("{s:{s:[s,s]}}", "Value", "Fn::GetAtt", id, "Arn"));
    }
    stack_rest(all, &f);
    return json_pack("{s:s, s:s, s:o, s:o, s:o, s:o}", "AWSTemplateFormatVersion", "2010-09-09", "Description",
                     "OwnHouse: the roles of one account, artefact version " AWS_ARTEFACT_VERSION, "Parameters",
                     stack_parameters(external_id, controller_arn), "Conditions", stack_conditions(), "Resources", all,
                     "Outputs", outputs);
}

/* --- Terraform --- */

/* The document as text in which our references stand and IAM's own variables are escaped. */
static json_t *template_text(const json_t *doc)
{
    autofree char *text = js_text(doc), *escaped OH_CLEANUP(oh_freep) = replaced(text, "${aws:", "$${aws:");
    return json_string(escaped);
}

static json_t *variables(const char *external_id, const char *controller)
{
    json_t *v = json_pack(
        "{s:{s:s,s:s,s:s}, s:{s:s,s:s,s:s}, s:{s:s,s:s,s:s}, s:{s:s,s:s,s:s}, s:{s:s,s:s,s:s}, s:{s:s,s:s,s:s}, "
        "s:{s:s,s:s,s:s}}",
        "external_id", "type", "string", "default", external_id, "description",
        "Made by OwnHouse for this account; do not change it", "controller_arn", "type", "string", "default",
        controller, "description", "Principal of the OwnHouse controller that may take up the roles", "role_path",
        "type", "string", "default", "/ownhouse/", "description", "IAM path of all roles", "roles_boundary", "type",
        "string", "default", "", "description",
        "ARN of a permissions boundary for the four roles themselves (empty: none)", "agent_manifest_url", "type",
        "string", "default", "", "description", "Where the bootstrap instance finds the agent's manifest",
        "agent_manifest_sha256", "type", "string", "default", "", "description",
        "SHA-256 of that manifest, from your signed release list", "agent_zone", "type", "string", "default", "",
        "description", AGENT_ZONE);
    for (size_t i = 0; i < ARRAY_SIZE(choices); i++)
        json_object_set_new(
            v, choices[i].variable,
            json_pack("{s:s, s:b, s:s}", "type", "bool", "default", choices[i].on, "description", choices[i].help));
    return v;
}

static const char *count_of(const char *feature)
{
    for (size_t i = 0; i < ARRAY_SIZE(choices); i++)
        if (!strcmp(choices[i].feature, feature))
            return choices[i].variable;
    return NULL;
}

static void module_phase(json_t *roles, json_t *policies, json_t *attachments, const struct aws_policy_for *f,
                         enum aws_phase phase)
{
    autojson json_t *parts = aws_policy_generate(f, phase),
                    *trust OH_CLEANUP(js_decrefp) = aws_policy_trust("${var.controller_arn}", "${var.external_id}");
    const char *name = aws_phase_names[phase];
    json_t *part;
    size_t i;
    json_object_set_new(roles, name,
                        json_pack("{s:o, s:s, s:i, s:o, s:s, s:{s:s, s:s}}", "name",
                                  json_sprintf("ownhouse-%s-%s", f->name, name), "path", "${var.role_path}",
                                  "max_session_duration", 3600, "assume_role_policy", template_text(trust),
                                  "permissions_boundary", "${var.roles_boundary == \"\" ? null : var.roles_boundary}",
                                  "tags", "ownhouse:artefact", AWS_ARTEFACT_VERSION, "ownhouse:account", f->name));
    json_array_foreach(parts, i, part)
    {
        const char *variable = count_of(json_string_value(json_object_get(part, "feature")));
        autofree char *id = mem_printf("%s_%zu", name, i + 1);
        json_t *policy =
            json_pack("{s:o, s:s, s:o}", "name", json_sprintf("ownhouse-%s-%s-%zu", f->name, name, i + 1), "path",
                      "${var.role_path}", "policy", template_text(json_object_get(part, "document")));
        json_t *attachment =
            json_pack("{s:o, s:o}", "role", json_sprintf("${aws_iam_role.%s.name}", name), "policy_arn",
                      json_sprintf("${aws_iam_policy.%s%s.arn}", id, variable ? "[0]" : ""));
        if (variable) {
            json_object_set_new(policy, "count", json_sprintf("${var.%s ? 1 : 0}", variable));
            json_object_set_new(attachment, "count", json_sprintf("${var.%s ? 1 : 0}", variable));
        }
        json_object_set_new(policies, id, policy);
        json_object_set_new(attachments, id, attachment);
    }
}

static json_t *module_role(const char *name, const char *kind, json_t *trust)
{
    json_t *v = json_pack("{s:s, s:o, s:s, s:o}", "count", "${var.make_cluster ? 1 : 0}", "name",
                          json_sprintf("ownhouse-%s-%s", name, kind), "path", "${var.role_path}", "assume_role_policy",
                          template_text(trust));
    json_decref(trust);
    return v;
}

static void module_rest(json_t *roles, json_t *policies, json_t *all, json_t *locals, const struct aws_policy_for *f)
{
    autojson json_t *boundary = aws_policy_boundary(f), *data OH_CLEANUP(js_decrefp) = aws_policy_data(f),
                    *zone OH_CLEANUP(js_decrefp) = zone_policy(f->partition, "${var.agent_zone}"),
                    *boot OH_CLEANUP(js_decrefp) = bootstrap_policy(f->partition, f->account);
    autofree char *script = replaced(user_data, "${", "$${"),
                  *urls OH_CLEANUP(oh_freep) = replaced(script, "@URL@", "${var.agent_manifest_url}"),
                  *all_set OH_CLEANUP(oh_freep) = replaced(urls, "@SHA@", "${var.agent_manifest_sha256}");
    json_object_set_new(policies, "boundary",
                        json_pack("{s:o, s:s, s:o}", "name", json_sprintf("ownhouse-%s-boundary", f->name), "path",
                                  "${var.role_path}", "policy", template_text(boundary)));
    json_object_set_new(roles, "data", module_role(f->name, "data", service_trust("pods.eks.amazonaws.com", true)));
    json_object_set_new(roles, "bootstrap",
                        module_role(f->name, "bootstrap", service_trust("ec2.amazonaws.com", false)));
    json_object_set_new(locals, "bootstrap", json_string(all_set));
    json_object_set_new(all, "aws_iam_role_policy",
                        json_pack("{s:{s:s, s:s, s:s, s:o}, s:{s:s, s:s, s:s, s:o}, s:{s:s, s:s, s:s, s:o}}", "data",
                                  "count", "${var.make_cluster ? 1 : 0}", "name", "data", "role",
                                  "${aws_iam_role.data[0].name}", "policy", template_text(data), "zone", "count",
                                  "${var.make_cluster && var.agent_zone != \"\" ? 1 : 0}", "name", "zone", "role",
                                  "${aws_iam_role.data[0].name}", "policy", template_text(zone), "bootstrap", "count",
                                  "${var.make_cluster ? 1 : 0}", "name", "describe", "role",
                                  "${aws_iam_role.bootstrap[0].name}", "policy", template_text(boot)));
    json_object_set_new(all, "aws_iam_instance_profile",
                        json_pack("{s:{s:s, s:o, s:s, s:s}}", "bootstrap", "count", "${var.make_cluster ? 1 : 0}",
                                  "name", json_sprintf("ownhouse-%s-bootstrap", f->name), "path", "${var.role_path}",
                                  "role", "${aws_iam_role.bootstrap[0].name}"));
    json_object_set_new(
        all, "aws_launch_template",
        json_pack("{s:{s:s, s:o, s:s, s:s, s:s, s:{s:s}, s:{s:s, s:s, s:i}, s:o}}", "bootstrap", "count",
                  "${var.make_cluster ? 1 : 0}", "name", json_sprintf("ownhouse-%s-bootstrap", f->name), "image_id",
                  "resolve:ssm:/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-arm64", "instance_type",
                  "t4g.small", "instance_initiated_shutdown_behavior", "terminate", "iam_instance_profile", "arn",
                  "${aws_iam_instance_profile.bootstrap[0].arn}", "metadata_options", "http_tokens", "required",
                  "instance_metadata_tags", "enabled", "http_put_response_hop_limit", 1, "user_data",
                  json_string("${base64encode(local.bootstrap)}")));
}

json_t *aws_artefact_terraform(const char *name, const char *external_id, const char *controller_arn)
{
    struct aws_policy_for f = aws_policy_whole(name, "${data.aws_caller_identity.current.account_id}",
                                               "${data.aws_partition.current.partition}", "${var.role_path}");
    json_t *roles = json_object(), *policies = json_object(), *attachments = json_object(), *all = json_object(),
           *outputs = json_object(), *locals = json_object();
    for (enum aws_phase i = 0; i < AWS_PHASES; i++) {
        module_phase(roles, policies, attachments, &f, i);
        autofree char *id = mem_printf("role_%s", aws_phase_names[i]);
        json_object_set_new(outputs, id,
                            json_pack("{s:o}", "value", json_sprintf("${aws_iam_role.%s.arn}", aws_phase_names[i])));
    }
    module_rest(roles, policies, all, locals, &f);
    json_object_set_new(all, "aws_iam_role", roles);
    json_object_set_new(all, "aws_iam_policy", policies);
    json_object_set_new(all, "aws_iam_role_policy_attachment", attachments);
    return json_pack("{s:{s:s, s:{s:{s:s, s:s}}}, s:o, s:{s:{s:{}}, s:{s:{}}}, s:o, s:o, s:o}", "terraform",
                     "required_version", ">= 1.3", "required_providers", "aws", "source", "hashicorp/aws", "version",
                     ">= 5.0", "variable", variables(external_id, controller_arn), "data", "aws_caller_identity",
                     "current", "aws_partition", "current", "resource", all, "locals", locals, "output", outputs);
}

/* --- the second part: what only the customer may write, once there are buckets --- */

static const char *const bucket_names[] = {"data", "backups", "metrics", "logs"};

/* Nobody without TLS; objects only by the data role, and by AWS's own services, which the buckets name themselves. */
static json_t *bucket_policy(const char *arn, const char *data_role)
{
    return json_pack("{s:s, s:[{s:s, s:s, s:s, s:s, s:[s, s+], s:{s:{s:s}}}, {s:s, s:s, s:s, s:[s,s,s], s:s+, "
                     "s:{s:{s:s}, s:{s:s}}}]}",
                     "Version", "2012-10-17", "Statement", "Sid", "OnlyTls", "Effect", "Deny", "Principal", "*",
                     "Action", "s3:*", "Resource", arn, arn, "/*", "Condition", "Bool", "aws:SecureTransport", "false",
                     "Sid", "OnlyDataRole", "Effect", "Deny", "Principal", "*", "Action", "s3:AbortMultipartUpload",
                     "s3:GetObject*", "s3:PutObject*", "Resource", arn, "/*", "Condition", "ArnNotEquals",
                     "aws:PrincipalArn", data_role, "Bool", "aws:PrincipalIsAWSService", "false");
}

json_t *aws_artefact_buckets_cloudformation(const char *name)
{
    autofree char *role =
        mem_printf("arn:${AWS::Partition}:iam::${AWS::AccountId}:role${RolePath}ownhouse-%s-data", name);
    json_t *all = json_object();
    for (size_t i = 0; i < ARRAY_SIZE(bucket_names); i++) {
        autofree char *bucket = mem_printf("oh-${Infrastructure}-${AWS::AccountId}-%s", bucket_names[i]),
                      *arn OH_CLEANUP(oh_freep) = mem_printf("arn:${AWS::Partition}:s3:::%s", bucket),
                      *id OH_CLEANUP(oh_freep) =
                          mem_printf("Policy%c%s", bucket_names[i][0] - 'a' + 'A', bucket_names[i] + 1);
        autojson json_t *policy = bucket_policy(arn, role);
        resource(all, id, "AWS::S3::BucketPolicy",
                 json_pack("{s:{s:s}, s:o}", "Bucket", "Fn::Sub", bucket, "PolicyDocument", substituted(policy)), NULL);
    }
    return json_pack("{s:s, s:s, s:{s:{s:s,s:s,s:s}, s:{s:s,s:s,s:s}}, s:o}", "AWSTemplateFormatVersion", "2010-09-09",
                     "Description",
                     "OwnHouse: the policies of one infrastructure's buckets, artefact version " AWS_ARTEFACT_VERSION,
                     "Parameters", "Infrastructure", "Type", "String", "AllowedPattern", "^[0-9a-f]{8}$", "Description",
                     INFRASTRUCTURE_PART, "RolePath", "Type", "String", "Default", "/ownhouse/", "Description",
                     "IAM path of all roles", "Resources", all);
}

json_t *aws_artefact_buckets_terraform(const char *name)
{
    autofree char *role = mem_printf("arn:${data.aws_partition.current.partition}:iam::${data.aws_caller_identity."
                                     "current.account_id}:role${var.role_path}ownhouse-%s-data",
                                     name);
    json_t *policies = json_object();
    for (size_t i = 0; i < ARRAY_SIZE(bucket_names); i++) {
        autofree char *bucket = mem_printf("oh-${var.infrastructure}-${data.aws_caller_identity.current.account_id}-%s",
                                           bucket_names[i]),
                      *arn OH_CLEANUP(oh_freep) =
                          mem_printf("arn:${data.aws_partition.current.partition}:s3:::%s", bucket);
        autojson json_t *policy = bucket_policy(arn, role);
        json_object_set_new(policies, bucket_names[i],
                            json_pack("{s:s, s:o}", "bucket", bucket, "policy", template_text(policy)));
    }
    return json_pack("{s:{s:s, s:{s:{s:s, s:s}}}, s:{s:{s:s,s:s}, s:{s:s,s:s,s:s}}, s:{s:{s:{}}, s:{s:{}}}, s:{s:o}}",
                     "terraform", "required_version", ">= 1.3", "required_providers", "aws", "source", "hashicorp/aws",
                     "version", ">= 5.0", "variable", "infrastructure", "type", "string", "description",
                     INFRASTRUCTURE_PART, "role_path", "type", "string", "default", "/ownhouse/", "description",
                     "IAM path of all roles", "data", "aws_caller_identity", "current", "aws_partition", "current",
                     "resource", "aws_s3_bucket_policy", policies);
}
