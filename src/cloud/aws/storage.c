/* Buckets with all their settings. A bucket holds data: it goes only with the consent for data, and empty. */
#include "cloud/aws/resource.h"

static int bucket_call(const struct plan_call *c, enum aws_phase phase, const char *action, const char *method,
                       const char *bucket, const char *setting, const char *body, json_t **ret, struct err *err)
{
    autofree char *path = mem_printf("/%s", bucket);
    autojson json_t *query = setting ? json_pack("{s:s}", setting, "") : NULL;
    struct aws_request q = {.service = "s3",
                            .action = action,
                            .method = method,
                            .path = path,
                            .query = query,
                            .body = body,
                            .repeatable = true};
    return aws_do(c, phase, &q, ret, err);
}

static int setting_get(const struct plan_call *c, const char *action, const char *bucket, const char *setting,
                       json_t **ret, struct err *err)
{
    *ret = NULL;
    return aws_absent_is_fine(bucket_call(c, AWS_INSPECT, action, "GET", bucket, setting, NULL, ret, err), err);
}

static bool is_true(const json_t *v, const char *key)
{
    return !strcasecmp(js_text_at(v, key), "true");
}

static char *bucket_name(const struct plan_call *c)
{
    char prefix[16];
    aws_prefix(c->infrastructure, prefix);
    return mem_printf("%s-%s-%s", prefix, aws_env_of(c)->account, c->name);
}

static void read_encryption(const json_t *v, json_t *out)
{
    const json_t *rule = json_object_get(json_object_get(v, "Rule"), "ApplyServerSideEncryptionByDefault");
    json_object_set_new(out, "encryption", json_string(js_text_at(rule, "SSEAlgorithm")));
    if (*js_text_at(rule, "KMSMasterKeyID"))
        json_object_set_new(out, "key", json_string(js_text_at(rule, "KMSMasterKeyID")));
}

static void read_lifecycle(const json_t *v, json_t *out)
{
    autojson json_t *rules = aws_xml_list(v, "Rule", NULL);
    json_t *rule;
    size_t i;
    json_array_foreach(rules, i, rule)
    {
        const char *days = js_text_at(json_object_get(rule, "AbortIncompleteMultipartUpload"), "DaysAfterInitiation");
        const char *old = js_text_at(json_object_get(rule, "NoncurrentVersionExpiration"), "NoncurrentDays");
        if (strcmp(js_text_at(rule, "Status"), "Enabled"))
            continue;
        if (*days)
            json_object_set_new(out, "abort_uploads_days", json_integer(atoi(days)));
        if (*old)
            json_object_set_new(out, "old_versions_days", json_integer(atoi(old)));
    }
}

static json_t *bucket_arn(const struct plan_call *c, const char *bucket)
{
    return json_sprintf("arn:%s:s3:::%s", aws_client_partition(aws_env_of(c)->clients[AWS_INSPECT]), bucket);
}

/* All settings, each its own call. */
static int bucket_view(const struct plan_call *c, const char *bucket, json_t *out, struct err *err)
{
    autojson json_t *ownership = NULL, *block OH_CLEANUP(js_decrefp) = NULL, *encryption OH_CLEANUP(js_decrefp) = NULL,
                    *lifecycle OH_CLEANUP(js_decrefp) = NULL, *versioning OH_CLEANUP(js_decrefp) = NULL,
                    *policy OH_CLEANUP(js_decrefp) = NULL;
    int r = setting_get(c, "GetBucketOwnershipControls", bucket, "ownershipControls", &ownership, err);
    if (r == 0)
        r = setting_get(c, "GetPublicAccessBlock", bucket, "publicAccessBlock", &block, err);
    if (r == 0)
        r = setting_get(c, "GetBucketEncryption", bucket, "encryption", &encryption, err);
    if (r == 0)
        r = setting_get(c, "GetBucketLifecycleConfiguration", bucket, "lifecycle", &lifecycle, err);
    if (r == 0)
        r = setting_get(c, "GetBucketVersioning", bucket, "versioning", &versioning, err);
    if (r == 0)
        r = setting_get(c, "GetBucketPolicy", bucket, "policy", &policy, err);
    if (r < 0)
        return r;
    json_object_set_new(out, "name", json_string(bucket));
    json_object_set_new(out, "arn", bucket_arn(c, bucket));
    json_object_set_new(out, "ownership",
                        json_string(js_text_at(json_object_get(ownership, "Rule"), "ObjectOwnership")));
    json_object_set_new(out, "private",
                        json_boolean(is_true(block, "BlockPublicAcls") && is_true(block, "IgnorePublicAcls") &&
                                     is_true(block, "BlockPublicPolicy") && is_true(block, "RestrictPublicBuckets")));
    json_object_set_new(out, "versioning", json_boolean(!strcmp(js_text_at(versioning, "Status"), "Enabled")));
    json_object_set_new(out, "tls_only",
                        json_boolean(strstr(js_text_at(policy, "text"), "aws:SecureTransport") != NULL));
    read_encryption(encryption, out);
    read_lifecycle(lifecycle, out);
    return 0;
}

