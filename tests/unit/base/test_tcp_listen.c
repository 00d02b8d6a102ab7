/* base/tcp_listen: one named address or nothing. */
#include "../test.h"

#include "base/tcp_listen.h"

#include <netinet/in.h>
#include <sys/socket.h>

static void only_one_whole_address_is_taken(void **state OH_UNUSED)
{
    static const char *const bad[] = {"",
                                      ":8443",
                                      "8443",
                                      "127.0.0.1",
                                      "127.0.0.1:",
                                      "127.0.0.1:0",
                                      "127.0.0.1:65536",
                                      "127.0.0.1:+80",
                                      "127.0.0.1:80x",
                                      "0.0.0.0:8443",
                                      "[::]:8443",
                                      "[0:0::0]:8443",
                                      "::1:8443",
                                      "[::1:8443",
                                      "[]:8443",
                                      "localhost:8443",
                                      "*:8443",
                                      "[aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa]:1",
                                      "1111111111111111111111111111111111111111111111111111111111111111111111111:1"};
    struct err err = ERR_INIT;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        err = ERR_INIT;
        if (tcp_listen_check("place", bad[i], &err) != -EINVAL || strncmp(err.message, "place: ", 7))
            fail_msg("%s: %s", bad[i], err.message);
        assert_int_equal(tcp_listen("place", bad[i], 1, NULL), -EINVAL);
    }
    assert_int_equal(tcp_listen_check("place", "100.64.0.7:8443", &err), 0);
    assert_int_equal(tcp_listen_check("place", "[fd7a::7]:65535", &err), 0);
}

static void it_listens_there_alone(void **state OH_UNUSED)
{
    struct sockaddr_in a;
    socklen_t len = sizeof(a);
    char where[32];
    struct err err = ERR_INIT;
    /* A free port, found by the kernel and given back. */
    autoclose int probe = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    a = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(bind(probe, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(getsockname(probe, (struct sockaddr *)&a, &len), 0);
    int port = ntohs(a.sin_port);
    snprintf(where, sizeof(where), "127.0.0.2:%d", port);
    autoclose int fd = tcp_listen("place", where, 4, &err);
    if (fd < 0)
        fail_msg("%s", err.message);
    len = sizeof(a);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    assert_int_equal(ntohl(a.sin_addr.s_addr), 0x7f000002);
    assert_int_equal(ntohs(a.sin_port), port);
    assert_int_equal(tcp_listen("place", where, 4, &err), -EADDRINUSE);
    assert_non_null(strstr(err.message, where));
}

static void an_address_that_is_not_here_yet_is_waited_for(void **state OH_UNUSED)
{
    struct err err = ERR_INIT;
    autoclose int fd = tcp_listen("place", "192.0.2.77:8443", 4, &err); /* RFC 5737: nobody's */
    if (fd < 0)
        fail_msg("%s", err.message);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_one_whole_address_is_taken),
        cmocka_unit_test(it_listens_there_alone),
        cmocka_unit_test(an_address_that_is_not_here_yet_is_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
