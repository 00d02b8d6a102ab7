/* PROXY protocol version 2: parsing and writing of the binary header. */
#include "net/proxyproto.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#define FIXED 16
static const uint8_t signature[12] = {0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a};

/* High half of byte 13 is the family, low half the transport. */
enum { FAMILY_UNSPEC, FAMILY_INET, FAMILY_INET6, FAMILY_UNIX };
enum { COMMAND_LOCAL, COMMAND_PROXY };

static size_t body_length(const uint8_t *data)
{
    return (size_t)data[14] << 8 | data[15];
}

size_t proxyproto_need(const uint8_t *data, size_t len)
{
    return len < FIXED ? FIXED : FIXED + body_length(data);
}

static void take_inet(const uint8_t *p, const uint8_t *port, struct sockaddr_storage *ret)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    memcpy(&a.sin_addr, p, 4);
    memcpy(&a.sin_port, port, 2);
    memcpy(ret, &a, sizeof(a));
}

static void take_inet6(const uint8_t *p, const uint8_t *port, struct sockaddr_storage *ret)
{
    struct sockaddr_in6 a = {.sin6_family = AF_INET6};
    memcpy(&a.sin6_addr, p, 16);
    memcpy(&a.sin6_port, port, 2);
    memcpy(ret, &a, sizeof(a));
}

/* Addresses of the family announced; a body too short for them is an error, anything after them is skipped. */
static int take_addresses(const uint8_t *data, size_t body, struct proxyproto *ret, struct err *err)
{
    static const uint8_t wanted[] = {0, 12, 36, 216};
    const uint8_t *p = data + FIXED;
    unsigned family = data[13] >> 4, transport = data[13] & 15;
    if (family > FAMILY_UNIX || transport > 2)
        return err_set(err, -EPROTO, "PROXY header names an unknown address family or transport");
    if (body < wanted[family])
        return err_set(err, -EPROTO, "PROXY header is too short for its addresses");
    ret->local = family == FAMILY_UNSPEC;
    if (family == FAMILY_INET) {
        take_inet(p, p + 8, &ret->src);
        take_inet(p + 4, p + 10, &ret->dst);
    } else if (family == FAMILY_INET6) {
        take_inet6(p, p + 32, &ret->src);
        take_inet6(p + 16, p + 34, &ret->dst);
    } else if (family == FAMILY_UNIX) {
        ret->src.ss_family = ret->dst.ss_family = AF_UNIX;
    }
    return 0;
}

int proxyproto_parse(const uint8_t *data, size_t len, struct proxyproto *ret, struct err *err)
{
    struct proxyproto out = {0};
    if (len && memcmp(data, signature, MIN(len, sizeof(signature))) != 0)
        return err_set(err, -EPROTO, "connection does not begin with a PROXY protocol v2 header");
    if (len < FIXED)
        return 0;
    unsigned command = data[12] & 15;
    size_t body = body_length(data);
    if (data[12] >> 4 != 2 || command > COMMAND_PROXY)
        return err_set(err, -EPROTO, "PROXY header has an unknown version or command");
    if (FIXED + body > PROXYPROTO_MAX)
        return err_set(err, -EMSGSIZE, "PROXY header is longer than %d bytes", PROXYPROTO_MAX);
    if (len < FIXED + body)
        return 0;
    int r = 0;
    if (command == COMMAND_LOCAL)
        out.local = true;
    else
        r = take_addresses(data, body, &out, err);
    if (r < 0)
        return r;
    *ret = out;
    return (int)(FIXED + body);
}

int proxyproto_write(const struct sockaddr *src, const struct sockaddr *dst, uint8_t out[52])
{
    memcpy(out, signature, sizeof(signature));
    out[12] = (uint8_t)(0x20 | (src ? COMMAND_PROXY : COMMAND_LOCAL));
    out[13] = out[14] = out[15] = 0;
    if (!src)
        return FIXED;
    if (!dst || src->sa_family != dst->sa_family)
        return -EAFNOSUPPORT;
    if (src->sa_family == AF_INET) {
        struct sockaddr_in s, d;
        memcpy(&s, src, sizeof(s));
        memcpy(&d, dst, sizeof(d));
        out[13] = FAMILY_INET << 4 | 1;
        out[15] = 12;
        memcpy(out + 16, &s.sin_addr, 4);
        memcpy(out + 20, &d.sin_addr, 4);
        memcpy(out + 24, &s.sin_port, 2);
        memcpy(out + 26, &d.sin_port, 2);
    } else if (src->sa_family == AF_INET6) {
        struct sockaddr_in6 s, d;
        memcpy(&s, src, sizeof(s));
        memcpy(&d, dst, sizeof(d));
        out[13] = FAMILY_INET6 << 4 | 1;
        out[15] = 36;
        memcpy(out + 16, &s.sin6_addr, 16);
        memcpy(out + 32, &d.sin6_addr, 16);
        memcpy(out + 48, &s.sin6_port, 2);
        memcpy(out + 50, &d.sin6_port, 2);
    } else {
        return -EAFNOSUPPORT;
    }
    return FIXED + out[15];
}
