/* blueprint/metrics on any bytes: values stay within their limits. */
#include "blueprint/metrics.h"

static void take(const struct metric *m, int64_t value, void *data)
{
    if (value < 0 || value > INT64_C(1) << 53 || m < metrics_all || m >= metrics_all + metrics_count)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    metrics_read((const char *)data, size, take, NULL);
    return 0;
}
