/* VPC peering: the request, its acceptance where the other network is ours to accept for, and its names. */
#include "cloud/aws/resource.h"

#define ACCEPT_MS 20000

static const struct ec2_kind peering = {.describe = "DescribeVpcPeeringConnections",
                                        .set = "vpcPeeringConnectionSet",
                                        .id = "vpcPeeringConnectionId",
                                        .id_param = "VpcPeeringConnectionId",
                                        .tag_type = "vpc-peering-connection",
                                        .create = "CreateVpcPeeringConnection",
                                        .created = "vpcPeeringConnection",
                                        .destroy = "DeleteVpcPeeringConnection",
                                        .state = "status",
                                        .gone = "deleted deleting rejected expired failed"};

static const char *code_of(const json_t *item)
{
    return js_text_at(json_object_get(item, "status"), "code");
}

static bool accepted(const char *code)
{
    return !strcmp(code, "active") || !strcmp(code, "provisioning");
}

static json_t *peering_view(const json_t *item)
{
    const json_t *us = json_object_get(item, "requesterVpcInfo"), *them = json_object_get(item, "accepterVpcInfo");
    const char *code = code_of(item);
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:b, s:s}", "id", js_text_at(item, "vpcPeeringConnectionId"), "vpc",
                     js_text_at(us, "vpcId"), "peer_vpc", js_text_at(them, "vpcId"), "peer_account",
                     js_text_at(them, "ownerId"), "peer_region", js_text_at(them, "region"), "accepted", accepted(code),
                     "state", code);
}

static int peering_observe(const struct plan_call *c, json_t **ret, struct err *err)
{
    return ec2_observe(c, &peering, peering_view, ret, err);
}

/* AWS says only afterwards, and not with an error, that two networks cannot be joined. */
static int refused(const json_t *item, struct err *err)
{
    const char *code = code_of(item), *why = js_text_at(json_object_get(item, "status"), "message");
    if (!strcmp(code, "failed"))
        return err_set(err, -EIO, "the peering failed: %s (AWS joins no networks whose ranges overlap)", why);
    if (!strcmp(code, "rejected") || !strcmp(code, "expired") || !strcmp(code, "deleted"))
        return err_set(err, -EIO, "the peering was %s by the other network's owner, or not accepted in 7 days", code);
    return 0;
}

/* In one account and region the same role may accept; anywhere else the other network's owner must. */
static int accept_it(const struct plan_call *c, enum aws_phase phase, const char *id, json_t **ret, struct err *err)
{
    for (int64_t waited = 0, pause = 200;; waited += pause, pause = MIN(2 * pause, (int64_t)2000)) {
        autojson json_t *item = NULL;
        int r = ec2_get(c, &peering, id, &item, err);
        if (r == 0)
            r = refused(item, err);
        if (r == 0 && accepted(code_of(item))) {
            *ret = peering_view(item);
            return 0;
        }
        if (r == 0 && !strcmp(code_of(item), "pending-acceptance"))
            r = ec2_do(c, phase, "AcceptVpcPeeringConnection", json_pack("{s:s}", "VpcPeeringConnectionId", id), err);
        if (r < 0)
            return r;
        if (waited >= ACCEPT_MS)
            return err_set(err, -EAGAIN, "the peering %s is still %s", id, code_of(item));
        if ((r = plan_pause(c, pause, err)) < 0)
            return r;
    }
}

static int peering_create(const struct plan_call *c, const json_t *want, json_t **ret, struct err *err)
{
    autojson json_t *item = NULL;
    json_t *params = json_pack("{s:O, s:O, s:O, s:O}", "VpcId", json_object_get(want, "vpc"), "PeerVpcId",
                               json_object_get(want, "peer_vpc"), "PeerOwnerId", json_object_get(want, "peer_account"),
                               "PeerRegion", json_object_get(want, "peer_region"));
    int r = ec2_create(c, &peering, params, want, &item, err);
    if (r == 0 && json_is_true(json_object_get(want, "accepted")))
        return accept_it(c, AWS_PROVISION, js_text_at(item, "vpcPeeringConnectionId"), ret, err);
    if (r == 0)
        *ret = peering_view(item);
    return r;
}

static int peering_change(const struct plan_call *c, const json_t *have, const json_t *want OH_UNUSED, json_t **ret,
                          struct err *err)
{
    return accept_it(c, AWS_OPERATE, js_text_at(have, "id"), ret, err);
}

static int peering_ready(const struct plan_call *c, json_t *attributes, struct err *err)
{
    autojson json_t *item = NULL;
    int r = ec2_get(c, &peering, js_text_at(attributes, "id"), &item, err);
    if (r == 0)
        r = refused(item, err);
    if (r < 0)
        return r;
    autojson json_t *view = peering_view(item);
    json_object_update(attributes, view);
    return !strcmp(code_of(item), "active");
}

