/* Looks for ways to more rights than meant, and compares two releases of a policy. */
#include "base/mem.h"
#include "cloud/aws/policy.h"

#include <fnmatch.h>

static json_t *as_list(const json_t *v)
{
    return json_is_array(v) ? json_incref((json_t *)(uintptr_t)v) : v ? json_pack("[O]", v) : json_array();
}

static bool any(const json_t *v, const char *value)
{
    autojson json_t *list = as_list(v);
    size_t i;
    json_t *one;
    json_array_foreach(list, i, one)
    {
        if (json_is_string(one) && !strcmp(json_string_value(one), value))
            return true;
    }
    return false;
}

/* The condition has this key, under whatever operator. */
static bool bound_by(const json_t *statement, const char *key_prefix)
{
    const char *operator, * key;
    json_t *keys, *v;
    json_object_foreach(json_object_get(statement, "Condition"), operator, keys)
    {
        json_object_foreach(keys, key, v)
        {
            if (!strncasecmp(key, key_prefix, strlen(key_prefix)))
                return true;
        }
    }
    return false;
}

static void found(json_t *out, const json_t *s, const char *action, const char *why)
{
    const char *sid = json_string_value(json_object_get(s, "Sid"));
    json_array_append_new(out, json_pack("{s:s, s:s, s:s}", "statement", sid ? sid : "", "action", action, "why", why));
}

/* Never in a role of ours; the pattern of a statement may name them too. */
static const struct {
    const char *action, *why;
} never[] = {
    {"iam:UpdateAssumeRolePolicy", "re-trusts a role, also one that reads data"},
    {"iam:CreatePolicyVersion", "rewrites a policy that others carry"},
    {"iam:SetDefaultPolicyVersion", "rewrites a policy that others carry"},
    {"iam:PutRolePermissionsBoundary", "moves the fence"},
    {"iam:DeleteRolePermissionsBoundary", "removes the fence"},
    {"iam:CreateUser", "makes an identity outside all roles"},
    {"iam:CreateAccessKey", "makes lasting keys"},
    {"iam:PutUserPolicy", "gives rights to people"},
    {"iam:AttachUserPolicy", "gives rights to people"},
    {"s3:PutBucketPolicy", "opens a bucket to whoever the policy names"},
    {"s3:PutBucketAcl", "opens a bucket"},
    {"s3:GetObject", "reads data"},
    {"s3:PutObject", "writes data"},
    {"kms:PutKeyPolicy", "hands a key to whoever the policy names"},
    {"kms:CreateGrant", "hands out the use of a key"},
    {"kms:Decrypt", "reads data"},
    {"secretsmanager:GetSecretValue", "reads secrets"},
    {"ssm:SendCommand", "runs commands on instances"},
    {"ssm:StartSession", "opens a shell on instances"},
    {"lambda:CreateFunction", "runs code as a passed role"},
    {"ec2:CreateLaunchTemplate", "carries free user data, which runs as the instance's role"},
    {"ec2:CreateLaunchTemplateVersion", "carries free user data, which runs as the instance's role"},
    {"ec2:ModifyInstanceAttribute", "changes an instance's user data"},
    {"ec2:ModifyLaunchTemplate", "chooses another version of user data"},
    {"sts:AssumeRole", "goes on to other roles"},
};

