/* net/proxyproto: round trips, HAProxy's own bytes, increments, hostile headers. */
#include "../test.h"

#include "net/proxyproto.h"

#include <arpa/inet.h>
#include <netinet/in.h>

static const uint8_t sig[12] = "\r\n\r\n\0\r\nQUIT\n";

static struct sockaddr_in v4(const char *a, uint16_t port)
{
    struct sockaddr_in s = {.sin_family = AF_INET, .sin_port = htons(port)};
    assert_int_equal(inet_pton(AF_INET, a, &s.sin_addr), 1);
    return s;
}

static void both_families_round_trip(void **state OH_UNUSED)
{
    struct sockaddr_in a = v4("192.0.2.7", 41234), b = v4("198.51.100.1", 443);
    struct sockaddr_in6 c = {.sin6_family = AF_INET6, .sin6_port = htons(7)}, d = c;
    struct proxyproto p;
    uint8_t out[52];
    assert_int_equal(inet_pton(AF_INET6, "2001:db8::1", &c.sin6_addr), 1);
    assert_int_equal(proxyproto_write((struct sockaddr *)&a, (struct sockaddr *)&b, out), 28);
    for (size_t n = 0; n < 28; n++) {
        assert_int_equal(proxyproto_parse(out, n, &p, NULL), 0);
        assert_int_equal(proxyproto_need(out, n), n < 16 ? 16 : 28);
    }
    assert_int_equal(proxyproto_parse(out, 28, &p, NULL), 28);
    assert_false(p.local);
    assert_memory_equal(&p.src, &a, sizeof(a));
    assert_memory_equal(&p.dst, &b, sizeof(b));
    assert_int_equal(proxyproto_write((struct sockaddr *)&c, (struct sockaddr *)&d, out), 52);
    assert_int_equal(proxyproto_parse(out, 52, &p, NULL), 52);
    assert_memory_equal(&p.src, &c, sizeof(c));
    assert_int_equal(proxyproto_write((struct sockaddr *)&a, (struct sockaddr *)&c, out), -EAFNOSUPPORT);
    assert_int_equal(proxyproto_write(NULL, NULL, out), 16);
    assert_int_equal(proxyproto_parse(out, 16, &p, NULL), 16);
    assert_true(p.local);
}

static void extras_are_skipped(void **state OH_UNUSED)
{
    uint8_t h[64] = {0};
    struct proxyproto p;
    memcpy(h, sig, 12);
    h[12] = 0x21, h[13] = 0x11, h[15] = 12 + 8;
    h[16] = 10, h[19] = 1, h[24] = 1, h[25] = 0;
    assert_int_equal(proxyproto_parse(h, sizeof(h), &p, NULL), 36);
    assert_int_equal(ntohs(((struct sockaddr_in *)&p.src)->sin_port), 256);
    h[13] = 0x00; /* unspecified family: as good as local */
    assert_int_equal(proxyproto_parse(h, sizeof(h), &p, NULL), 36);
    assert_true(p.local);
}

static void hostile_headers(void **state OH_UNUSED)
{
    uint8_t h[600] = {0};
    struct proxyproto p;
    struct err err = ERR_INIT;
    assert_int_equal(proxyproto_parse((const uint8_t *)"PROXY TCP4 1.2.3.4", 18, &p, &err), -EPROTO);
    assert_non_null(strstr(err.message, "v2"));
    assert_int_equal(proxyproto_parse((const uint8_t *)"\x16\x03\x01", 3, &p, NULL), -EPROTO); /* TLS at once */
    memcpy(h, sig, 12);
    h[12] = 0x21, h[13] = 0x11, h[15] = 11;
    assert_int_equal(proxyproto_parse(h, sizeof(h), &p, NULL), -EPROTO); /* too short for its addresses */
    h[13] = 0x21, h[15] = 35;
    assert_int_equal(proxyproto_parse(h, sizeof(h), &p, NULL), -EPROTO);
    h[13] = 0x41, h[15] = 100;
    assert_int_equal(proxyproto_parse(h, sizeof(h), &p, NULL), -EPROTO);
    h[13] = 0x11, h[12] = 0x22;
    assert_int_equal(proxyproto_parse(h, sizeof(h), &p, NULL), -EPROTO);
    h[12] = 0x31;
    assert_int_equal(proxyproto_parse(h, sizeof(h), &p, NULL), -EPROTO);
    h[12] = 0x21, h[14] = 2, h[15] = 9;
    assert_int_equal(proxyproto_parse(h, 16, &p, NULL), -EMSGSIZE); /* before any of it is waited for */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_families_round_trip),
        cmocka_unit_test(extras_are_skipped),
        cmocka_unit_test(hostile_headers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
