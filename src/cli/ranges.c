/* Chooses an address range beside the routes that are there. */
#include "cli/ranges.h"

#include "base/buf.h"

#include <arpa/inet.h>

#define RANGE_FIRST 77
#define RANGE_MASK 0xffff0000u

static bool taken(const char *routes, uint32_t network)
{
    for (const char *line = routes; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
        unsigned destination, mask;
        /* Iface Destination Gateway Flags RefCnt Use Metric Mask ... ; the head line has no hexadecimal there. */
        if (sscanf(line, "%*s %8x %*x %*x %*d %*d %*d %8x", &destination, &mask) != 2 || mask == 0)
            continue;
        uint32_t both = ntohl(mask) & RANGE_MASK;
        if ((ntohl(destination) & both) == (network & both))
            return true;
    }
    return false;
}

int range_choose(const char *routes, char ret[RANGE_SIZE], struct err *err)
{
    for (unsigned i = 0; i < 256; i++) {
        unsigned second = (RANGE_FIRST + i) % 256;
        if (taken(routes, 10u << 24 | second << 16))
            continue;
        snprintf(ret, RANGE_SIZE, "10.%u.0.0/16", second);
        return 0;
    }
    return err_set(err, -EADDRNOTAVAIL,
                   "every range below 10.0.0.0/8 has a route on this machine: none is left for a data plane");
}

int range_free(char ret[RANGE_SIZE], struct err *err)
{
    /* A file of /proc has no size, so it is read line by line. */
    autofclose FILE *f = fopen("/proc/net/route", "re");
    autobuf struct buf text = BUF_INIT_MAX(MIB(4));
    char line[512];
    while (f && fgets(line, sizeof(line), f))
        buf_adds(&text, line);
    return range_choose(text.data ? text.data : "", ret, err);
}
