/* The ingress's counters. */
#include "agent/operator/traffic.h"
#include "base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    autofree char *text = mem_strndup((const char *)data, size);
    autojson json_t *into = json_object();
    (void)!traffic_parse(text, into);
    return 0;
}
