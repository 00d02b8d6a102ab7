/* cloud/aws on the wire: published signature vectors, forms, XML trees, error answers, keys. Pure. */
#include "../test.h"

#include "cloud/aws/client.h"
#include "cloud/aws/xml.h"

#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

/* The examples of the S3 API reference, "Authenticating Requests: Using the Authorization Header". */
static void published_signatures_are_made(void **state OH_UNUSED)
{
    static const struct sigv4_pair range[] = {{"range", "bytes=0-9"}},
                                   put[] = {{"date", "Fri, 24 May 2013 00:00:00 GMT"},
                                            {"x-amz-storage-class", "REDUCED_REDUNDANCY"}},
                                   lifecycle[] = {{"lifecycle", ""}}, list[] = {{"prefix", "J"}, {"max-keys", "2"}};
    static const struct {
        const char *method, *path;
        const struct sigv4_pair *query, *headers;
        size_t n_query, n_headers;
        const char *payload, *signature, *target;
    } cases[] = {
        {"GET", "/test.txt", NULL, range, 0, 1, EMPTY,
         "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41", "/test.txt"},
        {"PUT", "/test$file.text", NULL, put, 0, 2, "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
         "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd", "/test%24file.text"},
        {"GET", "/", lifecycle, NULL, 1, 0, EMPTY, "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
         "/?lifecycle="},
        {"GET", "/", list, NULL, 2, 0, EMPTY, "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
         "/?max-keys=2&prefix=J"},
    };
    const struct sigv4_keys keys = {"AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", NULL};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct sigv4_request q = {.method = cases[i].method,
                                  .host = "examplebucket.s3.amazonaws.com",
                                  .path = cases[i].path,
                                  .query = cases[i].query,
                                  .n_query = cases[i].n_query,
                                  .headers = cases[i].headers,
                                  .n_headers = cases[i].n_headers,
                                  .payload_sha256 = cases[i].payload,
                                  .service = "s3",
                                  .region = "us-east-1",
                                  .wall_ms = 1369353600000};
        struct sigv4_signed s = {0};
        assert_int_equal(sigv4_sign(&q, &keys, &s, NULL), 0);
        assert_string_equal(strstr(s.authorization, "Signature=") + 10, cases[i].signature);
        assert_string_equal(s.target, cases[i].target);
        assert_string_equal(s.date, "20130524T000000Z");
        sigv4_signed_free(&s);
    }
}

static void a_header_with_a_line_break_is_refused(void **state OH_UNUSED)
{
    const struct sigv4_pair h[] = {{"x-amz-meta-a", "1\r\nevil: 2"}};
    const struct sigv4_keys keys = {"A", "B", NULL};
    struct sigv4_request q = {.method = "GET",
                              .host = "h",
                              .path = "/",
                              .headers = h,
                              .n_headers = 1,
                              .payload_sha256 = EMPTY,
                              .service = "eks",
                              .region = "us-east-1"};
    struct sigv4_signed s = {0};
    assert_int_equal(sigv4_sign(&q, &keys, &s, NULL), -EINVAL);
}

static void forms_name_lists_as_each_protocol_does(void **state OH_UNUSED)
{
    autojson json_t *v =
        json_pack("{s:s, s:[{s:s, s:[{s:s, s:s}]}], s:i, s:b}", "CidrBlock", "10.0.0.0/16", "TagSpecification",
                  "ResourceType", "vpc", "Tag", "Key", "a b", "Value", "c&d", "MaxResults", 5, "DryRun", 0);
    autobuf struct buf ec2 = BUF_INIT, query OH_CLEANUP(buf_free) = BUF_INIT;
    aws_query_form(&ec2, v, "");
    assert_string_equal(ec2.data, "CidrBlock=10.0.0.0%2F16&TagSpecification.1.ResourceType=vpc&"
                                  "TagSpecification.1.Tag.1.Key=a%20b&TagSpecification.1.Tag.1.Value=c%26d&"
                                  "MaxResults=5&DryRun=false");
    aws_query_form(&query, json_object_get(v, "TagSpecification") ? v : NULL, "member.");
    assert_non_null(strstr(query.data, "TagSpecification.member.1.Tag.member.1.Key=a%20b"));
}

static json_t *tree(const char *text)
{
    json_t *v = NULL;
    assert_int_equal(aws_xml_parse(text, strlen(text), KIB(64), &v, NULL, NULL), 0);
    return v;
}

static void lists_are_lists_with_one_element_too(void **state OH_UNUSED)
{
    autojson json_t *v = tree("<?xml version=\"1.0\"?><R xmlns=\"u\"><vpcSet><item><vpcId>a</vpcId></item></vpcSet>"
                              "<empty/><many><k>1</k><k>2</k></many><one><k><x>3</x></k></one></R>");
    autojson json_t *vpcs = aws_xml_list(v, "vpcSet", NULL),
                    *none OH_CLEANUP(js_decrefp) = aws_xml_list(v, "empty", NULL),
                    *many OH_CLEANUP(js_decrefp) = aws_xml_list(v, "many", "k"),
                    *one OH_CLEANUP(js_decrefp) = aws_xml_list(v, "one", "k");
    assert_int_equal(json_array_size(vpcs), 1);
    assert_string_equal(json_string_value(json_object_get(json_array_get(vpcs, 0), "vpcId")), "a");
    assert_int_equal(json_array_size(none), 0);
    assert_int_equal(json_array_size(many), 2);
    assert_int_equal(json_array_size(one), 1);
}

