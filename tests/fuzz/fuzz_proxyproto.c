/* PROXY protocol headers: what is accepted lies within the bytes given, and prefixes of it only ask for more. */
#include "net/proxyproto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct proxyproto p;
    int r = proxyproto_parse(data, size, &p, NULL);
    if (r > 0) {
        if ((size_t)r > size || r > PROXYPROTO_MAX || proxyproto_need(data, size) != (size_t)r)
            abort();
        if (!p.local && p.src.ss_family != p.dst.ss_family)
            abort();
        for (int n = 0; n < r; n++)
            if (proxyproto_parse(data, (size_t)n, &p, NULL) != 0)
                abort();
    }
    return 0;
}
