/* clickhouse/multipart: form-data bodies. */
#include "../test.h"

#include "clickhouse/multipart.h"

#define PART(name, value) "--B\r\nContent-Disposition: form-data; name=\"" name "\"\r\n\r\n" value "\r\n"

static void reads_parts(void **state)
{
    static const char body[] = PART("query", "SELECT {a:String}") PART("param_a", "x\r\n--C\r\n") "--B--\r\n";
    autoparams struct params *p = params_new();
    autobuf struct buf text = BUF_INIT;
    const struct param *list;
    struct err err = ERR_INIT;
    if (multipart_parse(body, sizeof(body) - 1, "B", p, &text, &err) < 0)
        fail_msg("%s", err.message);
    assert_string_equal(text.data, "SELECT {a:String}");
    assert_int_equal(params_bindings(p, &list), 1);
    assert_string_equal(list[0].value, "x\r\n--C\r\n");
}

static void refused(const char *body, const char *why)
{
    autoparams struct params *p = params_new();
    autobuf struct buf text = BUF_INIT;
    struct err err = ERR_INIT;
    assert_int_equal(multipart_parse(body, strlen(body), "B", p, &text, &err), -EINVAL);
    if (!strstr(err.message, why))
        fail_msg("no '%s' in: %s", why, err.message);
}

static void refuses_malformed(void **state)
{
    refused("", "no boundary");
    refused("hello", "no boundary");
    refused("--B", "does not end its line");
    refused("--Bx\r\n", "does not end its line");
    refused(PART("query", "SELECT 1"), "cut short");
    refused("--B\r\nContent-Disposition: form-data\r\n\r\nx\r\n--B--", "no name");
    refused("--B\r\nno end\r\n--B--", "no end of its header");
    refused(PART("max_threads", "1") "--B--", "neither query nor param_NAME");
    refused("--B\r\nContent-Disposition: form-data; name=\"t\"; filename=\"f\"\r\n\r\nx\r\n--B--", "file");
}

static void boundaries(void **state)
{
    char b[MULTIPART_BOUNDARY_MAX + 1];
    assert_int_equal(multipart_boundary("multipart/form-data; boundary=abc; charset=x", b, NULL), 0);
    assert_string_equal(b, "abc");
    assert_int_equal(multipart_boundary("Multipart/Form-Data; boundary=\"a b\"", b, NULL), 0);
    assert_string_equal(b, "a b");
    assert_int_equal(multipart_boundary("multipart/form-data", b, NULL), -EINVAL);
    assert_int_equal(multipart_boundary("multipart/form-data; boundary=", b, NULL), -EINVAL);
    assert_int_equal(multipart_boundary("multipart/mixed; boundary=a", b, NULL), -EINVAL);
    assert_int_equal(multipart_boundary("multipart/form-data; boundary="
                                        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                                        b, NULL),
                     -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(reads_parts), cmocka_unit_test(refuses_malformed),
                                       cmocka_unit_test(boundaries)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
