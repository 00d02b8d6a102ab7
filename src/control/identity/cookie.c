/* Takes our own cookies out of the Cookie header. */
#include "control/identity/cookie.h"

#include <ctype.h>

static bool take(const char *value, size_t len, char ret[COOKIE_MAX])
{
    if (!len || len >= COOKIE_MAX)
        return false;
    for (size_t i = 0; i < len; i++)
        if (!isalnum((unsigned char)value[i]) || (unsigned char)value[i] > 0x7f)
            return false;
    memcpy(ret, value, len);
    ret[len] = 0;
    return true;
}

bool cookie_find(const char *header, const char *name, char ret[COOKIE_MAX])
{
    size_t len = strlen(name);
    while (header && *header) {
        header += strspn(header, " \t;");
        size_t whole = strcspn(header, ";");
        if (whole > len && !strncmp(header, name, len) && header[len] == '=') {
            const char *value = header + len + 1;
            size_t n = whole - len - 1;
            while (n && (value[n - 1] == ' ' || value[n - 1] == '\t'))
                n--;
            return take(value, n, ret);
        }
        header += whole;
    }
    return false;
}
