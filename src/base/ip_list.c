/* Matches addresses against networks. */
#include "base/ip_list.h"

#include <arpa/inet.h>

struct network {
    unsigned char bytes[16];
    int family, bits;
};

static int bits_of(int family)
{
    return family == AF_INET ? 32 : 128;
}

static bool parse_address(const char *text, struct network *ret)
{
    static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};
    *ret = (struct network){.family = AF_INET, .bits = 32};
    if (inet_pton(AF_INET, text, ret->bytes) == 1)
        return true;
    if (inet_pton(AF_INET6, text, ret->bytes) != 1)
        return false;
    ret->family = AF_INET6;
    ret->bits = 128;
    if (!memcmp(ret->bytes, mapped, sizeof(mapped))) {
        memmove(ret->bytes, ret->bytes + 12, 4);
        ret->family = AF_INET;
        ret->bits = 32;
    }
    return true;
}

static bool parse_network(const char *text, struct network *ret)
{
    char address[INET6_ADDRSTRLEN];
    const char *slash = strchr(text, '/');
    size_t len = slash ? (size_t)(slash - text) : strlen(text);
    if (len >= sizeof(address))
        return false;
    memcpy(address, text, len);
    address[len] = 0;
    if (!parse_address(address, ret))
        return false;
    if (!slash)
        return true;
    size_t digits = strspn(slash + 1, "0123456789");
    if (!digits || digits > 3 || slash[1 + digits])
        return false;
    int prefix = atoi(slash + 1);
    /* A prefix written for a mapped address counts from the IPv6 form. */
    if (ret->family == AF_INET && strchr(address, ':'))
        prefix -= 96;
    if (prefix < 0 || prefix > bits_of(ret->family))
        return false;
    ret->bits = prefix;
    return true;
}

static bool inside(const struct network *net, const struct network *address)
{
    int whole = net->bits / 8, rest = net->bits % 8;
    if (net->family != address->family || memcmp(net->bytes, address->bytes, (size_t)whole))
        return false;
    unsigned char mask = (unsigned char)(0xff00 >> rest);
    return !rest || ((net->bytes[whole] ^ address->bytes[whole]) & mask) == 0;
}

bool ip_source_valid(const char *source)
{
    struct network net;
    return !strcmp(source, "anywhere") || parse_network(source, &net);
}

bool ip_list_holds(const json_t *list, const char *address)
{
    struct network us, net;
    bool known = parse_address(address, &us);
    const json_t *entry;
    size_t i;
    json_array_foreach(list, i, entry)
    {
        const char *source = json_string_value(json_object_get(entry, "source"));
        if (!source)
            continue;
        if (!strcmp(source, "anywhere"))
            return true;
        if (!parse_network(source, &net))
            continue;
        if (known ? inside(&net, &us) : net.bits == 0)
            return true;
    }
    return false;
}
