/* Tailnets' policies: a refusal has its sentence, what human JSON becomes has the same length and is itself human JSON
 * that means the same, and no policy that names the whole network as a target is taken. */
#include "base/util.h"
#include "blueprint/tailnet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    autobuf struct buf once = BUF_INIT, twice = BUF_INIT;
    autojson json_t *policy = NULL;
    struct tailnet_tags tags;
    struct err err = ERR_INIT;
    const json_t *rule, *v;
    size_t i, k;
    bool open = false;
    if (tailnet_tags("laptop", &tags, NULL) < 0)
        abort();
    if (tailnet_hujson((const char *)data, size, &once, NULL) == 0 &&
        (once.len != size || (size && (tailnet_hujson(once.data, once.len, &twice, NULL) < 0 || twice.len != once.len ||
                                       memcmp(once.data, twice.data, once.len)))))
        abort();
    int r = tailnet_check((const char *)data, size, &tags, 8443, &open, &err);
    if (r < 0 && !*err.message)
        abort();
    if (r < 0 || js_parse(once.data, once.len, TAILNET_POLICY_MAX, &policy, NULL) < 0)
        return 0;
    json_array_foreach(json_object_get(policy, "grants"), i, rule)
    {
        json_array_foreach(json_object_get(rule, "dst"), k, v)
        {
            if (json_is_string(v) && !strcmp(json_string_value(v), "*"))
                abort();
        }
    }
    return 0;
}
