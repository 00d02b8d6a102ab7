/* KMS keys and CloudWatch log groups. */
#include "cloud/aws/resource.h"

static int json_call(const struct plan_call *c, enum aws_phase phase, const char *service, const char *action,
                     json_t *params, json_t **ret, struct err *err)
{
    autojson json_t *p = params;
    struct aws_request q = {.service = service, .action = action, .params = p};
    return aws_do(c, phase, &q, ret, err);
}

static char *alias_of(const struct plan_call *c)
{
    char prefix[16];
    aws_prefix(c->infrastructure, prefix);
    return mem_printf("alias/%s-%s", prefix, c->name);
}

static json_t *key_view(const json_t *answer, bool rotation, bool alias)
{
    const json_t *m = json_object_get(answer, "KeyMetadata");
    return json_pack("{s:s, s:s, s:b, s:b, s:s}", "id", js_text_at(m, "KeyId"), "arn", js_text_at(m, "Arn"), "rotation",
                     rotation, "alias", alias, "state", js_text_at(m, "KeyState"));
}

static bool on_its_way_out(const json_t *answer)
{
    return !strcmp(js_text_at(json_object_get(answer, "KeyMetadata"), "KeyState"), "PendingDeletion");
}

/* Names the key in `ret`, unless it only waits for its deletion: an earlier life's key has the same tags for 30 days.
 */
static int key_living(const struct plan_call *c, const char *id, char ret[80], struct err *err)
{
    autojson json_t *answer = NULL;
    int r = json_call(c, AWS_INSPECT, "kms", "DescribeKey", json_pack("{s:s}", "KeyId", id), &answer, err);
    if (r == 0 && !on_its_way_out(answer))
        snprintf(ret, 80, "%s", id);
    return aws_absent_is_fine(r, err);
}

/* The key behind the alias; else, when a crash came between key and alias, the one with our tags. */
static int key_id(const struct plan_call *c, char ret[80], bool *ret_alias, struct err *err)
{
    autofree char *alias = alias_of(c);
    autojson json_t *answer = NULL, *found OH_CLEANUP(js_decrefp) = NULL;
    autofree char *identity = aws_identity(c);
    size_t i;
    json_t *one;
    ret[0] = 0;
    int r = json_call(c, AWS_INSPECT, "kms", "DescribeKey", json_pack("{s:s}", "KeyId", alias), &answer, err);
    *ret_alias = r == 0;
    if (r == 0)
        snprintf(ret, 80, "%s", js_text_at(json_object_get(answer, "KeyMetadata"), "KeyId"));
    if (r != -ENOENT)
        return r;
    r = aws_absent_is_fine(r, err);
    r = json_call(c, AWS_INSPECT, "tagging", "GetResources",
                  json_pack("{s:[s], s:[{s:s, s:[s]}, {s:s, s:[s]}]}", "ResourceTypeFilters", "kms:key", "TagFilters",
                            "Key", AWS_TAG_INFRASTRUCTURE, "Values", c->infrastructure, "Key", AWS_TAG_RESOURCE,
                            "Values", identity),
                  &found, err);
    json_array_foreach(json_object_get(found, "ResourceTagMappingList"), i, one)
    {
        const char *slash = strrchr(js_text_at(one, "ResourceARN"), '/');
        if (r == 0 && slash && !*ret)
            r = key_living(c, slash + 1, ret, err);
    }
    return r;
}

