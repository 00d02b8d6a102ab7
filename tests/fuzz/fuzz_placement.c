/* Placement and status files: what is accepted must come back the same after being written and read again. */
#include "blueprint/placement.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    autoarena struct arena *arena = arena_new();
    struct placement p, q;
    struct placement_status s;
    (void)!placement_status_parse((const char *)data, size, arena, &s, NULL);
    if (placement_parse((const char *)data, size, arena, &p, NULL) < 0)
        return 0;
    autojson json_t *one = placement_to_json(&p), *two = NULL;
    if (!one)
        abort();
    autofree char *text = js_text(one);
    if (placement_parse(text, strlen(text), arena, &q, NULL) < 0)
        abort();
    two = placement_to_json(&q);
    if (!two || !json_equal(one, two))
        abort();
    return 0;
}
