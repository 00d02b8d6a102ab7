/* The gate's reader of HTTP requests: whole and strict, in any pieces. */
#include "../test.h"

#include "agent/gate/http1.h"

/* 1 whole, 0 more needed, else the negative status. */
static int take(struct http1_reader *r, const char *text, size_t len, struct http1_request *q, size_t piece)
{
    int status = 0, result = 0;
    struct err err = ERR_INIT;
    while (len && result == 0) {
        const char *at = text;
        size_t n = MIN(piece, len), left = n;
        result = http1_read(r, &at, &left, q, &status, &err);
        text += n - left;
        len -= n - left;
    }
    if (result < 0) {
        assert_true(err.message[0] != '\0');
        return -status;
    }
    return result;
}

static int status_of(const char *text)
{
    struct http1_reader r = {0};
    struct http1_request q;
    int result = take(&r, text, strlen(text), &q, 4096);
    http1_reader_free(&r);
    return result;
}

static void requests_come_in_any_pieces(void **state)
{
    static const char text[] = "POST /?query=1 HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nX-Y: a b\r\n\r\nhello"
                               "GET / HTTP/1.0\r\n\r\n";
    for (size_t piece = 1; piece < sizeof(text); piece++) {
        struct http1_reader r = {0};
        struct http1_request q;
        size_t first = sizeof(text) - 1 - strlen("GET / HTTP/1.0\r\n\r\n");
        assert_int_equal(take(&r, text, first, &q, piece), 1);
        assert_string_equal(q.method, "POST");
        assert_string_equal(q.target, "/?query=1");
        assert_int_equal(q.body_len, 5);
        assert_memory_equal(q.body, "hello", 5);
        assert_true(q.keep_alive);
        http1_next(&r);
        assert_int_equal(take(&r, text + first, sizeof(text) - 1 - first, &q, piece), 1);
        assert_false(q.keep_alive);
        http1_reader_free(&r);
    }
}

static void what_could_be_read_in_two_ways_is_refused(void **state)
{
    assert_int_equal(status_of("GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"), -501);
    assert_int_equal(status_of("GET / HTTP/1.1\r\ntransfer-encoding : chunked\r\n\r\n"), -400);
    assert_int_equal(status_of("GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx"), -400);
    assert_int_equal(status_of("GET / HTTP/1.1\r\nContent-Length: 1, 1\r\n\r\nx"), -400);
    assert_int_equal(status_of("GET / HTTP/1.1\r\nContent-Length: +1\r\n\r\nx"), -400);
    assert_int_equal(status_of("GET / HTTP/1.1\r\nContent-Length:\r\n\r\nx"), -400);
    assert_int_equal(status_of("GET / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\nx"), -413);
    assert_int_equal(status_of("GET / HTTP/1.1\r\nContent-Length: 40000\r\n\r\n"), -413);
    assert_int_equal(status_of("GET / HTTP/1.1\nHost: x\n\n\r\n\r\n"), -400);
    assert_int_equal(status_of("GET / HTTP/1.1\r\n folded\r\n\r\n"), -400);
    assert_int_equal(status_of("GET / HTTP/1.1\r\nA: b\r\n folded\r\n\r\n"), -400);
    assert_int_equal(status_of("GET x HTTP/1.1\r\n\r\n"), -400);
    assert_int_equal(status_of("GET http://x/ HTTP/1.1\r\n\r\n"), -400);
    assert_int_equal(status_of("GET /a b HTTP/1.1\r\n\r\n"), -400);
    assert_int_equal(status_of("GET /a HTTP/2\r\n\r\n"), -400);
    assert_int_equal(status_of("get / HTTP/1.1\r\n\r\n"), -400);
    assert_int_equal(status_of("\r\n\r\n"), -400);
    assert_int_equal(status_of("GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n"), -501);
    struct http1_reader r = {0};
    struct http1_request q;
    assert_int_equal(take(&r, "GET / HTTP/1.1\r\nA: \0\r\n\r\n", 24, &q, 100), -400);
    http1_reader_free(&r);
}

static void heads_are_bounded(void **state)
{
    autobuf struct buf text = BUF_INIT;
    buf_adds(&text, "GET / HTTP/1.1\r\nA: ");
    while (text.len < 2 * HTTP1_HEAD_MAX)
        buf_addc(&text, 'x');
    assert_int_equal(status_of(text.data), -431);
}

static void parameters_are_decoded_once(void **state)
{
    autofree char *value = NULL, *none = NULL;
    struct err err = ERR_INIT;
    assert_int_equal(http1_param("/?a=1&query=SELECT+%271%27%252", "query", &value, &err), 0);
    assert_string_equal(value, "SELECT '1'%2");
    assert_int_equal(http1_param("/?a=1", "query", &none, &err), 0);
    assert_null(none);
    assert_int_equal(http1_param("/?q=1&q=2", "q", &none, &err), -EINVAL);
    assert_int_equal(http1_param("/?q=%0", "q", &none, &err), -EINVAL);
    assert_int_equal(http1_param("/?q=%00", "q", &none, &err), -EINVAL);
    assert_int_equal(http1_param("/?q=%zz", "q", &none, &err), -EINVAL);
    static const char *const allowed[] = {"query", NULL};
    assert_int_equal(http1_params_only("/?query=1", allowed, &err), 0);
    assert_int_equal(http1_params_only("/?query=1&user=x", allowed, &err), -EINVAL);
    assert_int_equal(http1_params_only("/?queryx=1", allowed, &err), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_come_in_any_pieces),
        cmocka_unit_test(what_could_be_read_in_two_ways_is_refused),
        cmocka_unit_test(heads_are_bounded),
        cmocka_unit_test(parameters_are_decoded_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
