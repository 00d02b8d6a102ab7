/* IAM: roles with their policies, instance profiles, and the cluster's OIDC provider. */
#include "cloud/aws/resource.h"

#define INLINE "ownhouse"

static int iam(const struct plan_call *c, enum aws_phase phase, const char *action, json_t *params, json_t **ret,
               struct err *err)
{
    autojson json_t *p = params, *answer OH_CLEANUP(js_decrefp) = NULL;
    struct aws_request q = {.service = "iam", .action = action, .params = p};
    autofree char *result = mem_printf("%sResult", action);
    int r = aws_do(c, phase, &q, ret ? &answer : NULL, err);
    if (r == 0 && ret)
        *ret = json_object_get(answer, result) ? json_incref(json_object_get(answer, result)) : json_object();
    return r;
}

static char *iam_name(const struct plan_call *c)
{
    char prefix[16];
    aws_prefix(c->infrastructure, prefix);
    return mem_printf("%s-%s-%s", prefix, aws_env_of(c)->region, c->name);
}

json_t *aws_iam_document(const char *text)
{
    struct buf b = BUF_INIT_MAX(KIB(64));
    json_t *v = NULL;
    for (; *text; text++) {
        if (*text == '%' && hex_digit(text[1]) >= 0 && hex_digit(text[2]) >= 0) {
            buf_addc(&b, (char)(hex_digit(text[1]) * 16 + hex_digit(text[2])));
            text += 2;
        } else {
            buf_addc(&b, *text);
        }
    }
    if (!b.len || js_parse(b.data, b.len, KIB(64), &v, NULL) < 0)
        v = json_null();
    buf_free(&b);
    return v;
}

/* --- role --- */

static int role_policies(const struct plan_call *c, const char *name, json_t *out, struct err *err)
{
    autojson json_t *attached = NULL, *document OH_CLEANUP(js_decrefp) = NULL,
                    *arns OH_CLEANUP(js_decrefp) = json_array();
    size_t i;
    json_t *one;
    int r = iam(c, AWS_INSPECT, "ListAttachedRolePolicies", json_pack("{s:s}", "RoleName", name), &attached, err);
    if (r < 0)
        return r;
    autojson json_t *list = aws_xml_list(attached, "AttachedPolicies", NULL);
    json_array_foreach(list, i, one) json_array_append(arns, json_object_get(one, "PolicyArn"));
    json_object_set_new(out, "policies", aws_sorted(arns));
    r = aws_absent_is_fine(iam(c, AWS_INSPECT, "GetRolePolicy",
                               json_pack("{s:s, s:s}", "RoleName", name, "PolicyName", INLINE), &document, err),
                           err);
    if (r == 0 && document)
        json_object_set_new(out, "inline", aws_iam_document(js_text_at(document, "PolicyDocument")));
    return r;
}

static int role_observe(const struct plan_call *c, json_t **ret, struct err *err)
{
    autofree char *name = iam_name(c);
    autojson json_t *answer = NULL, *view OH_CLEANUP(js_decrefp) = NULL;
    *ret = NULL;
    int r = iam(c, AWS_INSPECT, "GetRole", json_pack("{s:s}", "RoleName", name), &answer, err);
    if (r < 0)
        return aws_absent_is_fine(r, err);
    const json_t *role = json_object_get(answer, "Role");
    autojson json_t *tags = aws_xml_list(role, "Tags", NULL);
    if (!aws_is_ours(c, tags))
        return err_set(err, -EEXIST, "the role %s is there and does not carry our tags: remove it or name another",
                       name);
    view = json_pack("{s:s, s:s, s:s, s:o}", "name", name, "arn", js_text_at(role, "Arn"), "path",
                     js_text_at(role, "Path"), "trust", aws_iam_document(js_text_at(role, "AssumeRolePolicyDocument")));
    const char *boundary = js_text_at(json_object_get(role, "PermissionsBoundary"), "PermissionsBoundaryArn");
    if (*boundary)
        json_object_set_new(view, "boundary", json_string(boundary));
    r = role_policies(c, name, view, err);
    if (r == 0)
        *ret = TAKE_PTR(view);
    return aws_absent_is_fine(r, err);
}

