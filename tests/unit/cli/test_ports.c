/* cli/ports: free and taken ports, and who holds them. */
#include "../test.h"

#include "cli/ports.h"

#include <arpa/inet.h>
#include <sys/socket.h>

static int listen_somewhere(int *ret_port)
{
    struct sockaddr_in sa = {.sin_family = AF_INET};
    socklen_t len = sizeof(sa);
    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
    *ret_port = ntohs(sa.sin_port);
    return fd;
}

static void a_taken_port_names_its_holder(void **state OH_UNUSED)
{
    int port;
    struct err err = ERR_INIT;
    struct port_holder holder;
    int fd = listen_somewhere(&port);
    assert_int_equal(port_free(port, &err), -EADDRINUSE);
    port_find_holder(port, &holder);
    assert_int_equal(holder.pid, getpid());
    assert_string_equal(holder.name, "test-cli-ports");
    close(fd);
    assert_int_equal(port_free(port, &err), 0);
    port_find_holder(port, &holder);
    assert_int_equal(holder.pid, 0);
}

static void environments_are_compared_whole(void **state OH_UNUSED)
{
    /* /proc/self/environ is what the process started with. */
    const char *path = getenv("PATH");
    assert_true(process_has_env(getpid(), "PATH", path));
    assert_false(process_has_env(getpid(), "PATH", "/"));
    assert_false(process_has_env(getpid(), "ATH", path));
    assert_false(process_has_env(0, "PATH", path));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_taken_port_names_its_holder),
        cmocka_unit_test(environments_are_compared_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
