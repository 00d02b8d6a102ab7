/* JSON parsing and canonical form: canonical text must parse back to the same canonical text. */
#include "base/js.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    autojson json_t *v = NULL, *again = NULL;
    autobuf struct buf one = BUF_INIT, two = BUF_INIT;
    if (js_parse((const char *)data, size, MIB(1), &v, NULL) < 0 || js_canonical(v, &one, NULL) < 0)
        return 0;
    if (js_parse(one.data, one.len, MIB(4), &again, NULL) < 0 || js_canonical(again, &two, NULL) < 0)
        abort();
    if (one.len != two.len || memcmp(one.data, two.data, one.len))
        abort();
    return 0;
}
