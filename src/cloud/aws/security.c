/* Security groups, with rules as short texts: "tcp 443-443 10.0.0.0/16", "all - sg-1". */
#include "cloud/aws/resource.h"

static const struct ec2_kind group = {.describe = "DescribeSecurityGroups",
                                      .set = "securityGroupInfo",
                                      .id = "groupId",
                                      .id_param = "GroupId",
                                      .tag_type = "security-group",
                                      .create = "CreateSecurityGroup",
                                      .created = "",
                                      .destroy = "DeleteSecurityGroup"};

static void add_rule(json_t *out, const json_t *permission, const char *peer)
{
    const char *protocol = js_text_at(permission, "ipProtocol");
    autofree char *text = NULL;
    if (!*peer)
        return;
    text = !strcmp(protocol, "-1") ? mem_printf("all - %s", peer)
                                   : mem_printf("%s %s-%s %s", protocol, js_text_at(permission, "fromPort"),
                                                js_text_at(permission, "toPort"), peer);
    json_array_append_new(out, json_string(text));
}

static json_t *rules_of(const json_t *item, const char *set)
{
    static const char *const peers[][2] = {
        {"ipRanges", "cidrIp"}, {"groups", "groupId"}, {"ipv6Ranges", "cidrIpv6"}, {"prefixListIds", "prefixListId"}};
    autojson json_t *permissions = aws_xml_list(item, set, NULL), *out OH_CLEANUP(js_decrefp) = json_array();
    json_t *p, *one;
    size_t i, k;
    json_array_foreach(permissions, i, p)
    {
        for (size_t n = 0; n < ARRAY_SIZE(peers); n++) {
            autojson json_t *list = aws_xml_list(p, peers[n][0], NULL);
            json_array_foreach(list, k, one) add_rule(out, p, js_text_at(one, peers[n][1]));
        }
    }
    return aws_sorted(out);
}

/* The permission that a text means; NULL if it is none. */
static json_t *permission_of(const char *rule)
{
    char protocol[8], ports[16], peer[80];
    int from, to;
    if (sscanf(rule, "%7s %15s %79s", protocol, ports, peer) != 3)
        return NULL;
    json_t *p = json_object();
    json_object_set_new(p, "IpProtocol", json_string(!strcmp(protocol, "all") ? "-1" : protocol));
    if (sscanf(ports, "%d-%d", &from, &to) == 2) {
        json_object_set_new(p, "FromPort", json_integer(from));
        json_object_set_new(p, "ToPort", json_integer(to));
    }
    if (!strncmp(peer, "sg-", 3))
        json_object_set_new(p, "Groups", json_pack("[{s:s}]", "GroupId", peer));
    else if (!strncmp(peer, "pl-", 3))
        json_object_set_new(p, "PrefixListIds", json_pack("[{s:s}]", "PrefixListId", peer));
    else if (strchr(peer, ':'))
        json_object_set_new(p, "Ipv6Ranges", json_pack("[{s:s}]", "CidrIpv6", peer));
    else
        json_object_set_new(p, "IpRanges", json_pack("[{s:s}]", "CidrIp", peer));
    return p;
}

static int each_rule(const struct plan_call *c, enum aws_phase phase, const char *action, const char *id,
                     const json_t *rules, const json_t *unless, struct err *err)
{
    size_t i;
    json_t *v;
    json_array_foreach(rules, i, v)
    {
        if (aws_list_has(unless, json_string_value(v)))
            continue;
        json_t *p = permission_of(json_string_value(v));
        if (!p)
            return err_set(err, -EINVAL, "the rule \"%.80s\" must be PROTOCOL FROM-TO PEER", json_string_value(v));
        int r = ec2_do(c, phase, action, json_pack("{s:s, s:[o]}", "GroupId", id, "IpPermissions", p), err);
        r = strstr(action, "Revoke") ? aws_absent_is_fine(r, err) : aws_exists_is_fine(r, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static json_t *group_view(const json_t *item)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:o, s:o}", "id", js_text_at(item, "groupId"), "vpc",
                     js_text_at(item, "vpcId"), "name", js_text_at(item, "groupName"), "description",
                     js_text_at(item, "groupDescription"), "ingress", rules_of(item, "ipPermissions"), "egress",
                     rules_of(item, "ipPermissionsEgress"));
}

