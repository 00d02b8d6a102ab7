/* HTTP Basic credentials: whatever comes, the parts are texts of the value and nothing of it is in the message. */
#include "base/mem.h"
#include "control/identity/basic.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    autofree char *value = mem_strndup((const char *)data, size);
    autobasic struct basic b = {0};
    struct err err = ERR_INIT;
    int r = basic_parse(value, &b, &err);
    if (r == 0 && (strchr(b.user, ':') || strlen(b.user) + strlen(b.password) > BASIC_MAX))
        abort();
    if (r < 0 && (b.user || b.password || !*err.message))
        abort();
    return 0;
}
