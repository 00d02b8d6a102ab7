/* Answers to HTTP CONNECT. */
#include "net/connect_proxy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = ERR_INIT;
    int r = connect_proxy_response((const char *)data, size, &err);
    if (r > 0 && ((size_t)r > size || r > (int)CONNECT_PROXY_MAX))
        abort();
    if (r < 0 && !err.message[0])
        abort();
    if (r == 0 && size >= CONNECT_PROXY_MAX)
        abort();
    return 0;
}
