/* One listening TCP socket, at the address that was named and no other. */
#include "base/tcp_listen.h"

#include "base/mem.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static int parse_port(const char *text, in_port_t *ret)
{
    unsigned long port = 0;
    if (!*text || strlen(text) > 5 || strspn(text, "0123456789") != strlen(text))
        return -EINVAL;
    port = strtoul(text, NULL, 10);
    if (port < 1 || port > 65535)
        return -EINVAL;
    *ret = htons((in_port_t)port);
    return 0;
}

static int parse(const char *what, const char *where, union address *ret, socklen_t *ret_len, struct err *err)
{
    const char *colon = strrchr(where, ':');
    char host[INET6_ADDRSTRLEN + 1] = "";
    in_port_t port = 0;
    size_t len = colon ? (size_t)(colon - where) : 0;
    bool v6 = len > 2 && where[0] == '[' && where[len - 1] == ']';
    union address a = {0};
    if (v6 && len - 2 < sizeof(host))
        memcpy(host, where + 1, len - 2);
    else if (!v6 && len < sizeof(host))
        memcpy(host, where, len);
    if (!colon || parse_port(colon + 1, &port) < 0 ||
        inet_pton(v6 ? AF_INET6 : AF_INET, host, v6 ? (void *)&a.v6.sin6_addr : (void *)&a.v4.sin_addr) != 1)
        return err_set(err, -EINVAL, "%s: must be ADDRESS:PORT or [ADDRESS]:PORT with a numeric address, not \"%.60s\"",
                       what, where);
    if (v6 ? IN6_IS_ADDR_UNSPECIFIED(&a.v6.sin6_addr) : a.v4.sin_addr.s_addr == htonl(INADDR_ANY))
        return err_set(err, -EINVAL, "%s: must name one address: %s would listen on every interface", what, host);
    a.any.sa_family = v6 ? AF_INET6 : AF_INET;
    if (v6)
        a.v6.sin6_port = port;
    else
        a.v4.sin_port = port;
    *ret = a;
    *ret_len = v6 ? sizeof(a.v6) : sizeof(a.v4);
    return 0;
}

int tcp_listen_check(const char *what, const char *where, struct err *err)
{
    union address a;
    socklen_t len;
    return parse(what, where, &a, &len, err);
}

int tcp_listen(const char *what, const char *where, int backlog, struct err *err)
{
    union address a;
    socklen_t len = 0;
    int one = 1, r = parse(what, where, &a, &len, err);
    if (r < 0)
        return r;
    autoclose int fd = socket(a.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return err_set_errno(err, -errno, "%s: cannot make a socket", what);
    bool v6 = a.any.sa_family == AF_INET6;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
        setsockopt(fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_FREEBIND : IP_FREEBIND, &one, sizeof(one)) < 0 ||
        bind(fd, &a.any, len) < 0 || listen(fd, backlog) < 0)
        return err_set_errno(err, -errno, "%s: cannot listen on %s", what, where);
    return oh_take_fd(&fd);
}
