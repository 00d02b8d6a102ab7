/* The enrolment bundle: whatever is taken must be taken again from its canonical text, with the same fingerprint. */
#include "agent/link/bundle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    autobundle struct bundle *one = NULL, *two = NULL;
    char host[BUNDLE_HOST_SIZE];
    uint16_t port;
    if (size < 300) {
        char text[301];
        memcpy(text, data, size);
        text[size] = '\0';
        if (bundle_address(text, host, &port) == 0 && (port == 0 || !*host))
            abort();
    }
    if (bundle_parse((const char *)data, size, &one, NULL) < 0)
        return 0;
    if (bundle_parse(one->canonical, strlen(one->canonical), &two, NULL) < 0)
        abort();
    if (strcmp(one->fingerprint, two->fingerprint) || one->pin_count < 1 || one->port == 0)
        abort();
    return 0;
}