static int bucket_observe(const struct plan_call *c, json_t **ret, struct err *err)
{
    autofree char *name = bucket_name(c);
    autojson json_t *tags = NULL, *view OH_CLEANUP(js_decrefp) = json_object();
    *ret = NULL;
    /* Not HeadBucket: that needs the right to list the names of objects. */
    int r = bucket_call(c, AWS_INSPECT, "GetBucketTagging", "GET", name, "tagging", NULL, &tags, err);
    if (r == -ENOENT && err && strstr(err->message, "NoSuchBucket"))
        return aws_absent_is_fine(r, err);
    r = aws_absent_is_fine(r, err);
    if (r < 0)
        return r;
    autojson json_t *list = aws_xml_list(tags, "TagSet", "Tag");
    if (json_array_size(list) && !aws_is_ours(c, list))
        return err_set(err, -EEXIST, "the bucket %s carries somebody else's tags: remove it or take them off", name);
    r = bucket_view(c, name, view, err);
    json_object_set_new(view, "tagged", json_boolean(json_array_size(list) > 0));
    if (r == 0)
        *ret = TAKE_PTR(view);
    return r;
}

static char *tagging_body(const struct plan_call *c, const json_t *want)
{
    autojson json_t *tags = aws_tags(c, want, "Key", "Value");
    struct buf b = BUF_INIT;
    size_t i;
    json_t *t;
    buf_adds(&b, "<Tagging xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><TagSet>");
    json_array_foreach(tags, i, t)
    {
        buf_adds(&b, "<Tag><Key>");
        aws_xml_escape(&b, js_text_at(t, "Key"));
        buf_adds(&b, "</Key><Value>");
        aws_xml_escape(&b, js_text_at(t, "Value"));
        buf_adds(&b, "</Value></Tag>");
    }
    buf_adds(&b, "</TagSet></Tagging>");
    return buf_take(&b);
}

static char *encryption_body(const json_t *want)
{
    struct buf b = BUF_INIT;
    buf_printf(&b,
               "<ServerSideEncryptionConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Rule>"
               "<ApplyServerSideEncryptionByDefault><SSEAlgorithm>%s</SSEAlgorithm>",
               js_text_at(want, "encryption"));
    if (*js_text_at(want, "key")) {
        buf_adds(&b, "<KMSMasterKeyID>");
        aws_xml_escape(&b, js_text_at(want, "key"));
        buf_adds(&b, "</KMSMasterKeyID>");
    }
    buf_adds(&b, "</ApplyServerSideEncryptionByDefault><BucketKeyEnabled>true</BucketKeyEnabled></Rule>"
                 "</ServerSideEncryptionConfiguration>");
    return buf_take(&b);
}

static char *lifecycle_body(const json_t *want)
{
    struct buf b = BUF_INIT;
    long long uploads = json_integer_value(json_object_get(want, "abort_uploads_days"));
    long long old = json_integer_value(json_object_get(want, "old_versions_days"));
    buf_adds(&b, "<LifecycleConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Rule><ID>ownhouse</ID>"
                 "<Filter><Prefix></Prefix></Filter><Status>Enabled</Status>");
    if (old)
        buf_printf(&b,
                   "<NoncurrentVersionExpiration><NoncurrentDays>%lld</NoncurrentDays></NoncurrentVersionExpiration>",
                   old);
    buf_printf(&b,
               "<AbortIncompleteMultipartUpload><DaysAfterInitiation>%lld</DaysAfterInitiation>"
               "</AbortIncompleteMultipartUpload></Rule></LifecycleConfiguration>",
               uploads ? uploads : 7);
    return buf_take(&b);
}

