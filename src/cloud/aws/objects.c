/* Removes what lies below a prefix of a bucket, page by page (Amazon S3 API: ListObjectsV2, DeleteObjects). */
#include "cloud/aws/objects.h"

#include "base/mem.h"
#include "cloud/aws/xml.h"

/* A page is what one DeleteObjects may name: at most 1,000. */
static int list_page(struct aws_client *c, const char *path, const char *prefix, json_t **ret, struct err *err)
{
    autojson json_t *query = json_pack("{ss ss}", "list-type", "2", "prefix", prefix), *answer = NULL;
    struct aws_request q = {
        .service = "s3", .action = "ListObjectsV2", .method = "GET", .path = path, .query = query, .repeatable = true};
    int r = aws_call(c, &q, &answer, NULL, err);
    if (r == 0)
        *ret = aws_xml_list(answer, "Contents", NULL);
    return r;
}

static int delete_page(struct aws_client *c, const char *path, const json_t *page, struct err *err)
{
    autojson json_t *query = json_pack("{ss}", "delete", ""), *answer = NULL;
    autobuf struct buf body = BUF_INIT;
    const json_t *one;
    size_t i;
    buf_adds(&body, "<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
    json_array_foreach(page, i, one)
    {
        buf_adds(&body, "<Object><Key>");
        aws_xml_escape(&body, json_string_value(json_object_get(one, "Key")));
        buf_adds(&body, "</Key></Object>");
    }
    buf_adds(&body, "<Quiet>true</Quiet></Delete>");
    struct aws_request q = {.service = "s3",
                            .action = "DeleteObjects",
                            .method = "POST",
                            .path = path,
                            .query = query,
                            .body = body.data,
                            .repeatable = true};
    int r = aws_call(c, &q, &answer, NULL, err);
    if (r < 0)
        return r;
    /* The answer is 200 also when some were refused. */
    autojson json_t *errors = aws_xml_list(answer, "Error", NULL);
    const char *code = json_string_value(json_object_get(json_array_get(errors, 0), "Code"));
    return code ? err_set(err, aws_error_code(403, code), "s3 DeleteObjects: %s", code) : 0;
}

int aws_objects_remove(struct aws_client *c, const char *bucket, const char *prefix, struct err *err)
{
    autofree char *path = mem_printf("/%s", bucket);
    if (!*prefix)
        return err_set(err, -EINVAL, "a whole bucket is not removed");
    for (int pages = 0; pages < AWS_PAGES_MAX; pages++) {
        autojson json_t *page = NULL;
        int r = list_page(c, path, prefix, &page, err);
        if (r < 0)
            return r;
        if (!json_array_size(page))
            return 0;
        if ((r = delete_page(c, path, page, err)) < 0)
            return r;
    }
    return err_set(err, -EAGAIN, "s3 ListObjectsV2: there is no end of objects below %s", prefix);
}
