/* net/connect_proxy: the request's exact text, and every kind of answer. */
#include "../test.h"

#include "net/connect_proxy.h"

static void request_text(void **state OH_UNUSED)
{
    autobuf struct buf b = BUF_INIT, c = BUF_INIT;
    assert_int_equal(connect_proxy_request("control.example", 443, NULL, &b, NULL), 0);
    assert_string_equal(b.data, "CONNECT control.example:443 HTTP/1.1\r\nHost: control.example:443\r\n\r\n");
    assert_int_equal(connect_proxy_request("2001:db8::1", 443, "Aladdin:open sesame", &c, NULL), 0);
    /* The credentials are the example of RFC 7617. */
    assert_string_equal(c.data, "CONNECT [2001:db8::1]:443 HTTP/1.1\r\nHost: [2001:db8::1]:443\r\n"
                                "Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\r\n");
}

static void nothing_breaks_out_of_the_line(void **state OH_UNUSED)
{
    autobuf struct buf b = BUF_INIT;
    assert_int_equal(connect_proxy_request("a\r\nX: y", 443, NULL, &b, NULL), -EINVAL);
    assert_int_equal(connect_proxy_request("a b", 443, NULL, &b, NULL), -EINVAL);
    assert_int_equal(connect_proxy_request("", 443, NULL, &b, NULL), -EINVAL);
    assert_int_equal(connect_proxy_request("a", 0, NULL, &b, NULL), -EINVAL);
    assert_int_equal(connect_proxy_request("a", 443, "user:pass\n", &b, NULL), -EINVAL);
    assert_int_equal(connect_proxy_request("a", 443, "nocolon", &b, NULL), -EINVAL);
    assert_int_equal(b.len, 0);
}

static void answers(void **state OH_UNUSED)
{
    static const struct {
        const char *text;
        int result;
        const char *says;
    } cases[] = {
        {"HTTP/1.1 200 Connection established\r\n\r\n\x16\x03", 39, NULL},
        {"HTTP/1.0 200\r\nVia: x\r\n\r\n", 24, NULL},
        {"HTTP/1.1 200 OK\n\nrest", 17, NULL},
        {"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", -EPERM, "407"},
        {"HTTP/1.0 401 Unauthorized\r\n\r\n", -EPERM, "401"},
        {"HTTP/1.1 403 Filtered\r\n\r\n", -EACCES, "403"},
        {"HTTP/1.1 503 x\r\n\r\n", -EHOSTUNREACH, "503"},
        {"HTTP/1.1 302 Found\r\n\r\n", -EACCES, "302"},
        {"HTTP/1.1 100 Continue\r\n\r\n", -EACCES, "100"},
        {"HTTP/2 200\r\n\r\n", -EPROTO, "HTTP/1"},
        {"HTTP/1.1 2xx OK\r\n\r\n", -EPROTO, "status"},
        {"HTTP/1.1 2000\r\n\r\n", -EPROTO, "status"},
        {"SSH-2.0-OpenSSH", -EPROTO, "HTTP/1"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct err err = ERR_INIT;
        int r = connect_proxy_response(cases[i].text, strlen(cases[i].text), &err);
        if (r != cases[i].result || (cases[i].says && !strstr(err.message, cases[i].says)))
            fail_msg("case %zu: %d %s", i, r, err.message);
    }
    const char *whole = cases[0].text;
    for (size_t n = 0; n < 39; n++)
        assert_int_equal(connect_proxy_response(whole, n, NULL), 0);
}

static void endless_answer_is_bounded(void **state OH_UNUSED)
{
    static char text[CONNECT_PROXY_MAX + 10];
    memset(text, 'a', sizeof(text));
    memcpy(text, "HTTP/1.1 200 ", 13);
    assert_int_equal(connect_proxy_response(text, CONNECT_PROXY_MAX - 1, NULL), 0);
    assert_int_equal(connect_proxy_response(text, CONNECT_PROXY_MAX, NULL), -EMSGSIZE);
    memcpy(text + CONNECT_PROXY_MAX, "\r\n\r\n", 4);
    assert_int_equal(connect_proxy_response(text, sizeof(text), NULL), -EMSGSIZE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(request_text),
        cmocka_unit_test(nothing_breaks_out_of_the_line),
        cmocka_unit_test(answers),
        cmocka_unit_test(endless_answer_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