static int role_put(const struct plan_call *c, enum aws_phase phase, const char *name, const json_t *have,
                    const json_t *want, struct err *err)
{
    const json_t *now = json_object_get(have, "policies"), *then = json_object_get(want, "policies");
    const json_t *text = json_object_get(want, "inline");
    size_t i;
    json_t *v;
    int r = 0;
    json_array_foreach(then, i, v)
    {
        if (r == 0 && !aws_list_has(now, json_string_value(v)))
            r = iam(c, phase, "AttachRolePolicy", json_pack("{s:s, s:O}", "RoleName", name, "PolicyArn", v), NULL, err);
    }
    json_array_foreach(now, i, v)
    {
        if (r == 0 && !aws_list_has(then, json_string_value(v)))
            r = aws_absent_is_fine(
                iam(c, phase, "DetachRolePolicy", json_pack("{s:s, s:O}", "RoleName", name, "PolicyArn", v), NULL, err),
                err);
    }
    if (r == 0 && text && !json_equal(text, json_object_get(have, "inline"))) {
        autofree char *document = js_text(text);
        r = iam(c, phase, "PutRolePolicy",
                json_pack("{s:s, s:s, s:s}", "RoleName", name, "PolicyName", INLINE, "PolicyDocument", document), NULL,
                err);
    }
    return r;
}

static int role_seen(const struct plan_call *c, const char *name, json_t **ret, struct err *err)
{
    int r = role_observe(c, ret, err);
    return r == 0 && !*ret ? err_set(err, -EAGAIN, "IAM does not show the role %s yet", name) : r;
}

static int role_create(const struct plan_call *c, const json_t *want, json_t **ret, struct err *err)
{
    autofree char *name = iam_name(c), *trust OH_CLEANUP(oh_freep) = js_text(json_object_get(want, "trust"));
    json_t *params = json_pack("{s:s, s:O, s:s, s:o}", "RoleName", name, "Path", json_object_get(want, "path"),
                               "AssumeRolePolicyDocument", trust, "Tags", aws_tags(c, want, "Key", "Value"));
    if (json_object_get(want, "boundary"))
        json_object_set(params, "PermissionsBoundary", json_object_get(want, "boundary"));
    int r = iam(c, AWS_PROVISION, "CreateRole", params, NULL, err);
    if (r == 0)
        r = role_put(c, AWS_PROVISION, name, NULL, want, err);
    return r < 0 ? (r == -EEXIST || r == -ENOENT ? -EAGAIN : r) : role_seen(c, name, ret, err);
}

static int role_change(const struct plan_call *c, const json_t *have, const json_t *want, json_t **ret, struct err *err)
{
    autofree char *name = iam_name(c);
    int r = role_put(c, AWS_OPERATE, name, have, want, err);
    return r < 0 ? r : role_seen(c, name, ret, err);
}

static int role_destroy(const struct plan_call *c, const json_t *have, struct err *err)
{
    autofree char *name = iam_name(c);
    size_t i;
    json_t *v;
    int r = 0;
    json_array_foreach(json_object_get(have, "policies"), i, v)
    {
        if (r == 0)
            r = aws_absent_is_fine(iam(c, AWS_REMOVE, "DetachRolePolicy",
                                       json_pack("{s:s, s:O}", "RoleName", name, "PolicyArn", v), NULL, err),
                                   err);
    }
    if (r == 0 && json_object_get(have, "inline"))
        r = aws_absent_is_fine(iam(c, AWS_REMOVE, "DeleteRolePolicy",
                                   json_pack("{s:s, s:s}", "RoleName", name, "PolicyName", INLINE), NULL, err),
                               err);
    if (r == 0)
        r = aws_absent_is_fine(iam(c, AWS_REMOVE, "DeleteRole", json_pack("{s:s}", "RoleName", name), NULL, err), err);
    return r;
}