static void lint_action(json_t *out, const json_t *s, const char *action)
{
    const json_t *resource = json_object_get(s, "Resource");
    const char *verb = strchr(action, ':') ? strchr(action, ':') + 1 : action;
    bool reads = !strncmp(verb, "Describe", 8) || !strncmp(verb, "Get", 3) || !strncmp(verb, "List", 4);
    for (size_t i = 0; i < ARRAY_SIZE(never); i++)
        if (fnmatch(action, never[i].action, FNM_CASEFOLD) == 0 || fnmatch(never[i].action, action, 0) == 0 ||
            fnmatch(action, never[i].action, 0) == 0)
            found(out, s, action, never[i].why);
    if (!strcmp(action, "iam:PassRole") && !bound_by(s, "iam:PassedToService"))
        found(out, s, action, "passes a role to any service: name them in iam:PassedToService");
    if (!strcmp(action, "iam:PassRole") && any(resource, "*"))
        found(out, s, action, "passes any role");
    if ((!strcmp(action, "iam:CreateRole") || !strcmp(action, "iam:AttachRolePolicy") ||
         !strcmp(action, "iam:PutRolePolicy")) &&
        !bound_by(s, "iam:PermissionsBoundary"))
        found(out, s, action, "makes or fills a role without a permissions boundary");
    if (!strcmp(action, "ec2:CreateTags") && !bound_by(s, "ec2:CreateAction") && !bound_by(s, "aws:ResourceTag/"))
        found(out, s, action, "tags anything into scope: bind it to ec2:CreateAction");
    if ((!strcmp(action, "eks:CreateAccessEntry") || !strcmp(action, "eks:AssociateAccessPolicy")) &&
        !bound_by(s, "eks:principalArn"))
        found(out, s, action, "lets anybody into the cluster: bind it to eks:principalArn");
    if (strchr(action, '*') && !reads)
        found(out, s, action, "a wildcard of writes");
    if (!reads && any(resource, "*") && !json_object_size(json_object_get(s, "Condition")) &&
        strcmp(action, "route53:CreateHostedZone") && strncmp(action, "tag:", 4))
        found(out, s, action, "writes to any resource without a condition");
}

json_t *aws_policy_lint(const json_t *doc)
{
    json_t *out = json_array(), *s, *action;
    autojson json_t *statements = as_list(json_object_get(doc, "Statement"));
    size_t i, k;
    json_array_foreach(statements, i, s)
    {
        const char *effect = json_string_value(json_object_get(s, "Effect"));
        autojson json_t *actions = as_list(json_object_get(s, "Action"));
        if (!effect || strcmp(effect, "Allow"))
            continue;
        if (json_object_get(s, "NotAction"))
            found(out, s, "NotAction", "allows everything but a few actions");
        if (json_object_get(s, "NotResource"))
            found(out, s, "NotResource", "allows everywhere but a few resources");
        json_array_foreach(actions, k, action)
        {
            if (json_is_string(action))
                lint_action(out, s, json_string_value(action));
        }
    }
    autofree char *text = js_text(doc);
    if (strlen(text) > AWS_POLICY_MAX)
        found(out, NULL, "", "is longer than the 6,144 characters that AWS allows a managed policy");
    return out;
}

/* "sid action" -> the statement's resources and conditions. */
static void flatten(const json_t *doc, json_t *out)
{
    autojson json_t *documents = as_list(doc);
    size_t d, i, k;
    json_t *one, *s, *action;
    json_array_foreach(documents, d, one)
    {
        autojson json_t *statements = as_list(json_object_get(one, "Statement"));
        json_array_foreach(statements, i, s)
        {
            autojson json_t *actions = as_list(json_object_get(s, "Action"));
            const char *sid = json_string_value(json_object_get(s, "Sid"));
            const char *effect = json_string_value(json_object_get(s, "Effect"));
            json_array_foreach(actions, k, action)
            {
                autofree char *key =
                    mem_printf("%s %s %s", effect ? effect : "", sid ? sid : "", json_string_value(action));
                json_object_set_new(out, key,
                                    json_pack("{s:O?, s:O?}", "Resource", json_object_get(s, "Resource"), "Condition",
                                              json_object_get(s, "Condition")));
            }
        }
    }
}

static void missing(const json_t *a, const json_t *b, const char *change, json_t *out)
{
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)a, key, v)
    {
        const json_t *other = json_object_get(b, key);
        if (!other)
            json_array_append_new(out, json_pack("{s:s, s:s}", "right", key, "change", change));
        else if (!json_equal(v, other) && !strcmp(change, "added"))
            json_array_append_new(
                out, json_pack("{s:s, s:s, s:O, s:O}", "right", key, "change", "bounds", "before", other, "after", v));
    }
}

json_t *aws_policy_diff(const json_t *before, const json_t *after)
{
    autojson json_t *a = json_object(), *b OH_CLEANUP(js_decrefp) = json_object();
    json_t *out = json_array();
    flatten(before, a);
    flatten(after, b);
    missing(b, a, "added", out);
    missing(a, b, "removed", out);
    return out;
}
