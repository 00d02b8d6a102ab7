/* What AWS, or something that stands in its place, may answer: XML, JSON, errors, keys. */
#include "cloud/aws/client.h"
#include "cloud/aws/xml.h"

#include "base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *v = NULL;
    char *root = NULL, code[96], message[256];
    struct aws_keys k = {0};
    if (aws_xml_parse((const char *)data, size, MIB(1), &v, &root, NULL) == 0) {
        json_decref(aws_xml_list(v, "item", "member"));
        autobuf struct buf form = BUF_INIT_MAX(MIB(1));
        aws_query_form(&form, v, "member.");
        json_decref(v);
        free(root);
    }
    aws_error_parse(400, "", (const char *)data, size, code, message);
    if (strlen(code) >= sizeof(code) || strlen(message) >= sizeof(message) || strpbrk(message, "\r\n"))
        abort();
    (void)aws_error_code(400, code);
    if (aws_credentials_parse_file((const char *)data, size, "default", &k, NULL) == 0)
        aws_keys_free(&k);
    if (aws_credentials_parse_json((const char *)data, size, &k, NULL) == 0)
        aws_keys_free(&k);
    if (aws_credentials_parse_sts((const char *)data, size, &k, NULL) == 0)
        aws_keys_free(&k);
    return 0;
}
