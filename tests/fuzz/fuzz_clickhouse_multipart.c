/* multipart/form-data bodies: the first line of the input is the Content-Type. */
#include "clickhouse/multipart.h"

#include "base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char boundary[MULTIPART_BOUNDARY_MAX + 1];
    const uint8_t *line = memchr(data, '\n', size);
    struct err err = ERR_INIT;
    if (!line)
        return 0;
    autofree char *type = mem_strndup((const char *)data, (size_t)(line - data));
    if (multipart_boundary(type, boundary, &err) < 0)
        return 0;
    struct params *p = params_new();
    struct buf text = BUF_INIT;
    size_t len = size - (size_t)(line + 1 - data);
    if (multipart_parse((const char *)line + 1, len, boundary, p, &text, &err) < 0 && !err.message[0])
        abort();
    if (text.len > len)
        abort();
    buf_free(&text);
    params_free(p);
    return 0;
}
