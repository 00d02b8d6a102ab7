/* Papers to sign: what is taken can be shown, and its digest is of the very document. */
#include "cli/papers.h"

#include "base/js.h"

#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int from_memory(const uint8_t *data, size_t size, struct papers *ret, struct err *err)
{
    char path[64];
    autoclose int fd = memfd_create("papers", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return papers_read(path, ret, err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    autopapers struct papers p = {0};
    struct err err = ERR_INIT;
    char digest[65];
    struct ui ui = {0}; /* without `out`: all is made into text and shown to nobody */
    if (from_memory(data, size, &p, &err) < 0) {
        if (!*err.message)
            abort();
        return 0;
    }
    papers_describe(&ui, &p);
    if (p.plan &&
        (js_digest(json_object_get(p.plan, "document"), digest, NULL) < 0 || strcmp(digest, p.request.digest)))
        abort();
    return 0;
}
