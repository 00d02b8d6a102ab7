/* HTTP CONNECT: the request's text and the answer's head. */
#include "net/connect_proxy.h"

#include "base/mem.h"

/* Letters, digits, dots, dashes and underscores, or an address with colons. */
static bool host_is_plain(const char *host)
{
    size_t n = strlen(host);
    return n > 0 && n <= 253 && strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:") == n;
}

static bool credentials_are_plain(const char *s)
{
    size_t n = strlen(s);
    if (n > 1024 || !strchr(s, ':'))
        return false;
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)s[i] < ' ' || s[i] == 0x7f)
            return false;
    return true;
}

int connect_proxy_request(const char *host, uint16_t port, const char *credentials, struct buf *out, struct err *err)
{
    if (!host_is_plain(host) || port == 0)
        return err_set(err, -EINVAL, "\"%.100s\" port %u cannot be asked of a proxy", host, port);
    if (credentials && !credentials_are_plain(credentials))
        return err_set(err, -EINVAL, "proxy credentials must be one line, user:password");
    bool v6 = strchr(host, ':');
    autofree char *authority = mem_printf("%s%s%s:%u", v6 ? "[" : "", host, v6 ? "]" : "", port);
    buf_printf(out, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n", authority, authority);
    if (credentials) {
        char *b64 = base64_encode(credentials, strlen(credentials));
        buf_printf(out, "Proxy-Authorization: Basic %s\r\n", b64);
        mem_wipe(b64, strlen(b64));
        free(b64);
    }
    buf_adds(out, "\r\n");
    return 0;
}

/* Length of the head including the empty line, 0 if it has not all arrived. */
static size_t head_length(const char *data, size_t len)
{
    for (size_t i = 0; i + 1 < len; i++) {
        if (data[i] != '\n')
            continue;
        if (data[i + 1] == '\n')
            return i + 2;
        if (i + 2 < len && data[i + 1] == '\r' && data[i + 2] == '\n')
            return i + 3;
    }
    return 0;
}

/* The three-digit code of "HTTP/1.x NNN", or -1. */
static int status_code(const char *p, size_t len)
{
    if (len < 13 || memcmp(p, "HTTP/1.", 7) != 0 || (p[7] != '0' && p[7] != '1') || p[8] != ' ')
        return -1;
    for (int i = 9; i < 12; i++)
        if (p[i] < '0' || p[i] > '9')
            return -1;
    if (p[12] != ' ' && p[12] != '\r' && p[12] != '\n')
        return -1;
    return (p[9] - '0') * 100 + (p[10] - '0') * 10 + (p[11] - '0');
}

static int refusal(int status, struct err *err)
{
    switch (status) {
    case 401: /* what tinyproxy says to wrong ones */
    case 407:
        return err_set(err, -EPERM, "the proxy wants other credentials (%d): check the proxy credentials file", status);
    case 403:
        return err_set(err, -EACCES, "the proxy forbids this host and port (403): ask for it to be allowed");
    case 502:
    case 503:
    case 504:
        return err_set(err, -EHOSTUNREACH, "the proxy cannot reach the host (%d)", status);
    default:
        return err_set(err, -EACCES, "the proxy answered %d instead of opening a tunnel", status);
    }
}

int connect_proxy_response(const char *data, size_t len, struct err *err)
{
    static const char start[] = "HTTP/1.";
    if (len && memcmp(data, start, MIN(len, sizeof(start) - 1)) != 0)
        return err_set(err, -EPROTO, "the proxy does not speak HTTP/1");
    size_t head = head_length(data, MIN(len, CONNECT_PROXY_MAX));
    if (head == 0)
        return len < CONNECT_PROXY_MAX ? 0 : err_set(err, -EMSGSIZE, "the proxy's answer is longer than 8 KiB");
    int status = status_code(data, head);
    if (status < 0)
        return err_set(err, -EPROTO, "the proxy's answer has no status");
    return status >= 200 && status < 300 ? (int)head : refusal(status, err);
}
