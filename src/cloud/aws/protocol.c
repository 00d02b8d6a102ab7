/* What differs between AWS services on the wire. */
#include "cloud/aws/protocol.h"

#include "base/mem.h"
#include "cloud/aws/xml.h"

static const struct aws_service services[] = {
    {"ec2", "ec2", AWS_EC2, "2016-11-15", false},
    {"iam", "iam", AWS_QUERY, "2010-05-08", true},
    {"sts", "sts", AWS_QUERY, "2011-06-15", false},
    {"elasticloadbalancing", "elasticloadbalancing", AWS_QUERY, "2015-12-01", false},
    {"kms", "kms", AWS_JSON, "TrentService", false},
    {"logs", "logs", AWS_JSON, "Logs_20140328", false},
    {"tagging", "tagging", AWS_JSON, "ResourceGroupsTaggingAPI_20170126", false},
    {"servicequotas", "servicequotas", AWS_JSON, "ServiceQuotasV20190624", false},
    {"eks", "eks", AWS_REST_JSON, "2017-11-01", false},
    {"s3", "s3", AWS_REST_XML, "2006-03-01", false},
    {"route53", "route53", AWS_REST_XML, "2013-04-01", true},
};

const struct aws_service *aws_service_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(services); i++)
        if (!strcmp(services[i].name, name))
            return &services[i];
    return NULL;
}

char *aws_service_url(const struct aws_service *s, const json_t *endpoints, const char *region)
{
    const char *set = json_string_value(json_object_get(endpoints, s->name));
    const char *suffix = strncmp(region, "cn-", 3) ? "amazonaws.com" : "amazonaws.com.cn";
    if (!set)
        set = json_string_value(json_object_get(endpoints, "*"));
    if (set) {
        size_t n = strlen(set);
        while (n && set[n - 1] == '/')
            n--;
        return mem_strndup(set, n);
    }
    return s->global ? mem_printf("https://%s.%s", s->name, suffix)
                     : mem_printf("https://%s.%s.%s", s->name, region, suffix);
}

bool aws_action_reads(const char *action)
{
    static const char *const prefixes[] = {"Describe", "Get", "List", "Head", "Simulate", "AssumeRole"};
    for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
        if (!strncmp(action, prefixes[i], strlen(prefixes[i])))
            return true;
    return false;
}

/* --- the query form --- */

static void add_pair(struct buf *out, const char *name, const char *value)
{
    if (out->len)
        buf_addc(out, '&');
    sigv4_encode(out, name, false);
    buf_addc(out, '=');
    sigv4_encode(out, value, false);
}

static void flatten(struct buf *out, const char *name, const json_t *v, const char *list)
{
    const char *key;
    json_t *child;
    size_t i;
    char number[32];
    if (json_is_object(v)) {
        json_object_foreach((json_t *)(uintptr_t)v, key, child)
        {
            autofree char *below = *name ? mem_printf("%s.%s", name, key) : mem_strdup(key);
            flatten(out, below, child, list);
        }
    } else if (json_is_array(v)) {
        json_array_foreach(v, i, child)
        {
            autofree char *below = mem_printf("%s.%s%zu", name, list, i + 1);
            flatten(out, below, child, list);
        }
    } else if (json_is_string(v)) {
        add_pair(out, name, json_string_value(v));
    } else if (json_is_integer(v)) {
        snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(v));
        add_pair(out, name, number);
    } else if (json_is_boolean(v)) {
        add_pair(out, name, json_is_true(v) ? "true" : "false");
    }
}

void aws_query_form(struct buf *out, const json_t *params, const char *list)
{
    flatten(out, "", params, list);
}

/* --- errors --- */

static const json_t *text_below(const json_t *v, const char *name, int depth)
{
    const char *key;
    json_t *child;
    const json_t *found = json_object_get(v, name);
    if (json_is_string(found))
        return found;
    if (depth < 6 && json_is_object(v)) {
        json_object_foreach((json_t *)(uintptr_t)v, key, child)
        {
            if ((found = text_below(child, name, depth + 1)))
                return found;
        }
    }
    if (depth < 6 && json_is_array(v) && json_array_size(v))
        return text_below(json_array_get(v, 0), name, depth + 1);
    return NULL;
}

