/* Leaves and entry bundles: what is taken writes back to the same bytes, and no cursor leaves its bundle. */
#include "ledger/leaf.h"
#include "ledger/tile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    autoleaf struct leaf l = {0};
    autobuf struct buf again = BUF_INIT;
    struct tile_cursor c = {0};
    const char *entry = NULL;
    size_t len = 0;
    while (tile_entry_next((const char *)data, size, &c, &entry, &len) == 1)
        if (entry + len > (const char *)data + size)
            abort();
    if (leaf_parse((const char *)data, size, &l, NULL) < 0)
        return 0;
    if (js_canonical(l.json, &again, NULL) < 0 || again.len != size || memcmp(again.data, data, size))
        abort();
    return 0;
}
