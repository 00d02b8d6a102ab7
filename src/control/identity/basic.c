/* Reads the Authorization header. */
#include "control/identity/basic.h"

#include "base/buf.h"
#include "base/mem.h"

#include <strings.h>

static bool clean(const unsigned char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (text[i] < 0x20 || text[i] == 0x7f)
            return false;
    return true;
}

int basic_parse(const char *value, struct basic *ret, struct err *err)
{
    unsigned char *raw = NULL;
    size_t len;
    if (!value)
        return err_set(err, -ENOENT, "there is no Authorization header");
    if (strlen(value) > BASIC_MAX)
        return err_set(err, -EINVAL, "the Authorization header is longer than %d bytes", BASIC_MAX);
    if (strncasecmp(value, "Basic ", 6))
        return err_set(err, -ENOENT, "the Authorization header does not use the scheme Basic");
    value += 6 + strspn(value + 6, " ");
    if (base64_decode(value, BASIC_MAX, &raw, &len) < 0)
        return err_set(err, -EINVAL, "the Authorization header is not valid base64");
    const unsigned char *colon = memchr(raw, ':', len);
    int r = 0;
    if (!colon || !clean(raw, len)) {
        r = err_set(err, -EINVAL, "the Authorization header does not hold a key id, a colon and a secret");
    } else {
        size_t user = (size_t)(colon - raw);
        ret->user = mem_strndup((const char *)raw, user);
        ret->password = mem_strndup((const char *)colon + 1, len - user - 1);
    }
    mem_wipe(raw, len);
    free(raw);
    return r;
}

void basic_free(struct basic *b)
{
    if (b->password)
        mem_wipe(b->password, strlen(b->password));
    free(b->password);
    free(b->user);
    *b = (struct basic){0};
}
