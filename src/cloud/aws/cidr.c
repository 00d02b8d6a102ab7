/* Cuts one range into subnets and says what it carries. */
#include "cloud/aws/cidr.h"

#include <arpa/inet.h>

#define RESERVED 5       /* of each subnet, by AWS */
#define CONTROL_PLANE 16 /* recommended free addresses for EKS's own interfaces, in each cluster subnet */
#define SYSTEM_NODES 6
#define NODE_PREFIX_MODE 33  /* its own address and two /28 blocks, one of them warm */
#define NODE_ADDRESS_MODE 13 /* WARM_IP_TARGET=2, MINIMUM_IP_TARGET=10, and its own */

int cidr_parse(const char *text, struct cidr *ret, struct err *err)
{
    char address[16];
    struct in_addr in;
    const char *slash = strchr(text, '/');
    char *end = NULL;
    long prefix = slash ? strtol(slash + 1, &end, 10) : -1;
    if (!slash || slash - text >= (ptrdiff_t)sizeof(address) || prefix < 0 || prefix > 32 || *end || end == slash + 1)
        return err_set(err, -EINVAL, "\"%.40s\" must be a range such as 10.0.0.0/16", text);
    snprintf(address, sizeof(address), "%.*s", (int)(slash - text), text);
    if (inet_pton(AF_INET, address, &in) != 1)
        return err_set(err, -EINVAL, "\"%.40s\" must be a range such as 10.0.0.0/16", text);
    struct cidr c = {ntohl(in.s_addr), (int)prefix};
    if (prefix < 32 && (c.first & (0xffffffffu >> prefix)))
        return err_set(err, -EINVAL, "\"%.40s\" has bits set below its prefix: name the range by its first address",
                       text);
    *ret = c;
    return 0;
}

void cidr_text(const struct cidr *c, char out[CIDR_TEXT])
{
    snprintf(out, CIDR_TEXT, "%u.%u.%u.%u/%d", c->first >> 24, c->first >> 16 & 255, c->first >> 8 & 255,
             c->first & 255, c->prefix);
}

static uint32_t last_of(const struct cidr *c)
{
    return c->prefix == 32 ? c->first : c->first | (0xffffffffu >> c->prefix);
}

bool cidr_overlap(const struct cidr *a, const struct cidr *b)
{
    return a->first <= last_of(b) && b->first <= last_of(a);
}

/* Three quarters for private subnets, the last for small public ones and what is spare. */
int cidr_plan(const struct cidr *range, struct cidr_plan *ret, struct err *err)
{
    if (range->prefix < 16 || range->prefix > 23)
        return err_set(err, -EINVAL, "the network's range must be from /16 to /23, not /%d", range->prefix);
    int quarter = range->prefix + 2, small = range->prefix + (range->prefix <= 17 ? 6 : range->prefix <= 20 ? 5 : 4);
    uint32_t step = 1u << (32 - quarter), little = 1u << (32 - small);
    for (int i = 0; i < CIDR_ZONES; i++) {
        ret->private_[i] = (struct cidr){range->first + (uint32_t)i * step, quarter};
        ret->public_[i] = (struct cidr){range->first + 3 * step + (uint32_t)i * little, small};
    }
    ret->spare = (struct cidr){range->first + 3 * step + 3 * little, small};
    const struct cidr rfc1918 = {0xac100000, 12};
    ret->services = cidr_overlap(range, &rfc1918) ? (struct cidr){0x0a640000, 16} : (struct cidr){0xac140000, 16};
    ret->prefix_mode = range->prefix <= 21;
    return 0;
}

void cidr_capacity(const struct cidr_plan *p, struct cidr_capacity *ret)
{
    int usable = (1 << (32 - p->private_[0].prefix)) - RESERVED;
    /* Blocks of 16 begin at multiples of 16; the first and last block of a subnet hold AWS's addresses. */
    int each =
        (usable - CONTROL_PLANE - (p->prefix_mode ? 32 : 0)) / (p->prefix_mode ? NODE_PREFIX_MODE : NODE_ADDRESS_MODE);
    ret->addresses = usable;
    ret->nodes = MAX(each, 0) * CIDR_ZONES;
    ret->replicas = MAX(ret->nodes - SYSTEM_NODES, 0);
}

int cidr_check(const struct cidr *range, const struct cidr_taken *taken, struct err *err)
{
    static const struct cidr_taken own[] = {
        {"169.254.0.0/16", "link-local addresses: instance metadata, DNS and time live there"},
        {"172.17.0.0/16", "Docker's default bridge: nodes would not reach it"},
        {"198.19.0.0/16", "AWS's own use"},
        {"127.0.0.0/8", "loopback"},
        {"224.0.0.0/3", "multicast and reserved"},
        {"0.0.0.0/8", "this network"},
        {NULL, NULL},
    };
    struct cidr_plan plan;
    char ours[CIDR_TEXT];
    int r = cidr_plan(range, &plan, err);
    if (r < 0)
        return r;
    cidr_text(range, ours);
    if (cidr_overlap(range, &plan.services))
        return err_set(err, -EADDRINUSE, "%s overlaps with the cluster's range for services", ours);
    for (int set = 0; set < 2; set++)
        for (const struct cidr_taken *t = set ? own : taken; t && t->cidr; t++) {
            struct cidr other;
            r = cidr_parse(t->cidr, &other, err);
            if (r < 0)
                return r;
            if (cidr_overlap(range, &other))
                return err_set(err, -EADDRINUSE, "%s overlaps with %s (%s): choose another range", ours, t->cidr,
                               t->why);
        }
    return 0;
}