static int bucket_put(const struct plan_call *c, enum aws_phase phase, const char *name, const json_t *want,
                      struct err *err)
{
    autofree char *tags = tagging_body(c, want), *encryption OH_CLEANUP(oh_freep) = encryption_body(want),
                  *lifecycle OH_CLEANUP(oh_freep) = lifecycle_body(want), *versioning OH_CLEANUP(oh_freep) = NULL;
    bool versions = json_is_true(json_object_get(want, "versioning"));
    versioning =
        mem_printf("<VersioningConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Status>%s</Status>"
                   "</VersioningConfiguration>",
                   versions ? "Enabled" : "Suspended");
    const struct {
        const char *action, *setting, *body;
    } settings[] = {
        {"PutBucketTagging", "tagging", tags},
        {"PutPublicAccessBlock", "publicAccessBlock",
         "<PublicAccessBlockConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><BlockPublicAcls>true"
         "</BlockPublicAcls><IgnorePublicAcls>true</IgnorePublicAcls><BlockPublicPolicy>true</BlockPublicPolicy>"
         "<RestrictPublicBuckets>true</RestrictPublicBuckets></PublicAccessBlockConfiguration>"},
        {"PutBucketOwnershipControls", "ownershipControls",
         "<OwnershipControls xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Rule><ObjectOwnership>"
         "BucketOwnerEnforced</ObjectOwnership></Rule></OwnershipControls>"},
        {"PutBucketEncryption", "encryption", encryption},
        {"PutBucketLifecycleConfiguration", "lifecycle", lifecycle},
        {"PutBucketVersioning", "versioning", versions || phase == AWS_OPERATE ? versioning : NULL},
    };
    for (size_t i = 0; i < ARRAY_SIZE(settings); i++) {
        if (!settings[i].body)
            continue;
        int r =
            bucket_call(c, phase, settings[i].action, "PUT", name, settings[i].setting, settings[i].body, NULL, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int bucket_create(const struct plan_call *c, const json_t *want, json_t **ret, struct err *err)
{
    autofree char *name = bucket_name(c), *body OH_CLEANUP(oh_freep) = NULL;
    const char *region = aws_env_of(c)->region;
    if (strcmp(region, "us-east-1"))
        body = mem_printf("<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
                          "<LocationConstraint>%s</LocationConstraint></CreateBucketConfiguration>",
                          region);
    int r = bucket_call(c, AWS_PROVISION, "CreateBucket", "PUT", name, NULL, body, NULL, err);
    r = err && strstr(err->message, "BucketAlreadyOwnedByYou") ? aws_exists_is_fine(r, err) : r;
    if (r == 0)
        r = bucket_put(c, AWS_PROVISION, name, want, err);
    if (r < 0)
        return r;
    /* Seven questions would only repeat what S3 has just said yes to; the next look at everything asks them. */
    *ret = json_deep_copy(want);
    json_object_set_new(*ret, "name", json_string(name));
    json_object_set_new(*ret, "arn", bucket_arn(c, name));
    json_object_set_new(*ret, "tls_only", json_false());
    return 0;
}

static int bucket_change(const struct plan_call *c, const json_t *have OH_UNUSED, const json_t *want, json_t **ret,
                         struct err *err)
{
    autofree char *name = bucket_name(c);
    int r = bucket_put(c, AWS_OPERATE, name, want, err);
    return r < 0 ? r : bucket_observe(c, ret, err);
}

/* One page of versions and delete markers, deleted; *ret_more when there may be others. */
static int delete_page(const struct plan_call *c, const char *name, bool *ret_more, struct err *err)
{
    static const char *const lists[] = {"Version", "DeleteMarker"};
    autojson json_t *page = NULL;
    autobuf struct buf body = BUF_INIT;
    size_t i, n = 0;
    json_t *one;
    int r = bucket_call(c, AWS_REMOVE, "ListObjectVersions", "GET", name, "versions", NULL, &page, err);
    if (r < 0)
        return r;
    buf_adds(&body, "<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
    for (size_t k = 0; k < ARRAY_SIZE(lists); k++) {
        autojson json_t *list = aws_xml_list(page, lists[k], NULL);
        json_array_foreach(list, i, one)
        {
            buf_adds(&body, "<Object><Key>");
            aws_xml_escape(&body, js_text_at(one, "Key"));
            buf_adds(&body, "</Key><VersionId>");
            aws_xml_escape(&body, js_text_at(one, "VersionId"));
            buf_adds(&body, "</VersionId></Object>");
            n++;
        }
    }
    buf_adds(&body, "<Quiet>true</Quiet></Delete>");
    *ret_more = n > 0;
    return n ? bucket_call(c, AWS_REMOVE, "DeleteObjects", "POST", name, "delete", body.data, NULL, err) : 0;
}

static int bucket_destroy(const struct plan_call *c, const json_t *have OH_UNUSED, struct err *err)
{
    autofree char *name = bucket_name(c);
    bool more = true;
    int r = 0;
    if (!c->delete_data)
        return err_set(err, -EPERM, "the bucket %s holds data and deleting data was not asked for", name);
    while (r == 0 && more)
        r = c->cancel && atomic_load(c->cancel) ? err_set(err, -ECANCELED, "cancelled")
                                                : delete_page(c, name, &more, err);
    if (r == 0)
        r = bucket_call(c, AWS_REMOVE, "DeleteBucket", "DELETE", name, NULL, NULL, NULL, err);
    return aws_absent_is_fine(r, err);
}

static const struct plan_attribute bucket_attributes[] = {{"ownership", 0},
                                                          {"private", 0},
                                                          {"encryption", 0},
                                                          {"key", 0},
                                                          {"versioning", 0},
                                                          {"abort_uploads_days", 0},
                                                          {"old_versions_days", 0},
                                                          {"tagged", 0},
                                                          {"name", PLAN_COMPUTED},
                                                          {"arn", PLAN_COMPUTED},
                                                          {"tls_only", PLAN_COMPUTED | PLAN_VOLATILE},
                                                          {NULL, 0}};
const struct plan_type aws_bucket_type = {.name = "aws_bucket",
                                          .attributes = bucket_attributes,
                                          .holds_data = true,
                                          .observe = bucket_observe,
                                          .create = bucket_create,
                                          .change = bucket_change,
                                          .destroy = bucket_destroy};
