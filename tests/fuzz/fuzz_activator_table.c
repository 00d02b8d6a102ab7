/* The activator's table. */
#include "agent/activator/table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct table t;
    if (table_parse((const char *)data, size, &t, NULL) == 0) {
        for (size_t i = 0; i < t.n; i++)
            if (!t.items[i].n_hosts || !*t.items[i].slug)
                abort();
        table_free(&t);
    }
    return 0;
}
