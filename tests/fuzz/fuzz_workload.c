/* Workloads in JSON and their references: what is read back writes the same JSON; escaping survives expansion. */
#include "blueprint/workload.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *echo(const char *name, void *user OH_UNUSED)
{
    return name;
}

static void references(const char *text)
{
    autobuf struct buf any = BUF_INIT, safe = BUF_INIT, back = BUF_INIT;
    (void)!workload_expand(text, echo, NULL, &any, NULL);
    workload_escape(text, &safe);
    if (workload_expand(safe.data ? safe.data : "", echo, NULL, &back, NULL) < 0)
        abort();
    if (strcmp(back.data ? back.data : "", text))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    autojson json_t *v = NULL, *one = NULL, *two = NULL;
    autoarena struct arena *a = arena_new();
    struct workload w, again;
    references(arena_strndup(a, (const char *)data, size));
    if (js_parse((const char *)data, size, WORKLOAD_MAX_BYTES, &v, NULL) < 0 || workload_from_json(v, a, &w, NULL) < 0)
        return 0;
    one = workload_to_json(&w);
    if (!one || workload_from_json(one, a, &again, NULL) < 0)
        abort();
    two = workload_to_json(&again);
    if (!json_equal(one, two))
        abort();
    return 0;
}