static void entities_and_depth_are_refused(void **state OH_UNUSED)
{
    static const char bomb[] = "<!DOCTYPE a [<!ENTITY b \"bbbb\">]><a>&b;</a>";
    autobuf struct buf deep = BUF_INIT;
    json_t *v = NULL;
    for (int i = 0; i < 200; i++)
        buf_adds(&deep, "<a>");
    assert_int_equal(aws_xml_parse(bomb, strlen(bomb), KIB(64), &v, NULL, NULL), -EPROTO);
    assert_int_equal(aws_xml_parse(deep.data, deep.len, KIB(64), &v, NULL, NULL), -EPROTO);
    assert_int_equal(aws_xml_parse("<a>", 3, KIB(64), &v, NULL, NULL), -EINVAL);
    assert_int_equal(aws_xml_parse("<a/>", 4, 3, &v, NULL, NULL), -EMSGSIZE);
}

static void errors_of_each_protocol_are_understood(void **state OH_UNUSED)
{
    static const struct {
        int status;
        const char *headers, *body, *code;
        int result;
    } cases[] = {
        {400, "",
         "<Response><Errors><Error><Code>InvalidVpcID.NotFound</Code><Message>m</Message></Error></Errors></Response>",
         "InvalidVpcID.NotFound", -ENOENT},
        {409, "",
         "<ErrorResponse><Error><Type>Sender</Type><Code>EntityAlreadyExists</Code><Message>m</Message></Error></"
         "ErrorResponse>",
         "EntityAlreadyExists", -EEXIST},
        {400, "", "{\"__type\":\"com.amazonaws.kms#NotFoundException\",\"message\":\"m\"}", "NotFoundException",
         -ENOENT},
        {409, "x-amzn-errortype: ResourceInUseException:http://x\n", "{\"message\":\"m\"}", "ResourceInUseException",
         -EAGAIN},
        {503, "", "<Error><Code>SlowDown</Code><Message>m</Message></Error>", "SlowDown", -EAGAIN},
        {503, "",
         "<Response><Errors><Error><Code>RequestLimitExceeded</Code><Message>m</Message></Error></Errors></Response>",
         "RequestLimitExceeded", -EAGAIN},
        {400, "",
         "<Response><Errors><Error><Code>VpcLimitExceeded</Code><Message>m</Message></Error></Errors></Response>",
         "VpcLimitExceeded", -EDQUOT},
        {404, "", "<!doctype html><html><title>404</title>", "Status404", -ENOENT},
        {500, "", "", "Status500", -EAGAIN},
        {403, "",
         "<Response><Errors><Error><Code>UnauthorizedOperation</Code><Message>m</Message></Error></Errors></Response>",
         "UnauthorizedOperation", -EACCES},
        {400, "",
         "<Response><Errors><Error><Code>InvalidParameterValue</Code><Message>m</Message></Error></Errors></Response>",
         "InvalidParameterValue", -EINVAL},
    };
    char code[96], message[256];
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        aws_error_parse(cases[i].status, cases[i].headers, cases[i].body, strlen(cases[i].body), code, message);
        assert_string_equal(code, cases[i].code);
        assert_int_equal(aws_error_code(cases[i].status, code), cases[i].result);
    }
}

static void keys_are_read_from_files_and_answers(void **state OH_UNUSED)
{
    static const char file[] = "[default]\naws_access_key_id=WRONG\naws_secret_access_key=x\n# c\n[dev]\n"
                               " aws_access_key_id = AK \naws_secret_access_key = s=cret\r\naws_session_token=t\n[x]\n";
    static const char answer[] =
        "{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"B\",\"Token\":\"C\",\"Code\":\"Success\","
        "\"Expiration\":\"2026-11-23T10:00:00Z\"}";
    struct aws_keys k = {0};
    struct err err = ERR_INIT;
    assert_int_equal(aws_credentials_parse_file(file, strlen(file), "dev", &k, NULL), 0);
    assert_string_equal(k.id, "AK");
    assert_string_equal(k.secret, "s=cret");
    assert_string_equal(k.token, "t");
    aws_keys_free(&k);
    assert_int_equal(aws_credentials_parse_file(file, strlen(file), "x", &k, &err), -ENOENT);
    assert_non_null(strstr(err.message, "profile x has no"));
    assert_int_equal(aws_credentials_parse_json(answer, strlen(answer), &k, NULL), 0);
    assert_int_equal(k.expires_ms, 1795428000000);
    aws_keys_free(&k);
    static const char sts[] =
        "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>A</AccessKeyId>"
        "<SecretAccessKey>B</SecretAccessKey><SessionToken>C</SessionToken>"
        "<Expiration>2026-11-23T10:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>";
    assert_int_equal(aws_credentials_parse_sts(sts, strlen(sts), &k, NULL), 0);
    assert_string_equal(k.token, "C");
    aws_keys_free(&k);
    assert_int_equal(aws_credentials_parse_sts("<a/>", 4, &k, NULL), -EPROTO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_signatures_are_made),
        cmocka_unit_test(a_header_with_a_line_break_is_refused),
        cmocka_unit_test(forms_name_lists_as_each_protocol_does),
        cmocka_unit_test(lists_are_lists_with_one_element_too),
        cmocka_unit_test(entities_and_depth_are_refused),
        cmocka_unit_test(errors_of_each_protocol_are_understood),
        cmocka_unit_test(keys_are_read_from_files_and_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
