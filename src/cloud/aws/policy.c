/* Generates the roles' policies from the table of rights, and lints and compares policies. */
#include "cloud/aws/policy.h"

#include "base/mem.h"
#include "cloud/aws/rights.h"

/* Replaces {P}, {A}, {N}, {R}. */
struct aws_policy_for aws_policy_whole(const char *name, const char *account, const char *partition,
                                       const char *role_path)
{
    return (struct aws_policy_for){.name = name,
                                   .account = account,
                                   .partition = partition,
                                   .role_path = role_path,
                                   .network = true,
                                   .identities = true,
                                   .key = true,
                                   .cluster = true,
                                   .hosted_zone = true,
                                   .interface_endpoints = true,
                                   .delete_data = true,
                                   .connections = true};
}

static char *filled(const struct aws_policy_for *f, const char *text)
{
    struct buf b = BUF_INIT;
    for (; *text; text++) {
        const char *value = NULL;
        if (text[0] == '{' && text[1] && text[2] == '}')
            value = text[1] == 'P'   ? f->partition
                    : text[1] == 'A' ? f->account
                    : text[1] == 'N' ? f->name
                    : text[1] == 'R' ? f->role_path
                                     : NULL;
        if (value) {
            buf_adds(&b, value);
            text += 2;
        } else {
            buf_addc(&b, *text);
        }
    }
    return buf_take(&b);
}

static json_t *words(const char *text)
{
    json_t *list = json_array();
    while (*text) {
        size_t n = strcspn(text, " ");
        if (n)
            json_array_append_new(list, json_stringn(text, n));
        text += n + (text[n] == ' ');
    }
    return list;
}

static json_t *one_or_list(json_t *list)
{
    json_t *v = json_array_size(list) == 1 ? json_incref(json_array_get(list, 0)) : json_incref(list);
    json_decref(list);
    return v;
}

static bool applies(const struct aws_policy_for *f, const struct aws_right *r)
{
    switch (r->feature) {
    case AWS_ALWAYS:
        return true;
    case AWS_F_NETWORK:
        return f->network;
    case AWS_F_IDENTITIES:
        return f->identities && f->cluster;
    case AWS_F_KEY:
        return f->key;
    case AWS_F_CLUSTER:
        return f->cluster;
    case AWS_F_ZONE:
        return f->hosted_zone;
    case AWS_F_DELETE_DATA:
        return f->delete_data;
    case AWS_F_CONNECTIONS:
        return f->connections;
    }
    return false;
}

static json_t *statement(const struct aws_policy_for *f, const struct aws_right *r)
{
    autofree char *resources = filled(f, r->resources),
                  *condition OH_CLEANUP(oh_freep) = r->condition ? filled(f, r->condition) : NULL;
    json_t *v = json_pack("{s:s, s:s, s:o, s:o}", "Sid", r->sid, "Effect", "Allow", "Action",
                          one_or_list(words(r->actions)), "Resource", one_or_list(words(resources))),
           *c;
    if (condition && js_parse(condition, strlen(condition), KIB(8), &c, NULL) == 0)
        json_object_set_new(v, "Condition", c);
    return v;
}

static json_t *document(void)
{
    return json_pack("{s:s, s:[]}", "Version", "2012-10-17", "Statement");
}

static size_t size_of(const json_t *v)
{
    autofree char *text = js_text(v);
    return strlen(text);
}

/* Whatever else a role is given: not the data, and not its own fence. */
static json_t *denied(void)
{
    return json_pack("{s:s, s:s, s:[s,s,s,s,s,s,s,s,s,s,s,s], s:s}", "Sid", "Never", "Effect", "Deny", "Action",
                     "ec2:GetConsoleOutput", "ec2:GetPasswordData", "iam:DeleteRolePermissionsBoundary",
                     "iam:PutRolePermissionsBoundary", "iam:UpdateAssumeRolePolicy", "kms:Decrypt", "kms:PutKeyPolicy",
                     "s3:GetObject*", "s3:PutBucketPolicy", "s3:PutObject*", "secretsmanager:GetSecretValue", "ssm:*",
                     "Resource", "*");
}

static void keep(json_t *all, const char *feature, json_t *doc)
{
    if (json_array_size(json_object_get(doc, "Statement")))
        json_array_append_new(all, json_pack("{s:s, s:o}", "feature", feature, "document", doc));
    else
        json_decref(doc);
}

