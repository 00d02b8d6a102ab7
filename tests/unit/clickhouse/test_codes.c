/* clickhouse/codes: exception texts, statuses, frames. */
#include "../test.h"

#include "clickhouse/codes.h"

static void statuses(void **state)
{
    assert_int_equal(codes_http_status(CH_SYNTAX_ERROR), 400);
    assert_int_equal(codes_http_status(60), 404);
    assert_int_equal(codes_http_status(81), 404);
    assert_int_equal(codes_http_status(CH_AUTHENTICATION_FAILED), 403);
    assert_int_equal(codes_http_status(CH_REQUIRED_PASSWORD), 401);
    assert_int_equal(codes_http_status(241), 500);
    assert_int_equal(codes_http_status(159), 408);
    assert_int_equal(codes_http_status(394), 500);
    assert_int_equal(codes_http_status(123456), 500);
}

static void own_text(void **state)
{
    autobuf struct buf b = BUF_INIT;
    codes_exception(CH_READONLY, "No", "26.5", &b);
    assert_string_equal(b.data, "Code: 164. DB::Exception: No. (READONLY) (version 26.5)\n");
}

static void check_engine(const char *text, int code, const char *want)
{
    autobuf struct buf b = BUF_INIT;
    int got;
    codes_engine_exception(text, "26.5", &got, &b);
    assert_int_equal(got, code);
    assert_string_equal(b.data, want);
}

static void engine_text(void **state)
{
    check_engine("Code: 47. DB::Exception: Unknown x. (UNKNOWN_IDENTIFIER)", 47,
                 "Code: 47. DB::Exception: Unknown x. (UNKNOWN_IDENTIFIER) (version 26.5)\n");
    check_engine("Code: 27. DB::Exception: Code: 27. DB::Exception: Bad: (at row 1)\n: (in file/uri /dev/fd/66): "
                 "While. (X) (version 26.5). (X)",
                 27, "Code: 27. DB::Exception: Bad: (at row 1)\n: While. (X) (version 26.5)\n");
    check_engine("bad alloc", 1001, "Code: 1001. DB::Exception: bad alloc. (STD_EXCEPTION) (version 26.5)\n");
    check_engine("", 1001, "Code: 1001. DB::Exception: . (STD_EXCEPTION) (version 26.5)\n");
    check_engine("Code: 1. DB::Exception: ", 1, "Code: 1. DB::Exception:  (version 26.5)\n");
}

/* As the official clients read it: from the end, the length counts the message with its line end. */
static void frame(void **state)
{
    autobuf struct buf b = BUF_INIT;
    codes_exception_frame("boom\n", "abcdefghijklmnop", &b);
    assert_string_equal(b.data,
                        "\r\n__exception__\r\nabcdefghijklmnop\r\nboom\n5 abcdefghijklmnop\r\n__exception__\r\n");
}

static void frame_is_bounded(void **state)
{
    autobuf struct buf b = BUF_INIT;
    autofree char *huge = mem_alloc(100001);
    memset(huge, 'x', 100000);
    codes_exception_frame(huge, "abcdefghijklmnop", &b);
    assert_true(b.len < 16384 + 200);
    assert_non_null(strstr(b.data, "\n16385 abcdefghijklmnop\r\n"));
}

static void tags_differ(void **state)
{
    char a[CODES_TAG_SIZE], b[CODES_TAG_SIZE];
    codes_new_tag(a);
    codes_new_tag(b);
    assert_int_equal(strspn(a, "abcdefghijklmnopqrstuvwxyz"), 16);
    assert_string_not_equal(a, b);
}

static void content_types(void **state)
{
    assert_string_equal(codes_content_type("JSON"), "application/json; charset=UTF-8");
    assert_string_equal(codes_content_type("JSONEachRow"), "application/x-ndjson; charset=UTF-8");
    assert_string_equal(codes_content_type("CSVWithNames"), "text/csv; charset=UTF-8; header=present");
    assert_string_equal(codes_content_type("Parquet"), "application/octet-stream");
    assert_string_equal(codes_content_type("Pretty"), "text/plain; charset=UTF-8");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(statuses),      cmocka_unit_test(own_text),         cmocka_unit_test(engine_text),
        cmocka_unit_test(frame),         cmocka_unit_test(frame_is_bounded), cmocka_unit_test(tags_differ),
        cmocka_unit_test(content_types),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