static int key_observe(const struct plan_call *c, json_t **ret, struct err *err)
{
    char id[80];
    bool alias;
    autojson json_t *answer = NULL, *rotation OH_CLEANUP(js_decrefp) = NULL, *tags OH_CLEANUP(js_decrefp) = NULL;
    *ret = NULL;
    int r = key_id(c, id, &alias, err);
    if (r < 0 || !*id)
        return r;
    r = json_call(c, AWS_INSPECT, "kms", "DescribeKey", json_pack("{s:s}", "KeyId", id), &answer, err);
    if (r < 0)
        return aws_absent_is_fine(r, err);
    /* On its way out it serves nothing any more: as good as gone. */
    if (on_its_way_out(answer))
        return 0;
    r = json_call(c, AWS_INSPECT, "kms", "ListResourceTags", json_pack("{s:s}", "KeyId", id), &tags, err);
    if (r == 0 && !aws_is_ours(c, json_object_get(tags, "Tags")))
        return err_set(err, -EEXIST, "the alias of the KMS key is there and its key does not carry our tags");
    if (r == 0)
        r = json_call(c, AWS_INSPECT, "kms", "GetKeyRotationStatus", json_pack("{s:s}", "KeyId", id), &rotation, err);
    if (r == 0)
        *ret = key_view(answer, json_is_true(json_object_get(rotation, "KeyRotationEnabled")), alias);
    return r;
}

static int key_put(const struct plan_call *c, enum aws_phase phase, const char *id, json_t **ret, struct err *err)
{
    autofree char *alias = alias_of(c);
    int r = json_call(c, phase, "kms", "EnableKeyRotation", json_pack("{s:s}", "KeyId", id), NULL, err);
    if (r == 0)
        r = aws_exists_is_fine(json_call(c, phase, "kms", "CreateAlias",
                                         json_pack("{s:s, s:s}", "AliasName", alias, "TargetKeyId", id), NULL, err),
                               err);
    if (r == 0)
        r = key_observe(c, ret, err);
    return r == 0 && !*ret ? err_set(err, -EAGAIN, "KMS does not show the key %s yet", id) : r;
}

static int key_create(const struct plan_call *c, const json_t *want, json_t **ret, struct err *err)
{
    autojson json_t *answer = NULL;
    /* No policy: the account's own, which leaves all to IAM. A narrower one is the customer's artefact's to make. */
    int r = json_call(c, AWS_PROVISION, "kms", "CreateKey",
                      json_pack("{s:s, s:o}", "Description", "OwnHouse: buckets and cluster secrets", "Tags",
                                aws_tags(c, want, "TagKey", "TagValue")),
                      &answer, err);
    return r < 0 ? r : key_put(c, AWS_PROVISION, js_text_at(json_object_get(answer, "KeyMetadata"), "KeyId"), ret, err);
}

static int key_change(const struct plan_call *c, const json_t *have, const json_t *want OH_UNUSED, json_t **ret,
                      struct err *err)
{
    return key_put(c, AWS_OPERATE, js_text_at(have, "id"), ret, err);
}

static int key_destroy(const struct plan_call *c, const json_t *have, struct err *err)
{
    autofree char *alias = alias_of(c);
    if (!c->delete_data)
        return err_set(err, -EPERM, "without the key nobody can read the data, and deleting data was not asked for");
    /* The alias first: a key on its way out counts as gone, and nobody would come back for its alias. */
    int r = aws_absent_is_fine(
        json_call(c, AWS_REMOVE, "kms", "DeleteAlias", json_pack("{s:s}", "AliasName", alias), NULL, err), err);
    return r < 0 ? r
                 : aws_absent_is_fine(
                       json_call(c, AWS_REMOVE, "kms", "ScheduleKeyDeletion",
                                 json_pack("{s:s, s:i}", "KeyId", js_text_at(have, "id"), "PendingWindowInDays", 30),
                                 NULL, err),
                       err);
}

static const struct plan_attribute key_attributes[] = {{"rotation", 0},
                                                       {"alias", 0},
                                                       {"id", PLAN_COMPUTED},
                                                       {"arn", PLAN_COMPUTED},
                                                       {"state", PLAN_COMPUTED | PLAN_VOLATILE},
                                                       {NULL, 0}};
const struct plan_type aws_kms_key_type = {.name = "aws_kms_key",
                                           .settle_ms = AWS_SETTLE_MS,
                                           .attributes = key_attributes,
                                           .holds_data = true,
                                           .observe = key_observe,
                                           .create = key_create,
                                           .change = key_change,
                                           .destroy = key_destroy};