json_t *aws_policy_generate(const struct aws_policy_for *f, enum aws_phase phase)
{
    static const char *const names[] = {"always",  "network", "identities", "key",
                                        "cluster", "zone",    "data",       "connections"};
    json_t *all = json_array();
    /* Cut where it would be cut for plain names, so that a template and a module have the same policies. */
    struct aws_policy_for plain = *f;
    plain.account = "123456789012";
    plain.partition = "aws-us-gov";
    plain.role_path = "/ownhouse/";
    for (unsigned feature = 0; feature < ARRAY_SIZE(names); feature++) {
        json_t *doc = document();
        size_t size = feature == AWS_ALWAYS ? 600 : 100;
        if (feature == AWS_ALWAYS)
            json_array_append_new(json_object_get(doc, "Statement"), denied());
        for (size_t i = 0; i < aws_rights_count; i++) {
            const struct aws_right *r = &aws_rights[i];
            if (!(r->phases & AWS_IN(phase)) || r->feature != feature || !applies(f, r))
                continue;
            autojson json_t *measured = statement(&plain, r);
            json_t *s = statement(f, r);
            size += size_of(measured) + 1;
            if (size > AWS_POLICY_MAX - 600) { /* names may be longer than these */
                keep(all, names[feature], doc);
                doc = document();
                size = 100 + size_of(measured);
            }
            json_array_append_new(json_object_get(doc, "Statement"), s);
        }
        keep(all, names[feature], doc);
    }
    return all;
}

static const struct aws_right boundary_rights[] = {
    {"Nodes", 0, AWS_ALWAYS,
     "ec2:AssignPrivateIpAddresses ec2:AttachNetworkInterface ec2:AttachVolume ec2:CreateNetworkInterface "
     "ec2:CreateSnapshot "
     "ec2:CreateVolume ec2:DeleteNetworkInterface ec2:DeleteSnapshot ec2:DeleteVolume ec2:Describe* "
     "ec2:DetachNetworkInterface "
     "ec2:DetachVolume ec2:ModifyNetworkInterfaceAttribute ec2:ModifyVolume ec2:UnassignPrivateIpAddresses "
     "ecr:BatchCheckLayerAvailability ecr:BatchGetImage ecr:GetAuthorizationToken ecr:GetDownloadUrlForLayer "
     "eks-auth:AssumeRoleForPodIdentity eks:DescribeCluster eks:DescribeNodegroup elasticloadbalancing:* autoscaling:*",
     "*", NULL},
    {"Tags", 0, AWS_ALWAYS, "ec2:CreateTags", "arn:{P}:ec2:*:{A}:*/*",
     "{\"StringEquals\":{\"ec2:CreateAction\":[\"CreateNetworkInterface\","
     "\"CreateSnapshot\",\"CreateVolume\"]}}"},
    {"FlowLogs", 0, AWS_ALWAYS, "logs:CreateLogStream logs:DescribeLogStreams logs:PutLogEvents",
     "arn:{P}:logs:*:{A}:log-group:/aws/eks/oh-*", NULL},
};

json_t *aws_policy_boundary(const struct aws_policy_for *f)
{
    json_t *doc = document();
    for (size_t i = 0; i < ARRAY_SIZE(boundary_rights); i++)
        json_array_append_new(json_object_get(doc, "Statement"), statement(f, &boundary_rights[i]));
    json_array_append_new(json_object_get(doc, "Statement"),
                          json_pack("{s:s, s:s, s:[s,s,s,s,s,s,s], s:s}", "Sid", "NeverData", "Effect", "Deny",
                                    "Action", "account:*", "iam:*", "kms:Decrypt", "organizations:*", "s3:*",
                                    "secretsmanager:*", "sts:AssumeRole", "Resource", "*"));
    return doc;
}

json_t *aws_policy_data(const struct aws_policy_for *f)
{
    static const struct aws_right rights[] = {
        {"Objects", 0, AWS_ALWAYS,
         "s3:AbortMultipartUpload s3:DeleteObject s3:GetObject s3:ListMultipartUploadParts s3:PutObject",
         "arn:{P}:s3:::oh-*-{A}-*/${aws:PrincipalTag/kubernetes-namespace}/*",
         "{\"Bool\":{\"aws:SecureTransport\":\"true\"},\"StringEquals\":{\"aws:ResourceAccount\":\"{A}\"}}"},
        {"Names", 0, AWS_ALWAYS, "s3:ListBucket", "arn:{P}:s3:::oh-*-{A}-*",
         "{\"StringLike\":{\"s3:prefix\":\"${aws:PrincipalTag/kubernetes-namespace}/*\"}}"},
        {"Key", 0, AWS_ALWAYS, "kms:Decrypt kms:GenerateDataKey", "arn:{P}:kms:*:{A}:key/*",
         "{\"Null\":{\"aws:ResourceTag/ownhouse:infrastructure\":\"false\"},"
         "\"StringLike\":{\"kms:ViaService\":\"s3.*.amazonaws.com\"}}"},
    };
    json_t *doc = document();
    for (size_t i = 0; i < ARRAY_SIZE(rights); i++)
        json_array_append_new(json_object_get(doc, "Statement"), statement(f, &rights[i]));
    return doc;
}

json_t *aws_policy_trust(const char *controller_arn, const char *external_id)
{
    return json_pack("{s:s, s:[{s:s, s:{s:s}, s:s, s:{s:{s:s}}}]}", "Version", "2012-10-17", "Statement", "Effect",
                     "Allow", "Principal", "AWS", controller_arn, "Action", "sts:AssumeRole", "Condition",
                     "StringEquals", "sts:ExternalId", external_id);
}
