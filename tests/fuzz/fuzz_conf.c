/* Configuration files. */
#include "base/conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct sample {
    char *name;
    int64_t port;
    bool flag;
};

static const struct conf_key keys[] = {
    {"name", CONF_PATH, offsetof(struct sample, name), "/", 0, 64, ""},
    {"port", CONF_INT, offsetof(struct sample, port), "1", 1, 65535, ""},
    {"flag", CONF_BOOL, offsetof(struct sample, flag), "no", 0, 0, ""},
    {0},
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sample s = {0};
    struct err err = ERR_INIT;
    if (conf_parse("fuzz", (const char *)data, size, keys, &s, &err) == 0)
        conf_free(keys, &s);
    else if (s.name)
        abort();
    return 0;
}