/* A changed trust or boundary needs a new role: no role of ours may re-trust one that is there. */
static const struct plan_attribute role_attributes[] = {
    {"path", PLAN_REPLACE}, {"trust", PLAN_REPLACE}, {"boundary", PLAN_REPLACE}, {"policies", PLAN_SET},
    {"inline", 0},          {"name", PLAN_COMPUTED}, {"arn", PLAN_COMPUTED},     {NULL, 0}};
const struct plan_type aws_role_type = {.name = "aws_role",
                                        .attributes = role_attributes,
                                        .observe = role_observe,
                                        .create = role_create,
                                        .change = role_change,
                                        .destroy = role_destroy};

/* --- instance profile --- */

static int profile_observe(const struct plan_call *c, json_t **ret, struct err *err)
{
    autofree char *name = iam_name(c);
    autojson json_t *answer = NULL;
    *ret = NULL;
    int r = iam(c, AWS_INSPECT, "GetInstanceProfile", json_pack("{s:s}", "InstanceProfileName", name), &answer, err);
    if (r < 0)
        return aws_absent_is_fine(r, err);
    const json_t *profile = json_object_get(answer, "InstanceProfile");
    autojson json_t *tags = aws_xml_list(profile, "Tags", NULL),
                    *roles OH_CLEANUP(js_decrefp) = aws_xml_list(profile, "Roles", NULL);
    if (!aws_is_ours(c, tags))
        return err_set(err, -EEXIST, "the instance profile %s is there and does not carry our tags", name);
    *ret = json_pack("{s:s, s:s, s:s, s:s}", "name", name, "arn", js_text_at(profile, "Arn"), "path",
                     js_text_at(profile, "Path"), "role", js_text_at(json_array_get(roles, 0), "RoleName"));
    return 0;
}

static int profile_create(const struct plan_call *c, const json_t *want, json_t **ret, struct err *err)
{
    autofree char *name = iam_name(c);
    int r = iam(c, AWS_PROVISION, "CreateInstanceProfile",
                json_pack("{s:s, s:O, s:o}", "InstanceProfileName", name, "Path", json_object_get(want, "path"), "Tags",
                          aws_tags(c, want, "Key", "Value")),
                NULL, err);
    if (r == 0)
        r = iam(c, AWS_PROVISION, "AddRoleToInstanceProfile",
                json_pack("{s:s, s:O}", "InstanceProfileName", name, "RoleName", json_object_get(want, "role")), NULL,
                err);
    if (r == 0)
        r = profile_observe(c, ret, err);
    return r == -EEXIST || r == -ENOENT || (r == 0 && !*ret) ? -EAGAIN : r;
}

static int profile_change(const struct plan_call *c, const json_t *have, const json_t *want, json_t **ret,
                          struct err *err)
{
    autofree char *name = iam_name(c);
    int r = !*js_text_at(have, "role")
                ? 0
                : iam(c, AWS_OPERATE, "RemoveRoleFromInstanceProfile",
                      json_pack("{s:s, s:O}", "InstanceProfileName", name, "RoleName", json_object_get(have, "role")),
                      NULL, err);
    if (r == 0)
        r = iam(c, AWS_OPERATE, "AddRoleToInstanceProfile",
                json_pack("{s:s, s:O}", "InstanceProfileName", name, "RoleName", json_object_get(want, "role")), NULL,
                err);
    return r < 0 ? r : profile_observe(c, ret, err);
}

