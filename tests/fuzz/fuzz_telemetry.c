/* Lists of what may leave, and messages: whatever the list says, what is not in the table stays, and a second pass
 * changes nothing. The input is a list, a NUL, a message. */
#include "base/util.h"
#include "blueprint/telemetry.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *nul = memchr(data, 0, size);
    size_t len = nul ? (size_t)(nul - data) : size;
    autotelemetry struct telemetry *t = NULL;
    autojson json_t *message = NULL, *once = NULL, *twice = NULL;
    struct err err = ERR_INIT;
    if (telemetry_parse((const char *)data, len, &t, &err) < 0 && !*err.message)
        abort();
    if (!t)
        t = telemetry_none();
    if (!nul || js_parse((const char *)nul + 1, size - len - 1, MIB(1), &message, NULL) < 0 ||
        telemetry_narrow(t, message, &once, NULL) < 0)
        return 0;
    if (telemetry_narrow(t, once, &twice, NULL) < 0 || !json_equal(once, twice) || json_object_get(once, "secret"))
        abort();
    return 0;
}
