/* Link messages: the same messages come out whole and byte by byte. */
#include "net/link_msg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int count(const uint8_t *data, size_t size, size_t piece, int *ret_end)
{
    struct link_msg_reader r;
    int n = 0, e = 0;
    link_msg_reader_init(&r, KIB(64));
    while (size && e >= 0) {
        size_t len = MIN(size, piece), left = len;
        do {
            autojson json_t *o = NULL;
            e = link_msg_read(&r, &data, &left, &o, NULL);
            if (e == 1 && (!json_is_object(o) || ++n < 0))
                abort();
        } while (e == 1);
        size -= len;
    }
    link_msg_reader_free(&r);
    *ret_end = e;
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int end_whole, end_bytes;
    if (count(data, size, SIZE_MAX, &end_whole) != count(data, size, 1, &end_bytes) || end_whole != end_bytes)
        abort();
    return 0;
}