static int profile_destroy(const struct plan_call *c, const json_t *have, struct err *err)
{
    autofree char *name = iam_name(c);
    int r = !*js_text_at(have, "role")
                ? 0
                : iam(c, AWS_REMOVE, "RemoveRoleFromInstanceProfile",
                      json_pack("{s:s, s:O}", "InstanceProfileName", name, "RoleName", json_object_get(have, "role")),
                      NULL, err);
    r = aws_absent_is_fine(r, err);
    if (r == 0)
        r = iam(c, AWS_REMOVE, "DeleteInstanceProfile", json_pack("{s:s}", "InstanceProfileName", name), NULL, err);
    return aws_absent_is_fine(r, err);
}

static const struct plan_attribute profile_attributes[] = {
    {"path", PLAN_REPLACE}, {"role", 0}, {"name", PLAN_COMPUTED}, {"arn", PLAN_COMPUTED}, {NULL, 0}};
const struct plan_type aws_instance_profile_type = {.name = "aws_instance_profile",
                                                    .attributes = profile_attributes,
                                                    .observe = profile_observe,
                                                    .create = profile_create,
                                                    .change = profile_change,
                                                    .destroy = profile_destroy};

/* --- OIDC provider --- */

/* Its ARN follows from the issuer, which only the cluster's answer tells; found by tags. */
static int oidc_observe(const struct plan_call *c, json_t **ret, struct err *err)
{
    autojson json_t *answer = NULL;
    size_t i;
    json_t *one;
    *ret = NULL;
    int r = iam(c, AWS_INSPECT, "ListOpenIDConnectProviders", json_object(), &answer, err);
    if (r < 0)
        return r;
    autojson json_t *list = aws_xml_list(answer, "OpenIDConnectProviderList", NULL);
    json_array_foreach(list, i, one)
    {
        autojson json_t *details = NULL;
        const char *arn = js_text_at(one, "Arn");
        if (!strstr(arn, "/oidc.eks."))
            continue;
        r = iam(c, AWS_INSPECT, "GetOpenIDConnectProvider", json_pack("{s:s}", "OpenIDConnectProviderArn", arn),
                &details, err);
        if (r == -ENOENT) {
            r = aws_absent_is_fine(r, err);
            continue;
        }
        if (r < 0)
            return r;
        autojson json_t *tags = aws_xml_list(details, "Tags", NULL),
                        *clients OH_CLEANUP(js_decrefp) = aws_xml_list(details, "ClientIDList", NULL);
        if (!aws_is_ours(c, tags))
            continue;
        *ret = json_pack("{s:s, s:s+, s:o}", "arn", arn, "url", "https://", js_text_at(details, "Url"), "clients",
                         aws_sorted(clients));
        return 0;
    }
    return 0;
}

static int oidc_create(const struct plan_call *c, const json_t *want, json_t **ret, struct err *err)
{
    int r = iam(c, AWS_PROVISION, "CreateOpenIDConnectProvider",
                json_pack("{s:O, s:O, s:o}", "Url", json_object_get(want, "url"), "ClientIDList",
                          json_object_get(want, "clients"), "Tags", aws_tags(c, want, "Key", "Value")),
                NULL, err);
    if (r == 0)
        r = oidc_observe(c, ret, err);
    return r == -EEXIST || (r == 0 && !*ret) ? err_set(err, -EAGAIN, "IAM does not show the OIDC provider yet") : r;
}

static int oidc_destroy(const struct plan_call *c, const json_t *have, struct err *err)
{
    return aws_absent_is_fine(iam(c, AWS_REMOVE, "DeleteOpenIDConnectProvider",
                                  json_pack("{s:s}", "OpenIDConnectProviderArn", js_text_at(have, "arn")), NULL, err),
                              err);
}

static const struct plan_attribute oidc_attributes[] = {
    {"url", PLAN_REPLACE}, {"clients", PLAN_REPLACE | PLAN_SET}, {"arn", PLAN_COMPUTED}, {NULL, 0}};
const struct plan_type aws_oidc_provider_type = {.name = "aws_oidc_provider",
                                                 .attributes = oidc_attributes,
                                                 .observe = oidc_observe,
                                                 .create = oidc_create,
                                                 .destroy = oidc_destroy};
