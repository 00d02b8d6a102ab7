/* kubeconfig files: any bytes either give a place to go to, with https, or a message. */
#include "runtime/kubernetes/access.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kube_access a = {0};
    struct err err = ERR_INIT;
    if (kube_access_parse((const char *)data, size, "/nonexistent", NULL, &a, &err) < 0) {
        if (!*err.message)
            abort();
        return 0;
    }
    if (strncmp(a.server, "https://", 8))
        abort();
    kube_access_free(&a);
    return 0;
}