/* --- log group --- */

static int group_arn(const struct plan_call *c, const char *name, json_t **ret, struct err *err)
{
    autojson json_t *answer = NULL;
    size_t i;
    json_t *g;
    *ret = NULL;
    int r = json_call(c, AWS_INSPECT, "logs", "DescribeLogGroups", json_pack("{s:s}", "logGroupNamePrefix", name),
                      &answer, err);
    json_array_foreach(json_object_get(answer, "logGroups"), i, g)
    {
        if (!strcmp(js_text_at(g, "logGroupName"), name) && !*ret)
            *ret = json_incref(g);
    }
    return r;
}

static char *group_name(const struct plan_call *c)
{
    char prefix[16];
    aws_prefix(c->infrastructure, prefix);
    return mem_printf("/aws/eks/%s/%s", prefix, c->name);
}

static int group_observe(const struct plan_call *c, json_t **ret, struct err *err)
{
    autofree char *name = group_name(c);
    autojson json_t *g = NULL, *tags OH_CLEANUP(js_decrefp) = NULL;
    *ret = NULL;
    int r = group_arn(c, name, &g, err);
    if (r < 0 || !g)
        return r;
    r = json_call(c, AWS_INSPECT, "logs", "ListTagsLogGroup", json_pack("{s:s}", "logGroupName", name), &tags, err);
    if (r < 0)
        return aws_absent_is_fine(r, err);
    if (!aws_is_ours(c, json_object_get(tags, "tags")))
        return err_set(err, -EEXIST, "the log group %s is there and does not carry our tags", name);
    *ret = json_pack("{s:s, s:s, s:O?}", "name", name, "arn", js_text_at(g, "arn"), "days",
                     json_object_get(g, "retentionInDays"));
    if (json_is_null(json_object_get(*ret, "days")))
        json_object_del(*ret, "days");
    return 0;
}

static int group_put(const struct plan_call *c, enum aws_phase phase, const json_t *want, json_t **ret, struct err *err)
{
    autofree char *name = group_name(c);
    int r = json_call(c, phase, "logs", "PutRetentionPolicy",
                      json_pack("{s:s, s:O}", "logGroupName", name, "retentionInDays", json_object_get(want, "days")),
                      NULL, err);
    if (r == 0)
        r = group_observe(c, ret, err);
    return r == 0 && !*ret ? err_set(err, -EAGAIN, "the log group %s is not shown yet", name) : r;
}

static int group_create(const struct plan_call *c, const json_t *want, json_t **ret, struct err *err)
{
    autofree char *name = group_name(c);
    int r = json_call(c, AWS_PROVISION, "logs", "CreateLogGroup",
                      json_pack("{s:s, s:o}", "logGroupName", name, "tags", aws_tags_object(c, want)), NULL, err);
    return r < 0 ? (r == -EEXIST ? -EAGAIN : r) : group_put(c, AWS_PROVISION, want, ret, err);
}

static int group_change(const struct plan_call *c, const json_t *have OH_UNUSED, const json_t *want, json_t **ret,
                        struct err *err)
{
    return group_put(c, AWS_OPERATE, want, ret, err);
}

static int group_destroy(const struct plan_call *c, const json_t *have, struct err *err)
{
    return aws_absent_is_fine(json_call(c, AWS_REMOVE, "logs", "DeleteLogGroup",
                                        json_pack("{s:s}", "logGroupName", js_text_at(have, "name")), NULL, err),
                              err);
}

static const struct plan_attribute group_attributes[] = {
    {"days", 0}, {"name", PLAN_COMPUTED}, {"arn", PLAN_COMPUTED}, {NULL, 0}};
const struct plan_type aws_log_group_type = {.name = "aws_log_group",
                                             .attributes = group_attributes,
                                             .observe = group_observe,
                                             .create = group_create,
                                             .change = group_change,
                                             .destroy = group_destroy};