static int peering_destroy(const struct plan_call *c, const json_t *have OH_UNUSED, struct err *err)
{
    return ec2_destroy(c, &peering, err);
}

static const struct plan_attribute peering_attributes[] = {{"vpc", PLAN_REPLACE},
                                                           {"peer_vpc", PLAN_REPLACE},
                                                           {"peer_account", PLAN_REPLACE},
                                                           {"peer_region", PLAN_REPLACE},
                                                           {"accepted", 0},
                                                           {"id", PLAN_COMPUTED},
                                                           {"state", PLAN_COMPUTED | PLAN_VOLATILE},
                                                           {NULL, 0}};
/* Half an hour: as long as somebody in another account may need to accept while the plan waits. */
const struct plan_type aws_vpc_peering_type = {.name = "aws_vpc_peering",
                                               .settle_ms = AWS_SETTLE_MS,
                                               .attributes = peering_attributes,
                                               .ready_timeout_ms = 1800000,
                                               .ready_poll_ms = 1000,
                                               .observe = peering_observe,
                                               .create = peering_create,
                                               .change = peering_change,
                                               .destroy = peering_destroy,
                                               .ready = peering_ready};

/* --- names across an active peering: private host names of one side resolve to private addresses on the other --- */

static bool resolves(const json_t *item, const char *side)
{
    const json_t *options = json_object_get(json_object_get(item, side), "peeringOptions");
    return !strcmp(js_text_at(options, "allowDnsResolutionFromRemoteVpc"), "true");
}

static int names_look(const struct plan_call *c, const char *id, json_t **ret, struct err *err)
{
    autojson json_t *answer = NULL;
    *ret = NULL;
    if (!*id)
        return 0;
    int r = ec2_ask(c, AWS_INSPECT, peering.describe, json_pack("{s:[s]}", "VpcPeeringConnectionId", id), &answer, err);
    if (r < 0)
        return aws_absent_is_fine(r, err);
    autojson json_t *list = aws_xml_list(answer, peering.set, NULL);
    const json_t *item = json_array_get(list, 0);
    if (item && accepted(code_of(item)) && resolves(item, "requesterVpcInfo"))
        *ret = json_pack("{s:s, s:b, s:b}", "peering", id, "ours", true, "theirs", resolves(item, "accepterVpcInfo"));
    return 0;
}

static int names_observe(const struct plan_call *c, json_t **ret, struct err *err)
{
    return names_look(c, js_text_at(c->remembered, "peering"), ret, err);
}

static int names_put(const struct plan_call *c, enum aws_phase phase, const char *id, bool ours, bool theirs, bool both,
                     struct err *err)
{
    static const char *const option = "AllowDnsResolutionFromRemoteVpc";
    json_t *params =
        json_pack("{s:s, s:{s:b}}", "VpcPeeringConnectionId", id, "RequesterPeeringConnectionOptions", option, ours);
    if (both)
        json_object_set_new(params, "AccepterPeeringConnectionOptions", json_pack("{s:b}", option, theirs));
    return ec2_do(c, phase, "ModifyVpcPeeringConnectionOptions", params, err);
}

static int names_set(const struct plan_call *c, enum aws_phase phase, const json_t *want, json_t **ret, struct err *err)
{
    const char *id = js_text_at(want, "peering");
    const json_t *theirs = json_object_get(want, "theirs");
    int r = names_put(c, phase, id, true, json_is_true(theirs), theirs != NULL, err);
    if (r == 0)
        r = names_look(c, id, ret, err);
    return r == 0 && !*ret ? err_set(err, -EAGAIN, "EC2 does not show the peering's options yet") : r;
}

static int names_create(const struct plan_call *c, const json_t *want, json_t **ret, struct err *err)
{
    return names_set(c, AWS_PROVISION, want, ret, err);
}

static int names_change(const struct plan_call *c, const json_t *have OH_UNUSED, const json_t *want, json_t **ret,
                        struct err *err)
{
    return names_set(c, AWS_OPERATE, want, ret, err);
}

static int names_destroy(const struct plan_call *c, const json_t *have, struct err *err)
{
    bool theirs = json_is_true(json_object_get(have, "theirs"));
    return aws_absent_is_fine(names_put(c, AWS_REMOVE, js_text_at(have, "peering"), false, false, theirs, err), err);
}

static const struct plan_attribute names_attributes[] = {
    {"peering", PLAN_REPLACE}, {"ours", 0}, {"theirs", 0}, {NULL, 0}};
const struct plan_type aws_peering_dns_type = {.name = "aws_peering_dns",
                                               .attributes = names_attributes,
                                               .observe = names_observe,
                                               .create = names_create,
                                               .change = names_change,
                                               .destroy = names_destroy};
