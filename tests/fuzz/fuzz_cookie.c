/* The Cookie header: whatever comes, a found value is a run of letters and digits of it. */
#include "base/mem.h"
#include "control/identity/cookie.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    autofree char *header = mem_strndup((const char *)data, size);
    char value[COOKIE_MAX];
    if (cookie_find(header, "__Host-ownhouse-session", value) && (!*value || !strstr(header, value)))
        abort();
    return 0;
}