static int group_observe(const struct plan_call *c, json_t **ret, struct err *err)
{
    return ec2_observe(c, &group, group_view, ret, err);
}

/* The outcome is what was asked for: EC2 may still show what was before. */
static int group_put(const struct plan_call *c, enum aws_phase phase, const json_t *have, const json_t *want,
                     json_t **ret, struct err *err)
{
    static const char *const ways[][3] = {{"ingress", "AuthorizeSecurityGroupIngress", "RevokeSecurityGroupIngress"},
                                          {"egress", "AuthorizeSecurityGroupEgress", "RevokeSecurityGroupEgress"}};
    const char *id = js_text_at(have, "id");
    autojson json_t *outcome = json_copy((json_t *)(uintptr_t)have);
    int r = 0;
    for (size_t i = 0; i < ARRAY_SIZE(ways) && r == 0; i++) {
        const json_t *w = json_object_get(want, ways[i][0]), *h = json_object_get(have, ways[i][0]);
        r = each_rule(c, phase, ways[i][1], id, w, h, err);
        if (r == 0 && w)
            r = each_rule(c, phase, ways[i][2], id, h, w, err);
        if (w)
            json_object_set_new(outcome, ways[i][0], aws_sorted(w));
    }
    if (r == 0)
        *ret = TAKE_PTR(outcome);
    return r;
}

static int group_create(const struct plan_call *c, const json_t *want, json_t **ret, struct err *err)
{
    autojson json_t *item = NULL;
    int r =
        ec2_create(c, &group,
                   json_pack("{s:O, s:O, s:O}", "VpcId", json_object_get(want, "vpc"), "GroupName",
                             json_object_get(want, "name"), "GroupDescription", json_object_get(want, "description")),
                   want, &item, err);
    if (r < 0)
        return r;
    autojson json_t *have = group_view(item);
    return group_put(c, AWS_PROVISION, have, want, ret, err);
}

static int group_change(const struct plan_call *c, const json_t *have, const json_t *want, json_t **ret,
                        struct err *err)
{
    return group_put(c, AWS_OPERATE, have, want, ret, err);
}

/* Rules of other groups that name this one keep it from going. */
static int drop_references(const struct plan_call *c, const char *id, struct err *err)
{
    autojson json_t *answer = NULL, *list OH_CLEANUP(js_decrefp) = NULL;
    json_t *other, *rule;
    size_t i, k;
    int r =
        ec2_ask(c, AWS_REMOVE, "DescribeSecurityGroups",
                json_pack("{s:[{s:s, s:[s]}]}", "Filter", "Name", "ip-permission.group-id", "Value", id), &answer, err);
    if (r < 0)
        return aws_absent_is_fine(r, err);
    list = aws_xml_list(answer, "securityGroupInfo", NULL);
    json_array_foreach(list, i, other)
    {
        autojson json_t *rules = rules_of(other, "ipPermissions"), *ours OH_CLEANUP(js_decrefp) = json_array();
        json_array_foreach(rules, k, rule)
        {
            if (strstr(json_string_value(rule), id))
                json_array_append(ours, rule);
        }
        r = each_rule(c, AWS_REMOVE, "RevokeSecurityGroupIngress", js_text_at(other, "groupId"), ours, NULL, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int group_destroy(const struct plan_call *c, const json_t *have, struct err *err)
{
    const char *id = js_text_at(have, "id");
    int r = drop_references(c, id, err);
    if (r == 0)
        r = ec2_drop_leaked_interfaces(c, "group-id", id, err);
    return r < 0 ? r : ec2_destroy(c, &group, err);
}

static const struct plan_attribute group_attributes[] = {{"vpc", PLAN_REPLACE},
                                                         {"name", PLAN_REPLACE},
                                                         {"description", PLAN_REPLACE},
                                                         {"ingress", PLAN_SET},
                                                         {"egress", PLAN_SET},
                                                         {"id", PLAN_COMPUTED},
                                                         {NULL, 0}};
const struct plan_type aws_security_group_type = {.name = "aws_security_group",
                                                  .settle_ms = AWS_SETTLE_MS,
                                                  .attributes = group_attributes,
                                                  .observe = group_observe,
                                                  .create = group_create,
                                                  .change = group_change,
                                                  .destroy = group_destroy};