/* AWS's texts end up in messages of one line. */
static void keep(char *out, size_t size, const char *text)
{
    size_t n = 0;
    for (; *text && n + 1 < size; text++)
        if ((unsigned char)*text >= ' ' && *text != 0x7f)
            out[n++] = *text;
    out[n] = 0;
}

static void code_of_type(char code[96], const char *type)
{
    const char *hash = strchr(type, '#');
    char plain[96];
    keep(plain, sizeof(plain), hash ? hash + 1 : type);
    plain[strcspn(plain, ":")] = 0;
    memcpy(code, plain, sizeof(plain));
}

void aws_error_parse(int status, const char *headers, const char *body, size_t len, char code[96], char message[256])
{
    autojson json_t *v = NULL;
    struct http_response h = {.headers = (char *)(uintptr_t)headers};
    char type[200] = "";
    snprintf(code, 96, "Status%d", status);
    snprintf(message, 256, "answered with status %d", status);
    if (len > KIB(64))
        return;
    if (js_parse(body, len, KIB(64), &v, NULL) == 0 && json_is_object(v)) {
        const char *in_body = json_string_value(json_object_get(v, "__type"));
        const json_t *said = json_object_get(v, "message");
        if (!said)
            said = json_object_get(v, "Message");
        if (headers && http_response_header(&h, "x-amzn-errortype", type, sizeof(type)))
            in_body = type;
        if (!in_body)
            in_body = json_string_value(json_object_get(v, "code"));
        if (in_body)
            code_of_type(code, in_body);
        if (json_is_string(said))
            keep(message, 256, json_string_value(said));
        return;
    }
    if (len && *body == '<' && aws_xml_parse(body, len, KIB(64), &v, NULL, NULL) == 0) {
        const json_t *said = text_below(v, "Message", 0), *named = text_below(v, "Code", 0);
        if (named)
            keep(code, 96, json_string_value(named));
        if (said)
            keep(message, 256, json_string_value(said));
    }
}

static bool has(const char *code, const char *const *parts)
{
    for (; *parts; parts++)
        if (strstr(code, *parts))
            return true;
    return false;
}

int aws_error_code(int status, const char *code)
{
    static const char *const throttled[] = {"Throttl", "RequestLimitExceeded", "TooManyRequests", "SlowDown", NULL};
    static const char *const absent[] = {"NotFound", "NoSuch", "DoesNotExist", "Status404", NULL};
    static const char *const later[] = {"DependencyViolation",
                                        "DeleteConflict",
                                        "ResourceInUse",
                                        "IncorrectState",
                                        "IncorrectInstance",
                                        "InUse",
                                        "ConcurrentModification",
                                        "OperationAborted",
                                        "PriorRequestNotComplete",
                                        "ResourceNotReady",
                                        "InvalidRequestException.Busy",
                                        NULL};
    static const char *const there[] = {"AlreadyExists", "Duplicate", "AlreadyAssociated", "BucketAlreadyOwnedByYou",
                                        NULL};
    static const char *const refused[] = {"AccessDenied",
                                          "Unauthorized",
                                          "InvalidClientTokenId",
                                          "SignatureDoesNotMatch",
                                          "ExpiredToken",
                                          "AuthFailure",
                                          "InvalidAccessKeyId",
                                          "NotAuthorized",
                                          "Status403",
                                          NULL};
    static const char *const quota[] = {"LimitExceeded", "QuotaExceeded", "InsufficientInstanceCapacity", NULL};
    if (has(code, throttled) || status == 429)
        return -EAGAIN;
    if (has(code, absent))
        return -ENOENT;
    if (has(code, later))
        return -EAGAIN;
    if (has(code, there))
        return -EEXIST;
    if (has(code, refused))
        return -EACCES;
    if (has(code, quota))
        return -EDQUOT;
    return status >= 500 ? -EAGAIN : status == 404 ? -ENOENT : status == 403 ? -EACCES : -EINVAL;
}
